"""Odd input: answered, refused, or the crash is on record with its column."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlpipe.spec.probing import Robustness
from mlpipe.stages.judging.robustness import probe
from mlpipe_tests.stages.judging.subjects import Says, subject_of
from mlpipe_tests.stores.models import boosted, bundle_of, logistic, people


@pytest.mark.parametrize("bundle", [logistic(), boosted()])
def test_usual_models_crash_on_nothing(bundle):
    found = probe(subject_of(bundle))
    assert found.facts["crashes"] == 0 and found.facts["cases"] == []
    assert found.facts["asked"] == len(found.report["cases"]) > 30
    assert {c["outcome"] for c in found.report["cases"]} == {"answer", "refused"}
    assert not found.notes


def plans(frame):
    prices = {"basic": 0.1, "plus": 0.5, "pro": 0.9}
    return [prices[p] if isinstance(p, str) else 0.3 for p in frame["plan"]]


def test_the_column_of_a_crash_is_named():
    found = probe(subject_of(bundle_of(Says(plans), people()[0])))
    unseen = [c for c in found.facts["cases"] if c["case"] == "categories never seen"]
    assert [(c["column"], c["outcome"]) for c in unseen] == [("plan", "crash")]
    assert "KeyError" in unseen[0]["message"]
    assert found.facts["crashes"] == len(found.facts["cases"]) > 0
    assert any("categories never seen in plan" in note for note in found.notes)


def test_an_encoder_that_takes_no_new_category_is_a_crash_though_it_says_so_in_words():
    frame, y = people()
    text = frame[["plan", "city"]]
    for unknown, crashes in (("error", ["city", "plan"]), ("ignore", [])):
        model = make_pipeline(OneHotEncoder(handle_unknown=unknown), LogisticRegression()).fit(text, y)
        found = probe(subject_of(bundle_of(model, text), text, y))
        unseen = [c for c in found.facts["cases"] if c["case"] == "categories never seen"]
        assert sorted(c["column"] for c in unseen) == crashes


def test_scores_that_are_not_finite_are_told_apart():
    def nans(frame):
        return np.where(frame["age"].isna(), np.nan, 0.5)

    frame = people()[0].fillna({"age": 40.0})
    found = probe(subject_of(bundle_of(Says(nans), frame), frame, people()[1]))
    assert {(c["case"], c["outcome"]) for c in found.facts["cases"]} == {
        ("nulls in every column", "not_finite"),
    }
    assert found.facts["cases"][0]["column"] == "age"


def test_the_share_of_decisions_that_a_small_step_turns_over_is_counted_by_hand():
    # A step of 0.1 robust deviations of 0..99 is 0.1 * 49.5 / 1.349 = 3.67: whole numbers move by 4.
    frame = pd.DataFrame({"a": np.arange(100.0)})
    bundle = bundle_of(Says(lambda f: (f["a"] >= 50).astype(float)), frame)
    asked = Robustness(rows=100, epsilon=0.1)
    found = probe(subject_of(bundle, frame, frame["a"] >= 50, spec={"robustness": asked}))
    # 46, 47, 48, 49 go up over the border, 50, 51, 52, 53 down.
    assert found.facts["adversarial"]["flip_rate"] == pytest.approx(0.08)
    assert found.facts["adversarial"]["steps"] == 2


def test_steps_of_several_numbers_at_once_turn_over_what_no_single_one_does():
    side = np.arange(0.0, 100.0)
    frame = pd.DataFrame({"a": side, "b": side})
    # 0.05 of the deviation 36.7 rounds to steps of 2.
    bundle = bundle_of(Says(lambda f: (f["a"] + f["b"]) / 200), frame, threshold=0.5)
    asked = Robustness(rows=100, epsilon=0.05)
    found = probe(subject_of(bundle, frame, side >= 50, spec={"robustness": asked}))
    # One step of two reaches 49 and 50, both together also 48 and 51.
    assert found.facts["adversarial"]["flip_rate"] == pytest.approx(0.04)


def test_a_regression_tells_how_far_a_step_moves_it():
    frame = pd.DataFrame({"a": np.arange(0, 10, 0.01)})
    model = LinearRegression().fit(frame, 2 * frame["a"])
    bundle = bundle_of(model, frame, task="regression", classes=(), positive=None, threshold=None)
    found = probe(subject_of(bundle, frame, 2 * frame["a"]))
    adversarial = found.facts["adversarial"]
    assert adversarial["flip_rate"] is None
    # 0.1 * (IQR / 1.349) * 2 over the deviation 2 * 10 / sqrt(12).
    assert adversarial["shift"] == pytest.approx(0.1 * 4.995 / 1.349 * 2 / (20 / np.sqrt(12)), rel=0.02)
