"""Tests of behaviour as they are declared, on models of which it is known what they do."""

import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import DataError
from mlpipe.spec.probing import BehaviourTest
from mlpipe.stages.judging.behaviour import probe
from mlpipe_tests.stages.judging.subjects import Says, subject_of
from mlpipe_tests.stores.models import bundle_of

FRAME = pd.DataFrame(
    {
        "delay": np.arange(0.0, 100.0),
        "origin": ["JFK", "EWR"] * 50,
        "remark": pd.Series(["held at gate", "on time"] * 50),
    }
)
FRAME.loc[4, "origin"] = None


def says(frame):
    """More delay, more likely; at JFK by 0.2 more; and later than 80 it forgets."""
    base = (
        frame["delay"] / 200
        + 0.2 * (frame["origin"] == "JFK")
        + 0.25 * frame["remark"].str.contains("gate").fillna(False)
    )
    return np.where(frame["delay"] > 80, 0.0, base.clip(0, 1))


def found(*tests, function=says, **changes):
    given = [BehaviourTest(**t) for t in tests]
    bundle = bundle_of(Says(function), FRAME, **changes)
    subject = subject_of(bundle, FRAME, FRAME["delay"] > 50, spec={"behaviour": given})
    return probe(subject)


def one(**test):
    return found({"name": "t", **test}).facts["tests"][0]


def test_more_delay_is_not_less_likely_except_where_the_model_forgets():
    told = one(test="directional", change={"delay": "+30"}, expect="up")
    # From 51 on a step of 30 leads beyond 80, where nothing is likely; beyond 80 it was nothing before.
    assert (told["rows"], told["failed"], told["rate"]) == (100, 30, 0.3)
    assert (
        one(test="directional", change={"delay": "+30"}, expect="up", where={"delay": {"max": 50}})["failed"]
        == 0
    )
    down = one(test="directional", change={"delay": "+30"}, expect="down", where={"delay": {"max": 50}})
    assert (down["rows"], down["failed"]) == (51, 51)
    assert (
        one(
            test="directional",
            change={"delay": "+30"},
            expect="down",
            where={"delay": {"max": 50}},
            tolerance=0.15,
        )["failed"]
        == 0
    )


def test_only_rows_that_the_change_touches_are_tested():
    told = one(
        test="invariance",
        change={"origin": {"swap": ["JFK", "LGA"]}},
        tolerance=0.1,
        where={"delay": {"max": 80}},
    )
    # The even rows from 0 to 80 are of JFK, but row 4.
    assert (told["rows"], told["failed"]) == (40, 40)
    assert one(test="invariance", change={"origin": {"swap": ["JFK", "LGA"]}}, tolerance=0.2)["failed"] == 0
    # Without a tolerance the decision must stay: p falls from above to below 0.5 for delays of 10 to 48, at the gate and JFK.
    decisions = one(
        test="invariance", change={"origin": {"swap": ["JFK", "LGA"]}}, where={"delay": {"max": 80}}
    )
    assert decisions["failed"] == sum(
        0.45 + d / 200 >= 0.5 > 0.25 + d / 200 for d in range(0, 81, 2) if d != 4
    )
    assert (
        one(test="invariance", change={"origin": "EWR"}, where={"origin": ["JFK", None]}, tolerance=1)["rows"]
        == 50
    )


def test_text_is_changed_as_text():
    upper = one(
        test="invariance", change={"remark": {"case": "upper"}}, tolerance=0.1, where={"delay": {"max": 80}}
    )
    assert (upper["rows"], upper["failed"]) == (81, 41)
    added = one(test="invariance", change={"remark": {"add": " now"}}, tolerance=0.1)
    assert (added["rows"], added["failed"]) == (100, 0)


def test_simple_rows_have_the_answer_that_everybody_would_give(tmp_path):
    given = [
        {"delay": 70, "origin": "JFK", "remark": "gate"},
        {"delay": 0, "expect": 0},
        {"delay": 0, "expect": [0.3, 0.6]},
    ]
    told = found({"name": "simple", "test": "minimum", "rows": given, "expect": 1, "capability": "sense"})
    # What a row does not give is typical: EWR (one JFK is null) and, of as many, the first in the alphabet.
    assert (told.facts["tests"][0]["rows"], told.facts["tests"][0]["failed"]) == (3, 1)
    assert told.report["tests"][0]["examples"] == [{"row": 2, "expected": [0.3, 0.6], "score": 0.25}]
    file = tmp_path / "simple.csv"
    pd.DataFrame(
        {"delay": [70, 0], "origin": ["JFK", "EWR"], "remark": ["gate", "x"], "expect": [1, 1]}
    ).to_csv(file, index=False)
    assert one(test="minimum", file=str(file))["failed"] == 1
    pd.DataFrame({"delay": [70, 0], "origin": "JFK", "remark": "x", "low": 0.5, "high": 0.6}).to_csv(
        file, index=False
    )
    assert one(test="minimum", file=str(file))["failed"] == 1


def test_a_matrix_counts_by_capability_and_kind_and_failures_are_said():
    told = found(
        {
            "name": "a",
            "capability": "time",
            "test": "directional",
            "change": {"delay": "+30"},
            "expect": "up",
        },
        {
            "name": "b",
            "capability": "time",
            "test": "directional",
            "change": {"delay": "+30"},
            "expect": "up",
            "allowed": 0.3,
        },
        {
            "name": "c",
            "capability": "place",
            "test": "invariance",
            "change": {"origin": {"swap": ["LGA", "BOS"]}},
        },
    )
    assert told.facts["matrix"] == {"time": {"directional": [60, 200]}, "place": {"invariance": [0, 0]}}
    assert (
        told.report["tests"][2]["rate"] is None
        and told.report["tests"][2]["why"] == "the change leaves every row as it is"
    )
    assert told.notes == (
        "behaviour 'a' fails on 30 of 100 rows, 0% may fail",
        "behaviour 'c' tests nothing: the change leaves every row as it is",
    )
    assert [told.facts[n] for n in ("asked", "failures", "untested")] == [3, 1, 1]
    worst = told.report["tests"][0]["examples"]
    assert len(worst) == 5 and worst[0]["change"]["delay"][1] - worst[0]["change"]["delay"][0] == 30


def test_a_model_that_breaks_on_the_change_fails_the_test():
    def breaks(frame):
        return frame["delay"].map(lambda d: 1 / 0 if d > 1000 else d / 200)

    told = found({"name": "t", "test": "invariance", "change": {"delay": 2000}}, function=breaks).facts[
        "tests"
    ][0]
    assert told["failed"] == told["rows"] == 100 and "ZeroDivisionError" in told["why"]


@pytest.mark.parametrize(
    ("test", "text"),
    [
        ({"test": "invariance", "change": {"delays": "+1"}}, "'delays' is no feature"),
        ({"test": "invariance", "change": {"origin": "+1", "delay": {"typo": 1}}}, "'add' changes numbers"),
        ({"test": "invariance", "change": {"delay": "+1"}, "where": {"orgin": "JFK"}}, "no column 'orgin'"),
        ({"test": "minimum", "rows": [{"dely": 1}], "expect": 1}, "'dely' is no feature"),
        ({"test": "minimum", "rows": [{"delay": "much"}], "expect": 1}, "'much' is no number"),
        ({"test": "minimum", "rows": [{"delay": 1}], "expect": "late"}, "'late' is no class"),
        ({"test": "minimum", "file": "nowhere.csv"}, "no such file"),
    ],
)
def test_mistakes_are_told_with_the_name_of_the_test(test, text):
    with pytest.raises(DataError, match=text) as raised:
        found({"name": "my test", **test})
    assert "my test" in raised.value.where


def test_the_same_seed_tests_the_same_rows():
    def told():
        return found(
            {"name": "t", "test": "directional", "change": {"delay": "+30"}, "expect": "up", "rows": 40}
        )

    assert told().report == told().report and told().facts["tests"][0]["rows"] == 40
