"""Performance before labels: by hand, against labels drawn many times, and what it is worth once they come."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from mlpipe.core import estimated
from mlpipe.core.costs import cost
from mlpipe.core.estimated import NAMES, Estimated, expected, isotonic, learned, surprise
from mlpipe.core.metrics import Metric, evaluate, resampler
from mlpipe.core.scored import Scored
from mlpipe.errors import DataError


def drawn(
    seed: int, n: int, shift: float = 0.0, odds: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, true chances and outcomes; a score is a distorted chance when `odds` is not 1."""
    rng = np.random.default_rng(seed)
    z = rng.normal(shift, 1.5, n)
    p = 1 / (1 + np.exp(-z))
    return 1 / (1 + np.exp(-odds * z)), p, (rng.random(n) < p).astype(int)


def test_by_hand() -> None:
    # Predicted positive: 0.9 and 0.6, so TP 1.5, FP 0.5; predicted negative: 0.3 and 0.2, so FN 0.5, TN 1.5.
    score = [0.9, 0.6, 0.3, 0.2]
    found = expected(score, score, threshold=0.5)
    assert found["accuracy"] == pytest.approx(3.0 / 4) and found["precision"] == pytest.approx(0.75)
    assert found["recall"] == pytest.approx(0.75) and found["f1"] == pytest.approx(0.75)
    # Pairs of a positive above a negative, and half of each row with itself, over 2 * 2.
    p = np.array(score)
    wins = sum(p[i] * (1 - p[j]) * (1.0 if i < j else 0.5) for i in range(4) for j in range(i, 4))
    assert found["roc_auc"] == pytest.approx(wins / 4)
    # Certain rows are their labels.
    assert expected(score, [1, 0, 1, 0], threshold=0.5) == pytest.approx(
        evaluate(Scored(np.array([1, 0, 1, 0]), p, 0.5, (0, 1)), NAMES)
    )


def test_what_errors_cost_by_hand() -> None:
    # Of the same four rows half a false positive and half a false negative are expected.
    score = [0.9, 0.6, 0.3, 0.2]
    plain = cost({"false_positive": 1, "false_negative": 5})
    assert expected(score, score, threshold=0.5, names=[plain]) == {"cost": pytest.approx((0.5 + 2.5) / 4)}
    named = cost({"stays": {"goes": 1}, "goes": {"stays": 5}})
    found = expected(score, score, threshold=0.5, names=[named], classes=("stays", "goes"))
    assert found == {"cost": pytest.approx(0.75)}


def test_what_errors_cost_is_estimated_without_bias_and_within_its_interval() -> None:
    score, _, y = drawn(3, 20_000, odds=0.6)
    metric = cost({"false_positive": 1, "false_negative": 20})
    rows = [slice(0, 10_000), slice(10_000, None)]
    known = Scored(y[rows[0]], score[rows[0]], 0.5, (0, 1))
    made = learned(known, np.arange(10_000) // 250, seed=0, more=[metric])
    found = made.estimate(score[rows[1]], np.arange(10_000) // 250, names=["cost"], resamples=200, seed=0)[
        "cost"
    ]
    truth = evaluate(Scored(y[rows[1]], score[rows[1]], 0.5, (0, 1)), [metric])["cost"]
    assert found.low <= truth <= found.high and found.value == pytest.approx(truth, abs=0.2)
    assert found.value > 1.0, "no share of rows"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40))
def test_auc_is_scikit_learns_of_weighted_rows(seed: int, n: int) -> None:
    score, p, _ = drawn(seed, n)
    score = np.round(score, 1)
    exact = roc_auc_score(np.repeat([1, 0], n), np.tile(score, 2), sample_weight=np.concatenate([p, 1 - p]))
    assert expected(score, p, names=["roc_auc"])["roc_auc"] == pytest.approx(exact)


def test_of_right_probabilities_it_is_what_labels_say_on_average() -> None:
    score, p, _ = drawn(0, 2_000, odds=0.6)
    rng = np.random.default_rng(1)
    truths = [
        evaluate(Scored((rng.random(p.size) < p).astype(int), score, 0.5, (0, 1)), NAMES) for _ in range(400)
    ]
    for name, value in expected(score, p, threshold=0.5).items():
        simulated = np.array([t[name] for t in truths])
        # Four standard errors, and the bias of a ratio of sums.
        assert abs(simulated.mean() - value) < 4 * simulated.std() / 20 + 1 / p.size, name


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_calibration_is_scikit_learns(rows: list[tuple[int, bool]]) -> None:
    s, y = (np.array(x, dtype=float) for x in zip(*rows, strict=True))
    asked = np.linspace(-1, 10, 50)
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(s, y)
    found = isotonic(s, y)(asked)
    assert found == pytest.approx(model.predict(asked)) and (np.diff(found) >= 0).all()


def test_estimates_follow_covariate_drift_and_cover_the_truth() -> None:
    days, n = 40, 250
    score, _, y = drawn(2, days * n, odds=2.5)
    estimator = learned(Scored(y, score, 0.5, (0, 1)), np.repeat(np.arange(days), n), seed=0)
    plain, mine, truth = {}, {}, {}
    for k in range(40):
        score, _, y = drawn(100 + k, 7 * n, shift=-1.0 + k / 20, odds=2.5)
        key = str(k)
        mine[key] = estimator.estimate(score, np.repeat(np.arange(7), n), resamples=200, seed=k)
        truth[key] = evaluate(Scored(y, score, 0.5, (0, 1)), NAMES)
        plain[key] = expected(score, score, threshold=0.5)
    for name in NAMES:
        found = surprise({k: e[name] for k, e in mine.items()}, {k: t[name] for k, t in truth.items()})
        assert found.windows == 40 and found.mae < 0.02 and abs(found.bias) < 0.01, name
        # All windows share one calibration, and so what is off in it.
        assert found.coverage >= 0.8, name
    # Scores that were never calibrated are too sure of themselves.
    assert np.mean([plain[k]["accuracy"] - truth[k]["accuracy"] for k in truth]) > 0.05


def test_days_on_which_all_goes_wrong_together_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(40), 100)
    score, p, independent = drawn(4, day.size)
    odds = np.log(p / (1 - p)) + rng.normal(0, 1.0, 40)[day]
    together = (rng.random(day.size) < 1 / (1 + np.exp(-odds))).astype(int)
    widths = []
    for y in (independent, together):
        found = learned(Scored(y, score, 0.5, (0, 1)), day, seed=0).estimate(
            score[:300], day[:300], names=["accuracy"], seed=0
        )
        assert (
            found["accuracy"].blocks == 3
            and found["accuracy"].low < found["accuracy"].value < found["accuracy"].high
        )
        widths.append(found["accuracy"].high - found["accuracy"].low)
    assert widths[1] > 1.3 * widths[0]


def test_concept_drift_is_a_surprise() -> None:
    score, _, y = drawn(5, 4_000)
    day = np.repeat(np.arange(40), 100)
    found = learned(Scored(y, score, 0.5, (0, 1)), day, seed=0).estimate(
        score, day, names=["accuracy"], resamples=200, seed=0
    )
    turned = evaluate(Scored(1 - y, score, 0.5, (0, 1)), ["accuracy"])
    told = surprise({"now": found["accuracy"]}, {"now": turned["accuracy"]})
    assert told.coverage == 0.0 and told.mae > 0.3 and told.bias < -0.3


def test_surprise_by_hand() -> None:
    made = {
        "a": Estimated(0.8, 0.7, 0.9, 0.95, 1, 1),
        "b": Estimated(0.6, 0.55, 0.65, 0.95, 1, 1),
        "c": Estimated(0.5, math.nan, math.nan, 0.95, 0, 1),
        "later": Estimated(0.5, 0.4, 0.6, 0.95, 1, 1),
    }
    found = surprise(made, {"a": 0.9, "b": 0.5, "c": 0.5, "elsewhere": 1.0})
    assert found.windows == 3 and found.mae == pytest.approx(0.2 / 3) and found.bias == pytest.approx(0.0)
    assert found.coverage == pytest.approx(1 / 3)
    assert surprise({}, {}).windows == 0 and math.isnan(surprise({}, {}).coverage)


def test_what_cannot_be_had_is_said() -> None:
    score, _, y = drawn(6, 50)
    few = learned(Scored(y, score, 0.5, (0, 1)), np.zeros(50), seed=0).estimate(score, np.zeros(50), seed=0)
    assert math.isnan(few["f1"].low) and "at least two" in few["f1"].note and few["f1"].value > 0
    assert math.isnan(expected([], [], threshold=0.5)["accuracy"])
    with pytest.raises(DataError, match="regression"):
        learned(Scored(np.array([1.0]), np.array([1.0])), [0], seed=0)
    for bad in (([0.1], [2.0]), ([0.1], [0.1, 0.2]), ([0.1], [math.nan])):
        with pytest.raises(DataError):
            expected(*bad, names=["roc_auc"])
    for labelled in (([], []), ([0.1], [2]), ([0.1, 0.2], [1])):
        with pytest.raises(DataError, match="labelled rows"):
            isotonic(*labelled)


def test_windows_of_one_size_share_what_depends_on_labelled_rows_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score, _, y = drawn(4, 300)
    scored, days, blocks = Scored(y, score, 0.5, (0, 1)), np.arange(300) // 20, np.repeat([0, 1], 30)
    walks: list[str] = []

    def counted(scored: Scored, metric: Metric, *more: Any) -> Any:
        walks.append(metric.name)
        return resampler(scored, metric, *more)

    monkeypatch.setattr(estimated, "resampler", counted)
    estimator = learned(scored, days, seed=0)
    for rows in (score[:60], score[100:160]):
        mine = estimator.estimate(rows, blocks, names=["f1"], resamples=50, seed=1)
        assert mine == learned(scored, days, seed=0).estimate(
            rows, blocks, names=["f1"], resamples=50, seed=1
        )
    assert len(walks) == 2 + 2 * 2, "once for both windows; two fresh estimators beside it"
    other = estimator.estimate(score[:60], np.repeat([0, 1, 2], 20), names=["f1"], resamples=50, seed=1)
    assert len(walks) == 8 and other["f1"].low != mine["f1"].low


def test_what_the_estimate_is_off_by_on_labelled_days_is_taken_off() -> None:
    # The score knows half of what makes a day a bad one: within a day it tells less than over many days.
    def made(rng: np.random.Generator, days: int) -> tuple[Scored, np.ndarray]:
        day = np.repeat(np.arange(days), 200)
        bad, z = rng.normal(0, 1, days)[day], rng.normal(0, 0.8, day.size)
        y = (rng.random(day.size) < 1 / (1 + np.exp(1 - z - bad))).astype(int)
        return Scored(y, 1 / (1 + np.exp(1 - z - 0.5 * bad)), 0.5, (0, 1)), day

    rng, moved, plain, truth = np.random.default_rng(0), {}, {}, {}
    for life in range(6):
        estimator = learned(*made(rng, 28), seed=0)
        for k in range(15):
            rows, day = made(rng, 1)
            key = f"{life} {k}"
            found = moved[key] = estimator.estimate(
                rows.score, day, names=["roc_auc"], resamples=200, seed=0
            )["roc_auc"]
            plain[key] = replace(found, value=found.value - found.shift)
            truth[key] = evaluate(rows, ["roc_auc"])["roc_auc"]
    before, after = surprise(plain, truth), surprise(moved, truth)
    assert before.bias < -0.03 and abs(after.bias) < 0.015 and after.mae < 0.8 * before.mae
    assert after.coverage == before.coverage >= 0.85


def test_what_chance_alone_is_off_by_is_not_taken_off() -> None:
    score, _, y = drawn(8, 4_000)
    day = np.repeat(np.arange(20), 200)
    estimator = learned(Scored(y, score, 0.5, (0, 1)), day, seed=0)
    found = estimator.estimate(score, day, resamples=200, seed=0)
    raw = expected(score, estimator.calibrator(score), threshold=0.5)
    assert {n: e.value - e.shift for n, e in found.items()} == pytest.approx(raw)
    assert {n for n, e in found.items() if e.shift} == set()
