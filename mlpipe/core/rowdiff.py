"""What differs between two tables, row by row: added, removed and changed rows by key, and without keys how often each row stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EXAMPLES = 5
_TIMES = "_nth"


@dataclass(frozen=True)
class Change:
    """A cell that differs: the key of its row, its column, and the value before and after (None: null)."""

    key: tuple[Any, ...]
    column: str
    before: Any
    after: Any


@dataclass(frozen=True)
class RowDiff:
    """Rows of two tables against each other.

    Attributes
    ----------
    keys
        Columns by which rows were met; empty: whole rows were counted, and none counts as changed.
    added, removed, changed, same
        Numbers of rows. ``same`` rows are equal in all columns that both tables have.
    columns
        Of the columns that both have, in how many met rows each differs; only where it does, the most first.
    added_keys, removed_keys
        Keys of the first `EXAMPLES` of them.
    examples
        The first `EXAMPLES` cells that differ.
    repeated
        Rows whose key stands more than once in a table; they are met in their order.
    """

    keys: tuple[str, ...]
    added: int
    removed: int
    changed: int
    same: int
    columns: dict[str, int]
    added_keys: tuple[tuple[Any, ...], ...] = ()
    removed_keys: tuple[tuple[Any, ...], ...] = ()
    examples: tuple[Change, ...] = ()
    repeated: int = 0


def row_diff(old: pd.DataFrame, new: pd.DataFrame, keys: Sequence[str] = ()) -> RowDiff:
    """Compare two tables.

    Parameters
    ----------
    old, new
        Any number of rows. Columns that only one has are not compared.
    keys
        Columns that identify a row; those that a table lacks are left out, and without any whole rows are counted.

    Notes
    -----
    Nulls equal nulls, and numbers are equal when they are the same number, whatever their type. A key that stands several times is met
    first with first, second with second.
    """
    by = [k for k in keys if k in old and k in new]
    common = [c for c in old.columns if c in new and c not in by]
    if not by:
        return _counted(old, new, [c for c in old.columns if c in new])
    left, right = _numbered(old, by), _numbered(new, by)
    on = [*by, _TIMES]
    index = pd.MultiIndex.from_frame
    places = (
        index(right[on]).get_indexer(index(left[on])) if len(left) and len(right) else np.full(len(left), -1)
    )
    met = places >= 0
    before, after = left[met].reset_index(drop=True), right.iloc[places[met]].reset_index(drop=True)
    unlike = {c: ~equal(before[c], after[c]) for c in common}
    any_differs = np.logical_or.reduce([*unlike.values(), np.zeros(len(before), dtype=bool)])
    came = np.ones(len(right), dtype=bool)
    came[places[met]] = False
    counts = {c: int(mask.sum()) for c, mask in unlike.items() if mask.any()}
    return RowDiff(
        keys=tuple(by),
        added=int(came.sum()),
        removed=int((~met).sum()),
        changed=int(any_differs.sum()),
        same=int((~any_differs).sum()),
        columns=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        added_keys=_tuples(right.loc[came, by].head(EXAMPLES)),
        removed_keys=_tuples(left.loc[~met, by].head(EXAMPLES)),
        examples=tuple(_examples(before, after, by, unlike)),
        repeated=int((left[_TIMES] > 0).sum() + (right[_TIMES] > 0).sum()),
    )


def equal(left: "pd.Series[Any]", right: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Where two columns of the same length hold the same, shape (rows,): nulls equal nulls, 1 equals 1.0, text equals no number."""
    nothing = left.isna().to_numpy() & right.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(left.dtype) and pd.api.types.is_numeric_dtype(right.dtype):
        same = left.to_numpy(dtype="float64", na_value=np.nan) == right.to_numpy(
            dtype="float64", na_value=np.nan
        )
        return np.asarray(same | nothing)
    a, b = left.astype(object).to_numpy(), right.astype(object).to_numpy()
    pairs = zip(a, b, nothing, strict=True)
    # Some types refuse to be compared with others, and answer with an array or a null.
    return np.fromiter(
        (bool(n) or (x is not pd.NA and y is not pd.NA and bool(np.all(x == y))) for x, y, n in pairs),
        bool,
        len(a),
    )


def _numbered(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    out = frame.reset_index(drop=True)
    return out.assign(**{_TIMES: out.groupby(keys, dropna=False, sort=False).cumcount()})


def _counted(old: pd.DataFrame, new: pd.DataFrame, columns: list[str]) -> RowDiff:
    """Rows as a bag: how many of them the other table does not have."""
    if not columns:
        return RowDiff((), len(new), len(old), 0, 0, {})
    hashed = [
        pd.Series(pd.util.hash_pandas_object(_plain(f[columns]), index=False)).value_counts()
        for f in (old, new)
    ]
    before, after = hashed[0].align(hashed[1], fill_value=0)
    change = (after - before).to_numpy()
    added, removed = int(change[change > 0].sum()), int(-change[change < 0].sum())
    return RowDiff((), added, removed, 0, len(old) - removed, {})


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as floats and all else as text, so that the type alone makes no difference."""
    out = {}
    for name in frame.columns:
        column = frame[name]
        numeric = pd.api.types.is_numeric_dtype(column.dtype)
        out[name] = (
            column.astype("float64")
            if numeric
            else column.astype(object).where(column.notna(), None).map(str)
        )
    return pd.DataFrame(out)


def _examples(
    before: pd.DataFrame, after: pd.DataFrame, keys: list[str], unlike: dict[str, NDArray[np.bool_]]
) -> list[Change]:
    found: list[Change] = []
    for column, mask in sorted(unlike.items(), key=lambda item: -int(item[1].sum())):
        for place in np.flatnonzero(mask)[: EXAMPLES - len(found)]:
            key = tuple(_value(before[k].iloc[place]) for k in keys)
            found.append(
                Change(key, column, _value(before[column].iloc[place]), _value(after[column].iloc[place]))
            )
    return found


def _tuples(frame: pd.DataFrame) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(_value(v) for v in row) for row in frame.itertuples(index=False, name=None))


def _value(value: Any) -> Any:
    """A cell as a plain value."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
