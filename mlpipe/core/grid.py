"""The versioned grid on which a pipeline's features are counted.

A grid is built once, from the first window of data, and kept. Every later day and every champion's training
data are counts on it, so that a window is a sum and drift is arithmetic. A new grid is a new version: what
was counted on the old one has to be counted again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.ordering import ascending
from mlpipe.core.sketch import Hashes, hash_names
from mlpipe.errors import DataError, StoreError

Kind = Literal["numeric", "datetime", "text", "categorical", "boolean"]
NAMED: tuple[Kind, ...] = ("categorical", "boolean")
"""Kinds that are counted by name; the others are counted by a number: the value, the seconds since 1970, or the length."""
FORMAT = 1
CATEGORIES = 1_000
"""Categories with a bin of their own, the most frequent first."""
REMEMBERED = 10_000
"""Further categories that are remembered by hash, so that a new one is told from a rare one."""
FREE, COMING, ONCE = 0.5, 0.025, 30
"""Shares of new names among further rows from which on text is free, and from which on new names are nothing odd; of fewer names that
occur once nothing follows."""
TAIL = np.exp2(np.arange(-8.0, 25.0))
"""Distances of the tail edges beyond the smallest and largest value, in units of their span."""
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True, eq=False)
class ColumnGrid:
    """Bins of one column.

    Attributes
    ----------
    kind
        "numeric" (numbers, and durations in seconds), "datetime" (in seconds since 1970 UTC), "text" (free
        text, by its length in characters), "categorical" (by name) or "boolean" (by the names False and True).
    edges
        Of what is counted by a number: finite ascending edges, shape (edges,). Bin i is [edges[i - 1],
        edges[i]), the first and the last are open. None for names.
    categories
        The listed names; behind their bins stand two more, "other" and "unseen". None for numbers.
    others
        Ascending hashes of the names that were seen but are not listed: they count as "other", any further
        one as "unseen".
    open_ended
        True when there were too many names to remember, or new ones keep coming: every name off the list
        counts as "other", none as "unseen".
    """

    kind: Kind
    edges: NDArray[np.float64] | None = None
    categories: tuple[str, ...] | None = None
    others: Hashes = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    open_ended: bool = False

    @property
    def size(self) -> int:
        """Number of bins; nulls and infinities are counted beside them."""
        return len(self.categories or ()) + 2 if self.edges is None else self.edges.size + 1


@dataclass(frozen=True, eq=False)
class Grid:
    """Bins of all columns, by name. Equal when the canonical bytes are."""

    version: int
    columns: Mapping[str, ColumnGrid]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Canonical JSON in ASCII: the same grid gives the same bytes on every machine."""
        columns = {name: _column_to_json(column) for name, column in self.columns.items()}
        document = {"format": FORMAT, "version": self.version, "columns": columns}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Grid":
        """Inverse of `to_bytes`. Raises StoreError when the bytes are no grid or of another format."""
        try:
            document = json.loads(data)
            found = document["format"]
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                "These bytes are not a grid.", fix="Restore the object or build the grid again."
            ) from error
        if found != FORMAT:
            raise StoreError(
                f"This grid has format {found}, and this version of mlpipe reads format {FORMAT}.",
                fix="Use the version of mlpipe that wrote it, or build a new grid.",
            )
        try:
            columns = {name: _column_from_json(entry) for name, entry in document["columns"].items()}
            return cls(int(document["version"]), columns)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"This grid is damaged: {error!r}.", fix="Restore the object from a copy."
            ) from error


def build(frame: pd.DataFrame, *, version: int = 1, bins: int = 1024) -> Grid:
    """Grid of a first window of data.

    Parameters
    ----------
    frame
        The rows; their order does not matter. Columns that are null throughout get a grid too.
    version
        Number of the grid within its pipeline.
    bins
        Numeric bins within the range of the data, at least 2. With no more different values than that each
        has a bin of its own; else bins hold equal shares of the rows, the first and the last share are halved
        down to single rows (some ten bins more), and a value that fills two shares alone gets its own.

    Returns
    -------
    Grid
        Columns by name, sorted. Nulls and infinities do not shape it. Integers beyond 2**53 lose their last
        digits.

    Notes
    -----
    Text is told from categories by how often a further row has a name that none had before: by the share of
    the rows whose name occurs once (I. J. Good, "The population frequencies of species", Biometrika 1953).
    From one half on it is free text; from 2.5% on new names say nothing, and count as "other". Nothing is
    concluded from fewer than 30 such names.

    Raises
    ------
    DataError
        Two columns have one name, or a column holds values that cannot be counted.
    """
    if bins < 2:
        raise DataError(f"The 'bins' parameter of grid.build must be at least 2. Got {bins} instead.")
    columns = {}
    for name, position in sorted(column_positions(frame).items()):
        column = settled(frame.iloc[:, position])
        kind = kind_of(column)
        if kind in NAMED:
            columns[name] = _name_grid(column, bins)
        else:
            columns[name] = _number_grid(kind, numeric_values(column), bins)
    return Grid(version, columns)


def column_positions(frame: pd.DataFrame) -> dict[str, int]:
    """Position of each column by its name as text. Raises DataError when two columns have the same name."""
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(
            f"Several columns are named {', '.join(twice)}.", fix="Rename or drop all but one of each."
        )
    return {name: position for position, name in enumerate(names)}


def settled(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The column with a type: Python numbers, booleans and dates in an object column become numbers, booleans and dates."""
    if isinstance(column.dtype, pd.ArrowDtype) and column.dtype.kind in "mM":
        column = column.astype(object)
    if column.dtype != object:
        return column
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in ("integer", "floating", "mixed-integer-float", "decimal"):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return pd.Series(values, index=column.index, name=column.name)
    if inferred == "boolean":
        return column.astype("boolean")
    if inferred in ("date", "datetime", "datetime64"):
        return pd.to_datetime(column, utc=True)
    return pd.to_timedelta(column) if inferred in ("timedelta", "timedelta64") else column


def kind_of(column: "pd.Series[Any]") -> Kind:
    """Kind of a settled column: by its type alone, never by its values; so text is "categorical" here, free or not."""
    dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if getattr(dtype, "kind", "O") == "M":
        return "datetime"
    numeric = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    return "numeric" if numeric or getattr(dtype, "kind", "O") == "m" else "categorical"


def numeric_values(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """A settled numeric or boolean column as floats, shape (rows,), not to be written to; nulls are NaN, dates count from 1970."""
    if column.dtype == np.float64:
        return column.to_numpy()
    if column.dtype.kind not in "mM":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    unit = getattr(column.dtype, "unit", None) or np.datetime_data(column.to_numpy().dtype)[0]
    name = "datetime64" if column.dtype.kind == "M" else "timedelta64"
    ticks = column.to_numpy(dtype=f"{name}[{unit}]")
    return np.where(np.isnat(ticks), np.nan, ticks.astype(np.int64) / _TICKS[unit])


def category_counts(column: "pd.Series[Any]") -> tuple[list[str], NDArray[np.int64]]:
    """Different values of a column as text, sorted, and how often each occurs; nulls left out.

    Raises
    ------
    DataError
        The column holds lists, dicts or other values that are not plain.
    """
    _check_plain(column)
    found = column.value_counts(sort=False, dropna=True)
    counted: dict[str, int] = {}
    for value, count in zip(found.index, found.to_numpy(), strict=True):
        if count:
            counted[str(value)] = counted.get(str(value), 0) + int(count)
    names = sorted(counted)
    return names, np.array([counted[name] for name in names], dtype=np.int64)


def new_names(counts: NDArray[np.int64]) -> float:
    """Share of further rows with a name that none had before, in [0, 1], from how often each name occurred; see `build`."""
    once = int(np.count_nonzero(counts == 1))
    return once / int(counts.sum()) if once >= ONCE else 0.0


def text_lengths(column: "pd.Series[Any]") -> tuple[NDArray[np.float64], list[str]]:
    """Characters of each value as text, shape (rows,), NaN for nulls; and the different texts. Errors as in `category_counts`."""
    _check_plain(column)
    codes, found = pd.factorize(column)
    texts = [str(value) for value in found]
    lengths = np.array([*map(len, texts), np.nan])  # the code of a null is -1
    return lengths[codes], texts


def _check_plain(column: "pd.Series[Any]") -> None:
    odd = next((v for v in column if not pd.api.types.is_scalar(v)), None) if column.dtype == object else None
    if odd is not None:
        raise DataError(
            f"A value is a {type(odd).__name__}, and only text, numbers, dates and booleans are counted.",
            where=f"column '{column.name}'",
            fix="Turn it into one or more plain columns, or drop it.",
        )


def _number_grid(kind: Kind, values: NDArray[np.float64], bins: int) -> ColumnGrid:
    return ColumnGrid(kind, edges=_edges(ascending(values[np.isfinite(values)]), bins))


def _name_grid(column: "pd.Series[Any]", bins: int) -> ColumnGrid:
    if kind_of(column) == "boolean":
        return ColumnGrid("boolean", categories=("False", "True"))
    names, counts = category_counts(column)
    coming = 0.0 if isinstance(column.dtype, pd.CategoricalDtype) else new_names(counts)
    if coming >= FREE:
        return _number_grid("text", text_lengths(column)[0], bins)
    order = np.argsort(-counts, kind="stable")
    rest = order[CATEGORIES:]
    open_ended = rest.size > REMEMBERED or coming >= COMING
    return ColumnGrid(
        "categorical",
        categories=tuple(names[i] for i in order[:CATEGORIES]),
        others=np.unique(hash_names(() if open_ended else (names[i] for i in rest))),
        open_ended=open_ended,
    )


def _edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Edges for ascending finite values: between neighbours inside, at doubling distances outside."""
    if not values.size:
        return _with_tails(np.zeros(0), 0.0, 0.0)
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    distinct, counts = values[starts] + 0.0, np.diff(np.append(starts, values.size))
    if distinct.size <= bins:
        right = np.arange(1, distinct.size)
    else:
        share = values.size / bins
        # The outermost shares are halved down to a row: far out in a heavy tail one bin would hold most of the range.
        halves = share / np.exp2(np.arange(1, np.floor(np.log2(share)) + 1))
        targets = np.concatenate([halves[::-1], np.arange(1, bins) * share, values.size - halves])
        hit = np.searchsorted(np.cumsum(counts), targets, side="right")
        heavy = hit[counts[hit] >= 2 * share]
        right = np.unique(np.concatenate([hit, heavy + 1]))
        right = right[(right > 0) & (right < distinct.size)]
    low, high = distinct[right - 1], distinct[right]
    middle = np.minimum(low * 0.5 + high * 0.5, high)
    return _with_tails(np.where(middle > low, middle, high), float(distinct[0]), float(distinct[-1]))


def _with_tails(inner: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    # A constant has no span: its own size, or one, tells what "far" is.
    scale = high * 0.5 - low * 0.5 or abs(high) * 0.5 or 0.5
    with np.errstate(over="ignore"):
        below, above = low - 2.0 * scale * TAIL, high + 2.0 * scale * TAIL
    beyond = np.nextafter(high, np.inf)
    edges = np.concatenate([below[below < low], [low], inner, [beyond], above[above > beyond]])
    return np.unique(edges[np.isfinite(edges)])


def _column_to_json(column: ColumnGrid) -> dict[str, Any]:
    if column.edges is not None:
        return {"kind": column.kind, "edges": column.edges.tolist()}
    return {
        "kind": column.kind,
        "categories": list(column.categories or ()),
        "others": column.others.tolist(),
        "open_ended": column.open_ended,
    }


def _column_from_json(entry: dict[str, Any]) -> ColumnGrid:
    if "edges" in entry:
        return ColumnGrid(entry["kind"], edges=np.array(entry["edges"], dtype=np.float64))
    others = np.array(entry["others"], dtype=np.uint64)
    return ColumnGrid(entry["kind"], None, tuple(entry["categories"]), others, bool(entry["open_ended"]))
