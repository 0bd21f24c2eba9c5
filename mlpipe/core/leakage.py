"""What a single feature knows of the truth, and what tells training rows from judged ones."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.scored import Floats, Task

BINS = 32
"""Numbers are looked at in so many quantiles, besides their order."""
PRIOR = 5.0
"""So many rows of the mean stand beside those of a bin, so that a bin of one row says little."""
LEAVES, ROUNDS = 8, 20


def area(score: Floats, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half; nan with a single class.

    Parameters
    ----------
    score, positive
        Shape (n,); finite scores.
    """
    ones = int(positive.sum())
    if not 0 < ones < len(positive):
        return float("nan")
    ranks = midranks(score)
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * (len(positive) - ones)))


def midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the middle of theirs."""
    _, code, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[code])


def binned(values: "pd.Series[Any]") -> NDArray[np.int64]:
    """Bin of each cell: quantiles of numbers, each text its own, all nulls one of their own; shape (n,)."""
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(dtype="float64", na_value=np.nan)
        known = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else known
        codes = np.searchsorted(edges, np.nan_to_num(numbers), side="right") + 1
        return np.where(np.isnan(numbers), 0, codes)
    return np.asarray(pd.factorize(values)[0] + 1, dtype=np.int64)


def alone(values: "pd.Series[Any]", y: NDArray[Any], task: Task) -> float:
    """How well one feature alone tells the truth.

    Parameters
    ----------
    values
        Shape (n,): numbers or text. That a cell is null counts as something it says.
    y
        Truth as numbers, shape (n,).
    task
        Binary and multiclass: an area under the ROC curve (of several classes the mean, by their rows, of one against the rest), in
        [0, 1], usually from 0.5. Regression: a correlation of ranks, in [0, 1].

    Returns
    -------
    float
        The better of two: the order of the numbers, whichever way; and the mean truth of the feature's bins, learned from every other
        row and asked about the rest, so that a name of which each row has its own tells nothing. nan when the truth does not vary.
    """
    codes = binned(values)
    numbers = (
        values.to_numpy(dtype="float64", na_value=np.nan) if pd.api.types.is_numeric_dtype(values) else None
    )
    if numbers is not None and np.isfinite(numbers).any():
        numbers = np.where(np.isfinite(numbers), numbers, np.nanmedian(numbers[np.isfinite(numbers)]))
    else:
        numbers = None
    if task == "regression":
        ranks = midranks(np.asarray(y, dtype="float64"))
        found = [_correlation(part, ranks[half]) for half, part in _means(codes, ranks)]
        ordered = 0.0 if numbers is None else abs(_correlation(midranks(numbers), ranks))
        return _greatest(ordered, float(np.mean(found)))
    classes = [1.0] if task == "binary" else np.unique(y).tolist()
    areas = [_one_class(codes, numbers, np.asarray(y == c)) for c in classes]
    shares = [float(np.mean(y == c)) for c in classes]
    return float(np.average(areas, weights=shares)) if sum(shares) else float("nan")


def _one_class(codes: NDArray[np.int64], numbers: Floats | None, positive: NDArray[np.bool_]) -> float:
    found = [area(part, positive[half]) for half, part in _means(codes, positive.astype("float64"))]
    ordered = np.nan if numbers is None else area(numbers, positive)
    return _greatest(max(ordered, 1 - ordered), float(np.mean(found)))


def _greatest(one: float, other: float) -> float:
    known = [v for v in (one, other) if np.isfinite(v)]
    return max(known) if known else float("nan")


def _means(codes: NDArray[np.int64], truth: Floats) -> list[tuple[NDArray[np.intp], Floats]]:
    """Places of each half of the rows, and the mean truth of their bins in the other half."""
    places = np.arange(len(codes))
    halves, bins = (places[::2], places[1::2]), int(codes.max(initial=0)) + 1
    out = []
    for asked, known in (halves, halves[::-1]):
        mean = float(truth[known].mean()) if len(known) else 0.0
        count = np.bincount(codes[known], minlength=bins)
        total = np.bincount(codes[known], weights=truth[known], minlength=bins)
        out.append((asked, ((total + PRIOR * mean) / (count + PRIOR))[codes[asked]]))
    return out


def _correlation(one: Floats, other: Floats) -> float:
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def told_apart(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> tuple[float, dict[str, float]]:
    """How well training rows and judged rows are told apart (adversarial validation).

    Parameters
    ----------
    train, test
        The same features, shapes (n, features) and (m, features); of text and numbers. They are best of about the same size.
    seed
        Of the small boosted model that tells them apart.

    Returns
    -------
    area : float
        Area under the ROC curve, on every other row of both, of a model learned from the rest: 0.5 when nothing tells them apart. nan
        when there are fewer than 20 rows of one kind.
    alone : dict
        The same of each feature alone.
    """
    if min(len(train), len(test)) < 20:
        return float("nan"), {}
    from sklearn.ensemble import HistGradientBoostingClassifier

    both = pd.concat([train, test], ignore_index=True)
    later = np.repeat([False, True], [len(train), len(test)])
    each = {str(name): alone(both[name], later.astype("float64"), "binary") for name in both}
    columns = [
        both[n].to_numpy(dtype="float64", na_value=np.nan)
        if pd.api.types.is_numeric_dtype(both[n])
        else binned(both[n]).astype("float64")
        for n in both
    ]
    # Of a column without a value nothing is learned, and the bins of boosting do not take it.
    held = [c for c in columns if np.isfinite(c[::2]).any()]
    if not held:
        return 0.5, each
    table = np.column_stack(held)
    model = HistGradientBoostingClassifier(
        max_iter=ROUNDS, max_leaf_nodes=LEAVES, max_bins=63, early_stopping=False, random_state=seed
    )
    model.fit(table[::2], later[::2])
    return area(model.predict_proba(table[1::2])[:, 1], later[1::2]), each
