"""What a model goes by: scikit-learn's numbers, and orders compared by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn import inspection
from sklearn.linear_model import LinearRegression

from mlpipe.core.importance import codes_of, frame_of, moved, permutation_importance, rank_correlation
from mlpipe.core.scored import Scored

RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(RNG.normal(size=(1500, 3)), columns=["a", "b", "c"])
Y = 3 * ROWS["a"] - ROWS["b"] + RNG.normal(size=1500) * 0.1
MODEL = LinearRegression().fit(ROWS, Y)


def importances(rows=ROWS, **changes):
    scored = Scored(Y.to_numpy(), MODEL.predict(rows))
    given = {"repeats": 20, "seed": 3, **changes}
    found = permutation_importance(MODEL.predict, rows, scored, "rmse", np.arange(len(rows)) % 50, **given)
    return {i.feature: i for i in found}


def test_the_numbers_are_those_of_scikit_learn():
    ours = importances()
    theirs = inspection.permutation_importance(
        MODEL, ROWS, Y, scoring="neg_root_mean_squared_error", n_repeats=20, random_state=1
    )
    for i, name in enumerate(ROWS):
        # Each mean is off by its deviation over the root of its shuffles.
        apart = 4 * (theirs.importances_std[i] + ours[name].std) / np.sqrt(20) + 1e-4
        assert ours[name].mean == pytest.approx(theirs.importances_mean[i], abs=apart)
    # A feature of weight w that is shuffled adds 2 w^2 var to the squared error.
    assert ours["a"].mean == pytest.approx(np.sqrt(2 * 9 * ROWS["a"].var()), rel=0.05)
    assert ours["a"].low < ours["a"].mean < ours["a"].high
    assert abs(ours["c"].mean) < 1e-3


def test_a_seed_gives_the_same_and_a_further_feature_changes_nothing():
    assert importances() == importances()
    assert importances(seed=4)["a"].mean != importances()["a"].mean
    turned = permutation_importance(
        lambda f: MODEL.predict(f[["a", "b", "c"]]),
        ROWS[["c", "a", "b"]].assign(d=1.0),
        Scored(Y.to_numpy(), MODEL.predict(ROWS)),
        "rmse",
        np.arange(1500) % 50,
        repeats=20,
        seed=3,
    )
    assert {i.feature: i.mean for i in turned}["a"] == importances()["a"].mean


def test_orders_are_compared():
    now, then = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}, {"a": 3.0, "b": 0.0, "c": 1.0, "d": 0.5}
    expected = spearmanr(list(now.values()), list(then.values())).statistic
    assert rank_correlation(now, then) == pytest.approx(expected)
    assert rank_correlation({"a": 1.0}, {"a": 1.0}) is None
    assert rank_correlation(dict.fromkeys("abc", 1.0), dict.fromkeys("abc", 2.0)) is None
    assert [(m["feature"], m["place"], m["was"]) for m in moved(now, then)] == [
        ("b", 2, 4),
        ("c", 3, 2),
        ("d", 4, 3),
    ]
    far = moved(now, {**now, "d": 5.0}, most=3)
    assert [(m["feature"], m["place"], m["was"]) for m in far] == [("d", 4, 1), ("a", 1, 2), ("b", 2, 3)]
    assert moved({"a": 1.0}, {"a": 1.0, "z": 0.5}) == []


def test_rows_survive_the_way_through_numbers():
    rows = pd.DataFrame({"n": [1.5, np.nan], "t": pd.Series(["x", None], dtype="str")})
    matrix, names = codes_of(rows)
    pd.testing.assert_frame_equal(frame_of(matrix, rows, names), rows)
