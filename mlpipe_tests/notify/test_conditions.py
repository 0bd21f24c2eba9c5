"""What a monitored day says: drift with its cause, performance against what was promised, service levels."""

from typing import Any

import pytest

from mlpipe.notify.conditions import Condition, Promised, conditions_of
from mlpipe.notify.outbox import Outbox, Position
from mlpipe.notify.verdicts import Watched, followed
from mlpipe.spec.alerts import LogChannel
from mlpipe_tests.notify.receiver import START, seen
from mlpipe_tests.orchestration.shop import shop

SPEC = shop(retrain={"performance": 0.04, "close": 0.5}).spec
PROMISED: Promised = {1: {"roc_auc": 0.8, "log_loss": 0.5}}


def of(
    verdict: str = "stable", kind: str = "", expected: Promised = PROMISED, **data: Any
) -> list[Condition]:
    """Conditions of a kind on one day."""
    head = seen("2024-01-05", verdict, 5, version=1, **data).head
    return [c for c in conditions_of(SPEC, head, expected) if c.kind == (kind or c.kind)]


def test_drift_names_the_columns_that_stayed_over_their_limit_and_the_likely_cause() -> None:
    cause = {"kind": "data bug", "column": "size", "since": "2024-01-03", "upstream": "rows down 30%"}
    (drift,) = of("drift", "drift", alarms=["size", "price"], drifted=["size"], cause=cause)
    assert drift.title == "shop@1 drifts: 1 watched feature" and drift.severity == "warning"
    assert drift.text == (
        "Since 2024-01-05 the window differs from what shop@1 learned from in size; "
        "likely data bug of size since 2024-01-03, after rows down 30%; look: mlpipe drift shop --on 2024-01-05."
    )
    assert drift.fields["features"] == ["size"] and drift.fields["cause"] == cause
    (other,) = of("drift", "drift", alarms=["size", "price"], cause={"kind": None})
    assert other.fields["features"] == ["size", "price"] and "likely" not in other.text


def test_slices_are_a_condition_of_their_own_beside_the_columns() -> None:
    columns, slices = of("stable", "drift", slices_drifted=["city=Ulm"], slices_over=["city=Bonn"])
    assert (columns.key, columns.state) == ("drift", "resolved")
    assert (slices.key, slices.state, slices.severity) == ("drift:slices", "firing", "warning")
    assert slices.title == "scores of shop@1 drift on 1 slice"
    assert slices.text == (
        "Since 2024-01-05 the scores of shop@1 differ from those at its evaluation on city=Ulm; "
        "look: mlpipe drift shop --on 2024-01-05."
    )
    _, over = of("stable", "drift", slices_drifted=[], slices_over=["city=Bonn"])
    assert (over.key, over.state) == (slices.key, "resolved")
    assert [c.key for c in of("drift", "drift")] == ["drift"]


def test_skew_names_features_and_rows_and_says_nothing_where_nothing_was_compared() -> None:
    (skewed,) = of(kind="skew", skewed=["size", "price"], skewed_rows=[1200, 2400])
    assert skewed.title == "shop@1 is served 2 features otherwise than training makes them"
    assert skewed.text == (
        "On 2024-01-05 what shop@1 was served differs from what training makes of the same rows in 1,200 of 2,400 rows: size, price; "
        "look: mlpipe show shop/monitor@2024-01-05."
    )
    assert (skewed.state, skewed.severity, skewed.episode) == ("firing", "warning", "1")
    (over,) = of(kind="skew", skewed=[], skewed_rows=[0, 2400])
    assert (over.state, over.severity, over.key) == ("resolved", "info", skewed.key)
    assert of(kind="skew") == of(kind="skew", skewed=None, skewed_rows=None) == []
    within = {"skewed": ["size"], "skewed_rows": [24, 2400]}
    (allowed,) = of(kind="skew", **within, levels={"skew_rate": (0.01, "met")})
    assert allowed.state == "resolved" and allowed.text == (
        "On 2024-01-05 shop@1 differs between serving and training in 24 of 2,400 rows (size), which the service level allows."
    )
    assert [c.state for c in of(kind="skew", **within, levels={"skew_rate": (0.01, "missed")})] == ["firing"]


def test_skew_is_told_once_and_resolved_by_those_who_subscribe_to_it() -> None:
    nights = [["size"], ["size", "price"], None, [], []]
    days = [seen(f"2024-01-0{n}", "stable", n, version=1, skewed=s) for n, s in enumerate(nights, start=1)]
    found = [a for step in followed(SPEC, days, Watched()) for a in step.alerts]
    owed = Outbox(LogChannel(on=["skew"]), Position(START, START), tuple(found)).owed
    assert [(a.partition, a.state) for a in owed] == [("2024-01-01", "firing"), ("2024-01-04", "resolved")]
    assert {a.runbook for a in owed} == {"docs/runbooks/data.md"}
    assert Outbox(LogChannel(on=["drift"]), Position(START, START), tuple(found)).owed == []


def test_a_missed_level_tells_the_likely_cause_where_it_is_one_of_its_effects() -> None:
    cause = {"kind": "label delay", "column": None, "since": None, "upstream": None}
    levels = {"labels_overdue": [0.4, "missed"], "age_hours": [30.0, "missed"], "volume": [0.99, "met"]}
    late, old, fine = of(kind="level", levels=levels, cause=cause)
    assert late.text.endswith("Likely label delay.") and late.state == "firing"
    assert "ikely" not in old.text and "ikely" not in fine.text and fine.state == "resolved"
    (worse,) = of(kind="performance", primary="roc_auc", rolling=0.7, cause=cause)
    assert worse.text.endswith("limit 0.04. Likely label delay.")


@pytest.mark.parametrize(
    ("rolling", "state"),
    [
        (0.76, "firing"),
        (0.75, "firing"),
        (0.77, None),
        (0.78001, "resolved"),
        (0.9, "resolved"),
        (None, None),
    ],
)
def test_performance_fires_at_its_limit_and_is_over_below_a_share_of_it(
    rolling: Any, state: str | None
) -> None:
    found = of(kind="performance", primary="roc_auc", rolling=rolling)
    assert [c.state for c in found] == ([] if state is None else [state])


def test_the_few_labels_that_came_do_not_say_that_it_is_over() -> None:
    few = {"label_coverage": [0.03, "missed"]}
    assert of(kind="performance", primary="roc_auc", rolling=0.9, levels=few) == []
    assert [c.state for c in of(kind="performance", primary="roc_auc", rolling=0.7, levels=few)] == ["firing"]


def test_drift_that_spreads_is_another_episode() -> None:
    one, two = (of("drift", "drift", drifted=names)[0].episode for names in (["size"], ["size", "price"]))
    assert (one, two) == ("1\nsize", "1\nprice\nsize")


def test_a_metric_that_is_better_low_falls_the_other_way() -> None:
    (worse,) = of(kind="performance", primary="log_loss", rolling=0.6)
    assert worse.state == "firing" and worse.severity == "error" and worse.episode == "1"
    assert worse.text == (
        "log_loss of shop@1 is 0.6 over the window until 2024-01-05, against 0.5 at its evaluation: 0.1 worse, limit 0.04."
    )
    (better,) = of(kind="performance", primary="log_loss", rolling=0.4)
    assert better.state == "resolved" and "0.1 better" in better.text


def test_what_nobody_promised_or_asked_about_says_nothing() -> None:
    assert of(kind="performance", primary="roc_auc", rolling=0.1, expected={}) == []
    assert of(kind="performance", primary="f1", rolling=0.1) == []
    head = seen("2024-01-05", "stable", 5, version=1, primary="roc_auc", rolling=0.1).head
    for retrain in ({"every": "month"}, None):
        spec = shop(retrain=retrain).spec
        assert [c.kind for c in conditions_of(spec, head, PROMISED)] == ["drift"]


def test_each_level_is_a_condition_and_the_page_is_critical() -> None:
    levels = {
        "age_hours": [30.0, "missed"],
        "psi": [0.4, "missed"],
        "missing_rate": [0.001, "met"],
        "valid_rate": [0.9, "missed"],
        "outlier_rate": [0.03, "missed"],
        "rows": [3, "missed"],
        "label_coverage": [None, "unknown"],
    }
    response = {
        "age_hours": ["page", "warning", "age_hours < 24"],
        "psi": ["retrain", "warning", "psi < 0.25"],
        "valid_rate": ["block scoring", "critical", "valid_rate > 0.999"],
        "outlier_rate": ["warn", "warning", "outlier_rate < 0.02"],
        "rows": ["log", "warning", "rows > 9"],
    }
    found = {c.key: c for c in of(kind="level", levels=levels, response=response, exhausted=["outlier_rate"])}
    assert {k: (c.state, c.severity) for k, c in found.items()} == {
        "level:age_hours": ("firing", "critical"),
        "level:psi": ("firing", "warning"),
        "level:missing_rate": ("resolved", "info"),
        "level:valid_rate": ("firing", "critical"),
        "level:outlier_rate": ("firing", "error"),
        "level:rows": ("firing", "info"),
    }
    assert found["level:outlier_rate"].text == (
        "Service level outlier_rate of shop is missed on 2024-01-05: 0.03, asked outlier_rate < 0.02. "
        "Its error budget is used up. The response is 'warn'."
    )
    assert found["level:outlier_rate"].episode == "exhausted" and found["level:psi"].episode == ""
    assert found["level:psi"].runbook.endswith("/drift.md") and found["level:age_hours"].runbook.endswith(
        "/data.md"
    )
    assert found["level:missing_rate"].title == "shop: service level missing_rate is met again"


def test_a_metric_of_ones_own_has_its_own_direction() -> None:
    def wasted(y: Any, score: Any) -> float:
        return float(abs(y - score).mean())

    spec = shop(
        retrain={"performance": 0.04}, own_metrics=[{"name": "wasted", "function": wasted, "better": "lower"}]
    ).spec
    head = seen("2024-01-05", "stable", 5, version=1, primary="wasted", rolling=0.6).head
    (worse,) = [c for c in conditions_of(spec, head, {1: {"wasted": 0.5}}) if c.kind == "performance"]
    assert worse.state == "firing"
