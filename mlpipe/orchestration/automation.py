"""What starts runs by itself: the nightly schedule, and the sensor that asks the retraining policy.

Both keep no state of their own: what was done stands in the records, what was decided in the ledger, what is under way in Dagster.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from mlpipe.core.policy import FAILURES, Decision, Policy
from mlpipe.ledger.fold import State
from mlpipe.orchestration.asking import live_heads, tags_of
from mlpipe.orchestration.jobs import job_name
from mlpipe.orchestration.runtime import (
    ATTEMPT_TAG,
    JOB_TAG,
    PIPELINE_TAG,
    REASON_TAG,
    TRIGGER_TAG,
    ledger_of,
    now,
    open_store,
    store_url,
)
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.nodes import duration_text
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.nightly import ask
from mlpipe.stages.retraining import policy_of

CATCH_UP = 31
"""So many of the newest partitions a night looks at; older ones are for a backfill."""
NIGHTLY_TAG = "mlpipe/nightly"
"""Bears the pipeline's name: in the shipped dagster.yaml the nights of a pipeline run one at a time, in order."""
FIRST = {"dagster/priority": "10"}
"""Before any backfill in the queue."""
CRONS = {"hour": "10 * * * *", "day": "0 2 * * *", "week": "0 2 * * 0", "month": "0 2 1 * *"}
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
BROKEN = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
POLL = 60
"""Seconds between two looks of the sensor, at least."""


def schedules_of(spec: PipelineSpec, jobs: Sequence[Any]) -> list[dg.ScheduleDefinition]:
    """The nightly schedule: the daily job of every partition that has ended and was not watched yet, the oldest first."""
    if spec.partitions.every == "none":
        return []

    @dg.schedule(
        name=f"{spec.name}_nightly",
        job=next(j for j in jobs if j.name == job_name(spec, "daily")),
        cron_schedule=CRONS[spec.partitions.every],
        execution_timezone=spec.partitions.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING
        if spec.automation == "on"
        else dg.DefaultScheduleStatus.STOPPED,
        description=f"Materializes each partition once it has ended, and missing ones of the newest {CATCH_UP}, every night anew.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        tick = context.scheduled_execution_time.astimezone(UTC)
        local = _local(tick, spec.partitions.timezone)
        ended = _ended(spec, tick)
        if not ended:
            return dg.SkipReason(f"no partition of {spec.name} has ended by {local}")
        missing = missing_nights(context.instance, spec, ended)
        if not missing:
            return dg.SkipReason(f"the newest {len(ended)} partitions of {spec.name} are all there")
        reason = f"nightly run at {local}"
        return [
            dg.RunRequest(
                # A partition that failed is asked for again at the next tick.
                run_key=f"{key}@{local}",
                partition_key=key,
                tags={
                    TRIGGER_TAG: "schedule",
                    REASON_TAG: reason if key == ended[-1] else f"{reason}; {key} was missing",
                    NIGHTLY_TAG: spec.name,
                    **FIRST,
                },
            )
            for key in missing
        ]

    return [nightly]


def missing_nights(instance: dg.DagsterInstance, spec: PipelineSpec, ended: Sequence[str]) -> list[str]:
    """Partitions that were not watched yet and that no run is at work on."""
    watched = live_heads(instance, now()).find(f"{spec.name}/monitor", ended)
    busy = {r.tags.get("dagster/partition") for r in _under_way(instance, {NIGHTLY_TAG: spec.name})}
    return [k for k in ended if k not in watched and k not in busy]


def _ended(spec: PipelineSpec, moment: datetime) -> tuple[str, ...]:
    """The newest partitions that have ended."""
    calendar = spec.partitions
    end = min(moment, calendar.last_end or moment)
    keys = calendar.keys_between(end - (CATCH_UP + 1) * UNITS[calendar.every], end)
    return tuple(k for k in keys if calendar.window(k).end <= moment)[-CATCH_UP:]


def _under_way(instance: dg.DagsterInstance, tags: dict[str, str]) -> Sequence[dg.DagsterRun]:
    return instance.get_runs(dg.RunsFilter(tags=tags, statuses=UNDER_WAY))


def sensors_of(spec: PipelineSpec, jobs: Sequence[Any]) -> list[dg.SensorDefinition]:
    """The sensor that asks the policy once a night's work is done, and starts at most one training."""
    policy = policy_of(spec.retrain)
    if spec.partitions.every == "none" or policy is None:
        return []

    @dg.sensor(
        name=f"{spec.name}_retrain",
        job=next(j for j in jobs if j.name == job_name(spec, "training")),
        minimum_interval_seconds=POLL,
        default_status=dg.DefaultSensorStatus.RUNNING
        if spec.automation == "on"
        else dg.DefaultSensorStatus.STOPPED,
        description="Asks the policy 'retrain' after each night, and starts at most one training; says why not, when it does not.",
    )
    def retrain(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return asked(context.instance, spec, policy)

    return [retrain]


def asked(instance: dg.DagsterInstance, spec: PipelineSpec, policy: Policy) -> dg.RunRequest | dg.SkipReason:
    """What the sensor answers now.

    The same question has the same answer until something new is recorded, and the run key is the attempt's name. Should Dagster have
    forgotten that it launched it (deleted runs, another location), a second run finds the attempt claimed and does nothing.
    """
    nights = _under_way(instance, {NIGHTLY_TAG: spec.name})
    if nights:
        return dg.SkipReason(
            f"{len(nights)} nightly runs of {spec.name} are under way; asked again when they are done"
        )
    at_work = _under_way(instance, {PIPELINE_TAG: spec.name, JOB_TAG: "training"})
    if at_work:
        return dg.SkipReason(f"a training is under way: run {at_work[0].run_id}")
    # By partition, not by time of materialization: a backfill of old ones is no news.
    newest = max(instance.get_materialized_partitions(dg.AssetKey([spec.name, "monitor"])), default=None)
    if newest is None:
        return dg.SkipReason(f"no partition of {spec.name} was watched yet")
    heads = live_heads(instance, now())
    store = open_store(store_url(spec))
    ledger = ledger_of(spec, store)
    broken = broken_runs(instance, spec, policy, ledger.state())
    decision = ask(spec, policy, newest, heads, ledger, store, failed=list(broken))
    if not decision.ask:
        return dg.SkipReason(said(decision, newest))
    runs = broken.get(decision.name, 0)
    if runs >= FAILURES:
        return dg.SkipReason(
            f"{decision.name} broke {runs} times in {duration_text(policy.cool_down)}; look at its runs"
        )
    # A run that broke before it claimed its attempt has used up its key.
    key = f"{decision.name}#{runs}" if not runs else f"{decision.name}#{now():%Y%m%dT%H%M}"
    return dg.RunRequest(run_key=key, partition_key=newest, tags={**tags_of(decision), **FIRST})


def broken_runs(
    instance: dg.DagsterInstance, spec: PipelineSpec, policy: Policy, state: State
) -> dict[str, int]:
    """Attempts whose newest run broke and about which nothing was decided, with how many runs of each broke within a cool-down."""
    decided = {v.details.get("attempt") for v in state.versions.values() if v.decision is not None}
    trainings = dg.RunsFilter(
        tags={PIPELINE_TAG: spec.name, JOB_TAG: "training"}, created_after=now() - policy.cool_down
    )
    last: dict[str, dg.DagsterRunStatus] = {}
    counts: dict[str, int] = {}
    for run in instance.get_runs(trainings, limit=200):
        name = run.tags.get(ATTEMPT_TAG)
        if name is None or name in decided:
            continue
        last.setdefault(name, run.status)
        counts[name] = counts.get(name, 0) + (run.status in BROKEN)
    return {name: counts[name] for name, status in last.items() if status in BROKEN}


def said(decision: Decision, key: str) -> str:
    """Why nothing is started, in a sentence."""
    if decision.held:
        return f"after {key}: {'; '.join(decision.held)}"
    return f"after {key}: nothing asks for a new model"


def _local(instant: datetime, zone: str) -> str:
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
