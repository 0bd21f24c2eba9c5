"""Two models within blocks: by hand, by counting pairs, and never surer than a t test may be."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlpipe.core.metrics import Scored
from mlpipe.core.within import ranked_rightly, within

SEEDS = st.integers(0, 2**32 - 1)


def scored(y: object, score: object) -> Scored:
    return Scored(np.asarray(y), np.asarray(score, dtype=float), 0.5, (0, 1))


def test_five_days_by_hand() -> None:
    """Two rows a day: the one ranks four days rightly, the other all five. t = -0.2 / 0.2 with four degrees of freedom."""
    codes, y = np.repeat(np.arange(5), 2), [0, 1] * 5
    b = scored(y, [0.1, 0.9] * 5)
    found = within(scored(y, [0.1, 0.9] * 4 + [0.9, 0.1]), b, codes, 0.95)
    assert found is not None and found.difference == pytest.approx(-0.2)
    assert found.p_worse == pytest.approx(0.1870, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((-0.2 - 2.7764 * 0.2, -0.2 + 2.7764 * 0.2), abs=1e-4)
    same = within(b, b, codes, 0.95)
    assert same is not None and (same.difference, same.p_worse) == (0.0, 1.0)
    worst = within(scored(y, [0.9, 0.1] * 5), b, codes, 0.95)
    assert worst is not None and (worst.difference, worst.p_worse) == (-1.0, 0.0)


def test_days_of_one_class_and_too_few_days_are_not_looked_at() -> None:
    y = np.array([0, 1] * 4 + [1, 1])
    codes, one = np.repeat(np.arange(5), 2), scored(y, np.linspace(0, 1, 10))
    assert within(one, one, codes, 0.95) is None
    assert within(one, one, np.arange(10), 0.95) is None
    # Five days, of which one has nearly all pairs, are worth little more than one.
    big = np.append(codes[:8], np.full(200, 4))
    long = scored(np.append(y[:8], [0, 1] * 100), np.linspace(0, 1, 208))
    assert within(long, long, big, 0.95) is None


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_pairs_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, score, codes = rng.integers(0, 2, 60), rng.integers(0, 6, 60) / 5, rng.integers(0, 6, 60)
    pairs, right = np.zeros((2, codes.max() + 1))
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero((y == 0) & (codes == codes[i])):
            pairs[codes[i]] += 1
            right[codes[i]] += (score[i] > score[j]) + (score[i] == score[j]) / 2
    got = ranked_rightly(scored(y, score), codes)
    assert np.array_equal(got[0], pairs) and np.array_equal(got[1], right)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_of_equal_blocks_it_is_the_t_test_of_their_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes, y = np.repeat(np.arange(8), 20), np.tile([0, 1], 80)
    a, b = (scored(y, rng.random(160)) for _ in range(2))
    found = within(a, b, codes, 0.9)
    gains = [(ranked_rightly(a, codes)[1] - ranked_rightly(b, codes)[1])[k] / 100 for k in range(8)]
    wanted = stats.ttest_1samp(gains, 0, alternative="less")
    assert found is not None and found.difference == pytest.approx(np.mean(gains))
    assert found.p_worse == pytest.approx(wanted.pvalue)
    both = stats.ttest_1samp(gains, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((both.low, both.high))


def false_alarms(runs: int, first: int) -> float:
    """Share of pairs of equally good models that look worse at 5%, on 14 days of 10 to 80 rows, good and bad days for each."""
    alarms = 0
    for seed in range(first, first + runs):
        rng = np.random.default_rng(seed)
        codes = np.repeat(np.arange(14), rng.integers(10, 80, 14))
        y = (rng.random(len(codes)) < 0.3).astype(int)
        a, b = (
            scored(y, 1 / (1 + np.exp(-(1 + rng.normal(size=14)[codes]) * y + rng.normal(size=len(y)))))
            for _ in range(2)
        )
        found = within(a, b, codes, 0.95)
        alarms += found is not None and found.p_worse < 0.05
    return alarms / runs


def test_equal_models_seldom_look_worse() -> None:
    assert false_alarms(200, 0) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.long
def test_equal_models_look_worse_as_often_as_they_may() -> None:
    assert 0.02 <= false_alarms(2000, 1000) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
