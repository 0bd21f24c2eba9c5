"""Drift of the scores and of the ripe labels on the declared slices, beside the rows that the champion was judged on.

An alarm of a slice persists as that of a column does: where it stands is read from the head of the day before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.alarming import Reading, Standing, after, over
from mlpipe.core.grid import ColumnGrid, Grid, build
from mlpipe.core.profile import Profile
from mlpipe.core.slice_drift import SliceDrift, profiles, readings, slice_drift, together
from mlpipe.core.slicing import Cut, cuts
from mlpipe.errors import DataError, MlpipeError, did_you_mean
from mlpipe.records.codec import Head, from_bytes
from mlpipe.records.record import Found, Input, Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import LABEL, Encoding, met
from mlpipe.stages.failures import attempted
from mlpipe.stages.frames import DAY, ROW, stacked
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.runner import stored
from mlpipe.stages.watching import drift, estimated
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch
from mlpipe.stores.store import Store

SCORE, Y = "score", "y"
RATE = 0.01
"""On so few quiet days is any slice over: chance moves small ones, and a second day tells little, as windows share most of their rows."""
SHOWN = 5
MOST = 50
"""Of so many slices at most alarms are followed, those that moved furthest: the next day reads them from the head of this one."""
STANDING = ("slices_drifted", "slice_marks")
"""Under which names of the head alarms stand."""
NOT_TESTED = "not tested"


@dataclass(frozen=True, eq=False)
class Judged:
    """The reference: how the slices were cut on the judged rows, the bins of score and label, and the profiles of both by slice.

    `labelled` keeps days that were counted: by features, labels, and how many of these were known.
    """

    cuts: tuple[tuple[Cut, ...], ...]
    columns: Mapping[str, ColumnGrid]
    profiles: Mapping[str, Profile]
    labelled: dict[tuple[str, str, int], Profile] = field(default_factory=dict)


def inputs(spec: PipelineSpec, watch: Watch, ctx: Context) -> tuple[Input, ...]:
    """The rows that the champion was judged on; nothing where no slice is looked at, or an estimate reads them already."""
    record = evaluation(spec, watch.champion, ctx.store) if asked(spec) else None
    if record is None or not estimated.reason(spec, watch):
        return ()
    scored = record.output("scored")
    return (
        Input(
            asset=record.asset,
            partition=record.partition,
            record=record.id,
            name="scored",
            id=scored.id,
            rows=scored.rows,
        ),
    )


def asked(spec: PipelineSpec) -> bool:
    """Whether slices are looked at."""
    return bool(spec.monitor.slices and spec.slices.by)


def params(spec: PipelineSpec, before: Head | None) -> dict[str, Any]:
    """What of the declaration decides beside `monitor`, and of the day before."""
    if not asked(spec):
        return {}
    standing = None if before is None else drift.told(before, *STANDING)
    return {"by": spec.slices.by, "min_support": spec.slices.min_support, "standing": standing}


def section(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Section:
    """Slices on which scores have moved, in one finding, and whose alarm is open; all of them stand in the table `slices`."""
    record = evaluation(spec, watch.champion, ctx.store) if asked(spec) else None
    if record is None:
        return Section(data={"slices": NOT_TESTED})
    drifts = attempted(partial(_drifts, spec, watch, record, ctx))
    if isinstance(drifts, MlpipeError):
        found = Found(what=f"slices are not compared: {drifts.what}", where="slices", fix=drifts.fix)
        return Section(findings=(found,), data={"slices": f"{NOT_TESTED}: {drifts.what}"})
    scores, labels = drifts
    day = readings(scores)
    raised, standing = over(day, {}, RATE), _standing(spec, watch, day)
    worst = scores[0] if scores else None
    head = {
        "slices": len(scores),
        "slices_over": list(raised)[:SHOWN],
        STANDING[0]: sorted(standing.up),
        STANDING[1]: dict(standing.marks),
        "slice_worst": worst.slice if worst else None,
        "slice_psi": worst.psi if worst else None,
    }
    table = (stored(ctx.store, "slices", _table(scores, labels, raised, standing)),) if scores else ()
    return Section(
        findings=(_finding([d for d in scores if d.slice in raised], len(scores)),) if raised else (),
        data={"slices": f"{len(scores)} of {spec.slices.min_support} rows or more"},
        head=head,
        outputs=table,
        sentence=_sentence(len(scores), raised, standing),
    )


def _standing(spec: PipelineSpec, watch: Watch, day: Mapping[str, Reading]) -> Standing:
    """Where alarms stand. A slice of too few rows has none; where nothing is compared, they stand as they were."""
    then = drift.stood(watch.before, day or None, *STANDING)
    now = after(then, day, {}, replace(drift.rule_of(spec), rate=RATE))
    most = sorted(now.up | set(now.marks), key=lambda n: (-day[n].effect if n in day else 0.0, n))[:MOST]
    return Standing(now.up & set(most), {n: m for n, m in now.marks.items() if n in most})


def _sentence(number: int, raised: Sequence[str], standing: Standing) -> str:
    if not number:
        return ""
    up, odd = sorted(standing.up), [n for n in raised if n not in standing.up]
    parts = [f"scores drift on **{len(up)}** of {number} slices ({drift.named(up)})"] if up else []
    if odd:
        limit = "its limit" if len(odd) == 1 else "their limits"
        parts.append(f"scores on {drift.named(odd)} over {limit}, which may pass")
    return "; ".join(parts)


def _finding(moved: Sequence[SliceDrift], number: int) -> Found:
    told = ", ".join(f"{d.slice} (PSI {d.psi:.3f}, {d.rows:,} rows)" for d in moved[:SHOWN])
    more = f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
    return Found(what=f"scores have moved on {len(moved)} of {number} slices: {told}{more}", where="slices")


def _table(
    scores: Sequence[SliceDrift], labels: Sequence[SliceDrift], raised: Sequence[str], standing: Standing
) -> pd.DataFrame:
    label = {d.slice: d for d in labels}
    nan = float("nan")
    return pd.DataFrame(
        [
            {
                "slice": d.slice,
                "rows": d.rows,
                "rows_reference": d.rows_reference,
                "score_psi": d.psi,
                "score_js": d.js,
                "chance": d.chance,
                "p": d.p,
                "p_adjusted": d.p_adjusted,
                "alarm": d.slice in raised,
                "persists": d.slice in standing.up,
                "label_psi": label[d.slice].psi if d.slice in label else nan,
                "label_p_adjusted": label[d.slice].p_adjusted if d.slice in label else nan,
            }
            for d in scores
        ]
    )


def _drifts(
    spec: PipelineSpec, watch: Watch, record: Record, ctx: Context
) -> tuple[tuple[SliceDrift, ...], tuple[SliceDrift, ...]]:
    """Of the scores of the window, and of its ripe labels. Raises DataError for a declared column that rows do not have."""
    champion = watch.champion
    grid = champion.model.output("score_grid").id
    base = _judged(ctx.store, record.pipeline, record.id, spec.slices.by, grid, champion.bundle.task)
    scored, labelled = [], []
    encoding = Encoding(champion.bundle.task, champion.bundle.classes)
    needed = [ROW, *dict.fromkeys(c.column for parts in base.cuts for c in parts)]
    for day, made in watch.features.items():
        predicted, truth = watch.predictions.get(day), watch.labels.get(day)
        if predicted is not None:
            scored.append(_scores(ctx.store, made, predicted, base, tuple(needed)))
        rows = (
            met(spec, made, "features", truth, ctx) if truth is not None and truth.verdict == RIPE else None
        )
        if truth is not None and rows is not None and len(rows):
            name = (made.outputs["features"].id, truth.outputs["labels"].id, len(rows))
            if name not in base.labelled:
                y = encoding.encode(rows[LABEL])
                base.labelled[name] = profiles(rows, base.cuts, base.columns[Y], y)
            labelled.append(base.labelled[name])
    found = [
        slice_drift(base.columns[n], base.profiles[n], together(parts), min_support=spec.slices.min_support)
        for n, parts in ((SCORE, scored), (Y, labelled))
    ]
    return found[0], found[1]


def _scores(store: Store, made: Head, predicted: Head, base: Judged, needed: tuple[str, ...]) -> Profile:
    """Profile of a day's scores by slice; once, as its tables never change."""
    return _day(store, made.outputs["features"].id, predicted.outputs["predictions"].id, base, needed)


@lru_cache(maxsize=256)
def _day(store: Store, features: str, predictions: str, base: Judged, needed: tuple[str, ...]) -> Profile:
    scores = store.get_table(predictions, columns=[ROW, SCORE])
    rows = _columns(store, features, needed).merge(scores, on=ROW)
    return profiles(rows, base.cuts, base.columns[SCORE], rows[SCORE].to_numpy(dtype="float64"))


def evaluation(spec: PipelineSpec, champion: Champion, store: Store) -> Record | None:
    """The record on which the version was let into the ledger; None of one that came in without."""
    name = champion.version.details.get("evaluation_record")
    return _opened(store, spec.name, str(name)) if name else None


@lru_cache(maxsize=4)
def _opened(store: Store, pipeline: str, name: str) -> Record:
    return from_bytes(store.get_record(pipeline, name), name)


@lru_cache(maxsize=4)
def _judged(
    store: Store, pipeline: str, record: str, by: tuple[tuple[str, ...], ...], grid: str, task: str
) -> Judged:
    """The reference, once a process: every day that a version is watched asks for the same."""
    found = _opened(store, pipeline, record)
    scored = store.get_table(found.output("scored").id)
    features = {i.partition: i.id for i in found.inputs if i.name == "features" and i.id}
    columns = list(dict.fromkeys(c for names in by for c in names))
    days = [
        _columns(store, features[day], (ROW, *columns)).assign(**{DAY: day})
        for day in dict.fromkeys(scored[DAY])
        if day in features
    ]
    rows = scored.merge(stacked(days), on=[DAY, ROW])
    several = [c for c in scored if str(c).startswith("score_")]
    values = {
        SCORE: (rows[several].max(axis=1) if several else rows[SCORE]).to_numpy(dtype="float64"),
        Y: rows[Y].to_numpy(dtype="float64"),
    }
    each = cuts(rows, columns)
    parts = tuple(tuple(each[c] for c in names) for names in by)
    bins = {
        SCORE: Grid.from_bytes(store.get_bytes(grid)).columns[SCORE],
        Y: _label_grid(values[Y], task),
    }
    return Judged(parts, bins, {n: profiles(rows, parts, bins[n], values[n]) for n in (SCORE, Y)})


def _columns(store: Store, table: str, names: tuple[str, ...]) -> pd.DataFrame:
    frame = store.get_table(table)
    gone = [n for n in names if n not in frame]
    if gone:
        there = [str(c) for c in frame if not str(c).startswith("_")]
        raise DataError(
            f"there is no column {gone[0]!r} among keys and features", fix=did_you_mean(gone[0], there)
        )
    return frame[list(names)]


def _label_grid(y: np.ndarray, task: str) -> ColumnGrid:
    """Numbers on quantiles, classes by their place."""
    if task == "regression":
        return build(pd.DataFrame({Y: y})).columns[Y]
    return ColumnGrid("categorical", categories=tuple(str(i) for i in range(int(np.nanmax(y)) + 2)))
