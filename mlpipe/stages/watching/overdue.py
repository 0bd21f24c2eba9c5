"""Labels that are late: due by what is declared, usually there by now, and not there."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import pandas as pd

from mlpipe.core.ripening import Ripening, overdue, ripening
from mlpipe.records.codec import Head, digest
from mlpipe.records.record import Input
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.frames import KNOWN
from mlpipe.stages.indicators import Value, share_of
from mlpipe.stages.label import ripe_at
from mlpipe.stores.store import Store

OVERDUE, DUE = "labels_overdue", "due"


def labels_overdue(spec: PipelineSpec, champion: Champion, ctx: Context) -> tuple[Value, tuple[Input, ...]]:
    """Share of late labels over the newest partitions that are due, as many as a window has; and what was seen.

    A partition is due once `available_after` is over since its end. What is usual is told by the labels that the champion learned from: of
    labels that may come any time within their horizon, so many are expected as had come there after as many hours.
    """
    if spec.partitions.every == "none":
        return Value(None, "without partitions no day is due"), ()
    usual = _usual(spec, champion, ctx.store)
    if usual is None:
        return Value(None, "the champion has no labels by which to know when they usually come"), ()
    keys = due_keys(spec, ctx.run.as_of)
    heads = {n: ctx.heads.find(f"{spec.name}/{n}", keys) for n in ("features", "labels")}
    good = [k for k in keys if all(k in heads[n] and n in heads[n][k].outputs for n in heads)]
    share, expected = overdue(usual, [_due(spec, k, heads, ctx.run.as_of) for k in good])
    if math.isnan(share):
        return Value(None, "no labels are due"), ()
    return share_of(OVERDUE, share, expected), tuple(heads["labels"][k].compared(DUE) for k in good)


def due_keys(spec: PipelineSpec, now: datetime) -> tuple[str, ...]:
    """The newest partitions whose labels are due, as many as a window has."""
    calendar, late = spec.partitions, spec.label.available_after
    last = now - late
    span = (spec.monitor.window + 1) * UNITS[calendar.every]
    keys = [k for k in calendar.keys_between(last - span, last) if calendar.window(k).end + late <= now]
    return tuple(keys[-spec.monitor.window :])


def _due(
    spec: PipelineSpec, key: str, heads: Mapping[str, Mapping[str, Head]], now: datetime
) -> tuple[float, int, int]:
    """Hours since the end of a partition, its rows, and its labels."""
    waited = (now - spec.partitions.window(key).end) / timedelta(hours=1)
    rows, labels = (heads[n][key].outputs[n].rows or 0 for n in ("features", "labels"))
    return waited, rows, labels


def _usual(spec: PipelineSpec, champion: Champion, store: Store) -> Ripening | None:
    """How labels came of the partitions that a version learned from, as far as all of them were known then; None of none."""
    tables = {i.partition: i for i in champion.model.inputs if i.name == "labels" and i.id}
    rows = {i.partition: i.rows or 0 for i in champion.model.inputs if i.name == "features"}
    ripe = [k for k in tables if k in rows and ripe_at(spec, k) <= champion.model.as_of]
    if not sum(rows[k] for k in ripe):
        return None
    ends = [spec.partitions.window(k).end for k in ripe]
    return _came(store, tuple(tables[k].id for k in ripe), tuple(ends), sum(rows[k] for k in ripe))


@lru_cache(maxsize=4)
def _came(store: Store, tables: Sequence[str], ends: Sequence[datetime], rows: int) -> Ripening:
    """Made once for a version, and found again by its recipe: every night asks for the same."""
    recipe = "recipe-" + digest(
        {"ripening": [[t, e.isoformat()] for t, e in zip(tables, ends, strict=True)], "rows": rows}
    )
    done = store.recall(recipe)
    if done is None:
        hours: list[float] = []
        for table, end in zip(tables, ends, strict=True):
            known = store.get_table(table, columns=[KNOWN])[KNOWN]
            hours += ((known - pd.Timestamp(end)) / pd.Timedelta(hours=1)).tolist()
        found = ripening(rows, hours)
        done = {"rows": found.rows, "hours": list(found.hours), "labels": list(found.labels)}
        store.note(recipe, done)
    return Ripening(int(done["rows"]), tuple(done["hours"]), tuple(done["labels"]))
