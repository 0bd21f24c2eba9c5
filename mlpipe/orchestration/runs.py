"""Running a pipeline's jobs in this process, as ordinary Dagster runs that the UI shows."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg

from mlpipe.errors import MlpipeError
from mlpipe.orchestration.assets import STAGES
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.jobs import MONITOR, job_name
from mlpipe.orchestration.production import mirror
from mlpipe.orchestration.runtime import (
    ACTOR_TAG,
    AS_OF_TAG,
    REASON_TAG,
    TRIGGER_TAG,
    ledger_of,
    now,
    open_store,
    store_url,
    who,
)
from mlpipe.records.codec import Head
from mlpipe.spec.pipeline import PipelineSpec

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster's log lines stay off the terminal; they are in the event log, where the UI shows them."""


@dataclass(frozen=True)
class Request:
    """What to run: the job, its first and last partition, which of its assets (empty: all), and why."""

    job: str
    first: str
    last: str
    assets: tuple[str, ...] = ()
    trigger: str = "manual"
    reason: str = ""
    as_of: str | None = None


def instance() -> dg.DagsterInstance:
    """The instance of $DAGSTER_HOME.

    Raises
    ------
    MlpipeError
        Without DAGSTER_HOME: what is made would be gone with the process.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise MlpipeError(
            "DAGSTER_HOME is not set, so Dagster would forget every run",
            fix='Choose a folder: export DAGSTER_HOME="$PWD/.dagster_home" && mkdir -p "$DAGSTER_HOME"',
        )
    return dg.DagsterInstance.get()


def run(spec: PipelineSpec, defs: dg.Definitions, on: dg.DagsterInstance, request: Request) -> str:
    """Run a job in this process and return its run id.

    Raises
    ------
    MlpipeError
        The error of the step that failed, as it was raised.
    """
    tags = {TRIGGER_TAG: request.trigger, ACTOR_TAG: who()}
    if request.reason:
        tags[REASON_TAG] = request.reason
    if request.as_of:
        tags[AS_OF_TAG] = request.as_of
    ranged = request.first != request.last
    if ranged:
        tags |= {RANGE_START: request.first, RANGE_END: request.last}
    job = defs.resolve_job_def(job_name(spec, request.job))
    result = job.execute_in_process(
        instance=on,
        tags=tags,
        partition_key=None if ranged or spec.partitions.every == "none" else request.first,
        asset_selection=[dg.AssetKey([spec.name, a]) for a in request.assets] or None,
        run_config=QUIET,
        raise_on_error=True,
    )
    return str(result.run_id)


def plan(
    spec: PipelineSpec,
    first: str,
    last: str,
    train_at: Sequence[str],
    *,
    reason: str = "",
    as_of: str | None = None,
) -> list[Request]:
    """The runs that bring a range of partitions up to date: ingest as one range, trainings, then predictions and monitor.

    Predictions and monitor are made from the earliest training on: before it there is no champion to predict with. Without a training
    they are made for the whole range, by whoever is champion.
    """
    note = reason or f"mlpipe run {spec.name} --from {first} --to {last}"
    common = {"reason": note, "as_of": as_of}
    requests = [Request("ingest", first, last, **common)]
    requests += [Request("training", key, key, **common) for key in train_at]
    start = max(first, min(train_at)) if train_at else first
    if start <= last:
        requests.append(Request("daily", start, last, MONITOR, **common))
    return requests


def execute(
    spec: PipelineSpec,
    defs: dg.Definitions,
    requests: Sequence[Request],
    tell: Callable[[Request, str], None],
) -> None:
    """Run requests one after the other; `tell` hears of each before it starts, with an empty run id, and after it ended."""
    with instance() as on:
        for request in requests:
            tell(request, "")
            tell(request, run(spec, defs, on, request))
        mirror(on, spec, ledger_of(spec, open_store(store_url(spec))))


def heads_of(spec: PipelineSpec, keys: Sequence[str]) -> dict[str, dict[str, Head]]:
    """Newest heads of every asset of a pipeline for some partitions, by the last part of the asset's name."""
    with instance() as on:
        heads = DagsterHeads(on, "", now().timestamp())
        return {name: dict(heads.find(f"{spec.name}/{name}", keys)) for name in STAGES}
