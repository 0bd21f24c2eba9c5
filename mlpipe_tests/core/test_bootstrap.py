"""Block bootstrap: by hand, by property, against brute force, and how often its intervals cover."""

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core import bootstrap
from mlpipe.core.bootstrap import interval, paired
from mlpipe.core.metrics import METRICS, Scored, custom, evaluate
from mlpipe.errors import DataError
from mlpipe_tests.core.test_metrics import random_scored, take

SEEDS = st.integers(0, 2**32 - 1)


def days(n: int, count: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return np.datetime64("2024-01-01") + np.append(np.arange(count), rng.integers(0, count, n - count))


def better_and_worse(n: int = 400, seed: int = 0) -> tuple[Scored, Scored]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    good, bad = (1 / (1 + np.exp(-(3 * (y - 0.5) + noise * rng.normal(size=n)))) for noise in (1.0, 6.0))
    return Scored(y, good, 0.5, (0, 1)), Scored(y, bad, 0.5, (0, 1))


def test_two_blocks_by_hand() -> None:
    # Draws of two blocks: both twice (accuracy 1 or 0, a quarter each), one of each (1/2, a half).
    s = Scored(np.array([1, 1]), np.array([0.9, 0.1]), 0.5, (0, 1))
    wide = interval(s, "accuracy", ["a", "b"], resamples=2000, level=0.9, seed=1)
    assert (wide.low, wide.high, wide.blocks, wide.resamples, wide.level) == (0.0, 1.0, 2, 2000, 0.9)
    narrow = interval(s, "accuracy", ["a", "b"], resamples=2000, level=0.3, seed=1)
    assert (narrow.low, narrow.high) == (0.5, 0.5)
    assert "2 blocks are few" in wide.note
    inside = interval(s, "accuracy", ["a", "a"], seed=1)
    assert math.isnan(inside.low) and math.isnan(inside.high) and "1 block:" in inside.note


def test_paired_by_hand() -> None:
    # Model a is right on blocks "a" and "b", model b on "b" alone: a is better unless "a" is never drawn, a chance of 1/4.
    y = np.array([1, 1])
    a, b = Scored(y, np.array([0.9, 0.9]), 0.5, (0, 1)), Scored(y, np.array([0.1, 0.9]), 0.5, (0, 1))
    pair = paired(a, b, "accuracy", ["a", "b"], resamples=4000, level=0.9, seed=2)
    assert (pair.difference, pair.low, pair.high, pair.lower_bound) == (0.5, 0.0, 1.0, 0.0)
    assert pair.p_value == pytest.approx(0.25, abs=0.03)
    swapped = paired(b, a, "accuracy", ["a", "b"], resamples=4000, level=0.9, seed=2)
    assert (swapped.difference, swapped.low, swapped.high, swapped.lower_bound) == (-0.5, -1.0, 0.0, -1.0)
    assert swapped.p_value == 1.0
    assert paired(a, b, "log_loss", ["a", "b"], seed=2).difference > 0


@pytest.mark.parametrize("name", sorted(METRICS))
def test_equal_to_copying_rows(name: str) -> None:
    s = random_scored(METRICS[name].tasks[0], 9)
    blocks = days(40, 7)
    got = interval(s, name, blocks, resamples=60, level=0.8, seed=4)
    rng = np.random.default_rng(4)
    members = [np.flatnonzero(blocks == day) for day in np.unique(blocks)]
    values = []
    for drawn in rng.integers(0, 7, size=(60, 7)):
        rows = np.concatenate([members[d] for d in drawn])
        values.append(evaluate(take(s, rows), [name])[name])
    assert np.isfinite(values).all()
    np.testing.assert_allclose([got.low, got.high], np.quantile(values, [0.1, 0.9]), rtol=1e-9)


def test_better_model_is_found_in_the_right_direction() -> None:
    good, bad = better_and_worse()
    for name in ("roc_auc", "pr_auc", "f1", "log_loss", "brier"):
        pair = paired(good, bad, name, days(400, 25), resamples=300, seed=1)
        plain = evaluate(good, [name])[name] - evaluate(bad, [name])[name]
        assert pair.difference == pytest.approx(METRICS[name].sign * plain, rel=1e-9)
        assert 0 < pair.low < pair.lower_bound < pair.difference < pair.high
        assert pair.p_value == pytest.approx(1 / 301) and pair.note == ""


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_model_is_never_better_than_itself(name: str) -> None:
    s = random_scored(METRICS[name].tasks[0], 3)
    same = Scored(s.y, s.score.copy(order="F"), s.threshold, s.classes)
    pair = paired(s, same, name, days(40, 20), resamples=200, seed=0)
    assert (pair.difference, pair.low, pair.high, pair.lower_bound, pair.p_value) == (0, 0, 0, 0, 1)


def test_rounding_is_no_improvement() -> None:
    y = np.random.default_rng(0).normal(size=40)
    s, nudged = Scored(y, np.zeros(40)), Scored(y, 1e-14 * y)
    assert evaluate(nudged, ["mae"])["mae"] < evaluate(s, ["mae"])["mae"]
    pair = paired(nudged, s, "mae", days(40, 20), resamples=50, seed=0)
    assert (pair.difference, pair.lower_bound, pair.p_value) == (0, 0, 1)
    real = paired(Scored(y, 1e-9 * y), s, "mae", days(40, 20), resamples=50, seed=0)
    assert real.lower_bound > 0


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, chunk=st.integers(1, 40))
def test_seed_decides_and_row_order_and_chunks_do_not(seed: int, chunk: int) -> None:
    good, bad = better_and_worse(60, seed)
    blocks = days(60, 8, seed)
    whole = paired(good, bad, "roc_auc", blocks, resamples=50, seed=seed)
    rows = np.random.default_rng(seed).permutation(60)
    assert (
        paired(take(good, rows), take(bad, rows), "roc_auc", blocks[rows], resamples=50, seed=seed) == whole
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "DRAWS", chunk)
        assert paired(good, bad, "roc_auc", blocks, resamples=50, seed=seed) == whole
    assert paired(good, bad, "roc_auc", blocks, resamples=50, seed=seed + 1) != whole


def test_blocks_may_be_of_any_type() -> None:
    good, _ = better_and_worse(60)
    blocks = days(60, 8)
    wanted = interval(good, "roc_auc", blocks, resamples=50, seed=0)
    for other in (blocks.astype("datetime64[ns]"), blocks.astype(str), blocks.astype(object)):
        assert interval(good, "roc_auc", other, resamples=50, seed=0) == wanted
    missing = blocks.astype(str).astype(object)
    missing[blocks == blocks[0]] = None
    assert interval(good, "roc_auc", missing, resamples=50, seed=0).blocks == 8


def test_blocks_are_wider_than_rows_when_rows_of_a_block_agree() -> None:
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(30), 40)
    y = np.zeros(1200)
    s = Scored(y, rng.normal(size=30)[block] + 0.1 * rng.normal(size=1200))
    by_block = interval(s, "mae", block, resamples=300, seed=0)
    by_row = interval(s, "mae", np.arange(1200), resamples=300, seed=0)
    assert by_block.high - by_block.low > 3 * (by_row.high - by_row.low)


def test_interval_covers_the_truth() -> None:
    # The mean of 40 block means, each of 5 equal rows: mae of a normal around zero is sqrt(2 / pi).
    hits = 0
    block = np.repeat(np.arange(40), 5)
    for seed in range(200):
        value = np.random.default_rng(seed).normal(size=40)[block]
        got = interval(Scored(np.zeros(200), value), "mae", block, resamples=200, level=0.9, seed=seed)
        hits += got.low <= math.sqrt(2 / math.pi) <= got.high
    assert 0.82 <= hits / 200 <= 0.96


def test_undefined_resamples_are_told_and_count_as_not_better() -> None:
    # Block "a" holds all positives: (2/3)^3 of the draws have none, and the metric is undefined there.
    y = np.array([1, 1, 0, 0, 0, 0])
    good = Scored(y, np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.2]), 0.5, (0, 1))
    bad = Scored(y, 1 - good.score, 0.5, (0, 1))
    blocks = ["a", "a", "b", "b", "c", "c"]
    got = interval(good, "roc_auc", blocks, resamples=400, seed=0)
    assert math.isnan(got.low) and "undefined in" in got.note
    pair = paired(good, bad, "roc_auc", blocks, resamples=400, seed=0)
    assert math.isnan(pair.lower_bound) and pair.difference == 1.0
    assert pair.p_value == pytest.approx(8 / 27 + 1 / 27, abs=0.06)
    lenient = interval(good, "roc_auc", blocks, resamples=400, level=0.5, seed=0)
    assert (lenient.low, lenient.high) == (1.0, 1.0) and "undefined in" in lenient.note


def test_no_rows() -> None:
    empty = Scored(np.array([]), np.array([]), 0.5, (0, 1))
    assert math.isnan(interval(empty, "f1", [], seed=0).low)
    pair = paired(empty, empty, "f1", [], seed=0)
    assert math.isnan(pair.difference) and "0 blocks" in pair.note


def test_custom_metric() -> None:
    good, bad = better_and_worse(80)
    mine = custom("mine", lambda y, score: float(np.mean((y - score) ** 2)), "lower")
    got = paired(good, bad, mine, days(80, 8), resamples=40, seed=0)
    wanted = paired(good, bad, "brier", days(80, 8), resamples=40, seed=0)
    assert got.lower_bound == pytest.approx(wanted.lower_bound) and got.p_value == wanted.p_value


def test_wrong_questions() -> None:
    good, bad = better_and_worse(20)
    with pytest.raises(DataError, match="do not fit 20 rows"):
        interval(good, "f1", np.arange(19), seed=0)
    for resamples, level in ((1000, 1.0), (1000, 0.0), (0, 0.9)):
        with pytest.raises(DataError, match="no bootstrap"):
            interval(good, "f1", np.arange(20), resamples=resamples, level=level, seed=0)
    other = Scored(1 - bad.y, bad.score, 0.5, (0, 1))
    with pytest.raises(DataError, match="same rows"):
        paired(good, other, "f1", np.arange(20), seed=0)


def test_a_thousand_resamples_of_auc_take_well_under_a_second() -> None:
    good, bad = better_and_worse(12_000)
    start = time.process_time()
    paired(good, bad, "roc_auc", days(12_000, 14), seed=0)
    assert time.process_time() - start < 2.0  # measured 0.3 s; the rest is for a busy machine
