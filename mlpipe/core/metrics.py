"""Values of metrics on rows under any row weights.

A metric is defined once, as per-row sums, as an area under a ranking curve or as a quantile, and that one definition gives both the
plain value and the value of a thousand resamples at once (see `mlpipe.core.bootstrap`).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.blame import users_line
from mlpipe.core.catalogue import DEFAULTS, METRICS, Custom, Metric, custom, resolve, wrong_name
from mlpipe.core.formulas import Quantile, Ranking
from mlpipe.core.pairs import wins, worthwhile
from mlpipe.core.scored import Floats, Scored, Task, finite_numbers
from mlpipe.errors import DataError, MlpipeError, UserCodeError

__all__ = [
    "DEFAULTS",
    "METRICS",
    "Metric",
    "Scored",
    "Task",
    "custom",
    "evaluate",
    "evaluate_resamples",
    "resampler",
    "resolve",
    "wrong_name",
]

Resampler = Callable[[Floats], Floats]

CELLS = 1 << 14
"""Weights of at most this many rows times resamples are held at once: they stay in the processor's cache."""


def evaluate(
    scored: Scored, names: Iterable[str | Metric], weights: ArrayLike | None = None
) -> dict[str, float]:
    """Values of metrics on weighted rows.

    Parameters
    ----------
    scored
        n rows.
    names
        Names in `METRICS`, or metrics made by `custom`.
    weights
        Shape (n,), finite and >= 0; None counts each row once. A row of weight 0 does not exist.

    Returns
    -------
    dict
        Value by name, nan where undefined. Equal to scikit-learn's with ``sample_weight`` and ``zero_division=nan`` within 1e-12,
        where defined; log_loss clips probabilities at float64's epsilon as it does.

    Raises
    ------
    NotFoundError
        An unknown name.
    DataError
        A metric of another task, labels wanted without a threshold, or weights that do not fit.
    UserCodeError
        A function of the user's raised, or gave no number.
    """
    row = None if weights is None else finite_numbers(weights, "the row weight")
    if row is not None and (row.shape != scored.y.shape or np.any(row < 0)):
        raise DataError(
            f"row weights of shape {row.shape} do not fit {len(scored.y)} rows, or are negative",
            fix="Give one weight >= 0 a row.",
        )
    out = {}
    for metric in (resolve(name, scored.task) for name in names):
        out[metric.name] = _value(metric, scored, row)
    return out


def _value(metric: Metric, scored: Scored, weights: Floats | None) -> float:
    method = metric.method
    if not len(scored.y) or (weights is not None and not weights.any()):
        return float("nan")
    if isinstance(method, Custom):
        return _blaming(metric, method, scored, weights)
    if isinstance(method, Ranking):
        rows = np.ones(len(scored.y)) if weights is None else weights
        return float(_ranked(method, scored, np.arange(len(rows)))(rows[None])[0])
    if isinstance(method, Quantile):
        rows = np.ones(len(scored.y)) if weights is None else weights
        return float(_quantile(method, scored, np.arange(len(rows)))(rows[None])[0])
    sums = [float(np.sum(c if weights is None else c * weights)) for c in method.columns(scored)]
    return float(method.finish(np.array(sums)[:, None])[0])


def evaluate_resamples(
    scored: Scored, name: str | Metric, weights: Floats, codes: NDArray[np.int64] | None = None
) -> Floats:
    """Values (R,) of one metric under R sets of weights.

    Parameters
    ----------
    scored
        n rows.
    name
        A name in `METRICS`, or a metric made by `custom`.
    weights
        Shape (R, n), a weight for each row; or with `codes` shape (R, B), a weight for each block. Finite and >= 0.
    codes
        Shape (n,): the block 0..B-1 of each row.
    """
    rows = np.arange(len(scored.y)) if codes is None else codes
    values = resampler(scored, resolve(name, scored.task), rows, weights.shape[1])
    return values(np.asarray(weights, dtype=np.float64))


def resampler(
    scored: Scored, metric: Metric, codes: NDArray[np.int64], blocks: int, rows: Floats | None = None
) -> Resampler:
    """Function from weights of blocks (R, B) to values (R,), with all work that does not depend on the weights done once.

    `rows` (n,) are weights of the rows within their blocks, 1 where there are none; of sums and rankings only.
    """
    method = metric.method
    if rows is not None and isinstance(method, Custom | Quantile):
        raise DataError(
            f"metric '{metric.name}' knows no weights of rows within blocks",
            fix="Name a metric made of sums or ranks.",
        )
    if not len(scored.y):
        return lambda weights: np.full(len(weights), np.nan)
    if isinstance(method, Custom):
        return lambda weights: np.array([_tolerant(metric, method, scored, w[codes]) for w in weights])
    if isinstance(method, Ranking):
        return _ranked(method, scored, codes, rows)
    if isinstance(method, Quantile):
        return _quantile(method, scored, codes)
    finish = method.finish
    weighted = (c if rows is None else c * rows for c in method.columns(scored))
    sums = np.array([np.bincount(codes, weights=c, minlength=blocks) for c in weighted])
    return lambda weights: finish(sums @ weights.T)


def _ranked(
    method: Ranking, scored: Scored, codes: NDArray[np.int64], rows: Floats | None = None
) -> Resampler:
    order = np.lexsort((codes, -scored.score))
    score, codes, positive = scored.score[order], codes[order], scored.y[order] == 1
    new_score = np.append(True, np.diff(score) != 0)
    # Rows of one score and one block always weigh the same: they are counted once, which also bounds the size of a tie.
    first = np.flatnonzero(new_score | np.append(True, np.diff(codes) != 0))
    held = 1.0 if rows is None else rows[order]
    positives, negatives = (np.add.reduceat(side * held, first) for side in (positive, ~positive))
    codes, cuts = codes[first], np.append(np.flatnonzero(new_score[first]), len(first))
    counted = cache(partial(wins, positives, negatives, codes, cuts))

    def values(weights: Floats) -> Floats:
        blocks = weights.shape[1]
        if method.pairs and worthwhile(len(weights), blocks, len(codes)):
            tp, fp = (weights @ np.bincount(codes, side, blocks) for side in (positives, negatives))
            return method.finish(np.sum(weights @ counted(blocks) * weights, axis=1), tp, fp)
        drawn = np.ascontiguousarray(weights.T)
        area, tp, fp = np.zeros((3, len(weights)))
        for starts in _stretches(cuts, max(1, CELLS // max(1, len(weights)))):
            here = slice(starts[0], starts[-1])
            rows = drawn[codes[here]]
            p, q = rows * positives[here, None], rows * negatives[here, None]
            if len(starts) <= len(rows):
                p, q = (np.add.reduceat(x, starts[:-1] - starts[0], axis=0) for x in (p, q))
            area = method.merge(area, method.part(p, q, tp, fp))
            tp, fp = tp + p.sum(axis=0), fp + q.sum(axis=0)
        return method.finish(area, tp, fp)

    return values


def _quantile(method: Quantile, scored: Scored, codes: NDArray[np.int64]) -> Resampler:
    found = method.values(scored)
    order = np.argsort(found, kind="stable")
    found, codes = found[order], codes[order]

    def values(weights: Floats) -> Floats:
        out = np.full(len(weights), np.nan)
        step = max(1, CELLS * 8 // len(found))
        for start in range(0, len(weights), step):
            upto = np.cumsum(weights[start : start + step][:, codes], axis=1)
            # Sums of weights are rounded: what lacks no more than that has been reached.
            reached = upto >= method.at * upto[:, -1:] * (1 - 1e-12)
            place = np.argmax(reached, axis=1)
            out[start : start + step] = np.where(upto[:, -1] > 0, found[place], np.nan)
        return out

    return values


def _stretches(cuts: NDArray[np.intp], step: int) -> Iterator[NDArray[np.intp]]:
    """Starts of neighbouring cuts, with their common end last, that hold at most `step` rows or are a single cut."""
    begin = 0
    while begin < len(cuts) - 1:
        end = max(begin + 1, int(np.searchsorted(cuts, cuts[begin] + step, side="right")) - 1)
        yield cuts[begin : end + 1]
        begin = end


def _call(metric: Metric, method: Custom, scored: Scored, weights: Floats | None) -> float:
    y, guess = scored.y, scored.labels if metric.needs == "label" else scored.score
    if weights is None and not method.weights:
        value = method.function(y, guess)
    elif method.weights:
        weights = np.ones(len(y)) if weights is None else weights
        kept = weights > 0
        value = method.function(y[kept], guess[kept], **{method.weights: weights[kept]})
    elif weights is not None and np.array_equal(weights, np.rint(weights)):
        rows = np.repeat(np.arange(len(y)), weights.astype(np.int64))
        value = method.function(y[rows], guess[rows])
    else:
        raise DataError(
            f"metric '{metric.name}' takes no row weights",
            fix="Give its function a third parameter 'weights'.",
        )
    if not isinstance(value, (int, float, np.number)):
        raise UserCodeError(
            f"metric '{metric.name}' gave {value!r}", fix="Return a number, nan where it is undefined."
        )
    return float(value)


def _blaming(metric: Metric, method: Custom, scored: Scored, weights: Floats | None) -> float:
    try:
        return _call(metric, method, scored, weights)
    except MlpipeError:
        raise
    except Exception as error:  # the boundary to the user's code
        text = str(error).strip()
        raise UserCodeError(
            f"metric '{metric.name}' raised {type(error).__name__}" + (f": {text}" if text else ""),
            where=users_line(error),
            fix="Mend its function; it may return nan where it is undefined.",
        ) from error


def _tolerant(metric: Metric, method: Custom, scored: Scored, weights: Floats) -> float:
    if not weights.any():
        return float("nan")
    try:
        return _blaming(metric, method, scored, weights)
    except UserCodeError as error:
        # In a resample one class alone may be left, of which many a metric knows no value.
        if isinstance(error.__cause__, ValueError | ArithmeticError):
            return float("nan")
        raise
