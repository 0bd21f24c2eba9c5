"""A model with all that is needed to score with it, and how it scores: by name, in the training types, on one thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlpipe.core.blame import users_line
from mlpipe.errors import DataError, Finding, MlpipeError, UserCodeError, did_you_mean
from mlpipe.stores.threads import limited

EXAMPLE_ROWS = 5


@dataclass(frozen=True, eq=False)
class Bundle:
    """A fitted estimator, its signature, and an example.

    Parameters
    ----------
    estimator
        Fitted, with scikit-learn's interface.
    task
        ``binary``, ``multiclass`` or ``regression``.
    features
        Name and pandas dtype of each column that the estimator was fitted on, in its order.
    classes
        All labels (text, numbers or booleans), in the order of the columns of `predict`. Two for binary, none for regression.
    positive
        The label whose probability `predict` gives. Binary only.
    threshold
        Probability from which a binary decision is positive. Kept for those who decide; `predict` ignores it.
    input_example
        One to five rows with at least the features.
    extra
        JSON that travels with the model and is part of its id: it must hold no clock, host or path.

    Raises
    ------
    DataError
        These do not fit together.
    """

    estimator: Any
    task: str
    features: tuple[tuple[str, str], ...]
    classes: tuple[Any, ...]
    positive: Any
    threshold: float | None
    input_example: pd.DataFrame
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.input_example)
        wrong = [
            Finding(what)
            for what, is_wrong in (
                (
                    f"task must be binary, multiclass or regression, not {self.task!r}",
                    self.task not in _TASKS,
                ),
                (
                    f"input_example must have 1 to {EXAMPLE_ROWS} rows, not {rows}",
                    not 1 <= rows <= EXAMPLE_ROWS,
                ),
                ("a model must have at least one feature", not self.features),
                ("a binary model must have two classes", self.task == "binary" and len(self.classes) != 2),
                ("a multiclass model must have classes", self.task == "multiclass" and len(self.classes) < 2),
                ("a regression model has no classes", self.task == "regression" and bool(self.classes)),
                (
                    f"positive must be one of {list(self.classes)}, not {self.positive!r}",
                    self.task == "binary" and self.positive not in self.classes,
                ),
            )
            if is_wrong
        ]
        if wrong:
            raise DataError("The parts of a model bundle do not fit together.", findings=wrong)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of training."""
        return tuple(name for name, _ in self.features)

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Score rows, with one thread, so that the same rows give the same bits.

        Parameters
        ----------
        frame
            Shape (n, at least the features). Columns are found by name; others are ignored, as is the index. They
            are cast to the training types, except that integers with nulls or fractions are kept as floats.

        Returns
        -------
        ndarray of float64
            Binary: probability of `positive`, shape (n,). Multiclass: probabilities, shape (n, k), columns in the
            order of `classes`, 0 for a class that the estimator never saw. Regression: values, shape (n,).

        Raises
        ------
        DataError
            Columns are missing or cannot be cast, the estimator refuses the rows, gives no probabilities or those of
            unknown classes, or some score is not finite.
        UserCodeError
            A class or function of the user's own within the estimator raised; with its line.
        """
        from joblib import parallel_config

        rows = cast(frame, self.features)
        if not len(rows):
            return np.zeros((0, len(self.classes)) if self.task == "multiclass" else 0)
        # The sequential backend wins over any n_jobs below, so the estimator need not be touched.
        with limited(1), parallel_config(backend="sequential"):
            scores = self._regress(rows) if self.task == "regression" else self._classify(rows)
        broken = ~np.isfinite(scores if scores.ndim == 1 else scores.sum(axis=1))
        if broken.any():
            first = np.flatnonzero(broken)[:5].tolist()
            raise DataError(
                f"The model gave scores that are not finite for {int(broken.sum())} of {len(scores)} rows, "
                f"such as rows {first}.",
                fix="Look at these rows for infinities and values far outside the training data.",
            )
        return scores

    def _asked(self, method: Callable[..., Any], rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """What the estimator says, as numbers."""
        try:
            return np.asarray(method(rows), dtype=np.float64)
        except MlpipeError:
            raise
        except Exception as error:  # the boundary to the model, which may hold code of the user's
            line = users_line(error)
            raise (UserCodeError if line else DataError)(
                f"The model cannot score these {len(rows)} rows: {type(error).__name__}: {_first_line(error)}",
                where=line or type(self.estimator).__name__,
                fix="Mend the model, or compare the rows with those it learned from."
                if line
                else "Look for values that it never learned from: infinities, nulls, numbers far outside the training data.",
            ) from error

    def _regress(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        scores = self._asked(self.estimator.predict, rows)
        if scores.shape not in ((len(rows),), (len(rows), 1)):
            raise DataError(
                f"The model gave predictions of shape {scores.shape} for {len(rows)} rows.",
                fix="Use an estimator with one output.",
            )
        return scores.reshape(len(rows))

    def _classify(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        if not hasattr(self.estimator, "predict_proba"):
            raise DataError(
                f"{type(self.estimator).__name__} gives no probabilities: it has no predict_proba.",
                fix="Wrap it in sklearn.calibration.CalibratedClassifierCV, or choose another estimator.",
            )
        given = self._asked(self.estimator.predict_proba, rows)
        known = np.asarray(self.estimator.classes_).tolist()
        unknown = [label for label in known if label not in self.classes]
        if unknown or given.shape != (len(rows), len(known)):
            raise DataError(
                f"The model gave probabilities of shape {given.shape} for the classes {known[:10]}; "
                f"the bundle knows {list(self.classes)[:10]}.",
                fix="Declare all labels in `classes`, and use an estimator with one output.",
            )
        scores = np.zeros((len(rows), len(self.classes)))
        scores[:, [self.classes.index(label) for label in known]] = given
        return scores[:, self.classes.index(self.positive)] if self.positive is not None else scores


_TASKS = ("binary", "multiclass", "regression")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def cast(frame: pd.DataFrame, features: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """The features of a frame, in their order and training types, with a fresh index.

    A column trained on integers or booleans comes as float64 when a value is null, fractional or out of range:
    nothing is cut off. A column trained on float32 is rounded to it, as it was in training.

    Raises
    ------
    DataError
        It is no frame, two columns have one name, or columns are missing or hold something that the training type cannot.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"The model scores the rows of a DataFrame, and got a {type(frame).__name__}.",
            fix="Make it one: pandas.DataFrame([{column: value, …}]).",
        )
    frame = frame.set_axis([str(c) for c in frame.columns], axis=1)
    names = list(frame.columns)
    twice = [name for name, _ in features if names.count(name) > 1]
    if twice:
        raise DataError(f"Two columns are named '{twice[0]}'.", fix="Rename or drop one of them.")
    missing = [name for name, _ in features if name not in names]
    if missing:
        raise DataError(
            f"The data lacks {len(missing)} of the model's {len(features)} columns: {missing[:10]}.",
            fix=did_you_mean(missing[0], [n for n in names if n not in dict(features)]),
        )
    columns, findings = {}, []
    for name, dtype in features:
        try:
            columns[name] = _cast_column(frame[name].reset_index(drop=True), dtype)
        except (ValueError, TypeError, ArithmeticError) as error:
            findings.append(Finding(_first_line(error), where=f"column '{name}', trained as {dtype}"))
    if findings:
        raise DataError(
            "The data does not fit the model's training types.",
            findings=findings,
            fix="Mend the source, or train again on the new types.",
        )
    return pd.DataFrame(columns)


def _cast_column(column: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    if str(column.dtype) == dtype:
        return column
    if dtype in ("str", "string"):
        if not (
            column.isna().all() or pd.api.types.infer_dtype(column, skipna=True) in ("string", "categorical")
        ):
            raise TypeError(f"needs text, and has {column.dtype}")
        # Before pandas 3, "str" would spell nulls as the text "nan".
        return column.astype("string" if dtype == "string" else "str" if _HAS_STR else "object")
    target = pd.api.types.pandas_dtype(dtype)
    if not dtype.startswith(_WHOLE):
        return column.astype(target)
    numbers = pd.to_numeric(column)
    exact = numbers.astype("float64")
    fits = (
        exact.isin([0, 1]) if dtype.startswith("bool") else (exact == exact.round()) & _in_range(exact, dtype)
    )
    if dtype in _NULLABLE or dtype[0].isupper():
        fits |= exact.isna()
    return numbers.astype(target) if fits.all() else exact


_WHOLE = ("int", "uint", "Int", "UInt", "bool")
_NULLABLE = ("boolean",)
_HAS_STR = int(pd.__version__.split(".")[0]) >= 3


def _in_range(values: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    limits = np.iinfo(dtype.lower())
    return (values >= limits.min) & (values <= limits.max)
