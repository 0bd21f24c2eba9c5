"""Feature: model-ready rows as known at the moment of prediction, and the profile of every column. Never a label."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pandas as pd

from mlpipe.core.columns import with_columns
from mlpipe.core.grid import Grid
from mlpipe.errors import DataError, MlpipeError, UserCodeError
from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Found, Input, MetricValue, Output
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.cleaning import clean_params
from mlpipe.stages.context import Context
from mlpipe.stages.failures import attempted
from mlpipe.stages.featurise import featurise, moment, past_keys, side_keys
from mlpipe.stages.frames import ROW, TIME, Validated, infinite, moments
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
            yield Plan(key, partial(left_out, key, heads[key].verdict), (heads[key].seen(),), reusable=False)
            continue
        params = attempted(partial(_params, spec, key, data, found, ctx))
        if isinstance(params, MlpipeError):
            yield Plan(key, Result, functions=functions, failed=params)
            continue
        yield Plan(
            key,
            partial(_work, spec, key, data, found, ctx),
            inputs=inputs(spec, key, data),
            params=params,
            functions=functions,
        )


def inputs(spec: PipelineSpec, key: str, data: Validated) -> tuple[Input, ...]:
    """What the features of a partition are made from."""
    keys = (*past_keys(spec, key), key)
    return tuple(i for name in spec.sources for i in data.inputs(name, _read(spec, name, keys)))


def made(
    spec: PipelineSpec, key: str, data: Validated, as_of: datetime
) -> tuple[pd.DataFrame, list[str], list[Found]]:
    """Features of a partition as they are stored, their names, and what is to be said about them. Errors as in `featurise`."""
    frame, names = featurise(spec, key, data, as_of)
    frame, findings = finite(frame, names)
    return empty_as_null(frame), names, findings


def _read(spec: PipelineSpec, name: str, keys: Sequence[str]) -> Sequence[str]:
    """Partitions of a source that the features of the last key may read."""
    source = spec.sources[name]
    if name == spec.label.source and source.join is None and not spec.features.look_back:
        return ()
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


def _params(
    spec: PipelineSpec, key: str, data: Validated, found: tuple[str, Grid] | None, ctx: Context
) -> dict[str, Any]:
    return {
        "features": spec.features.model_dump(mode="json", exclude={"function", "calendar", "missing"}),
        "sources": {
            n: s.model_dump(mode="json", include={"join", "event_time", "available_after", "keys", "columns"})
            for n, s in spec.sources.items()
        },
        "label": spec.label.model_dump(
            mode="json", include={"column", "source", "available_after", "outcomes", "horizon"}
        ),
        "prediction_time": spec.prediction_time,
        "lead": spec.lead,
        "primary": spec.primary,
        "timezone": spec.partitions.timezone,
        "grid": found[0] if found else "",
        "as_of": _clock(spec, key, data, ctx),
        **clean_params(spec),
    }


def _clock(spec: PipelineSpec, key: str, data: Validated, ctx: Context) -> datetime:
    """How far the run's clock can matter: until the last prediction of the partition."""
    if spec.prediction_time in (None, spec.sources[spec.primary].event_time):
        return min(ctx.run.as_of, spec.partitions.window(key).end)
    rows = data.frame(spec.primary, [key])
    return moment(rows.assign(**{TIME: moments(spec, rows, key)}), ctx.run.as_of)


def _work(
    spec: PipelineSpec, key: str, data: Validated, found: tuple[str, Grid] | None, ctx: Context
) -> Result:
    frame, names, findings = made(spec, key, data, ctx.run.as_of)
    try:
        outputs: list[Output] = [stored(ctx.store, "features", frame)]
    except DataError as error:
        where = f"pipeline {spec.name}, partition {key}, features"
        raise UserCodeError(error.what, where=where, fix=error.fix, findings=error.findings) from None
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
        findings=tuple(findings),
        data={"features": {n: str(frame[n].dtype) for n in names}, "reserved": [ROW, TIME], HEAD_DATA: head},
        headline=f"**{len(frame):,}** rows, **{len(names)}** features, {nulls:.1%} nulls.{waiting}",
    )


def finite(frame: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, list[Found]]:
    """Features with infinite values as nulls, and what is to be said about them.

    An infinity is what a division by nothing leaves; no model learns from it, and most refuse all rows because of one.
    """
    counts = {name: int(infinite(frame[name]).sum()) for name in names}
    bad = {name: frame[name].mask(infinite(frame[name])) for name, count in counts.items() if count}
    found = [
        Found(what=told(count, "value"), where=f"feature {name}", fix="Mend the source, or the function.")
        for name, count in counts.items()
        if count
    ]
    return (with_columns(frame, bad) if bad else frame), found


def told(count: int, what: str) -> str:
    """How many infinite values there are, and what becomes of them."""
    return (
        f"1 {what} is infinite, and counts as missing"
        if count == 1
        else f"{count:,} {what}s are infinite, and count as missing"
    )


STAGE = Stage("feature", "features", "1", plans)
