"""Alarms: by hand, against the definition, and how often quiet data raises one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from mlpipe.core.alarming import (
    Alarm,
    Reading,
    Rule,
    adjusted,
    alarms,
    episodes,
    frequency,
    over,
)
from mlpipe.errors import DataError


def days_of(*values: float) -> list[dict[str, Reading]]:
    return [{"x": Reading(v)} for v in values]


@given(
    st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=12),
    st.sampled_from([0.01, 0.05, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_adjusted_values_are_benjamini_and_hochbergs(p: dict[str, float], rate: float) -> None:
    ordered = sorted(p.values())
    kept = [v for i, v in enumerate(ordered, 1) if v <= rate * i / len(ordered)]
    # The greatest p at or below its line, and all that are no greater.
    expected = {name for name, v in p.items() if kept and v <= max(kept)}
    found = adjusted(p | {"no test": math.nan})
    near = {n for n, q in found.items() if math.isclose(q, rate, rel_tol=1e-12)}
    assert {n for n, q in found.items() if q <= rate} ^ expected <= near
    assert "no test" not in found and adjusted({}) == {}


def test_a_day_takes_effect_and_significance_and_the_limit_itself_counts() -> None:
    day = {
        "both": Reading(0.3, 1e-9),
        "tiny but sure": Reading(0.001, 0.0),
        "large but chance": Reading(0.9, 0.2),
        "untested": Reading(0.25),
        "at its limit": Reading(0.4, 1e-9),
        "below": Reading(math.nextafter(0.4, 0), 1e-9),
        "unknown": Reading(math.nan),
    }
    limits = {"at its limit": 0.4, "below": 0.4}
    assert over(day, limits, 0.05) == ("both", "untested", "at its limit")
    assert "large but chance" in over(day, limits, 1.0)
    # Three of twenty columns at 0.04 are chance where one alone would be significant.
    crowd = {f"c{i}": Reading(1.0, 0.04 if i < 3 else 0.5) for i in range(20)}
    assert over(crowd, {}, 0.05) == () and over({"c0": Reading(1.0, 0.04)}, {}, 0.05) == ("c0",)


def test_persistence_and_hysteresis_by_hand() -> None:
    limits, rule = {"x": 1.0}, Rule(k=2, n=3, close=0.5)
    assert alarms(days_of(2, 0, 0, 2, 0, 0), limits, rule) == ()
    assert alarms(days_of(2, 0, 2), limits, rule) == (Alarm("x", 2, None),)
    # Trembling around the limit is one alarm; two calm days of three end it; it takes two more to open again.
    assert alarms(days_of(1, 1, 0.9, 1, 0.6, 0.4, 1, 0.4, 1, 0, 1), limits, rule) == (
        Alarm("x", 1, 7),
        Alarm("x", 10, None),
    )
    # Days that are not known count neither way.
    unknown = [*days_of(1, math.nan), {}, *days_of(math.nan, 1)]
    assert alarms(unknown, limits, rule) == (Alarm("x", 4, None),)
    assert alarms(days_of(1), limits, Rule(k=1, n=1)) == (Alarm("x", 0, None),)


def test_episodes_join_alarms_of_columns() -> None:
    raised = [Alarm("a", 1, 4), Alarm("b", 3, 6), Alarm("c", 6, 7), Alarm("d", 9, None), Alarm("e", 12, 13)]
    assert episodes(raised) == ((1, 7), (9, None)) and episodes([]) == ()


def test_quiet_columns_raise_at_most_one_alarm_a_quarter() -> None:
    rng = np.random.default_rng(0)

    def history(days: int) -> list[dict[str, Reading]]:
        # Statistics without drift: chi-squared with its p-value; the effect is heavy-tailed from day to day.
        statistics = rng.chisquare(9, (days, 12))
        return [
            {f"c{i}": Reading(float(s) / 60, float(chi2.sf(s, 9))) for i, s in enumerate(row)}
            for row in statistics
        ]

    def count(rule: Rule) -> float:
        return frequency(len(episodes(alarms(history(364), {}, rule))), 364).per_quarter

    assert count(Rule()) <= 1
    # Without test and persistence it cries wolf all the time.
    assert count(Rule(rate=1.0, k=1, n=1, close=1.0)) > 5


def test_frequency_by_hand() -> None:
    found = frequency(2, 8)
    assert (found.alarms, found.days, found.per_quarter) == (2, 8, 2 * 91 / 8)
    # Garwood: half the chi-squared quantiles with 4 and 6 degrees of freedom.
    assert found.low == pytest.approx(chi2.ppf(0.025, 4) / 2 * 91 / 8)
    assert found.high == pytest.approx(chi2.ppf(0.975, 6) / 2 * 91 / 8)
    assert frequency(0, 8).low == 0.0 and math.isnan(frequency(0, 0).per_quarter)


def test_rules_that_cannot_be_kept_are_refused() -> None:
    for bad in ({"k": 0}, {"k": 4}, {"rate": 0.0}, {"close": 1.5}):
        with pytest.raises(DataError, match="cannot be kept"):
            Rule(**bad)
