"""Folds: by hand, by property, and beside scikit-learn's."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.model_selection import GroupKFold, StratifiedKFold, TimeSeriesSplit

from mlpipe.core.duplicates import copies
from mlpipe.core.folds import Fold, apart, forward, grouped, mean_interval, purged, stratified
from mlpipe.errors import DataError

SEEDS = st.integers(0, 2**32 - 1)
START, DAY = datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=1)


def whole(folds: list[Fold], n: int) -> None:
    """Each row is tested once, and no row trains where it tests."""
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(n))
    for f in folds:
        assert not set(f.train) & set(f.test)
        assert np.all(np.diff(f.train) > 0) and np.all(np.diff(f.test) > 0)


def test_forward_by_hand() -> None:
    times = pd.date_range(START, periods=10, freq="D")
    expanding = forward(times, start=START, end=START + 10 * DAY, test=3 * DAY, embargo=DAY)
    assert [(f.train.tolist(), f.test.tolist()) for f in expanding] == [
        ([0, 1, 2], [4, 5, 6]),
        ([0, 1, 2, 3, 4, 5], [7, 8, 9]),
    ]
    rolling = forward(times, start=START, end=START + 10 * DAY, test=3 * DAY, train=2 * DAY, embargo=DAY)
    assert [(f.train.tolist(), f.test.tolist()) for f in rolling] == [
        ([1, 2], [4, 5, 6]),
        ([4, 5], [7, 8, 9]),
    ]
    # A null time and one outside the window are in no fold.
    odd = pd.Series([*times[:9], pd.NaT, START + 20 * DAY])
    found = forward(odd, start=START, end=START + 10 * DAY, test=5 * DAY)
    assert [(f.train.tolist(), f.test.tolist()) for f in found] == [([0, 1, 2, 3, 4], [5, 6, 7, 8])]


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 20),
    test=st.integers(1, 5),
    first=st.integers(1, 5),
    gap=st.integers(0, 3),
    rolling=st.booleans(),
)
def test_forward_equals_scikit_learn_on_equally_spaced_rows(
    n: int, test: int, first: int, gap: int, rolling: bool
) -> None:
    rows = first + gap + n * test
    times = pd.date_range(START, periods=rows, freq="D")
    asked = {
        "test": test * DAY,
        "first": first * DAY,
        "embargo": gap * DAY,
        "train": first * DAY if rolling else None,
    }
    got = forward(times, start=START, end=START + rows * DAY, **asked)
    assert len(got) == n
    if n > 1:
        split = TimeSeriesSplit(n, test_size=test, gap=gap, max_train_size=first if rolling else None)
        for fold, (train, tested) in zip(got, split.split(times), strict=True):
            assert (fold.train.tolist(), fold.test.tolist()) == (train.tolist(), tested.tolist())


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, folds=st.integers(2, 5))
def test_groups_are_never_cut(seed: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.append(np.arange(5), rng.integers(0, 12, 55)).astype(str).astype(object)
    got = grouped(groups, folds)
    whole(got, 60)
    for f in got:
        assert not set(groups[f.train]) & set(groups[f.test])
    sizes = np.repeat(
        np.arange(9), np.arange(1, 10)
    )  # no two groups of one size: the choice is the same as scikit-learn's
    wanted = [test.tolist() for _, test in GroupKFold(folds).split(sizes, groups=sizes)]
    assert [f.test.tolist() for f in grouped(sizes, folds)] == wanted


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, folds=st.integers(2, 7))
def test_strata_are_shared_out_within_one_row(seed: int, folds: int) -> None:
    y = np.random.default_rng(seed).choice(["a", "b", "c"], 60, p=[0.7, 0.2, 0.1])
    got = stratified(y, folds, seed=seed)
    whole(got, 60)
    for kind in "abc":
        assert np.ptp([np.sum(y[f.test] == kind) for f in got]) <= 1
    assert np.ptp([len(f.test) for f in got]) <= 1
    if min(np.unique(y, return_counts=True)[1]) >= folds:
        theirs = [test for _, test in StratifiedKFold(folds).split(y, y)]
        for kind in "abc":
            counts = (
                sorted(np.sum(y[t] == kind) for t in tests) for tests in (theirs, [f.test for f in got])
            )
            assert next(counts) == next(counts)
    again = stratified(y, folds, seed=seed)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(got, again, strict=True))


def test_strata_are_dealt_out_by_the_seed() -> None:
    y = np.repeat([0, 1], 30)
    one, other = (stratified(y, 3, seed=s)[0].test.tolist() for s in (1, 2))
    assert one != other


def test_purged_by_hand() -> None:
    # Labels look one day ahead: the row before a stretch, whose label falls into it, does not train; nor does the one on whose day the
    # last label of the stretch is known, when there is an embargo.
    starts = pd.date_range(START, periods=9, freq="D")
    got = purged(starts, starts + 1.5 * DAY, 3)
    assert [f.test.tolist() for f in got] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [f.train.tolist() for f in got] == [[4, 5, 6, 7, 8], [0, 1, 7, 8], [0, 1, 2, 3, 4]]
    later = purged(starts, starts + 1.5 * DAY, 3, embargo=DAY)
    assert [f.train.tolist() for f in later] == [[5, 6, 7, 8], [0, 1, 8], [0, 1, 2, 3, 4]]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, folds=st.integers(2, 6), gap=st.integers(0, 5))
def test_no_label_of_the_training_overlaps_a_purged_test(seed: int, folds: int, gap: int) -> None:
    rng = np.random.default_rng(seed)
    starts = START + pd.to_timedelta(np.append(np.arange(6), rng.integers(0, 40, 54)), "D")
    ends = starts + pd.to_timedelta(rng.integers(0, 6, 60), "D")
    got = purged(starts, ends, folds, embargo=gap * DAY)
    whole(got, 60)
    for f in got:
        first, last = starts[f.test].min(), ends[f.test].max()
        free = (ends <= first) | (starts >= last + gap * DAY)
        assert set(f.train) == set(np.flatnonzero(free)) - set(f.test)
    for before, after in zip(got, got[1:], strict=False):
        assert starts[before.test].max() < starts[after.test].min()


def test_copies_do_not_straddle() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 1.0, 5.0, 2.0]})
    groups = copies(frame).exact
    (fold,) = forward(
        pd.date_range(START, periods=6, freq="D"), start=START, end=START + 6 * DAY, test=3 * DAY
    )
    assert (fold.train.tolist(), apart(fold, groups).train.tolist()) == ([0, 1, 2], [2])
    for f in grouped(groups, 3):
        assert apart(f, groups).train.tolist() == f.train.tolist()


def test_folds_that_cannot_be_made() -> None:
    times = pd.date_range(START, periods=5, freq="D")
    with pytest.raises(DataError, match="does not hold"):
        forward(times, start=START, end=START + 5 * DAY, test=3 * DAY)
    with pytest.raises(DataError, match="longer than zero"):
        forward(times, start=START, end=START + 5 * DAY, test=0 * DAY)
    with pytest.raises(DataError, match="no time zone"):
        forward(times, start=datetime(2024, 1, 1), end=datetime(2024, 2, 1), test=DAY)
    for call in (
        lambda: grouped([1, 1, 2], 3),
        lambda: stratified([1, 2], 3, seed=0),
        lambda: purged(times, times, 1),
    ):
        with pytest.raises(DataError, match=r"[13] folds of \d"):
            call()
    with pytest.raises(DataError, match="before its start"):
        purged(times, times - DAY, 2)


def test_the_mean_of_folds_by_hand() -> None:
    # Mean 0.8, variance 0.01; the plain variance of the mean is 0.01 / 3, and here 0.01 * (1 / 3 + 20 / 80). t(0.975, 2) = 4.302653.
    mean, low, high = mean_interval([0.7, 0.8, 0.9], [80, 80, 80], [20, 20, 20])
    half = 4.302653 * np.sqrt(0.01 * (1 / 3 + 0.25))
    assert (mean, low, high) == pytest.approx((0.8, 0.8 - half, 0.8 + half), rel=1e-6)
    # An undefined value counts for nothing; of one value nothing is known but itself; of none not even that.
    assert mean_interval([0.7, np.nan, 0.8, 0.9], [80, 1, 80, 80], [20, 99, 20, 20]) == (mean, low, high)
    one = mean_interval([0.5, np.nan], [80, 80], [20, 20])
    assert one[0] == 0.5 and np.isnan(one[1:]).all()
    assert np.isnan(mean_interval([np.nan], [80], [20])).all()


@settings(max_examples=30)
@given(SEEDS, st.integers(2, 12), st.floats(0.5, 0.99))
def test_the_interval_of_folds_is_wider_than_that_of_a_t_test(seed: int, k: int, level: float) -> None:
    values = np.random.default_rng(seed).normal(size=k)
    plain = stats.t.interval(level, k - 1, values.mean(), stats.sem(values))
    mean, low, high = mean_interval(values, [100] * k, [25] * k, level)
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx((plain[1] - plain[0]) * np.sqrt(1 + k * 0.25))
