"""What the jobs select, and when the schedule asks for which partition."""

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

import mlpipe as ml
from mlpipe.orchestration.jobs import RUN_LIMIT, jobs_of
from mlpipe.orchestration.runtime import REASON_TAG, TRIGGER_TAG
from mlpipe_tests.orchestration.conftest import World
from mlpipe_tests.orchestration.shop import shop

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("ingest", {"raw", "validated", "features", "labels"}),
        ("daily", {"raw", "validated", "features", "labels", "predictions", "monitor"}),
        ("training", {"model", "evaluation", "release"}),
        ("backtest", {"model", "evaluation"}),
    ],
)
def test_a_job_materializes_its_stages_and_no_more(world: World, job: str, assets: set[str]) -> None:
    made = world.defs.resolve_job_def(f"shop_{job}")
    assert {k.path[-1] for k in made.asset_layer.executable_asset_keys} == assets
    assert made.tags["mlpipe/pipeline"] == "shop" and made.tags["mlpipe/job"] == job
    assert made.partitions_def == dg.DailyPartitionsDefinition("2024-01-01")


def test_the_limit_of_a_step_bounds_the_run_by_its_number_of_steps() -> None:
    tags = {j.name: j.tags for j in jobs_of(shop(timeout="90s").spec)}
    assert {n: t[RUN_LIMIT] for n, t in tags.items()} == {
        "shop_ingest": "360",
        "shop_daily": "540",
        "shop_training": "270",
        "shop_backtest": "180",
    }
    assert not any(RUN_LIMIT in j.tags for j in jobs_of(shop().spec))


def asked(moment: datetime, **changes: object) -> dg.RunRequest | dg.SkipReason:
    """What the schedule says at a moment."""
    defs = shop(**changes).definitions()
    schedule = defs.resolve_schedule_def("shop_nightly")
    context = dg.build_schedule_context(
        scheduled_execution_time=moment, repository_def=defs.get_repository_def()
    )
    result = schedule.evaluate_tick(context)
    return result.run_requests[0] if result.run_requests else dg.SkipReason(result.skip_message)


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
    partitions: object, moment: datetime, key: str
) -> None:
    local = moment.replace(tzinfo=ZoneInfo(NEW_YORK))
    request = asked(local, partitions=partitions)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == request.run_key == key
    assert request.tags[TRIGGER_TAG] == "schedule"
    assert request.tags[REASON_TAG] == f"nightly run at {moment:%Y-%m-%d %H:%M}"


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


def test_before_the_first_partition_has_ended_the_schedule_says_why_it_skips() -> None:
    skipped = asked(datetime(2024, 1, 1, 2, tzinfo=ZoneInfo("UTC")))
    assert isinstance(skipped, dg.SkipReason) and "no partition of shop has ended" in str(
        skipped.skip_message
    )


@pytest.mark.parametrize(("automation", "status"), [("on", "RUNNING"), ("off", "STOPPED")])
def test_the_schedule_runs_only_where_automation_is_on(automation: str, status: str) -> None:
    schedule = shop(automation=automation).definitions().resolve_schedule_def("shop_nightly")
    assert schedule.default_status.value == status


def test_a_pipeline_without_partitions_has_no_schedule() -> None:
    assert not shop(partitions=ml.unpartitioned(), window=None).definitions().schedules


def test_a_retrain_policy_that_nothing_acts_on_is_told_where_people_start_a_training() -> None:
    jobs = {j.name: j.description for j in jobs_of(shop(retrain=ml.Retrain()).spec)}
    assert "nothing acts on it yet" in jobs["shop_training"] and "nothing acts" not in jobs["shop_daily"]
