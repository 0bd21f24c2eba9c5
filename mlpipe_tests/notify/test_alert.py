"""Alerts as values, and the log that carries them."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.alert import RUNBOOK_URL, RUNBOOKS, is_live, one_line, runbook, sentence
from mlpipe.notify.carriers import CARRIERS, carrier_of
from mlpipe.notify.failures import EndedRun, of_failure
from mlpipe.notify.log import LOGGER, Log
from mlpipe.spec.alerts import KINDS, LogChannel, WebhookChannel
from mlpipe_tests.notify.receiver import START, alert, ends, fires
from mlpipe_tests.orchestration.shop import shop


@given(st.text(), st.integers(1, 50))
def test_a_line_is_one_line_and_no_longer_than_it_may_be(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit and len(line.splitlines()) <= 1 and line.isprintable()
    assert one_line(line, limit) == line


def test_users_and_passwords_of_addresses_are_left_out() -> None:
    assert (
        one_line("postgresql+psycopg2://ana:s3cret@db/x\nis down") == "postgresql+psycopg2://…@db/x is down"
    )


@pytest.mark.parametrize(("text", "told"), [("a", "a."), ("a.", "a."), (" a!\n", "a!"), ("", ""), ("\n", "")])
def test_a_sentence_ends(text: str, told: str) -> None:
    assert sentence(text) == told


@pytest.mark.parametrize(
    ("trigger", "experiment", "live"),
    [
        ("schedule", "", True),
        ("manual", "", True),
        ("drift", "", True),
        ("", "", True),
        (None, "", True),
        ("schedule", "try", False),
        ("replay", "", False),
        ("backfill", "", False),
        ("experiment", "", False),
        ("whatever", "", False),
    ],
)
def test_what_lives_through_a_past_is_not_live(trigger: str | None, experiment: str, live: bool) -> None:
    assert is_live(trigger, experiment) is live


@pytest.mark.parametrize(
    ("severity", "level"), [("info", 20), ("warning", 30), ("error", 40), ("critical", 50)]
)
def test_the_log_gets_one_line_with_the_alert_beside_it(
    caplog: pytest.LogCaptureFixture, severity: str, level: int
) -> None:
    caplog.set_level(logging.INFO, logger=LOGGER)
    given = alert(severity=severity, link="/runs/1", text="12 % of %s")
    Log().deliver([given], 1)
    (record,) = caplog.records
    assert record.name == "mlpipe.alerts" and record.levelno == level
    assert record.getMessage() == "shop (dev) failed: 12 % of %s /runs/1 [failed:a]"
    assert vars(record)["alert"] == given.to_json()


def test_what_holds_is_logged_with_its_runbook(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger=LOGGER)
    monkeypatch.delenv(RUNBOOK_URL, raising=False)
    holds = fires(text="It holds.", runbook=runbook("drift"))
    Log().deliver([holds, ends(text="It is over.")], 1)
    assert [r.getMessage() for r in caplog.records] == [
        "shop (dev) failed: It holds. Runbook: docs/runbooks/drift.md [failed:a0]",
        "shop (dev) failed: It is over. [failed:a0]",
    ]
    monkeypatch.setenv(RUNBOOK_URL, "https://wiki.example/ml/")
    assert runbook("invalid") == "https://wiki.example/ml/data.md"


def test_every_kind_has_a_runbook_that_is_there() -> None:
    assert set(RUNBOOKS) == set(KINDS)
    folder = Path(__file__).parents[2] / "docs" / "runbooks"
    assert {p.stem for p in folder.glob("*.md")} == set(RUNBOOKS.values())


def test_every_type_of_channel_has_a_carrier() -> None:
    assert set(CARRIERS) == {"log", "webhook", "slack", "email"}
    assert isinstance(carrier_of(LogChannel()), Log)
    assert vars(carrier_of(WebhookChannel(url_env="A")))["settings"].url_env == "A"


def test_a_failed_run_names_job_partition_step_and_cause() -> None:
    run = EndedRun(
        id="3f2a77c01d",
        job="shop_daily",
        partition="2024-01-05",
        step="shop__raw",
        error="SourceError: there is no file\n  x.parquet",
        at=START,
        trigger="schedule",
        live=True,
    )
    made = of_failure(shop().spec, run)
    assert made.id == "failed:3f2a77c01d" and made.kind in KINDS and made.severity == "error" and made.live
    assert made.title == "shop_daily failed for 2024-01-05"
    assert made.text == (
        "Run 3f2a77c0 of shop_daily for 2024-01-05 failed in step shop__raw: SourceError: there is no file x.parquet."
    )
    bare = EndedRun("3f2a77c01d", "shop_daily", "", START, "schedule", True)
    assert of_failure(shop().spec, bare).text == "Run 3f2a77c0 of shop_daily failed."
