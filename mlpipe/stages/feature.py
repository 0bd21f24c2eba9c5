"""Feature: model-ready rows as known at the moment of prediction, and the profile of every column. Never a label."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from mlpipe.core.grid import Grid
from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Found, MetricValue, Output
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.featurise import featurise, past_keys, side_keys
from mlpipe.stages.frames import ROW, TIME, Validated
from mlpipe.stages.grids import grid_of, put_profile
from mlpipe.stages.ingest import empty_as_null
from mlpipe.stages.runner import Plan, Result, Stage, stored


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition; a partition that failed validation is left out, and says so."""
    heads = ctx.need(f"{spec.name}/validated", keys, spec.name)
    needed = list(dict.fromkeys(k for key in keys for k in (*past_keys(spec, key), key)))
    data = Validated(spec, needed, ctx)
    functions = tuple(f for f in (spec.features.function, spec.label.function) if f is not None)
    found = grid_of(spec, ctx)
    for key in keys:
        if key not in data.good:
            yield Plan(key, partial(left_out, key, heads[key].verdict), inputs=(), reusable=False)
            continue
        past = past_keys(spec, key)
        inputs = tuple(i for name in spec.sources for i in data.inputs(name, _read(spec, name, (*past, key))))
        yield Plan(
            key,
            partial(_work, spec, key, data, found, ctx),
            inputs=inputs,
            params=_params(spec, key, found, ctx),
            functions=functions,
        )


def _read(spec: PipelineSpec, name: str, keys: Sequence[str]) -> Sequence[str]:
    """Partitions of a source that the features of the last key may read."""
    source = spec.sources[name]
    looks_back = spec.features.function is not None and bool(spec.features.look_back)
    if looks_back and source.event_time is not None:
        return keys
    return side_keys(spec, source, keys) if source.join is not None else keys[-1:]


def left_out(key: str, verdict: str) -> Result:
    """Result of a partition that may not be read: no output, and the reason."""
    why = f"{key} is left out: its validated rows have the verdict '{verdict}'"
    return Result(
        verdict="left_out",
        findings=(Found(what=why),),
        headline=f"**Left out**: validation says '{verdict}'.",
    )


def _params(spec: PipelineSpec, key: str, found: tuple[str, Grid] | None, ctx: Context) -> dict[str, Any]:
    window = spec.partitions.window(key)
    return {
        "features": spec.features.model_dump(mode="json", exclude={"function", "calendar"}),
        "joins": {
            n: {"join": t.join, "event_time": t.event_time, "available_after": t.available_after}
            for n, t in spec.tables.items()
        },
        "label": spec.label.model_dump(
            mode="json", include={"column", "source", "available_after", "outcomes"}
        ),
        "prediction_time": spec.prediction_time,
        "lead": spec.lead,
        "primary": spec.primary,
        "keys": spec.sources[spec.primary].keys,
        "grid": found[0] if found else "",
        "as_of": min(ctx.run.as_of, window.end),
    }


def _work(
    spec: PipelineSpec, key: str, data: Validated, found: tuple[str, Grid] | None, ctx: Context
) -> Result:
    frame, names = featurise(spec, key, data, ctx.run.as_of)
    frame = empty_as_null(frame)
    outputs: list[Output] = [stored(ctx.store, "features", frame)]
    if found is not None:
        outputs.append(put_profile(ctx, outputs[0].id, frame, names, *found))
    nulls = float(frame[names].isna().to_numpy().mean()) if len(names) and len(frame) else 0.0
    raw = data.raw[key].outputs[spec.primary].id
    head = {"features": names, "grid": found[0] if found else "", "raw": raw}
    waiting = (
        "" if found else f" Profiled once the first {spec.monitor.grid_window} partitions are validated."
    )
    return Result(
        outputs=tuple(outputs),
        metrics=(MetricValue(name="nulls", value=nulls, better="lower", split="features"),),
        verdict="pass",
        data={"features": {n: str(frame[n].dtype) for n in names}, "reserved": [ROW, TIME], HEAD_DATA: head},
        headline=f"**{len(frame):,}** rows, **{len(names)}** features, {nulls:.1%} nulls.{waiting}",
    )


STAGE = Stage("feature", "features", "1", plans)
