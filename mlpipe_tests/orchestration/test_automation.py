"""What the schedule and the sensor start, and what they do not."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

import mlpipe as ml
from mlpipe.errors import MlpipeError
from mlpipe.orchestration.automation import CATCH_UP, NIGHTLY_TAG, missing_nights
from mlpipe.orchestration.runs import Request, run
from mlpipe.orchestration.runtime import (
    ATTEMPT_TAG,
    HOLDER_TAG,
    JOB_TAG,
    PIPELINE_TAG,
    REASON_TAG,
    TRIGGER_TAG,
)
from mlpipe_tests.orchestration.conftest import NO_TELEMETRY, World
from mlpipe_tests.orchestration.drifting import drifting
from mlpipe_tests.orchestration.shop import shop

NEW_YORK = "America/New_York"


# -- the schedule ---------------------------------------------------------------------------------------------------


def ticked(on: dg.DagsterInstance, moment: datetime, **changes: object) -> list[dg.RunRequest] | str:
    """What the schedule says at a moment: its requests, or why there are none."""
    defs = shop(**changes).definitions()
    schedule = defs.resolve_schedule_def("shop_nightly")
    context = dg.build_schedule_context(
        instance=on, scheduled_execution_time=moment, repository_def=defs.get_repository_def()
    )
    result = schedule.evaluate_tick(context)
    return list(result.run_requests or []) or str(result.skip_message)


@pytest.mark.parametrize(
    ("partitions", "moment", "key"),
    [
        (ml.daily(start="2024-01-01", timezone=NEW_YORK), datetime(2024, 1, 10, 2), "2024-01-09"),
        # The nights in which the clocks change: two o'clock does not exist, or comes twice.
        (ml.daily(start="2024-01-01", timezone=NEW_YORK), datetime(2024, 3, 10, 3), "2024-03-09"),
        (ml.daily(start="2024-01-01", timezone=NEW_YORK), datetime(2024, 11, 3, 2), "2024-11-02"),
        (ml.hourly(start="2024-01-01", timezone=NEW_YORK), datetime(2024, 1, 10, 2, 10), "2024-01-10-01:00"),
        (ml.weekly(start="2024-01-07", timezone=NEW_YORK), datetime(2024, 1, 21, 2), "2024-01-14"),
        (ml.monthly(start="2024-01-01", timezone=NEW_YORK), datetime(2024, 3, 1, 2), "2024-02-01"),
    ],
)
def test_the_schedule_asks_for_the_partition_that_ended_last(
    on: dg.DagsterInstance, partitions: object, moment: datetime, key: str
) -> None:
    local = moment.replace(tzinfo=ZoneInfo(NEW_YORK))
    requests = ticked(on, local, partitions=partitions)
    assert isinstance(requests, list)
    request, keys = requests[-1], [r.partition_key for r in requests]
    assert request.partition_key == key and request.run_key == f"{key}@{moment:%Y-%m-%d %H:%M}"
    assert request.tags[TRIGGER_TAG] == "schedule"
    assert request.tags[REASON_TAG] == f"nightly run at {moment:%Y-%m-%d %H:%M}"
    # All that ended before and was never watched is made up for, in order, up to a limit.
    assert keys == list(shop(partitions=partitions).spec.partitions.complete_until(local))[-CATCH_UP:]


def test_the_schedule_ticks_at_two_in_the_morning_of_the_pipelines_own_zone() -> None:
    crons = {}
    for make in (ml.hourly, ml.daily, ml.weekly, ml.monthly):
        made = shop(partitions=make(start="2024-01-07", timezone=NEW_YORK)).definitions()
        schedule = made.resolve_schedule_def("shop_nightly")
        assert schedule.execution_timezone == NEW_YORK and schedule.job_name == "shop_daily"
        crons[make.__name__] = schedule.cron_schedule
    assert crons == {
        "hourly": "10 * * * *",
        "daily": "0 2 * * *",
        "weekly": "0 2 * * 0",
        "monthly": "0 2 1 * *",
    }


def test_before_the_first_partition_has_ended_the_schedule_says_why_it_skips(on: dg.DagsterInstance) -> None:
    skipped = ticked(on, datetime(2024, 1, 1, 2, tzinfo=UTC))
    assert isinstance(skipped, str) and "no partition of shop has ended" in skipped


@pytest.mark.parametrize(("automation", "status"), [("on", "RUNNING"), ("off", "STOPPED")])
def test_the_schedule_runs_only_where_automation_is_on(automation: str, status: str) -> None:
    schedule = shop(automation=automation).definitions().resolve_schedule_def("shop_nightly")
    assert schedule.default_status.value == status


def test_a_pipeline_without_partitions_has_no_schedule() -> None:
    assert not shop(partitions=ml.unpartitioned(), window=None).definitions().schedules


def test_a_partition_that_is_there_or_under_way_is_not_asked_for_again(world: World) -> None:
    """The world watched the twelfth and the thirteenth."""
    requests = evaluated(world, datetime(2024, 1, 16, 2, tzinfo=UTC))
    keys = [r.partition_key for r in requests]
    assert keys[-2:] == ["2024-01-14", "2024-01-15"]
    assert "2024-01-12" not in keys and "2024-01-13" not in keys and "2024-01-10" in keys
    assert "2024-01-14 was missing" in requests[-2].tags[REASON_TAG]
    busy = {"dagster/partition": "2024-01-14", NIGHTLY_TAG: "shop"}
    with dg.DagsterInstance.local_temp(str(world.on.root_directory)) as on:
        made = queued(on, world, "daily", busy)
        try:
            assert "2024-01-14" not in missing_nights(on, world.spec, keys)
            # Tomorrow's tick asks again for one that failed today.
            on.report_run_failed(on.get_run_by_id(made))
            assert "2024-01-14" in missing_nights(on, world.spec, keys)
        finally:
            on.delete_run(made)


def evaluated(world: World, moment: datetime) -> Sequence[dg.RunRequest]:
    schedule = world.defs.resolve_schedule_def("shop_nightly")
    context = dg.build_schedule_context(
        instance=world.on, scheduled_execution_time=moment, repository_def=world.defs.get_repository_def()
    )
    return list(schedule.evaluate_tick(context).run_requests or [])


def queued(
    on: dg.DagsterInstance, world: World, job: str, tags: dict[str, str], status: str = "STARTED"
) -> str:
    """A run that is under way, as the daemon would have made it."""
    made = world.defs.resolve_job_def(f"shop_{job}")
    run = on.create_run_for_job(job_def=made, tags={**made.tags, **tags}, status=dg.DagsterRunStatus(status))
    return run.run_id


# -- the sensor -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home in which a champion was made, and days after it were watched in which prices rose; for copying only."""
    folder = tmp_path_factory.mktemp("past")
    (folder / "dagster.yaml").write_text(NO_TELEMETRY)
    with dg.DagsterInstance.from_config(str(folder)) as on:
        world = _world(folder, on)
        world.run("ingest", "2024-01-01", "2024-01-20")
        world.run("training", "2024-01-13")
        live = Request("daily", "2024-01-13", "2024-01-20", ("predictions", "monitor"))
        run(world.spec, world.defs, on, live)
    return folder


def _world(folder: Path, on: dg.DagsterInstance) -> World:
    made = drifting(store=str(folder / "store"))
    return World(made.spec, made.definitions(), on)


@pytest.fixture
def drifted(past: Path, tmp_path: Path) -> Iterator[World]:
    """The test's own copy of that past."""
    shutil.copytree(past, tmp_path / "drifted")
    with dg.DagsterInstance.from_config(str(tmp_path / "drifted")) as on:
        yield _world(tmp_path / "drifted", on)


def polled(world: World, name: str = "shop_retrain") -> dg.RunRequest | str:
    """What the sensor says now: its request, or why there is none."""
    sensor = world.defs.resolve_sensor_def(name) if hasattr(world.defs, "resolve_sensor_def") else None
    sensor = sensor or next(s for s in world.defs.sensors or [] if s.name == name)
    context = dg.build_sensor_context(instance=world.on, repository_def=world.defs.get_repository_def())
    result = sensor.evaluate_tick(context)
    requests = list(result.run_requests or [])
    assert len(requests) <= 1
    return requests[0] if requests else str(result.skip_message)


def trained(world: World, request: dg.RunRequest, **more: str) -> str:
    """Run what the sensor asked for, as the daemon would."""
    job = world.defs.resolve_job_def("shop_training")
    result = job.execute_in_process(
        instance=world.on, partition_key=request.partition_key, tags={**request.tags, **more}
    )
    return str(result.run_id)


def test_drift_asks_for_one_training_and_says_why_in_tags(drifted: World) -> None:
    request = polled(drifted)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2024-01-20"
    assert request.run_key == "drift:1:2024-01-18:1#0" and request.tags[ATTEMPT_TAG] == "drift:1:2024-01-18:1"
    assert request.tags[TRIGGER_TAG] == "drift" and request.tags[f"{TRIGGER_TAG}.column"] == "price"
    assert float(request.tags[f"{TRIGGER_TAG}.value"]) > float(request.tags[f"{TRIGGER_TAG}.limit"]) == 0.5
    # Asked again before anything was recorded, it gives the very same: Dagster starts one run for a key.
    assert polled(drifted) == request


def test_once_the_attempt_is_claimed_the_night_is_quiet_and_a_second_run_does_nothing(drifted: World) -> None:
    request = polled(drifted)
    assert isinstance(request, dg.RunRequest)
    trained(drifted, request)
    entries, events = drifted.ledger.entries(), len(drifted.events("model"))
    assert [e.kind for e in entries][-3:-1] == ["claim", "register"]
    said = polled(drifted)
    assert isinstance(said, str) and "asked for at the same partition" in said
    # The daemon forgot that it launched it, and launched it again.
    second = trained(drifted, request)
    assert drifted.ledger.entries() == entries and len(drifted.events("model")) == events
    finished = drifted.on.get_run_by_id(second)
    assert finished is not None and finished.status == dg.DagsterRunStatus.SUCCESS


def test_a_retry_of_the_run_that_claimed_goes_on_with_it(drifted: World) -> None:
    request = polled(drifted)
    assert isinstance(request, dg.RunRequest)
    held = {HOLDER_TAG: "the first run"}
    drifted.ledger.claim(
        request.tags[ATTEMPT_TAG],
        "the first run",
        actor="a",
        role="sensor",
        reason="b",
        logical_date="2024-01-20",
    )
    trained(drifted, request)
    assert len(drifted.events("model")) == 1, "somebody else holds it"
    trained(drifted, request, **held)
    assert len(drifted.events("model")) == 2


def test_while_a_night_or_a_training_is_under_way_the_sensor_waits(drifted: World) -> None:
    made = queued(drifted.on, drifted, "daily", {NIGHTLY_TAG: "shop"})
    said = polled(drifted)
    assert isinstance(said, str) and "1 nightly runs of shop are under way" in said
    drifted.on.delete_run(made)
    made = queued(drifted.on, drifted, "training", {PIPELINE_TAG: "shop", JOB_TAG: "training"})
    said = polled(drifted)
    assert isinstance(said, str) and f"a training is under way: run {made}" in said


def test_a_run_that_broke_before_it_claimed_is_asked_for_again_three_times(drifted: World) -> None:
    request = polled(drifted)
    assert isinstance(request, dg.RunRequest)
    keys = {request.run_key}
    for broken in range(3):
        asked = polled(drifted)
        assert isinstance(asked, dg.RunRequest), broken
        made = queued(drifted.on, drifted, "training", asked.tags)
        drifted.on.report_run_failed(drifted.on.get_run_by_id(made))
        keys.add(asked.run_key)
    assert len(keys) > 1, "Dagster starts one run for a key"
    said = polled(drifted)
    assert isinstance(said, str) and "broke 3 times in 4d; look at its runs" in said


def test_a_training_that_crashed_after_its_claim_is_another_attempt(
    drifted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = polled(drifted)
    assert isinstance(request, dg.RunRequest)
    monkeypatch.setattr("mlpipe.stages.train.fitted", _crash)
    with pytest.raises(Exception, match="out of memory"):
        trained(drifted, request)
    again = polled(drifted)
    assert isinstance(again, dg.RunRequest) and again.tags[ATTEMPT_TAG] == "drift:1:2024-01-18:2"


def _crash(*given: object) -> None:
    raise MlpipeError("out of memory")


@pytest.mark.parametrize(("automation", "status"), [("on", "RUNNING"), ("off", "STOPPED")])
def test_the_sensor_runs_only_where_automation_is_on(automation: str, status: str) -> None:
    sensors = {s.name: s for s in shop(automation=automation).definitions().sensors or []}
    assert sensors["shop_retrain"].default_status.value == status
