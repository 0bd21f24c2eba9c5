"""Labels: the truth about a partition's rows, as far as it is known at the run's clock. Each revision is kept."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pandas as pd

from mlpipe.core.columns import with_columns
from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Found, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.cleaning import clean_params
from mlpipe.stages.context import Context
from mlpipe.stages.feature import left_out, told
from mlpipe.stages.frames import KNOWN, ROW, Validated, infinite, known_of, label_keys, labelled_rows
from mlpipe.stages.ingest import empty_as_null
from mlpipe.stages.runner import Plan, Result, Stage, stored


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition. Labels from a source of their own may stand in later partitions, up to the horizon."""
    heads = ctx.need(f"{spec.name}/validated", keys, spec.name)
    later = {key: _later(spec, key, ctx.run.as_of) for key in keys}
    data = Validated(spec, list(dict.fromkeys(k for key in keys for k in (key, *later[key]))), ctx)
    functions = (spec.label.function,) if spec.label.function is not None else ()
    for key in keys:
        if key not in data.good:
            yield Plan(key, partial(left_out, key, heads[key].verdict), (heads[key].seen(),), reusable=False)
            continue
        inputs = data.inputs(spec.primary, [key])
        if spec.label.source is not None:
            inputs += data.inputs(spec.label.source, (key, *later[key]))
        bound = min(ctx.run.as_of, ripe_at(spec, key))
        params: dict[str, Any] = {
            "label": spec.label.model_dump(mode="json", exclude={"function"}),
            "primary": spec.primary,
            "keys": spec.sources[spec.primary].keys,
            "event_time": spec.sources[spec.primary].event_time,
            "own": own_params(spec),
            "as_of": bound,
            **clean_params(spec, spec.primary, *filter(None, [spec.label.source])),
        }
        yield Plan(
            key,
            partial(_work, spec, key, (key, *later[key]), data, bound, ctx),
            inputs=inputs,
            params=params,
            functions=functions,
        )


def own_params(spec: PipelineSpec) -> dict[str, Any]:
    """How rows meet the labels of their own source."""
    if spec.label.source is None:
        return {}
    source = spec.sources[spec.label.source]
    return {"keys": source.keys, "event_time": source.event_time}


def ripe_at(spec: PipelineSpec, key: str) -> datetime:
    """Instant from which every label of a partition is known, or will never come."""
    window = spec.partitions.window(key)
    if spec.partitions.every == "none":
        return window.end
    return (
        window.end
        + (spec.label.horizon if spec.label.source is not None else timedelta(0))
        + spec.label.available_after
    )


def _later(spec: PipelineSpec, key: str, as_of: datetime) -> tuple[str, ...]:
    """Later partitions that had begun at the run's clock, and may hold labels of this one's rows."""
    if spec.label.source is None or spec.partitions.every == "none":
        return ()
    return tuple(k for k in label_keys(spec, key)[1:] if spec.partitions.window(k).start < as_of)


def _work(
    spec: PipelineSpec, key: str, keys: Sequence[str], data: Validated, bound: datetime, ctx: Context
) -> Result:
    rows = data.frame(spec.primary, [key])
    own = data.frame(spec.label.source, keys) if spec.label.source is not None else None
    every = labelled_rows(spec, rows, own, bound, key)
    known = known_of(spec, every, bound)
    identity = [k for k in spec.sources[spec.primary].keys if k in known and k != spec.label.name]
    table = known[[ROW, *identity, KNOWN, spec.label.name]].sort_values(ROW, kind="stable")
    told = empty_as_null(known[identity])
    table = with_columns(table.reset_index(drop=True), {c: told[c] for c in identity})
    ripe = bound >= ripe_at(spec, key) or spec.partitions.every == "none"
    share = len(table) / len(rows) if len(rows) else 0.0
    metrics = [MetricValue(name="share", value=share, better="higher", split="labels")]
    values = table[spec.label.name]
    if len(values) and (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        metrics.append(MetricValue(name="mean", value=float(values.astype("float64").mean()), split="labels"))
    head = {"raw": data.raw[key].outputs[spec.primary].id, "ripe": ripe}
    return Result(
        outputs=(stored(ctx.store, "labels", table),),
        metrics=tuple(metrics),
        verdict="ripe" if ripe else "unripe",
        findings=tuple(_infinite(every[spec.label.name], spec.label.name)),
        data={"rows": len(rows), "known": len(table), "ripe_at": ripe_at(spec, key), HEAD_DATA: head},
        headline=f"**{len(table):,}** of {len(rows):,} labels known ({share:.1%}); "
        + ("ripe." if ripe else "not ripe yet."),
    )


def _infinite(labels: pd.Series, name: str) -> Iterator[Found]:
    count = int(infinite(labels).sum())
    if count:
        yield Found(what=told(count, "label"), where=f"label {name}", fix="Mend the source, or the function.")


STAGE = Stage("label", "labels", "1", plans)
