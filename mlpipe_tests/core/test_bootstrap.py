"""Block bootstrap: by hand, by property, against brute force, and how often its intervals cover."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from mlpipe.core import bootstrap
from mlpipe.core.bootstrap import interval, paired
from mlpipe.core.metrics import METRICS, Scored, custom, evaluate
from mlpipe.errors import DataError
from mlpipe_tests.core.test_metrics import ROWS, random_scored, take

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
    # Model a is right on blocks "a" and "b", model b on "b" alone: drawn are differences 1, 1/2 and 0, with chances 1/4, 1/2 and 1/4.
    # Their standard deviation is sqrt(1/8), and times sqrt(2/1) it is 1/2. Student's t with one degree of freedom is Cauchy's:
    # its quantile is tan(pi (q - 1/2)), 3.078 at 0.9 and 6.314 at 0.95.
    y = np.array([1, 1])
    a, b = Scored(y, np.array([0.9, 0.9]), 0.5, (0, 1)), Scored(y, np.array([0.1, 0.9]), 0.5, (0, 1))
    pair = paired(a, b, "accuracy", ["a", "b"], resamples=4000, level=0.9, seed=2)
    assert (pair.difference, pair.rival, pair.blocks, pair.resamples) == (0.5, 0.5, 2, 4000)
    assert pair.lower_bound == pytest.approx(0.5 - 3.0777 / 2, abs=0.03)
    assert (pair.low, pair.high) == pytest.approx((0.5 - 6.3138 / 2, 0.5 + 6.3138 / 2), abs=0.06)
    assert pair.note == "2 blocks are few: the bound holds if their differences vary about normally."
    swapped = paired(b, a, "accuracy", ["a", "b"], resamples=4000, level=0.9, seed=2)
    assert (swapped.difference, swapped.low, swapped.high) == (-0.5, -pair.high, -pair.low)
    assert swapped.lower_bound == pytest.approx(-1 + pair.lower_bound, abs=1e-12)
    assert paired(a, b, "log_loss", ["a", "b"], seed=2).difference > 0


@pytest.mark.parametrize("level", [0.5, 0.9, 0.975, 1 - 0.05 / 210])
@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "f1"])
def test_the_bound_is_that_of_copied_rows_and_scipys_t(name: str, level: float) -> None:
    good, bad = better_and_worse(120)
    blocks = days(120, 9)
    pair = paired(good, bad, name, blocks, resamples=60, level=level, seed=4)
    rng = np.random.default_rng(4)
    members = [np.flatnonzero(blocks == day) for day in np.unique(blocks)]
    gains = []
    for drawn in rng.integers(0, 9, size=(60, 9)):
        at = np.concatenate([members[d] for d in drawn])
        gains.append(evaluate(take(good, at), [name])[name] - evaluate(take(bad, at), [name])[name])
    spread = math.sqrt(9 / 8) * np.std(gains, ddof=1)
    one, two = student.ppf([level, (1 + level) / 2], df=8) * spread
    wanted = pair.difference - one, pair.difference - two, pair.difference + two
    assert (pair.lower_bound, pair.low, pair.high) == pytest.approx(wanted, rel=1e-8)


def test_where_the_metric_is_a_mean_of_blocks_the_bound_is_that_of_a_t_test() -> None:
    gains = np.random.default_rng(3).normal(0.02, 0.05, size=14)
    ours, theirs = (Scored(np.zeros(70), np.repeat(e, 5)) for e in (1 - gains, np.ones(14)))
    pair = paired(ours, theirs, "mae", np.repeat(np.arange(14), 5), resamples=20_000, level=0.9, seed=0)
    test = ttest_1samp(gains, 0.0)
    two, bound = test.confidence_interval(0.9), ttest_1samp(gains, 0.0, alternative="greater")
    width = 0.02 * (two.high - two.low)
    assert pair.difference == pytest.approx(gains.mean(), abs=1e-12)
    assert (pair.low, pair.high) == pytest.approx((two.low, two.high), abs=width)
    assert pair.lower_bound == pytest.approx(bound.confidence_interval(0.9).low, abs=width)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, shift=st.floats(0, 3), level=st.floats(0.05, 0.999))
def test_a_model_that_is_better_by_so_much_on_every_row_moves_the_bound_by_that(
    seed: int, shift: float, level: float
) -> None:
    rng, y, blocks = np.random.default_rng(seed), np.zeros(60), days(60, 12, seed)
    ours, theirs = rng.normal(5, 0.1, 60), rng.normal(5, 0.1, 60)
    before, after = (
        paired(Scored(y, e), Scored(y, theirs), "mae", blocks, resamples=40, level=level, seed=seed)
        for e in (ours, ours - shift)
    )
    moved = before.difference + shift, before.low + shift, before.high + shift, before.lower_bound + shift
    assert (after.difference, after.low, after.high, after.lower_bound) == pytest.approx(moved, abs=1e-9)


def test_the_bound_needs_two_resamples() -> None:
    good, bad = better_and_worse()
    alone = paired(good, bad, "f1", days(400, 25), resamples=1, seed=1)
    assert math.isnan(alone.lower_bound) and math.isnan(alone.low) and math.isfinite(alone.difference)
    assert math.isfinite(paired(good, bad, "f1", days(400, 25), resamples=2, seed=1).lower_bound)


@pytest.mark.parametrize("name", sorted(ROWS))
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
        pair = paired(good, bad, name, days(400, 25), resamples=1000, seed=1)
        plain = evaluate(good, [name])[name] - evaluate(bad, [name])[name]
        assert pair.difference == pytest.approx(METRICS[name].sign * plain, rel=1e-9)
        assert 0 < pair.low < pair.lower_bound < pair.difference < pair.high
        assert pair.note == ""


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_model_is_never_better_than_itself(name: str) -> None:
    s = random_scored(METRICS[name].tasks[0], 3)
    same = Scored(s.y, s.score.copy(order="F"), s.threshold, s.classes)
    pair = paired(s, same, name, days(40, 20), resamples=200, seed=0)
    assert (pair.difference, pair.low, pair.high, pair.lower_bound) == (0, 0, 0, 0)


def test_rounding_is_no_improvement() -> None:
    y = np.random.default_rng(0).normal(size=40)
    s, nudged = Scored(y, np.zeros(40)), Scored(y, 1e-14 * y)
    assert evaluate(nudged, ["mae"])["mae"] < evaluate(s, ["mae"])["mae"]
    pair = paired(nudged, s, "mae", days(40, 20), resamples=50, seed=0)
    assert (pair.difference, pair.lower_bound) == (0, 0)
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


@pytest.mark.parametrize(("name", "n"), [("mae", 40), ("rmse", 25), ("r2", 60), ("roc_auc", 80), ("f1", 80)])
def test_bca_is_that_of_scipy(name: str, n: int) -> None:
    s = random_scored(METRICS[name].tasks[0], 11, n)
    got = interval(s, name, np.arange(n), resamples=20_000, method="bca", seed=1)
    value = lambda rows: evaluate(take(s, rows.astype(int)), [name])[name]  # noqa: E731
    theirs = scipy_bootstrap(
        (np.arange(n),), value, vectorized=False, n_resamples=3000, method="BCa", rng=np.random.default_rng(2)
    )
    plain = interval(s, name, np.arange(n), resamples=20_000, seed=1)
    wanted, width = theirs.confidence_interval, plain.high - plain.low
    assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high), abs=0.06 * width)
    assert got.method == "BCa of a block bootstrap" and plain.method == "percentile of a block bootstrap"


# One of the draws of this seed holds each block once.
@example(seed=1_379_094_738, level=0.5)
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, level=st.floats(0.5, 0.99))
def test_bca_of_the_same_resamples_is_scipys_formula(seed: int, level: float) -> None:
    s, blocks = random_scored("regression", seed), days(40, 12, seed)
    got = interval(s, "rmse", blocks, resamples=300, level=level, method="bca", seed=seed)
    codes = np.unique(blocks, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    counts = np.array([np.bincount(d, minlength=12) for d in rng.integers(0, 12, size=(300, 12))])
    # scipy is given the value of each draw by its blocks, and draws the very same ones.
    errors = (s.y - s.score) ** 2
    sums, rows = np.bincount(codes, errors, 12), np.bincount(codes, minlength=12)
    value = lambda b, axis=-1: np.sqrt(sums[b].sum(axis) / rows[b].sum(axis))  # noqa: E731
    held = value(np.array([np.repeat(np.arange(12), c) for c in counts]))
    theirs = scipy_bootstrap(
        (np.arange(12),),
        value,
        n_resamples=0,
        bootstrap_result=type("Held", (), {"bootstrap_distribution": held})(),
        confidence_level=level,
        method="BCa",
    ).confidence_interval
    assert (got.low, got.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_bca_with_many_blocks_leaves_out_groups_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    s = random_scored("regression", 2, 400)
    each = interval(s, "rmse", np.arange(400), resamples=2000, method="bca", seed=0)
    monkeypatch.setattr(bootstrap, "JACKKNIFE", 50)
    grouped = interval(s, "rmse", np.arange(400), resamples=2000, method="bca", seed=0)
    assert (grouped.low, grouped.high) == pytest.approx((each.low, each.high), rel=0.02) and grouped != each


def test_bca_at_its_ends() -> None:
    same = Scored(np.zeros(6), np.ones(6))
    flat = interval(same, "mae", np.arange(6), resamples=50, method="bca", seed=0)
    assert (flat.low, flat.high) == (1.0, 1.0)
    # Rows that occur: no resample has them all, and nothing can be said of how far the value lies off.
    occurring = custom("rows", lambda y, score, weights: len(weights), "higher")
    alone = interval(
        Scored(np.zeros(40), np.ones(40)), occurring, np.arange(40), resamples=50, method="bca", seed=0
    )
    assert math.isnan(alone.low) and math.isnan(alone.high) and "one side" in alone.note
    with pytest.raises(DataError, match="'bca'"):
        interval(same, "mae", np.arange(6), method="bcaa", seed=0)  # type: ignore[arg-type]


def test_undefined_resamples_are_told_and_too_many_leave_no_bound() -> None:
    # Block "a" holds all positives: (2/3)^3 of the draws have none, and the metric is undefined there.
    y = np.array([1, 1, 0, 0, 0, 0])
    good = Scored(y, np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.2]), 0.5, (0, 1))
    bad = Scored(y, 1 - good.score, 0.5, (0, 1))
    blocks = ["a", "a", "b", "b", "c", "c"]
    got = interval(good, "roc_auc", blocks, resamples=400, seed=0)
    assert math.isnan(got.low) and "undefined in" in got.note
    pair = paired(good, bad, "roc_auc", blocks, resamples=400, seed=0)
    assert all(map(math.isnan, (pair.lower_bound, pair.low, pair.high))) and pair.difference == 1.0
    assert "undefined in" in pair.note
    lenient = interval(good, "roc_auc", blocks, resamples=400, level=0.5, seed=0)
    assert (lenient.low, lenient.high) == (1.0, 1.0) and "undefined in" in lenient.note
    left = paired(good, bad, "roc_auc", blocks, resamples=400, level=0.5, seed=0)
    assert (left.low, left.lower_bound, left.high) == (1.0, 1.0, 1.0) and "undefined in" in left.note


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
    assert got.lower_bound == pytest.approx(wanted.lower_bound)


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
