"""Metrics of a model: what each one is, which direction is better, when it is undefined, and its value under any row weights.

A metric is defined once, as per-row sums or as an area under a ranking curve, and that one definition gives both the plain value and
the value of a thousand resamples at once (see `mlpipe.core.bootstrap`).
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.core import formulas as f
from mlpipe.core.formulas import Additive, Ranking
from mlpipe.core.scored import Floats, Scored, Task, finite_numbers
from mlpipe.errors import DataError, NotFoundError, SpecError, UserCodeError, did_you_mean

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
]

Resampler = Callable[[Floats], Floats]

CELLS = 1 << 14
"""Weights of at most this many rows times resamples are held at once: they stay in the processor's cache."""


@dataclass(frozen=True)
class Custom:
    """A user's function, and the name of its parameter for row weights (empty when it takes none)."""

    function: Callable[..., Any]
    weights: str


@dataclass(frozen=True)
class Metric:
    """One metric: `undefined` says when its value is nan, `needs` whether it reads scores or labels."""

    name: str
    tasks: tuple[Task, ...]
    better: Literal["higher", "lower"]
    needs: Literal["score", "label"]
    description: str
    undefined: str
    method: Additive | Ranking | Custom

    @property
    def sign(self) -> float:
        """1.0 when higher is better, else -1.0: a difference times this is positive when it is an improvement."""
        return 1.0 if self.better == "higher" else -1.0


_EITHER: tuple[Task, ...] = ("binary", "multiclass")
_NO_ROWS, _ONE_CLASS, _NO_POSITIVE = "there are no rows", "fewer than two classes occur", "no row is positive"

_BUILT_IN: tuple[Metric, ...] = (
    Metric("roc_auc", ("binary",), "higher", "score", "share of pairs ranked rightly", _ONE_CLASS, f.ROC_AUC),
    Metric("pr_auc", ("binary",), "higher", "score", "average precision", _NO_POSITIVE, f.PR_AUC),
    Metric(
        "log_loss", _EITHER, "lower", "score", "mean -ln of the truth's probability", _NO_ROWS, f.LOG_LOSS
    ),
    Metric("brier", ("binary",), "lower", "score", "mean squared error of probability", _NO_ROWS, f.BRIER),
    Metric("accuracy", _EITHER, "higher", "label", "share of right labels", _NO_ROWS, f.ACCURACY),
    Metric(
        "precision",
        ("binary",),
        "higher",
        "label",
        "share of predicted positives that are positive",
        "no row is predicted positive",
        f.PRECISION,
    ),
    Metric("recall", ("binary",), "higher", "label", "share of positives found", _NO_POSITIVE, f.RECALL),
    Metric(
        "f1",
        ("binary",),
        "higher",
        "label",
        "harmonic mean of precision and recall",
        "no row is positive or predicted positive",
        f.F1,
    ),
    Metric(
        "balanced_accuracy",
        _EITHER,
        "higher",
        "label",
        "mean recall of classes",
        _ONE_CLASS,
        f.BALANCED_ACCURACY,
    ),
    Metric("macro_f1", ("multiclass",), "higher", "label", "mean f1 of the classes", _NO_ROWS, f.MACRO_F1),
    Metric("rmse", ("regression",), "lower", "score", "root of the mean squared error", _NO_ROWS, f.RMSE),
    Metric("mae", ("regression",), "lower", "score", "mean absolute error", _NO_ROWS, f.MAE),
    Metric(
        "r2", ("regression",), "higher", "score", "share of variance explained", "the truth is constant", f.R2
    ),
    Metric("mape", ("regression",), "lower", "score", "mean relative error", "a true value is zero", f.MAPE),
)

METRICS: Mapping[str, Metric] = MappingProxyType({m.name: m for m in _BUILT_IN})

DEFAULTS: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        "binary": (
            "roc_auc",
            "pr_auc",
            "log_loss",
            "brier",
            "f1",
            "precision",
            "recall",
            "balanced_accuracy",
            "accuracy",
        ),
        "multiclass": ("macro_f1", "accuracy", "balanced_accuracy", "log_loss"),
        "regression": ("rmse", "mae", "r2"),
    }
)
"""Metrics of each task when none are named; the first is the primary one."""


def custom(
    name: str,
    function: Callable[..., Any],
    better: Literal["higher", "lower"],
    *,
    needs: Literal["score", "label"] = "score",
    tasks: tuple[Task, ...] = get_args(Task),
    description: str = "",
) -> Metric:
    """Metric from a user's function ``f(y, score)``, or ``f(y, score, weights)``; the third may be called `sample_weight`.

    With ``needs="label"`` the function gets predicted class indices in place of scores. It returns a number, nan where undefined.
    A function without weights gets rows repeated instead. In a resample a ValueError or ArithmeticError counts as undefined.
    """
    if name in METRICS:
        raise SpecError(f"'{name}' is the name of a built-in metric", fix="Give your function another name.")
    if better not in ("higher", "lower"):
        raise SpecError(
            f"metric '{name}' must say which is better", fix='Give better="higher" or better="lower".'
        )
    known = inspect.signature(function).parameters
    weights = next((w for w in ("weights", "sample_weight") if w in known), "")
    return Metric(
        name, tasks, better, needs, description, "the function gives nan", Custom(function, weights)
    )


def resolve(name: str | Metric, task: Task) -> Metric:
    """Metric of that name, or the given one; NotFoundError when unknown, DataError when it is not for the task."""
    if isinstance(name, str) and name not in METRICS:
        raise NotFoundError(f"unknown metric '{name}'.", fix=did_you_mean(name, sorted(METRICS)))
    metric = METRICS[name] if isinstance(name, str) else name
    if task not in metric.tasks:
        fitting = ", ".join(sorted(n for n, m in METRICS.items() if task in m.tasks))
        raise DataError(f"metric '{metric.name}' is not for a {task} model", fix=f"Valid: {fitting}.")
    return metric


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
        return _call(metric, method, scored, weights)
    if isinstance(method, Ranking):
        rows = np.ones(len(scored.y)) if weights is None else weights
        return float(_ranked(method, scored, np.arange(len(rows)))(rows[None])[0])
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


def resampler(scored: Scored, metric: Metric, codes: NDArray[np.int64], blocks: int) -> Resampler:
    """Function from weights of blocks (R, B) to values (R,), with all work that does not depend on the weights done once."""
    method = metric.method
    if not len(scored.y):
        return lambda weights: np.full(len(weights), np.nan)
    if isinstance(method, Custom):
        return lambda weights: np.array([_tolerant(metric, method, scored, w[codes]) for w in weights])
    if isinstance(method, Ranking):
        return _ranked(method, scored, codes)
    finish = method.finish
    sums = np.array([np.bincount(codes, weights=c, minlength=blocks) for c in method.columns(scored)])
    return lambda weights: finish(sums @ weights.T)


def _ranked(method: Ranking, scored: Scored, codes: NDArray[np.int64]) -> Resampler:
    order = np.lexsort((codes, -scored.score))
    score, codes, positive = scored.score[order], codes[order], scored.y[order] == 1
    new_score = np.append(True, np.diff(score) != 0)
    # Rows of one score and one block always weigh the same: they are counted once, which also bounds the size of a tie.
    first = np.flatnonzero(new_score | np.append(True, np.diff(codes) != 0))
    positives = np.add.reduceat(positive.astype(np.float64), first)[:, None]
    negatives = np.add.reduceat((~positive).astype(np.float64), first)[:, None]
    codes, cuts = codes[first], np.append(np.flatnonzero(new_score[first]), len(first))

    def values(weights: Floats) -> Floats:
        drawn = np.ascontiguousarray(weights.T)
        area, tp, fp = np.zeros((3, len(weights)))
        for starts in _stretches(cuts, max(1, CELLS // max(1, len(weights)))):
            here = slice(starts[0], starts[-1])
            rows = drawn[codes[here]]
            p, q = rows * positives[here], rows * negatives[here]
            if len(starts) <= len(rows):
                p, q = (np.add.reduceat(x, starts[:-1] - starts[0], axis=0) for x in (p, q))
            area += method.part(p, q, tp, fp)
            tp, fp = tp + p.sum(axis=0), fp + q.sum(axis=0)
        return method.finish(area, tp, fp)

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


def _tolerant(metric: Metric, method: Custom, scored: Scored, weights: Floats) -> float:
    try:
        return _call(metric, method, scored, weights) if weights.any() else float("nan")
    except (ValueError, ArithmeticError):
        return float("nan")
