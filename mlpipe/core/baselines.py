"""Constant baselines: what a model must beat, namely answering the same for every row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlpipe.core.scored import Floats, Task, finite_numbers
from mlpipe.errors import DataError


@dataclass(frozen=True)
class Constant:
    """The same score for every row: one number, or one probability for each class of a multiclass model."""

    task: Task
    value: tuple[float, ...]

    def scores(self, n: int) -> Floats:
        """Scores of n rows: shape (n,), or (n, k) for multiclass."""
        rows = np.tile(np.array(self.value, dtype=np.float64), (n, 1))
        return rows if self.task == "multiclass" else rows[:, 0]


def constant(task: Task, y_train: ArrayLike, classes: tuple[Any, ...] = ()) -> Constant:
    """Best constant answer on training rows: the share of each class for classes, the mean for a regression.

    The shares minimise log loss and Brier score, the mean minimises squared error.

    Parameters
    ----------
    task
        "binary", "multiclass" or "regression".
    y_train
        Truth of the training rows, shape (n,), encoded as in `mlpipe.core.metrics.Scored`.
    classes
        The k classes of a multiclass model; a class without training rows gets probability 0.

    Raises
    ------
    DataError
        No rows, a null, or a class index out of range.
    """
    y = finite_numbers(y_train, "the training truth")
    if y.ndim != 1 or not len(y):
        raise DataError(
            "a baseline needs at least one training row", fix="Widen the training window, or wait for labels."
        )
    if task == "regression":
        return Constant(task, (float(y.mean()),))
    k = 2 if task == "binary" else len(classes)
    if not np.all(np.isin(y, np.arange(k))):
        raise DataError(
            f"the training truth holds values other than the class indices 0 to {k - 1}",
            fix="Encode each class as its place in 'classes'.",
        )
    shares = np.bincount(y.astype(np.int64), minlength=k) / len(y)
    return Constant(task, (float(shares[1]),) if task == "binary" else tuple(float(s) for s in shares))


def constant_scores(task: Task, y_train: ArrayLike, n: int, classes: tuple[Any, ...] = ()) -> Floats:
    """Scores of n rows under the best constant answer; see `constant`."""
    return constant(task, y_train, classes).scores(n)
