"""Train-serve skew: whether the features of the same rows are the same by both paths, as they were served and as they are made again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.rowdiff import equal

TOLERANCE = 1e-9
"""Numbers are the same within this share of the greater: sums over rows in another order differ in the last bits."""


@dataclass(frozen=True)
class Skewed:
    """A feature that differs in `rows` of the rows that were met, a `share` in (0, 1]; of numbers by `difference` on average, else None.

    `difference` is the mean of made again less served, over those of the differing rows that have both.
    """

    column: str
    rows: int
    share: float
    difference: float | None


@dataclass(frozen=True)
class Skew:
    """What differs between two paths: features, the most rows first.

    `rows` were met, any feature of `differing` of them differs, and `alone` are on one path only.
    """

    columns: tuple[Skewed, ...]
    rows: int
    alone: int
    differing: int


def skew(served: pd.DataFrame, again: pd.DataFrame, names: Sequence[str], keys: Sequence[str]) -> Skew:
    """Compare features row by row.

    Parameters
    ----------
    served, again
        Features as they were served, and as they are made again, in any order.
    names
        Features to compare; one that a side lacks is null there in all rows.
    keys
        Columns that name a row. A key that stands more than once on a side names none, and its rows are left out.
    """
    sides = [frame.drop_duplicates(list(keys), keep=False).set_index(list(keys)) for frame in (served, again)]
    both = sides[0].index.intersection(sides[1].index, sort=False)
    left, right = (side.reindex(columns=list(names)).loc[both] for side in sides)
    found, anywhere = [], np.zeros(len(both), dtype=bool)
    for name in names:
        differs = ~equal(left[name], right[name])
        gap = _gap(left[name], right[name])
        if gap is not None:
            differs &= ~(np.abs(gap.numbers) <= gap.most)
        anywhere |= differs
        if differs.any():
            known = gap.numbers[differs & np.isfinite(gap.numbers)] if gap is not None else np.zeros(0)
            mean = float(known.mean()) if known.size else None
            found.append(Skewed(name, int(differs.sum()), float(differs.mean()), mean))
    alone = sum(len(frame) - len(both) for frame in (served, again))
    return Skew(
        tuple(sorted(found, key=lambda c: (-c.rows, c.column))), len(both), alone, int(anywhere.sum())
    )


@dataclass(frozen=True, eq=False)
class _Gap:
    """Differences of two numeric columns, shape (rows,), NaN where one has none, and how great they may be."""

    numbers: NDArray[np.float64]
    most: NDArray[np.float64]


def _gap(left: "pd.Series", right: "pd.Series") -> _Gap | None:
    if not (pd.api.types.is_numeric_dtype(left.dtype) and pd.api.types.is_numeric_dtype(right.dtype)):
        return None
    a, b = (side.to_numpy(dtype="float64", na_value=np.nan) for side in (left, right))
    with np.errstate(invalid="ignore", over="ignore"):
        return _Gap(b - a, TOLERANCE * np.fmax(np.abs(a), np.abs(b)))
