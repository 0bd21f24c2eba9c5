"""From which partition to which there is data: what "all the data" means."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.errors import SourceError
from mlpipe.spec.calendar import DISTANT_FUTURE, Calendar
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import Files, Source, SqlSource
from mlpipe.stages.databases import counted, extremes
from mlpipe.stages.files import read
from mlpipe.stages.sources import timed

MOST_ROWS = 200_000
"""Rows of the primary source that one ingest reads at once, about."""
STRAYS = 0.01
"""At most this share of rows may lie far before all others, and as many far after them."""


def without_strays(times: "pd.Series[Any]", few: int | None = None) -> "pd.Series[Any]":
    """Times without the few that lie farther from all others than these do from each other: a clock that was reset, a year mistyped.

    Parameters
    ----------
    times
        Instants, without nulls, in any order.
    few
        How many at either end may be strays; default: one in a hundred.

    Returns
    -------
    pandas.Series
        The same but at most so many at either end. Where all others lie within thirty days, a stray is more than thirty days away.
    """
    ordered = times.dt.tz_convert(None).sort_values().to_numpy()
    few = int(STRAYS * len(ordered)) if few is None else few
    if not few:
        return times
    reach = max(ordered[-1 - few] - ordered[few], np.timedelta64(30, "D"))
    early, late = np.diff(ordered[: few + 1]) > reach, np.diff(ordered[-1 - few :]) > reach
    first = ordered[early.nonzero()[0][-1] + 1] if early.any() else ordered[0]
    last = ordered[late.nonzero()[0][0] - 1 - few] if late.any() else ordered[-1]
    return times[(times >= pd.Timestamp(first, tz="UTC")) & (times <= pd.Timestamp(last, tz="UTC"))]


def extent(
    spec: PipelineSpec, now: datetime, tell: Callable[[str], None] | None = None
) -> tuple[str, str] | None:
    """First and last partition of the calendar that hold data and have ended.

    Files and tables of the primary source are looked at. What a function, a query or another asset will give cannot be known before it is
    asked: there it is the whole calendar up to now.

    Parameters
    ----------
    now
        Partitions that end later do not count.
    tell
        Hears of rows that lie in the future or far from all others: they are left out, and one with a wrong year would never be missed.

    Returns
    -------
    tuple of str, or None
        None for a pipeline without partitions.

    Raises
    ------
    SourceError
        When the source holds no row in any partition that has ended; saying where its rows lie.
    TransientError, DataError
        When it cannot be read.
    """
    calendar = spec.partitions
    if calendar.every == "none":
        return None
    name = spec.primary
    where = f"pipeline {spec.name}, source {name}"
    ended = min(calendar.last_end or now, now)
    found, few = _instants(spec, spec.sources[name], ended, where)
    if found is None:
        keys = calendar.complete_until(ended)
    elif not len(found):
        raise SourceError(
            "the source holds no rows", where=where, fix="Put the data there, or mend the source."
        )
    else:
        source = spec.sources[name]
        ends_alone = isinstance(source, SqlSource)
        future = found[found > pd.Timestamp(now)]
        if tell and len(future):
            rows = "rows lie" if ends_alone else f"{len(future):,} of {len(found):,} rows lie"
            tell(f"{where}: {rows} in the future, up to {future.max():%Y-%m-%d %H:%M} UTC, and are left out")
        # Of a table only so many times at either end are known, and those in the future are some of them.
        few = max(few - len(future), 0) if ends_alone and few else few
        if few != 0 and len(future) < len(found):
            found = _near(found[found <= pd.Timestamp(now)], few, where, tell, counted=not ends_alone)
        keys = _covered(calendar, found, ended, ends_alone=ends_alone)
    if not keys:
        rows = "" if found is None or not len(found) else f"; its rows lie in {found.min()} to {found.max()}"
        raise SourceError(
            f"no partition that has ended holds rows{rows}",
            where=where,
            fix=f"Partitions begin at {calendar.start} ('start'), one every {calendar.every}.",
        )
    return keys[0], keys[-1]


def _near(
    found: "pd.Series[Any]", few: int | None, where: str, tell: Callable[[str], None] | None, *, counted: bool
) -> "pd.Series[Any]":
    near = without_strays(found, few)
    far = found[(found < near.min()) | (found > near.max())]
    if tell and len(far):
        rows = f"{len(far):,} of {len(found):,} rows lie" if counted else f"{len(far):,} rows lie"
        tell(
            f"{where}: {rows} far from all others, such as one of {far.iloc[0]:%Y-%m-%d %H:%M} UTC, and "
            "are left out; name --from and --to to have their partitions too"
        )
    return near


def _covered(calendar: Calendar, found: pd.Series, ended: datetime, *, ends_alone: bool) -> tuple[str, ...]:
    """Partitions that have ended, from the first to the last with a row; with `ends_alone` only their two ends are known.

    A row whose year is wrong lies far from all others: from the last of them up to now there may be a thousand partitions without any.
    """
    keys = calendar.keys_between(found.min().to_pydatetime(), found.max().to_pydatetime() + _TICK)
    keys = tuple(k for k in keys if calendar.window(k).end <= ended)
    if ends_alone or not keys:
        return keys
    inside = found[
        (found >= pd.Timestamp(calendar.window(keys[0]).start))
        & (found < pd.Timestamp(calendar.window(keys[-1]).end))
    ]
    if not len(inside):
        return ()
    return calendar.keys_between(inside.min().to_pydatetime(), inside.max().to_pydatetime() + _TICK)


def batches(spec: PipelineSpec, keys: Sequence[str]) -> list[tuple[str, str]]:
    """First and last keys of ranges that hold some `MOST_ROWS` rows each, where rows can be counted; else one range.

    What a run holds in memory grows with its range. A partition is never cut.
    """
    source = spec.sources[spec.primary]
    where = f"pipeline {spec.name}, source {spec.primary}"
    rows = None
    if isinstance(source, SqlSource):
        rows = counted(source, spec, where)
    elif isinstance(source, Files) and not source.templated:
        rows = len(read(source, spec.base_dir, None, where))
    if not rows or len(keys) < 2:
        return [(keys[0], keys[-1])]
    data = extent(spec, DISTANT_FUTURE)
    spread = len(spec.partitions.keys(*data)) if data is not None else len(keys)
    step = max(1, MOST_ROWS * spread // rows)
    return [(keys[i], keys[min(i + step, len(keys)) - 1]) for i in range(0, len(keys), step)]


_TICK = pd.Timedelta(microseconds=1).to_pytimedelta()


def _instants(
    spec: PipelineSpec, source: Source, ended: datetime, where: str
) -> tuple[pd.Series | None, int | None]:
    """Instants between which all rows lie, None when nobody can say; and how many at either end may be strays (None: by their number)."""
    if isinstance(source, Files) and source.templated:
        # Files are named after partitions: somebody has put each of them there.
        return pd.Series(list(_named(spec, source, ended)), dtype="datetime64[us, UTC]"), 0
    if source.event_time is None:
        return None, 0
    if isinstance(source, SqlSource):
        both = None if source.table is None else extremes(source, spec, where, STRAYS)
        if both is None:
            return (None if source.query is not None else pd.Series(dtype="datetime64[us, UTC]")), 0
        frame = pd.DataFrame({source.event_time: both[0]})
        alone = source.model_copy(update={"columns": (), "keys": (), "join": None})
        return timed(frame, alone, spec.partitions, where)[source.event_time].dropna(), both[1]
    if isinstance(source, Files):
        frame = timed(read(source, spec.base_dir, None, where), source, spec.partitions, where)
        return frame[source.event_time].dropna(), None
    return None, 0


def _named(spec: PipelineSpec, source: Files, ended: datetime) -> Iterator[datetime]:
    """Starts of the partitions that have ended and have a file of their own."""
    before, _, after = source.located("\2").partition("\2")
    calendar = spec.partitions
    folder = (spec.base_dir / f"{before}x").parent
    start = (spec.base_dir / f"{before}x").name.removesuffix("x")
    rest = after.split("/", 1)[0]
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.startswith(start) and path.name.endswith(rest):
            key = path.name[len(start) : len(path.name) - len(rest)]
            file = spec.base_dir / source.located(key)
            if calendar.has(key) and calendar.window(key).end <= ended and file.exists():
                yield calendar.window(key).start.astimezone(UTC)
