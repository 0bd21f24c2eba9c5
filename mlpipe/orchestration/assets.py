"""The assets of a pipeline: one a stage, thin over the stages."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import dagster as dg

from mlpipe.errors import NotFoundError, TransientError, UserCodeError
from mlpipe.orchestration.checks import CHECKS, GOOD, check_results, check_specs, range_evaluations
from mlpipe.orchestration.events import memory_of, metadata_of, newest, provenance
from mlpipe.orchestration.faces import PARENTS, STAGES, Dress, asset_spec, dressed, worn
from mlpipe.orchestration.indexing import decided, indexed
from mlpipe.orchestration.lineage import lineage_sent
from mlpipe.orchestration.production import report_production
from mlpipe.orchestration.runtime import (
    BACKFILL_TAG,
    HOLDER_TAG,
    JOB_TAG,
    LISTENERS,
    Progress,
    context_of,
)
from mlpipe.orchestration.upstream import read_of
from mlpipe.records.codec import digest, from_bytes, head_of
from mlpipe.records.record import Record
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import UpstreamSource
from mlpipe.stages.context import Context
from mlpipe.stages.nightly import claim
from mlpipe.stages.passing import AskedToWaitError
from mlpipe.stages.refresh import again, unchanged
from mlpipe.stages.runner import Stage, run_stage

Execute = Callable[[PipelineSpec, Stage, Sequence[str], Any], Iterator[Record]]
INPUT = "source_"
"""Before the names of inputs: a source may bear a name that a Python function's argument cannot."""

RANGES = ("raw", "validated", "features", "labels", "predictions", "monitor")
"""Assets that serve a range of partitions in one run; the others run partition by partition."""
REPORTED = {"__source_asset_observation__": True}
"""Metadata of an output whose partitions were reported one by one: Dagster then adds no events of its own, which would carry one data
version for the whole range. A Dagster that does not know this key writes each event twice: slower, no worse."""


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
        memory = memory_of(context.instance)
        if memory is not None:
            memory.made(shown.key)
        keys = (
            list(context.partition_keys)
            if context.has_partition_key or context.has_partition_key_range
            else [WHOLE]
        )
        frames = {n: _reader(values[INPUT + n], len(keys) > 1) for n in upstream}
        ctx = context_of(spec, context, frames)
        if upstream:
            ctx = replace(ctx, upstream_read=read_of(spec, context.instance, keys))
        if name == "model" and not claimed(context, spec, ctx, keys[0]):
            yield from _left_to_another(spec, ctx, keys[0])
            return
        before = again(spec, name, keys[0], ctx) if nightly(context, keys) else {}
        todo = [*before, *keys]
        records: list[Record] = []
        try:
            for record in work(spec, stage, todo, ctx):
                records.append(record)
                _progress(context, spec, name, len(records), len(todo), record, quiet=len(keys) == 1)
            _complete(spec, name, todo, records)
        except TransientError as error:
            if context.retry_number < spec.retries.times:
                raise dg.RetryRequested(
                    max_retries=spec.retries.times, seconds_to_wait=_delay(spec, context.retry_number, error)
                ) from error
            _keep(context, spec, name, shown, ctx, todo, records)
            raise
        except BaseException:
            _keep(context, spec, name, shown, ctx, todo, records)
            raise
        indexed(context.instance, ctx.store.url, records, context.log.warning)
        if name == "release":
            decided(ctx.ledger, context.log.warning, context.instance)
        lineage_sent(records, ctx.store.url, context.log.warning)
        refreshed = [r for r in records if r.partition in before]
        changed = [r for r in refreshed if not unchanged(before[r.partition], head_of(r))]
        if changed:
            report(context, spec, name, shown, changed)
        yield from _results(context, spec, name, shown, [r for r in records if r.partition not in before])

    ins = {INPUT + n: dg.AssetIn(key=s.asset.split("/")) for n, s in upstream.items()}
    return _asset(spec, name, shown, compute, ins)


def nightly(context: dg.AssetExecutionContext, keys: Sequence[str]) -> bool:
    """Whether this run is the daily job of one partition: then labels that ripened since are looked after too."""
    return (
        len(keys) == 1 and context.run.tags.get(JOB_TAG) == "daily" and BACKFILL_TAG not in context.run.tags
    )


def claimed(context: dg.AssetExecutionContext, spec: PipelineSpec, ctx: Context, key: str) -> bool:
    """Whether this run may train: the attempt that it is made for, if any, belongs to it, or to a run that it retries.

    A sensor launches an attempt at least once (it forgets, it is killed, its cursor is deleted); the claim in the ledger makes it
    effective once.
    """
    run = ctx.run
    if not run.attempt:
        return True
    holder = context.run.tags.get(HOLDER_TAG) or context.run.root_run_id or context.run.run_id
    mine = claim(ctx, key, holder)
    if not mine:
        context.log.warning(
            f"{spec.name}: {run.attempt} is trained by another run; this one has nothing to do."
        )
    return mine


def _left_to_another(spec: PipelineSpec, ctx: Context, key: str) -> Iterator[dg.AssetCheckResult]:
    """A step that does nothing must still answer its check: with what stands there, by whoever made it."""
    head = ctx.heads.find(f"{spec.name}/model", [key]).get(key)
    (check,) = CHECKS["model"]
    yield dg.AssetCheckResult(
        check_name=check.name,
        asset_key=[spec.name, "model"],
        passed=head is None or head.verdict in GOOD["model"],
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{ctx.run.attempt} is trained by another run; this one had nothing to do",
    )


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
    indexed(context.instance, ctx.store.url, finished, context.log.warning)
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
        **worn(shown),
        ins=ins or None,
        backfill_policy=policy if spec.partitions.every != "none" else None,
        io_manager_key=frames_key(spec),
        check_specs=check_specs(spec, name),
        pool=spec.pool if name in ("model", "evaluation") else None,
        output_required=name != "model",
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


def _delay(spec: PipelineSpec, attempt: int, error: TransientError) -> float:
    """Exponential back-off with jitter, so that many steps do not come back at once; never before the source asked for."""
    jitter = 0.5 + random.random() / 2
    asked = error.retry_after if isinstance(error, AskedToWaitError) else 0.0
    return max(asked, float(spec.retries.delay.total_seconds() * 2**attempt * jitter))


def _progress(
    context: dg.AssetExecutionContext,
    spec: PipelineSpec,
    name: str,
    done: int,
    total: int,
    record: Record,
    *,
    quiet: bool,
) -> None:
    for listen in LISTENERS:
        told = record.headline, record.partition, record.verdict, record.findings
        listen(Progress(f"{spec.name}/{name}", done, total, *told))
    # Of one partition the materialization itself tells: a log line would cost as much as an event.
    if not quiet and (done == total or done % max(total // 4, 50) == 0):
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
