"""What one feature tells of the truth, and what tells two kinds of rows apart."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from mlpipe.core.leakage import alone, area, binned, midranks, told_apart


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_that_of_scikit_learn_with_ties(pairs):
    score, positive = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    if positive.all() or not positive.any():
        assert np.isnan(area(score, positive))
    else:
        assert area(score, positive) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
    assert np.array_equal(midranks(score), rankdata(score))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([1.0, -1.0]))
def test_the_order_of_a_number_counts_whichever_way_it_goes(seed, sign):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 300).astype(float)
    values = pd.Series(sign * (y * 0.7 + rng.normal(size=300)))
    auc = roc_auc_score(y, values)
    assert alone(values, y, "binary") >= max(auc, 1 - auc) - 1e-12
    target = rng.normal(size=300)
    corr = abs(spearmanr(values, target).statistic)
    assert alone(values, target, "regression") >= corr - 1e-12


def test_a_copy_of_the_truth_tells_all_in_whatever_dress():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400).astype(float)
    middle = pd.Series(np.where(y == 1, rng.normal(0, 0.1, 400), rng.choice([-5.0, 5.0], 400)))
    null = pd.Series(np.where(y == 1, np.nan, 3.0))
    word = pd.Series(np.where(y == 1, "yes", "no"))
    for column in (pd.Series(y), pd.Series(-y), middle, null, word):
        assert alone(column, y, "binary") > 0.98
    assert alone(pd.Series(y.astype(int) * 2.0), y, "multiclass") > 0.99
    assert alone(pd.Series(np.exp(np.arange(400) / 50)), np.arange(400.0), "regression") == pytest.approx(1)


def test_what_knows_nothing_tells_nothing():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 2000).astype(float)
    names = pd.Series([f"row {i}" for i in range(2000)])
    assert alone(names, y, "binary") == pytest.approx(0.5, abs=1e-9)
    assert alone(pd.Series(np.full(2000, 4.0)), y, "binary") == 0.5
    for column in (pd.Series(rng.normal(size=2000)), pd.Series(rng.choice(list("abcdefgh"), 2000))):
        assert 0.45 < alone(column, y, "binary") < 0.55
        assert alone(column, y * rng.random(2000), "regression") < 0.1
    assert np.isnan(alone(names, np.ones(2000), "binary"))


def test_bins_are_quantiles_and_nulls_stand_apart():
    codes = binned(pd.Series([np.nan, *range(320)]))
    assert codes[0] == 0 and np.array_equal(np.bincount(codes[1:])[1:], np.full(32, 10))
    assert np.array_equal(binned(pd.Series([None, "b", "a", "b"], dtype="str")), [0, 1, 2, 1])


def test_kinds_of_rows_are_told_apart_by_what_moved():
    rng = np.random.default_rng(2)
    train, test = (
        pd.DataFrame({"a": rng.normal(size=600), "b": rng.choice(list("xyz"), 600)}) for _ in range(2)
    )
    auc, each = told_apart(train, test, seed=0)
    assert 0.42 < auc < 0.58 and all(v < 0.58 for v in each.values())
    auc, each = told_apart(train, test.assign(a=test["a"] + 2), seed=0)
    assert auc > 0.85 and each["a"] > 0.85 and each["b"] < 0.58
    assert np.isnan(told_apart(train.head(10), test, seed=0)[0])


def test_a_column_without_a_value_tells_nothing_apart() -> None:
    rng = np.random.default_rng(5)
    train, test = (pd.DataFrame({"x": rng.normal(size=60), "ghost": np.nan}) for _ in range(2))
    score, each = told_apart(train, test, seed=0)
    assert 0 < score < 1 and set(each) == {"x", "ghost"}
    assert told_apart(train[["ghost"]], test[["ghost"]], seed=0)[0] == 0.5
