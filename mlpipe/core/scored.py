"""Rows with their truth and a model's scores: what every metric, interval and threshold is computed from."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.errors import DataError

Floats = NDArray[np.float64]
Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with their truth and a model's scores.

    Attributes
    ----------
    y
        Truth, shape (n,): 0 or 1 for binary, class index 0..k-1 for multiclass, a number for regression.
    score
        Shape (n,): probability of class 1, or the prediction of a regression. Shape (n, k): probabilities of k classes.
    threshold
        Binary only: a row is predicted positive iff its score >= threshold. Needed by metrics of labels alone.
    classes
        The classes in the order of their indices: two for binary, k for multiclass, empty for regression.
    groups
        Shape (n,), of any type that sorts: the query (customer, session) whose list each row belongs to; kept as whole numbers from 0.
        Needed by metrics of ranked lists alone. Null values form one list together.

    Raises
    ------
    DataError
        A null, infinite or out-of-range value, or shapes that do not fit. Rows without truth are for the caller to drop.
    """

    y: NDArray[Any]
    score: Floats
    threshold: float | None = None
    classes: tuple[Any, ...] = ()
    groups: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        y, score = finite_numbers(self.y, "the truth"), finite_numbers(self.score, "the score")
        if y.ndim != 1 or score.ndim not in (1, 2) or len(y) != len(score):
            raise DataError(
                f"truth of shape {y.shape} and scores of shape {score.shape} do not describe the same rows",
                fix="Give y of shape (n,) and scores of shape (n,), or (n, k) for k classes.",
            )
        k = score.shape[1] if score.ndim == 2 else len(self.classes)
        if (self.classes and len(self.classes) != k) or (score.ndim == 1 and k not in (0, 2)):
            raise DataError(
                f"{len(self.classes)} classes do not fit scores of shape {score.shape}",
                fix="Two classes go with scores of shape (n,), k classes with (n, k).",
            )
        if k and not np.all(np.isin(y, np.arange(k))):
            raise DataError(
                f"the truth holds values other than the class indices 0 to {k - 1}",
                fix="Encode each class as its place in 'classes'.",
            )
        object.__setattr__(self, "y", y.astype(np.int64) if k else y)
        object.__setattr__(self, "score", score)
        if self.groups is not None:
            if np.shape(self.groups) != y.shape:
                raise DataError(
                    f"groups of shape {np.shape(self.groups)} do not fit {len(y)} rows",
                    fix="Give one group a row.",
                )
            object.__setattr__(self, "groups", coded(self.groups)[0])

    @property
    def task(self) -> Task:
        """What is predicted, told by the shape of the scores and the classes."""
        if self.score.ndim == 2:
            return "multiclass"
        return "binary" if self.classes else "regression"

    @property
    def labels(self) -> NDArray[np.int64]:
        """Predicted class indices, shape (n,). Of equal scores the first class wins."""
        if self.score.ndim == 2:
            best: NDArray[np.int64] = np.argmax(self.score, axis=1).astype(np.int64)
            return best
        if self.threshold is None:
            raise DataError(
                "no threshold turns these scores into labels",
                fix="Give Scored a threshold, or ask for metrics of scores.",
            )
        return (self.score >= self.threshold).astype(np.int64)


def finite_numbers(values: object, what: str) -> Floats:
    """Values as float64; DataError when one is null, infinite or no number."""
    try:
        array: Floats = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} is not made of numbers: {error}", fix="Encode classes as 0, 1, … and drop nulls."
        ) from None
    if not np.all(np.isfinite(array)):
        raise DataError(
            f"{what} has {int((~np.isfinite(array)).sum())} null or infinite values",
            fix="Drop those rows first.",
        )
    return array


def coded(values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Number of each value among the sorted different ones, shape (n,), and these; objects sort as text."""
    given = np.asarray(values)
    # Sorted values, not first seen: nothing drawn by them may depend on the order of the rows.
    names, codes = np.unique(given.astype(str) if given.dtype == object else given, return_inverse=True)
    return codes.astype(np.int64), names
