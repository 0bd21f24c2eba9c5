"""Checks show verdicts. They do not decide anything: a verdict lives in the record of its partition, and the next stage reads it there."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlpipe.orchestration.events import harmless
from mlpipe.orchestration.partitions import partitions_of
from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Found, Record
from mlpipe.spec.pipeline import PipelineSpec

LEVEL = "level "
"""What the place of a finding begins with that is about a service level."""
GOOD = {
    "validated": ("pass",),
    "model": ("trained",),
    "evaluation": ("pass",),
    "monitor": ("stable", "no_champion", "no_data"),
}


@dataclass(frozen=True)
class Check:
    """A check: its name, what it says, whether a record passes, how bad it is otherwise, and which findings are about it."""

    name: str
    text: str
    passes: Callable[[Record], bool]
    severity: Callable[[Record], dg.AssetCheckSeverity]
    about: Callable[[Found], bool]


def _verdict(asset: str, name: str, text: str, severity: dg.AssetCheckSeverity) -> Check:
    """A check that shows the verdict of an asset's partitions."""
    return Check(
        name,
        text,
        lambda record: record.verdict in GOOD[asset],
        lambda record: severity,
        lambda found: not found.where.startswith(LEVEL),
    )


def _missed(record: Record) -> Mapping[str, Any]:
    """Service levels that a day missed: the response, the severity and the limit of each."""
    return (record.data.get(HEAD_DATA) or {}).get("response") or {}


def _level_severity(record: Record) -> dg.AssetCheckSeverity:
    critical = any(severity == "critical" for _, severity, _ in _missed(record).values())
    return ERROR if critical else WARN


WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
CHECKS: Mapping[str, tuple[Check, ...]] = {
    "validated": (
        _verdict(
            "validated",
            "contract",
            "The partition keeps its contract and its quality is above the floor.",
            ERROR,
        ),
    ),
    "model": (_verdict("model", "trained", "A model could be learned from the window.", WARN),),
    "evaluation": (_verdict("evaluation", "gates", "Every gate passes.", WARN),),
    "monitor": (
        _verdict("monitor", "drift", "No watched feature drifts.", WARN),
        Check(
            "service_levels",
            "No service level of the day is missed. What is not known yet is not missed.",
            lambda record: not _missed(record),
            _level_severity,
            lambda found: found.where.startswith(LEVEL),
        ),
    ),
}


def check_specs(spec: PipelineSpec, name: str) -> list[dg.AssetCheckSpec]:
    """Checks of one asset; partitioned as it is, else their results would lie under no partition."""
    return [
        dg.AssetCheckSpec(
            check.name,
            asset=[spec.name, name],
            description=check.text,
            partitions_def=partitions_of(spec.partitions),
        )
        for check in CHECKS.get(name, ())
    ]


def check_results(spec: PipelineSpec, name: str, records: Sequence[Record]) -> list[dg.AssetCheckResult]:
    """What the checks of an asset say of a step: of its one partition, or of the whole range."""
    return [_result(spec, name, check, records) for check in CHECKS.get(name, ())]


def _result(spec: PipelineSpec, name: str, check: Check, records: Sequence[Record]) -> dg.AssetCheckResult:
    bad = [r for r in records if not check.passes(r)]
    shown = bad[0] if bad else records[-1] if records else None
    metadata: dict[str, dg.MetadataValue] = {
        "partitions": dg.MetadataValue.int(len(records)),
        "failed": dg.MetadataValue.int(len(bad)),
    }
    text = "" if shown is None else f"{shown.partition}: {shown.headline}"
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=[spec.name, name],
        passed=not bad,
        severity=WARN if shown is None else check.severity(shown),
        description=harmless(text[:900]),
        metadata={**metadata, **_findings(shown, check)},
    )


def range_evaluations(
    context: dg.AssetExecutionContext,
    spec: PipelineSpec,
    name: str,
    key: dg.AssetKey,
    records: Sequence[Record],
    made: Mapping[str, dg.EventLogRecord],
) -> Iterator[dg.AssetCheckEvaluation]:
    """What each check says of each partition in a step over a range."""
    for check in CHECKS.get(name, ()) if spec.partitions.every != "none" else ():
        for record in records:
            yield dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=check.name,
                passed=check.passes(record),
                severity=check.severity(record),
                description=harmless(record.headline[:900]),
                metadata=_findings(record, check),
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


def _findings(record: Record | None, check: Check) -> dict[str, dg.MetadataValue]:
    found = [f for f in record.findings if check.about(f)] if record is not None else []
    if not found:
        return {}
    lines = [f"* {f.where}: {f.what}" if f.where else f"* {f.what}" for f in found[:5]]
    return {"findings": dg.MetadataValue.md(harmless("\n".join(lines)[:900]))}
