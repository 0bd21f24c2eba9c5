"""Which rows of a window train, choose and judge."""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mlpipe.core.duplicates import copies
from mlpipe.core.scored import coded
from mlpipe.core.split import PARTS as CODES
from mlpipe.core.split import Split, assign, temporal
from mlpipe.errors import DataError, did_you_mean
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.dataset import Dataset, comparable
from mlpipe.stages.frames import ROW, TIME

SHARE = 0.15
"""Part of the window that valid and test take each by default."""
PARTS = ("train", "valid", "test")
CLOCKS_CHANGE = timedelta(hours=2)
"""Clocks are put forward and back by at most this."""
BINS = 10
"""Numbers of more than twice as many values are stratified by so many bins of equal shares."""


@dataclass(frozen=True)
class Parts:
    """Masks over the rows of a dataset, and the half-open bounds of each part where they are temporal."""

    masks: dict[str, np.ndarray]
    bounds: dict[str, tuple[str, str]]
    chosen_until: datetime
    """Everything that the model was trained or chosen on is earlier than this."""


def parts(spec: PipelineSpec, keys: Sequence[str], data: Dataset) -> Parts:
    """Temporal split of a window's rows by the moment of prediction; without partitions, by order in time, by group, by stratum or by hash.

    Raises
    ------
    DataError
        When the window is too short for its split, or the column to split by is none or has too few values.
    """
    rows = data.rows
    if spec.partitions.every == "none":
        return _whole(spec, data)
    split = _split(spec, keys)
    # A partition is judged whole: its rows may be predicted shortly before it begins (the lead).
    codes = assign(rows[TIME] + pd.Timedelta(spec.lead), split)
    bounds = {p: tuple(t.isoformat() for t in getattr(split, p)) for p in PARTS}
    return Parts(
        {p: codes == CODES[p] for p in PARTS}, {p: (b[0], b[1]) for p, b in bounds.items()}, split.test[0]
    )


def _split(spec: PipelineSpec, keys: Sequence[str]) -> Split:
    """Bounds of the parts of a window."""
    window = spec.partitions.bounds(keys)
    edges = [*(spec.partitions.window(k).start for k in keys), window.end]
    share = math.ceil(len(keys) * SHARE)
    test = _length(spec, edges, window.end, spec.split.test, share)
    valid = _length(spec, edges, window.end - test - spec.split.embargo, spec.split.valid, share)
    try:
        return temporal(window.start, window.end, valid=valid, test=test, embargo=spec.split.embargo)
    except DataError as error:
        raise DataError(error.what, where=f"pipeline {spec.name}, split", fix=error.fix) from None


def judging(spec: PipelineSpec, keys: Sequence[str]) -> tuple[str, ...]:
    """Partitions of a window that can hold rows of its test part: reading the others would be for nothing.

    All of them where the moment of prediction is a column of its own, and where the window is too short for its split.
    """
    if spec.partitions.every == "none" or spec.prediction_time is not None or not keys:
        return tuple(keys)
    try:
        start = _split(spec, keys).test[0]
    except DataError:
        return tuple(keys)
    return tuple(k for k in keys if spec.partitions.window(k).end > start)


def by_part(spec: PipelineSpec, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Partitions of a window in which rows of each part of its split may lie; all train where the window is too short for its split.

    A partition on the border of two parts stands under both, one in an embargo under none.
    """
    if spec.partitions.every == "none" or not keys:
        return {"train": tuple(keys)}
    try:
        split = _split(spec, keys)
    except DataError:
        return {"train": tuple(keys)}
    windows = {k: spec.partitions.window(k) for k in keys}
    bounds = {p: getattr(split, p) for p in PARTS}
    return {
        p: tuple(k for k, w in windows.items() if w.start < end and w.end > start)
        for p, (start, end) in bounds.items()
    }


def _length(
    spec: PipelineSpec, edges: Sequence[datetime], end: datetime, given: timedelta | None, share: int
) -> timedelta:
    """Length of the part that ends at an instant, so that it starts with a partition: by default of `share` partitions.

    Days and weeks of local time are not all equally long: a given length that misses an edge by that is meant to hit it.
    """
    if given is None:
        return max(end - edges[max(bisect_right(edges, end) - 1 - share, 0)], timedelta(0))
    start = min((e for e in edges if e <= end), key=lambda e: abs(e - (end - given)), default=end)
    near = given and spec.partitions.every != "hour" and abs(start - (end - given)) <= CLOCKS_CHANGE
    return end - start if near else given


def _whole(spec: PipelineSpec, data: Dataset) -> Parts:
    """Without partitions: groups or strata where they are asked for, else the latest rows where rows have times, else a seeded hash.

    Exact copies go the way of the first of them, so that what is learned by heart does not judge; not so in order of time.
    """
    rows, until = data.rows, spec.partitions.window("all").start
    timed = spec.sources[spec.primary].event_time is not None or spec.prediction_time is not None
    chance = np.array([_unit(spec.seed, r) for r in rows[ROW]])
    if spec.split.kind == "grouped":
        groups = coded(folds_by(spec, rows))[0]
        order = _by_group(spec, _joined(groups, _copies(data)), chance)
    elif spec.split.kind == "stratified":
        strata = data.rows[data.label].to_numpy() if spec.split.by is None else folds_by(spec, rows)
        order = _by_stratum(coded(strata_of(strata))[0], _together(data, chance))
    elif timed and rows[TIME].nunique() > 2:
        order = rows[TIME].rank(method="first").to_numpy() / len(rows)
        until = rows[TIME][order > 1 - SHARE].min().to_pydatetime()
    else:
        order = _together(data, chance)
    masks = {
        "train": order <= 1 - 2 * SHARE,
        "valid": (order > 1 - 2 * SHARE) & (order <= 1 - SHARE),
        "test": order > 1 - SHARE,
    }
    return Parts(masks, {}, until)


def folds_by(spec: PipelineSpec, rows: pd.DataFrame) -> np.ndarray:
    """Values of the column that a split goes by.

    Raises
    ------
    DataError
        When it is neither a key nor a feature.
    """
    by = str(spec.split.by)
    if by not in rows:
        known = [str(c) for c in rows.columns if not str(c).startswith("_")]
        raise DataError(
            f"there is no column {by!r} among keys and features",
            where=f"pipeline {spec.name}, split.by",
            fix=did_you_mean(by, known),
        )
    return rows[by].to_numpy()


def strata_of(values: np.ndarray) -> np.ndarray:
    """Strata of values: the values themselves, or of many numbers the bin of equal shares that each lies in."""
    if not pd.api.types.is_numeric_dtype(values) or len(pd.unique(values)) <= 2 * BINS:
        return values
    bins: pd.Series[float] = pd.qcut(
        pd.Series(values, dtype="float64"), BINS, labels=False, duplicates="drop"
    )
    return bins.fillna(-1).to_numpy(dtype="int64")


def _copies(data: Dataset) -> np.ndarray:
    """Group of exact copies that each row is in; each row alone where most are copies, of which no split could keep them apart."""
    alone = np.arange(len(data.rows))
    columns = {name: comparable(data.rows[name]) for name in (*data.names, data.label)}
    groups = copies(pd.DataFrame(columns)).exact
    return groups if 2 * len(np.unique(groups)) > len(groups) else alone


def _together(data: Dataset, chance: np.ndarray) -> np.ndarray:
    """The chance of each row's first copy."""
    groups = _copies(data)
    first = np.unique(groups, return_index=True)
    return chance[first[1][np.searchsorted(first[0], groups)]]


def _joined(groups: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Groups that share a copy are one; not so where that would glue together more than a part holds."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = int(groups.max(initial=-1)) + 1
    edges = coo_matrix((np.ones(len(groups)), (groups, count + alike)), shape=(count + len(alike),) * 2)
    found = connected_components(edges, directed=False)[1][groups]
    most = max(SHARE * len(groups), np.bincount(groups).max(initial=0))
    return coded(found)[0] if np.bincount(found).max(initial=0) <= most else groups


def _by_group(spec: PipelineSpec, groups: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """A place in (0, 1] for each row, so that shares of it are about shares of the rows and cut no group."""
    sizes = np.bincount(groups)
    if len(sizes) < len(PARTS):
        raise DataError(
            f"{len(sizes)} groups cannot be split into {', '.join(PARTS)}",
            where=f"pipeline {spec.name}, split.by",
            fix="Split by a column of more values.",
        )
    # By the chance of its first row: the least of all its rows would send large groups to one end.
    order = np.argsort(chance[np.unique(groups, return_index=True)[1]], kind="stable")[::-1]
    # From the end: the last groups judge, as many as it takes to reach the share, and those before them choose.
    place, end = np.full(len(sizes), 1 - 2 * SHARE), 0
    for share, spare in ((1.0, 2), (1 - SHARE, 1)):
        reached = np.cumsum(sizes[order[end:]]) >= SHARE * len(groups)
        count = min(int(np.argmax(reached)) + 1 if reached.any() else len(sizes), len(sizes) - end - spare)
        place[order[end : end + count]] = share
        end += count
    placed: np.ndarray = place[groups]
    return placed


def _by_stratum(strata: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """A place in (0, 1) for each row by its chance within its stratum; rows of one chance stay together."""
    frame = pd.DataFrame({"stratum": strata, "chance": chance})
    by = frame.groupby("stratum")["chance"]
    return np.asarray((by.rank(method="average") - 0.5) / by.transform("size"), dtype="float64")


def _unit(seed: int, row: int) -> float:
    value = hashlib.blake2b(f"{seed}/{row}".encode(), digest_size=8).digest()
    return int.from_bytes(value, "big") / 2**64
