"""Rows cut into slices by the values of columns: a value, a range of a number, or a null; and intersections of these."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.errors import DataError, did_you_mean

Codes = NDArray[np.int64]

BINS = 4
"""A number with many values is cut at its quantiles into so many ranges."""
FEW_VALUES = 12
"""A number with at most so many different values is not cut: each is a slice."""
MOST_VALUES = 50
"""So many values of a column become slices, the most frequent ones; the others share one."""
NULL, OTHER = "null", "other"


@dataclass(frozen=True, eq=False)
class Cut:
    """A column cut into slices: the slice 0..k-1 of each row, shape (n,), and the k labels; of ranges the inner ends too."""

    column: str
    codes: Codes
    labels: tuple[str, ...]
    ends: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Cell:
    """Rows with the same labels of some columns, as places in the data."""

    columns: Mapping[str, str]
    rows: Codes

    @property
    def name(self) -> str:
        """Columns and labels, such as ``origin=JFK, carrier=AA``."""
        return ", ".join(f"{c}={v}" for c, v in self.columns.items())


def cut(column: "pd.Series[Any]", name: str, bins: int = BINS) -> Cut:
    """Slices of one column.

    Parameters
    ----------
    column
        Shape (n,). Nulls are a slice, infinite numbers belong to the outermost range.
    name
        Name of the column.
    bins
        Ranges of a number with more than `FEW_VALUES` values, at its quantiles, and fewer where quantiles are equal. A range holds its
        upper end.
    """
    missing = column.isna().to_numpy(dtype=bool)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    ends = None
    if numeric and column.nunique() > FEW_VALUES:
        codes, labels, ends = _ranges(column.to_numpy(dtype="float64", na_value=np.nan), missing, bins)
    else:
        codes, labels = _values(column, missing)
    codes[missing] = len(labels)
    return Cut(name, codes, (*labels, NULL) if missing.any() else tuple(labels), ends)


def cut_as(column: "pd.Series[Any]", like: Cut) -> Cut:
    """Slices of other rows at the ends and by the labels of a cut that was made; what it does not know, a null too, is under ``other``."""
    labels = like.labels if OTHER in like.labels else (*like.labels, OTHER)
    other, missing = labels.index(OTHER), column.isna().to_numpy(dtype=bool)
    if like.ends is not None and pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        codes = np.searchsorted(np.array(like.ends), np.where(missing, 0.0, values), side="left")
    else:
        # A number is the same with and without a point: nulls turn whole numbers into floats.
        end = ".0" if pd.api.types.is_numeric_dtype(column) else ""
        text = pd.Index([str(v).removesuffix(end) for v in column.astype("object")], dtype=object)
        found = pd.Index([label.removesuffix(end) for label in labels], dtype=object).get_indexer(text)
        codes = np.where(found < 0, other, found)
    codes = np.where(missing, labels.index(NULL) if NULL in labels else other, codes)
    return Cut(like.column, codes.astype(np.int64), labels, like.ends)


def _ranges(
    values: NDArray[np.float64], missing: NDArray[np.bool_], bins: int
) -> tuple[Codes, list[str], tuple[float, ...]]:
    known = values[~missing]
    finite = known[np.isfinite(known)]
    inner = np.unique(np.quantile(finite, np.arange(1, bins) / bins, method="inverted_cdf"))
    inner = inner[inner < finite.max()]
    ends = [f"{e:.4g}" for e in inner]
    labels = (
        [f"<= {ends[0]}", *(f"({a}, {b}]" for a, b in zip(ends, ends[1:], strict=False)), f"> {ends[-1]}"]
        if ends
        else ["any"]
    )
    codes = np.searchsorted(inner, np.where(missing, 0.0, values), side="left").astype(np.int64)
    return codes, labels, tuple(inner.tolist())


def _values(column: "pd.Series[Any]", missing: NDArray[np.bool_]) -> tuple[Codes, list[str]]:
    # Text, for the label is one; a category that no row has is no slice.
    text = pd.Series(column.astype("object").to_numpy()).map(str).where(~missing)
    counts = text.value_counts()
    kept = sorted(counts.index[:MOST_VALUES])
    codes = pd.Index(kept).get_indexer(pd.Index(text)).astype(np.int64)
    if len(counts) > len(kept):
        codes[(codes < 0) & ~missing] = len(kept)
        return codes, [*kept, OTHER]
    return codes, kept


def cuts(frame: pd.DataFrame, columns: Sequence[str], bins: int = BINS) -> dict[str, Cut]:
    """Cuts of some columns by name.

    Raises
    ------
    DataError
        A column that the rows do not have.
    """
    for name in columns:
        if name not in frame:
            raise DataError(
                f"there is no column {name!r} to slice by",
                fix=did_you_mean(name, [str(c) for c in frame.columns]),
            )
    return {c: cut(frame[c], c, bins) for c in columns}


def crossed(parts: Sequence[Cut]) -> tuple[Codes, int]:
    """Number of the combination of labels of each row, among all possible ones, and how many these are."""
    codes, size = np.zeros(len(parts[0].codes), dtype=np.int64), 1
    for part in parts:
        codes, size = codes * len(part.labels) + part.codes, size * len(part.labels)
    return codes, size


def labels_of(parts: Sequence[Cut], code: int) -> dict[str, str]:
    """The labels that a number of `crossed` stands for, by column."""
    found = {}
    for part in reversed(parts):
        code, at = divmod(code, len(part.labels))
        found[part.column] = part.labels[at]
    return dict(reversed(found.items()))


def cells(parts: Sequence[Cut]) -> Iterator[Cell]:
    """The slices that have rows, by the order of the labels."""
    codes, _ = crossed(parts)
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    for code, rows in zip(found, np.split(order, starts[1:]) if len(found) else (), strict=True):
        yield Cell(labels_of(parts, int(code)), rows.astype(np.int64))
