"""What other gates would have decided: the recorded candidates judged and released again under another policy, in a ledger of its own.

Nothing is trained. Each candidate is evaluated by the very stages that judged it, on the rows, labels and clock of then, against the
champion that the other policy would have had by then. What is made lies in a folder apart, and the store is only read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mlpipe.core.gates import GateDecision
from mlpipe.errors import LedgerError
from mlpipe.ledger import promotion
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import State, fold
from mlpipe.ledger.rule import next_try
from mlpipe.records.codec import from_bytes, head_of
from mlpipe.records.record import Record, Trigger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, release
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.past import Past
from mlpipe.stages.remake import pinned
from mlpipe.stages.runner import run_stage
from mlpipe.stores.local import LocalBackend
from mlpipe.stores.overlay import Overlay
from mlpipe.stores.store import Store

MEASURED = ("resources", "reproduction")
"""Probes whose facts are taken from the record, where it has them: a clock would give others today, and nothing is trained here."""
MADE_BY_HAND = ("promote", "override", "rollback", "acknowledge")


@dataclass(frozen=True)
class Ruled:
    """What was decided about one candidate: its version, the verdict, the gates one by one, and every reason of a refusal."""

    version: int
    verdict: str
    gates: tuple[GateDecision, ...]
    reasons: tuple[str, ...]
    champion: int | None

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the gates that did not pass."""
        return tuple(g.gate for g in self.gates if g.verdict != "pass")


@dataclass(frozen=True)
class Case:
    """A recorded candidate: its registration, the records of its model and evaluation, and what was decided then and would be now.

    Numbers of versions in `now` are those of the recorded chain, so that both can be read side by side.
    """

    registered: Entry
    evaluation: Record
    then: Ruled
    now: Ruled

    @property
    def same(self) -> bool:
        """Whether the verdict, each gate and each reason came out as they were."""
        return (self.then.verdict, self.then.gates, self.then.reasons) == (
            self.now.verdict,
            self.now.gates,
            self.now.reasons,
        )


@dataclass(frozen=True)
class Told:
    """A move by hand that the other policy would not have let happen, or that no longer made sense."""

    entry: Entry
    why: str


class _Known(Ledger):
    """The first entries of a chain: what was known when an evaluation looked."""

    def __init__(self, ledger: Ledger, count: int) -> None:
        super().__init__(
            ledger.backend, ledger.pipeline, segment=ledger.segment, deployment=ledger.deployment
        )
        self._count = count

    def state(self, *, as_of: datetime | None = None, known_at: datetime | None = None) -> State:
        return fold(self.entries()[: self._count], as_of=as_of, known_at=known_at)


class Counterfactual:
    """The past of a pipeline under another policy, decision by decision.

    One thread; everything is written into a folder apart.

    Parameters
    ----------
    past
        What was recorded.
    spec
        The pipeline with the other policy; its data, features and model are taken from what was recorded.
    scratch
        An empty folder for what is made.
    fresh
        True: evaluations that the store knows by recipe are made again all the same.
    """

    def __init__(self, past: Past, spec: PipelineSpec, scratch: Path, *, fresh: bool = False) -> None:
        self.past, self.spec = past, spec
        hidden = ("ledger", "recipes") if fresh else ("ledger",)
        self.store = Store(Overlay(past.store.backend, LocalBackend(scratch), hidden=hidden))
        chain = past.ledger
        self._clock: list[datetime] = []
        self.ledger = Ledger(
            self.store.backend,
            chain.pipeline,
            segment=chain.segment,
            deployment=chain.deployment,
            clock=lambda: self._clock[0],
        )
        self.told: list[Told] = []
        self._numbers: dict[int, int] = {}
        self._reached: list[int] = [0]

    def decide(
        self, keys: Sequence[str], tell: Callable[[int, int], None] = lambda done, total: None
    ) -> Iterator[Case]:
        """Every recorded candidate of some partitions, in the order in which they were decided.

        What was decided before the first of them is taken over as it is: the other policy begins with the champion of then.

        Raises
        ------
        MlpipeError
            What a stage raises: the policy asks for something that cannot be computed of these records.
        """
        entries = self.past.ledger.entries()
        asked = set(keys)
        begins = next((e.number for e in entries if _candidate(e) and e.logical_date in asked), None)
        if begins is None:
            return
        before, after = entries[: begins - 1], entries[begins - 1 :]
        for entry in before:
            path = f"{self.ledger.folder}/{entry.number:08d}.json"
            self.store.backend.create(path, entry.to_bytes())
            self._reached.append(entry.number)
            if entry.version is not None:
                self._numbers.setdefault(entry.version, entry.version)
        total = sum(_candidate(e) and e.logical_date in asked for e in after)
        done = 0
        for entry in after:
            self._clock[:] = [entry.recorded_at]
            if _candidate(entry):
                if entry.logical_date in asked:
                    case = self._case(entry)
                    done += 1
                    tell(done, total)
                    yield case
            elif entry.kind in MADE_BY_HAND and entry.logical_date is None:
                self._by_hand(entry)
            self._reached.append(len(self.ledger.entries()))

    def recorded(self, version: int | None) -> int | None:
        """Number in the recorded chain of a version of this one."""
        return next((then for then, now in self._numbers.items() if now == version), None)

    def _case(self, entry: Entry) -> Case:
        then = _ruled(self.past.ledger, entry)
        name = str(entry.details["evaluation_record"])
        evaluation = from_bytes(self.past.store.get_record(self.spec.name, name), name)
        heads = MemoryHeads([head_of(r) for r in pinned(evaluation, self.past.store)])
        judged = self._judged(entry, evaluation, heads)
        ctx = self._context(evaluation, entry, heads, self.ledger)
        (released,) = run_stage(release.STAGE, self.spec, [evaluation.partition], ctx)
        number = int(released.data["version"])
        self._numbers.setdefault(int(entry.version or 0), number)
        gates = tuple(GateDecision.from_dict(d) for d in judged.data["gates"])
        now = Ruled(
            int(entry.version or 0),
            released.verdict,
            gates,
            tuple(f.what for f in released.findings),
            self.recorded(judged.data["champion"]),
        )
        return Case(entry, evaluation, then, now)

    def _judged(self, entry: Entry, evaluation: Record, heads: MemoryHeads) -> Record:
        """The evaluation under the other policy: on what it read, knowing of this chain what it knew of its own."""
        known = _Known(self.ledger, self._reached[_knew(self.past.ledger, evaluation, entry)])
        found = evaluation.data.get("judged") or {}
        measured = {name: found[name] for name in MEASURED if name in found}
        ctx = replace(self._context(evaluation, entry, heads, known), measured=measured)
        (judged,) = run_stage(evaluate.STAGE, self.spec, [evaluation.partition], ctx)
        return judged

    def _context(self, evaluation: Record, entry: Entry, heads: MemoryHeads, ledger: Ledger) -> Context:
        trigger = str(entry.trigger)
        run = Run(
            id=str(entry.details.get("run", "")),
            as_of=entry.effective_at if ledger is self.ledger else evaluation.as_of,
            trigger=Trigger(kind=trigger, reason=entry.reason),
            actor=entry.actor,
            experiment=evaluation.experiment or ("experiment" if trigger == "experiment" else ""),
            backfill=trigger == "backfill",
            attempt=str(entry.details.get("attempt", "")),
            inject=str(entry.details.get("inject", "")),
            tags=evaluation.tags,
        )
        return Context(
            self.store,
            ledger,
            heads,
            run,
            lambda: self._clock[0],
            archive=evaluation.code.archive,
            segment=evaluation.segment,
        )

    def _by_hand(self, entry: Entry) -> None:
        """What somebody decided, decided here too, where it is possible."""
        case: dict[str, Any] = {"now": entry.effective_at, "role": entry.role}
        target = self._numbers.get(entry.to_version or 0)
        try:
            if entry.kind == "acknowledge":
                promotion.acknowledge(self.ledger, entry.actor, entry.reason, **case)
            elif target is None:
                self.told.append(Told(entry, "its version is not among these candidates"))
            elif entry.kind == "rollback":
                promotion.rollback(
                    self.ledger, target, entry.actor, entry.reason, prove=lambda version: None, **case
                )
            else:
                over = entry.kind == "override"
                promotion.promote(self.ledger, target, entry.actor, entry.reason, override=over, **case)
        except LedgerError as error:
            self.told.append(Told(entry, error.what))


def _knew(ledger: Ledger, evaluation: Record, registered: Entry) -> int:
    """How many entries an evaluation knew of: the most before its registration that give the champion and the try that it names.

    Others may have decided between the two. The clocks of several machines would not tell.
    """
    entries = ledger.entries()[: registered.number - 1]
    champion, number = evaluation.data["champion"], evaluation.data["try"]
    for count in range(len(entries), -1, -1):
        state = fold(entries[:count], as_of=evaluation.as_of)
        if (state.champion.number if state.champion else None) != champion:
            continue
        bundle = str(registered.bundle)
        if number is None or next_try(state, champion, bundle, as_of=evaluation.as_of) == number:
            return count
    return len(entries)


def _candidate(entry: Entry) -> bool:
    return entry.kind == "register" and "evaluation_record" in entry.details


def _ruled(ledger: Ledger, registered: Entry) -> Ruled:
    """What was decided about a version by the run that registered it."""
    own = (e for e in ledger.entries()[registered.number :] if e.version == registered.version)
    decided = next((e for e in own if e.kind in ("promote", "refuse") and e.logical_date is not None), None)
    verdict = {"promote": "promoted", "refuse": "refused"}.get(decided.kind if decided else "", "candidate")
    details: Mapping[str, Any] = decided.details if decided else {}
    return Ruled(
        int(registered.version or 0),
        verdict,
        tuple(GateDecision.from_dict(d) for d in registered.details["gates"]),
        tuple(details.get("reasons", ())),
        registered.details.get("champion"),
    )
