"""What a run gives to a stage: store, ledger, heads, clock, and why it was started."""

import getpass
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from mlpipe.errors import MlpipeError, did_you_mean
from mlpipe.ledger.chain import Ledger
from mlpipe.orchestration.events import EXPERIMENT_TAG, DagsterHeads
from mlpipe.records.archive import archived
from mlpipe.records.capture import commit, installed
from mlpipe.records.record import Code, Found, Trigger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context, Heads, Run
from mlpipe.stores.place import default_url
from mlpipe.stores.store import Store

AS_OF_TAG, TRIGGER_TAG, REASON_TAG, ACTOR_TAG = (
    "mlpipe/as_of",
    "mlpipe/trigger",
    "mlpipe/reason",
    "mlpipe/actor",
)
LEDGER_TAG, ATTEMPT_TAG, INJECT_TAG, FACTS_TAG = (
    "mlpipe/ledger",
    "mlpipe/attempt",
    "mlpipe/inject",
    "mlpipe/facts",
)
"""Another chain of decisions than the deployment's; the retraining that the policy asked for; a fault put in on purpose; the home of
another instance, whose facts are read where this one has none."""
HYPOTHESIS_TAG, NOTE_TAG, OWN_TAG = "mlpipe/hypothesis", "mlpipe/note", "mlpipe/tag/"
"""What an experiment is to show, a remark, and the beginning of tags that go into the record under the rest of their name."""
HOLDER_TAG = "mlpipe/holder"
"""Who claims an attempt, where that is not the run itself: a replay that is resumed is the same holder."""
JOB_TAG, PIPELINE_TAG = "mlpipe/job", "mlpipe/pipeline"
BACKFILL_TAG = "dagster/backfill"
AUTOMATIC = {
    "dagster/schedule_name": "schedule",
    "dagster/sensor_name": "data",
    "dagster/from_automation_condition": "data",
}
"""What a run was started by when nobody says why: a schedule or sensor of the user's own is no person."""
TRIGGERS = ("manual", "schedule", "drift", "performance", "data", "experiment", "backfill", "replay")


@dataclass(frozen=True)
class Progress:
    """How far a step has come: its asset, how many partitions of how many are done, and what came of the last one."""

    asset: str
    done: int
    total: int
    text: str = ""
    partition: str = ""
    verdict: str = ""
    findings: tuple[Found, ...] = ()


LISTENERS: list[Callable[[Progress], None]] = []
"""Who in this process hears of progress (the CLI's bars). Dagster's own log hears of it besides."""


def store_url(spec: PipelineSpec) -> str:
    """Where the pipeline's objects lie: `store` of the specification, else $MLPIPE_STORE, else $DAGSTER_HOME/mlpipe, else ./.mlpipe."""
    if spec.store is None:
        return default_url()
    return spec.store if "://" in spec.store else str((spec.base_dir / spec.store).absolute())


@lru_cache(maxsize=8)
def open_store(url: str) -> Store:
    """The store of a URL, opened once a process."""
    return Store.open(url)


def ledger_of(spec: PipelineSpec, store: Store, name: str | None = None) -> Ledger:
    """The pipeline's chain of decisions: its deployment's, or another one by name (a replay's)."""
    return Ledger(store.backend, spec.name, deployment=name or spec.deployment)


@lru_cache(maxsize=2)
def instance_at(home: str) -> dg.DagsterInstance:
    """The instance of a folder, opened once a process."""
    return dg.DagsterInstance.from_config(home)


@lru_cache(maxsize=32)
def code_of(url: str, folder: Path, beside: tuple[str, ...] = ()) -> Code:
    """Where the code of a pipeline's folder is: its archive, put into the store once a process, and the commit.

    `beside`: further files that the pipeline names; see `mlpipe.records.archive.archived`.
    """
    made = archived(folder, beside)
    put = open_store(url).put_bytes(made.data, "code", ".zip")
    return Code(archive=put.id, base=made.base, withheld=made.withheld, commit=commit(str(folder)))


@lru_cache(maxsize=8)
def installed_id(url: str) -> str:
    """Content id of the list of everything that is installed here, put into the store once a process."""
    return open_store(url).put_json(installed(), "report").id


def who() -> str:
    """The person or service account on this machine."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()


def run_of(tags: Mapping[str, str], run_id: str, started: datetime) -> Run:
    """What a run fixes for its stages, from its tags.

    Raises
    ------
    MlpipeError
        When a tag holds something that it cannot.
    """
    automatic = next((kind for tag, kind in AUTOMATIC.items() if tag in tags), "manual")
    kind = tags.get(TRIGGER_TAG) or automatic
    if kind not in TRIGGERS:
        raise MlpipeError(
            f"unknown trigger {kind!r}",
            where=f"run {run_id}, tag {TRIGGER_TAG}",
            fix=did_you_mean(kind, TRIGGERS),
        )
    details = {
        k.removeprefix(TRIGGER_TAG + "."): v for k, v in tags.items() if k.startswith(TRIGGER_TAG + ".")
    }
    backfill = BACKFILL_TAG in tags or kind == "backfill"
    return Run(
        id=run_id,
        as_of=_as_of(tags, run_id) or started,
        trigger=Trigger(
            kind="backfill" if backfill else kind, reason=tags.get(REASON_TAG, ""), details=details
        ),
        actor=tags.get(ACTOR_TAG) or tags.get("user") or who(),
        experiment=tags.get(EXPERIMENT_TAG, ""),
        hypothesis=tags.get(HYPOTHESIS_TAG, ""),
        note=tags.get(NOTE_TAG, ""),
        backfill=backfill,
        attempt=tags.get(ATTEMPT_TAG, ""),
        inject=tags.get(INJECT_TAG, ""),
        tags={k.removeprefix(OWN_TAG): v for k, v in tags.items() if k.startswith(OWN_TAG)},
    )


def own_tags(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Run tags of ``name=value`` as somebody wrote them; they go into the records of the run.

    Raises
    ------
    MlpipeError
        When one is not of that form.
    """
    pairs = [text.partition("=") for text in given]
    wrong = [
        text
        for text, (name, mark, value) in zip(given, pairs, strict=True)
        if not (name.strip() and mark and value)
    ]
    if wrong:
        raise MlpipeError(
            f"{wrong[0]!r} is no tag", where="--tag", fix="Write a name and a value: --tag owner=ana"
        )
    return tuple((OWN_TAG + name.strip(), value.strip()) for name, _, value in pairs)


def _as_of(tags: Mapping[str, str], run_id: str) -> datetime | None:
    text = tags.get(AS_OF_TAG)
    return None if text is None else instant_of(text, f"run {run_id}, tag {AS_OF_TAG}")


def instant_of(text: str, where: str) -> datetime:
    """Instant that somebody wrote.

    Raises
    ------
    MlpipeError
        When it is no time, or has no zone: then nobody knows which moment is meant.
    """
    fix = "Write ISO with a zone, such as 2013-07-03T02:00:00-04:00."
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise MlpipeError(f"{text!r} is no time", where=where, fix=fix) from None
    if instant.tzinfo is None:
        raise MlpipeError(f"{text!r} has no zone", where=where, fix=fix)
    return instant


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


_HEADS: dict[str, DagsterHeads] = {}


def context_of(
    spec: PipelineSpec,
    context: dg.AssetExecutionContext,
    upstream: Mapping[str, Callable[[str], Any]] | None = None,
) -> Context:
    """What a stage may touch, in a step of a Dagster run."""
    run_id, url, tags = context.run.run_id, store_url(spec), context.run.tags
    record = context.instance.get_run_record_by_id(run_id)
    started = now().timestamp() if record is None or record.start_time is None else record.start_time
    run = run_of(tags, run_id, datetime.fromtimestamp(started, UTC))
    if run_id not in _HEADS:
        _HEADS.clear()
        behind = DagsterHeads(instance_at(tags[FACTS_TAG]), "", started) if FACTS_TAG in tags else None
        _HEADS[run_id] = DagsterHeads(context.instance, run_id, started, run.as_of, behind)
    ledger = ledger_of(spec, open_store(url), tags.get(LEDGER_TAG))
    around = surroundings(spec, ledger, _HEADS[run_id], run)
    return replace(around, log=context.log.info, upstream=upstream or {})


def surroundings(spec: PipelineSpec, ledger: Ledger, heads: Heads, run: Run) -> Context:
    """What a stage may touch, with the code and the environment that it runs in."""
    url = store_url(spec)
    suites = tuple(s.contract.suite for s in spec.sources.values() if s.contract.suite is not None)
    code = code_of(url, spec.base_dir, suites)
    return Context(
        store=open_store(url),
        ledger=ledger,
        heads=heads,
        run=run,
        now=now,
        archive=code.archive,
        base=code.base,
        withheld=code.withheld,
        commit=code.commit,
        installed=installed_id(url),
    )
