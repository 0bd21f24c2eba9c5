"""The fold: a hand-written chain, both clocks, and what is impossible."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mlpipe.errors import LedgerError
from mlpipe.ledger.entry import Draft
from mlpipe.ledger.fold import State, fold
from mlpipe_tests.ledger.chains import acknowledged, day, hand_written, move, register

REFUSED = Draft(
    kind="refuse",
    actor="nightly",
    role="schedule",
    reason="f1 is too low.",
    effective_at=day(3),
    version=3,
    bundle="b3",
    evaluation="e3",
    from_stage="candidate",
    to_stage="candidate",
)
STORY = (
    register(1, 0),
    move("promote", None, 1, 0),
    register(2, 2),
    move("promote", 1, 2, 2),
    register(3, 3),
    REFUSED,
    move("rollback", 2, 1, 4, stage="archived"),
    acknowledged(5),
    move("override", 1, 3, 6),
    register(4, 7),
)


def stages(state: State) -> dict[int, str]:
    return {number: version.stage for number, version in state.versions.items()}


def test_the_story_by_hand() -> None:
    state = fold(hand_written(*STORY))
    assert stages(state) == {1: "archived", 2: "archived", 3: "production", 4: "candidate"}
    assert [v.rolled_back for v in state.versions.values()] == [False, True, False, False]
    assert state.champion is state.versions[3]
    assert state.champion_since == day(6)
    assert state.anchor is state.versions[1]
    assert state.challenger is state.versions[4]
    assert state.previous_champion is state.versions[1]
    assert not state.paused
    assert state.next_version == 5
    assert [(m.number, m.kind, m.from_version, m.to_version) for m in state.history] == [
        (2, "promote", None, 1),
        (4, "promote", 1, 2),
        (7, "rollback", 2, 1),
        (9, "override", 1, 3),
    ]
    assert state.versions[2].entries == (3, 4, 7)
    assert state.versions[2].reason == "rollback 1"
    assert state.versions[3].entries == (5, 6, 9)
    assert state.versions[3].decision == "override"
    assert state.versions[1].data_end == day(0)


def test_a_refused_version_stays_a_candidate_with_its_reason() -> None:
    version = fold(hand_written(*STORY[:6])).versions[3]
    assert (version.stage, version.decision, version.reason) == ("candidate", "refuse", "f1 is too low.")


def test_a_rollback_pauses_until_it_is_acknowledged() -> None:
    entries = hand_written(*STORY)
    assert [fold(entries[:n]).paused for n in range(6, 10)] == [False, True, False, False]


@pytest.mark.parametrize(
    ("at", "champion"), [(-1, None), (0, 1), (1.9, 1), (2, 2), (3.9, 2), (4, 1), (5.9, 1), (6, 3), (99, 3)]
)
def test_as_of_gives_the_champion_of_that_day(at: float, champion: int | None) -> None:
    state = fold(hand_written(*STORY), as_of=day(at))
    assert (state.champion.number if state.champion else None) == champion


def test_known_at_cuts_by_the_day_of_recording() -> None:
    entries = hand_written(*STORY)
    for number in range(1, len(entries) + 1):
        assert fold(entries, known_at=datetime(2025, 1, number, tzinfo=UTC)) == fold(entries[:number])


def test_an_entry_is_known_only_once_all_before_it_are() -> None:
    first, second, third = hand_written(register(1, 0), register(2, 1), register(3, 2))
    late = replace(second, recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert list(fold((first, late, third), known_at=datetime(2025, 6, 1, tzinfo=UTC)).versions) == [1]


def test_a_backfill_into_the_past_is_seen_as_of_then() -> None:
    entries = hand_written(register(1, 10), move("promote", None, 1, 10), register(2, 4))
    state = fold(entries, as_of=day(5))
    assert list(state.versions) == [2]
    assert state.champion is None
    assert fold(entries).challenger is None, "older than the champion"


def test_the_newest_candidate_after_the_champion_challenges() -> None:
    chain = [register(1, 0), register(2, 1), move("promote", None, 2, 1)]
    assert fold(hand_written(*chain)).challenger is None
    chain += [register(3, 2), register(4, 3), register(5, 2.5)]
    challenger = fold(hand_written(*chain)).challenger
    assert challenger is not None
    assert challenger.number == 4


def test_a_second_rollback_goes_back_one_more() -> None:
    chain = [register(n, n) for n in (1, 2, 3)]
    chain += [move("promote", None, 1, 4), move("promote", 1, 2, 5), move("promote", 2, 3, 6)]
    chain += [move("rollback", 3, 2, 7, stage="archived")]
    state = fold(hand_written(*chain))
    assert state.rollback_target().number == 1
    chain += [move("rollback", 2, 1, 8, stage="archived")]
    with pytest.raises(LedgerError, match="No earlier champion is left to go back to from version 1"):
        fold(hand_written(*chain)).rollback_target()


BASE = (register(1, 0), move("promote", None, 1, 1), register(2, 2), register(3, 3))


@pytest.mark.parametrize(
    ("drafts", "message"),
    [
        ([register(3, 4)], "version 3 exists already"),
        ([register(2, 4)], "version 3 exists already"),
        ([replace(register(4, 4), details={})], "the end of its data"),
        ([replace(register(4, 4), details={"data_end": "soon"})], "data_end of an entry is no ISO time"),
        ([replace(register(4, 4), to_stage="production")], "names the stage"),
        ([move("promote", 1, 4, 4)], "Version 4 is not registered"),
        ([move("promote", 2, 3, 4)], r"names the champion \(2, 3\), but \(1, 3\) holds"),
        ([move("promote", None, 3, 4)], "names the champion"),
        ([move("promote", 1, 3, 4, stage="archived")], "names the stage"),
        ([replace(move("promote", 1, 3, 4), to_stage="staging")], "names the stage"),
        ([replace(move("promote", 1, 3, 4), bundle="b2")], "names the evidence"),
        ([move("promote", 1, 1, 4, stage="production")], "champion already"),
        ([move("promote", 1, 3, 0.5)], "before version 3 was registered"),
        ([move("promote", 1, 3, 9), move("promote", 3, 2, 8)], "before the last move of production"),
        ([move("rollback", 1, 2, 4)], "never was champion"),
        ([acknowledged(4)], "acknowledges a rollback, but none is open"),
        ([replace(REFUSED, version=1, bundle="b1", evaluation="e1", effective_at=day(4))], "is production"),
        ([Draft(kind="claim", actor="a", role="sensor", reason="r", effective_at=day(4))], "claims nothing"),
        (
            [move("promote", 1, 2, 4), move("rollback", 2, 1, 5, stage="archived")]
            + [move("promote", 1, 2, 6, stage="archived")],
            "whose bundle was rolled back",
        ),
        (
            [move("promote", 1, 2, 4), move("rollback", 2, 1, 5, stage="archived"), acknowledged(4.5)],
            "before the last move",
        ),
        (
            [move("promote", 1, 2, 4), move("rollback", 2, 1, 5, stage="archived")]
            + [move("rollback", 1, 2, 6, stage="archived")],
            "was rolled back itself",
        ),
    ],
)
def test_impossible_transitions_are_refused(drafts: list[Draft], message: str) -> None:
    fold(hand_written(*BASE, *drafts[:-1]))
    with pytest.raises(LedgerError, match=message):
        fold(hand_written(*BASE, *drafts))


def test_an_override_may_promote_what_was_rolled_back() -> None:
    back = (move("promote", 1, 2, 4), move("rollback", 2, 1, 5, stage="archived"))
    state = fold(hand_written(*BASE, *back, move("override", 1, 2, 6, stage="archived")))
    assert state.champion is not None
    assert state.champion.number == 2
    assert state.champion.rolled_back


def test_a_name_is_claimed_once() -> None:
    claim = Draft(
        kind="claim", actor="s", role="sensor", reason="r", effective_at=day(0), details={"name": "drift:1"}
    )
    assert fold(hand_written(claim)).claims == {"drift:1": 1}
    with pytest.raises(LedgerError, match="'drift:1', which entry 1 claimed before"):
        fold(hand_written(claim, claim))


def test_a_clock_without_zone_is_refused() -> None:
    for clock in ("as_of", "known_at"):
        with pytest.raises(LedgerError, match=f"{clock} of a decision must be a datetime with a time zone"):
            fold((), **{clock: datetime(2024, 1, 1)})


def test_nothing_folds_to_nothing() -> None:
    state = fold(())
    assert (state.champion, state.anchor, state.challenger, state.next_version) == (None, None, None, 1)
    with pytest.raises(LedgerError, match="no champion to roll back"):
        state.rollback_target()


def staged(version: int, at: float) -> Draft:
    """A person puts the candidate `version` onto staging on day `at`."""
    draft = replace(move("promote", None, version, at), kind="claim", reason=f"stage {version}")
    return replace(
        draft, to_stage="staging", from_version=None, to_version=None, details={"name": f"staging {version}"}
    )


def test_staging_by_hand() -> None:
    chain = (*BASE, staged(3, 4))
    state = fold(hand_written(*chain))
    assert stages(state) == {1: "production", 2: "candidate", 3: "staging"}
    assert state.champion is state.versions[1] and len(state.history) == 1
    version = state.versions[3]
    assert (version.reason, version.decision, version.entries) == ("stage 3", None, (4, 5))
    assert state.challenger is version
    assert stages(fold(hand_written(*chain), as_of=day(3.9)))[3] == "candidate"
    after = fold(hand_written(*chain, move("promote", 1, 3, 5)))
    assert stages(after) == {1: "archived", 2: "candidate", 3: "production"}
    # Where staging is not known a claim is a claim; what follows holds all the same.
    plain = replace(staged(3, 4), to_stage=None)
    assert stages(fold(hand_written(*BASE, plain, move("promote", 1, 3, 5)))) == stages(after)


@pytest.mark.parametrize(
    ("drafts", "message"),
    [
        ([staged(4, 4)], "Version 4 is not registered"),
        ([staged(3, 2.5)], "before version 3 was registered"),
        ([replace(staged(3, 4), bundle="b2")], "names the evidence"),
        ([staged(1, 4)], r"names the stage \('candidate', 'production'\)"),
        ([staged(3, 4), replace(staged(3, 5), details={"name": "again"})], r"\('candidate', 'staging'\)"),
    ],
)
def test_what_may_not_be_put_onto_staging(drafts: list[Draft], message: str) -> None:
    fold(hand_written(*BASE, *drafts[:-1]))
    with pytest.raises(LedgerError, match=message):
        fold(hand_written(*BASE, *drafts))
