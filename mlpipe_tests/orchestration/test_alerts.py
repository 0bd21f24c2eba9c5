"""The sensor that tells what happened: real runs on a real instance, and a real receiver."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import mlpipe as ml
from mlpipe.errors import MlpipeError
from mlpipe.ledger.promotion import decide
from mlpipe.notify.log import LOGGER
from mlpipe.notify.outbox import MOST, read_cursor
from mlpipe.orchestration import alerts as module
from mlpipe.orchestration.alerts import UI, alert_sensors, tell
from mlpipe.orchestration.definitions import PIPELINES
from mlpipe.orchestration.events import metadata_of
from mlpipe.orchestration.locate import definitions_at
from mlpipe.records.codec import sealed
from mlpipe.records.record import Record, Trigger
from mlpipe_tests.ledger.chains import candidate, day
from mlpipe_tests.notify.receiver import SECRET, Answer, Receiver, receiver
from mlpipe_tests.orchestration import shop as rows
from mlpipe_tests.orchestration.conftest import World, world_at
from mlpipe_tests.orchestration.shop import shop
from mlpipe_tests.orchestration.test_queue import stop, wait

ENV = "SHOP_ALERTS"
HOOK = {"webhook": {"url_env": ENV, "timeout": "0.3s"}}


BROKEN = {4}
"""Days in January of which no orders can be had."""


def orders(window: Any) -> Any:
    """The shop's orders."""
    if window.start.day in BROKEN:
        raise ConnectionError("ftp://ana:s3cret@orders is closed")
    return rows.orders(window)


@pytest.fixture
def made(tmp_path: Path, on: dg.DagsterInstance) -> World:
    """A shop with a log and a webhook; its contract wants more rows than there are."""
    source = ml.Load(orders, event_time="at", keys=["order"], contract=ml.Contract(min_rows=81))
    return world_at(tmp_path, on, alerts=["log", HOOK], source=source, retries={"times": 0})


class Ticks:
    """The sensor, tick by tick, with the cursor that each leaves."""

    def __init__(self, world: World) -> None:
        self.world, self.cursor, self.message = world, None, ""
        (self.sensor,) = alert_sensors(world.spec)

    def __call__(self) -> str:
        """One tick; what it says."""
        context = dg.build_sensor_context(
            instance=self.world.on, cursor=self.cursor, definitions=self.world.defs
        )
        done = self.sensor.evaluate_tick(context)
        assert not done.run_requests
        self.cursor, self.message = done.cursor, str(done.skip_message)
        assert SECRET not in f"{self.cursor}{self.message}"
        return self.message


def report(
    world: World, asset: str, partition: str, verdict: str, *, trigger: str = "schedule", **head: Any
) -> None:
    """A materialization as a stage of mlpipe reports it."""
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    record = Record(
        pipeline="shop",
        stage=asset,
        asset=f"shop/{asset}",
        partition=partition,
        as_of=moment,
        recorded_at=moment,
        verdict=verdict,
        trigger=Trigger(kind=trigger),
        data={"head": head},
    )
    event = dg.AssetMaterialization(
        ["shop", asset], partition=partition, metadata=metadata_of(sealed(record))
    )
    world.on.report_runless_asset_event(event)


def told(there: Receiver) -> list[tuple[str, str]]:
    return [(a["kind"], a["partition"]) for a in there.alerts]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == LOGGER]


def test_what_happened_is_told_once_in_order_and_nothing_of_before(
    made: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tick = Ticks(made)
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        monkeypatch.setenv(UI, "https://ui.example/")
        made.run("ingest", "2024-01-01")
        assert tick() == "log starts now: what happened before is not sent; " + (
            f"webhook {ENV} starts now: what happened before is not sent"
        )
        made.run("ingest", "2024-01-02")
        with pytest.raises(MlpipeError):
            made.run("ingest", "2024-01-04", trigger="schedule")
        case = {"actor": "nightly", "reason": "first", "now": day(5), "logical_date": "2024-01-05"}
        decide(made.ledger, candidate("b1", 4), details={"metrics": {"roc_auc": 0.8}}, **case)
        report(
            made, "monitor", "2024-01-05", "drift", version=1, alarms=["size"], worst="size", worst_psi=0.4
        )
        report(
            made, "monitor", "2024-01-06", "drift", version=1, alarms=["size"], worst="size", worst_psi=0.5
        )
        assert tick() == f"log got 4; webhook {ENV} got 4"
        assert tick() == "nothing new"
        expected = ["2024-01-02", "2024-01-04", "2024-01-05", "2024-01-05"]
        assert told(there) == list(zip(["invalid", "failed", "promoted", "drift"], expected, strict=True))
        failed = there.alerts[1]
        assert failed["title"] == "shop_ingest failed for 2024-01-04" and failed["severity"] == "error"
        assert failed["text"].endswith("failed: ConnectionError: ftp://…@orders is closed.")
        assert failed["link"] == f"https://ui.example/runs/{failed['run']}" and failed["run"] in failed["id"]
        assert "80 of 80 rows kept in source rows, 0 quarantined; quality 0." in there.alerts[0]["text"]
        assert "81" in there.alerts[0]["text"]
    assert [line.split()[2] for line in lines(caplog)] == ["invalid:", "failed:", "promoted:", "drift:"]
    assert "s3cret" not in "".join(lines(caplog)) and SECRET not in caplog.text


def test_the_step_that_broke_is_named(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tick = Ticks(made)
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        # As a worker of Dagster runs it: the run ends as failed, and nothing is raised.
        made.defs.resolve_job_def("shop_ingest").execute_in_process(
            instance=made.on, partition_key="2024-01-04", raise_on_error=False
        )
        tick()
        (failed,) = there.alerts
    assert "failed in step shop__raw: ConnectionError: ftp://…@orders is closed." in failed["text"]
    assert failed["fields"] == {"job": "shop_ingest", "step": "shop__raw", "trigger": "manual"}


def test_what_is_made_good_is_resolved_and_a_second_failure_is_not_told_again(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = Ticks(made)
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        for _ in range(2):
            with pytest.raises(MlpipeError):
                made.run("ingest", "2024-01-04")
            report(made, "validated", "2024-01-03", "fail")
            tick()
        assert [(a["kind"], a["state"]) for a in there.alerts] == [
            ("failed", "firing"),
            ("invalid", "firing"),
        ]
        monkeypatch.setattr(sys.modules[__name__], "BROKEN", set())
        made.run("ingest", "2024-01-04")
        report(made, "validated", "2024-01-03", "pass")
        assert tick().endswith(f"webhook {ENV} got 3") and tick() == "nothing new"
        assert len(there.got) == 2, "one message a round"
        over = {(a["kind"], a["partition"]): a["state"] for a in there.alerts[2:]}
        # What was ingested in place of the failed run breaks the contract of the shop, as any of its days does.
        assert over == {
            ("failed", "2024-01-04"): "resolved",
            ("invalid", "2024-01-03"): "resolved",
            ("invalid", "2024-01-04"): "firing",
        }


def test_what_is_launched_on_assets_is_told_too(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Materialize in the UI does it: Dagster's own job, without a tag of ours."""
    tick = Ticks(made)
    job = made.defs.resolve_implicit_global_asset_job_def()
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()

        def materialize() -> None:
            job.execute_in_process(
                instance=made.on,
                partition_key="2024-01-04",
                asset_selection=[dg.AssetKey(["shop", "raw"])],
                raise_on_error=False,
            )

        materialize()
        tick()
        (failed,) = there.alerts
        assert failed["title"] == "Materialize raw failed for 2024-01-04" and failed["live"]
        monkeypatch.setattr(sys.modules[__name__], "BROKEN", set())
        materialize()
        tick()
        assert [a["state"] for a in there.alerts] == ["firing", "resolved"]


def test_levels_and_performance_are_told_as_the_monitor_saw_them(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_at(tmp_path, on, alerts=[HOOK], retrain={"performance": 0.05})
    decided = {"actor": "nightly", "reason": "first", "now": day(5), "details": {"metrics": {"roc_auc": 0.8}}}
    decide(world.ledger, candidate("b1", 4), **decided)
    tick = Ticks(world)
    asked = {"age_hours": ["page", "critical", "age_hours < 24"]}
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        head = {"version": 1, "primary": "roc_auc"}
        late = {"levels": {"age_hours": [30.0, "missed"]}, "response": asked}
        report(world, "monitor", "2024-01-05", "stable", rolling=0.7, **head, **late)
        tick()
        report(world, "monitor", "2024-01-06", "stable", rolling=0.7, **head, **late)
        assert tick() == "nothing new"
        report(
            world, "monitor", "2024-01-07", "stable", rolling=0.79, **head, levels={"age_hours": [3.0, "met"]}
        )
        tick()
        told_ = [(a["kind"], a["state"], a["severity"]) for a in there.alerts]
        assert told_ == [
            ("level", "firing", "critical"),
            ("performance", "firing", "error"),
            ("level", "resolved", "info"),
            ("performance", "resolved", "info"),
        ]
        assert len(there.got) == 2 and there.alerts[0]["runbook"] == "docs/runbooks/data.md"
        assert there.alerts[0]["link"] == "/assets/shop/monitor?view=partitions&partition=2024-01-05"


def test_what_stays_open_is_told_again(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_at(tmp_path, on, alerts=[{"webhook": {"url_env": ENV, "remind": "2d"}}])
    tick, clock = Ticks(world), [datetime.now(UTC)]
    monkeypatch.setattr(module, "now", lambda: clock[0])
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        report(world, "monitor", "2024-01-04", "drift", version=1, alarms=["size"])
        clock[0] += timedelta(minutes=1)
        tick()
        clock[0] += timedelta(days=1)
        assert tick() == "nothing new"
        clock[0] += timedelta(days=1)
        tick()
        assert tick() == "nothing new"
        titles = [a["title"] for a in there.alerts]
        assert titles == ["shop@1 drifts: 1 watched feature", "Still open: shop@1 drifts: 1 watched feature"]


def test_a_channel_that_is_down_is_told_holds_up_none_and_gets_all_later(
    made: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("mlpipe.notify.post.FIRST_PAUSE", 0.001)
    tick = Ticks(made)
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        report(made, "validated", "2024-01-02", "fail", score=0.5)
        report(made, "validated", "2024-01-03", "fail", score=0.4)
        there.answers += [Answer(404)]
        said = tick()
        assert "log got 2" in said
        assert f"webhook {ENV} does not take alerts: it answered 404. 2 wait for it" in said
        there.answers += [Answer(500)] * 3
        report(made, "monitor", "2024-01-04", "drift", version=1, alarms=["size"])
        assert "it answered 500 (3 of 3 tries). 3 wait for it" in tick()
        there.answers += [Answer(hang=True)] * 3
        assert "no answer within 0.3 s" in tick()
        assert len(lines(caplog)) == 3
        there.got.clear()
        assert tick() == f"webhook {ENV} got 3" and len(there.got) == 1
        assert told(there) == [("invalid", "2024-01-02"), ("invalid", "2024-01-03"), ("drift", "2024-01-04")]
        assert tick() == "nothing new" and len(lines(caplog)) == 3


def test_a_receiver_that_asks_for_time_gets_it(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tick, clock = Ticks(made), [datetime.now(UTC)]
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        monkeypatch.setattr(module, "now", lambda: clock[0])
        clock[0] -= timedelta(minutes=1)
        tick()
        report(made, "validated", "2024-01-02", "fail")
        there.answers += [Answer(429, {"Retry-After": "600"})]
        clock[0] += timedelta(minutes=2)
        assert "does not take alerts: it answered 429" in tick()
        assert "asked to be left alone until" in tick() and len(there.got) == 1
        clock[0] += timedelta(minutes=11)
        assert tick() == f"webhook {ENV} got 1" and len(there.got) == 2


@pytest.mark.parametrize("lost", [None, "{}", "no cursor at all"])
def test_without_a_cursor_it_starts_now_and_says_so(
    made: World, monkeypatch: pytest.MonkeyPatch, lost: str | None
) -> None:
    tick = Ticks(made)
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        report(made, "monitor", "2024-01-04", "drift", version=1, alarms=["size"])
        report(made, "validated", "2024-01-04", "fail")
        tick.cursor = lost
        said = tick()
        assert f"webhook {ENV} starts now" in said
        assert ("the cursor cannot be read and is begun anew" in said) is (lost is not None)
        # The drift that was open stays open, and is no news the day after.
        report(made, "monitor", "2024-01-05", "drift", version=1, alarms=["size"])
        assert tick() == "nothing new" and there.got == []
        report(made, "monitor", "2024-01-06", "stable", version=1)
        tick()
        assert [(a["kind"], a["state"]) for a in there.alerts] == [("drift", "resolved")]


def test_a_past_that_is_lived_through_again_tells_only_those_who_asked(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = ml.Load(orders, event_time="at", keys=["order"])
    world = world_at(
        tmp_path, on, alerts=[{"log": {"replays": True}}, HOOK], source=source, retries={"times": 0}
    )
    tick = Ticks(world)
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        for trigger in ("replay", "backfill", "experiment"):
            with pytest.raises(MlpipeError):
                world.run("ingest", "2024-01-04", trigger=trigger)
            # The same job failed for the same partition: told once, until a run makes up for it.
            assert (tick() == "log got 1") is (trigger == "replay")
        report(world, "validated", "2024-01-02", "fail", trigger="replay")
        report(world, "monitor", "2024-01-02", "drift", trigger="replay", version=1)
        decide(
            world.ledger,
            candidate("b1", 4, trigger="backfill", role="backfill"),
            actor="a",
            reason="r",
            now=day(5),
        )
        assert tick() == "log got 3" and there.got == []
        kinds = [line.split()[2] for line in lines(caplog)]
        assert kinds == ["failed:", "invalid:", "drift:", "refused:"]


def test_of_many_a_round_sends_so_many_and_the_next_the_others(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = Ticks(made)
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        for n in range(1, MOST + 4):
            report(made, "validated", f"2024-01-{n:02d}", "fail")
        assert tick() == f"log got {MOST}; webhook {ENV} got {MOST}"
        assert tick() == f"log got 3; webhook {ENV} got 3" and tick() == "nothing new"
        assert [p for _, p in told(there)] == [f"2024-01-{n:02d}" for n in range(1, MOST + 4)]


def test_a_ledger_that_cannot_be_read_is_told_and_what_it_held_is_sent_later(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick, clock = Ticks(made), [datetime.now(UTC)]
    monkeypatch.setattr(module, "now", lambda: clock[0])
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        decide(made.ledger, candidate("b1", 4), actor="a", reason="r", now=day(5))
        entry = next(folder_of(made).rglob("ledger/**/00000002.json"))
        whole = entry.read_bytes()
        entry.write_bytes(whole.replace(b'"r"', b'"x"'))
        report(made, "validated", "2024-01-02", "fail")
        # Hours pass before somebody mends it.
        for _ in range(2):
            clock[0] += timedelta(hours=1)
            assert "the ledger of shop cannot be read" in tick()
            assert told(there) == [("invalid", "2024-01-02")]
        entry.write_bytes(whole)
        clock[0] += timedelta(hours=1)
        assert tick() == f"log got 1; webhook {ENV} got 1"
        assert [a["kind"] for a in there.alerts] == ["invalid", "promoted"] and tick() == "nothing new"


def test_other_pipelines_of_the_same_instance_are_not_told(
    made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = Ticks(made)
    other = world_at(tmp_path, made.on, name="other", source=ml.Load(orders, event_time="at"))
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        tick()
        with pytest.raises(MlpipeError):
            other.run("ingest", "2024-01-04")
        assert tick() == "nothing new" and there.got == []


def folder_of(world: World) -> Path:
    return Path(str(world.spec.store))


def test_a_channel_that_is_added_later_starts_then(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, more = world_at(tmp_path, on), world_at(tmp_path, on, alerts=["log", HOOK])
    tick = Ticks(few)
    tick()
    report(few, "validated", "2024-01-02", "fail")
    with receiver() as there:
        monkeypatch.setenv(ENV, there.url)
        told_more = tell(more.spec, on, tick.cursor)
        assert told_more.message.startswith(f"webhook {ENV} starts now") and "log got 1" in told_more.message
        assert there.got == []
        assert set(read_cursor(told_more.cursor) or {}) == {"log", f"webhook {ENV}"}
        assert set(read_cursor(tell(few.spec, on, told_more.cursor).cursor) or {}) == {"log"}


def test_the_variable_that_is_missing_is_named_in_the_ticks_log(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENV, raising=False)
    tick = Ticks(made)
    tick()
    report(made, "validated", "2024-01-02", "fail")
    assert f"the variable {ENV} is not set. Set it where the code location runs.. 1 wait" in tick()


@pytest.mark.parametrize(("automation", "status"), [("on", "RUNNING"), ("off", "STOPPED")])
def test_the_sensor_runs_only_where_automation_is_on(automation: str, status: str) -> None:
    (sensor,) = alert_sensors(shop(automation=automation).spec)
    assert sensor.name == "shop_alerts" and sensor.default_status.value == status


def test_a_pipeline_without_channels_has_no_sensor() -> None:
    assert alert_sensors(shop(alerts=[]).spec) == []


def test_the_address_is_in_no_part_of_the_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV, f"https://hooks.example/{SECRET}")
    made = shop(alerts=[HOOK])
    defs = made.definitions()
    (sensor,) = [s for s in defs.sensors or [] if s.name == "shop_alerts"]
    shown = [repr(made.spec), made.spec.model_dump_json(include={"alerts"}), str(sensor.description)]
    shown += [json.dumps({k: str(v) for k, v in s.metadata.items()}) for s in defs.resolve_all_asset_specs()]
    assert SECRET not in "".join(shown) and ENV in shown[0]


COMPONENT = """\
type: mlpipe.PipelineComponent

attributes:
  name: told
  partitions: {every: day, start: 2024-01-01}
  source: {type: load, function: functions.py:orders, event_time: at, keys: order}
  label: late
  features: [size]
  model: sklearn.linear_model.LogisticRegression
  alerts:
    - webhook:
        url_env: SHOP_ALERTS
        on: [failed, drift]
"""
LOADED = """\
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


def test_a_yaml_file_declares_channels_although_on_is_a_trap_of_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    folder = tmp_path / "told_project"
    (folder / "told_project/defs/told").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "told_project"\n'
    )
    (folder / "told_project/__init__.py").write_text("")
    (folder / "told_project/definitions.py").write_text(LOADED)
    (folder / "told_project/defs/told/functions.py").write_text("def orders(window): return window\n")
    yaml = folder / "told_project/defs/told/defs.yaml"
    yaml.write_text(COMPONENT)
    defs = definitions_at(folder)
    assert "told_alerts" in {s.name for s in defs.sensors or []}
    (channel,) = PIPELINES["told"].alerts
    assert channel.name == f"webhook {ENV}" and channel.on == ("failed", "drift")
    # Who fills the address itself in where its variable's name belongs is told so, and does not see it in the log.
    monkeypatch.setenv(ENV, f"https://hooks.example/{SECRET}")
    yaml.write_text(COMPONENT.replace("url_env: SHOP_ALERTS", 'url_env: "{{ env.SHOP_ALERTS }}"'))
    with pytest.raises(MlpipeError, match="must be the name of an environment variable") as caught:
        definitions_at(folder)
    assert SECRET not in str(caught.value)


# -- with a real daemon ----------------------------------------------------------------------------------------------

PROJECT = """\
from sklearn.linear_model import LogisticRegression

import mlpipe as ml


def visits(window):
    raise ConnectionError("the shop is closed")


defs = ml.Pipeline(
    name="tiny",
    partitions=ml.daily(start="2024-01-01", end="2024-01-10"),
    source=ml.Load(visits, event_time="at"),
    label="buys",
    features=["pages"],
    model=LogisticRegression(),
    retries={"times": 0},
    retrain=None,
    automation="on",
    alerts={"webhook": {"url_env": "SHOP_ALERTS", "on": "failed"}},
).definitions()
"""


@pytest.mark.long
def test_the_daemon_tells_a_run_that_failed(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "definitions.py").write_text(PROJECT)
    bin_of, said = Path(sys.executable).parent, tmp_path / "daemon.log"
    # So that the daemon's threads find their databases, and do not all make them at once.
    with dg.DagsterInstance.from_config(str(home)) as on:
        on.get_run_records(limit=1)
    with receiver() as there, said.open("w") as log:
        monkeypatch.setenv(ENV, there.url)
        daemon = subprocess.Popen(
            [str(bin_of / "dagster-daemon"), "run", "-f", "definitions.py"],
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait(lambda: "starts now" in said.read_text(), "the sensor starts", said)
            asked = [sys.executable, "-m", "mlpipe", "run", "tiny", "--from", "2024-01-04"]
            ran = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert ran.returncode != 0 and "the shop is closed" in ran.stdout + ran.stderr
            wait(lambda: bool(there.got), "the failure is told", said)
        finally:
            stop(daemon)
        assert told(there) == [("failed", "2024-01-04")]
        assert "the shop is closed" in there.alerts[0]["text"]
    assert SECRET not in said.read_text() and f"webhook {ENV} got 1" in said.read_text()
