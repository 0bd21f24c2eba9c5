"""Checks show verdicts. They do not decide anything: a verdict lives in the record of its partition, and the next stage reads it there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from mlpipe.orchestration.events import harmless
from mlpipe.orchestration.partitions import partitions_of
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec

CHECKS = {
    "validated": ("contract", "The partition keeps its contract and its quality is above the floor."),
    "model": ("trained", "A model could be learned from the window."),
    "evaluation": ("gates", "Every gate passes."),
    "monitor": ("drift", "No watched feature drifts."),
}
GOOD = {
    "validated": ("pass",),
    "model": ("trained",),
    "evaluation": ("pass",),
    "monitor": ("stable", "no_champion", "no_data"),
}
SEVERITY = {"validated": dg.AssetCheckSeverity.ERROR}


def check_specs(spec: PipelineSpec, name: str) -> list[dg.AssetCheckSpec]:
    """Checks of one asset; partitioned as it is, else their results would lie under no partition."""
    if name not in CHECKS:
        return []
    check, text = CHECKS[name]
    return [
        dg.AssetCheckSpec(
            check, asset=[spec.name, name], description=text, partitions_def=partitions_of(spec.partitions)
        )
    ]


def check_results(spec: PipelineSpec, name: str, records: Sequence[Record]) -> list[dg.AssetCheckResult]:
    """What the check of an asset says of a step: of its one partition, or of the whole range."""
    if name not in CHECKS:
        return []
    bad = [r for r in records if r.verdict not in GOOD[name]]
    shown = bad[0] if bad else records[-1] if records else None
    metadata: dict[str, dg.MetadataValue] = {
        "partitions": dg.MetadataValue.int(len(records)),
        "failed": dg.MetadataValue.int(len(bad)),
    }
    text = "" if shown is None else f"{shown.partition}: {shown.headline}"
    return [
        dg.AssetCheckResult(
            check_name=CHECKS[name][0],
            asset_key=[spec.name, name],
            passed=not bad,
            severity=SEVERITY.get(name, dg.AssetCheckSeverity.WARN),
            description=harmless(text[:900]),
            metadata={**metadata, **_findings(shown)},
        )
    ]


def range_evaluations(
    context: dg.AssetExecutionContext,
    spec: PipelineSpec,
    name: str,
    key: dg.AssetKey,
    records: Sequence[Record],
    made: Mapping[str, dg.EventLogRecord],
) -> Iterator[dg.AssetCheckEvaluation]:
    """Each partition's own verdict in a step over a range."""
    if name not in CHECKS or spec.partitions.every == "none":
        return
    for record in records:
        yield dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=CHECKS[name][0],
            passed=record.verdict in GOOD[name],
            severity=SEVERITY.get(name, dg.AssetCheckSeverity.WARN),
            description=harmless(record.headline[:900]),
            metadata=_findings(record),
            partition=record.partition,
            target_materialization_data=_target(made.get(record.partition)),
        )


def _target(event: dg.EventLogRecord | None) -> Any:
    """The event that a verdict is about: without it, or with an older one, Dagster counts the partition as not checked."""
    if event is None:
        return None
    target = {
        "__class__": "AssetCheckEvaluationTargetMaterializationData",
        "storage_id": event.storage_id,
        "run_id": event.run_id,
        "timestamp": event.timestamp,
    }
    return dg.deserialize_value(json.dumps(target))


def _findings(record: Record | None) -> dict[str, dg.MetadataValue]:
    if record is None or not record.findings:
        return {}
    lines = [f"* {f.where}: {f.what}" if f.where else f"* {f.what}" for f in record.findings[:5]]
    return {"findings": dg.MetadataValue.md(harmless("\n".join(lines)[:900]))}
