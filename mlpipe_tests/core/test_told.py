"""What a column tells of scores and of mistakes: by hand, against scipy, and which faults are told apart."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway

from mlpipe.core.told import flipped, told_by, unforeseen


def test_epsilon_squared_by_hand_and_the_test_of_scipy() -> None:
    values, city = np.array([0.0, 1.0, 4.0, 5.0]), pd.Series(["a", "a", "b", "b"])
    found = told_by(values, {"city": city})["city"]
    # Within 1 over 2 degrees of freedom, in all 17 over 3.
    assert found.share == pytest.approx(1 - (1 / 2) / (17 / 3))
    assert found.p == pytest.approx(f_oneway(values[:2], values[2:]).pvalue)
    assert (found.where, found.mean) in (("a", 0.5), ("b", 4.5))


def test_nothing_to_tell() -> None:
    one, same = pd.Series([1.0] * 5), np.ones(5)
    found = told_by(same, {"one": one, "two": pd.Series([1.0, 2, 3, 1, 2])})
    assert [t.share for t in found.values()] == [0.0, 0.0]


def test_a_missing_value_is_a_bin() -> None:
    column = pd.Series([np.nan] * 50 + [1.0, 2.0] * 25)
    found = told_by(np.r_[np.ones(50), np.zeros(50)] + np.tile([0.0, 0.01], 50), {"c": column})["c"]
    assert found.share > 0.99 and found.where in ("missing", "1", "2")


def world(n: int = 6000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Probability, whether a price rose (of no importance to the model), truth, and draws."""
    rng = np.random.default_rng(3)
    p = rng.beta(0.3, 0.9, n)
    dearer = rng.random(n) < 0.25
    return p, dearer, (rng.random(n) < p).astype(float), rng.random(n)


def test_flipped_labels_are_told_from_a_changed_world() -> None:
    p, dearer, y, u = world()
    assert flipped(y, p) is None
    noise = np.where(u < 0.1, 1 - y, y)
    assert flipped(noise, p) == pytest.approx(0.1, abs=0.03)
    changed = np.where(dearer & (u < 0.8), 1.0, y)
    assert flipped(changed, p) is None
    columns = {"dearer": pd.Series(dearer.astype(float)), "other": pd.Series(u[::-1])}
    shares = [{n: t.share for n, t in told_by(unforeseen(v, p), columns).items()} for v in (noise, changed)]
    assert shares[0]["dearer"] < 0.01 < 0.2 < shares[1]["dearer"] and shares[1]["other"] < 0.02


def test_few_rows_and_an_unsure_model_say_nothing_of_labels() -> None:
    assert flipped(np.ones(100), np.zeros(100)) is None
    assert flipped(np.ones(1000), np.full(1000, 0.5)) is None
