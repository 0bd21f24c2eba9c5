"""Which rows of a window train, choose and judge."""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mlpipe.core.split import PARTS as CODES
from mlpipe.core.split import Split, assign, temporal
from mlpipe.errors import DataError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.frames import ROW, TIME

SHARE = 0.15
"""Part of the window that valid and test take each by default."""
PARTS = ("train", "valid", "test")
CLOCKS_CHANGE = timedelta(hours=2)
"""Clocks are put forward and back by at most this."""


@dataclass(frozen=True)
class Parts:
    """Masks over the rows of a dataset, and the half-open bounds of each part where they are temporal."""

    masks: dict[str, np.ndarray]
    bounds: dict[str, tuple[str, str]]
    chosen_until: datetime
    """Everything that the model was trained or chosen on is earlier than this."""


def parts(spec: PipelineSpec, keys: Sequence[str], rows: pd.DataFrame) -> Parts:
    """Temporal split of a window's rows by the moment of prediction; without partitions, by order in time or by hash.

    Raises
    ------
    DataError
        When the window is too short for its split.
    """
    if spec.partitions.every == "none":
        return _whole(spec, rows)
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


def _whole(spec: PipelineSpec, rows: pd.DataFrame) -> Parts:
    """Without partitions: the latest rows judge when rows have times, else a seeded hash of the row decides."""
    timed = spec.sources[spec.primary].event_time is not None or spec.prediction_time is not None
    if timed and rows[TIME].nunique() > 2:
        order = rows[TIME].rank(method="first").to_numpy() / len(rows)
        until = rows[TIME][order > 1 - SHARE].min().to_pydatetime()
    else:
        order = np.array([_unit(spec.seed, r) for r in rows[ROW]])
        until = spec.partitions.window("all").start
    masks = {
        "train": order <= 1 - 2 * SHARE,
        "valid": (order > 1 - 2 * SHARE) & (order <= 1 - SHARE),
        "test": order > 1 - SHARE,
    }
    return Parts(masks, {}, until)


def _unit(seed: int, row: int) -> float:
    value = hashlib.blake2b(f"{seed}/{row}".encode(), digest_size=8).digest()
    return int.from_bytes(value, "big") / 2**64
