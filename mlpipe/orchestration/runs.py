"""Running a pipeline's jobs in this process, as ordinary Dagster runs that the UI shows."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from sqlalchemy.exc import SQLAlchemyError

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.orchestration.causes import cause, first_line
from mlpipe.orchestration.events import DagsterHeads, memory_of
from mlpipe.orchestration.faces import STAGES
from mlpipe.orchestration.jobs import MONITOR, job_name
from mlpipe.orchestration.runtime import (
    ACTOR_TAG,
    AS_OF_TAG,
    REASON_TAG,
    TRIGGER_TAG,
    now,
    who,
)
from mlpipe.records.codec import Head
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.extent import extent

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster's log lines stay off the terminal; they are in the event log, where the UI shows them."""


@dataclass(frozen=True)
class Request:
    """What to run: the job, its first and last partition, which of its assets (empty: all), why, and further tags."""

    job: str
    first: str
    last: str
    assets: tuple[str, ...] = ()
    trigger: str = "manual"
    reason: str = ""
    as_of: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


def instance() -> dg.DagsterInstance:
    """The instance of $DAGSTER_HOME.

    Raises
    ------
    MlpipeError
        Without DAGSTER_HOME, for what is made would be gone with the process; or when it is no usable folder.
    """
    home = os.environ.get("DAGSTER_HOME")
    fix = 'Choose a folder: export DAGSTER_HOME="$PWD/.dagster_home" && mkdir -p "$DAGSTER_HOME"'
    if not home:
        raise MlpipeError("DAGSTER_HOME is not set, so Dagster would forget every run", fix=fix)
    if not Path(home).is_absolute():
        raise MlpipeError(f"DAGSTER_HOME must be an absolute path, and is {home!r}", fix=fix)
    if not Path(home).is_dir():
        raise MlpipeError(
            f"there is no folder {home}, which DAGSTER_HOME names", fix=f'Make it: mkdir -p "{home}"'
        )
    # What a run plans is written at once, not event by event.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "100")
    try:
        return dg.DagsterInstance.get()
    except (dg.DagsterError, OSError, SQLAlchemyError, yaml.YAMLError) as error:
        raise MlpipeError(
            f"Dagster cannot open its instance: {first_line(error)}",
            where=home,
            fix="Look at its dagster.yaml.",
        ) from error


def run(
    spec: PipelineSpec,
    defs: dg.Definitions,
    on: dg.DagsterInstance,
    request: Request,
    config: Mapping[str, Any] | None = None,
) -> str:
    """Run a job in this process and return its run id. `config` is its run config.

    Raises
    ------
    MlpipeError
        The error of the step that failed, as it was raised.
    KeyboardInterrupt
        On Ctrl-C, once what was finished is recorded.
    """
    tags = {TRIGGER_TAG: request.trigger, ACTOR_TAG: who(), **dict(request.tags)}
    if request.reason:
        tags[REASON_TAG] = request.reason
    if request.as_of:
        tags[AS_OF_TAG] = request.as_of
    ranged = request.first != request.last
    if ranged:
        tags |= {RANGE_START: request.first, RANGE_END: request.last}
    job = defs.resolve_job_def(job_name(spec, request.job))
    try:
        result = job.execute_in_process(
            instance=on,
            tags=tags,
            partition_key=None if ranged or spec.partitions.every == "none" else request.first,
            asset_selection=[dg.AssetKey([spec.name, a]) for a in request.assets] or None,
            run_config={**QUIET, **(config or {})},
            raise_on_error=True,
        )
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    except Exception as error:
        known = cause(error)
        if known is None or known is error:
            raise
        raise known from error
    finally:
        memory = memory_of(on)
        if memory is not None:
            memory.ended()
    return str(result.run_id)


def plan(
    spec: PipelineSpec,
    first: str,
    last: str,
    train_at: Sequence[str],
    *,
    watch_to: str | None = None,
    batches: Sequence[tuple[str, str]] | None = None,
    reason: str = "",
    as_of: str | None = None,
) -> list[Request]:
    """The runs that bring a range of partitions up to date: ingest as one range, then trainings, predictions and monitor.

    `batches` are first and last partitions of several ranges to ingest in one range's place, each small enough for the memory.

    Predictions and monitor are made from the earliest training on: before it there is no champion to predict with. The partitions
    between two trainings come between them, so that each is scored by the champion of its day. Without a training they are made for
    the whole range, by whoever is champion. `watch_to` is the last partition to predict and monitor; default: `last`.
    """
    span = "" if spec.partitions.every == "none" else f" --from {first} --to {last}"
    note = reason or f"mlpipe run {spec.name}{span}"

    def request(job: str, start: str, end: str, assets: tuple[str, ...] = ()) -> Request:
        return Request(job, start, end, assets, reason=note, as_of=as_of)

    requests = [request("ingest", *batch) for batch in batches or [(first, last)]]
    trainings = sorted(set(train_at))
    last = last if watch_to is None else min(last, watch_to)
    if not trainings:
        return [*requests, request("daily", first, last, MONITOR)] if first <= last else requests
    for key, following in zip(trainings, [*trainings[1:], None], strict=True):
        requests.append(request("training", key, key))
        days = [
            d for d in spec.partitions.keys(first, last) if d >= key and (following is None or d < following)
        ]
        if days:
            requests.append(request("daily", days[0], days[-1], MONITOR))
    return requests


def span(
    spec: PipelineSpec,
    first: str | None,
    last: str | None,
    train_at: Sequence[str] = (),
    tell: Callable[[str], None] | None = None,
) -> tuple[str, str]:
    """First and last partition of what is asked for on the command line; without a first one, of all the data.

    `tell` hears of rows that lie in the future.

    Raises
    ------
    NotFoundError
        When a partition does not exist, or has not ended yet; naming the newest that has.
    SourceError
        When all the data is asked for and there is none.
    MlpipeError
        When a bound is not needed, or they stand the wrong way round.
    """
    calendar = spec.partitions
    if calendar.every == "none":
        if first or last or train_at:
            raise MlpipeError(
                f"pipeline {spec.name!r} has no partitions",
                fix=f"Leave --from, --to and --train-at out: mlpipe run {spec.name}",
            )
        return WHOLE, WHOLE
    moment = now()
    if not first:
        data = extent(spec, moment, tell)
        first, last = (calendar.key(calendar.first), last) if data is None else (data[0], last or data[1])
    last = last or first
    for key in (first, last, *train_at):
        if calendar.window(key).end > moment:
            ended = calendar.complete_until(moment)
            raise NotFoundError(
                f"partition {key} has not ended yet",
                fix=f"The newest that has is {ended[-1]}." if ended else "None has ended so far.",
            )
    if not calendar.keys(first, last):
        raise MlpipeError(f"--to {last} is before --from {first}", fix="Swap them.")
    return first, last


def past(spec: PipelineSpec, first: str | None, last: str | None) -> tuple[str, str]:
    """First and last partition to live through: those that were named, else those of all the data.

    Raises
    ------
    SourceError
        When all the data is asked for and there is none.
    """
    if first and last:
        return first, last
    data = extent(spec, now()) or (WHOLE, WHOLE)
    return first or data[0], last or data[1]


def heads_of(spec: PipelineSpec, keys: Sequence[str]) -> dict[str, dict[str, Head]]:
    """Newest heads of every asset of a pipeline for some partitions, by the last part of the asset's name."""
    with instance() as on:
        heads = DagsterHeads(on, "", now().timestamp())
        return {name: dict(heads.find(f"{spec.name}/{name}", keys)) for name in STAGES}
