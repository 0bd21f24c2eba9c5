"""Calibration: by hand, against brute force and another optimiser, and what chance makes of right probabilities."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mlpipe.core.calibration import calibration
from mlpipe.core.scored import Scored
from mlpipe.errors import DataError
from mlpipe_tests.core.test_metrics import ece_by_loop, random_scored

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, slope: float = 1.0, intercept: float = 0.0, n: int = 2000) -> Scored:
    """Outcomes whose log odds are `slope` times those of the scores, and `intercept` more."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=n)
    y = rng.random(n) < 1 / (1 + np.exp(-(slope * odds + intercept)))
    return Scored(y, 1 / (1 + np.exp(-odds)), 0.5, (0, 1))


def test_right_probabilities_are_within_chance_and_wrong_ones_are_not() -> None:
    right, wrong = (
        calibration(drawn(1, slope), np.arange(2000), resamples=200, seed=0) for slope in (1.0, 0.3)
    )
    assert right.ece < right.by_chance < 0.05 and (right.slope, right.intercept) == pytest.approx(
        (1, 0), abs=0.15
    )
    assert (
        wrong.ece > 2 * wrong.by_chance
        and wrong.low > wrong.by_chance
        and wrong.slope == pytest.approx(0.3, abs=0.1)
    )
    moved = calibration(drawn(2, 1.0, 1.0), np.arange(2000), resamples=20, seed=0)
    assert moved.intercept == pytest.approx(1, abs=0.15)
    assert right.to_dict()["binning"] == "10 equally wide bins of the probability"


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, bins=st.integers(1, 30))
def test_equal_to_a_loop_and_to_another_optimiser(seed: int, bins: int) -> None:
    s = drawn(seed, 0.7, -0.2, 300)
    got = calibration(s, np.arange(300) % 30, bins=bins, resamples=20, seed=seed)
    assert got.ece == pytest.approx(ece_by_loop(s.score, s.y, None, bins), rel=1e-9)
    odds = np.log(s.score / (1 - s.score))
    loss = lambda b: np.sum(np.logaddexp(0, b[0] * odds + b[1]) - s.y * (b[0] * odds + b[1]))  # noqa: E731
    assert (got.slope, got.intercept) == pytest.approx(minimize(loss, [1, 0]).x, abs=1e-3)


def test_several_classes_are_judged_by_the_predicted_one() -> None:
    s = random_scored("multiclass", 4)
    right = s.labels == s.y
    got = calibration(s, np.arange(40), resamples=20, seed=0)
    assert got.ece == pytest.approx(ece_by_loop(s.score.max(axis=1), right, None, 10))


def test_where_there_is_no_line() -> None:
    apart = Scored([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 0.5, (0, 1))
    got = calibration(apart, [0, 1, 2, 3], resamples=20, seed=0)
    assert math.isnan(got.slope) and got.ece == pytest.approx(0.15) and got.to_dict()["slope"] is None
    for s in (Scored([0, 1], [0.5, 0.5], 0.5, (0, 1)), Scored([1, 1], [0.4, 0.5], 0.5, (0, 1))):
        assert math.isnan(calibration(s, [0, 1], resamples=20, seed=0).slope)


def test_wrong_questions() -> None:
    with pytest.raises(DataError, match="regression model"):
        calibration(random_scored("regression", 1), np.arange(40), seed=0)
    with pytest.raises(DataError, match="on 0 rows"):
        calibration(Scored([], [], 0.5, (0, 1)), [], seed=0)
    with pytest.raises(DataError, match="no probabilities"):
        calibration(Scored([0, 1], [0.5, 3.0], 0.5, (0, 1)), [0, 1], seed=0)
