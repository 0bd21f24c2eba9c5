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
    up over cuts; `finish` maps the whole area and the weights of all positives and negatives, each (R,), to values (R,).
    """

    part: Callable[[Floats, Floats, Floats, Floats], Floats]
    finish: Callable[[Floats, Floats, Floats], Floats]


def ratio(over: Floats, under: Floats) -> Floats:
    """Quotients, nan where the divisor is zero."""
    out: Floats = np.full(np.shape(under), np.nan)
    return np.divide(over, under, out=out, where=under != 0)


def _ones(s: Scored) -> Floats:
    return np.ones(len(s.y))


def _mean(totals: Floats) -> Floats:
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


def _mape(totals: Floats) -> Floats:
    return np.where(totals[2] > 0, np.nan, _mean(totals))


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


ROC_AUC = Ranking(_roc_part, _roc_auc)
PR_AUC = Ranking(_precision_part, _pr_auc)
LOG_LOSS = Additive(_log_losses, _mean)
BRIER = Additive(_squares, _mean)
ACCURACY = Additive(_correct, _mean)
PRECISION = Additive(_confusion, _precision)
RECALL = Additive(_confusion, _recall)
F1 = Additive(_confusion, _f1)
BALANCED_ACCURACY = Additive(_confusion, _balanced_accuracy)
MACRO_F1 = Additive(_confusion, _macro_f1)
RMSE = Additive(_squares, lambda totals: np.sqrt(_mean(totals)))
MAE = Additive(_absolutes, _mean)
R2 = Additive(_variances, _r2)
MAPE = Additive(_relatives, _mape)
