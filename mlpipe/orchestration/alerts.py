"""The sensor that tells people what happened: failed runs, failed partitions, what monitoring shows, and decisions."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote

import dagster as dg

from mlpipe.errors import MlpipeError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.notify.alert import Alert, is_live
from mlpipe.notify.carriers import carrier_of
from mlpipe.notify.conditions import Promised
from mlpipe.notify.decisions import of_entries, promised
from mlpipe.notify.failures import EndedRun, of_failure, of_success
from mlpipe.notify.outbox import MOST, Delivery, Open, Outbox, Position, deliver, read_cursor, write_cursor
from mlpipe.notify.verdicts import Seen, followed, of_validation
from mlpipe.orchestration.events import EXPERIMENT_TAG, PAGE, head_of_event
from mlpipe.orchestration.runs import RANGE_END, RANGE_START
from mlpipe.orchestration.runtime import (
    BACKFILL_TAG,
    PIPELINE_TAG,
    TRIGGER_TAG,
    ledger_of,
    now,
    open_store,
    store_url,
)
from mlpipe.spec.alerts import Channel
from mlpipe.spec.pipeline import PipelineSpec

PARTITION = "dagster/partition"
BY_HAND = "Materialize "
"""Beginning of what a run is called that was launched on assets, and of no job of ours."""
UI = "MLPIPE_UI_URL"
"""Environment variable with the address of Dagster's UI; with it, alerts link to their pages."""
EVERY = 30
"""Seconds between two rounds."""
PATIENCE = 40.0
"""Seconds that a round's deliveries may take; Dagster gives a sensor 60."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
RUNS = 100
"""So many failed runs are looked up at once."""


def alert_sensors(spec: PipelineSpec) -> list[dg.SensorDefinition]:
    """The sensor ``<p>_alerts``; none for a pipeline whose `alerts` are empty."""
    if not spec.alerts:
        return []

    @dg.sensor(
        name=f"{spec.name}_alerts",
        minimum_interval_seconds=EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING
        if spec.automation == "on"
        else dg.DefaultSensorStatus.STOPPED,
        description=f"Tells by {', '.join(c.name for c in spec.alerts)} what happened; starts no run.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        told = tell(spec, context.instance, context.cursor)
        for line in told.warnings:
            context.log.warning(line)
        return dg.SensorResult(skip_reason=dg.SkipReason(told.message), cursor=told.cursor)

    return [alerts]


@dataclass(frozen=True)
class Told:
    """One round: the next cursor, what is said at the tick, and what went wrong."""

    cursor: str
    message: str
    warnings: tuple[str, ...]


def tell(spec: PipelineSpec, instance: dg.DagsterInstance, cursor: str | None) -> Told:
    """Find what happened since the last round, and send each channel what it is owed.

    Nothing of it is raised but what Dagster itself raises: a channel that is down, or a ledger that cannot be read, is told in the
    tick, and tried again in the next one.
    """
    moment = now()
    known = read_cursor(cursor)
    warnings: list[str] = []
    if known is None:
        warnings.append("the cursor cannot be read and is begun anew")
    old = {c.name: p for c in spec.alerts if (p := (known or {}).get(c.name)) is not None}
    chain, unread = _chain(spec)
    expected = promised(chain)
    new = {c.name: _begun(spec, instance, c, moment, expected) for c in spec.alerts if c.name not in old}
    since = min((p.since for p in old.values()), default=moment)
    warnings += unread
    found, watched = [], list[Seen]()
    if old:
        found = _found(spec, instance, since, chain)
        found += _resolved(spec, instance, [o for p in old.values() for o in p.open.values()])
        watched = list(_seen(spec, instance, "monitor", since))
    boxes = [
        _outbox(spec, c, old[c.name], found, watched, expected, moment) for c in spec.alerts if c.name in old
    ]
    due = {b.channel.name: b for b in boxes if b.owed and (b.position.wait or moment) <= moment}
    batches = {n: (partial(carrier_of, b.channel), b.owed[:MOST]) for n, b in due.items()}
    deliveries = deliver(batches, PATIENCE)
    positions = dict(new)
    for box in boxes:
        name = box.channel.name
        delivery = deliveries.get(name, Delivery())
        position = box.after(delivery.delivered, moment, whole=not unread)
        if delivery.problem:
            waiting = len(box.owed) - len(delivery.delivered)
            warnings.append(f"{name} does not take alerts: {delivery.problem}. {waiting} wait for it")
        if name in due:
            asked = timedelta(seconds=delivery.retry_after)
            position = replace(position, wait=moment + asked if asked else None)
        positions[name] = position
    return Told(write_cursor(positions), _message(new, deliveries, boxes, warnings), tuple(warnings))


def _message(
    new: Mapping[str, Position], deliveries: Mapping[str, Delivery], boxes: list[Outbox], warnings: list[str]
) -> str:
    """What a round did, for people who look at the tick."""
    said = [f"{name} starts now: what happened before is not sent" for name in new]
    said += [f"{name} got {len(d.delivered)}" for name, d in deliveries.items() if d.delivered]
    said += [
        f"{b.channel.name} asked to be left alone until {b.position.wait:%H:%M:%S} UTC; {len(b.owed)} wait for it"
        for b in boxes
        if b.owed and b.position.wait is not None and b.channel.name not in deliveries
    ]
    return "; ".join([*said, *warnings]) or "nothing new"


def _begun(
    spec: PipelineSpec, instance: dg.DagsterInstance, channel: Channel, moment: datetime, expected: Promised
) -> Position:
    """Where a channel starts: now, with what is open now known, so that it is not told as new but as over, once it is."""
    key = dg.AssetKey([spec.name, "monitor"])
    page = instance.fetch_materializations(key, limit=PAGE).records
    seen = [s for e in page if (s := _seen_in(spec, "monitor", e)) is not None]
    never = Position(BEGINNING, BEGINNING)
    box = _outbox(spec, channel, never, [], seen, expected, moment)
    known = box.after(box.owed, moment, whole=True)
    return Position(start=moment, after=moment, watched=known.watched, open=known.open)


def _outbox(
    spec: PipelineSpec,
    channel: Channel,
    position: Position,
    found: list[Alert],
    watched: list[Seen],
    expected: Promised,
    moment: datetime,
) -> Outbox:
    mine = [s for s in watched if s.live or channel.replays]
    steps = tuple(followed(spec, mine, position.watched, expected))
    return Outbox(channel, position, (*found, *(a for s in steps for a in s.alerts)), steps, moment)


# -- what happened ------------------------------------------------------------------------------------------------


def _chain(spec: PipelineSpec) -> tuple[Sequence[Entry], list[str]]:
    """The decisions about the pipeline; empty with what is wrong when they cannot be read."""
    try:
        return _ledger(store_url(spec), spec).entries(), []
    except (MlpipeError, OSError) as error:
        return (), [f"the ledger of {spec.name} cannot be read: {' '.join(str(error).split())}"]


def _found(
    spec: PipelineSpec, instance: dg.DagsterInstance, since: datetime, chain: Sequence[Entry]
) -> list[Alert]:
    """Alerts of everything but monitoring after a moment."""
    alerts = [of_failure(spec, run) for run in _failed(spec, instance, since)]
    alerts += [of_validation(spec, s) for s in _seen(spec, instance, "validated", since)]
    return alerts + of_entries(
        chain, since, link=_page(f"/assets/{spec.name}/production"), first=spec.metrics
    )


def _resolved(spec: PipelineSpec, instance: dg.DagsterInstance, open_: Iterable[Open]) -> list[Alert]:
    """Alerts of runs that made up for one that failed: of the same job, for the same partition, and later."""
    failed = {o.alert.key: o.alert for o in open_ if o.alert.kind == "failed"}
    found = []
    for key, alert in failed.items():
        job, bounds = key.split(":")[1], alert.partition.split(" to ")
        names = [PARTITION] if len(bounds) == 1 else [RANGE_START, RANGE_END]
        later = dg.RunsFilter(
            job_name=None if job.startswith(BY_HAND) else job,
            tags=dict(zip(names, bounds, strict=True)) if alert.partition else {},
            statuses=[dg.DagsterRunStatus.SUCCESS],
            created_after=alert.happened_at,
        )
        records = instance.get_run_records(later, limit=RUNS, ascending=True)
        runs = (_ended(r.dagster_run, r.end_time or r.update_timestamp.timestamp()) for r in records)
        found += [of_success(spec, run) for run in runs if run.key == key][:1]
    return found


_LEDGERS: dict[tuple[str, str, str], Ledger] = {}


def _ledger(url: str, spec: PipelineSpec) -> Ledger:
    """The pipeline's chain, kept from round to round: it then reads only the entries that are new."""
    key = (url, spec.name, spec.deployment)
    if key not in _LEDGERS:
        _LEDGERS[key] = ledger_of(spec, open_store(url))
    return _LEDGERS[key]


def _seen(spec: PipelineSpec, instance: dg.DagsterInstance, asset: str, since: datetime) -> Iterator[Seen]:
    """Materializations of an asset after a moment, the newest first."""
    key, cursor = dg.AssetKey([spec.name, asset]), None
    while True:
        page = instance.fetch_materializations(key, limit=PAGE, cursor=cursor)
        for event in page.records:
            if event.timestamp <= since.timestamp():
                return
            seen = _seen_in(spec, asset, event)
            if seen is not None:
                yield seen
        cursor = page.cursor
        if not page.has_more:
            return


def _seen_in(spec: PipelineSpec, asset: str, event: dg.EventLogRecord) -> Seen | None:
    """What an event shows; None for one that is not mlpipe's."""
    head = head_of_event(event)
    if head is None:
        return None
    page = f"/assets/{spec.name}/{asset}?view=partitions&partition={quote(head.partition)}"
    at = datetime.fromtimestamp(event.timestamp, UTC)
    return Seen(head, at, event.storage_id, event.run_id, _page(page), _findings(event))


def _findings(event: dg.EventLogRecord) -> tuple[str, ...]:
    """The findings of a record as its event lists them, one a line."""
    entry = event.asset_materialization.metadata.get("findings") if event.asset_materialization else None
    return tuple(line.removeprefix("* ") for line in str(entry.value).splitlines()) if entry else ()


def _failed(spec: PipelineSpec, instance: dg.DagsterInstance, since: datetime) -> Iterator[EndedRun]:
    """Runs on the pipeline's assets that failed after a moment, whoever launched them."""
    cursor: str | None = None
    while True:
        page = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=RUNS, cursor=cursor)
        events = {e.run_id: e for e in page.records if e.timestamp > since.timestamp()}
        if not events:
            return
        for record in instance.get_run_records(dg.RunsFilter(run_ids=list(events))):
            run, event = record.dagster_run, events[record.dagster_run.run_id]
            if _is_of(spec, run):
                step, error = _broken(event)
                yield replace(_ended(run, event.timestamp), step=step, error=error)
        cursor = page.cursor
        if not page.has_more or page.records[-1].timestamp <= since.timestamp():
            return


def _is_of(spec: PipelineSpec, run: dg.DagsterRun) -> bool:
    """Whether a run is one of the pipeline's jobs, or was launched on its assets (Materialize in the UI bears no tag of ours)."""
    if PIPELINE_TAG in run.tags:
        return run.tags[PIPELINE_TAG] == spec.name
    return any(key.path[0] == spec.name for key in run.asset_selection or ())


def _broken(event: dg.EventLogRecord) -> tuple[str, str]:
    """The step that failed, and the message of its error; empty where there is none."""
    made, step, error = event.event_log_entry.dagster_event, "", None
    if made is not None and made.event_specific_data is not None:
        data = made.job_failure_data
        error, broken = data.error, data.first_step_failure_event
        if broken is not None:
            step, error = str(broken.step_key), broken.step_failure_data.error
    # Dagster, and the user's own code, wrap the error that tells what to do.
    while error is not None and error.cause is not None:
        error = error.cause
    return step, "" if error is None else error.message


def _ended(run: dg.DagsterRun, at: float) -> EndedRun:
    tags = run.tags
    first, last = tags.get(RANGE_START), tags.get(RANGE_END)
    trigger = tags.get(TRIGGER_TAG, "manual")
    assets = sorted(k.path[-1] for k in run.asset_selection or ())
    return EndedRun(
        id=run.run_id,
        job=BY_HAND + ", ".join(assets) if run.job_name.startswith("__") and assets else run.job_name,
        partition=tags.get(PARTITION) or (f"{first} to {last}" if first else ""),
        at=datetime.fromtimestamp(at, UTC),
        trigger=trigger,
        live=BACKFILL_TAG not in tags and is_live(trigger, tags.get(EXPERIMENT_TAG, "")),
        link=_page(f"/runs/{run.run_id}"),
    )


def _page(path: str) -> str:
    """Address of a page of Dagster's UI; its path alone where nobody said where the UI is."""
    return os.environ.get(UI, "").rstrip("/") + path
