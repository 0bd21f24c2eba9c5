"""Fairness: by hand, against fairlearn, and how often alike groups look unlike."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fair
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score

from mlpipe.core import fairness as module
from mlpipe.core.fairness import MEASURES, RATES, fairness
from mlpipe.core.scored import Scored
from mlpipe.errors import DataError

SEEDS = st.integers(0, 2**32 - 1)


def people(seed: int, n: int = 600, unlike: float = 0.0) -> tuple[pd.DataFrame, Scored, Any]:
    """Three groups of people; those of "c" get a score that is lower by `unlike`."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"group": rng.choice(["a", "b", "c"], n), "age": rng.integers(18, 70, n)})
    y = rng.integers(0, 2, n)
    score = np.clip(rng.normal(0.35 + 0.3 * y, 0.2) - unlike * (frame.group == "c"), 0, 1)
    return frame, Scored(y, score, 0.5, (0, 1)), rng.integers(0, 40, n)


def by_fairlearn(frame: pd.DataFrame, s: Scored) -> dict[str, float]:
    groups: Any = {"sensitive_features": frame.group}
    precision = fair.MetricFrame(metrics=precision_score, y_true=s.y, y_pred=s.labels, **groups)
    return {
        "demographic_parity_difference": fair.demographic_parity_difference(s.y, s.labels, **groups),
        "demographic_parity_ratio": fair.demographic_parity_ratio(s.y, s.labels, **groups),
        "equal_opportunity_difference": fair.equal_opportunity_difference(s.y, s.labels, **groups),
        "equalized_odds_difference": fair.equalized_odds_difference(s.y, s.labels, **groups),
        "predictive_parity_difference": precision.difference(),
    }


def from_rates(rates: dict[str, Any]) -> dict[str, float]:
    """Measures from rates (groups,): what resamples are made of."""
    selected, tpr, fpr, precision = (np.asarray(rates[r]) for r in RATES)
    return {
        "demographic_parity_difference": np.ptp(selected),
        "demographic_parity_ratio": selected.min() / selected.max(),
        "equal_opportunity_difference": np.ptp(tpr),
        "equalized_odds_difference": max(np.ptp(tpr), np.ptp(fpr)),
        "predictive_parity_difference": np.ptp(precision),
    }


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, unlike=st.sampled_from([0.0, 0.2]))
def test_equal_to_fairlearn_and_to_our_rates(seed: int, unlike: float) -> None:
    frame, s, blocks = people(seed, unlike=unlike)
    (got,) = fairness(frame, [["group"]], s, blocks, resamples=50, seed=1).columns
    wanted = by_fairlearn(frame, s)
    assert {n: m.value for n, m in got.measures.items()} == pytest.approx(wanted, rel=1e-12)
    assert from_rates({r: [g.rates[r].value for g in got.groups] for r in RATES}) == pytest.approx(wanted)
    assert got.four_fifths == (wanted["demographic_parity_ratio"] >= 0.8)
    for m in got.measures.values():
        assert 0 <= m.low <= m.value <= m.high <= 1


def test_rates_of_resamples_are_fairlearns_of_copied_rows() -> None:
    frame, s, blocks = people(7)
    groups = {g: np.flatnonzero(frame.group == g) for g in "abc"}
    codes = np.unique(blocks, return_inverse=True)[1]
    sums = module._Sums(groups, s.y, s.labels, codes, 40, 5, 3)
    assert sums.resampled is not None
    drawn = np.random.default_rng(3).integers(0, 40, size=(5, 40))
    for r, days in enumerate(drawn):
        rows = np.concatenate([np.flatnonzero(codes == d) for d in days])
        copied = by_fairlearn(frame.iloc[rows], Scored(s.y[rows], s.score[rows], 0.5, (0, 1)))
        assert from_rates({n: v[r] for n, v in sums.resampled.items()}) == pytest.approx(copied)


def test_by_hand() -> None:
    # "a": 3 of 4 chosen, 2 of them rightly, 2 positives. "b": 1 of 4 chosen, rightly, 2 positives.
    s = Scored([1, 1, 0, 0, 1, 1, 0, 0], [0.9, 0.9, 0.9, 0.1, 0.9, 0.1, 0.1, 0.1], 0.5, (0, 1))
    frame = pd.DataFrame({"x": list("aaaabbbb")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEWEST", 1)
        (got,) = fairness(frame, [["x"]], s, np.tile([0, 1], 4), min_support=4, resamples=9, seed=0).columns
        wanted = {"demographic_parity_ratio": 1 / 3, "equal_opportunity_difference": 0.5}
        wanted |= {
            "demographic_parity_difference": 0.5,
            "equalized_odds_difference": 0.5,
            "predictive_parity_difference": 1 / 3,
        }
        assert {n: m.value for n, m in got.measures.items()} == pytest.approx(wanted)
        assert got.four_fifths is False and got.reference == "a"
        b = got.groups[1]
        assert (
            b.differences["selection_rate"],
            b.ratios["selection_rate"],
            b.differences["fpr"],
        ) == pytest.approx((-0.5, 1 / 3, -0.5))
        other = fairness(
            frame, [["x"]], s, np.tile([0, 1], 4), references={"x": "b"}, min_support=4, resamples=9, seed=0
        )
        assert other.columns[0].groups[0].ratios["selection_rate"] == pytest.approx(3)


def test_what_is_not_tested_is_said() -> None:
    frame, s, blocks = people(1)
    frame.loc[:22, "group"] = "d"
    rare = Scored(np.where(frame.group == "b", 0, s.y), s.score, 0.5, (0, 1))
    got = fairness(frame, [["group"], ["group", "age"]], rare, blocks, resamples=50, seed=0)
    told = {(u.column, u.group, u.measure): u.why for u in got.not_tested}
    assert told["group", "d", ""] == "23 rows, fewer than 50"
    assert told["group", "b", "tpr"] == "0 positive rows, fewer than 10"
    assert "d" not in [g.group for g in got.columns[0].groups]
    assert got.to_dict()["columns"]["group"]["groups"][1]["tpr"]["value"] is None
    assert got.columns[1].column == "group, age"
    alone = fairness(frame, [["group"]], s, blocks, min_support=590, resamples=50, seed=0)
    assert alone.columns == () and alone.not_tested[-1].why == "fewer than two groups have 590 rows"
    one_block = fairness(frame, [["group"]], s, np.zeros(600), seed=0).columns[0]
    assert math.isnan(one_block.measures["equalized_odds_difference"].low)


def test_a_group_that_is_treated_unlike_is_found() -> None:
    frame, s, blocks = people(2, unlike=0.25)
    (got,) = fairness(frame, [["group"]], s, blocks, resamples=300, seed=0).columns
    assert got.measures["demographic_parity_difference"].low > 0.1
    assert got.measures["demographic_parity_ratio"].high < 0.8 and got.four_fifths is False


def surely_unlike(runs: int, first: int) -> float:
    """Share of runs with alike groups in which any measure is surely above zero."""
    found = 0
    for seed in range(first, first + runs):
        frame, s, blocks = people(seed)
        (got,) = fairness(frame, [["group"]], s, blocks, resamples=200, seed=seed).columns
        found += got.measures["demographic_parity_difference"].low > 0
    return found / runs


@pytest.mark.long
def test_alike_groups_are_surely_unlike_at_most_at_the_level() -> None:
    assert surely_unlike(400, 0) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_wrong_questions() -> None:
    frame, s, blocks = people(1)
    with pytest.raises(DataError, match="regression model"):
        fairness(frame, [["group"]], Scored(s.score, s.score), blocks, seed=0)
    with pytest.raises(DataError, match="no threshold"):
        fairness(frame, [["group"]], Scored(s.y, s.score, None, (0, 1)), blocks, seed=0)
    with pytest.raises(DataError, match="'group'"):
        fairness(frame, [["grup"]], s, blocks, seed=0)
    with pytest.raises(DataError, match=r"'z' of 'group'(.|\n)*a, b, c"):
        fairness(frame, [["group"]], s, blocks, references={"group": "z"}, seed=0)
    assert set(MEASURES) == set(by_fairlearn(frame, s))
