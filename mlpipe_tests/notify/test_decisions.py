"""Alerts from the ledger."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mlpipe.ledger.entry import KINDS as ENTRY_KINDS
from mlpipe.ledger.entry import Draft
from mlpipe.ledger.fold import fold
from mlpipe.notify.decisions import of_entries
from mlpipe.spec.alerts import KINDS
from mlpipe_tests.ledger.chains import acknowledged, day, hand_written, move, register

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ALL = {"f1": 0.75, "roc_auc": 0.81234, "brier": 0.1, "log_loss": 0.4, "accuracy": None}


def test_a_life_of_a_ledger_is_told_in_order() -> None:
    metrics = {"metrics": ALL}
    refusal = replace(move("refuse", None, 2, 2), from_version=None, to_version=None, to_stage="candidate")
    claim = Draft(
        kind="claim",
        actor="policy",
        role="sensor",
        reason="size drifts",
        effective_at=day(8),
        trigger="drift",
        logical_date="2024-01-08",
        details={"name": "drift:3:2024-01-08:1", "holder": "run-1"},
    )
    chain = hand_written(
        replace(register(1, 1), details={**register(1, 1).details, **metrics}),
        move("promote", None, 1, 1),
        register(2, 2),
        replace(refusal, reason="f1 is 0.41, below 0.6."),
        register(3, 3),
        move("promote", 1, 3, 3),
        move("override", 3, 2, 4),
        move("rollback", 2, 3, 5, stage="archived"),
        acknowledged(6),
        claim,
    )
    fold(chain)
    told = of_entries(chain, LONG_AGO, link="/assets/churn/production", first=("roc_auc", "mae"))
    assert [(a.kind, a.severity, a.title) for a in told] == [
        ("promoted", "info", "churn@1 was promoted"),
        ("refused", "warning", "churn@2 was refused"),
        ("promoted", "info", "churn@3 was promoted"),
        ("promoted", "warning", "churn@2 was promoted by an override of its gates"),
        ("rolled_back", "error", "churn@2 was rolled back to churn@3"),
        ("acknowledged", "info", "The rollback of churn was acknowledged: promotion is automatic again"),
        ("retrain", "info", "A retraining of churn was started"),
    ]
    assert told[0].text == (
        "churn@1 was promoted. By ana (human): promote 1. "
        "On its test data: roc_auc 0.8123, brier 0.1, f1 0.75."
    )
    assert told[1].text == "churn@2 was refused. By ana (human): f1 is 0.41, below 0.6."
    assert told[2].text == "churn@3 was promoted, in place of churn@1. By ana (human): promote 3."
    assert told[6].partition == "2024-01-08" and told[6].fields["claim"] == "drift:3:2024-01-08:1"
    assert {a.kind for a in told} <= set(KINDS) and all(a.live for a in told)
    assert len({a.id for a in told}) == len(told)
    assert [a.happened_at for a in told] == sorted(a.happened_at for a in told)
    assert {a.link for a in told} == {"/assets/churn/production"}


def test_only_what_was_recorded_after_the_moment_is_told() -> None:
    chain = hand_written(
        register(1, 1), move("promote", None, 1, 1), register(2, 2), move("promote", 1, 2, 2)
    )
    assert [a.fields["entry"] for a in of_entries(chain, chain[1].recorded_at)] == [4]
    assert of_entries(chain, chain[3].recorded_at) == []


@pytest.mark.parametrize(
    ("trigger", "role", "live"),
    [
        ("schedule", "schedule", True),
        ("manual", "human", True),
        (None, "human", True),
        ("backfill", "backfill", False),
        ("manual", "backfill", False),
        ("experiment", "experiment", False),
        ("replay", "sensor", False),
    ],
)
def test_what_a_past_decides_is_not_live(trigger: str | None, role: str, live: bool) -> None:
    refused = replace(move("refuse", None, 1, 2), to_version=None, trigger=trigger, role=role)
    (told,) = of_entries(hand_written(register(1, 1), refused), LONG_AGO)
    assert told.live is live


def test_every_kind_of_entry_is_told_or_left_out_on_purpose() -> None:
    for kind in ENTRY_KINDS:
        draft = Draft(kind=kind, actor="a", role="human", reason="r", effective_at=day(1), version=1)
        told = of_entries(hand_written(draft), LONG_AGO)
        assert len(told) == (0 if kind == "register" else 1), kind


@pytest.mark.parametrize(
    ("details", "severity", "words"),
    [({}, "info", ""), ({"override": True}, "warning", " by an override of its gates")],
)
def test_a_move_onto_staging_is_told_as_one(details: dict[str, bool], severity: str, words: str) -> None:
    case = {"kind": "claim", "from_version": None, "to_version": None, "to_stage": "staging"}
    staged = replace(move("promote", None, 1, 2), **case, details={"name": "staging", **details})
    (told,) = of_entries(hand_written(register(1, 1), staged), LONG_AGO)
    assert (told.kind, told.severity, told.title) == (
        "promoted",
        severity,
        f"churn@1 was put onto staging{words}",
    )
    assert "claim" not in told.fields
