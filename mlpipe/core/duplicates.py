"""Rows that say the same: exact copies, and near ones that differ only in how they are written.

Rows are hashed, so the cost grows with their number. Two different rows share a 64-bit hash with a chance of about n**2 / 2**65: one in
thirty million for a million rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Groups = NDArray[np.int64]
DIGITS = 3
"""Significant digits that near copies share."""


@dataclass(frozen=True, eq=False)
class Copies:
    """Which rows of a table are copies of one another.

    Attributes
    ----------
    exact
        Shape (n,): number of the group of equal rows that each row is in.
    near
        Shape (n,): likewise of rows that are equal once capitals, blanks and the fourth significant digit make no difference. Each group is
        a union of exact ones.
    """

    exact: Groups
    near: Groups


@dataclass(frozen=True)
class Counts:
    """How many copies there are of one kind.

    Attributes
    ----------
    rows
        Rows that repeat an earlier one.
    share
        Of all rows, in [0, 1].
    groups
        Groups of rows that repeat one another.
    straddling
        Groups with rows in more than one part of the split.
    """

    rows: int
    share: float
    groups: int
    straddling: int


def copies(frame: pd.DataFrame) -> Copies:
    """Groups of equal and of nearly equal rows.

    Parameters
    ----------
    frame
        n >= 0 rows of numbers, booleans and text. Null equals null, and 0 equals -0.
    """
    exact = _groups([_hash(frame[c]) for c in frame.columns], len(frame))
    # Groups are numbered as they appear, so that of each the first row stands at its number.
    once = frame[~pd.Series(exact, index=frame.index).duplicated()]
    near = _groups([_hash(canonical(once[c])) for c in frame.columns], len(once))
    return Copies(exact, near[exact])


def _groups(hashes: list[NDArray[np.uint64]], rows: int) -> Groups:
    """Rows with equal hashes in all columns, numbered from 0 in the order in which they appear."""
    whole = np.zeros(rows, dtype="uint64")
    with np.errstate(over="ignore"):
        for column in hashes:
            # Multiplied by an odd number before each column, so that the order of columns counts.
            whole = (whole * np.uint64(0x9E3779B97F4A7C15)) ^ (column + np.uint64(0x632BE59BD9B4E019))
            whole ^= whole >> np.uint64(29)
    return np.asarray(pd.factorize(whole)[0], dtype="int64")


def _hash(column: "pd.Series[Any]") -> NDArray[np.uint64]:
    if _is_number(column):
        numbers = column.to_numpy(dtype="float64", na_value=np.nan) + 0.0
        return np.asarray(pd.util.hash_array(numbers), dtype="uint64")
    return np.asarray(pd.util.hash_array(column.to_numpy(dtype=object)), dtype="uint64")


def _is_number(column: "pd.Series[Any]") -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def canonical(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text in small letters, with single blanks and none around it; numbers rounded to `DIGITS` significant digits."""
    if _is_number(column):
        return pd.Series(rounded(column.to_numpy(dtype="float64", na_value=np.nan)), index=column.index)
    if not column.notna().any():
        return column
    text = pc.utf8_lower(pa.array(column, pa.large_string(), from_pandas=True))
    text = pc.replace_substring_regex(pc.utf8_trim_whitespace(text), r"\s+", " ")
    return pd.Series(text.to_pandas()).set_axis(column.index)


def rounded(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers rounded to `DIGITS` significant digits; zero, infinities and NaN stay."""
    out = numbers.copy()
    some = np.isfinite(numbers) & (np.abs(numbers) > 1e-290)
    with np.errstate(all="ignore"):
        size = np.floor(np.log10(np.abs(numbers[some]))).astype("int64") - (DIGITS - 1)
        # Whole powers of ten are exact up to 22 only as multipliers, not as fractions.
        up, down = 10.0 ** np.maximum(-size, 0), 10.0 ** np.maximum(size, 0)
        made = np.rint(numbers[some] * up / down) * down / up
    out[some] = np.where(np.isfinite(made), made, numbers[some])
    return out


def counted(groups: Groups, parts: NDArray[np.int64], within: Groups | None = None) -> Counts:
    """How many rows repeat one another, and how many groups of them straddle parts.

    Parameters
    ----------
    groups
        Shape (n,): the group of each row.
    parts
        Shape (n,): the part of the split that each row falls into; negative for none.
    within
        Shape (n,): finer groups, whose rows are copies of another kind: each of these counts as one row. Default: each row for itself.
    """
    rows = len(groups)
    if not rows:
        return Counts(0, 0.0, 0, 0)
    versions = np.bincount(groups if within is None else _distinct(groups, within)[0])
    repeated = versions > 1
    placed = parts >= 0
    spread = np.bincount(_distinct(groups[placed], parts[placed])[0], minlength=len(versions))
    extra = int((versions[versions > 0] - 1).sum())
    return Counts(extra, extra / rows, int(repeated.sum()), int((repeated & (spread > 1)).sum()))


def _distinct(one: NDArray[np.int64], other: NDArray[np.int64]) -> tuple[Groups, Groups]:
    """Different pairs of two arrays of whole numbers that are not negative."""
    if not len(one):
        return one, other
    base = int(other.max()) + 1
    both = np.asarray(pd.unique(one * base + other), dtype="int64")
    return both // base, both % base
