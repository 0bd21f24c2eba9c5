"""Living through the past again: night by night, through real runs and the code that decides by night.

Everything that a night does may be done twice with the same result: stages are reused by recipe, an attempt is claimed under one
name, evidence is decided once, and each step sees what held at its own moment. So a replay that was killed goes on at the first night
whose work is not all there, and comes to the same decisions as one that was not.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import dagster as dg

from mlpipe.core.policy import Policy
from mlpipe.errors import LedgerError, MlpipeError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import check_chain_names
from mlpipe.orchestration.around import run_around
from mlpipe.orchestration.asking import tags_of
from mlpipe.orchestration.causes import first_line
from mlpipe.orchestration.events import DagsterHeads, head_of_event, materializations, remembered
from mlpipe.orchestration.faces import code_version
from mlpipe.orchestration.jobs import MONITOR
from mlpipe.orchestration.runs import Request, instance, run
from mlpipe.orchestration.runtime import (
    ATTEMPT_TAG,
    FACTS_TAG,
    HOLDER_TAG,
    INJECT_TAG,
    LEDGER_TAG,
    ledger_of,
    now,
    open_store,
    store_url,
)
from mlpipe.records.codec import digest
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.failures import finding
from mlpipe.stages.inject import check
from mlpipe.stages.lives import plain
from mlpipe.stages.nightly import Night, ask, night_of
from mlpipe.stages.retraining import policy_of
from mlpipe.stores.store import Store

REPLAY_TAG = "mlpipe/replay"
TRAINING = ("model", "evaluation", "release")
HISTORY = ("raw", "validated", "features", "labels")
FACTS = ("raw", "validated", "features")
MONTH = 31
"""So many partitions are read at once."""
HOME = "telemetry: {enabled: false}\nnux: {enabled: false}\n"


@dataclass(frozen=True)
class Asked:
    """What is to be lived through.

    Parameters
    ----------
    first, last
        Partitions, both included.
    policy
        When to learn again.
    ledger
        Name of the chain of decisions; the deployment's own name for its own.
    inject
        Faults to put in on purpose: partition of the training to fault.
    """

    first: str
    last: str
    policy: Policy
    ledger: str
    inject: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """How far a replay has come: the partition, how many of how many, the champion, and what the night brought in words."""

    key: str
    done: int
    total: int
    champion: int | None
    text: str = ""


def asked(
    spec: PipelineSpec,
    first: str,
    last: str,
    policy: Policy | None = None,
    ledger: str | None = None,
    inject: Sequence[str] = (),
) -> Asked:
    """Check what is asked for.

    Parameters
    ----------
    policy, ledger
        Default: the pipeline's policy; a chain of its own, named after all that decides the replay.
    inject
        ``fault@partition``.

    Raises
    ------
    MlpipeError
        The pipeline has no partitions or no policy, the range is empty, or two faults meet at one partition.
    NotFoundError
        No such partition or fault.
    LedgerError
        The ledger may not have that name.
    """
    if spec.partitions.every == "none":
        raise MlpipeError(f"pipeline {spec.name!r} has no partitions, and so no past to live through")
    if ledger is not None:
        # It names a folder too.
        check_chain_names(spec.name, None, ledger)
    keys = spec.partitions.keys(first, last)
    if not keys:
        raise MlpipeError(f"--to {last} is before --from {first}", fix="Swap them.")
    chosen = policy or policy_of(spec.retrain)
    if chosen is None:
        raise MlpipeError(
            f"pipeline {spec.name!r} never retrains by itself (retrain: null)",
            fix="Name a policy: --policy FILE with the keys of 'retrain', such as 'every: month'.",
        )
    faults: dict[str, str] = {}
    for text in inject:
        fault, _, key = text.partition("@")
        check(fault)
        if key not in keys:
            fix = f"Write fault@partition, such as shuffled-labels@{keys[len(keys) // 2]}."
            raise MlpipeError(f"--inject {text!r} names no partition of the replay", fix=fix)
        if key in faults and faults[key] != fault:
            both = f"--inject {faults[key]}@{key} and {text} fault the same training"
            raise MlpipeError(both, fix="One fault a partition: name another partition, or replay twice.")
        faults[key] = fault
    codes = [code_version(spec, name) for name in (*HISTORY, *TRAINING, *MONITOR)]
    decisive = [
        chosen,
        faults,
        codes,
        spec.min_tenure,
        [g.to_plain() for g in spec.gates],
        plain(spec.monitor),
        plain(spec.levels),
    ]
    own = f"replay-{keys[0]}-{keys[-1]}-{digest(str(decisive))[:8]}".replace(":", "")
    return Asked(first, last, chosen, ledger or own, faults)


class Replay:
    """One replay, under way. `folder` is its own; `main` the deployment's instance, where the replay has another.

    `failed` days and attempts by name, with what was wrong; `resumed` is how many nights an earlier process had lived through.
    """

    def __init__(
        self,
        spec: PipelineSpec,
        defs: dg.Definitions,
        on: dg.DagsterInstance,
        what: Asked,
        folder: Path,
        main: dg.DagsterInstance | None = None,
    ) -> None:
        self.spec, self.defs, self.on, self.what, self.main = spec, defs, on, what, main
        self.folder = folder
        self.store: Store = open_store(store_url(spec))
        self.ledger: Ledger = ledger_of(spec, self.store, what.ledger)
        self.keys = spec.partitions.keys(what.first, what.last)
        self.failed: dict[str, str] = {}
        self.resumed = 0
        self._night: Night = night_of(spec)

    def heads(self, as_of: datetime | None = None) -> DagsterHeads:
        """What the replay knows at a moment of the past."""
        behind = None if self.main is None else DagsterHeads(self.main, "", now().timestamp())
        return DagsterHeads(self.on, "", now().timestamp(), as_of, behind)

    def moment(self, key: str) -> datetime:
        """When the night of a partition begins."""
        return self.spec.partitions.window(key).end + self._night.daily

    def live(self, tell: Callable[[Told], None]) -> None:
        """Live through every night that was not lived through yet."""
        done = self._watched()
        self.resumed = len(done)
        todo = [k for k in self.keys if k not in done]
        self._check_ledger(todo)
        if todo:
            self._history(tell)
            self._facts(todo, tell)
            # All nights at once: later only news are looked for.
            for name in (*HISTORY, *TRAINING, *MONITOR):
                materializations(self.on, dg.AssetKey([self.spec.name, name]), self.keys)
        # Nights that were lived through are asked again: that costs little, and finds a training that was killed.
        for key in self.keys:
            text = self._live(key, watched=key in done)
            champion = self.ledger.state(as_of=self.moment(key) + self._night.training).champion
            number = None if champion is None else champion.number
            tell(Told(key, self.keys.index(key) + 1, len(self.keys), number, text))

    def _watched(self) -> set[str]:
        """Partitions whose daily job was done at its hour."""
        asset = dg.AssetKey([self.spec.name, "monitor"])
        heads = map(head_of_event, materializations(self.on, asset, self.keys))
        found = {(h.partition, datetime.fromisoformat(h.as_of)) for h in heads if h is not None}
        return {k for k in self.keys if (k, self.moment(k)) in found}

    def _live(self, key: str, *, watched: bool) -> str:
        if not watched:
            self._day(key)
        texts = []
        if key in self.what.inject:
            fault = self.what.inject[key]
            name = f"inject:{fault}:{key}"
            reason = f"{fault} put in on purpose, to see it refused"
            moment = self.spec.partitions.window(key).end + self._night.inject
            texts.append(self._train(key, name, moment, {INJECT_TAG: fault}, "manual", reason))
        tick = self.moment(key)
        heads = self.heads(tick)
        decision = ask(
            self.spec, self.what.policy, key, heads, self.ledger, self.store, as_of=tick, failed=self.failed
        )
        if decision.ask:
            tags = tags_of(decision)
            moment = self.spec.partitions.window(key).end + self._night.training
            texts.append(
                self._train(key, decision.name, moment, tags, tags["mlpipe/trigger"], decision.reason)
            )
        return "; ".join(texts)

    def _day(self, key: str) -> None:
        """The daily job, at its hour. Facts that are on record are not made again. A day that fails does not stop the next."""
        known = self.heads(self.moment(key)).find(f"{self.spec.name}/features", [key])
        assets = ("labels", *MONITOR) if key in known else ()
        request = Request("daily", key, key, assets, "replay", self._reason, self._clock(self.moment(key)))
        try:
            run(self.spec, self.defs, self.on, self._tagged(request))
        except MlpipeError as error:
            self.failed[key] = first_line(error)

    def _train(
        self, key: str, name: str, moment: datetime, tags: Mapping[str, str], trigger: str, reason: str
    ) -> str:
        """One attempt, at its hour; what came of it in words."""
        made = self.decided(name)
        if made is None:
            request = Request("training", key, key, (), trigger, reason[:400], self._clock(moment))
            more = {**tags, ATTEMPT_TAG: name, HOLDER_TAG: f"replay {self.what.ledger}"}
            try:
                run(self.spec, self.defs, self.on, self._tagged(request, more))
            except MlpipeError as error:
                self.failed[name] = first_line(error)
                return f"{name} failed: {first_line(error)}"
            made = self.decided(name)
        return f"{name}: {made or 'no model'}"

    def decided(self, name: str) -> str | None:
        """What was decided about the model of an attempt; None while nothing was."""
        for version in self.ledger.state().versions.values():
            if version.details.get("attempt") == name and version.decision is not None:
                word = "refused" if version.decision == "refuse" else "promoted"
                return f"{self.spec.name}@{version.number} {word}"
        return None

    def _history(self, tell: Callable[[Told], None]) -> None:
        """What a first training needs: the partitions before the range, as they were known then."""
        calendar, first = self.spec.partitions, self.keys[0]
        needed = list(calendar.before(first, self.spec.training_window))
        if needed and self.spec.features.look_back:
            needed = [*calendar.before(needed[0], self.spec.features.look_back), *needed]
        # The last of an ingest's assets: what was killed on the way has no labels yet, and a training would go without those days.
        heads = [self.heads().find(f"{self.spec.name}/{name}", needed) for name in ("features", "labels")]
        missing = [k for k in needed if any(k not in found for found in heads)]
        if missing:
            tell(Told(first, 0, len(self.keys), None, f"{missing[0]} to {missing[-1]} come first"))
            moment = self._clock(calendar.window(first).start)
            request = Request("ingest", missing[0], missing[-1], (), "replay", self._reason, moment)
            self._around(self._tagged(request), tell)

    def _facts(self, todo: Sequence[str], tell: Callable[[Told], None]) -> None:
        """Rows to features of the nights to come, a month at a time: what happened does not depend on when it is looked at.

        Labels, and all that is concluded, are made in their own night. A month that cannot be read is left to its nights, each of
        which then fails or succeeds by itself.
        """
        heads = self.heads().find(f"{self.spec.name}/features", self.keys)
        missing = [k for k in todo if k not in heads]
        for start in range(0, len(missing), MONTH):
            first, last = missing[start], missing[start : start + MONTH][-1]
            tell(Told(first, 0, len(self.keys), None, f"{first} to {last}: rows to features"))
            moment = self._clock(self.moment(last))
            request = Request("ingest", first, last, FACTS, "replay", self._reason, moment)
            try:
                self._around(self._tagged(request), tell)
            except MlpipeError as error:
                tell(Told(first, 0, len(self.keys), None, f"not all at once: {first_line(error)}"))

    def _around(self, request: Request, tell: Callable[[Told], None]) -> None:
        """Run a request for all its partitions that can be done, and tell of the others."""
        for error in run_around(self.spec, self.defs, self.on, request):
            for key, found in zip(error.partitions, error.findings or (finding(error),), strict=True):
                tell(Told(key, 0, len(self.keys), None, str(found)))

    def _check_ledger(self, nights: Sequence[str]) -> None:
        """A past that others have decided beyond cannot be lived through in the same chain."""
        history = self.ledger.state().history
        if nights and history and history[-1].effective_at > self.moment(nights[0]) + self._night.training:
            raise LedgerError(
                f"entry {history[-1].number} of the ledger {self.what.ledger!r} moved production at "
                f"{history[-1].effective_at:%Y-%m-%d %H:%M}, after the night of {nights[0]}",
                where=self.ledger.folder,
                fix="Leave --ledger out: then the replay decides in a chain of its own.",
            )

    @property
    def _reason(self) -> str:
        return f"replay {self.what.first} to {self.what.last}"

    def _clock(self, moment: datetime) -> str:
        return moment.isoformat()

    def _tagged(self, request: Request, more: Mapping[str, str] | None = None) -> Request:
        tags = {REPLAY_TAG: self.what.ledger, LEDGER_TAG: self.what.ledger, **(more or {})}
        if self.main is not None:
            tags[FACTS_TAG] = self.main.root_directory
        return Request(
            request.job,
            request.first,
            request.last,
            request.assets,
            request.trigger,
            request.reason,
            request.as_of,
            tuple(tags.items()),
        )


@contextmanager
def replaying(spec: PipelineSpec, defs: dg.Definitions, what: Asked) -> Iterator[Replay]:
    """A replay, alone with its ledger.

    In the deployment's own ledger it runs on the deployment's instance, and the UI shows it. In any other it has an instance of its own
    in ``$DAGSTER_HOME/replays``, so that no event of a past that never was stands among those of the deployment.

    Raises
    ------
    MlpipeError
        Another process lives through the same past.
    """
    with instance() as main:
        home = Path(main.root_directory)
        own = what.ledger != spec.deployment
        folder = home / "replays" / spec.name / what.ledger
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MlpipeError(
                    f"another process replays into the ledger {what.ledger!r}",
                    where=str(folder),
                    fix="Wait for it, or name another: --ledger NAME.",
                ) from None
            if not own:
                _end_killed(main, what.ledger)
                with remembered(main):
                    yield Replay(spec, defs, main, what, folder)
                return
            settings = folder / "dagster.yaml"
            if not settings.exists():
                settings.write_text(HOME)
            with dg.DagsterInstance.from_config(str(folder)) as on, remembered(on):
                _end_killed(on, what.ledger)
                yield Replay(spec, defs, on, what, folder, main)


def _end_killed(on: dg.DagsterInstance, ledger: str) -> None:
    """Runs of a process that was killed look as if they went on. The lock says that they do not."""
    running = dg.RunsFilter(tags={REPLAY_TAG: ledger}, statuses=[dg.DagsterRunStatus.STARTED])
    for killed in on.get_runs(running):
        on.report_run_failed(killed, "the replay was interrupted; it goes on in another run")
