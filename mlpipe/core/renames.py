"""Whether a column that went and one that came are the same column by another name: a hint, from their values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlpipe.core.drift import MODERATE, compare
from mlpipe.core.grid import build, kind_of, settled
from mlpipe.core.profile import profile
from mlpipe.core.rowdiff import equal

MOSTLY = 0.95
"""Share of met rows that must hold the same value."""
NULLS = 0.05
"""Null rates further apart than this are of two columns."""


@dataclass(frozen=True)
class Rename:
    """A column that may have another name now, and why: by the same values in rows with the same key, or by how they are distributed."""

    before: str
    after: str
    why: str


def renames(old: pd.DataFrame, new: pd.DataFrame, keys: Sequence[str] = ()) -> list[Rename]:
    """Columns of `old` that `new` may have by another name.

    Parameters
    ----------
    old, new
        Tables of any length.
    keys
        Columns that identify a row. Where both tables have rows in common, values are compared row by row; else distributions are.

    Returns
    -------
    list of Rename
        Each column stands in one hint at most, the best one of both. Columns with less than two different values tell nothing.
    """
    gone = [str(c) for c in old.columns if c not in new]
    came = [str(c) for c in new.columns if c not in old]
    by = [k for k in keys if k in old and k in new]
    scored = []
    for before in gone:
        for after in came:
            found = _alike(old, new, before, after, by)
            if found is not None:
                scored.append((found[0], before, after, found[1]))
    used: set[tuple[str, str]] = set()
    hints = []
    for _, before, after, why in sorted(scored, key=lambda s: (-s[0], s[1], s[2])):
        if ("old", before) in used or ("new", after) in used:
            continue
        used |= {("old", before), ("new", after)}
        hints.append(Rename(before, after, why))
    return hints


def _alike(
    old: pd.DataFrame, new: pd.DataFrame, before: str, after: str, keys: list[str]
) -> tuple[float, str] | None:
    """How alike two columns are, in [0, 2], and why; None where they are not."""
    left, right = settled(old[before]), settled(new[after])
    if kind_of(left) != kind_of(right) or left.nunique() < 2 or right.nunique() < 2:
        return None
    met = _met(old, new, before, after, keys)
    if met is not None and len(met) >= 2:
        share = float(np.mean(equal(met["before"], met["after"])))
        # Of few different values many are equal by chance; those of a random order would be.
        chance = float((met["before"].value_counts(normalize=True) ** 2).sum())
        if share >= MOSTLY and share > chance:
            return 1 + share, f"{share:.0%} of {len(met):,} rows with the same key hold the same value"
        return None
    drift = _drift(left, right)
    if math.isnan(drift) or drift >= MODERATE:
        return None
    return 1 - drift, f"their values are distributed alike (PSI {drift:.3f})"


def _met(
    old: pd.DataFrame, new: pd.DataFrame, before: str, after: str, keys: list[str]
) -> pd.DataFrame | None:
    if not keys or old.duplicated(keys).any() or new.duplicated(keys).any():
        return None
    left = old[[*keys, before]].rename(columns={before: "before"})
    right = new[[*keys, after]].rename(columns={after: "after"})
    return left.merge(right, on=keys)


def _drift(left: "pd.Series", right: "pd.Series") -> float:
    """PSI between two columns; NaN where one has no rows, or their null rates are apart."""
    if not len(left) or not len(right) or abs(left.isna().mean() - right.isna().mean()) > NULLS:
        return math.nan
    one, other = (pd.DataFrame({"value": c.reset_index(drop=True)}) for c in (left, right))
    grid = build(one)
    return compare(grid, profile(one, grid), profile(other, grid))["value"].psi
