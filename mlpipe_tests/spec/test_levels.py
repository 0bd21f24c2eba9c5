"""Service levels as they are written: numbers, null, mappings, indicators of one's own, and where a mistake stands."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mlpipe.core.sla import DEFAULTS, HOURLY_AGE, Indicator
from mlpipe.errors import SpecError
from mlpipe.spec.levels import Levels
from mlpipe_tests.spec.declared import loaded
from mlpipe_tests.stages.pipelines import spec_of

TEXT = """\
  name: churn
  partitions: {every: none}
  source: {type: csv, path: a.csv, keys: [user]}
  label: churned
  features: [hours]
  model: {class: sklearn.linear_model.LogisticRegression}
"""


def late(features: Any) -> float:
    return 0.0


def disagreeing(predictions: Any, labels: Any) -> float:
    return 0.0


def asked(every: str = "day", **settings: Any) -> dict[str, Indicator]:
    return Levels(**settings).indicators(every, drift=True, retrain=True)


def test_all_defaults_stand_where_nothing_is_said() -> None:
    assert asked() == dict(DEFAULTS)
    assert asked("hour")["age_hours"].limit == HOURLY_AGE
    assert (
        not {"age_hours", "volume", "labels_overdue"} & asked("none").keys()
        and asked("none", age_hours=5)["age_hours"].limit == 5
    )


def test_a_number_is_a_limit_null_is_off_and_a_mapping_says_the_rest() -> None:
    found = asked(
        missing_rate=0.05,
        class_ratio=None,
        score_js=False,
        valid_rate={"severity": "critical", "response": "block_scoring"},
        rows=500,
        performance=0.7,
        own={"late": {"function": late, "at_most": 3, "response": "page"}},
    )
    assert found["missing_rate"] == Indicator("missing_rate", "below", 0.05, named=True)
    assert not {"class_ratio", "score_js"} & found.keys()
    assert found["valid_rate"] == Indicator("valid_rate", "above", 0.999, "critical", "block scoring")
    assert str(found["rows"]) == "rows >= 500" and found["rows"].response == "page"
    assert found["late"] == Indicator("late", "at_most", 3.0, "warning", "page", named=True)
    error = Levels(performance=3).indicators("day", drift=True, retrain=True, better="lower")
    assert str(error["performance"]) == "performance <= 3"


def test_only_what_the_user_asks_for_is_a_cause_of_its_own_to_retrain() -> None:
    assert Levels().retraining == ()
    assert Levels(psi={"response": "retrain"}, performance=0.7).retraining == ("psi", "performance")
    assert Levels(performance={"limit": 0.7, "response": "log"}).retraining == ()
    assert Levels().indicators("day", drift=False, retrain=False)["psi"].response == "warn"


@pytest.mark.parametrize(
    ("levels", "key", "text"),
    [
        ({"mising_rate": 0.1}, "levels.mising_rate", "Did you mean 'missing_rate'"),
        ({"valid_rate": 2}, "levels.valid_rate.limit", "must be in [0, 1], got 2"),
        ({"psi": {"response": "retrian"}}, "levels.psi.response", "Did you mean 'retrain'"),
        (
            {"psi": {"response": "block scoring"}},
            "levels.psi.response",
            "known only after the day was scored",
        ),
        ({"rows": {"response": "page"}}, "levels.rows", "give one, such as {limit: 100}"),
        ({"skew_rate": 0.02}, "levels.skew_rate", "told by 'monitor.skew', which is switched off"),
        ({"budget": {"target": 1.5}}, "levels.budget.target", "less than or equal to 1"),
        ({"fallback": "prvious"}, "levels.fallback", "Did you mean 'previous'"),
        ({"fallback": "rule"}, "levels.fallback", "the pipeline's 'baseline', and it declares none"),
        ({"own": {"late": {"function": late}}}, "levels.own.late", "needs one limit: below, above"),
        ({"own": {"late": {"function": print, "below": 1}}}, "levels.own.late.function", "names nothing to"),
        ({"own": {"psi": {"function": late, "below": 1}}}, "levels.own.psi", "a built-in indicator"),
        (
            {"own": {"odd": {"function": disagreeing, "below": 1, "response": "block scoring"}}},
            "levels.own.odd.response",
            "functions of features alone",
        ),
    ],
)
def test_mistakes_name_the_key_and_what_would_be_right(levels: Any, key: str, text: str) -> None:
    with pytest.raises(SpecError) as raised:
        spec_of(Path(), levels=levels)
    told = str(raised.value)
    assert f"key {key}:" in told and text in told


def test_a_retraining_needs_a_policy() -> None:
    with pytest.raises(SpecError, match=r"levels\.performance\.response: 'retrain' needs the pipeline's"):
        spec_of(Path(), retrain=None, levels={"performance": {"limit": 0.7, "response": "retrain"}})


def test_yaml_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def late(features):\n    return 0.0\n")
    more = """\
  baseline: "own:late"
  levels:
    missing_rate: 0.05
    class_ratio: off
    rows: {limit: 100, response: fall back}
    own: {late: {function: "own:late", below: 0.1}}
    fallback: off
    budget: {target: 0.9, window: 14d}
"""
    levels = loaded(dedent(TEXT + more), tmp_path).levels
    assert levels.missing_rate is not None and levels.missing_rate.limit == 0.05
    assert levels.class_ratio is None and levels.fallback == "off" and levels.budget.target == 0.9
    assert levels.own["late"].reads == ("features",)
