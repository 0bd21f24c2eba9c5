"""Who may promote. Pure: what holds, a candidate and a moment in; yes, or every reason against it, out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlpipe.ledger.entry import ROLES, check_one_of, spell_time, utc
from mlpipe.ledger.fold import State, Version

PROMOTING = ("schedule", "drift", "performance", "data", "manual")
"""Triggers whose models may be promoted. All but ``manual`` are automatic."""


@dataclass(frozen=True)
class Candidate:
    """A trained and evaluated model that asks to be released.

    Parameters
    ----------
    bundle, evaluation_id
        Ids of the model and of the record of its evaluation. Together they are the evidence.
    data_end
        End of the data that the model was trained on, exclusive. Aware.
    trigger
        Why the run was started. Only those of `PROMOTING` may promote.
    role
        Who started the run, one of `mlpipe.ledger.entry.ROLES`.
    gates_passed, gate_sentence
        What the gates of the evaluation said, and the sentences of those that did not pass.
    champion
        Number of the version that was champion when the gates were decided; None when there was none.
    try_number
        Which try against that champion this was, from 1 (`next_try`); None when the two could not be compared.
    """

    bundle: str
    evaluation_id: str
    data_end: datetime
    trigger: str
    role: str
    gates_passed: bool
    gate_sentence: str = ""
    champion: int | None = None
    try_number: int | None = None

    def __post_init__(self) -> None:
        check_one_of("role", self.role, ROLES)
        object.__setattr__(self, "data_end", utc("data_end", self.data_end))


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may be promoted, and one sentence for each condition that it fails."""

    promote: bool
    reasons: tuple[str, ...]


def next_try(state: State, champion: int, bundle: str, *, as_of: datetime) -> int:
    """Which try against a champion a model is, from 1.

    Each model that was registered by `as_of` and compared with this champion was a try, whatever became of it. A model counts once:
    evaluated again it is the try that it was, so that a repeated run decides as the first did. The count is the champion's for
    good: it goes on where a rollback brings the champion back.

    A model whose trigger never promotes (a backfill, an experiment) was no candidate and counts as no try: else a sweep over a year
    would take the alpha of the challengers that come after it. That leaves open what somebody does who promotes one of many such
    models by hand: each was judged as if it were the only one, and the best of many wins by chance more often than alpha says. The
    ledger names that person and the trigger.
    """
    moment = utc("as_of", as_of)
    before: set[str] = set()
    for version in state.versions.values():
        asked = version.trigger in PROMOTING and version.details.get("try") is not None
        if not asked or version.details.get("champion") != champion:
            continue
        if version.bundle == bundle:
            break
        if version.registered_at <= moment:
            before.add(version.bundle)
    return len(before) + 1


def may_promote(
    state: State,
    candidate: Candidate,
    *,
    now: datetime,
    min_tenure: timedelta,
    corrected_data: bool = False,
    frozen: Sequence[str] = (),
) -> Verdict:
    """Whether `candidate` may take over production. Every condition is looked at, whatever the others say; the gates come first.

    Parameters
    ----------
    state, candidate
        What holds, and the model.
    now
        The moment of the decision on the clock of the data (the run's `as_of`). Aware.
    min_tenure
        How long a champion stays before an automatic trigger may replace it. Does not bind a manual one.
    corrected_data
        True when the model was trained again on corrected data: then its data may end when the champion's
        does.
    frozen
        Why promotions are frozen now, in sentences: used-up error budgets. They bind every trigger, and no rollback.
    """
    moment = utc("now", now)
    automatic = candidate.trigger != "manual"
    reasons: list[str] = []
    if not candidate.gates_passed:
        reasons.append(candidate.gate_sentence.strip() or "The gates did not pass.")
    reasons += compared_with(state, candidate.champion) or _overtaken(state, candidate, moment)
    if candidate.trigger not in PROMOTING:
        only = ", ".join(PROMOTING)
        reasons.append(f"A training with the trigger '{candidate.trigger}' never promotes; only {only} do.")
    if candidate.role in ("backfill", "experiment") and candidate.role != candidate.trigger:
        reasons.append(f"The run was started in the role of '{candidate.role}', which never promotes.")
    if state.was_rolled_back(candidate.bundle):
        reasons.append("This bundle was rolled back before.")
    if automatic and state.paused:
        reasons.append("Automatic promotion is paused since the last rollback, until it is acknowledged.")
    # Without a champion nothing answers, and no budget is spared by waiting.
    reasons += frozen if state.champion is not None else ()
    if state.champion is not None and state.champion_since is not None:
        tenure = min_tenure if automatic else timedelta(0)
        reasons += _against(state, state.champion, candidate, corrected_data)
        reasons += _tenure(state, state.champion, state.champion_since, moment, tenure)
    return Verdict(promote=not reasons, reasons=tuple(reasons))


def compared_with(state: State, champion: int | None) -> list[str]:
    """Why gates that were decided against `champion` say nothing about today's; empty when they do."""
    today = state.champion
    if today is None or today.number == champion:
        return []
    then = "when there was no champion" if champion is None else f"against version {champion}"
    return [f"Its gates were decided {then}, but the champion is {_named(state, today)}: evaluate it again."]


def _overtaken(state: State, candidate: Candidate, now: datetime) -> list[str]:
    """Alpha is spent once: of two that were judged as the same try (side by side, or across a crash) the second is judged again."""
    if candidate.champion is None or candidate.try_number is None:
        return []
    number = next_try(state, candidate.champion, candidate.bundle, as_of=now)
    if number == candidate.try_number:
        return []
    return [
        f"Its gates were decided as try {candidate.try_number} against version {candidate.champion}, "
        f"but it is try {number} by now: evaluate it again."
    ]


def _against(state: State, champion: Version, candidate: Candidate, corrected_data: bool) -> list[str]:
    reasons: list[str] = []
    if champion.bundle == candidate.bundle:
        reasons.append(f"This bundle is the champion already: {_named(state, champion)}.")
    ends = f"The model's data ends at {spell_time(candidate.data_end)}"
    theirs = f"that of the champion, {_named(state, champion)} ({spell_time(champion.data_end)})"
    if candidate.data_end < champion.data_end:
        reasons.append(f"{ends}, earlier than {theirs}.")
    elif candidate.data_end == champion.data_end and not corrected_data:
        reasons.append(f"{ends}, not later than {theirs}.")
    return reasons


def _tenure(state: State, champion: Version, since: datetime, now: datetime, tenure: timedelta) -> list[str]:
    who = f"The champion, {_named(state, champion)},"
    if now < since:
        return [
            f"{who} took over at {spell_time(since)}, after the date of this decision, {spell_time(now)}."
        ]
    if now - since < tenure:
        return [f"{who} has been in production for {now - since}; the minimum tenure is {tenure}."]
    return []


def _named(state: State, champion: Version) -> str:
    last = state.history[-1]
    return f"version {champion.number} by {last.actor} (entry {last.number})"
