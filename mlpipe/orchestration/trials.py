"""`<pipeline>/trial`: variants of a partition's model, tried as run config says. Nothing is registered or released."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from mlpipe.errors import MlpipeError, SpecError
from mlpipe.orchestration.assets import REPORTED, Execute, materialization
from mlpipe.orchestration.events import head_of_event
from mlpipe.orchestration.faces import Dress, asset_spec, code_version, dressed, worn
from mlpipe.orchestration.indexing import indexed
from mlpipe.orchestration.lineage import lineage_sent
from mlpipe.orchestration.runtime import LISTENERS, Progress, context_of
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context, Heads, Run
from mlpipe.stages.experiment import ASSET, NAME, VERSION, trial_stage
from mlpipe.stages.failures import finding
from mlpipe.stages.runner import run_stage
from mlpipe.stages.variants import Variant, variants
from mlpipe.stores.store import Store

TEXT = (
    "Variants of this partition's model, learned and judged on the same window, split and rows as `model` and `evaluation` would; one "
    "materialization each. They are never registered or released. Say in the launchpad what to change: `set: {model.C: [0.1, 1]}`."
)
CONFIG = {
    "set": dg.Field(
        dict,
        is_required=False,
        default_value={},
        description="what to change, by the names of a record's parameters; a list is tried value by value, and all combinations are",
    ),
    "experiment": dg.Field(
        str, is_required=False, default_value="", description="what these trials belong to"
    ),
    "hypothesis": dg.Field(str, is_required=False, default_value="", description="what they are to show"),
    "tags": dg.Field(dict, is_required=False, default_value={}, description="tags of their records"),
    "note": dg.Field(str, is_required=False, default_value="", description="a remark for their records"),
}


@dataclass(frozen=True)
class Asked:
    """What a run of trials is asked for: values by name, and what goes into the records."""

    sets: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    experiment: str = ""
    hypothesis: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "Asked":
        """From run config; a value that is no list stands for itself."""
        sets = {n: list(v) if isinstance(v, list) else [v] for n, v in config.get("set", {}).items()}
        tags = {str(k): str(v) for k, v in config.get("tags", {}).items()}
        texts = {n: str(config.get(n, "")) for n in ("experiment", "hypothesis", "note")}
        return cls(sets=sets, tags=tags, **texts)

    def config(self, spec: PipelineSpec) -> dict[str, Any]:
        """Run config of the job."""
        values = {n: list(v) for n, v in self.sets.items()}
        own = {
            "set": values,
            "experiment": self.experiment,
            "hypothesis": self.hypothesis,
            "tags": dict(self.tags),
            "note": self.note,
        }
        return {"ops": {f"{spec.name}__{ASSET}": {"config": own}}}

    def on(self, run: Run) -> Run:
        """A run as these trials' own; what is not said here stays as the run's tags say."""
        return replace(
            run,
            experiment=self.experiment or run.experiment,
            hypothesis=self.hypothesis or run.hypothesis,
            note=self.note or run.note,
            tags={**run.tags, **self.tags},
        )


def trial_asset(
    spec: PipelineSpec, execute: Execute | None = None, dress: Dress | None = None
) -> dg.AssetsDefinition:
    """The asset; arguments are those of `mlpipe.orchestration.assets.build_asset`."""
    shown = dressed(spec, ASSET, _shown(spec), dress)
    work = execute or (lambda s, st, keys, ctx: run_stage(st, s, keys, ctx))

    def compute(context: dg.AssetExecutionContext) -> Iterator[Any]:
        asked = Asked.of_config(context.op_execution_context.op_config)
        key = context.partition_key if context.has_partition_key else WHOLE
        ctx = context_of(spec, context)
        ctx = replace(ctx, run=asked.on(ctx.run))
        tried = variants(spec, asked.sets, known_features(spec, ctx.heads, key))
        failed: list[tuple[Variant, MlpipeError]] = []
        for number, variant in enumerate(tried, start=1):
            try:
                for record in work(variant.spec, trial_stage(variant), [key], ctx):
                    context.log_event(materialization(shown, record))
                    _told(spec, number, len(tried), record, ctx, context)
            except MlpipeError as error:
                failed.append((variant, error))
        if failed:
            raise _together(spec, key, failed, len(tried))
        yield dg.MaterializeResult(asset_key=shown.key, metadata=REPORTED)

    made: dg.AssetsDefinition = dg.asset(
        **worn(shown),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1)
        if spec.partitions.every != "none"
        else None,
        config_schema=CONFIG,
        pool=spec.pool,
    )(compute)
    return made


def _shown(spec: PipelineSpec) -> dg.AssetSpec:
    """As the model shows, under a name of its own."""
    model = asset_spec(spec, "model")
    return model.replace_attributes(
        key=[spec.name, ASSET],
        description=f"{TEXT}\n\n{spec.description}".strip(),
        tags={**spec.tags, "mlpipe/stage": NAME},
        kinds=set(model.kinds),
        code_version=f"{VERSION}-{code_version(spec, 'model')}",
    )


def _told(
    spec: PipelineSpec,
    number: int,
    count: int,
    record: Record,
    ctx: Context,
    context: dg.AssetExecutionContext,
) -> None:
    indexed(context.instance, ctx.store.url, [record], context.log.warning)
    lineage_sent([record], ctx.store.url, context.log.warning)
    reused = " (done before, and found again)" if record.reused else ""
    context.log.info(
        f"{spec.name}/{ASSET} {record.partition} ({number} of {count}){reused}: {record.headline}"
    )
    for listen in LISTENERS:
        told = record.headline + reused, record.partition, record.verdict, record.findings
        listen(Progress(f"{spec.name}/{ASSET}", number, count, *told))


def _together(
    spec: PipelineSpec, key: str, failed: Sequence[tuple[Variant, MlpipeError]], count: int
) -> MlpipeError:
    """One error for all variants that failed; the others were tried and are on record."""
    first = failed[0][1]
    if count == 1:
        return first
    return type(first)(
        f"{len(failed)} of {count} variants failed",
        where=f"{spec.name}/{ASSET}, partition {key}",
        findings=[replace(finding(e), where=f"{v.label}: {finding(e).where}") for v, e in failed],
        fix="The others were tried, and are on record.",
    )


def known_features(spec: PipelineSpec, heads: Heads, key: str) -> tuple[str, ...]:
    """Names of the features that a trial of a partition meets; those of a function as its newest partition has them; empty if unknown."""
    if spec.features.columns:
        return tuple(spec.features.columns)
    window = [*spec.partitions.before(key, spec.training_window)]
    found = heads.find(f"{spec.name}/features", window)
    made = [h for k in reversed(window) if (h := found.get(k)) is not None and (h.data or {}).get("features")]
    return tuple((made[0].data or {})["features"]) if made else ()


def trials_of(
    spec: PipelineSpec, on: dg.DagsterInstance, store: Store, run_id: str, key: str
) -> list[Record]:
    """Records of the trials that a run made for a partition, in the order in which they were tried."""
    wanted = None if key == WHOLE else [key]
    where = dg.AssetRecordsFilter(asset_key=dg.AssetKey([spec.name, ASSET]), asset_partitions=wanted)
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = on.fetch_materializations(where, limit=1000, cursor=cursor)
        heads = [head_of_event(e) for e in page.records if e.run_id == run_id]
        found += [h.record for h in heads if h is not None]
        # The newest come first: a page without one of this run lies before it.
        if not page.has_more or not heads:
            break
        cursor = page.cursor
    return [from_bytes(store.get_record(spec.name, r), r) for r in reversed(found)]


def checked_tags(texts: Sequence[str]) -> dict[str, str]:
    """Tags of ``name=value`` texts.

    Raises
    ------
    SpecError
        When one has no name, or no value.
    """
    tags: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.strip() or not equals or not value.strip():
            raise SpecError(f"{text!r} is no tag", where="--tag", fix="Write --tag owner=ana.")
        tags[name.strip()] = value.strip()
    return tags
