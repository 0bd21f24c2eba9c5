"""Constant baselines: by hand, and no other constant does better."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core.baselines import Constant, constant, constant_scores
from mlpipe.core.metrics import Scored, evaluate
from mlpipe.errors import DataError


def test_by_hand() -> None:
    assert constant("binary", [0, 0, 0, 1]) == Constant("binary", (0.25,))
    assert constant("multiclass", [0, 2, 2, 2], ("a", "b", "c")).value == (0.25, 0.0, 0.75)
    assert constant("regression", [1.0, 2.0, 6.0]).value == (3.0,)


def test_scores_have_the_shape_of_a_model() -> None:
    assert constant_scores("binary", [0, 1], 3).tolist() == [0.5, 0.5, 0.5]
    assert constant_scores("multiclass", [0, 1], 2, ("a", "b", "c")).tolist() == [[0.5, 0.5, 0.0]] * 2
    assert constant_scores("regression", [4.0], 0).shape == (0,)
    assert constant_scores("multiclass", [0], 0, ("a", "b", "c")).shape == (0, 3)


@settings(max_examples=30, deadline=None)
@given(y=st.lists(st.integers(0, 1), min_size=1, max_size=30), other=st.floats(0.01, 0.99))
def test_no_other_constant_has_less_loss(y: list[int], other: float) -> None:
    truth = np.array(y)

    def losses(score: float) -> list[float]:
        s = Scored(truth, np.full(len(y), score), classes=(0, 1))
        return list(evaluate(s, ["log_loss", "brier"]).values())

    best = losses(constant("binary", truth).value[0])
    assert all(b <= o + 1e-12 for b, o in zip(best, losses(other), strict=True))


def test_wrong_questions() -> None:
    with pytest.raises(DataError, match="at least one training row"):
        constant("regression", [])
    with pytest.raises(DataError, match="indices 0 to 1"):
        constant("binary", [0, 2])
    with pytest.raises(DataError, match="1 null"):
        constant("regression", [1.0, np.nan])
