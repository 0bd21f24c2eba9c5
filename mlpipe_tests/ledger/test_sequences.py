"""Whatever operations are tried in whatever order, the chain stays whole and the folds agree."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.errors import LedgerError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import ROLES
from mlpipe.ledger.fold import fold
from mlpipe.ledger.promotion import (
    PROMOTING,
    Candidate,
    Decision,
    acknowledge,
    decide,
    promote,
    register_or_find,
    rollback,
)
from mlpipe_tests.ledger.chains import candidate, day, ticking

# One operation: what; with which version or model; how many days after the one before; trigger; role; gates.
# Most of it is sensible, or hardly anything would get far enough to be put to the test.
operations = st.lists(
    st.tuples(
        st.sampled_from(
            ["release"] * 4 + ["register", "promote", "override", "rollback", "back", "acknowledge"]
        ),
        st.integers(1, 9),
        st.sampled_from([1, 1, 2, 3, 0, -1, -4]),
        st.sampled_from([*PROMOTING, *PROMOTING, "backfill"]),
        st.sampled_from(["schedule"] * 5 + list(ROLES)),
        st.sampled_from([True, True, False]),
    ),
    min_size=8,
    max_size=30,
)
Step = tuple[str, int, int, str, str, bool]


def play(steps: list[Step]) -> Ledger:
    """A ledger after all `steps`; those that are impossible have left nothing behind."""
    ledger, today = ticking(), 5
    for what, which, days, trigger, role, gates in steps:
        today += days
        with suppress(LedgerError):
            act(
                ledger,
                what,
                which,
                today,
                candidate(f"m{today}", today, trigger=trigger, role=role, gates=gates),
            )
    return ledger


def act(ledger: Ledger, what: str, which: int, at: int, model: Candidate) -> None:
    champion = ledger.state().champion
    model = replace(model, champion=champion.number if champion else None)
    if what == "release":
        decide(ledger, model, actor="x", reason="r", now=day(at), min_tenure=timedelta(days=1))
    elif what == "register":
        register_or_find(ledger, model, actor="x", reason="r", now=day(at))
    elif what in ("promote", "override"):
        promote(ledger, which, "ana", "r", now=day(at), override=what == "override")
    elif what == "acknowledge":
        acknowledge(ledger, "ana", "r", now=day(at))
    else:
        to = which if what == "back" else None
        rollback(ledger, to, "ana", "r", now=day(at), prove=lambda version: None)


@settings(max_examples=80, deadline=None)
@given(operations)
def test_whatever_is_tried_the_chain_stays_whole(
    steps: list[Step],
) -> None:
    ledger = play(steps)
    assert Ledger(ledger.backend, "churn").verify() == []
    entries = ledger.entries()
    for cut, entry in enumerate(entries, start=1):
        state = fold(entries, known_at=entry.recorded_at)
        assert state == fold(entries[:cut])
        moves = [e.to_version for e in entries[:cut] if e.to_stage == "production"]
        in_production = [v.number for v in state.versions.values() if v.stage == "production"]
        assert in_production == moves[-1:]
        assert (state.champion.number if state.champion else None) == (moves[-1] if moves else None)
        assert list(state.versions) == list(range(1, state.next_version))


@settings(max_examples=60, deadline=None)
@given(operations, st.integers(0, 60))
def test_as_of_any_day_is_what_the_moves_up_to_then_say(steps: list[Step], at: int) -> None:
    ledger = play(steps)
    entries = ledger.entries()
    state = ledger.state(as_of=day(at))
    assert state == fold(entry for entry in entries if entry.effective_at <= day(at))
    moves = [e for e in entries if e.to_stage == "production" and e.effective_at <= day(at)]
    last = max(moves, key=lambda e: (e.effective_at, e.number), default=None)
    assert (state.champion.number if state.champion else None) == (last.to_version if last else None)


def test_the_next_night_does_not_undo_a_rollback() -> None:
    """Each night trains and releases by itself: neither the model that was rolled back nor a newer one gets through the pause."""
    ledger = ticking()

    def night(name: str, at: int) -> Decision:
        state = ledger.state()
        model = replace(
            candidate(name, at),
            evaluation_id=f"night-{at}",
            champion=state.champion.number if state.champion else None,
        )
        return decide(ledger, model, actor="nightly", reason="Night.", now=day(at), min_tenure=timedelta(0))

    assert night("good", 1).promoted and night("bad", 2).promoted
    rollback(ledger, None, "ana", "Complaints.", now=day(2.5), prove=lambda version: None)
    rolled, paused = (
        "This bundle was rolled back before.",
        "Automatic promotion is paused since the last rollback",
    )
    same, newer = night("bad", 3), night("newer", 4)
    assert same.refused and same.reasons[0] == rolled and same.reasons[1].startswith(paused)
    assert newer.refused and len(newer.reasons) == 1 and newer.reasons[0].startswith(paused)
    acknowledge(ledger, "ana", "The feed is mended.", now=day(4.5))
    assert night("bad", 5).reasons == (rolled,)
    state = ledger.state()
    assert state.champion is not None and state.champion.bundle == "good"
    assert night("newest", 6).promoted
