"""Block bootstrap: how sure a metric is, and whether one model is better than another, when rows of one block belong together.

Rows of one day (or one customer) are alike, so whole blocks are drawn, never rows: a resample draws B of the B blocks with
replacement, and each row weighs as often as its block was drawn. Resamples are weights, so no rows are copied.

The interval of a metric takes quantiles of the resamples: plain ones, or those of BCa, which allow for a bias and for a spread that
changes with the value [1]_ [5]_. With few blocks both are too narrow [2]_, and on fewer than `FEW` the result says so in its `note`.
Measured, in 2,000 simulations of intervals at 95%: of 300 rows drawn one by one AUC, F1, accuracy and recall are held in 94.2 to 95.0%
(BCa 94.4 to 95.4%). A mean of 8 blocks is held in 87% (BCa 88%), of 14 in 92% (92%), of 20 in 92% (93%), of 40 in 93% (94%). Of 1,000 rows
of which some ten are positive recall is held in 91%, AUC in 90%, F1 in 93% (BCa 94, 93 and 96%; 1,000 simulations).

A comparison decides, so it takes a t interval instead: ``difference -+ t(level, B - 1) * sqrt(B / (B - 1)) * SE``, where SE is the
standard deviation of the resampled differences. Resampled blocks vary by ``(B - 1) / B`` of what blocks vary by, which the root makes
good, and the t quantile makes good that the spread is estimated from B blocks [3]_ [4]_. Quantiles far out in the tail need no more
resamples, for only the spread is resampled. What is assumed is that the difference varies about as a normal one, which many blocks
bring about and few need not: on few blocks a comparison notes that.

References
----------
.. [1] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
.. [2] Cameron, Gelbach and Miller, "Bootstrap-based improvements for inference with clustered errors", Review of Economics and
   Statistics 90(3), 2008.
.. [3] Hesterberg, "What Teachers Should Know About the Bootstrap: Resampling in the Undergraduate Statistics Curriculum", The American
   Statistician 69(4), 2015 (the t interval with bootstrap standard error, and the narrowness of small samples).
.. [4] Cameron and Miller, "A Practitioner's Guide to Cluster-Robust Inference", Journal of Human Resources 50(2), 2015, section VI
   (few clusters: t with B - 1 degrees of freedom).
.. [5] Efron, "Better bootstrap confidence intervals", Journal of the American Statistical Association 82(397), 1987.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.metrics import Metric, resampler, resolve
from mlpipe.core.scored import Floats, Scored, coded
from mlpipe.errors import DataError, did_you_mean

FEW = 20
"""Below this many blocks a result notes what that does to its interval."""
DRAWS = 1 << 21
"""At most this many blocks are drawn at once, which bounds memory to some 50 MB; the result does not depend on it."""
JACKKNIFE = 2_000
"""BCa leaves out each block once, or each of so many groups of blocks where there are more."""

Method = Literal["percentile", "bca"]


@dataclass(frozen=True)
class Interval:
    """Two-sided interval of a metric; nan when it cannot be had, and then `note` says why."""

    low: float
    high: float
    level: float
    resamples: int
    blocks: int
    method: str = "percentile of a block bootstrap"
    note: str = ""


@dataclass(frozen=True)
class Paired:
    """Difference of two models on the same rows, a minus b, turned so that positive means that a is better.

    Attributes
    ----------
    difference
        On all rows, in units of the metric; nan where undefined.
    low, high
        Two-sided t interval at `level`.
    lower_bound
        One-sided t bound: with confidence `level` the difference lies above it.
    rival
        Value of b on all rows, in units of the metric; nan where undefined.
    """

    difference: float
    low: float
    high: float
    lower_bound: float
    level: float
    resamples: int
    blocks: int
    note: str = ""
    rival: float = math.nan


def interval(
    scored: Scored,
    name: str | Metric,
    blocks: ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    method: Method = "percentile",
    seed: int,
) -> Interval:
    """Interval of one metric, from quantiles of resamples.

    Parameters
    ----------
    scored
        n rows.
    name
        A name in `mlpipe.core.metrics.METRICS`, or a metric made by `custom`.
    blocks
        Shape (n,): the day or entity of each row, of any type that sorts. Rows with a null block form one block together.
    resamples
        At least 1.
    level
        In (0, 1).
    method
        ``percentile``, or ``bca``: better centred where a metric is biased or skewed, as near its end; it costs one more value a block, and
        wants 2,000 resamples or more.
    seed
        The same seed draws the same blocks, in whatever order the rows come.

    Returns
    -------
    Interval
        Undefined resamples are left out; when they are more than ``1 - level`` of all, both ends are nan. So they are with fewer
        than two blocks, and with BCa when all resamples lie on one side of the value.

    Raises
    ------
    DataError
        Blocks that do not fit the rows, a `resamples` or `level` out of range, or an unknown method.
    """
    if method not in get_args(Method):
        raise DataError(f"unknown method '{method}'", fix=did_you_mean(method, get_args(Method)))
    codes, count = numbered(blocks, len(scored.y), resamples, level)
    metric = resolve(name, scored.task)
    if count < 2:
        return Interval(np.nan, np.nan, level, 0, count, note=_too_few(count))
    value_of = resampler(scored, metric, codes, count)
    values = drawn([value_of], count, resamples, seed)[0]
    at = [(1 - level) / 2, (1 + level) / 2]
    told = f"{'BCa' if method == 'bca' else method} of a block bootstrap"
    if method == "bca":
        at = _bca(at, values, float(value_of(np.ones((1, count)))[0]), _left_out(value_of, count))
    if not np.isfinite(at).all():
        note = "All resamples lie on one side of the value."
        return Interval(math.nan, math.nan, level, resamples, count, told, note)
    (low, high), note = quantiles(values, level, count, at)
    return Interval(low, high, level, resamples, count, told, note)


def paired(
    scored_a: Scored,
    scored_b: Scored,
    name: str | Metric,
    blocks: ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int,
) -> Paired:
    """Compare two models on the same rows, with the same resampled blocks for both.

    Parameters are those of `interval`; `scored_a` and `scored_b` must hold the same truth in the same order, and may have different
    scores and thresholds. Some 1,000 resamples do at any level: the spread is then known to some 2% of itself.

    Returns
    -------
    Paired
        Undefined resamples are left out; when they are more than ``1 - level`` of all, or fewer than two are left, interval and bound
        are nan. So they are with fewer than two blocks.

    Raises
    ------
    DataError
        The two judge different rows, or as for `interval`.
    """
    if scored_a.classes != scored_b.classes or not np.array_equal(scored_a.y, scored_b.y):
        raise DataError(
            "the two models were not scored on the same rows and classes",
            fix="Score both on the same rows in the same order, with the same classes, before comparing them.",
        )
    codes, count = numbered(blocks, len(scored_a.y), resamples, level)
    metric = resolve(name, scored_a.task)
    both = [resampler(s, metric, codes, count) for s in (scored_a, scored_b)]
    a, b = (f(np.ones((1, count))) for f in both)
    difference, rival = float(metric.sign * minus(a, b)[0]), float(b[0])
    if count < 2:
        nan = math.nan
        return Paired(difference, nan, nan, nan, level, 0, count, _too_few(count), rival)
    values_a, values_b = drawn(both, count, resamples, seed)
    error, note = spread(metric.sign * minus(values_a, values_b), level, count)
    # scipy is slow to import, and whoever only writes or reads a specification compares nothing.
    from scipy.special import stdtrit

    side, end = (error * float(stdtrit(count - 1, at)) for at in ((1 + level) / 2, level))
    low, high, bound = difference - side, difference + side, difference - end
    return Paired(difference, low, high, bound, level, resamples, count, note, rival)


def numbered(blocks: ArrayLike, rows: int, resamples: int, level: float) -> tuple[NDArray[np.int64], int]:
    """Number of the block of each row, and how many blocks there are. Raises as `interval` does."""
    values = np.asarray(blocks)
    if values.shape != (rows,):
        raise DataError(f"blocks of shape {values.shape} do not fit {rows} rows", fix="Give one block a row.")
    if resamples < 1 or not 0 < level < 1:
        raise DataError(
            f"{resamples} resamples at level {level} are no bootstrap",
            fix="Give at least one resample, and a level between 0 and 1.",
        )
    codes, names = coded(values)
    return codes, len(names)


def _draws(blocks: int, resamples: int, seed: int, size: int) -> Iterator[Floats]:
    """How often each block was drawn, `size` of them at a time, in pieces of shape (r, B)."""
    rng = np.random.default_rng(seed)
    step = max(1, DRAWS // max(blocks, size))
    for start in range(0, resamples, step):
        r = min(step, resamples - start)
        places = rng.integers(0, blocks, size=(r, size)) + blocks * np.arange(r)[:, None]
        yield np.bincount(places.ravel(), minlength=r * blocks).reshape(r, blocks).astype(np.float64)


def drawn(
    functions: list[Callable[[Floats], Floats]],
    blocks: int,
    resamples: int,
    seed: int,
    size: int | None = None,
) -> list[Floats]:
    """Values (R,) of each function of block weights, in the same resamples; of `size` blocks each, of all where None."""
    pieces = [[f(counts) for f in functions] for counts in _draws(blocks, resamples, seed, size or blocks)]
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _bca(at: list[float], values: Floats, value: float, left_out: Floats) -> list[float]:
    """Quantiles to take in place of those `at`: Efron's, with bias from the resamples and acceleration from the jackknife."""
    from scipy.special import ndtr, ndtri

    defined = values[np.isfinite(values)]
    # A draw that holds each block once has the value itself, but for the rounding of its sums.
    off = np.where(np.isclose(defined, value, rtol=1e-12, atol=0), 0.0, defined - value)
    below = (np.sum(off < 0) + np.sum(off <= 0)) / (2 * max(len(defined), 1))
    influence = (
        np.nanmean(left_out) - left_out[np.isfinite(left_out)] if np.isfinite(left_out).any() else np.zeros(1)
    )
    spread_of = float(np.sum(influence**2)) ** 1.5
    acceleration = float(np.sum(influence**3)) / (6 * spread_of) if spread_of > 0 else 0.0
    bias = float(ndtri(below))
    if not math.isfinite(bias):
        return [math.nan, math.nan]
    moved = [bias + float(ndtri(a)) for a in at]
    return [float(ndtr(bias + m / (1 - acceleration * m))) for m in moved]


def _left_out(value_of: Callable[[Floats], Floats], blocks: int) -> Floats:
    """Values without each block, or without each of `JACKKNIFE` groups of blocks."""
    groups = min(blocks, JACKKNIFE)
    group_of = np.arange(blocks) % groups
    step = max(1, DRAWS // blocks)
    pieces = [
        value_of((group_of != np.arange(start, min(start + step, groups))[:, None]).astype(np.float64))
        for start in range(0, groups, step)
    ]
    return np.concatenate(pieces)


def minus(a: Floats, b: Floats) -> Floats:
    """Difference of values, exactly 0 where it is no more than rounding."""
    # Equal models must differ by exactly nothing: their sums may have been rounded differently, and a gate asks for more than zero.
    return np.where(np.abs(a - b) <= 1e-12 * np.maximum(np.abs(a), np.abs(b)), 0.0, a - b)


def quantiles(values: Floats, level: float, blocks: int, at: list[float]) -> tuple[list[float], str]:
    """Quantiles of the resamples that are defined, and what is to be noted; nan when too few are."""
    defined, notes = _defined(values, level)
    if blocks < FEW:
        notes.insert(0, f"{blocks} blocks are few: the interval is likely too narrow.")
    ends = [float(q) for q in np.quantile(defined, at)] if len(defined) else [math.nan] * len(at)
    return ends, " ".join(notes)


def spread(differences: Floats, level: float, blocks: int) -> tuple[float, str]:
    """Standard error of a difference of `blocks` blocks; nan when it cannot be had."""
    defined, notes = _defined(differences, level)
    if blocks < FEW:
        notes.insert(0, f"{blocks} blocks are few: the bound holds if their differences vary about normally.")
    error = float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan
    return math.sqrt(blocks / (blocks - 1)) * error, " ".join(notes)


def _defined(values: Floats, level: float) -> tuple[Floats, list[str]]:
    """The resamples in which the metric is defined, none when too few are; and what is to be noted."""
    defined = values[np.isfinite(values)]
    lost = len(values) - len(defined)
    notes = [f"The metric is undefined in {lost} of {len(values)} resamples."] if lost else []
    return (defined[:0] if lost > (1 - level) * len(values) else defined), notes


def _too_few(blocks: int) -> str:
    return f"{blocks} block{'' if blocks == 1 else 's'}: an interval needs at least two."
