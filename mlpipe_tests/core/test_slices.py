"""Slices: cut by hand, judged as the metric on their rows, worse ones found and no others."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core import discovery
from mlpipe.core.bootstrap import paired
from mlpipe.core.discovery import losses, worst
from mlpipe.core.metrics import Scored, evaluate
from mlpipe.core.slices import part, sliced
from mlpipe.core.slicing import NULL, OTHER, cells, crossed, cut, cuts, labels_of
from mlpipe.errors import DataError
from mlpipe_tests.core.test_metrics import random_scored

SEEDS = st.integers(0, 2**32 - 1)


def test_cut_by_hand() -> None:
    few = cut(pd.Series([2, 1, None, 2]), "x")
    assert (few.labels, few.codes.tolist()) == (("1.0", "2.0", NULL), [1, 0, 2, 1])
    many = cut(pd.Series([*range(1, 17), np.nan, np.inf, -np.inf]), "x")
    assert many.labels == ("<= 4", "(4, 8]", "(8, 12]", "> 12", NULL)
    assert many.codes.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4, 3, 0]
    text = cut(pd.Series(["b", "a", None], dtype="category").cat.add_categories(["z"]), "x")
    assert (text.labels, text.codes.tolist()) == (("a", "b", NULL), [1, 0, 2])
    crowd = cut(pd.Series([f"{i:03}" for i in range(60)] + ["001"] * 2), "x")
    assert len(crowd.labels) == 51 and crowd.labels[-1] == OTHER and (crowd.codes == 50).sum() == 10


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_slices_of_any_columns_are_disjoint_and_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = rng.integers(0, 30, 80)
    frame = pd.DataFrame(
        {
            "number": np.where(number < 3, np.nan, number),
            "text": rng.choice(["a", "b", None], 80),
            "flag": rng.random(80) < 0.5,
        }
    )
    parts = list(cuts(frame, ["number", "text", "flag"]).values())
    found = list(cells(parts))
    assert sorted(np.concatenate([c.rows for c in found])) == list(range(80))
    assert len({c.name for c in found}) == len(found)
    codes, size = crossed(parts)
    assert codes.max() < size
    for cell in found:
        assert labels_of(parts, int(codes[cell.rows[0]])) == cell.columns
        assert len(set(codes[cell.rows])) == 1
        assert frame.flag[cell.rows].map(str).eq(cell.columns["flag"]).all()


def three_airports(
    seed: int, worse: float = 0.0, rows: int = 3000, rare: int = 0, gain: float = 0.0
) -> tuple[pd.DataFrame, Scored, Scored, Any]:
    """A champion and a challenger that are alike, but for the share `worse` of rows at JFK that the challenger scores at random.

    Each model has better and worse days of its own. With a `gain` the challenger is the better one elsewhere.
    """
    rng = np.random.default_rng(seed)
    days, y = rng.integers(0, 30, rows), rng.integers(0, 2, rows)
    origin = rng.choice(["JFK", "LGA", "EWR"], rows, p=[0.15, 0.4, 0.45])
    origin[:rare] = "PHL"
    ours, theirs = (
        1
        / (1 + np.exp(-((2.0 + more + 0.3 * rng.normal(size=30)[days]) * (y - 0.5) + rng.normal(size=rows))))
        for more in (gain, 0.0)
    )
    spoilt = (origin == "JFK") & (rng.random(rows) < worse)
    ours[spoilt] = rng.random(spoilt.sum())
    ours[:rare] = 1 - y[:rare]
    frame = pd.DataFrame({"origin": origin, "hour": rng.integers(0, 24, rows)})
    return frame, Scored(y, ours, 0.5, (0, 1)), Scored(y, theirs, 0.5, (0, 1)), days


def test_values_are_the_metric_on_the_rows_and_differences_those_of_a_comparison() -> None:
    frame, ours, theirs, days = three_airports(1)
    later = days >= 10
    got = sliced(
        frame,
        [["origin"]],
        ours,
        "f1",
        days,
        champion=part(theirs, later),
        compared=later,
        resamples=300,
        seed=5,
    )
    assert [s.slice for s in got.slices] == ["origin=EWR", "origin=JFK", "origin=LGA"]
    whole = evaluate(ours, ["f1"])["f1"]
    assert got.overall == pytest.approx(whole) and sum(s.rows for s in got.slices) == 3000
    for s in got.slices:
        rows = (frame.origin == s.columns["origin"]).to_numpy()
        assert s.value == pytest.approx(evaluate(part(ours, rows), ["f1"])["f1"])
        assert (
            s.gap == pytest.approx(s.value - whole)
            and s.low < s.value < s.high
            and s.low_gap < s.gap < s.high_gap
        )
        both = rows & later
        pair = paired(part(ours, both), part(theirs, both), "f1", days[both], resamples=4000, seed=1)
        assert (s.difference, s.champion) == pytest.approx((pair.difference, pair.rival))
        width = pair.high - pair.low
        assert (s.low_difference, s.upper_difference) == pytest.approx(
            (pair.low, pair.high), abs=0.25 * width
        )


def test_a_slice_that_is_worse_by_a_fifth_is_found_though_the_whole_stays_within_noise() -> None:
    frame, ours, theirs, days = three_airports(2, worse=0.75, rows=1200, gain=0.5)
    got = sliced(frame, [["origin"]], ours, "roc_auc", days, champion=theirs, seed=2)
    jfk = next(s for s in got.slices if s.slice == "origin=JFK")
    assert -0.35 < jfk.difference < -0.15 and jfk.upper_difference < 0
    assert [s.slice for s in got.slices if s.regresses] == ["origin=JFK"]
    whole = paired(ours, theirs, "roc_auc", days, seed=2)
    assert whole.low < 0 < whole.high
    facts = got.to_dict(most=1)
    assert [s["slice"] for s in facts["slices"]] == ["origin=JFK"] and (
        facts["more"],
        facts["regressing"],
    ) == (2, 1)
    frame, ours, theirs, days = three_airports(2, worse=0.9)
    told = worst(frame, ["origin", "hour"], losses(ours), days)
    assert told[0].slice == "origin=JFK" and told[0].q < 0.05 and told[0].loss > told[0].rest


def test_a_group_of_23_rows_raises_no_alarm() -> None:
    frame, ours, theirs, days = three_airports(3, rare=23)
    got = sliced(frame, [["origin"]], ours, "roc_auc", days, champion=theirs, seed=3)
    assert ("origin=PHL", 23) in got.left_out and not any(s.regresses for s in got.slices)
    assert "origin=PHL" not in [s.slice for s in got.slices]
    assert not [s for s in worst(frame, ["origin"], losses(ours), days) if "PHL" in s.slice]
    forced = sliced(frame, [["origin"]], ours, "accuracy", days, champion=theirs, min_support=20, seed=3)
    assert [s.slice for s in forced.slices if s.regresses] == ["origin=PHL"]


def test_what_whole_days_hide_is_seen_within_them() -> None:
    """The days differ by much more than the challenger is worse: only pairs of rows of one day show it."""
    rng = np.random.default_rng(0)
    days, y = np.repeat(np.arange(14), 90), rng.integers(0, 2, 1260)
    frame = pd.DataFrame({"origin": np.tile(["JFK", "LGA", "EWR"], 420)})
    noise = rng.normal(size=1260)
    logit = [1.5 * y + 2 * rng.normal(size=14)[days] + noise + 0.3 * rng.normal(size=1260) for _ in range(2)]
    logit[0] = np.where(frame.origin == "JFK", logit[0] + 1.5 * rng.normal(size=1260), logit[0])
    ours, theirs = (Scored(y, 1 / (1 + np.exp(-x)), 0.5, (0, 1)) for x in logit)
    got = sliced(frame, [["origin"]], ours, "roc_auc", days, champion=theirs, seed=1)
    jfk = next(s for s in got.slices if s.slice == "origin=JFK")
    assert [s.slice for s in got.slices if s.regresses] == ["origin=JFK"]
    assert jfk.look == "within" and jfk.told == jfk.within < -0.1 and jfk.p_pooled > 0.05 > jfk.p_adjusted
    assert jfk.p_worse == min(1, 2 * jfk.p_within) and jfk.low_within < jfk.within < jfk.upper_within < 0
    # Other metrics, and blocks of a single class, are looked at once.
    brier = sliced(frame, [["origin"]], ours, "brier", days, champion=theirs, seed=1)
    assert {s.look for s in brier.slices} == {"pooled"} and all(math.isnan(s.within) for s in brier.slices)
    rows = sliced(frame, [["origin"]], ours, "roc_auc", np.arange(1260), champion=theirs, seed=1)
    assert all(s.look == "pooled" and s.p_worse == s.p_pooled for s in rows.slices)


def test_each_set_of_columns_has_the_same_share_of_alpha() -> None:
    """Holm's weighted method, by its definition: the least p / weight first, each times what is left of all weights."""
    frame, ours, theirs, days = three_airports(6, worse=0.3)
    got = sliced(frame, [["origin"], ["hour"]], ours, "roc_auc", days, champion=theirs, seed=6)
    weight = {s.slice: 1 / (2 * (3 if "origin" in s.columns else 4)) for s in got.slices}
    left, highest = dict(weight), 0.0
    for s in sorted(got.slices, key=lambda s: s.p_worse / weight[s.slice]):
        highest = max(highest, min(1.0, sum(left.values()) * s.p_worse / weight[s.slice]))
        assert s.p_adjusted == pytest.approx(highest) and s.p_adjusted >= s.p_worse
        del left[s.slice]
    alone = sliced(frame, [["origin"]], ours, "roc_auc", days, champion=theirs, seed=6)
    jfk = [next(s for s in x.slices if s.slice == "origin=JFK") for x in (alone, got)]
    assert jfk[1].p_adjusted == pytest.approx(2 * jfk[0].p_adjusted)


def alarms(runs: int, first: int) -> tuple[float, float]:
    """Share of runs on data without a bad slice in which any slice regresses, and in which any is discovered."""
    regressed = discovered = 0
    for seed in range(first, first + runs):
        frame, ours, theirs, days = three_airports(seed, rows=1500)
        got = sliced(
            frame, [["origin"], ["hour"]], ours, "brier", days, champion=theirs, resamples=200, seed=seed
        )
        regressed += any(s.regresses for s in got.slices)
        discovered += bool(worst(frame, ["origin", "hour"], losses(ours), days))
    return regressed / runs, discovered / runs


def refused(runs: int, first: int) -> float:
    """Share of runs on data without a bad slice in which any slice of two sets regresses by either look at its pairs."""
    found = 0
    for seed in range(first, first + runs):
        frame, ours, theirs, days = three_airports(seed, rows=700)
        by = [["origin"], ["hour"]]
        got = sliced(frame, by, ours, "roc_auc", days, champion=theirs, resamples=100, seed=seed)
        found += any(s.regresses for s in got.slices)
    return found / runs


def test_without_a_bad_slice_alarms_are_rare() -> None:
    assert max(alarms(20, 0)) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 20)
    assert refused(20, 0) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 20)


@pytest.mark.long
def test_without_a_bad_slice_alarms_keep_their_level() -> None:
    assert max(alarms(1000, 1000)) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_two_looks_at_pairs_keep_the_level_of_one() -> None:
    assert 0.01 <= refused(2000, 1000) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_discovery_by_brute_force() -> None:
    frame, ours, _, days = three_airports(4, worse=0.9)
    loss = losses(ours)
    for s in worst(frame, ["origin", "hour"], loss, days, rate=0.5):
        at = np.ones(len(frame), dtype=bool)
        for column, label in s.columns.items():
            part_of = cut(frame[column], column)
            at &= part_of.codes == part_of.labels.index(label)
        assert s.rows == at.sum() and s.p <= s.q
        assert (s.loss, s.rest) == pytest.approx((loss[at].mean(), loss[~at].mean()))
        assert s.effect == pytest.approx((loss[at].mean() - loss[~at].mean()) / loss.std())


def test_q_values_are_those_of_benjamini_and_hochberg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "EFFECT", -math.inf)
    frame, ours, _, days = three_airports(5)
    told = sorted(worst(frame, ["hour"], losses(ours), days, rate=1.0, most=99), key=lambda s: s.p)
    assert len(told) == 4  # the ranges that hours are cut into
    wanted = [min(4 * s.p / (i + 1) for i, s in list(enumerate(told))[k:]) for k in range(4)]
    assert [s.q for s in told] == pytest.approx(wanted)


def test_where_each_row_is_a_block_the_test_is_welchs() -> None:
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": np.repeat(["a", "b"], 200)})
    loss = rng.normal(size=400) + 0.3 * (frame.x == "a")
    (found,) = worst(frame, ["x"], loss, np.arange(400), rate=0.9)
    wanted = ttest_ind(loss[:200], loss[200:], equal_var=False, alternative="greater")
    assert found.p == pytest.approx(wanted.pvalue, rel=0.25)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_losses_of_rows(task: str) -> None:
    s = random_scored(task, 1)
    name = {"binary": "brier", "regression": "mae"}.get(task)
    wanted = evaluate(s, [name])[name] if name else np.mean(((s.score - np.eye(3)[s.y]) ** 2).sum(axis=1))
    assert losses(s).mean() == pytest.approx(wanted)


def test_wrong_questions_and_empty_ones() -> None:
    frame, ours, theirs, days = three_airports(1, rows=100)
    with pytest.raises(DataError, match="'origin'"):
        sliced(frame, [["orgin"]], ours, "f1", days, seed=0)
    with pytest.raises(DataError, match="do not fit"):
        sliced(frame, [["origin"]], ours, "f1", days, champion=part(theirs, days > 10), seed=0)
    with pytest.raises(DataError, match="do not fit"):
        worst(frame, ["origin"], losses(ours)[1:], days)
    assert worst(frame, ["origin"], np.zeros(100), days) == ()
    none = sliced(frame, [], ours, "f1", days, seed=0)
    assert none.slices == () and none.overall == pytest.approx(evaluate(ours, ["f1"])["f1"])
    one_day = sliced(frame, [["origin"]], ours, "f1", np.zeros(100), champion=theirs, min_support=10, seed=0)
    assert all(math.isnan(s.low) and not s.regresses for s in one_day.slices)
    assert one_day.to_dict()["slices"][0]["low"] is None
