"""The operations that decide: release, stage, promote, roll back, acknowledge. The rule is that of `mlpipe.ledger.rule`.

The operations decide on what holds and add the decision right after it (`Ledger.transact`);
after a lost race they decide again, so of two who promote at once exactly one wins, and the other is judged
against the winner. Each operation may be repeated after a crash.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlpipe.errors import LedgerConflictError, LedgerError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import REASON_LIMIT, Draft, Entry, Fields, spell_time, utc
from mlpipe.ledger.fold import State, Version
from mlpipe.ledger.rule import PROMOTING, Candidate, Verdict, compared_with, may_promote

__all__ = [
    "PROMOTING",
    "Candidate",
    "Decision",
    "Verdict",
    "acknowledge",
    "decide",
    "may_promote",
    "promote",
    "register_or_find",
    "rollback",
    "stage",
    "unstage",
]

Objections = Callable[[Version], Sequence[str]]
"""Sentences on what stands against a version besides what the ledger says: its evidence."""


@dataclass(frozen=True)
class Decision:
    """What became of a candidate.

    `version` as it stands now; whether its last decision `promoted` or `refused` it, the `reasons` of a
    refusal; `entries` are its registration and its decision when this call decided, empty when that was done
    before.
    """

    version: Version
    promoted: bool
    refused: bool
    reasons: tuple[str, ...]
    entries: tuple[Entry, ...]


def register_or_find(
    ledger: Ledger,
    candidate: Candidate,
    *,
    actor: str,
    reason: str,
    now: datetime,
    logical_date: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> tuple[Entry, Version]:
    """Register `candidate`, or find the version that was registered for the same bundle and evaluation.

    Returns
    -------
    (Entry, Version)
        The registration, new or old, and the version as it stands.

    Raises
    ------
    LedgerError
        A field is not allowed (an empty reason, a time without zone), or the chain is broken.
    """
    evidence = {
        **(details or {}),
        "data_end": spell_time(candidate.data_end),
        "gates_passed": candidate.gates_passed,
        "gate_sentence": candidate.gate_sentence,
        "champion": candidate.champion,
        "try": candidate.try_number,
    }

    def plan(state: State) -> Draft | None:
        if state.with_evidence(candidate.bundle, candidate.evaluation_id) is not None:
            return None
        return Draft(
            kind="register",
            actor=actor,
            role=candidate.role,
            reason=reason,
            effective_at=now,
            version=state.next_version,
            bundle=candidate.bundle,
            evaluation=candidate.evaluation_id,
            to_stage="candidate",
            trigger=candidate.trigger,
            logical_date=logical_date,
            details=evidence,
        )

    ledger.transact(plan)
    version = ledger.state().with_evidence(candidate.bundle, candidate.evaluation_id)
    assert version is not None  # it was found, or is registered now
    return ledger.entries()[version.entries[0] - 1], version


def decide(
    ledger: Ledger,
    candidate: Candidate,
    *,
    actor: str,
    reason: str,
    now: datetime,
    min_tenure: timedelta = timedelta(0),
    corrected_data: bool = False,
    frozen: Sequence[str] = (),
    logical_date: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Decision:
    """Release `candidate`: register it, then promote it, or refuse it with every reason.

    The same evidence is decided once: a repeated call adds nothing and returns what was decided. A call that
    died between the registration and the decision is finished by the next.

    Parameters
    ----------
    ledger, candidate
        Where, and what.
    actor, reason
        Who releases, and why the run was started.
    now, min_tenure, corrected_data, frozen
        See `may_promote`. `now` is when the decision takes effect.
    logical_date, details
        The partition that is released; what is kept with the registration: gate decisions, ids of records.
    """
    registered, version = register_or_find(
        ledger, candidate, actor=actor, reason=reason, now=now, logical_date=logical_date, details=details
    )

    def plan(state: State) -> Draft | None:
        found = state.versions[version.number]
        if found.decision is not None:
            return None
        verdict = may_promote(
            state, candidate, now=now, min_tenure=min_tenure, corrected_data=corrected_data, frozen=frozen
        )
        case = Fields(actor=actor, role=candidate.role, reason=reason, effective_at=now)
        case |= Fields(trigger=candidate.trigger, logical_date=logical_date)
        case |= _move(state, found) if verdict.promote else _refusal(found, verdict)
        return Draft(kind="promote" if verdict.promote else "refuse", **case)

    made = ledger.transact(plan)
    decided = ledger.state().versions[version.number]
    about = (ledger.entries()[number - 1] for number in reversed(decided.entries))
    last = made or next(entry for entry in about if not (entry.stages or entry.unstages))
    return Decision(
        version=decided,
        promoted=last.kind != "refuse",
        refused=last.kind == "refuse",
        reasons=tuple(last.details.get("reasons", ())),
        entries=(registered, made) if made else (),
    )


def promote(
    ledger: Ledger,
    version: int,
    actor: str,
    reason: str,
    *,
    now: datetime,
    override: bool = False,
    role: str = "human",
    objections: Objections = lambda version: (),
) -> Entry:
    """Make `version` champion by hand.

    Parameters
    ----------
    version
        Number of a registered version.
    actor, reason, role, now
        Who, why, as what, and when it takes effect (aware).
    override
        Promote although its gates did not pass or were decided against another champion than today's, or
        although its bundle was rolled back, or in spite of `objections`. Recorded as an override, with its reason.
    objections
        What stands against the evidence of the version.

    Raises
    ------
    LedgerConflictError
        Somebody else changed the champion meanwhile.
    LedgerError
        No such version; it is champion; or, without `override`: its gates did not pass, they were decided
        against another champion than today's, its bundle was rolled back, or there are `objections`.
    """
    before = ledger.state()

    def plan(state: State) -> Draft:
        _check_same_champion(ledger, before, state)
        _check_by_hand(ledger, state, version, override, objections)
        case = Fields(actor=actor, role=role, reason=reason, effective_at=now, trigger="manual")
        case |= _move(state, state.versions[version])
        return Draft(kind="override" if override else "promote", **case)

    return ledger.transact(plan)


def stage(
    ledger: Ledger,
    version: int,
    actor: str,
    reason: str,
    *,
    now: datetime,
    override: bool = False,
    role: str = "human",
    objections: Objections = lambda version: (),
) -> Entry:
    """Put the candidate `version` onto staging by hand. The champion stays as it is.

    Parameters
    ----------
    version
        Number of a registered version that is a candidate.
    actor, reason, role, now
        Who, why, as what, and when it takes effect (aware).
    override
        Do it in spite of `objections`, or although its bundle was rolled back. Recorded with the entry.
    objections
        What the gates of staging, and the evidence that they were decided on, say against the version.

    Raises
    ------
    LedgerError
        No such version; it is no candidate; or, without `override`: its bundle was rolled back, or there are `objections`.
    """

    def plan(state: State) -> Draft:
        found = state.registered(version, where=ledger.folder)
        if found.stage != "candidate":
            where = {"staging": "on staging", "production": "in production"}.get(found.stage, found.stage)
            what = f"Version {version} is {where} already."
            raise LedgerError(what, where=ledger.folder, fix="Only a candidate is put onto staging.")
        reasons = [*objections(found), *_rolled_back(state, found)]
        _check_reasons(ledger, version, "put onto staging", reasons, override)
        case = Fields(actor=actor, role=role, reason=reason, effective_at=now, trigger="manual")
        case |= found.fields() | Fields(to_stage="staging")
        case["details"] = {"name": f"staging of version {version}, after entry {found.entries[-1]}"}
        case["details"] |= {"override": True} if override else {}
        return Draft(kind="claim", **case)

    return ledger.transact(plan)


def unstage(
    ledger: Ledger, version: int, actor: str, reason: str, *, now: datetime, role: str = "human"
) -> Entry:
    """Take `version` off staging: it is a candidate again. Raises `LedgerError` when it is not there."""

    def plan(state: State) -> Draft:
        found = state.registered(version, where=ledger.folder)
        if found.stage != "staging":
            there = (
                ", ".join(str(v.number) for v in state.versions.values() if v.stage == "staging") or "none"
            )
            what = f"Version {version} is not on staging."
            raise LedgerError(what, where=ledger.folder, fix=f"On staging: {there}.")
        case = Fields(actor=actor, role=role, reason=reason, effective_at=now, trigger="manual")
        case |= found.fields() | Fields(to_stage="candidate")
        case["details"] = {"name": f"end of staging of version {version}, after entry {found.entries[-1]}"}
        return Draft(kind="claim", **case)

    return ledger.transact(plan)


def rollback(
    ledger: Ledger,
    to: int | None,
    actor: str,
    reason: str,
    *,
    now: datetime,
    prove: Callable[[Version], None],
    role: str = "human",
) -> Entry:
    """Make an earlier champion champion again; the present one is archived and never promoted automatically.

    Parameters
    ----------
    to
        Number of a version that was champion before. None: the last one that was not rolled back itself.
    actor, reason, role
        Who, why, and as what.
    now
        When it takes effect. A moment before the present champion took over is moved to that: clocks that
        disagree must not stand in the way of a rollback.
    prove
        Called with the target before anything is recorded: loads its bundle and predicts its input example.
        What it raises passes through, and the ledger stays as it was.

    Raises
    ------
    LedgerConflictError
        Somebody else changed the champion meanwhile.
    LedgerError
        There is no champion, or nothing that one may go back to.
    """
    before = ledger.state()
    target = before.rollback_target(to, where=ledger.folder)
    when = _later(utc("now", now), before)
    case = Fields(actor=actor, role=role, reason=reason, effective_at=when, trigger="manual")
    draft = Draft(kind="rollback", **(case | _move(before, target)))
    prove(target)

    def plan(state: State) -> Draft:
        _check_same_champion(ledger, before, state)
        return draft

    return ledger.transact(plan)


def acknowledge(ledger: Ledger, actor: str, reason: str, *, now: datetime, role: str = "human") -> Entry:
    """End the pause of automatic promotion after a rollback. Raises `LedgerError` when there is none.

    A `now` before the rollback is moved to it, as for `rollback`.
    """
    moment = utc("now", now)

    def plan(state: State) -> Draft:
        if not state.paused:
            raise LedgerError("Automatic promotion is not paused.", where=ledger.folder, fix="Nothing to do.")
        case = Fields(actor=actor, role=role, reason=reason, effective_at=_later(moment, state))
        return Draft(kind="acknowledge", **case)

    return ledger.transact(plan)


def _move(state: State, version: Version) -> Fields:
    champion = state.champion.number if state.champion else None
    move = Fields(from_version=champion, to_version=version.number, to_stage="production")
    return version.fields() | move


def _refusal(version: Version, verdict: Verdict) -> Fields:
    text = " ".join(verdict.reasons)
    short = text if len(text) <= REASON_LIMIT else f"{text[: REASON_LIMIT - 1]}…"
    case = version.fields()
    details = {"reasons": list(verdict.reasons)}
    return case | Fields(to_stage=case["from_stage"], reason=short, details=details)


def _later(moment: datetime, state: State) -> datetime:
    return max(moment, state.champion_since or moment)


def _check_by_hand(ledger: Ledger, state: State, number: int, override: bool, objections: Objections) -> None:
    version = state.registered(number, where=ledger.folder)
    if state.champion is not None and state.champion.number == number:
        raise LedgerError(f"Version {number} is champion already.", where=ledger.folder, fix="Nothing to do.")
    reasons: list[str] = []
    if version.details.get("gates_passed") is not True:
        reasons.append(str(version.details.get("gate_sentence") or "Its gates did not pass."))
    other = compared_with(state, version.details.get("champion"))
    reasons += [*other, *objections(version), *_rolled_back(state, version)]
    again = "Evaluate it against the champion of today, or" if other else ""
    _check_reasons(ledger, number, "promoted", reasons, override, again)


def _rolled_back(state: State, version: Version) -> list[str]:
    return ["Its bundle was rolled back before."] if state.was_rolled_back(version.bundle) else []


def _check_reasons(
    ledger: Ledger, number: int, what: str, reasons: Sequence[str], override: bool, instead: str = ""
) -> None:
    if reasons and not override:
        fix = f"{instead} promote it all the same with --override; its reason is kept in the ledger.".strip()
        raise LedgerError(
            f"Version {number} may not be {what}: {' '.join(reasons)}",
            where=ledger.folder,
            fix=fix[0].upper() + fix[1:],
        )


def _check_same_champion(ledger: Ledger, before: State, state: State) -> None:
    if len(state.history) == len(before.history):
        return
    last = state.history[-1]
    raise LedgerConflictError(
        f"Meanwhile {last.actor} made version {last.to_version} the champion ({last.kind}, entry "
        f"{last.number}, {spell_time(last.recorded_at)}), because: {last.reason}",
        where=ledger.folder,
        fix="Look at the champion again, and repeat if you still want it.",
    )
