"""Curves of a training: what was logged, what estimators keep, and the loss by boosting iteration where they can be asked for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlpipe.core.curve import KINDS, Judgement, better_of, held_out, judge, thinned

Points = list[dict[str, float]]
"""A curve: points with ``step``, and values by name."""
Better = Literal["lower", "higher", ""]
KEPT = ("loss_curve_", "validation_scores_", "train_score_", "validation_score_")
STAGED = "boosting"
"""Name of the curve that is made from staged predictions."""
MOST_ROWS = 500
"""So many rows of each part are scored at each boosting iteration."""
MOST_POINTS = 60
BATCH = 200
"""Stages whose predictions are measured at once."""


class Log:
    """What a `fit` function is handed to log with: ``log(step, loss=0.3)``, or ``log(loss=0.3)``, which counts the steps itself."""

    def __init__(self) -> None:
        self.points: Points = []

    def __call__(self, step: float | None = None, **values: float) -> None:
        """Note values of a step, such as an epoch."""
        at = float(len(self.points) if step is None else step)
        self.points.append({"step": at, **{k: float(v) for k, v in values.items()}})


def kept(estimator: Any) -> dict[str, Points]:
    """Curves that the last step of an estimator keeps: loss or score by iteration."""
    last = _last(estimator)
    curves: dict[str, Points] = {}
    for name in KEPT:
        values = getattr(last, name, None)
        if values is not None and len(values):
            curves[name.rstrip("_")] = [{"step": float(i), "value": float(v)} for i, v in enumerate(values)]
    evaluated = getattr(last, "evals_result_", None)
    if isinstance(evaluated, Mapping) and evaluated:
        curves["evals"] = _evaluated(evaluated)
    return curves


def _evaluated(result: Mapping[str, Mapping[str, Sequence[float]]]) -> Points:
    """Points of what gradient boosters keep of their evaluation sets: values by iteration, by metric, by set."""
    series = {f"{part}_{m}": list(v) for part, metrics in result.items() for m, v in metrics.items()}
    length = max((len(v) for v in series.values()), default=0)
    return [
        {"step": float(i), **{n: float(v[i]) for n, v in series.items() if i < len(v)}} for i in range(length)
    ]


def _last(estimator: Any) -> Any:
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return estimator


def staged(estimator: Any, parts: Mapping[str, tuple[pd.DataFrame, np.ndarray]]) -> dict[str, Points]:
    """The loss by boosting iteration, for scikit-learn's own ensembles that predict in stages; nothing for all others.

    Parameters
    ----------
    estimator
        Fitted, possibly behind other steps.
    parts
        Rows by name (``train``, ``valid``): features and labels. At most `MOST_ROWS` of each, evenly spaced, are scored.

    Returns
    -------
    dict
        One curve, with the log loss (or the root of the mean squared error) of each part by iteration, from 1.
    """
    last = _last(estimator)
    if not type(last).__module__.startswith("sklearn."):
        return {}
    name = "staged_predict_proba" if hasattr(last, "staged_predict_proba") else "staged_predict"
    if not hasattr(last, name):
        return {}
    chosen, measures, begun = [], [], 0
    for part, (X, y) in parts.items():
        rows = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_ROWS)).astype("int64"))
        loss, picked, measure = _loss(last, y[rows])
        if measure is not None:
            chosen.append(X.iloc[rows])
            measures.append((f"{part}_{loss}", _shifted(picked, begun), measure))
            begun += len(rows)
    if not chosen:
        return {}
    # All parts at once: most of what a stage costs does not depend on the rows.
    stages = iter(getattr(last, name)(_before(estimator, pd.concat(chosen, ignore_index=True))))
    made: dict[str, list[float]] = {series: [] for series, _, _ in measures}
    # Some estimators add to the same array stage by stage: what is picked must be a copy, which an index array makes.
    while some := [[stage[picked] for _, picked, _ in measures] for stage in islice(stages, BATCH)]:
        for (series, _, measure), values in zip(measures, zip(*some, strict=True), strict=True):
            made[series] += measure(np.stack(values)).tolist()
    length = len(next(iter(made.values())))
    points = [{"step": float(i + 1), **{s: v[i] for s, v in made.items()}} for i in range(length)]
    return {STAGED: points} if points else {}


def _shifted(picked: tuple[np.ndarray, ...], rows: int) -> tuple[np.ndarray, ...]:
    return (picked[0] + rows, *picked[1:])


def _before(estimator: Any, X: Any) -> Any:
    """Rows as the last step of an estimator sees them."""
    while hasattr(estimator, "steps"):
        if len(estimator.steps) > 1:
            X = estimator[:-1].transform(X)
        estimator = estimator.steps[-1][1]
    return X


def _loss(
    last: Any, y: np.ndarray
) -> tuple[str, tuple[np.ndarray, ...], Callable[[np.ndarray], np.ndarray] | None]:
    """Name of a loss, the places of a prediction that it needs, and its values for those of some stages, shape (stages, places).

    None instead of the last where no row has a class that was learned.
    """
    classes = getattr(last, "classes_", None)
    if classes is None:
        return "rmse", (np.arange(len(y)),), lambda made: np.sqrt(((made - y) ** 2).mean(axis=1))
    known = np.flatnonzero(np.isin(y, classes))
    if not len(known):
        return "log_loss", (), None
    least = np.finfo("float64").eps
    picked = known, np.searchsorted(classes, y[known])
    return "log_loss", picked, lambda made: -np.log(np.clip(made, least, 1.0)).mean(axis=1)


def series(
    curves: Mapping[str, Points], estimator: Any
) -> Iterator[tuple[str, str, Better, list[float], list[float]]]:
    """Curve, name, which way is better (empty where nobody knows), steps and values of each series."""
    for curve, points in curves.items():
        for name in dict.fromkeys(k for p in points for k in p if k != "step"):
            held = [p for p in points if name in p]
            better = _kept_better(curve, estimator) if name == "value" else better_of(name)
            yield curve, name, better, [p["step"] for p in held], [p[name] for p in held]


def _kept_better(curve: str, estimator: Any) -> Better:
    """Boosting by histogram keeps scores, which rise, where others keep losses."""
    if curve == "train_score":
        return "higher" if hasattr(_last(estimator), "do_early_stopping_") else "lower"
    return "lower" if curve == "loss_curve" else "higher"


def judged(curves: Mapping[str, Points], estimator: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the curves say, for the data of a record, and few points of each, for its plots.

    Returns
    -------
    data : dict
        ``curves`` by curve and series (verdict, since, best, best_step, last, steps, better, text), and ``learning``: the clause of the
        series that asks for most attention, with its name. Empty without curves.
    plots : dict
        ``curves`` likewise: at most `MOST_POINTS` points ``[step, value]`` of a series.
    """
    told: dict[str, Any] = {}
    plots: dict[str, Any] = {}
    heard: list[tuple[str, Judgement]] = []
    for curve, name, better, steps, values in series(curves, estimator):
        plots.setdefault(curve, {})[name] = [list(p) for p in thinned(steps, values, MOST_POINTS)]
        facts: dict[str, Any] = {"steps": len(values), "last": values[-1], "better": better}
        if better:
            found = judge(steps, values, better, held_out(name) or held_out(curve.replace("_", " ")))
            heard.append((curve if name == "value" else f"{curve} {name}", found))
            facts |= {
                "verdict": found.kind,
                "since": found.since,
                "best": found.best,
                "best_step": found.best_step,
                "text": found.clause,
            }
        told.setdefault(curve, {})[name] = facts
    if not told:
        return {}, {}
    data: dict[str, Any] = {"curves": told}
    if heard:
        name, worst = min(heard, key=lambda h: KINDS.index(h[1].kind))
        data |= {"learning": worst.kind, "learning_text": f"{name} {worst.clause}"}
    return data, {"curves": plots}
