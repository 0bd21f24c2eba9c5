"""Profile of a table on a grid: what is kept of a day, so that drift never needs its rows again.

Profiles of disjoint rows add up: `merge` of the parts is the profile of the whole. Counts, nulls and
infinities are exact; sums, mean and variance agree to rounding; distinct and frequent values keep the bounds
given in `mlpipe.core.sketch`.
"""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.grid import (
    NAMED,
    ColumnGrid,
    Grid,
    Kind,
    category_counts,
    column_positions,
    kind_of,
    numeric_values,
    settled,
    text_lengths,
)
from mlpipe.core.ordering import ascending
from mlpipe.core.sketch import (
    FREQUENT,
    UNSEEN,
    Distinct,
    Frequent,
    Moments,
    distinct_numbers,
    distinct_of,
    frequent_of,
    hash_names,
    merge_distinct,
    merge_frequent,
    merge_moments,
    moments_of,
)
from mlpipe.errors import DataError

MANY, THREADS = 20_000, 4
"""Rows from which on columns are profiled in threads, and how many at most; the sorts run side by side."""
_KEPT = 16 << 20


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """Profile of one column.

    Attributes
    ----------
    kind
        As in the grid.
    counts
        Rows by bin of the grid, tails included, int64, shape (bins,). For categories the last two are "other"
        and "unseen".
    sums
        Sum of the values by bin, float64, shape (bins,): of dates in seconds since 1970, of free text in
        characters. Empty for names.
    rows, nulls
        All rows, and those without a value.
    infinities
        Rows with minus and with plus infinity; they are in no bin and no moment.
    distinct
        Number of different values: `distinct.estimate`, exact below 256.
    top
        Most frequent values by name, `top.head()`; numbers that hardly repeat are not named, and of free text
        it is lengths, so that nobody's words are kept.
    unseen
        Names of categories that the grid does not know, at most 20. How many rows: `unseen_rows`, exact.
    moments
        Of the finite values; those of free text are lengths.
    """

    kind: Kind
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    rows: int
    nulls: int
    infinities: tuple[int, int] = (0, 0)
    distinct: Distinct = field(default_factory=Distinct)
    top: Frequent = field(default_factory=Frequent)
    unseen: Frequent = field(default_factory=Frequent)
    moments: Moments = field(default_factory=Moments)

    @property
    def unseen_rows(self) -> int:
        """Rows whose category the grid does not know; 0 for numbers."""
        return int(self.counts[-1]) if self.kind in NAMED else 0

    def quantile(self, q: float) -> float:
        """Quantile of the finite values; the grid itself is the sketch, there is no other.

        Parameters
        ----------
        q
            In [0, 1]. 0 and 1 give the exact minimum and maximum.

        Returns
        -------
        float
            Mean of the bin in which the quantile lies: exact where the bin holds one value, else its rank is
            off by at most that bin's share of the rows (about 1/1024 near the data that the grid was built
            from). NaN when there are no finite values or the column is counted by name.
        """
        if not 0.0 <= q <= 1.0:
            raise DataError(f"The 'q' parameter of quantile must be in [0, 1]. Got {q} instead.")
        if not self.moments.n:
            return math.nan
        if q in (0.0, 1.0):
            return self.moments.maximum if q else self.moments.minimum
        cumulative = np.cumsum(self.counts)
        place = int(np.searchsorted(cumulative, max(1, math.ceil(q * int(cumulative[-1])))))
        mean = float(self.sums[place]) / int(self.counts[place])
        return min(max(mean, self.moments.minimum), self.moments.maximum)


@dataclass(frozen=True, eq=False)
class Profile:
    """Profile of a table.

    Attributes
    ----------
    grid_version
        Version of the grid on which the counts stand.
    columns
        By name; only columns that the grid has and at least one part had.
    rows
        Rows of the table.
    missing
        Columns of the grid that the table, or at least one merged part, lacked; sorted.
    extra
        Columns of the table that the grid lacks; sorted.
    """

    grid_version: int
    columns: Mapping[str, ColumnProfile]
    rows: int
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def column(self, name: str, column_grid: ColumnGrid) -> ColumnProfile:
        """Profile of a column; when the table lacked it, nulls in all rows."""
        found = self.columns.get(name)
        return absent(column_grid.kind, column_grid.size, self.rows) if found is None else found


def profile(frame: pd.DataFrame, grid: Grid) -> Profile:
    """Profile of a table; the order of its rows does not matter.

    Parameters
    ----------
    frame
        Any number of rows, none included. Columns may be of another type than when the grid was built as long
        as they are of the same kind; a column of nulls is of every kind, booleans may stand in a numeric
        column as 0 and 1, and numbers in a boolean one: what is neither is unseen there.
    grid
        Bins of the columns.

    Raises
    ------
    DataError
        Two columns have one name; a column changed its kind; values cannot be counted.
    """
    positions = column_positions(frame)
    names = [name for name in grid.columns if name in positions]
    columns = [frame.iloc[:, positions[name]] for name in names]
    grids = [grid.columns[name] for name in names]
    if len(frame) < MANY:
        made = [*map(_column, columns, grids)]
    else:
        # Once a block of this size was freed, the C library of Linux keeps what it is given back: to get the
        # pages for a column's arrays anew costs as much as to fill them.
        np.empty(_KEPT, dtype=np.uint8)
        with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
            made = [*pool.map(_column, columns, grids)]
    missing = tuple(sorted(set(grid.columns) - set(positions)))
    extra = tuple(sorted(set(positions) - set(grid.columns)))
    return Profile(grid.version, dict(zip(names, made, strict=True)), len(frame), missing, extra)


def merge(profiles: Sequence[Profile]) -> Profile:
    """Profile of the rows of all profiles together.

    Parameters
    ----------
    profiles
        At least one, all on one grid. Where a part lacks a column that another has, its rows count as nulls.

    Raises
    ------
    DataError
        Nothing to merge, or the profiles are on different grids.
    """
    versions = sorted({part.grid_version for part in profiles})
    if not versions:
        raise DataError("There is no profile to merge.", fix="Pass at least one.")
    if len(versions) > 1:
        raise DataError(
            f"Profiles of grid versions {', '.join(map(str, versions))} cannot be merged.",
            fix="Profile the older data again on the newer grid.",
        )
    names = dict.fromkeys(name for part in profiles for name in part.columns)
    columns = {}
    for name in names:
        like = next(part.columns[name] for part in profiles if name in part.columns)
        parts = [
            part.columns.get(name) or absent(like.kind, like.counts.size, part.rows) for part in profiles
        ]
        columns[name] = _merge_columns(name, parts)
    return Profile(
        grid_version=versions[0],
        columns=columns,
        rows=sum(part.rows for part in profiles),
        missing=tuple(sorted({name for part in profiles for name in part.missing})),
        extra=tuple(sorted({name for part in profiles for name in part.extra})),
    )


def absent(kind: Kind, bins: int, rows: int) -> ColumnProfile:
    """Profile of a column that is null in all rows."""
    sums = np.zeros(0 if kind in NAMED else bins)
    return ColumnProfile(kind, np.zeros(bins, dtype=np.int64), sums, rows, rows)


def _column(column: "pd.Series[Any]", column_grid: ColumnGrid) -> ColumnProfile:
    column = settled(column)
    then, now = column_grid.kind, kind_of(column)
    if then == "boolean" and now == "numeric":
        column, now = _yes_or_no(column), "boolean"
    if column_grid.edges is None and (now in NAMED or not column_grid.categories):
        return _named(column, column_grid)
    if then == "text" and now == "categorical":
        lengths, texts = text_lengths(column)
        return replace(_numeric(lengths, column_grid), distinct=distinct_of(hash_names(texts)))
    if column_grid.edges is not None and (now == then or (now, then) == ("boolean", "numeric")):
        return _numeric(numeric_values(column), column_grid)
    if not column.notna().any():
        return absent(column_grid.kind, column_grid.size, len(column))
    raise DataError(
        f"The column is {column_grid.kind} on the grid and now holds {column.dtype}.",
        where=f"column '{column.name}'",
        fix="Cast it back where the features are made, or build a new version of the grid.",
    )


def _yes_or_no(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Numbers by the names of booleans, others by their own."""
    return column.astype(object).map(lambda v: {0: "False", 1: "True"}.get(v, str(v)), na_action="ignore")


def _numeric(values: NDArray[np.float64], column_grid: ColumnGrid) -> ColumnProfile:
    # One sort serves bins, sums, distinct values and moments, and frees all of them from the order of rows.
    ordered = ascending(values)
    rows = ordered.size
    ends = [-sys.float_info.max, 0.0, math.ulp(0.0), np.inf, np.nan]
    start, zero, positive, stop, known = (int(i) for i in np.searchsorted(ordered, ends))
    ordered[zero:positive] = 0.0  # -0.0 and 0.0 are one value
    ordered = ordered[start:stop]
    edges = np.zeros(0) if column_grid.edges is None else column_grid.edges
    bounds = np.concatenate([[0], np.searchsorted(ordered, edges), [ordered.size]])
    counts = np.diff(bounds).astype(np.int64)
    sums = np.zeros(counts.size)
    filled = counts > 0
    if ordered.size:
        with np.errstate(over="ignore", invalid="ignore"):
            sums[filled] = np.add.reduceat(ordered, bounds[:-1][filled])
    infinities = (start, known - stop)
    distinct, top = _distinct(ordered, infinities)
    return ColumnProfile(
        kind=column_grid.kind,
        counts=counts,
        sums=sums,
        rows=rows,
        nulls=rows - known,
        infinities=infinities,
        distinct=distinct,
        top=top,
        moments=moments_of(ordered),
    )


def _distinct(ordered: NDArray[np.float64], infinities: tuple[int, int]) -> tuple[Distinct, Frequent]:
    changes = ordered[1:] != ordered[:-1]
    if changes.all():
        # The common case of a measured number, spared the arrays of the general one.
        values, top = ordered, Frequent({}, 1)
        if values.size <= FREQUENT:
            top = Frequent(dict.fromkeys(sorted(map(_number_name, values.tolist())), 1))
    else:
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        values = ordered[starts]
        repeats = np.diff(np.append(starts, ordered.size)).astype(np.int64)
        top = frequent_of(values, repeats, lambda i: _number_name(float(values[i])))
    ends = [end for end, count in zip((-np.inf, np.inf), infinities, strict=True) if count]
    return distinct_numbers(np.concatenate([values, ends]) if ends else values), top


def _number_name(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2.0**53 else repr(value)


def _named(column: "pd.Series[Any]", column_grid: ColumnGrid) -> ColumnProfile:
    names, found = category_counts(column)
    categories = column_grid.categories or ()
    bins = pd.Index(categories, dtype=object).get_indexer(pd.Index(names, dtype=object))
    hashes = hash_names(names)
    off = bins < 0
    unseen = off & ~np.isin(hashes, column_grid.others) & (not column_grid.open_ended)
    bins = np.where(unseen, len(categories) + 1, np.where(off, len(categories), bins))
    counts = np.zeros(column_grid.size, dtype=np.int64)
    np.add.at(counts, bins, found)
    new = [names[i] for i in np.flatnonzero(unseen)]
    return ColumnProfile(
        kind=column_grid.kind,
        counts=counts,
        sums=np.zeros(0),
        rows=len(column),
        nulls=len(column) - int(found.sum()),
        distinct=distinct_of(hashes),
        top=frequent_of(names, found, names.__getitem__),
        unseen=frequent_of(new, found[unseen], new.__getitem__, capacity=UNSEEN),
    )


def _merge_columns(name: str, parts: Sequence[ColumnProfile]) -> ColumnProfile:
    if len({(part.kind, part.counts.size) for part in parts}) > 1:
        raise DataError(
            "The profiles count this column on different bins.",
            where=f"column '{name}'",
            fix="Give the changed grid a new version and profile the older data again on it.",
        )
    counts, sums = parts[0].counts.copy(), parts[0].sums.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for part in parts[1:]:
            counts += part.counts
            sums += part.sums
    return ColumnProfile(
        kind=parts[0].kind,
        counts=counts,
        sums=sums,
        rows=sum(part.rows for part in parts),
        nulls=sum(part.nulls for part in parts),
        infinities=(sum(part.infinities[0] for part in parts), sum(part.infinities[1] for part in parts)),
        distinct=merge_distinct([part.distinct for part in parts]),
        top=merge_frequent([part.top for part in parts]),
        unseen=merge_frequent([part.unseen for part in parts], capacity=UNSEEN),
        moments=merge_moments([part.moments for part in parts]),
    )
