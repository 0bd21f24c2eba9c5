"""The four jobs of a pipeline, and its nightly schedule."""

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from mlpipe.orchestration.runtime import REASON_TAG, TRIGGER_TAG
from mlpipe.spec.pipeline import PipelineSpec

INGEST = ("raw", "validated", "features", "labels")
MONITOR = ("predictions", "monitor")
JOBS: dict[str, tuple[tuple[str, ...], str]] = {
    "ingest": (INGEST, "Rows to features and labels, for one partition or a range in one run."),
    "daily": (
        (*INGEST, *MONITOR),
        "One partition: rows to features and labels, then predictions and monitor.",
    ),
    "training": (("model", "evaluation", "release"), "Learn, judge and decide, for one partition."),
    "backtest": (("model", "evaluation"), "Learn and judge, for past partitions; never decides anything."),
}
RETRAIN = " The policy 'retrain' is read, but nothing acts on it yet: start this job by hand, or by a schedule of your own."
RUN_LIMIT = "dagster/max_runtime"


def job_name(spec: PipelineSpec, job: str) -> str:
    """Name of a pipeline's job in Dagster."""
    return f"{spec.name}_{job}"


def jobs_of(spec: PipelineSpec) -> list[Any]:
    """The jobs, each over the assets that it materializes."""
    return [
        dg.define_asset_job(
            job_name(spec, name),
            selection=dg.AssetSelection.assets(*[[spec.name, a] for a in assets]),
            description=f"{text}{RETRAIN}" if name == "training" and spec.retrain is not None else text,
            tags={"mlpipe/pipeline": spec.name, "mlpipe/job": name, **_limit(spec, len(assets))},
            executor_def=dg.in_process_executor,
        )
        for name, (assets, text) in JOBS.items()
    ]


def _limit(spec: PipelineSpec, assets: int) -> dict[str, str]:
    """The step limit holds inside a step; the run as a whole may take it once for every asset."""
    return {} if spec.timeout is None else {RUN_LIMIT: str(ceil(spec.timeout.total_seconds() * assets))}


def schedules_of(spec: PipelineSpec, jobs: list[Any]) -> list[dg.ScheduleDefinition]:
    """The nightly schedule of the daily job: each partition once it has ended."""
    if spec.partitions.every == "none":
        return []
    daily = next(j for j in jobs if j.name == job_name(spec, "daily"))
    calendar = spec.partitions
    crons = {"hour": "10 * * * *", "day": "0 2 * * *", "week": "0 2 * * 0", "month": "0 2 1 * *"}

    @dg.schedule(
        name=f"{spec.name}_nightly",
        job=daily,
        cron_schedule=crons[calendar.every],
        execution_timezone=calendar.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING
        if spec.automation == "on"
        else dg.DefaultScheduleStatus.STOPPED,
        description="Materializes each partition once it has ended.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tick = context.scheduled_execution_time.astimezone(UTC)
        ended = calendar.keys_between(tick - timedelta(days=62), tick)
        done = [k for k in ended if calendar.window(k).end <= tick]
        if not done:
            return dg.SkipReason(
                f"no partition of {spec.name} has ended by {_local(tick, calendar.timezone)}"
            )
        reason = f"nightly run at {_local(tick, calendar.timezone)}"
        return dg.RunRequest(
            run_key=done[-1], partition_key=done[-1], tags={TRIGGER_TAG: "schedule", REASON_TAG: reason}
        )

    return [nightly]


def _local(instant: datetime, zone: str) -> str:
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
