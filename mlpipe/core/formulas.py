"""Formulas of the built-in metrics, each written once for any number of row weightings.

An additive metric is a function of weighted sums over rows; a ranking metric is an area under a curve over descending scores. Nothing
here loops over resamples.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipe.core.scored import Floats, Scored
from mlpipe.errors import DataError

_EPS = float(np.finfo(np.float64).eps)
Columns = Iterator[NDArray[Any]]


@dataclass(frozen=True)
class Additive:
    """A metric that is a function of weighted sums over rows: `columns` gives m arrays (n,), `finish` maps (m, R) to (R,)."""

    columns: Callable[[Scored], Iterable[NDArray[Any]]]
    finish: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Ranking:
    """An area under a curve over cuts of descending scores.

    `part` maps the weights (cuts, R) of positives and negatives at some cuts, and those (R,) at all cuts above, to areas (R,) that add
    up over cuts; `finish` maps the whole area and the weights of all positives and negatives, each (R,), to values (R,). With
    ``merge=np.maximum`` the greatest part counts in place of the sum; parts are then >= 0. With `pairs` the area is the weight of
    all pairs of a positive above a negative, those of one score counted half: see `mlpipe.core.pairs`.
    """

    part: Callable[[Floats, Floats, Floats, Floats], Floats]
    finish: Callable[[Floats, Floats, Floats], Floats]
    merge: np.ufunc = np.add
    pairs: bool = False


@dataclass(frozen=True)
class Quantile:
    """A quantile of a value of each row: the smallest one that at least the share `at` of the weight does not exceed."""

    values: Callable[[Scored], Floats]
    at: float


def ratio(over: Floats, under: Floats) -> Floats:
    """Quotients, nan where the divisor is zero, or so small that they are beyond all numbers."""
    out: Floats = np.full(np.shape(under), np.nan)
    with np.errstate(over="ignore"):
        np.divide(over, under, out=out, where=under != 0)
    out[np.isinf(out)] = np.nan
    return out


def _ones(s: Scored) -> Floats:
    return np.ones(len(s.y))


def mean(totals: Floats) -> Floats:
    """First of two totals over the second."""
    return ratio(totals[0], totals[1])


def _correct(s: Scored) -> Columns:
    yield s.labels == s.y
    yield _ones(s)


def _probabilities(s: Scored) -> Floats:
    if s.score.size and (s.score.min() < -1e-6 or s.score.max() > 1 + 1e-6):
        raise DataError(
            "scores outside [0, 1] are no probabilities",
            fix="Use a model with predict_proba, or metrics of rank.",
        )
    return s.score


def _log_losses(s: Scored) -> Columns:
    p = _probabilities(s)
    given = p[np.arange(len(s.y)), s.y] if p.ndim == 2 else np.where(s.y == 1, p, 1 - p)
    yield -np.log(np.clip(given, _EPS, 1 - _EPS))
    yield _ones(s)


def _squares(s: Scored) -> Columns:
    yield ((_probabilities(s) if s.classes else s.score) - s.y) ** 2
    yield _ones(s)


def _absolutes(s: Scored) -> Columns:
    yield np.abs(s.score - s.y)
    yield _ones(s)


def _relatives(s: Scored) -> Columns:
    zero = s.y == 0
    yield np.abs(s.score - s.y) / np.where(zero, 1.0, np.abs(s.y))
    yield _ones(s)
    yield zero


def _symmetric(s: Scored) -> Columns:
    size = np.abs(s.score) + np.abs(s.y)
    yield 2 * np.abs(s.score - s.y) / np.where(size == 0, 1.0, size)
    yield _ones(s)


def _mape(totals: Floats) -> Floats:
    return np.where(totals[2] > 0, np.nan, mean(totals))


def _variances(s: Scored) -> Columns:
    # Centred on a value that occurs: a constant truth then has a variance of exactly zero, and large offsets do not cancel.
    centred = s.y - s.y[np.argmin(np.abs(s.y - s.y.mean()))] if len(s.y) else s.y
    yield (s.score - s.y) ** 2
    yield centred**2
    yield centred
    yield _ones(s)


def _r2(totals: Floats) -> Floats:
    residual, squares, sums, weight = totals
    spread = squares - np.nan_to_num(ratio(sums**2, weight))
    return 1 - ratio(residual, np.where(spread > 1e-13 * squares, spread, 0.0))


def _confusion(s: Scored) -> Columns:
    labels = s.labels
    for k in range(max(2, s.score.shape[1] if s.score.ndim == 2 else 2)):
        yield (s.y == k) & (labels == k)
        yield s.y == k
        yield labels == k


def _recall(totals: Floats) -> Floats:
    return ratio(totals[3], totals[4])


def _precision(totals: Floats) -> Floats:
    return ratio(totals[3], totals[5])


def _f1(totals: Floats) -> Floats:
    return ratio(2 * totals[3], totals[4] + totals[5])


def _mean_of_defined(values: Floats, at_least: int) -> Floats:
    defined = ~np.isnan(values)
    mean = ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0).astype(np.float64))
    return np.where(defined.sum(axis=0) >= at_least, mean, np.nan)


def _macro_f1(totals: Floats) -> Floats:
    return _mean_of_defined(ratio(2 * totals[0::3], totals[1::3] + totals[2::3]), 1)


def _balanced_accuracy(totals: Floats) -> Floats:
    return _mean_of_defined(ratio(totals[0::3], totals[1::3]), 2)


def _cumulated(x: Floats, above: Floats) -> Floats:
    out = x.copy()
    out[0] += above
    if x.shape[1] < 64:
        return np.cumsum(out, axis=0)
    # Row by row is four times as fast as numpy's cumsum along the first axis when rows are long.
    for before, here in itertools.pairwise(out):
        here += before
    return out


def _roc_part(p: Floats, q: Floats, tp: Floats, fp: Floats) -> Floats:
    # Each negative is outranked by the positives above it, and by half of those with its own score.
    area: Floats = np.einsum("gr,gr->r", q, _cumulated(p, tp) - p / 2)
    return area


def _roc_auc(area: Floats, positives: Floats, negatives: Floats) -> Floats:
    return ratio(area, positives * negatives)


def _precision_part(p: Floats, q: Floats, tp: Floats, fp: Floats) -> Floats:
    hits, predicted = _cumulated(p, tp), _cumulated(p + q, tp + fp)
    # Nothing predicted means no hits either, and so adds nothing.
    area: Floats = np.einsum("gr,gr->r", p, hits / np.maximum(predicted, np.finfo(np.float64).tiny))
    return area


def _pr_auc(area: Floats, positives: Floats, negatives: Floats) -> Floats:
    return ratio(area, positives)


def precision_at(k: float) -> Ranking:
    """Share of positives among the first k rows by score; of a tie that the k-th row lies in, its share counts."""

    def part(p: Floats, q: Floats, tp: Floats, fp: Floats) -> Floats:
        here = p + q
        above = _cumulated(here, tp + fp) - here
        taken = np.clip(k - above, 0.0, here) / np.maximum(here, np.finfo(np.float64).tiny)
        hits: Floats = np.einsum("gr,gr->r", p, taken)
        return hits

    def finish(hits: Floats, positives: Floats, negatives: Floats) -> Floats:
        return np.where(positives + negatives >= k, hits / k, np.nan)

    return Ranking(part, finish)


def recall_at_precision(least: float) -> Ranking:
    """Greatest recall of all cuts whose precision is at least `least`; 0 where none reaches it."""

    def part(p: Floats, q: Floats, tp: Floats, fp: Floats) -> Floats:
        hits, predicted = _cumulated(p, tp), _cumulated(p + q, tp + fp)
        reached = hits / np.maximum(predicted, np.finfo(np.float64).tiny) >= least
        most: Floats = np.max(np.where(reached, hits, 0.0), axis=0)
        return most

    return Ranking(part, _pr_auc, np.maximum)


def quantile_loss(at: float) -> Additive:
    """Mean pinball loss: an error of e costs ``at * e`` when the truth is higher, else ``(1 - at) * e``."""

    def columns(s: Scored) -> Columns:
        off = s.y - s.score
        yield np.where(off >= 0, at * off, (at - 1) * off)
        yield _ones(s)

    return Additive(columns, mean)


def error_quantile(at: float) -> Quantile:
    """Quantile of the absolute error."""
    return Quantile(lambda s: np.abs(s.score - s.y), at)


def certainty(s: Scored) -> tuple[Floats, NDArray[np.bool_]]:
    """Probability of what is claimed, and whether it is so: of two classes the second, of several the predicted one."""
    p = _probabilities(s)
    return (p, s.y == 1) if p.ndim == 1 else (p.max(axis=1), s.labels == s.y)


def bin_of_probability(p: Floats, bins: int) -> NDArray[np.int64]:
    """Number 0..bins-1 of the equally wide bin [0, 1/bins], (1/bins, 2/bins], … that each probability falls into."""
    return np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)


def ece(bins: int) -> Additive:
    """Expected calibration error over `bins` equally wide bins of the probability: bins do not move with the weights.

    Of several classes the probability is that of the predicted class, and it is right when that class is the true one.
    """

    def columns(s: Scored) -> Columns:
        p, right = certainty(s)
        bin_of = bin_of_probability(p, bins)
        for b in np.unique(bin_of):
            yield np.where(bin_of == b, p - right, 0.0)
        yield _ones(s)

    return Additive(columns, lambda totals: ratio(np.abs(totals[:-1]).sum(axis=0), totals[-1]))


def mean_cost(cost_of: Callable[[Scored], Floats]) -> Additive:
    """Mean of a cost of each row."""

    def columns(s: Scored) -> Columns:
        yield cost_of(s)
        yield _ones(s)

    return Additive(columns, mean)


ROC_AUC = Ranking(_roc_part, _roc_auc, pairs=True)
PR_AUC = Ranking(_precision_part, _pr_auc)
LOG_LOSS = Additive(_log_losses, mean)
BRIER = Additive(_squares, mean)
ACCURACY = Additive(_correct, mean)
PRECISION = Additive(_confusion, _precision)
RECALL = Additive(_confusion, _recall)
F1 = Additive(_confusion, _f1)
BALANCED_ACCURACY = Additive(_confusion, _balanced_accuracy)
MACRO_F1 = Additive(_confusion, _macro_f1)
RMSE = Additive(_squares, lambda totals: np.sqrt(mean(totals)))
MAE = Additive(_absolutes, mean)
R2 = Additive(_variances, _r2)
MAPE = Additive(_relatives, _mape)
SMAPE = Additive(_symmetric, mean)
