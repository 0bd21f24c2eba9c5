"""The metrics that there are: what each one is, which direction is better, when it is undefined, and how its name is written.

Some names take a parameter, such as ``precision@100`` or ``recall@precision=0.9``: see `FAMILIES`. `METRICS` knows them all.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from mlpipe.core import formulas as f
from mlpipe.core import queries
from mlpipe.core.formulas import Additive, Quantile, Ranking
from mlpipe.core.scored import Task
from mlpipe.errors import DataError, NotFoundError, SpecError, did_you_mean


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
    method: Additive | Ranking | Quantile | Custom

    @property
    def sign(self) -> float:
        """1.0 when higher is better, else -1.0: a difference times this is positive when it is an improvement."""
        return 1.0 if self.better == "higher" else -1.0


_EITHER: tuple[Task, ...] = ("binary", "multiclass")
_BINARY: tuple[Task, ...] = ("binary",)
_NUMBER: tuple[Task, ...] = ("regression",)
_LISTS: tuple[Task, ...] = ("binary", "regression")
_NO_ROWS, _ONE_CLASS, _NO_POSITIVE = "there are no rows", "fewer than two classes occur", "no row is positive"
_NO_RELEVANT = "no list has a relevant row"

_BUILT_IN: tuple[Metric, ...] = (
    Metric("roc_auc", _BINARY, "higher", "score", "share of pairs ranked rightly", _ONE_CLASS, f.ROC_AUC),
    Metric("pr_auc", _BINARY, "higher", "score", "average precision", _NO_POSITIVE, f.PR_AUC),
    Metric(
        "log_loss", _EITHER, "lower", "score", "mean -ln of the truth's probability", _NO_ROWS, f.LOG_LOSS
    ),
    Metric("brier", _BINARY, "lower", "score", "mean squared error of probability", _NO_ROWS, f.BRIER),
    Metric("accuracy", _EITHER, "higher", "label", "share of right labels", _NO_ROWS, f.ACCURACY),
    Metric(
        "precision",
        _BINARY,
        "higher",
        "label",
        "share of predicted positives that are positive",
        "no row is predicted positive",
        f.PRECISION,
    ),
    Metric("recall", _BINARY, "higher", "label", "share of positives found", _NO_POSITIVE, f.RECALL),
    Metric(
        "f1",
        _BINARY,
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
    Metric("rmse", _NUMBER, "lower", "score", "root of the mean squared error", _NO_ROWS, f.RMSE),
    Metric("mae", _NUMBER, "lower", "score", "mean absolute error", _NO_ROWS, f.MAE),
    Metric("r2", _NUMBER, "higher", "score", "share of variance explained", "the truth is constant", f.R2),
    Metric("mape", _NUMBER, "lower", "score", "mean relative error", "a true value is zero", f.MAPE),
    Metric(
        "smape",
        _NUMBER,
        "lower",
        "score",
        "mean of 2 |error| / (|truth| + |prediction|), 0 to 2",
        _NO_ROWS,
        f.SMAPE,
    ),
    Metric(
        "ece",
        _EITHER,
        "lower",
        "score",
        "mean gap of probability and share, 10 equal bins",
        _NO_ROWS,
        f.ece(10),
    ),
    Metric(
        "ndcg", _LISTS, "higher", "score", "discounted gain of the whole list", _NO_RELEVANT, queries.ndcg()
    ),
    Metric("map", _LISTS, "higher", "score", "mean average precision of lists", _NO_RELEVANT, queries.MAP),
    Metric("mrr", _LISTS, "higher", "score", "mean of 1 / first relevant rank", _NO_RELEVANT, queries.MRR),
)


@dataclass(frozen=True)
class Family:
    """Metrics that differ in one number: written ``name`` directly followed by it.

    `whole` numbers are at least 1, others lie in (0, 1); `make` gives the metric of a name and its number.
    """

    name: str
    example: str
    whole: bool
    make: Callable[[str, float], Metric]

    @property
    def asks(self) -> str:
        """What may stand behind the name."""
        return "a whole number from 1" if self.whole else "a number between 0 and 1"

    def number(self, text: str) -> float | None:
        """The number that a text says; None when it is not one of this family."""
        if self.whole:
            return int(text) if re.fullmatch(r"[1-9]\d{0,8}", text) else None
        return float(text) if re.fullmatch(r"0?\.\d{1,9}", text) and float(text) > 0 else None


_FAMILIES: tuple[Family, ...] = (
    Family(
        "recall@precision=",
        "recall@precision=0.9",
        False,
        lambda n, x: Metric(
            n,
            _BINARY,
            "higher",
            "score",
            f"most recall at a precision of {x:g}",
            _NO_POSITIVE,
            f.recall_at_precision(x),
        ),
    ),
    Family(
        "precision@",
        "precision@100",
        True,
        lambda n, k: Metric(
            n,
            _BINARY,
            "higher",
            "score",
            f"precision of the first {k}",
            f"there are fewer than {k} rows",
            f.precision_at(k),
        ),
    ),
    Family(
        "ece@",
        "ece@20",
        True,
        lambda n, k: Metric(
            n,
            _EITHER,
            "lower",
            "score",
            f"mean gap of probability and share, {k} equal bins",
            _NO_ROWS,
            f.ece(int(k)),
        ),
    ),
    Family(
        "quantile_loss@",
        "quantile_loss@0.9",
        False,
        lambda n, x: Metric(
            n, _NUMBER, "lower", "score", f"pinball loss at {x:g}", _NO_ROWS, f.quantile_loss(x)
        ),
    ),
    Family(
        "ndcg@",
        "ndcg@10",
        True,
        lambda n, k: Metric(
            n, _LISTS, "higher", "score", f"discounted gain of the first {k}", _NO_RELEVANT, queries.ndcg(k)
        ),
    ),
    Family(
        "hit@",
        "hit@10",
        True,
        lambda n, k: Metric(
            n,
            _LISTS,
            "higher",
            "score",
            f"share of lists with a hit in the first {k}",
            _NO_RELEVANT,
            queries.hit(k),
        ),
    ),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({m.name: m for m in _FAMILIES})
"""Metrics whose name takes a number, by what stands before it."""


class _Metrics(Mapping[str, Metric]):
    """Built-in metrics by name. Iteration gives the names without a parameter; with one they are found all the same."""

    def __init__(self, plain: Mapping[str, Metric]) -> None:
        self._plain = plain

    def __getitem__(self, name: str) -> Metric:
        if name in self._plain:
            return self._plain[name]
        family = _family(name)
        number = family.number(name.removeprefix(family.name)) if family else None
        if family is None or number is None:
            raise KeyError(name)
        return family.make(name, number)

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)


def _family(name: str) -> Family | None:
    return next((m for m in _FAMILIES if name.startswith(m.name)), None)


_P90 = Metric(
    "p90_error", _NUMBER, "lower", "score", "0.9 quantile of |error|", _NO_ROWS, f.error_quantile(0.9)
)

METRICS: Mapping[str, Metric] = _Metrics(MappingProxyType({m.name: m for m in (*_BUILT_IN, _P90)}))


def wrong_name(name: str) -> str | None:
    """What is wrong with the name of a built-in metric, with the fix; None when there is such a metric."""
    if name in METRICS:
        return None
    family = _family(name)
    if family is not None:
        return f"metric '{name}' needs {family.asks} after '{family.name}'. Write {family.example}, for instance."
    return f"unknown metric '{name}'. {did_you_mean(name, [*METRICS, *(m.example for m in _FAMILIES)])}"


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
        raise NotFoundError(str(wrong_name(name)))
    metric = METRICS[name] if isinstance(name, str) else name
    if task not in metric.tasks:
        fitting = ", ".join(sorted(n for n, m in METRICS.items() if task in m.tasks))
        raise DataError(f"metric '{metric.name}' is not for a {task} model", fix=f"Valid: {fitting}.")
    return metric
