"""Missing values by the reason why they are missing: numbers to take their place, learned from some rows and used on others.

References: Rubin, Inference and missing data (1976), for the three mechanisms; van Buuren, Flexible imputation of missing data (2018),
chapter 4, for chained regressions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ROUNDS, TOLERANCE, RIDGE = 10, 1e-3, 1.0
MOST_ROWS = 100_000
"""A regression is learned from at most about so many rows, evenly spread."""


@dataclass(frozen=True, eq=False)
class Chained:
    """Regressions of t columns on the p - 1 others, in r rounds: each round starts from what the one before it filled in.

    Attributes
    ----------
    targets
        Shape (t,), int64: the columns that are predicted, in their order.
    start
        Shape (p,): what missing values are taken for before the first round.
    weights
        Shape (r, t, p): slopes; that of a column on itself is 0.
    levels
        Shape (r, t): intercepts.
    low, high
        Shape (t,): range of the observed values, which no prediction leaves.
    """

    targets: NDArray[np.int64]
    start: FloatArray
    weights: FloatArray
    levels: FloatArray
    low: FloatArray
    high: FloatArray


def middle(values: FloatArray) -> float:
    """Median of the finite values; NaN when there is none. Stands for what is missing completely at random."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan")
    with np.errstate(over="ignore"):
        found = float(np.median(finite))
    # The mean of the two in the middle may be beyond the greatest number, though neither is.
    return found if np.isfinite(found) else 2 * float(np.median(finite / 2))


def outside(values: FloatArray) -> float:
    """A number below all finite values, as far as they reach: it stands for what is missing for a reason of its own. NaN without any."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan")
    low, high = float(finite.min()), float(finite.max())
    made = low - (high - low or max(abs(low), 1.0))
    return made if np.isfinite(made) else float(np.finfo("float64").min)


def chain(rows: FloatArray, targets: Sequence[int]) -> Chained:
    """Learn how some columns follow from the others: ridge regressions on standardised columns, in rounds until little changes.

    Parameters
    ----------
    rows
        Shape (n, p), n >= 1. NaN and infinities are missing; each column holds a finite value. Columns that are no targets are taken for
        their median where they are missing.
    targets
        Columns to predict.
    """
    rows = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    known = np.isfinite(rows)
    start = np.array([middle(column) for column in rows.T])
    filled = np.where(known, rows, start)
    observed = [rows[known[:, j], j] for j in targets]
    low, high = (np.array([edge(v) if len(v) else 0.0 for v in observed]) for edge in (np.min, np.max))
    scale = np.array([np.abs(v).max(initial=0.0) for v in observed])
    weights, levels = [], []
    for _ in range(ROUNDS):
        before = filled.copy()
        round_weights, round_levels = np.zeros((len(targets), rows.shape[1])), np.zeros(len(targets))
        for t, j in enumerate(targets):
            round_weights[t], round_levels[t] = _regression(filled, rows[:, j], known[:, j], j, start[j])
            filled[:, j] = _predicted(
                filled, rows[:, j], known[:, j], round_weights[t], round_levels[t], low[t], high[t]
            )
        weights.append(round_weights)
        levels.append(round_levels)
        if (np.abs(filled - before).max(axis=0)[list(targets)] <= TOLERANCE * scale).all():
            break
    return Chained(np.array(targets, dtype="int64"), start, np.array(weights), np.array(levels), low, high)


def filled(rows: FloatArray, chained: Chained) -> FloatArray:
    """The rows with what is missing in the target columns predicted; what else is missing stays so.

    Parameters
    ----------
    rows
        Shape (n, p), n >= 0, with the columns that `chain` saw. NaN is missing; an infinity is left as it is.
    """
    known = np.isfinite(rows)
    work = np.where(known, rows, chained.start)
    for weights, levels in zip(chained.weights, chained.levels, strict=True):
        for t, j in enumerate(chained.targets):
            work[:, j] = _predicted(
                work, rows[:, j], known[:, j], weights[t], levels[t], chained.low[t], chained.high[t]
            )
    out = rows.copy()
    for j in chained.targets:
        out[:, j] = np.where(np.isnan(rows[:, j]), work[:, j], rows[:, j])
    return out


def _regression(
    filled: FloatArray, values: FloatArray, known: NDArray[np.bool_], column: int, default: float
) -> tuple[FloatArray, float]:
    """Slopes and intercept of one column on the others, from the rows in which it is known; none when numbers overflow."""
    others = np.flatnonzero(np.arange(filled.shape[1]) != column)
    weights = np.zeros(filled.shape[1])
    given, wanted = filled[known][:, others], values[known]
    if not len(wanted):
        return weights, default
    with np.errstate(all="ignore"):
        centre, spread = given.mean(axis=0), given.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        scaled = (given - centre) / spread
        level = wanted.mean()
        square = scaled.T @ scaled + RIDGE * np.eye(len(others))
        slopes = np.full(len(others), np.nan)
        if np.isfinite(square).all():
            slopes = np.linalg.solve(square, scaled.T @ (wanted - level)) / spread
        level = level - centre @ slopes
    if not np.isfinite(slopes).all() or not np.isfinite(level):
        return weights, default
    weights[others] = slopes
    return weights, float(level)


def _predicted(
    filled: FloatArray,
    values: FloatArray,
    known: NDArray[np.bool_],
    weights: FloatArray,
    level: float,
    low: float,
    high: float,
) -> FloatArray:
    with np.errstate(all="ignore"):
        told = np.clip(np.nan_to_num(filled @ weights + level, nan=level), low, high)
    return np.where(known, values, told)
