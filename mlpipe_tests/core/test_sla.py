"""Service levels: a pair of inputs for each default, just inside and just outside, and budgets by hand."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

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
    ratio_by_chance,
    share_by_chance,
    usual,
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
        ("labels_overdue", 0.05, -1, "warn"),
        ("performance_fall", 1.0, -1, "warn"),
    ],
)
def test_defaults_at_their_limits(name: str, limit: float, better: int, response: str) -> None:
    (inside,) = judged({name: math.nextafter(limit, better * math.inf)})
    (exact,) = judged({name: limit})
    assert (inside.state, inside.response) == ("met", None)
    assert (exact.state, exact.response) == ("missed", response)


@pytest.mark.parametrize(("name", "limit", "worse"), [("volume", 0.75, -1), ("skew_rate", 0.01, 1)])
def test_a_default_that_may_reach_its_limit_is_met_there(name: str, limit: float, worse: int) -> None:
    exact, outside = judged({name: limit}) + judged({name: math.nextafter(limit, worse * math.inf)})
    assert (exact.state, outside.state, outside.response) == ("met", "missed", "warn")


def test_every_default_has_its_pair() -> None:
    assert len(DEFAULTS) == 12 and HOURLY_AGE * 60 == 15


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


@pytest.mark.parametrize(
    ("bad", "rows", "limit", "chance"),
    [
        # One row of ten is a tenth, and would miss any limit.
        (0.1, 10, 0.01, 1.0),
        # Two of a hundred where one in a thousand may be bad: 1 - 0.999^100 - 100 * 0.001 * 0.999^99.
        (0.02, 100, 0.001, 1 - 0.999**100 - 0.1 * 0.999**99),
        # A limit that allows a row is taken as it is.
        (0.02, 100, 0.01, 0.0),
        (0.0, 0, 0.01, 1.0),
    ],
)
def test_a_share_of_few_rows_by_hand(bad: float, rows: float, limit: float, chance: float) -> None:
    assert share_by_chance(bad, rows, limit) == pytest.approx(chance)


@given(st.integers(2, 99), st.integers(2, 99), st.floats(1e-4, 0.009))
def test_the_chance_of_a_share_is_the_binomial_one(bad: int, rows: int, limit: float) -> None:
    expected = binom.sf(bad - 1, rows, limit)
    assert share_by_chance(min(1.0, bad / rows), rows, limit) == pytest.approx(
        binom.sf(rows - 1, rows, limit) if bad > rows else expected, abs=1e-12
    )


def test_a_ratio_of_few_rows_is_told_by_chance() -> None:
    # None of fifty where one in 21 is the limit: 0.0872.
    assert ratio_by_chance([50, 0], 20.0) == pytest.approx((20 / 21) ** 50)
    assert ratio_by_chance([150, 3], 20.0) == pytest.approx(binom.cdf(3, 153, 1 / 21))
    assert ratio_by_chance([400, 10], 20.0) == 0.0 and ratio_by_chance([7], 20.0) == 0.0


def test_a_default_knows_noise_and_a_limit_that_is_named_holds() -> None:
    values, chances = {"missing_rate": 0.02, "psi:hours": 0.3}, {"missing_rate": 0.4, "psi:hours": 0.011}
    assert [v.state for v in judged(values, chances=chances)] == ["unknown", "unknown"]
    assert [v.response for v in judged(values, chances=chances)] == [None, None]
    assert [v.state for v in judged(values, chances=dict.fromkeys(values, 0.01))] == ["missed", "missed"]
    named = {n: replace(i, named=True) for n, i in DEFAULTS.items()}
    assert [v.state for v in judged(values, named, chances=chances)] == ["missed", "missed"]
    assert judged({"missing_rate": 0.005}, chances={"missing_rate": 1.0})[0].state == "met"


def test_what_is_usual_by_hand() -> None:
    found = usual([100, 104, 96, 500, 98])
    # Deviations from the median 100: 0, 4, 4, 400, 2; the root of 100 is greater than 1.4826 * 1.206 * 4.
    assert (found.median, found.spread, found.counted) == (100, 10.0, 5)
    assert found.chance(70) == pytest.approx(2 * norm.sf(3 / math.sqrt(1.2)))
    assert usual([100, 200, 300, 400, 500]).spread == pytest.approx(1.4826 * 1.206 * 100)
    assert usual([0, 0]).chance(5) == 1.0
    with pytest.raises(DataError, match="no counts"):
        usual([])


def test_class_ratio() -> None:
    assert class_ratio([40, 2, 10]) == 20.0 and class_ratio([5, 0]) == math.inf
    assert math.isnan(class_ratio([5])) and math.isnan(class_ratio([0, 0]))
