"""One retraining policy lived through recorded months, night by night, by the very stages that a pipeline runs: nothing is imagined.

A life has a chain of decisions of its own, so nothing of it reaches production. Labels, predictions, monitor, trainings, gates and the
release are made at their own hours, and everything is reused by recipe: a model that was trained before, by a replay or by another
policy, is not trained again. A life that was killed goes on with the night that it was at.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from mlpipe.core.fingerprint import fingerprint
from mlpipe.core.policy import Policy, asks_by_itself
from mlpipe.errors import MlpipeError, NotFoundError, TransientError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import Version
from mlpipe.records.codec import Head, coerce, digest, from_bytes, head_of
from mlpipe.records.record import Cost, Record, Trigger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, label, monitor, predict, release, train
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.failures import stops
from mlpipe.stages.nightly import ask, claim, night_of
from mlpipe.stages.past import Past
from mlpipe.stages.refresh import again
from mlpipe.stages.retraining import trigger_of
from mlpipe.stages.runner import Stage, run_stage

FACTS = ("ingest", "validate", "feature", "label")
TRAINING = (train.STAGE, evaluate.STAGE, release.STAGE)
TOLD = frozenset(
    {
        *(
            "description",
            "owners",
            "tags",
            "problem",
            "alerts",
            "record",
            "retrain",
            "automation",
            "retries",
            "pool",
        ),
        *("store", "deployment", "base_dir", "where"),
    }
)
"""Keys of a pipeline that decide nothing of a life: all others give it another name."""
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Asked:
    """One training that a policy asked for.

    Parameters
    ----------
    key, moment
        The partition at whose night, and when.
    name, cause, reason
        Of the attempt.
    outcome
        promoted, refused, no_model (nothing could be learned) or failed.
    version, bundle
        What was registered, if anything was.
    why
        Why it was refused, or failed.
    seconds
        Of processor time that training and judging took, when they were first done: on a busy machine the clock says little.
    """

    key: str
    moment: datetime
    name: str
    cause: str
    reason: str
    outcome: str
    version: int | None
    bundle: str | None
    why: str
    seconds: float


class Recorded:
    """What the store knows beside a pipeline's own past: the lives so far, and how long each model and evaluation took to make.

    Parameters
    ----------
    spec, past
        The pipeline, and its own past: the facts of every life.
    """

    def __init__(self, spec: PipelineSpec, past: Past) -> None:
        self.spec, self.past, self.store = spec, past, past.store
        self._costs: dict[str, tuple[datetime, Cost]] = {}
        self._lived: dict[str, list[tuple[datetime, datetime, Head]]] = {}
        for name, data in self.store.records(spec.name):
            self.add(from_bytes(data, name))

    def add(self, record: Record) -> None:
        """Take note of a record."""
        if record.recipe and not record.reused:
            before = self._costs.get(record.recipe)
            if before is None or record.recorded_at < before[0]:
                self._costs[record.recipe] = record.recorded_at, record.cost
        if record.deployment.startswith("policy-"):
            mine = self._lived.setdefault(record.deployment, [])
            mine.append((record.as_of, record.recorded_at, head_of(record)))

    def cost(self, record: Record) -> Cost:
        """What it took to make what a record tells, when it was made first."""
        return self._costs.get(record.recipe, (None, record.cost))[1]

    def seconds(self, record: Record) -> float:
        """The same in seconds by the clock, as a budget counts them."""
        return self.cost(record).wall_s

    def lived(self, chain: str) -> list[tuple[datetime, datetime, Head]]:
        """What a life has made so far, by its clock: the moment, when it was written down, and the head."""
        return sorted(self._lived.get(chain, ()), key=lambda made: made[:2])

    def facts(self) -> list[Head]:
        """What happened, as every life finds it."""
        return [head for stage in FACTS for head in self.past.heads(stage).values()]


class Life:
    """A policy's life over some partitions.

    One thread. Nobody else may live the same life meanwhile; who does makes the same decisions.

    Parameters
    ----------
    recorded
        What is known.
    name, policy
        Of the policy. Where there is no champion yet, one that never asks by itself asks for a first model as soon as there is data.
    keys
        Partitions to live through, in order.
    around
        What stages may touch; ledger, heads and clock are the life's own.
    codes
        Versions of the code that decides: a life under other code is another one.

    Raises
    ------
    NotFoundError
        There are no features of any of the partitions.
    """

    def __init__(
        self,
        recorded: Recorded,
        name: str,
        policy: Policy,
        keys: Sequence[str],
        around: Context,
        codes: Sequence[str] = (),
    ) -> None:
        self.recorded, self.name, self.policy, self.keys, self.around = recorded, name, policy, keys, around
        self.spec: PipelineSpec = recorded.spec
        self.night = night_of(self.spec)
        facts = recorded.facts()
        features = {h.partition: h for h in facts if h.asset == f"{self.spec.name}/features"}
        if not any(k in features for k in keys):
            first, last = (keys[0], keys[-1]) if keys else ("?", "?")
            raise NotFoundError(
                f"no partition from {first} to {last} has features",
                where=f"pipeline {self.spec.name}",
                fix=f"Bring them to record first: mlpipe run {self.spec.name} --from {first} --to {last}",
            )
        self.chain = _chain(self.spec, name, policy, keys, features, codes)
        ledger = recorded.past.ledger
        self.ledger = Ledger(
            recorded.store.backend, self.spec.name, segment=ledger.segment, deployment=self.chain
        )
        self.heads = MemoryHeads(facts)
        self.failed: dict[str, str] = {}

    def moment(self, key: str) -> datetime:
        """When the night of a partition begins."""
        return self.spec.partitions.window(key).end + self.night.daily

    def live(self, tell: Tell = lambda done, total, text: None) -> None:
        """Live through every night that was not lived through yet; `tell` hears how many of how many, and what the night brought.

        Raises
        ------
        MlpipeError
            The store cannot be read or written, or a fault that may pass. What was lived through is kept.
        """
        start = self._resumed()
        if start == 0:
            self._history()
        for number, key in enumerate(self.keys):
            if number >= start:
                tell(number + 1, len(self.keys), self._night(key))

    def asked(self) -> list[Asked]:
        """Every training that was asked for, in order."""
        state = self.ledger.state()
        made = {v.details.get("attempt"): v for v in state.versions.values()}
        return [
            self._told(e, made.get(e.details["name"])) for e in self.ledger.entries() if e.kind == "claim"
        ]

    def _resumed(self) -> int:
        """Number of the night to go on with: the last that was watched, which is done once more, for its training may be missing."""
        made = self.recorded.lived(self.chain)
        watched = {(h.partition, as_of) for as_of, _, h in made if h.asset == f"{self.spec.name}/monitor"}
        done = [n for n, key in enumerate(self.keys) if (key, self.moment(key)) in watched]
        if not done:
            return 0
        begins = self.moment(self.keys[done[-1]])
        for as_of, _, head in made:
            if as_of < begins:
                self.heads.add(head)
        for entry in self.ledger.entries():
            if entry.kind == "claim" and entry.effective_at < begins and self._release(entry) is None:
                self.failed[str(entry.details["name"])] = "its training failed"
        return done[-1]

    def _release(self, entry: Entry) -> Head | None:
        """What came of an attempt, if its training came to an end."""
        asset, key = f"{self.spec.name}/release", str(entry.logical_date)
        found = self.heads.find(asset, [key]).get(key)
        moment = None if found is None else datetime.fromisoformat(found.as_of)
        return found if moment == entry.effective_at else None

    def _history(self) -> None:
        """Labels of the days before the first, as they were known then: what a first training learns from."""
        calendar, first = self.spec.partitions, self.keys[0]
        before = calendar.before(first, self.spec.training_window)
        there = self.heads.find(f"{self.spec.name}/validated", before)
        missing = [k for k in there if k not in self.heads.find(f"{self.spec.name}/labels", before)]
        if missing:
            moment = calendar.window(first).start
            self._run(
                label.STAGE, missing, Run(self._run_id(first), moment, self._lived_through(), actor="policy")
            )

    def _night(self, key: str) -> str:
        """One night; what it brought in words."""
        moment = self.moment(key)
        try:
            self._day(key, Run(self._run_id(key), moment, self._lived_through(), actor="policy"))
        except MlpipeError as error:
            self._own(error)
            self.failed[key] = error.what
        policy = self.policy
        if not asks_by_itself(policy) and self.ledger.state(as_of=moment).champion is None:
            policy = replace(policy, every="month")
        store, seconds = self.recorded.store, self.recorded.seconds
        decision = ask(
            self.spec,
            policy,
            key,
            self.heads,
            self.ledger,
            store,
            as_of=moment,
            failed=self.failed,
            seconds=seconds,
        )
        if not decision.ask:
            return ""
        trigger = Trigger(
            kind=trigger_of(decision.cause), reason=decision.reason[:400], details=dict(decision.details)
        )
        at = self.spec.partitions.window(key).end + self.night.training
        return self._train(key, Run(self._run_id(key), at, trigger, actor="policy", attempt=decision.name))

    def _lived_through(self) -> Trigger:
        """Why the daily work of a life is done."""
        return Trigger(
            kind="replay", reason=f"policy {self.name} lived through from {self.keys[0]} to {self.keys[-1]}"
        )

    def _day(self, key: str, run: Run) -> None:
        """The daily work, as the daily job does it: what fails holds up what reads it, and nothing else."""
        failure: MlpipeError | None = None
        try:
            self._refreshed(label.STAGE, key, run)
        except MlpipeError as error:
            self._own(error)
            failure = error
        self._refreshed(predict.STAGE, key, run)
        if failure is not None:
            raise failure
        self._refreshed(monitor.STAGE, key, run)

    def _refreshed(self, stage: Stage, key: str, run: Run) -> None:
        """A stage for a night's partition, and for the earlier ones that the night does again."""
        before = again(self.spec, stage.asset, key, self._context(run))
        self._run(stage, [*before, key], run)

    def _train(self, key: str, run: Run) -> str:
        """One attempt, at its hour; what came of it in words."""
        if self._decided(run.attempt) is None:
            ctx = self._context(run)
            claim(ctx, key, self.chain)
            try:
                for stage in TRAINING:
                    self._run(stage, [key], run)
            except MlpipeError as error:
                self._own(error)
                self.failed[run.attempt] = error.what
                return f"{run.attempt} failed: {error.what}"
        version = self._decided(run.attempt)
        if version is None:
            return f"{run.attempt}: no model"
        return f"{run.attempt}: @{version.number} {_outcome(version)}"

    def _decided(self, name: str) -> Version | None:
        found = (v for v in self.ledger.state().versions.values() if v.details.get("attempt") == name)
        return next((v for v in found if v.decision is not None), None)

    def _run(self, stage: Stage, keys: Sequence[str], run: Run) -> None:
        for record in run_stage(stage, self.spec, keys, self._context(run)):
            self.recorded.add(record)

    def _context(self, run: Run) -> Context:
        return replace(self.around, ledger=self.ledger, heads=self.heads, run=run)

    def _run_id(self, key: str) -> str:
        return f"{self.chain}-{key}"

    def _own(self, error: MlpipeError) -> None:
        """Raise what is no fault of the partition: it would meet the other nights too, or may pass."""
        if stops(error) or isinstance(error, TransientError):
            raise error

    def _told(self, entry: Entry, version: Version | None) -> Asked:
        name, key = str(entry.details["name"]), str(entry.logical_date)
        outcome = "failed" if name in self.failed else "no_model" if version is None else _outcome(version)
        seconds = 0.0
        for kind in ("model_record", "evaluation_record") if version is not None else ():
            record = str(version.details[kind]) if version is not None else ""
            made = from_bytes(self.recorded.store.get_record(self.spec.name, record), record)
            seconds += self.recorded.cost(made).cpu_s
        return Asked(
            key=key,
            moment=entry.effective_at,
            name=name,
            cause=name.partition(":")[0],
            reason=entry.reason,
            outcome=outcome,
            version=None if version is None else version.number,
            bundle=None if version is None else version.bundle,
            why=self.failed.get(name, version.reason if version is not None and outcome == "refused" else ""),
            seconds=seconds,
        )


def _outcome(version: Version) -> str:
    return "refused" if version.decision == "refuse" else "promoted"


def _chain(
    spec: PipelineSpec,
    name: str,
    policy: Policy,
    keys: Sequence[str],
    features: Mapping[str, Head],
    codes: Sequence[str],
) -> str:
    """Name of a life's chain of decisions: of all that decides it."""
    last = spec.partitions.window(keys[-1]).start
    known = {
        k: h.outputs["features"].id
        for k, h in features.items()
        if "features" in h.outputs and spec.partitions.window(k).start <= last
    }
    given = {n: getattr(spec, n) for n in type(spec).model_fields if n not in TOLD}
    decisive = [policy, given, sorted(known.items()), list(codes)]
    return f"policy-{name}-{keys[0]}-{keys[-1]}-{digest(plain(decisive))[:8]}".replace(":", "")


def plain(value: Any) -> Any:
    """A value in which functions are what they do, and nothing is an address."""
    if isinstance(value, BaseModel):
        return {n: plain(getattr(value, n)) for n in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, str) or hasattr(value, "get_params") or not isinstance(value, Iterable):
        return fingerprint(value) if callable(value) and not isinstance(value, type) else coerce(value)
    return [plain(v) for v in value]
