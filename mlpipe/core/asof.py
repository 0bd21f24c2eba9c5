"""Point-in-time joins: what was known about a row at its own time, and nothing later.

Times may be of any unit, with or without a zone, but not mixed. A row is available from the later of when it
happened and when it became known. Nulls in keys or times never match. Both functions sort once and search;
neither loops over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.grid import column_positions, settled
from mlpipe.errors import DataError, did_you_mean

Times: TypeAlias = "pd.Series[Any] | pd.Index[Any] | NDArray[np.datetime64]"
Keys: TypeAlias = "pd.DataFrame | pd.Series[Any] | pd.Index[Any] | NDArray[Any]"
Codes = NDArray[np.int64]

TICKS = {
    "s": pd.Timedelta(1, unit="s"),
    "ms": pd.Timedelta(1, unit="ms"),
    "us": pd.Timedelta(1, unit="us"),
    "ns": pd.Timedelta(1, unit="ns"),
}
"""Units of time, the coarsest first."""
EXACT = 2**53
"""Integers up to this size are exact as floats."""


def asof_join(
    left: pd.DataFrame,
    right: pd.DataFrame,
    *,
    left_time: str | Times,
    right_time: str,
    by: Sequence[str],
    tolerance: pd.Timedelta | None,
    prefix: str,
    known_at: str | None = None,
) -> pd.DataFrame:
    """Add to each left row the last right row that was known by then.

    Parameters
    ----------
    left, right
        Tables. Neither needs to be sorted.
    left_time
        Column of `left`, or one time for each of its rows.
    right_time, known_at
        Columns of `right`: when its row happened and, if given, when it became known. A row without either
        never matches.
    by
        Key columns that both tables have; none joins on time alone.
    tolerance
        Greatest age, left time minus right time, inclusive; at least 0. None for any age.
    prefix
        Put before the names of the right columns.

    Returns
    -------
    pd.DataFrame
        The left table, its rows, order and index, and behind it all right columns but the keys. The right row
        is the one with the greatest `right_time` among those available; of equals the last in the right
        table. Rows without a match hold nulls. So that types do not depend on the data, integers become
        float64 (Int64 when one exceeds 2**53) and booleans nullable booleans.

    Raises
    ------
    DataError
        A column is missing or would stand twice; times are no times, of mixed awareness, or do not fit one
        unit; keys of one name are numbers on one side and not on the other; tolerance is negative.
    """
    needed = [right_time, *by, *([known_at] if known_at else [])]
    _check_columns(right, needed, "right")
    _check_columns(left, [*by, *([left_time] if isinstance(left_time, str) else [])], "left")
    if tolerance is not None and tolerance < pd.Timedelta(0):
        raise DataError(f"The 'tolerance' of an as-of join must be at least 0. Got {tolerance} instead.")
    wanted = left[left_time] if isinstance(left_time, str) else left_time
    if len(wanted) != len(left):
        raise DataError(f"The left table has {len(left)} rows, and {len(wanted)} left times were given.")
    named = {f"left time{f' {left_time!r}' if isinstance(left_time, str) else ''}": wanted}
    named |= {f"right column {name!r}": right[name] for name in dict.fromkeys([right_time, known_at]) if name}
    (at, happened, *rest), tick = _ticks(named)
    available = _latest(happened, rest[0] if rest else happened)
    limit = None if tolerance is None else tolerance // tick
    left_keys, right_keys = _codes(left[list(by)], right[list(by)])
    rows = _last_available((left_keys, at), (right_keys, available, happened), limit)
    column_positions(right)
    added = right.drop(columns=list(by)).rename(columns=lambda name: f"{prefix}{name}")
    twice = sorted(set(map(str, added.columns)) & set(map(str, left.columns)))
    if twice:
        raise DataError(f"The left table already has {', '.join(twice)}.", fix="Choose another prefix.")
    taken = {name: _take(column, rows) for name, column in added.items()}
    return pd.concat([left, pd.DataFrame(taken, index=range(len(left))).set_axis(left.index)], axis=1)


def windowed_mean(
    events_time: Times,
    events_known_at: Times | None,
    events_value: Sequence[float] | pd.Series[Any] | NDArray[Any],
    events_by: Keys,
    at_time: Times,
    at_by: Keys,
    window: pd.Timedelta,
) -> tuple[NDArray[np.float64], Codes]:
    """Mean of the events with the same key that became available in the window that ends now.

    Parameters
    ----------
    events_time, events_known_at
        When each event happened, and when it became known; without the second, at once. Shape (events,).
    events_value
        Numbers, shape (events,). Nulls are not counted; an infinity makes the mean infinite, both make it
        NaN.
    events_by, at_by
        Keys, shape (events,) and (queries,); tables of several key columns have the same names on both sides.
    at_time
        Times asked about, shape (queries,).
    window
        Greater than 0. An event counts from the moment it is available until just before `window` has passed
        since.

    Returns
    -------
    tuple
        Mean (NaN where there is no event) and number of events, both of shape (queries,).

    Raises
    ------
    DataError
        Lengths differ, times or keys do not go together as in `asof_join`, or the window is not greater than
        0.

    Notes
    -----
    Differences of running sums, whose rounding errors are summed too (D. Knuth's TwoSum), so that events of
    other keys leave no trace in the digits of a mean.
    """
    if window <= pd.Timedelta(0):
        raise DataError(f"The 'window' of windowed_mean must be greater than 0. Got {window} instead.")
    values = pd.Series(events_value).to_numpy(dtype=np.float64, na_value=np.nan)
    named = {"events_time": events_time, "at_time": at_time}
    if events_known_at is not None:
        named["events_known_at"] = events_known_at
    lengths = {"events_value": len(values), "events_by": len(events_by)}
    lengths |= {name: len(times) for name, times in named.items() if name != "at_time"}
    if len(set(lengths.values())) > 1 or len(at_time) != len(at_by):
        raise DataError(f"Lengths differ: {lengths | {'at_time': len(at_time), 'at_by': len(at_by)}}.")
    (happened, at, *rest), tick = _ticks(named)
    available = _latest(happened, rest[0] if rest else happened)
    width = -(-window // tick)
    at_keys, keys = _codes(at_by, events_by)
    use = (keys >= 0) & (available != _NULL) & ~np.isnan(values)
    keys, available, values = keys[use], available[use], values[use]
    # Values break ties, so that the sums do not depend on the order of the events.
    order = np.lexsort((values, available, keys))
    # A null time, or key, is below all others: nothing is found before it. The floor keeps it from wrapping.
    since = np.maximum(at, _NULL + 1 + width) - width
    events, ends, starts = _ranks([(keys[order], available[order]), (at_keys, at), (at_keys, since)])
    first, last = (np.searchsorted(events, found, side="right") for found in (starts, ends))
    return _mean_between(values[order], first, last), (last - first).astype(np.int64)


_NULL = np.iinfo(np.int64).min
"""What a missing time is as an integer."""


def _last_available(left: tuple[Codes, Codes], right: tuple[Codes, Codes, Codes], limit: int | None) -> Codes:
    """Position in the right table for each left row, -1 for none; `limit` is the greatest age in ticks."""
    (left_keys, at), (keys, available, happened) = left, right
    rows = np.flatnonzero((keys >= 0) & (available != _NULL))
    by_event = rows[np.lexsort((rows, happened[rows], keys[rows]))]
    place = np.empty(keys.size, dtype=np.int64)
    place[by_event] = np.arange(by_event.size)
    by_available = rows[np.lexsort((available[rows], keys[rows]))]
    # Places are ordered by key first, so that a running maximum never carries over into the next key.
    best = np.maximum.accumulate(place[by_available])
    events, asked = _ranks([(keys[by_available], available[by_available]), (left_keys, at)])
    found = np.searchsorted(events, asked, side="right") - 1
    matched = found >= 0  # a null key is below all others, a null time below all of its key
    chosen = np.full(at.size, -1, dtype=np.int64)
    chosen[matched] = by_event[best[found[matched]]]
    if keys.size:
        matched &= keys[chosen] == left_keys
        if limit is not None:
            matched &= at - happened[chosen] <= limit
    return np.where(matched, chosen, -1)


def _mean_between(values: NDArray[np.float64], first: Codes, last: Codes) -> NDArray[np.float64]:
    finite = np.where(np.isfinite(values), values, 0.0)
    running = np.concatenate([[0.0], np.cumsum(finite)])
    before, after = running[:-1], running[1:]
    added = after - before
    lost = np.concatenate([[0.0], np.cumsum((before - (after - added)) + (finite - added))])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float64] = ((running[last] - running[first]) + (lost[last] - lost[first])) / (
            last - first
        )
    for sign in (np.inf, -np.inf):
        met = np.concatenate([[0], np.cumsum(values == sign)])
        mean = np.where(met[last] > met[first], np.where(np.isinf(mean), np.nan, sign), mean)
    return mean


def _ranks(pairs: Sequence[tuple[Codes, Codes]]) -> list[Codes]:
    """One integer for each (key, time), in their order, comparable between the arrays."""
    times, codes = np.unique(np.concatenate([time for _, time in pairs]), return_inverse=True)
    ends = np.cumsum([key.size for key, _ in pairs])[:-1]
    return [
        key * np.int64(max(times.size, 1)) + code
        for (key, _), code in zip(pairs, np.split(codes.reshape(-1), ends), strict=True)
    ]


def _latest(one: Codes, other: Codes) -> Codes:
    return np.where((one == _NULL) | (other == _NULL), _NULL, np.maximum(one, other))


def _ticks(named: dict[str, Times]) -> tuple[list[Codes], pd.Timedelta]:
    """Times as integers of the finest unit that any of them has, and one such unit."""
    indexes = {name: _index(name, times) for name, times in named.items()}
    aware = [name for name, index in indexes.items() if index.tz is not None]
    naive = [name for name, index in indexes.items() if index.tz is None and not np.all(index.isna())]
    if aware and naive:
        raise DataError(
            f"{', '.join(aware)} and {', '.join(naive)} cannot be compared: only the former has a time zone.",
            fix="Give the naive ones their zone, for instance column.dt.tz_localize('UTC').",
        )
    unit = max((index.unit for index in indexes.values()), key=list(TICKS).index)
    try:
        fine = [index.as_unit(unit).to_numpy(dtype=f"datetime64[{unit}]") for index in indexes.values()]
        return [times.astype(np.int64) for times in fine], TICKS[unit]
    except ValueError as error:
        raise DataError(
            f"Times do not fit the unit '{unit}': {error}.", fix="Bring all to one unit."
        ) from error


def _index(name: str, times: Times) -> pd.DatetimeIndex:
    dtype = times.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype) or bool(np.all(pd.isna(times))):
        return pd.DatetimeIndex(times)
    raise DataError(
        f"These are no times but {dtype}.", where=name, fix="Parse them with pd.to_datetime(…, utc=True)."
    )


def _table(keys: Keys) -> pd.DataFrame:
    return keys if isinstance(keys, pd.DataFrame) else pd.DataFrame({"key": pd.Series(keys).array})


def _codes(left: Keys, right: Keys) -> tuple[Codes, Codes]:
    """One integer for each combination of keys, -1 where one of them is null."""
    left_keys, right_keys = _table(left), _table(right)
    _check_columns(right_keys, list(left_keys.columns), "right")
    total = np.zeros(len(left_keys) + len(right_keys), dtype=np.int64)
    null = np.zeros(total.size, dtype=bool)
    for name in left_keys.columns:
        sides = [settled(left_keys[name]), settled(right_keys[name])]
        held = [side for side in sides if not side.isna().all()]
        if len({_holds_numbers(side) for side in held}) > 1:
            raise DataError(
                f"Keys can never match: {sides[0].dtype} on the left, {sides[1].dtype} on the right.",
                where=f"key '{name}'",
                fix="Cast one side.",
            )
        both = pd.concat([side.astype(object) if not held else side for side in sides], ignore_index=True)
        codes, found = pd.factorize(both)
        null |= codes < 0
        # Numbered anew after each key, so that products of many key columns stay small.
        total = pd.factorize(total * max(len(found), 1) + codes)[0].astype(np.int64)
    total[null] = -1
    return total[: len(left_keys)], total[len(left_keys) :]


def _holds_numbers(column: pd.Series[Any]) -> bool:
    dtype = column.dtype
    held = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    return pd.api.types.is_numeric_dtype(held)


def _take(column: pd.Series[Any], rows: Codes) -> Any:
    """Values at the rows, null where the row is -1, of a type that has room for nulls."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        column = column.astype("boolean")
    elif isinstance(dtype, np.dtype) and dtype.kind in "iu":
        exact = not len(column) or max(abs(int(column.min())), abs(int(column.max()))) <= EXACT
        column = column.astype("float64" if exact else "UInt64" if dtype.kind == "u" else "Int64")
    return column.array.take(rows, allow_fill=True)


def _check_columns(frame: pd.DataFrame, names: Sequence[str], side: str) -> None:
    known = [str(name) for name in frame.columns]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(
            f"The {side} table has no column {', '.join(map(repr, missing))}.",
            fix=did_you_mean(missing[0], known),
        )
