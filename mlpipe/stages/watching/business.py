"""What a day's predictions were worth, by functions of the user's: recorded each day, and limits may be set on it (`levels.business`)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlpipe.records.codec import Head
from mlpipe.records.record import MetricValue
from mlpipe.spec.levels import BUSINESS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import LABEL, met
from mlpipe.stages.frames import ROW, TIME
from mlpipe.stages.indicators import Value, answer, value_of, visible
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch


def values(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> dict[str, Value]:
    """Business metrics of a partition, by name; those of a function that gives several by ``name.part``.

    A function gets frames of the same rows in the same order; one that reads labels, the rows whose labels are known, once they are ripe.
    One that fails is unknown and says why: a mistake in it must not cost a night.
    """
    found: dict[str, Value] = {}
    for name, asked in spec.monitor.business.items():
        frames = _frames(spec, key, watch, asked.reads, ctx)
        if isinstance(frames, str):
            found[name] = Value(None, frames)
            continue
        given = answer(spec, key, f"business metric {name}", asked.function, [frames[n] for n in asked.reads])
        if isinstance(given, Mapping):
            found |= {f"{name}.{part}": value_of(number) for part, number in given.items()}
        else:
            found[name] = value_of(given)
    return found


def section(spec: PipelineSpec, found: Mapping[str, Value]) -> Section:
    """The day's business metrics."""
    if not spec.monitor.business:
        return Section()
    known = {n: v.number for n, v in found.items() if v.number is not None}
    return Section(
        metrics=tuple(MetricValue(name=n, value=v, split=BUSINESS) for n, v in known.items()),
        data={"business_unknown": {n: v.why for n, v in found.items() if v.number is None}},
        head={BUSINESS: {n: v.number for n, v in found.items()}},
        sentence=", ".join(f"{n} **{v:.5g}**" for n, v in known.items()),
    )


def levels(found: Mapping[str, Value]) -> dict[str, Value]:
    """The same by the names that service levels have for them."""
    return {f"{BUSINESS}.{n}": v for n, v in found.items()}


def _frames(
    spec: PipelineSpec, key: str, watch: Watch, reads: tuple[str, ...], ctx: Context
) -> dict[str, pd.DataFrame] | str:
    """What a function reads, row by row the same; or why it cannot be had."""
    features, predictions = watch.features.get(key), watch.predictions.get(key)
    if features is None or predictions is None:
        return "the day has no predictions"
    made = {
        "features": _table(spec, features, "features", ctx),
        "predictions": _table(spec, predictions, "predictions", ctx),
    }
    rows = made["predictions"].index.intersection(made["features"].index)
    if "labels" in reads:
        truth = watch.labels.get(key)
        both = (
            met(spec, predictions, "predictions", truth, ctx)
            if truth is not None and truth.verdict == RIPE
            else None
        )
        if both is None:
            return "the day's labels are not ripe yet"
        made["labels"] = both.set_index(ROW)[[LABEL]].rename(columns={LABEL: spec.label.name})
        rows = rows.intersection(made["labels"].index)
    return {n: made[n].loc[rows].reset_index(drop=True) for n in reads}


def _table(spec: PipelineSpec, head: Head, name: str, ctx: Context) -> pd.DataFrame:
    """A day's table by row, with keys and the columns that a user knows."""
    table = ctx.store.get_table(head.outputs[name].id).set_index(ROW)
    names: list[Any] = (head.data or {}).get("features") or [c for c in table if c != TIME]
    return visible(spec, table, names)
