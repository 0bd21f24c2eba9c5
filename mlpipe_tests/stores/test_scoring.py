"""How a bundle scores: by name, in training types, on one thread, only finite numbers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import effective_n_jobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_info

from mlpipe.errors import DataError, UserCodeError
from mlpipe.stores.scoring import Bundle, cast
from mlpipe_tests.stores.models import boosted, bundle_of, fitted, people


def xy(rows: int = 60, classes: int = 2) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    x = np.random.default_rng(1).normal(size=(rows, 2))
    y = np.digitize(x[:, 0], np.linspace(-0.6, 0.6, classes - 1))
    return pd.DataFrame(x, columns=["a", "b"]), y


FEATURES = (("a", "float64"), ("b", "float64"))


def test_columns_are_found_by_name_and_the_rest_is_ignored() -> None:
    bundle = boosted()
    frame, _ = people()
    expected = bundle.estimator.predict_proba(frame)[:, 1]
    shuffled = frame[["city", "age", "plan", "visits"]].assign(other=1).set_index(frame.index[::-1])
    assert np.array_equal(bundle.predict(frame), expected)
    assert np.array_equal(bundle.predict(shuffled), expected)


def test_missing_columns_are_named_with_close_ones() -> None:
    frame, _ = people()
    with pytest.raises(DataError, match=r"lacks 2 of the model's 4 columns: \['visits', 'city'\]") as caught:
        boosted().predict(frame.drop(columns="city").rename(columns={"visits": "visit"}))
    assert "Did you mean 'visit'?" in str(caught.value)


def test_binary_gives_the_probability_of_the_positive_label_whichever_it_is() -> None:
    frame, y = xy()
    for labels in (("no", "yes"), (1, 0), (False, True)):
        model = LogisticRegression().fit(
            frame, np.array(labels, dtype=object if labels[0] == "no" else None)[y]
        )
        scores = bundle_of(model, frame, features=FEATURES, classes=labels, positive=labels[1]).predict(frame)
        expected = model.predict_proba(frame)[:, list(model.classes_).index(labels[1])]
        assert scores.shape == (60,) and np.array_equal(scores, expected)
        assert scores[y == 1].mean() > 0.5 > scores[y == 0].mean()


def test_multiclass_columns_follow_the_declared_classes_with_zero_for_the_unseen() -> None:
    frame, y = xy(classes=3)
    model = LogisticRegression().fit(frame, np.array(["l", "m", "h"])[y])
    bundle = bundle_of(
        model, frame, task="multiclass", features=FEATURES, classes=("h", "x", "l", "m"), positive=None
    )
    scores = bundle.predict(frame)
    given = dict(zip(model.classes_, model.predict_proba(frame).T, strict=True))
    assert scores.shape == (60, 4)
    assert np.array_equal(scores, np.stack([given["h"], np.zeros(60), given["l"], given["m"]], axis=1))
    assert bundle.predict(frame.iloc[:0]).shape == (0, 4)


def test_regression_gives_one_value_a_row() -> None:
    frame, _ = xy()
    model = LinearRegression().fit(frame, frame[["a"]] * 2 + 1)
    bundle = bundle_of(model, frame, task="regression", features=FEATURES, classes=(), positive=None)
    assert np.allclose(bundle.predict(frame), frame["a"] * 2 + 1)
    assert bundle.predict(frame.iloc[:0]).shape == (0,)


class Spy:
    """Notes how many threads and jobs it is scored with, and gives what it is told."""

    classes_ = np.array([0, 1])

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        self.threads = {pool["num_threads"] for pool in threadpool_info()}
        self.jobs = effective_n_jobs(4)
        scores = np.array(self.scores)
        return np.stack([1 - scores, scores], axis=1)


def test_scoring_is_single_threaded() -> None:
    frame, _ = xy(2)
    spy = Spy([0.1, 0.2])
    bundle_of(spy, frame).predict(frame)
    assert (spy.threads, spy.jobs) == ({1}, 1)


def test_a_forest_with_many_jobs_gives_the_bits_of_one_with_one() -> None:
    frame, _ = people()
    many, one = (fitted(RandomForestClassifier(20, n_jobs=jobs)) for jobs in (4, 1))
    expected = one.predict_proba(frame)[:, 1]
    for _ in range(5):
        assert np.array_equal(bundle_of(many, frame).predict(frame), expected)


def test_scores_that_are_not_finite_are_an_error_that_names_rows() -> None:
    frame, _ = xy(3)
    with pytest.raises(DataError, match=r"not finite for 2 of 3 rows, such as rows \[0, 2\]"):
        bundle_of(Spy([np.nan, 0.5, np.inf]), frame).predict(frame)


class Raiser:
    """Raises when it is asked."""

    classes_ = np.array([0, 1])

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return frame["no such column"]


def test_what_a_model_raises_is_told_in_words() -> None:
    frame, y = xy()
    logistic = bundle_of(LogisticRegression().fit(frame, y), frame, features=FEATURES)
    with pytest.raises(DataError, match=r"cannot score these 60 rows: ValueError: .*infinity") as refused:
        logistic.predict(frame.assign(a=np.inf))
    assert refused.value.where == "LogisticRegression" and isinstance(refused.value.__cause__, ValueError)
    with pytest.raises(
        UserCodeError, match=r"cannot score these 60 rows: KeyError: 'no such column'"
    ) as caught:
        bundle_of(Raiser(), frame).predict(frame)
    assert caught.value.where == f"{__file__}:{Raiser.predict_proba.__code__.co_firstlineno + 1}"


@pytest.mark.parametrize("given", [None, [1, 2], {"a": 1}, "a", pd.Series([1.0])])
def test_what_is_no_frame_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=f"the rows of a DataFrame, and got a {type(given).__name__}"):
        boosted().predict(given)


def test_names_that_are_numbers_are_texts_and_names_that_stand_twice_are_refused() -> None:
    frame, y = xy()
    model = LogisticRegression().fit(frame.to_numpy(), y)
    numbered = frame.set_axis([0, 1], axis=1)
    bundle = bundle_of(
        Columns(model), frame, features=(("0", "float64"), ("1", "float64")), input_example=numbered.head(5)
    )
    assert np.array_equal(bundle.predict(numbered), model.predict_proba(frame.to_numpy())[:, 1])
    with pytest.raises(DataError, match="Two columns are named '1'"):
        bundle.predict(numbered.assign(**{"1": 2.0}))


class Columns:
    """A model that was fitted without names."""

    def __init__(self, model: Any) -> None:
        self.model, self.classes_ = model, model.classes_

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return self.model.predict_proba(frame.to_numpy())


def test_what_gives_no_probabilities_is_refused_with_the_fix() -> None:
    frame, y = xy()
    with pytest.raises(DataError, match="CalibratedClassifierCV"):
        bundle_of(LinearSVC().fit(frame, y), frame, features=FEATURES).predict(frame)


def test_a_class_that_was_not_declared_is_refused() -> None:
    frame, y = xy(classes=3)
    model = LogisticRegression().fit(frame, y)
    with pytest.raises(DataError, match=r"classes \[0, 1, 2\]"):
        bundle_of(model, frame, features=FEATURES).predict(frame)


@pytest.mark.parametrize(
    ("dtype", "given", "expected", "became"),
    [
        ("int64", [1.0, 2.0], [1, 2], "int64"),
        ("int64", [1.0, None], [1.0, np.nan], "float64"),
        ("int64", [1.5, 2.0], [1.5, 2.0], "float64"),
        ("int8", [100, 300], [100.0, 300.0], "float64"),
        ("uint8", [-1, 3], [-1.0, 3.0], "float64"),
        ("int64", ["1", "2"], [1, 2], "int64"),
        ("Int64", [1.0, None], [1, pd.NA], "Int64"),
        ("bool", [1, 0], [True, False], "bool"),
        ("bool", [True, None], [1.0, np.nan], "float64"),
        ("boolean", [True, None], [True, pd.NA], "boolean"),
        ("float32", [1.5, 2.0], [1.5, 2.0], "float32"),
        ("float64", ["1.5", "2"], [1.5, 2.0], "float64"),
        ("str", [None, None], [np.nan, np.nan], "str"),
        ("category", ["a", "b"], ["a", "b"], "category"),
        ("object", ["a", None], ["a", np.nan], "object"),
        ("datetime64[ns]", ["2024-01-01", None], [pd.Timestamp("2024-01-01"), pd.NaT], "datetime64[ns]"),
    ],
)
def test_casting_never_cuts_anything_off(
    dtype: str, given: list[Any], expected: list[Any], became: str
) -> None:
    column = cast(pd.DataFrame({"x": given}), (("x", dtype),))["x"]
    assert str(column.dtype) == became
    pd.testing.assert_series_equal(column, pd.Series(expected, dtype=became, name="x"))


@pytest.mark.parametrize(
    ("dtype", "given"),
    [("int64", ["a", "b"]), ("str", [1, 2]), ("float64", ["x", "1"]), ("datetime64[ns]", ["x"])],
)
def test_what_cannot_be_cast_is_named(dtype: str, given: list[Any]) -> None:
    with pytest.raises(DataError, match="column 'x', trained as"):
        cast(pd.DataFrame({"x": given}), (("x", dtype),))


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "ranking"},
        {"classes": (0, 1, 2)},
        {"positive": 5},
        {"positive": None},
        {"features": ()},
        {"task": "regression"},
        {"task": "multiclass", "classes": ()},
        {"input_example": pd.DataFrame({"a": range(6), "b": range(6)})},
        {"input_example": pd.DataFrame({"a": [], "b": []})},
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    frame, _ = xy()
    with pytest.raises(DataError, match="do not fit together"):
        bundle_of(None, frame, **changes)


def test_names_follow_training() -> None:
    assert boosted().feature_names == ("age", "visits", "plan", "city")
    assert isinstance(boosted(), Bundle)
