"""Small steps of numeric features, within what was observed of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mlpipe.core.scored import Floats

NORMAL = 1.349
"""Interquartile range of a normal distribution, in standard deviations."""


def spread(values: Floats) -> float:
    """A robust standard deviation: the interquartile range by that of a normal distribution, or where that is 0 the usual one.

    Parameters
    ----------
    values
        Shape (n,). Nulls and infinities are left out.

    Returns
    -------
    float
        At least 0; 0 for fewer than two different numbers.
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return 0.0
    low, high = np.quantile(known, [0.25, 0.75])
    return float(high - low) / NORMAL or float(np.std(known))


def step_of(values: Floats, epsilon: float) -> float:
    """Size of a small step: `epsilon` times the spread, and at least 1 where all values are whole."""
    size = epsilon * spread(values)
    known = values[np.isfinite(values)]
    whole = len(known) > 0 and bool((known == np.round(known)).all())
    return max(float(np.round(size)), 1.0) if whole and size > 0 else size


def steps(rows: pd.DataFrame, numbers: Sequence[str], epsilon: float) -> dict[str, tuple[Floats, Floats]]:
    """Values of each numeric feature that varies, moved by a small step up, and down.

    Parameters
    ----------
    rows
        Shape (n, features), n at least 1.
    numbers
        Names of the numeric features.
    epsilon
        See `step_of`.

    Returns
    -------
    dict
        By feature two arrays of shape (n,). No value leaves the range of the observed ones; a null stays.
    """
    moved = {}
    for name in numbers:
        values = rows[name].to_numpy(dtype="float64", na_value=np.nan)
        size = step_of(values, epsilon)
        if size > 0:
            known = values[np.isfinite(values)]
            up, down = (np.clip(values + s, known.min(), known.max()) for s in (size, -size))
            moved[name] = up, down
    return moved


def together(rows: pd.DataFrame, moved: Mapping[str, tuple[Floats, Floats]], gains: Floats) -> pd.DataFrame:
    """The rows with every feature moved at once, each the way that helps more; one that no step helps stays.

    Parameters
    ----------
    rows
        Shape (n, features).
    moved
        What `steps` gave.
    gains
        Shape (2 * features moved, n): what each single step gained, up and down in turn.
    """
    out = {}
    for i, (name, (up, down)) in enumerate(moved.items()):
        rise, fall = gains[2 * i], gains[2 * i + 1]
        still = rows[name].to_numpy(dtype="float64", na_value=np.nan)
        out[name] = np.where(np.maximum(rise, fall) <= 0, still, np.where(rise >= fall, up, down))
    return rows.assign(**out)
