"""The assets of a pipeline: one a stage, thin over the stages."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg

from mlpipe.core.fingerprint import fingerprint
from mlpipe.errors import NotFoundError, SpecError, TransientError, UserCodeError
from mlpipe.orchestration.checks import check_results, check_specs, range_evaluations
from mlpipe.orchestration.events import metadata_of, newest, provenance
from mlpipe.orchestration.partitions import partitions_of
from mlpipe.orchestration.production import report_production
from mlpipe.orchestration.runtime import LISTENERS, Progress, context_of
from mlpipe.records.codec import digest, from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import LoadSource, UpstreamSource
from mlpipe.stages import evaluate, feature, ingest, label, monitor, predict, release, train, validate
from mlpipe.stages.context import Context
from mlpipe.stages.runner import Stage, run_stage

Execute = Callable[[PipelineSpec, Stage, Sequence[str], Any], Iterator[Record]]
Dress = Callable[[str, dg.AssetSpec], dg.AssetSpec]
INPUT = "source_"
"""Before the names of inputs: a source may bear a name that a Python function's argument cannot."""

PARENTS: dict[str, tuple[str, ...]] = {
    "raw": (),
    "validated": ("raw",),
    "features": ("validated",),
    "labels": ("validated",),
    "model": ("features", "labels"),
    "evaluation": ("model",),
    "release": ("evaluation",),
    "predictions": ("features",),
    "monitor": ("predictions", "labels"),
}
STAGES: dict[str, Stage] = {
    s.asset: s
    for s in (
        ingest.STAGE,
        validate.STAGE,
        feature.STAGE,
        label.STAGE,
        train.STAGE,
        evaluate.STAGE,
        release.STAGE,
        predict.STAGE,
        monitor.STAGE,
    )
}
RANGES = ("raw", "validated", "features", "labels", "predictions", "monitor")
"""Assets that serve a range of partitions in one run; the others run partition by partition."""
KINDS = {
    "raw": {"pandas", "parquet"},
    "validated": {"greatexpectations"},
    "features": {"pandas", "parquet"},
    "labels": {"pandas", "parquet"},
    "model": {"scikitlearn"},
    "evaluation": {"scikitlearn"},
    "release": {"python"},
    "predictions": {"scikitlearn", "parquet"},
    "monitor": {"numpy"},
}
REPORTED = {"__source_asset_observation__": True}
"""Metadata of an output whose partitions were reported one by one: Dagster then adds no events of its own, which would carry one data
version for the whole range. A Dagster that does not know this key writes each event twice: slower, no worse."""
TEXTS = {
    "raw": "Rows of each source, frozen under the name of their content.",
    "validated": "Which rows keep the contract, which are quarantined and why, a quality score, the partition's verdict.",
    "features": "Model-ready rows as known at the moment of prediction, and a mergeable profile of every column. Never a label.",
    "labels": "The truth about the partition's rows, as far as it is known; each revision is kept.",
    "model": "A model learned from the window that ends before the partition, as a bundle.",
    "evaluation": "Metrics with intervals, beside baselines and the champion, and what each gate says.",
    "release": "The decision about this model: version, stage, reason, model card.",
    "predictions": "The partition scored by the champion at the start of the run.",
    "monitor": "Drift against what the champion learned from, and realised performance once labels are ripe.",
}


def asset_spec(spec: PipelineSpec, name: str) -> dg.AssetSpec:
    """How one stage's asset shows in Dagster."""
    upstream = (
        [s.asset for s in spec.sources.values() if isinstance(s, UpstreamSource)] if name == "raw" else []
    )
    training = name in ("model", "evaluation", "release")
    return dg.AssetSpec(
        key=[spec.name, name],
        deps=[dg.AssetDep([spec.name, parent], partition_mapping=_identity(spec)) for parent in PARENTS[name]]
        if not upstream
        else [],
        description=f"{TEXTS[name]}\n\n{spec.description}".strip(),
        group_name=spec.name,
        kinds=KINDS[name],
        owners=list(spec.owners),
        tags={"mlpipe/stage": STAGES[name].name, **spec.tags},
        code_version=code_version(spec, name),
        partitions_def=partitions_of(spec.partitions),
        metadata={
            "pipeline": spec.name,
            "deployment": spec.deployment,
            **({"window": str(spec.training_window)} if training else {}),
        },
    )


def _identity(spec: PipelineSpec) -> dg.PartitionMapping | None:
    """Windows are read through the store: an arrow for each would drag a year of days into a backfill."""
    return None if spec.partitions.every == "none" else dg.IdentityPartitionMapping()


def code_version(spec: PipelineSpec, name: str) -> str:
    """Stage version and fingerprint of the user's functions and settings that decide the stage's result."""
    stage = STAGES[name]
    functions: dict[str, list[Any]] = {
        "raw": [s.function for s in spec.sources.values() if isinstance(s, LoadSource)],
        "validated": [s.contract.repair for s in spec.sources.values()],
        "features": [spec.features.function, spec.label.function],
        "labels": [spec.label.function],
        "model": [spec.model.fit, spec.baseline],
        "evaluation": [spec.baseline],
    }
    settings: dict[str, Any] = {
        "validated": [s.contract.model_dump(mode="json", exclude={"repair"}) for s in spec.sources.values()],
        "features": spec.features.model_dump(mode="json", exclude={"function"}),
        "labels": spec.label.model_dump(mode="json", exclude={"function"}),
        "model": [
            spec.model.estimator,
            spec.model.params,
            spec.training_window,
            spec.threshold,
            spec.seed,
            spec.split.model_dump(mode="json"),
        ],
        "evaluation": [spec.metrics, [g.model_dump(mode="json") for g in spec.gates]],
    }
    decisive = {
        "functions": [fingerprint(f) for f in functions.get(name, []) if f is not None],
        "settings": settings.get(name),
    }
    return f"{stage.version}-{digest(decisive)[:12]}"


def build_asset(
    spec: PipelineSpec,
    name: str,
    execute: Execute | None = None,
    dress: Dress | None = None,
) -> dg.AssetsDefinition:
    """The asset of one stage.

    Parameters
    ----------
    execute
        Runs the stage; default: `mlpipe.stages.runner.run_stage`.
    dress
        Changes how the asset shows: its description, owners, tags.
    """
    stage = STAGES[name]
    shown = dressed(spec, name, asset_spec(spec, name), dress)
    upstream = (
        {n: s for n, s in spec.sources.items() if isinstance(s, UpstreamSource)} if name == "raw" else {}
    )
    work = execute or (lambda s, st, keys, ctx: run_stage(st, s, keys, ctx))

    def compute(context: dg.AssetExecutionContext, **values: Any) -> Iterator[Any]:
        keys = (
            list(context.partition_keys)
            if context.has_partition_key or context.has_partition_key_range
            else [WHOLE]
        )
        frames = {n: _reader(values[INPUT + n], len(keys) > 1) for n in upstream}
        ctx = context_of(spec, context, frames)
        records: list[Record] = []
        try:
            for record in work(spec, stage, keys, ctx):
                records.append(record)
                _progress(context, spec, name, len(records), len(keys), record)
            _complete(spec, name, keys, records)
        except TransientError as error:
            if context.retry_number < spec.retries.times:
                raise dg.RetryRequested(
                    max_retries=spec.retries.times, seconds_to_wait=_delay(spec, context.retry_number)
                ) from error
            _keep(context, spec, name, shown, ctx, keys, records)
            raise
        except BaseException:
            _keep(context, spec, name, shown, ctx, keys, records)
            raise
        yield from _results(context, spec, name, shown, records)

    ins = {INPUT + n: dg.AssetIn(key=s.asset.split("/")) for n, s in upstream.items()}
    return _asset(spec, name, shown, compute, ins)


def dressed(spec: PipelineSpec, name: str, shown: dg.AssetSpec, dress: Dress | None) -> dg.AssetSpec:
    """The asset as a subclass wants it to show.

    Raises
    ------
    SpecError
        When it changes what the pipeline itself rests on: key, partitions or dependencies.
    """
    if dress is None:
        return shown
    made = dress(name, shown)
    for what in ("key", "partitions_def"):
        if getattr(made, what) != getattr(shown, what):
            raise SpecError(
                f"get_asset_spec changes the {what} of {spec.name}/{name}",
                where=spec.where,
                fix="It may change description, owners, tags, kinds, metadata, group and conditions.",
            )
    return made


def _complete(spec: PipelineSpec, name: str, keys: Sequence[str], records: Sequence[Record]) -> None:
    made = [r.partition for r in records]
    if sorted(made) != sorted(keys):
        missing = [k for k in keys if k not in made] or made
        raise UserCodeError(
            f"'execute' yielded {len(made)} records for {len(keys)} partitions",
            where=f"{spec.name}/{name}, partition {missing[0]}",
            fix="Yield every record that super().execute(…) yields, once.",
        )


def _keep(
    context: dg.AssetExecutionContext,
    spec: PipelineSpec,
    name: str,
    shown: dg.AssetSpec,
    ctx: Context,
    keys: Sequence[str],
    records: Sequence[Record],
) -> None:
    """Show what a step had finished before it failed: of a range, the partitions before the one that broke."""
    done = {r.partition: r for r in records}
    for key in keys:
        head = ctx.heads.find(f"{spec.name}/{name}", [key]).get(key)
        if head is not None and head.event == "" and key not in done:
            # It was made, but the stage broke before it handed it over. Only what reached the store counts.
            with suppress(NotFoundError):
                done[key] = from_bytes(ctx.store.get_record(spec.name, head.record))
    finished = [done[k] for k in keys if k in done]
    report(context, spec, name, shown, finished)


def _asset(
    spec: PipelineSpec, name: str, shown: dg.AssetSpec, compute: Any, ins: dict[str, dg.AssetIn]
) -> dg.AssetsDefinition:
    policy = (
        dg.BackfillPolicy.single_run()
        if name in RANGES
        else dg.BackfillPolicy.multi_run(max_partitions_per_run=1)
    )
    decorate = dg.asset(
        key=shown.key,
        deps=shown.deps or None,
        ins=ins or None,
        description=shown.description,
        group_name=shown.group_name,
        kinds=set(shown.kinds),
        owners=list(shown.owners),
        tags={k: v for k, v in shown.tags.items() if not k.startswith("dagster/kind/")},
        code_version=shown.code_version,
        partitions_def=shown.partitions_def,
        metadata=dict(shown.metadata),
        automation_condition=shown.automation_condition,
        freshness_policy=shown.freshness_policy,
        backfill_policy=policy if spec.partitions.every != "none" else None,
        io_manager_key=frames_key(spec),
        check_specs=check_specs(spec, name),
        pool=spec.pool if name in ("model", "evaluation") else None,
    )
    made: dg.AssetsDefinition = decorate(compute)
    return made


def frames_key(spec: PipelineSpec) -> str:
    """Resource key of the IO manager through which a user's own assets receive this pipeline's frames."""
    return f"{spec.name}_frames"


def _reader(value: Any, many: bool) -> Callable[[str], Any]:
    """Frame of an upstream asset by partition: one for all, or one each."""
    return lambda key: (
        value[key]
        if isinstance(value, dict) and many
        else next(iter(value.values()))
        if isinstance(value, dict)
        else value
    )


def _delay(spec: PipelineSpec, attempt: int) -> float:
    """Exponential back-off with full jitter, so that many steps do not come back at once."""
    return float(spec.retries.delay.total_seconds() * 2**attempt * (0.5 + random.random() / 2))


def _progress(
    context: dg.AssetExecutionContext, spec: PipelineSpec, name: str, done: int, total: int, record: Record
) -> None:
    for listen in LISTENERS:
        listen(Progress(f"{spec.name}/{name}", done, total, record.headline))
    if total == 1 or done == total or done % max(total // 4, 50) == 0:
        context.log.info(f"{spec.name}/{name} {record.partition} ({done} of {total}): {record.headline}")


def _results(
    context: dg.AssetExecutionContext,
    spec: PipelineSpec,
    name: str,
    shown: dg.AssetSpec,
    records: Sequence[Record],
) -> Iterator[Any]:
    """The result of a step: one materialization a partition, each with its own record, and what its checks say."""
    key = shown.key
    if len(records) == 1:
        record = records[0]
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=metadata_of(record),
            data_version=dg.DataVersion(data_version(record)),
            check_results=check_results(spec, name, records),
        )
        if "dagster/asset_partition_range_start" in context.run.tags:
            # A backfill asks for one partition as a range of one; then Dagster does not store which one the check is about.
            made = newest(context.instance, key, [record.partition])
            for evaluation in range_evaluations(context, spec, name, key, records, made):
                context.log_event(evaluation)
        if name == "release":
            report_production(context, spec, record)
        return
    report(context, spec, name, shown, records)
    yield dg.MaterializeResult(
        asset_key=key, metadata=REPORTED, check_results=check_results(spec, name, records)
    )


def report(
    context: dg.AssetExecutionContext,
    spec: PipelineSpec,
    name: str,
    shown: dg.AssetSpec,
    records: Sequence[Record],
) -> None:
    """Each partition's own event, with the versions that it read, and its verdict, with the event that it is about.

    Without the first Dagster calls the partition unsynced, without the second not checked.
    """
    keys = [r.partition for r in records]
    read = {p: newest(context.instance, dg.AssetKey([spec.name, p]), keys) for p in PARENTS[name]}
    for record in records:
        tags: dict[str, str] = {}
        for parent, made in read.items():
            tags |= provenance(made.get(record.partition), f"{spec.name}/{parent}")
        context.log_event(materialization(shown, record, tags))
    shown_at = newest(context.instance, shown.key, keys)
    for evaluation in range_evaluations(context, spec, name, shown.key, records, shown_at):
        context.log_event(evaluation)


def materialization(
    shown: dg.AssetSpec, record: Record, read: Mapping[str, str] | None = None
) -> dg.AssetMaterialization:
    """One partition's own event, beside what Dagster writes for a step."""
    tags = {"dagster/data_version": data_version(record), "dagster/code_version": str(shown.code_version)}
    return dg.AssetMaterialization(
        asset_key=shown.key,
        partition=None if record.partition == WHOLE else record.partition,
        metadata=metadata_of(record),
        tags={**tags, **(read or {})},
    )


DERIVED = ("profile",)
"""Outputs that follow from another one: whether they were made along with it is no change of content."""


def data_version(record: Record) -> str:
    """The content of a materialization: the id of its object, or a hash of several; for none, its verdict."""
    ids = [o.id for o in record.outputs if o.name not in DERIVED]
    return ids[0] if len(ids) == 1 else f"{len(ids)}-{digest(ids)}" if ids else record.verdict or "nothing"
