"""Service levels: a pair of inputs for each default, just inside and just outside, and budgets by hand."""

import math

import pytest

from mlpipe.core.sla import (
    ACTING,
    DEFAULTS,
    FLOORS,
    HOURLY_AGE,
    Indicator,
    State,
    budget,
    class_ratio,
    judged,
)
from mlpipe.errors import DataError


@pytest.mark.parametrize(
    ("name", "limit", "better", "response"),
    [
        ("missing_rate", 0.01, -1, "warn"),
        ("valid_rate", 0.999, 1, "warn"),
        ("outlier_rate", 0.02, -1, "warn"),
        ("label_coverage", 0.95, 1, "warn"),
        ("class_ratio", 20.0, -1, "warn"),
        ("psi", 0.25, -1, "retrain"),
        ("score_js", 0.1, -1, "warn"),
        ("age_hours", 24.0, -1, "page"),
    ],
)
def test_defaults_at_their_limits(name: str, limit: float, better: int, response: str) -> None:
    (inside,) = judged({name: math.nextafter(limit, better * math.inf)})
    (exact,) = judged({name: limit})
    assert (inside.state, inside.response) == ("met", None)
    assert (exact.state, exact.response) == ("missed", response)


def test_every_default_has_its_pair() -> None:
    assert len(DEFAULTS) == 8 and HOURLY_AGE * 60 == 15


def test_no_default_changes_what_is_answered() -> None:
    assert not [i for i in (*DEFAULTS.values(), *FLOORS.values()) if i.response in ACTING]


def test_own_floors_are_met_on_their_limit() -> None:
    own = {
        "roc_auc": Indicator("roc_auc", "at_least", 0.7, "critical", "fall back"),
        "rows": Indicator("rows", "at_most", 9),
    }
    found = judged({"roc_auc": 0.7, "rows": 9}, own) + judged(
        {"roc_auc": math.nextafter(0.7, 0), "rows": 10}, own
    )
    assert [(v.state, v.response) for v in found] == [
        ("met", None),
        ("met", None),
        ("missed", "fall back"),
        ("missed", "warn"),
    ]
    assert str(own["roc_auc"]) == "roc_auc >= 0.7"


def test_a_calibrated_limit_of_a_column_goes_first() -> None:
    found = judged({"psi:hours": 0.4, "psi:plays": 0.4}, psi_limits={"hours": 0.5})
    assert [(v.indicator.name, v.indicator.limit, v.state) for v in found] == [
        ("psi:hours", 0.5, "met"),
        ("psi:plays", 0.25, "missed"),
    ]


def test_what_is_not_known_is_neither() -> None:
    assert [v.state for v in judged({"psi": math.nan, "age_hours": None})] == ["unknown", "unknown"]
    with pytest.raises(DataError, match="Did you mean 'missing_rate'"):
        judged({"mising_rate": 0.1})


def test_budgets_by_hand() -> None:
    states: list[State] = ["met"] * 27 + ["missed"] * 3 + ["unknown"] * 5
    found = budget(states, 0.9)
    assert (found.days, found.missed) == (30, 3) and found.allowed == pytest.approx(3.0)
    assert found.spent == pytest.approx(1.0) and not found.exhausted
    assert budget([*states, "missed"], 0.9).exhausted
    assert budget(states, 0.95).spent == pytest.approx(2.0)
    assert budget(["missed"], 1.0).spent == math.inf and budget(["missed"], 1.0).exhausted
    new = budget(["met", "missed"], 0.9, window=20)
    assert (new.days, new.missed) == (2, 1) and new.allowed == pytest.approx(2.0) and not new.exhausted
    assert budget([], 0.99).spent == 0.0 and not budget(["met"], 1.0).exhausted
    with pytest.raises(DataError, match="target"):
        budget([], 1.1)


def test_class_ratio() -> None:
    assert class_ratio([40, 2, 10]) == 20.0 and class_ratio([5, 0]) == math.inf
    assert math.isnan(class_ratio([5])) and math.isnan(class_ratio([0, 0]))
