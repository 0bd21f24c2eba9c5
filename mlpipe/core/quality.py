"""Rules about rows: which cells have the wrong type, which rows are copies, which stand outside their window.

Everything here is a pure function of a table. Masks are boolean arrays over the rows in their order, whatever the index says.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
DIMENSIONS = ("completeness", "accuracy", "consistency", "timeliness", "uniqueness")

_KEEPS: dict[str, frozenset[str]] = {
    "int": frozenset({"int"}),
    "float": frozenset({"int", "float"}),
    "number": frozenset({"int", "float", "bool"}),
    "string": frozenset({"string"}),
    "bool": frozenset({"bool"}),
    "datetime": frozenset({"datetime"}),
}


def _whole(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, (int, np.integer)):
        return True
    return (
        isinstance(value, (float, np.floating, Decimal))
        and bool(np.isfinite(float(value)))
        and value == int(value)
    )


def _real(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating, Decimal)) and not isinstance(value, bool)


_CELL: dict[str, Callable[[Any], bool]] = {
    "int": _whole,
    "float": _real,
    "number": lambda v: _real(v) or isinstance(v, (bool, np.bool_)),
    "string": lambda v: isinstance(v, str),
    "bool": lambda v: isinstance(v, (bool, np.bool_)),
    "datetime": lambda v: isinstance(v, (date, np.datetime64)),
}


def _family(dtype: Any) -> str:
    """Kind of value that a column type admits; ``"any"`` for objects, ``"other"`` for what no contract names."""
    known = pd.api.types
    if isinstance(dtype, pd.StringDtype):
        return "string"
    for name, test in (
        ("any", known.is_object_dtype),
        ("bool", known.is_bool_dtype),
        ("int", known.is_integer_dtype),
        ("float", known.is_float_dtype),
        ("datetime", known.is_datetime64_any_dtype),
    ):
        if test(dtype):
            return name
    return "other"


def dtype_breaks(values: "pd.Series[Any]", dtype: str) -> BoolArray:
    """Cells that are not of a type.

    Parameters
    ----------
    values
        Shape (n,), of any pandas type.
    dtype
        ``int`` (3.0 is one, 3.5, True and inf are not), ``float`` (whole numbers are), ``number`` (also bool), ``string``,
        ``bool`` (0 and 1 are not), ``datetime`` (text is not).

    Returns
    -------
    Shape (n,). A null breaks no type.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        wrong = np.append(dtype_breaks(pd.Series(values.dtype.categories), dtype), False)
        return np.asarray(wrong[values.cat.codes.to_numpy()], dtype=bool)
    present = values.notna().to_numpy(dtype=bool)
    family = _family(values.dtype)
    if family in _KEEPS[dtype]:
        return np.zeros(len(values), dtype=bool)
    if family == "any":
        keeps = _CELL[dtype]
        pairs = zip(values.array, present, strict=True)
        return np.fromiter((bool(p) and not keeps(v) for v, p in pairs), dtype=bool, count=len(values))
    if dtype == "int" and family == "float":
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(present & ~(np.isfinite(numbers) & (np.floor(numbers) == numbers)), dtype=bool)
    return present


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def comparable(values: "pd.Series[Any]", dtype: str, broken: BoolArray) -> "pd.Series[Any]":
    """The column with cells of the wrong type made null, so that rules about values can look at all others.

    Numbers come as ``float64`` when they stood in an object or nullable column (beyond 2**53 they are rounded).

    Parameters
    ----------
    values, broken
        Shape (n,); `broken` as `dtype_breaks` gives it.
    """
    out = values.mask(broken) if broken.any() else values
    if dtype in ("int", "float", "number") and not (
        isinstance(out.dtype, np.dtype) and pd.api.types.is_numeric_dtype(out.dtype)
    ):
        cells = zip(out.array, out.isna().to_numpy(dtype=bool), strict=True)
        return pd.Series(
            [np.nan if null else _to_float(v) for v, null in cells], index=out.index, dtype="float64"
        )
    return out


def _hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows, with lists, dicts and arrays in object columns as text, so that they can be compared."""
    out = frame.copy(deep=False)
    for name in out.columns:
        if pd.api.types.is_object_dtype(out[name].dtype) and any(
            isinstance(v, (list, dict, set, np.ndarray)) for v in out[name]
        ):
            out[name] = out[name].map(repr)
    return out


def copies(
    frame: pd.DataFrame, columns: Sequence[str], flagged: BoolArray | None = None
) -> tuple[BoolArray, BoolArray]:
    """Rows that share what should identify one row.

    Of exact copies the first one is the row and the others are surplus. Of copies that share `columns` but differ elsewhere
    nobody knows which is true, so all are in conflict, exact copies among them included.

    Parameters
    ----------
    frame
        n rows. Null equals null; a row whose `columns` are all null identifies nothing and is nobody's copy.
    flagged
        Shape (n,): rows known to share their columns with another row. None looks for them.

    Returns
    -------
    to_drop, surplus
        Shape (n,) each. `to_drop` are surplus exact copies and all rows in conflict; `surplus` is every row of a group but its first.
    """
    names = list(columns)
    drop, surplus = np.zeros(len(frame), dtype=bool), np.zeros(len(frame), dtype=bool)
    if flagged is None:
        keys = _hashable(frame[names])
        flagged = (keys.duplicated(keep=False) & ~keys.isna().all(axis=1)).to_numpy(dtype=bool)
    where = np.flatnonzero(flagged)
    if not len(where):
        return drop, surplus
    rows = _hashable(frame.iloc[where].reset_index(drop=True))
    again = rows.duplicated(keep="first").to_numpy(dtype=bool)
    group = rows.groupby(names, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    versions = np.bincount(group, weights=~again, minlength=int(group.max()) + 1)
    drop[where] = again | (versions[group] > 1)
    surplus[where] = rows.duplicated(subset=names, keep="first").to_numpy(dtype=bool)
    return drop, surplus


# -- time ----------------------------------------------------------------------------------------------------


def _word(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()[:1].isdigit()


def _instant(value: Any, timezone: str, later: bool) -> Any:
    """Timestamp of one cell in UTC; None when it is no time."""
    try:
        stamp: Any = pd.Timestamp(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if pd.isna(stamp):
        return None
    if stamp.tzinfo is None:
        stamp = stamp.tz_localize(timezone, ambiguous=not later, nonexistent="shift_forward")
    return stamp.tz_convert("UTC")


def instants(values: "pd.Series[Any]", timezone: str, *, later: bool = False) -> "pd.Series[Any]":
    """Event times as instants in UTC.

    Parameters
    ----------
    values
        Shape (n,): timestamps with or without a zone, dates, or ISO 8601 text. Numbers are no times.
    timezone
        Zone of times without one.
    later
        Which of the two instants a wall clock shows twice, when summer time ends, is meant.

    Returns
    -------
    Shape (n,), ``datetime64[…, UTC]``; NaT for a null and for what is no time.
    """
    column: pd.Series[Any] = values
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        usable = ~(dtype_breaks(values, "string") & dtype_breaks(values, "datetime"))
        # Pandas takes the words now and today for times: the clock of whoever reads.
        usable &= ~np.fromiter(map(_word, values.array), dtype=bool, count=len(values))
        column = values.astype(object).where(usable, None)
        with suppress(ValueError):  # times with and without a zone, or of several zones, are read one by one
            column = pd.to_datetime(column, errors="coerce", format="ISO8601")
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        cells = [_instant(v, timezone, later) for v in column]
        return pd.Series(pd.DatetimeIndex(cells, dtype="datetime64[us, UTC]"), index=values.index)
    if column.dt.tz is None:
        first = np.full(len(column), not later)
        column = column.dt.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")
    return pd.Series(column.dt.tz_convert("UTC"))


def outside(values: "pd.Series[Any]", start: datetime, end: datetime, timezone: str) -> BoolArray:
    """Rows whose event time is null, no time, or not in ``[start, end)``. Shape (n,).

    An hour that the wall clock shows twice is inside when either reading is.
    """
    inside = np.zeros(len(values), dtype=bool)
    for later in (False, True):
        times = instants(values, timezone, later=later)
        inside |= ((times >= start) & (times < end)).to_numpy(dtype=bool)
    return ~inside


def newest_gap(values: "pd.Series[Any]", end: datetime, timezone: str) -> timedelta | None:
    """Time from the newest row before `end` to `end`; None when no row has a time before it.

    Rows stamped at or after `end` are passed over: a clock that runs ahead makes no table fresh.
    """
    times = instants(values, timezone, later=True)
    before = times[times < end]
    return None if before.empty else (pd.Timestamp(end) - before.max()).to_pytimedelta()


def freshness_score(gap: timedelta | None, limit: timedelta) -> float:
    """1 while the gap is at most the limit, then limit / gap: twice as old as allowed is 0.5; no row at all is 0."""
    if gap is None:
        return 0.0
    return 1.0 if gap <= limit else limit / gap


# -- the score -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one rule found.

    Attributes
    ----------
    rule, columns
        Short name, and the columns that it reads.
    dimensions
        The dimensions that it lowers.
    success
        Whether everything keeps the rule.
    broken
        Shape (n,): rows to quarantine; None for a rule about the table, which has no rows to leave out.
    counted
        Shape (n,): rows that lower the dimension; default `broken`. Of two copies both are quarantined and one is counted.
    score
        In [0, 1]: what a rule about the table leaves of its dimension.
    tested
        Number of cells or rows that the rule looked at.
    note
        What happened, when a count of rows does not say it.
    shown
        False when another rule already tells people about the same mistake.
    """

    rule: str
    columns: tuple[str, ...]
    dimensions: tuple[str, ...]
    success: bool
    broken: BoolArray | None = None
    counted: BoolArray | None = None
    score: float = 1.0
    tested: int = 0
    note: str = ""
    shown: bool = True

    def without(self, rows: BoolArray) -> "Outcome":
        """The same rule once some rows have been mended. Rules about the table stay as they were."""
        if self.broken is None:
            return self
        broken = self.broken & ~rows
        counted = None if self.counted is None else self.counted & ~rows
        return Outcome(
            self.rule,
            self.columns,
            self.dimensions,
            not broken.any(),
            broken,
            counted,
            self.score,
            self.tested,
            self.note,
            self.shown,
        )


def dimension_scores(outcomes: Sequence[Outcome], rows: int) -> tuple[dict[str, float], tuple[str, ...]]:
    """Each quality dimension in [0, 1], and those that nothing was declared for.

    Rows that break rules of a dimension are counted once, however many they break: the share of the other rows is the
    dimension. Completeness takes the worst single rule instead, for a null in one column says nothing about the next.
    A rule about the table caps its dimension at its own score. What nothing was declared for is 1.0.

    Parameters
    ----------
    rows
        Number of rows of the table, n >= 0. With no rows only rules about the table count.
    """
    scores: dict[str, float] = {}
    for dimension in DIMENSIONS:
        mine = [o for o in outcomes if dimension in o.dimensions]
        masks = [o.counted if o.counted is not None else o.broken for o in mine if o.broken is not None]
        caps = [o.score for o in mine if o.broken is None]
        if rows and masks:
            counts = [int(m.sum()) for m in masks if m is not None]
            union = max(counts) if dimension == "completeness" else int(np.logical_or.reduce(masks).sum())
            caps.append(1.0 - union / rows)
        scores[dimension] = float(min(caps, default=1.0))
    return scores, tuple(d for d in DIMENSIONS if not any(d in o.dimensions for o in outcomes))
