"""Who decided what, when and why: the ledger as a table or as JSON lines, and what it says of one moment."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from mlpipe.ledger.entry import Entry, spell_time
from mlpipe.ledger.fold import State, Version
from mlpipe.views.table import printable, table

CLOCKS = {
    "data": "decisions that were in effect by then",
    "wall": "decisions that had been recorded by then",
}
"""The two questions that one may ask of a moment."""


def elsewhere(others: Sequence[str]) -> str:
    """Where else there are decisions, such as those of a replay: a line, or nothing."""
    return f"\nOther chains of decisions, looked at by --ledger: {', '.join(others)}" if others else ""


def as_table(
    name: str, entries: Sequence[Entry], state: State, ledger: str | None = None, others: Sequence[str] = ()
) -> str:
    """The chain as a table, oldest first, and what is in production now.

    `ledger` names another chain than the deployment's, `others` are those that have decisions.
    """
    if not entries:
        how = f"A training run registers the first version: mlpipe run {name} --from … --train-at …"
        return f"{name}: nothing was decided yet. {how}{elsewhere(others)}"
    rows = [
        [
            str(e.number),
            f"{e.effective_at:%Y-%m-%d %H:%M}",
            e.decision,
            "" if e.version is None else f"{name}@{e.version}",
            e.actor,
            e.trigger or "",
            e.reason,
        ]
        for e in entries
    ]
    champion = (
        f"{name}@{state.champion.number} is in production since {state.champion_since:%Y-%m-%d %H:%M} UTC."
        if state.champion and state.champion_since
        else "Nothing is in production."
    )
    return "\n".join(
        [
            table(["#", "effective (UTC)", "decision", "version", "by", "trigger", "reason"], rows),
            " ".join([champion, *paused(name, state, ledger)]),
        ]
    )


def as_json(entries: Sequence[Entry]) -> str:
    """One JSON object an entry, as it is stored."""
    return "\n".join(json.dumps(json.loads(e.to_bytes()), ensure_ascii=False) for e in entries)


def paused(name: str, state: State, ledger: str | None = None) -> list[str]:
    """Sentences about the pause of automatic promotion, and how it ends; none when there is no pause."""
    if not state.paused:
        return []
    last = next(m for m in reversed(state.history) if m.kind == "rollback")
    option = f" --ledger {ledger}" if ledger else ""
    return [
        f"Automatic promotion is paused since the rollback by {printable(last.actor)} (entry {last.number}, "
        f"{last.effective_at:%Y-%m-%d %H:%M} UTC).",
        f'To end the pause: mlpipe acknowledge {name}{option} --reason "…"',
    ]


@dataclass(frozen=True)
class Answer:
    """What was in production at a moment.

    Parameters
    ----------
    name, ledger
        The pipeline, and the chain that was asked (a deployment, or a replay's name).
    moment, clock, zone
        The moment (aware), the clock that it is read on (one of `CLOCKS`), and the zone in which times are told.
    note
        How the moment was read, when it was not written in full; may be empty.
    state, now
        What held then, and what holds after all entries.
    entries
        All entries of the chain.
    """

    name: str
    ledger: str
    moment: datetime
    clock: str
    zone: tzinfo
    note: str
    state: State
    now: State
    entries: Sequence[Entry]

    @property
    def decision(self) -> Entry | None:
        """The entry that made the champion of then champion; None when there was none."""
        return self.entries[self.state.history[-1].number - 1] if self.state.history else None

    @property
    def first(self) -> Entry | None:
        """The first promotion ever; None when there is none to this day."""
        return self.entries[self.now.history[0].number - 1] if self.now.history else None

    def told(self, instant: datetime) -> str:
        """A moment in the answer's zone, and in UTC when that is another."""
        local = instant.astimezone(self.zone)
        there = f"{local:%Y-%m-%d %H:%M} {local:%Z}"
        return there if not local.utcoffset() else f"{there} ({instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"


def as_of_text(answer: Answer) -> str:
    """The answer for people."""
    state, decision, version = answer.state, answer.decision, answer.state.champion
    moment = answer.told(answer.moment)
    if decision is None or version is None:
        lines = [f"Nothing was in production at {moment}.", "", *_not_yet(answer)]
    else:
        before = decision.from_version
        by = f"{decision.kind} by {decision.actor} ({decision.role}"
        by += f", trigger {decision.trigger})" if decision.trigger else ")"
        told = {
            "decided": f"{by}, ledger entry {decision.number}",
            "when": f"in effect from {answer.told(decision.effective_at)}; recorded {decision.recorded_at:%Y-%m-%d %H:%M:%S} UTC",
            "why": decision.reason,
            "gates": _gates(version),
            "replaced": "nothing: it was the first" if before is None else f"{answer.name}@{before}",
        }
        lines = [f"{answer.name}@{version.number} was in production at {moment}.", ""]
        for what, text in told.items():
            lines += _wrapped(what, text)
        if state.paused:
            lines += ["", "Automatic promotion was paused then, since a rollback."]
    lines += ["", f"Asked: {CLOCKS[answer.clock]} (--clock {answer.clock}), in the ledger '{answer.ledger}'."]
    return "\n".join([*lines, answer.note] if answer.note else lines)


def as_of_json(answer: Answer) -> str:
    """The answer for programs: one object. Times are ISO in UTC; `champion`, `decision` and `first` may be null."""
    version, decision = answer.state.champion, answer.decision
    told: dict[str, Any] = {
        "pipeline": answer.name,
        "ledger": answer.ledger,
        "moment": spell_time(answer.moment),
        "zone": str(answer.zone),
        "clock": answer.clock,
        "note": answer.note,
        "champion": None,
        "decision": None if decision is None else json.loads(decision.to_bytes()),
        "gates": [] if version is None else list(version.details.get("gates", [])),
        "replaced": None if decision is None else decision.from_version,
        "paused": answer.state.paused,
        "first": None if answer.first is None else json.loads(answer.first.to_bytes()),
    }
    if version is not None and answer.state.champion_since is not None:
        told["champion"] = {
            "version": version.number,
            "bundle": version.bundle,
            "evaluation": version.evaluation,
            "since": spell_time(answer.state.champion_since),
        }
    return json.dumps(told, ensure_ascii=False)


def _not_yet(answer: Answer) -> list[str]:
    first = answer.first
    if first is None:
        return ["Nothing has been promoted to this day."]
    return _wrapped(
        "first",
        f"{answer.name}@{first.to_version} by {first.actor}, in effect from {answer.told(first.effective_at)}; "
        f"recorded {first.recorded_at:%Y-%m-%d %H:%M:%S} UTC",
    )


def _gates(version: Version) -> str:
    """What the gates said when the version was registered, one a line."""
    gates = version.details.get("gates")
    if gates:
        return "\n".join(f"{g['verdict'].replace('_', ' ')}: {g['gate']}: {g['sentence']}" for g in gates)
    passed = version.details.get("gates_passed")
    if passed is None:
        return "not recorded"
    return "passed" if passed else f"did not pass. {version.details.get('gate_sentence', '')}".rstrip()


def _wrapped(what: str, text: str) -> list[str]:
    """A term and its text, wrapped beside it."""
    lines = [part for line in text.split("\n") for part in textwrap.wrap(printable(line), 100) or [""]]
    return [f"  {what if n == 0 else '':10}{line}".rstrip() for n, line in enumerate(lines)]
