"""Rows as nobody should send them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.errors import UserCodeError
from mlpipe.stages.malformed import ROWS, Case, cases, heard, put_before
from mlpipe_tests.stores.models import boosted, bundle_of, logistic, people


@pytest.mark.parametrize("bundle", [logistic(), boosted()])
def test_usual_models_answer_or_refuse_everything(bundle: Any) -> None:
    told = {h.name: h for h in put_before(bundle, people()[0])}
    assert not [h for h in told.values() if h.wrong]
    assert len(told) > 30
    answered = {n for n, h in told.items() if h.answered}
    assert {"without a row", "a single row", "a further column", "categories never seen"} <= answered
    assert {"without the column 'age'", "text in number columns", "numbers in text columns"}.isdisjoint(
        answered
    )
    assert {"infinities", "two columns of one name", "a dict instead of a frame"}.isdisjoint(answered)


class Careless:
    """Does what a test tells it."""

    classes_ = np.array([0, 1])

    def __init__(self, says: Any) -> None:
        self.says = says

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        p = np.asarray(self.says(frame), dtype="float64")
        return np.stack([1 - p, p], axis=1)


def crashing(frame: pd.DataFrame) -> Any:
    return [1 / 0 for _ in range(len(frame))]


def refusing(frame: pd.DataFrame) -> Any:
    raise ValueError("I take no such rows")


EXPECTED = np.linspace(0.1, 0.8, ROWS)
FRAME = pd.DataFrame({"a": np.arange(float(ROWS)), "b": np.arange(float(ROWS)) * 2})


@pytest.mark.parametrize(
    ("says", "wanted", "answered", "wrong"),
    [
        (lambda f: EXPECTED[: len(f)], "same", True, ""),
        (lambda f: EXPECTED[: len(f)] + 1e-3, "same", True, "other scores"),
        (lambda f: EXPECTED[: len(f)] + 1e-3, "any", True, ""),
        (lambda f: EXPECTED[: len(f)], "refused", True, "answered as if nothing were wrong"),
        (refusing, "any", False, ""),
        (refusing, "refused", False, ""),
        (
            refusing,
            "same",
            False,
            "refused: The model cannot score these 8 rows: ValueError: I take no such rows",
        ),
        (crashing, "any", False, "ZeroDivisionError: division by zero"),
        (crashing, "refused", False, "ZeroDivisionError"),
    ],
)
def test_what_a_model_may_say(says: Any, wanted: Any, answered: bool, wrong: str) -> None:
    bundle = bundle_of(Careless(says), FRAME)
    told = heard(bundle, Case("case", FRAME, wanted), EXPECTED)
    assert told.answered == answered and wrong in told.wrong and bool(told.wrong) == bool(wrong)


def test_rows_that_vanish_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlpipe.stores.scoring import Bundle

    monkeypatch.setattr(Bundle, "predict", lambda self, frame: EXPECTED[1:])
    told = heard(bundle_of(None, FRAME), Case("case", FRAME), EXPECTED)
    assert told.wrong == "8 rows gave scores of shape (7,)"


@settings(max_examples=15)
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5, unique=True))
def test_the_cases_are_what_they_say_whatever_the_features_are_called(names: list[str]) -> None:
    bundle = bundle_of(
        Careless(lambda f: f.iloc[:, 0] / 10), FRAME, features=tuple((n, "float64") for n in names)
    )
    rows = pd.DataFrame({n: np.arange(float(ROWS)) for n in names})
    for case in cases(bundle, rows):
        told = heard(bundle, case, bundle.predict(rows))
        assert not told.wrong, (case.name, told.wrong)


def test_good_rows_that_the_model_refuses_are_an_error() -> None:
    with pytest.raises(UserCodeError, match="no such rows"):
        put_before(bundle_of(Careless(refusing), FRAME), FRAME)
