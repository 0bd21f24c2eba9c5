"""The rule of promotion, and the operations under crashes and races."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from mlpipe.errors import BundleError, LedgerConflictError, LedgerError, StoreError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.fold import State, Version
from mlpipe.ledger.promotion import (
    PROMOTING,
    Candidate,
    Decision,
    Verdict,
    acknowledge,
    decide,
    may_promote,
    promote,
    register_or_find,
    rollback,
    stage,
    unstage,
)
from mlpipe.ledger.rule import next_try
from mlpipe_tests.ledger.chains import MemoryBackend, candidate, day, register, ticking

WEEK = timedelta(days=7)


def judged(state: State, model: Candidate) -> Candidate:
    """The model, with gates that were decided against the champion of `state`."""
    return replace(model, champion=state.champion.number if state.champion else None)


def allowed(state: State, model: Candidate, at: float, corrected_data: bool = False) -> Verdict:
    return may_promote(
        state, judged(state, model), now=day(at), min_tenure=WEEK, corrected_data=corrected_data
    )


def release(ledger: Ledger, model: Candidate, at: float, tenure: timedelta = WEEK) -> Decision:
    model = judged(ledger.state(), model)
    return decide(ledger, model, actor="nightly", reason="New data.", now=day(at), min_tenure=tenure)


def compared(ledger: Ledger, name: str, at: float, *, gates: bool = False, number: int | None = None) -> int:
    """Release a challenger that was compared with the champion as its next try (or as try `number`); the version's number."""
    state = ledger.state()
    assert state.champion is not None
    right = next_try(state, state.champion.number, name, as_of=day(at))
    model = replace(candidate(name, at, gates=gates), try_number=number or right)
    return release(ledger, model, at).version.number


def no_proof(version: Version) -> None:
    """Every bundle loads."""


def back(ledger: Ledger, at: float, to: int | None = None) -> None:
    rollback(ledger, to, "ana", "Complaints.", now=day(at), prove=no_proof)


def with_champion() -> Ledger:
    ledger = ticking()
    assert release(ledger, candidate("a", 10), 10).promoted
    return ledger


@pytest.mark.parametrize(
    ("model", "at", "sentence"),
    [
        (candidate("b", 20, trigger="backfill"), 20, "trigger 'backfill' never promotes"),
        (candidate("b", 20, role="backfill"), 20, "role of 'backfill', which never promotes"),
        (candidate("b", 20, role="experiment"), 20, "role of 'experiment', which never promotes"),
        (candidate("b", 20, gates=False), 20, "f1 is 0.41, below 0.6."),
        (replace(candidate("b", 20, gates=False), gate_sentence=" "), 20, "The gates did not pass."),
        (candidate("b", 10), 20, "not later than that of the champion, version 1 by nightly (entry 2)"),
        (candidate("b", 9), 20, "earlier than that of the champion, version 1"),
        (
            candidate("b", 20),
            16.9,
            "has been in production for 6 days, 21:36:00; the minimum tenure is 7 day",
        ),
        (candidate("b", 20), 9, "after the date of this decision"),
        (candidate("b", 20, trigger="manual"), 9, "after the date of this decision"),
        (candidate("a", 20), 20, "This bundle is the champion already: version 1"),
    ],
)
def test_each_condition_alone_refuses_with_its_sentence(model: Candidate, at: float, sentence: str) -> None:
    verdict = allowed(with_champion().state(), model, at)
    assert not verdict.promote
    assert len(verdict.reasons) == 1
    assert sentence in verdict.reasons[0]


@pytest.mark.parametrize("trigger", PROMOTING)
def test_with_every_condition_met_it_promotes(trigger: str) -> None:
    model = candidate("b", 10.1, trigger=trigger)
    verdict = allowed(with_champion().state(), model, 17)
    assert verdict.promote
    assert verdict.reasons == ()


def test_a_used_up_budget_freezes_promotions_and_never_a_rollback() -> None:
    ledger, why = with_champion(), "The error budget of psi is used up."
    model = judged(ledger.state(), candidate("b", 20, trigger="manual"))
    told = may_promote(ledger.state(), model, now=day(30), min_tenure=WEEK, frozen=[why])
    assert not told.promote and told.reasons == (why,)
    decision = decide(
        ledger, model, actor="ana", reason="New data.", now=day(30), min_tenure=WEEK, frozen=[why]
    )
    assert decision.refused and decision.reasons == (why,)
    # A rollback goes by another way, which no budget stops; and without a champion there is none to spare.
    assert release(ledger, candidate("c", 31), 40).promoted
    back(ledger, 41)
    champion = ledger.state().champion
    assert champion is not None and champion.bundle == "a"
    first = may_promote(ticking().state(), candidate("a", 10), now=day(10), min_tenure=WEEK, frozen=[why])
    assert first.promote


def test_a_manual_training_does_not_wait_for_the_tenure() -> None:
    state = with_champion().state()
    assert allowed(state, candidate("b", 11, trigger="manual"), 11).promote


def test_corrected_data_may_end_with_the_champions_but_no_earlier() -> None:
    state = with_champion().state()
    same, earlier = candidate("b", 10), candidate("b", 9.9)
    assert allowed(state, same, 20, corrected_data=True).promote
    refused = allowed(state, earlier, 20, corrected_data=True)
    assert [", earlier than that" in reason for reason in refused.reasons] == [True]


def test_no_condition_is_skipped_because_another_failed() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20), 20)
    back(ledger, 21)
    model = candidate("b", 9, trigger="sweep", role="experiment", gates=False)
    reasons = may_promote(ledger.state(), model, now=day(22), min_tenure=WEEK).reasons
    words = ["0.41", "when there was no champion", "trigger 'sweep'", "'experiment'", "rolled back", "paused"]
    words += ["earlier", "minimum tenure"]
    assert len(reasons) == len(words)
    for word, reason in zip(words, reasons, strict=True):
        assert word in reason


def test_after_a_rollback_only_a_person_promotes_until_it_is_acknowledged() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20), 20)
    back(ledger, 21)
    state = ledger.state()
    assert state.champion is not None
    assert state.champion.bundle == "a"
    assert not allowed(state, candidate("c", 30), 30).promote
    assert allowed(state, candidate("c", 30, trigger="manual"), 30).promote
    acknowledge(ledger, "ana", "Understood.", now=day(29))
    assert allowed(ledger.state(), candidate("c", 30), 30).promote
    with pytest.raises(LedgerError, match="not paused"):
        acknowledge(ledger, "ana", "Understood.", now=day(29))


def test_the_minimum_tenure_by_hand() -> None:
    """Champion since day 10, a week to serve: day 17 to the second is enough, a second less is not."""
    state, model = with_champion().state(), candidate("b", 16)
    second = 1 / 86_400
    assert state.champion_since == day(10)
    assert allowed(state, model, 17).promote
    [reason] = allowed(state, model, 17 - second).reasons
    assert reason == (
        "The champion, version 1 by nightly (entry 2), has been in production for 6 days, 23:59:59; "
        "the minimum tenure is 7 days, 0:00:00."
    )
    assert may_promote(state, judged(state, model), now=day(10), min_tenure=timedelta(0)).promote
    assert may_promote(ticking().state(), model, now=day(10), min_tenure=WEEK).promote, "nobody to outlast"


@pytest.mark.parametrize("name", ["backfill", "experiment"])
def test_a_run_that_never_promotes_says_so_once_and_its_gates_first(name: str) -> None:
    state = with_champion().state()
    gates, run = allowed(state, candidate("b", 20, trigger=name, role=name, gates=False), 20).reasons
    assert gates == "f1 is 0.41, below 0.6."
    assert run.startswith(f"A training with the trigger '{name}' never promotes; only schedule, ")


def test_tries_by_hand() -> None:
    ledger = with_champion()
    assert next_try(ledger.state(), 1, "b", as_of=day(11)) == 1
    for at, (name, number) in enumerate([("b", 1), ("c", 2), ("d", 3)], start=11):
        assert next_try(ledger.state(), 1, name, as_of=day(at)) == number
        compared(ledger, name, at)
    release(ledger, candidate("unlike", 14, gates=False), 14)
    state = ledger.state()
    assert next_try(state, 1, "e", as_of=day(20)) == 4, "what could not be compared was no try"
    assert [next_try(state, 1, name, as_of=day(20)) for name in "bcd"] == [1, 2, 3], "the same try again"
    assert next_try(state, 1, "e", as_of=day(12)) == 3, "what was not known then"
    assert next_try(state, 2, "e", as_of=day(20)) == 1, "another champion, another count"
    again = replace(candidate("b", 15, gates=False), evaluation_id="again", try_number=1)
    release(ledger, again, 15)
    assert next_try(ledger.state(), 1, "e", as_of=day(20)) == 4, "a model counts once"


@pytest.mark.parametrize("trigger", ["backfill", "experiment", "replay"])
def test_a_model_that_was_no_candidate_is_no_try(trigger: str) -> None:
    ledger = with_champion()
    for at, name in enumerate("xyz", start=11):
        tried = replace(candidate(name, at, trigger=trigger, gates=False), try_number=1)
        assert release(ledger, tried, at).refused
    compared(ledger, "b", 14)
    assert next_try(ledger.state(), 1, "c", as_of=day(20)) == 2
    # Asked for again by the schedule, with evidence of its own, it is a try, after those that there were.
    assert next_try(ledger.state(), 1, "y", as_of=day(20)) == 2
    again = replace(candidate("y", 15, gates=False), evaluation_id="again", try_number=2)
    release(ledger, again, 15)
    assert next_try(ledger.state(), 1, "y", as_of=day(20)) == 2, "its own"
    assert next_try(ledger.state(), 1, "c", as_of=day(20)) == 3


def test_the_count_starts_again_with_each_champion_and_goes_on_after_a_rollback() -> None:
    ledger = with_champion()
    compared(ledger, "b", 12)
    assert compared(ledger, "c", 20, gates=True) == 3
    assert next_try(ledger.state(), 3, "d", as_of=day(21)) == 1
    compared(ledger, "d", 21)
    back(ledger, 22)
    assert next_try(ledger.state(), 1, "e", as_of=day(23)) == 3


def test_of_two_that_were_judged_as_the_same_try_the_second_is_judged_again() -> None:
    ledger = with_champion()
    compared(ledger, "b", 18)
    late = compared(ledger, "c", 19, gates=True, number=1)
    refused = ledger.state().versions[late]
    assert refused.decision == "refuse"
    assert refused.reason == (
        "Its gates were decided as try 1 against version 1, but it is try 2 by now: evaluate it again."
    )
    again = replace(candidate("c", 19), evaluation_id="again", try_number=2)
    assert release(ledger, again, 19).promoted


def test_gates_that_were_decided_against_another_champion_do_not_promote() -> None:
    ledger = with_champion()
    stale = replace(candidate("b", 20), champion=1, try_number=1)
    compared(ledger, "c", 18, gates=True)
    decision = decide(ledger, stale, actor="nightly", reason="r", now=day(30), min_tenure=WEEK)
    assert decision.reasons == (
        "Its gates were decided against version 1, but the champion is version 2 by nightly (entry 4): evaluate it again.",
    )


def test_by_hand_gates_against_another_champion_need_an_override_with_its_reason() -> None:
    ledger = with_champion()
    paused = replace(candidate("b", 11, role="backfill"), champion=1)
    decide(ledger, paused, actor="x", reason="r", now=day(11))
    never = replace(candidate("n", 12, role="backfill"), champion=None)
    decide(ledger, never, actor="x", reason="r", now=day(12))
    with pytest.raises(
        LedgerError, match="decided when there was no champion, but the champion is version 1 by"
    ):
        promote(ledger, 3, "ana", "I like it.", now=day(13))
    promote(ledger, 2, "ana", "Same champion, gates passed.", now=day(14))
    compared(ledger, "c", 15, gates=True)
    back(ledger, 16)
    with pytest.raises(LedgerError) as caught:
        promote(ledger, 3, "ana", "I like it.", now=day(17))
    assert caught.value.fix.startswith(
        "Evaluate it against the champion of today, or promote it all the same"
    )
    entry = promote(ledger, 3, "ana", "The vendor asks for it.", now=day(17), override=True)
    assert (entry.kind, entry.reason) == ("override", "The vendor asks for it.")
    old = hand_made_before_champions_were_kept(ledger)
    with pytest.raises(LedgerError, match="Its gates were decided when there was no champion"):
        promote(ledger, old, "ana", "r", now=day(40))


def hand_made_before_champions_were_kept(ledger: Ledger) -> int:
    """A version whose registration does not say what it was compared with."""
    draft = register(ledger.state().next_version, 30)
    ledger.transact(lambda state: replace(draft, details={**draft.details, "gates_passed": True}))
    return ledger.state().next_version - 1


def test_a_years_backfill_leaves_production_as_it_was() -> None:
    ledger = with_champion()
    for n in range(20):
        decision = release(ledger, candidate(f"old{n}", 20 + n, role="backfill"), 50 + n)
        assert (decision.promoted, decision.refused) == (False, True)
    state = ledger.state()
    assert state.champion is state.versions[1]
    assert {v.stage for v in state.versions.values()} == {"production", "candidate"}


def test_a_decision_is_a_registration_and_a_verdict() -> None:
    ledger = ticking()
    decision = decide(
        ledger,
        candidate("a", 10),
        actor="nightly",
        reason="Monday.",
        now=day(10),
        logical_date="2024-01-11",
        details={"record": "r1"},
    )
    registered, promoted = decision.entries
    assert ledger.entries() == decision.entries
    assert (registered.kind, registered.version, registered.bundle) == ("register", 1, "a")
    assert registered.details == {
        "record": "r1",
        "data_end": day(10).isoformat(timespec="microseconds"),
        "gates_passed": True,
        "gate_sentence": "",
        "champion": None,
        "try": None,
    }
    assert (promoted.kind, promoted.from_version, promoted.to_version) == ("promote", None, 1)
    assert (promoted.from_stage, promoted.to_stage) == ("candidate", "production")
    assert {e.logical_date for e in decision.entries} == {"2024-01-11"}
    assert {e.effective_at for e in decision.entries} == {day(10)}
    assert (decision.promoted, decision.refused, decision.version.stage) == (True, False, "production")


def test_the_same_evidence_is_decided_once() -> None:
    ledger = with_champion()
    first = release(ledger, candidate("b", 9), 12)
    again = release(ledger, candidate("b", 9), 400)
    assert first.reasons == again.reasons
    assert len(first.reasons) == 2
    assert (again.refused, again.entries, again.version) == (True, (), first.version)
    assert release(ledger, candidate("a", 10), 400).promoted
    assert len(ledger.entries()) == 4
    another = register_or_find(
        ledger,
        replace(candidate("a", 10), evaluation_id="other"),
        actor="x",
        reason="Evaluated again.",
        now=day(12),
    )
    assert another[1].number == 3, "another evaluation is other evidence"


class DyingBackend(MemoryBackend):
    """Fails at the create with the given number, before or after it was written."""

    def __init__(self, at: int, written: bool) -> None:
        super().__init__()
        self.left, self.written = at, written

    def create(self, path: str, data: bytes) -> bool:
        self.left -= 1
        if self.left == 0 and not self.written:
            raise StoreError("The power went.")
        created = super().create(path, data)
        if self.left == 0:
            raise StoreError("The power went.")
        return created


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("at", [1, 2])
def test_a_release_that_died_is_finished_by_the_next(at: int, written: bool) -> None:
    backend = DyingBackend(at, written)
    with pytest.raises(StoreError):
        release(Ledger(backend, "churn"), candidate("a", 10), 10)
    decision = release(Ledger(backend, "churn"), candidate("a", 10), 10)
    assert decision.promoted
    assert [entry.kind for entry in Ledger(backend, "churn").entries()] == ["register", "promote"]


class MeetingBackend(MemoryBackend):
    """Before the first create of an entry of the given kind, somebody else does something."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = b""
        self.meet: Callable[[], object] = lambda: None

    def create(self, path: str, data: bytes) -> bool:
        if self.kind and b'"kind":"' + self.kind + b'"' in data:
            self.kind = b""
            self.meet()
        return super().create(path, data)


def test_of_two_who_promote_at_once_one_wins_and_the_other_is_judged_against_it() -> None:
    backend = MeetingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    backend.kind, backend.meet = b"promote", lambda: release(other, candidate("theirs", 10), 10)
    decision = release(mine, candidate("mine", 11), 10)
    assert decision.refused
    never, tenure = decision.reasons
    assert never == (
        "Its gates were decided when there was no champion, but the champion is version 2 by nightly (entry 3): evaluate it again."
    )
    assert "version 2 by nightly (entry 3), has been in production for 0:00:00" in tenure
    champion = mine.state().champion
    assert champion is not None
    assert champion.bundle == "theirs"
    assert [e.kind for e in mine.entries()] == ["register", "register", "promote", "refuse"]


def test_two_who_release_the_same_evidence_at_once_register_it_once() -> None:
    backend = MeetingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    backend.kind, backend.meet = b"register", lambda: release(other, candidate("same", 10), 10)
    decision = release(mine, candidate("same", 10), 10)
    assert (decision.promoted, decision.entries) == (True, ())
    assert len(mine.entries()) == 2


@pytest.mark.parametrize("kind", ["promote", "rollback"])
def test_a_hand_that_comes_second_fails_by_the_name_of_the_first(kind: str) -> None:
    backend = MeetingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    release(mine, candidate("a", 10), 10)
    release(mine, candidate("b", 20), 20)
    release(mine, candidate("c", 21), 21)
    backend.kind = kind.encode()
    backend.meet = lambda: promote(other, 3, "bob", "I like it.", now=day(22), override=True)
    moves = {"promote": lambda: promote(mine, 3, "ana", "So do I.", now=day(22))}
    with pytest.raises(LedgerConflictError) as caught:
        moves.get(kind, lambda: back(mine, 22))()
    assert "Meanwhile bob made version 3 the champion (override, entry 7" in str(caught.value)
    assert "because: I like it." in str(caught.value)
    assert len(mine.entries()) == 7


def test_a_hand_is_not_stopped_by_entries_that_leave_production_alone() -> None:
    backend = MeetingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    release(mine, candidate("a", 10), 10)
    release(mine, candidate("b", 11), 11)
    backend.kind, backend.meet = b"promote", lambda: release(other, candidate("c", 12), 12)
    assert promote(mine, 2, "ana", "Now.", now=day(13)).number == 7


def test_by_hand_the_recorded_gates_decide_and_an_override_is_recorded_as_one() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20, gates=False), 20)
    with pytest.raises(LedgerError) as caught:
        promote(ledger, 2, "ana", "I trust it.", now=day(21))
    assert "Version 2 may not be promoted: f1 is 0.41, below 0.6." in str(caught.value)
    assert "--override" in caught.value.fix
    assert len(ledger.entries()) == 4
    entry = promote(ledger, 2, "ana", "I trust it.", now=day(21), override=True)
    assert (entry.kind, entry.reason, entry.actor, entry.role) == ("override", "I trust it.", "ana", "human")
    state = ledger.state()
    assert state.champion is state.versions[2]
    assert state.versions[1].stage == "archived"


@pytest.mark.parametrize(
    ("version", "reason", "message"),
    [
        (1, "r", "Version 1 is champion already"),
        (7, "r", "There is no version 7"),
        (2, "", "reason of an entry is empty"),
        (2, "x" * 2001, "2001 characters"),
    ],
)
def test_a_promotion_by_hand_that_cannot_be(version: int, reason: str, message: str) -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 11), 11)
    with pytest.raises(LedgerError, match=message):
        promote(ledger, version, "ana", reason, now=day(21))
    assert len(ledger.entries()) == 4


def test_a_bundle_that_was_rolled_back_comes_back_only_by_override() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20), 20)
    back(ledger, 21)
    acknowledge(ledger, "ana", "Understood.", now=day(21))
    again = replace(candidate("b", 20), evaluation_id="again")
    assert release(ledger, again, 40).reasons == ("This bundle was rolled back before.",)
    for version in (2, 3):
        with pytest.raises(LedgerError, match="Its bundle was rolled back before"):
            promote(ledger, version, "ana", "Fixed upstream.", now=day(41))
    assert promote(ledger, 3, "ana", "Fixed upstream.", now=day(41), override=True).kind == "override"


def test_a_rollback_proves_the_old_bundle_before_anything_is_recorded() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20), 20)
    asked: list[tuple[str, int]] = []

    def broken(version: Version) -> None:
        asked.append((version.bundle, len(ledger.entries())))
        raise BundleError("The bundle is damaged.")

    with pytest.raises(BundleError):
        rollback(ledger, None, "ana", "Complaints.", now=day(21), prove=broken)
    assert asked == [("a", 4)]
    assert len(ledger.entries()) == 4
    with pytest.raises(LedgerError, match="reason of an entry is empty"):
        rollback(ledger, None, "ana", " ", now=day(21), prove=broken)
    assert len(asked) == 1, "a bad reason is found before the work"
    entry = rollback(ledger, None, "ana", "Complaints.", now=day(21), prove=no_proof)
    assert (entry.kind, entry.from_version, entry.to_version) == ("rollback", 2, 1)
    state = ledger.state()
    assert state.versions[2].rolled_back
    assert (state.versions[1].stage, state.versions[2].stage) == ("production", "archived")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (2, "Version 2 is the champion already"),
        (3, "Version 3 never was champion"),
        (9, "There is no version 9"),
    ],
)
def test_a_rollback_goes_only_to_earlier_champions(to: int, message: str) -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20), 20)
    release(ledger, candidate("c", 21), 21)
    with pytest.raises(LedgerError, match=message):
        back(ledger, 22, to)
    back(ledger, 22, 1)
    with pytest.raises(LedgerError, match="Version 2 was rolled back itself") as caught:
        back(ledger, 23, 2)
    assert "none; promote a version" in caught.value.fix


def test_a_clock_that_is_behind_does_not_stop_a_rollback() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20), 20)
    entry = rollback(ledger, None, "ana", "Complaints.", now=day(19), prove=no_proof)
    assert entry.effective_at == day(20)
    assert acknowledge(ledger, "ana", "Understood.", now=day(19)).effective_at == day(20)


def test_onto_staging_by_hand_the_champion_stays_and_what_stands_against_it_needs_an_override() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20, gates=False), 20)
    no = lambda version: [f"no load test of {version.bundle}"]  # noqa: E731
    with pytest.raises(LedgerError, match="Version 2 may not be put onto staging: no load test of b"):
        stage(ledger, 2, "ana", "Trial.", now=day(21), objections=no)
    assert len(ledger.entries()) == 4
    entry = stage(ledger, 2, "ana", "Trial.", now=day(21), objections=no, override=True)
    assert (entry.kind, entry.decision, entry.from_stage) == ("claim", "stage by override", "candidate")
    state = ledger.state()
    assert state.versions[2].stage == "staging" and state.champion is state.versions[1]
    for number, where in ((1, "in production"), (2, "on staging")):
        with pytest.raises(LedgerError, match=f"Version {number} is {where} already"):
            stage(ledger, number, "ana", "Again.", now=day(22))
    # What was decided about it before is not forgotten, and the same evidence is not decided again.
    again = release(ledger, candidate("b", 20, gates=False), 22)
    assert (again.refused, again.promoted, again.entries) == (True, False, ())
    promoted = promote(ledger, 2, "ana", "It held.", now=day(23), override=True)
    assert promoted.from_stage == "candidate" and ledger.state().versions[2].stage == "production"


def test_off_staging_a_version_is_a_candidate_again_and_may_come_back() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20, gates=False), 20)
    with pytest.raises(LedgerError, match=r"Version 2 is not on staging\.(.|\n)*none"):
        unstage(ledger, 2, "ana", "Done.", now=day(21))
    for turn in (21, 23):
        stage(ledger, 2, "ana", "Trial.", now=day(turn))
        with pytest.raises(LedgerError, match=r"Version 1 is not on staging\.(.|\n)*2"):
            unstage(ledger, 1, "ana", "Done.", now=day(turn))
        entry = unstage(ledger, 2, "ana", "Done.", now=day(turn + 1))
        assert (entry.kind, entry.decision, entry.version) == ("claim", "unstage", 2)
        found = ledger.state().versions[2]
        assert (found.stage, found.decision, found.reason) == ("candidate", "refuse", "Done.")
    assert release(ledger, candidate("b", 20, gates=False), 26).refused and not ledger.verify()


def test_a_promotion_by_hand_hears_what_stands_against_the_evidence() -> None:
    ledger = with_champion()
    release(ledger, candidate("b", 20, trigger="backfill", role="backfill"), 20)
    with pytest.raises(LedgerError, match=r"Version 2 may not be promoted: It is old\."):
        promote(ledger, 2, "ana", "Now.", now=day(21), objections=lambda version: ["It is old."])
    assert promote(ledger, 2, "ana", "Now.", now=day(21), objections=lambda version: []).number == 5
