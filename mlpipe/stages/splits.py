"""Which rows of a window train, choose and judge."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mlpipe.core.split import PARTS as CODES
from mlpipe.core.split import assign, temporal
from mlpipe.errors import DataError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.frames import ROW, TIME

SHARE = 0.15
"""Part of the window that valid and test take each by default."""
PARTS = ("train", "valid", "test")


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
    window = spec.partitions.bounds(keys)
    step = _step(spec, keys)
    length = window.end - window.start
    default = max(step, _round_up(length * SHARE, step))
    valid = spec.split.valid if spec.split.valid is not None else default
    test = spec.split.test if spec.split.test is not None else default
    try:
        split = temporal(window.start, window.end, valid=valid, test=test, embargo=spec.split.embargo)
    except DataError as error:
        raise DataError(error.what, where=f"pipeline {spec.name}, split", fix=error.fix) from None
    # A partition is judged whole: its rows may be predicted shortly before it begins (the lead).
    codes = assign(rows[TIME] + pd.Timedelta(spec.lead), split)
    bounds = {p: tuple(t.isoformat() for t in getattr(split, p)) for p in PARTS}
    return Parts(
        {p: codes == CODES[p] for p in PARTS}, {p: (b[0], b[1]) for p, b in bounds.items()}, split.test[0]
    )


def _step(spec: PipelineSpec, keys: Sequence[str]) -> timedelta:
    window = spec.partitions.window(keys[-1])
    return {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}.get(
        spec.partitions.every, window.end - window.start
    )


def _round_up(value: timedelta, step: timedelta) -> timedelta:
    return -(-value // step) * step


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
