"""What is drawn of a model that was judged: confusion, ROC, precision and recall, calibration, residuals. Points, never pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipe.core.scored import Floats, Scored

MOST_POINTS = 100
"""A curve is thinned to at most so many points."""
BINS = 10
MOST_CLASSES = 20
"""Curves are drawn for at most so many classes, the most frequent ones."""


def confusion(scored: Scored) -> dict[str, Any]:
    """Rows by true class (outer) and predicted class (inner).

    Raises
    ------
    DataError
        For a binary model without a threshold.
    """
    k = scored.score.shape[1] if scored.score.ndim == 2 else 2
    counts = np.zeros((k, k), dtype=np.int64)
    np.add.at(counts, (scored.y, scored.labels), 1)
    classes = [str(c) for c in scored.classes] or [str(i) for i in range(k)]
    return {"classes": classes, "threshold": scored.threshold, "matrix": counts.tolist()}


def roc(positive: NDArray[np.bool_], score: Floats, most: int = MOST_POINTS) -> dict[str, list[float]] | None:
    """False and true positive rates by falling threshold, from (0, 0) to (1, 1); None where only one class occurs.

    Parameters
    ----------
    positive, score
        Shape (n,).
    most
        Points; thinned ones are evenly spread over both rates.
    """
    tp, fp, thresholds = _steps(positive, score)
    if not tp[-1] or not fp[-1]:
        return None
    tpr, fpr = np.append(0.0, tp / tp[-1]), np.append(0.0, fp / fp[-1])
    kept = _spread(tpr + fpr, most)
    # Above the greatest score nothing is predicted positive.
    cuts = np.append(np.inf, thresholds)
    return {"fpr": fpr[kept].tolist(), "tpr": tpr[kept].tolist(), "threshold": _finite(cuts[kept])}


def precision_recall(
    positive: NDArray[np.bool_], score: Floats, most: int = MOST_POINTS
) -> dict[str, list[float]] | None:
    """Precision and recall by falling threshold; None where no row is positive."""
    tp, fp, thresholds = _steps(positive, score)
    if not tp[-1]:
        return None
    recall, precision = tp / tp[-1], tp / (tp + fp)
    kept = _spread(recall + (tp + fp) / len(score), most)
    return {
        "recall": recall[kept].tolist(),
        "precision": precision[kept].tolist(),
        "threshold": thresholds[kept].tolist(),
    }


def _steps(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, Floats]:
    """True and false positives at each distinct score, from the greatest down, and those scores."""
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], positive[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(ranked) != 0), len(ranked) - 1)
    tp = np.cumsum(hits)[last]
    return tp, last + 1 - tp, ranked[last]


def _spread(along: Floats, most: int) -> NDArray[np.intp]:
    """Places of at most `most` points that are evenly spread along a rising measure, both ends among them."""
    if len(along) <= most:
        return np.arange(len(along))
    wanted = np.linspace(along[0], along[-1], most)
    return np.unique(np.clip(np.searchsorted(along, wanted), 0, len(along) - 1))


def _finite(values: Floats) -> list[Any]:
    return [float(v) if np.isfinite(v) else None for v in values]


def calibration(positive: NDArray[np.bool_], score: Floats, bins: int = BINS) -> list[dict[str, float]]:
    """Mean probability and share of positive rows in groups of about equally many rows, by rising probability."""
    order = np.argsort(score, kind="stable")
    groups = [g for g in np.array_split(order, min(bins, len(order))) if len(g)]
    return [
        {
            "rows": len(g),
            "predicted": float(score[g].mean()),
            "observed": float(positive[g].mean()),
            "low": float(score[g[0]]),
            "high": float(score[g[-1]]),
        }
        for g in groups
    ]


def residuals(y: Floats, predicted: Floats, bins: int = BINS) -> list[dict[str, float]]:
    """Truth minus prediction in groups of about equally many rows, by rising prediction: mean and quartiles of each."""
    order = np.argsort(predicted, kind="stable")
    found = []
    for g in np.array_split(order, min(bins, len(order))):
        off = y[g] - predicted[g]
        low, middle, high = np.quantile(off, (0.25, 0.5, 0.75))
        found.append(
            {
                "rows": len(g),
                "predicted": float(predicted[g].mean()),
                "mean": float(off.mean()),
                "q25": float(low),
                "median": float(middle),
                "q75": float(high),
            }
        )
    return found


def drawn(scored: Scored) -> dict[str, Any]:
    """Everything that is drawn of a judged model, by name; curves of several classes one against the rest, by class.

    Parameters
    ----------
    scored
        At least one row.
    """
    if scored.task == "regression":
        return {"residuals": residuals(np.asarray(scored.y, dtype=np.float64), scored.score)}
    found: dict[str, Any] = {}
    if scored.task == "multiclass" or scored.threshold is not None:
        found["confusion"] = confusion(scored)
    if scored.task == "binary":
        sides = {str(scored.classes[1]): (scored.y == 1, scored.score)}
    else:
        counts = np.bincount(scored.y, minlength=scored.score.shape[1])
        shown = sorted(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
        names = [str(c) for c in scored.classes] or [str(i) for i in range(len(counts))]
        sides = {names[i]: (scored.y == i, scored.score[:, i]) for i in shown}
    # Of many classes each curve has fewer points: together they stay about as large as one.
    most = max(MOST_POINTS // len(sides), 20)
    for name, make in (("roc", roc), ("precision_recall", precision_recall)):
        curves = {c: made for c, side in sides.items() if (made := make(*side, most)) is not None}
        if curves:
            found[name] = curves
    found["calibration"] = {c: calibration(*side) for c, side in sides.items()}
    return found


def telling(scored: Scored, count: int) -> dict[str, list[int]]:
    """Places of the rows that tell most: ``right`` and ``wrong`` with the greatest certainty, and the most ``uncertain``.

    Of a regression those predicted best are right, those predicted worst wrong. A row stands under one name only.

    Parameters
    ----------
    count
        Rows a name, at most.
    """
    rows = np.arange(len(scored.y))
    if scored.task == "regression":
        off = np.abs(scored.y - scored.score)
        order = np.lexsort((rows, off))
        wrong = order[::-1][: min(count, len(rows) // 2)]
        return {"right": order[: min(count, len(rows) - len(wrong))].tolist(), "wrong": wrong.tolist()}
    if scored.task == "binary":
        cut = 0.5 if scored.threshold is None else scored.threshold
        guess, sure = (scored.score >= cut).astype(np.int64), np.abs(scored.score - cut)
    else:
        two = np.sort(scored.score, axis=1)[:, -2:]
        guess, sure = scored.labels, two[:, 1] - two[:, 0]
    right = guess == scored.y
    found: dict[str, list[int]] = {}
    taken = np.zeros(len(rows), dtype=bool)
    for name, among, order in (
        ("wrong", ~right, np.lexsort((rows, -sure))),
        ("uncertain", np.ones(len(rows), dtype=bool), np.lexsort((rows, sure))),
        ("right", right, np.lexsort((rows, -sure))),
    ):
        chosen = [int(i) for i in order if among[i] and not taken[i]][:count]
        taken[chosen] = True
        found[name] = chosen
    return found
