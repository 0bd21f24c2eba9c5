"""Into which stretches of time rows are cut, and how many of them a model learns from."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from mlpipe.spec.calendar import Every
from mlpipe.spec.nodes import duration_text
from mlpipe.stages.extent import without_strays

LEAST_PERIODS, LEAST_ROWS = 8, 10
"""Partitions that a past needs, and rows that the middle one of them holds, at least."""
PERIODS: dict[Every, str] = {"hour": "h", "day": "D", "week": "W-SAT", "month": "M"}
LONGEST: dict[Every, int] = {"hour": 24 * 14, "day": 90, "week": 52, "month": 24}
"""Training windows, at most."""
WINDOW_ROWS = 300_000
"""Rows of a training window, about, at most: they are in memory at once."""
BLOCKS = 7
"""Partitions to judge on that are aimed at: with few of them chance cannot be told from a better model."""
MOST_MIN_ROWS, LEAST_MIN_ROWS = 50, 10
OFTEN = 0.95
"""Share of the moments at which a part to judge on should hold rows."""
Counts: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
UNIT = {"hour": pd.Timedelta(hours=1), "day": pd.Timedelta(days=1), "week": pd.Timedelta(days=7)}


@dataclass(frozen=True)
class Span:
    """How time is cut.

    Attributes
    ----------
    every, start, timezone
        The calendar; `start` is None without partitions.
    window
        Partitions to learn from; None without.
    valid, test
        Lengths of these parts of the window as durations; None for the default share.
    coverage
        Least share of the window that must hold rows.
    min_rows
        Least rows to learn from.
    rows
        Rows of the middle partition.
    notes
        What was guessed, in sentences.
    """

    every: Every
    start: str | None
    timezone: str
    window: int | None
    valid: str | None
    test: str | None
    coverage: float
    min_rows: int
    rows: float
    notes: tuple[str, ...]


def whole(rows: float, why: str, zone: str = "UTC") -> Span:
    """No partitions: one model from all rows."""
    return Span("none", None, zone, None, None, None, 1.0, _min_rows(0.7 * rows), rows, (why,))


def span_of(times: "pd.Series[Any]", zone: str, scale: float, now: datetime) -> Span:
    """Cut rows by their times.

    Parameters
    ----------
    times
        Instants in UTC; nulls do not count.
    zone
        Time zone of the calendar.
    scale
        Rows in all, over rows that are given.
    now
        Rows later than this cannot be lived through yet.
    """
    known = times.dropna()
    past = known[known < pd.Timestamp(now)]
    notes = []
    if len(past) < len(known):
        notes.append(
            f"{len(known) - len(past):,} rows lie in the future; their partitions wait until it has come."
        )
    if len(past) < len(known) / 2 or not len(past):
        why = "Most rows lie in the future or have no time, so there are no partitions."
        return whole(len(times) * scale, why, zone)
    near = without_strays(past)
    for word, far in (("before", past[past < near.min()]), ("after", past[past > near.max()])):
        if len(far):
            edge, such = (near.min(), far.min()) if word == "before" else (near.max(), far.max())
            notes.append(
                f"{len(far):,} rows are from {word} {edge:%Y-%m-%d}, far from all others, such as {such:%Y-%m-%d}: "
                "they belong to no partition."
            )
    past = near
    local = past.dt.tz_convert(ZoneInfo(zone)).dt.tz_localize(None)
    every = _every(local, scale)
    if every is None:
        days = (local.max() - local.min()).days + 1
        why = (
            f"{len(past):,} rows over {days} days are too few to be cut into partitions: "
            "one model is made from all of them, the latest rows judge."
        )
        return whole(len(times) * scale, why, zone)
    return _cut(local, every, zone, scale, notes)


def _every(local: "pd.Series[Any]", scale: float) -> Every | None:
    """The shortest unit, from a day on, whose partitions hold enough rows and are enough; hours when days are too few."""
    midnight = bool((local == local.dt.normalize()).all())
    if midnight and bool((local.dt.day == 1).all()):
        order: tuple[Every, ...] = ("month",)
    elif midnight and local.dt.dayofweek.nunique() == 1 and local.nunique() > 3:
        order = ("week", "month")
    else:
        order = ("day", "week", "month") if midnight else ("day", "week", "month", "hour")
    found: list[tuple[float, Every]] = []
    for every in order:
        counts = local.dt.to_period(PERIODS[every]).value_counts()
        if len(counts) < LEAST_PERIODS:
            continue
        middle = float(counts.median()) * scale
        if middle >= LEAST_ROWS:
            return every
        found.append((middle, every))
    # Few rows a partition, however it is cut: the longest stretches, if two of them hold enough together.
    enough = [every for middle, every in found if middle >= LEAST_ROWS / 3]
    return enough[-1] if enough else None


def _cut(local: "pd.Series[Any]", every: Every, zone: str, scale: float, notes: list[str]) -> Span:
    periods = local.dt.to_period(PERIODS[every])
    counts = periods.value_counts()
    first, last = periods.min(), periods.max()
    total = (last - first).n + 1
    middle = float(counts.median()) * scale
    start = (
        first.start_time.isoformat(timespec="minutes")
        if every == "hour"
        else first.start_time.date().isoformat()
    )
    mean, fill = len(local) * scale / total, len(counts) / total
    dense = counts.reindex(pd.period_range(first, last, freq=PERIODS[every]), fill_value=0).to_numpy()
    window = min(max(total // 2, 4), LONGEST[every], max(3, int(WINDOW_ROWS / max(mean, 1))))
    while window < total - 1 and not _enough(_parts(dense, window), scale):
        window = min(total - 1, ceil(1.1 * window))
    share, test = _judges(dense, window)
    learned, filled = _parts(dense, window)[0].sum(), float((dense[-1 - window : -1] > 0).mean())
    # What is asked of a window has slack below the usual one, and the last one, from which `run` learns, is known to pass.
    usual = 0.8 if fill > 0.95 else 0.7 * fill
    unit = UNIT.get(every)
    notes.append(
        f"{len(local) * scale:,.0f} rows from {local.min():%Y-%m-%d} to {local.max():%Y-%m-%d}: "
        f"{total:,} partitions by {every}, {middle:,.0f} rows in the middle one."
    )
    if fill < 1:
        notes.append(f"{total - len(counts):,} of them hold no rows and are left out.")
    return Span(
        every,
        start,
        zone,
        window,
        None if unit is None else duration_text((share * unit).to_pytimedelta()),
        None if unit is None else duration_text((test * unit).to_pytimedelta()),
        max(0.05, int(10 * min(usual, 0.9 * filled)) / 10),
        _min_rows(min(mean * (window - share - test), 1.8 * learned * scale)),
        middle,
        tuple(notes),
    )


def _judges(rows: Counts, window: int) -> tuple[int, int]:
    """Partitions of a window that are for validation, and for the test: so many that they seldom fall on days without rows."""
    share, most = ceil(0.15 * window), ceil(0.3 * window)
    so_far = np.concatenate([[0], rows.cumsum()])
    while share < min(most, 2 * BLOCKS) and (so_far[share:] > so_far[:-share]).mean() < OFTEN:
        share += 1
    return share, max(share, min(BLOCKS, most))


def _parts(rows: Counts, window: int) -> tuple[Counts, Counts, Counts]:
    """Rows by partition of the window before the last one: those to learn from, to validate with, to judge on."""
    valid, test = _judges(rows, window)
    held = rows[-1 - window : -1]
    return held[: -valid - test], held[-valid - test : -test], held[-test:]


def _enough(parts: tuple[Counts, Counts, Counts], scale: float) -> bool:
    return parts[0].sum() * scale >= LEAST_MIN_ROWS and all(part.any() for part in parts)


def _min_rows(expected: float) -> int:
    return int(min(MOST_MIN_ROWS, max(LEAST_MIN_ROWS, expected / 2)))
