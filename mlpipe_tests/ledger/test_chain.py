"""The chain: appending, losing races, and what verify finds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import combinations

import pytest

from mlpipe.errors import LedgerConflictError, LedgerError
from mlpipe.ledger import chain as chain_module
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Draft, Entry
from mlpipe.ledger.fold import State
from mlpipe_tests.ledger.chains import MemoryBackend, day, hand_written, move, register, ticking

CHAIN = (register(1, 0), move("promote", None, 1, 0), register(2, 1), move("promote", 1, 2, 1))


class RacingBackend(MemoryBackend):
    """Right before a create, `others` may create something first."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[Callable[[], object]] = []
        self.racing = False

    def create(self, path: str, data: bytes) -> bool:
        if self.others and not self.racing:
            self.racing = True
            self.others.pop(0)()
            self.racing = False
        return super().create(path, data)


class ForgetfulBackend(MemoryBackend):
    """Says that somebody else's file stands there although it wrote ours: a repeated request."""

    def create(self, path: str, data: bytes) -> bool:
        super().create(path, data)
        return False


class WatchedBackend(MemoryBackend):
    """Notes what is read, and may leave out some paths of a listing, as a listing during a write may."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__()
        self.files = files
        self.reads: list[str] = []
        self.unlisted: set[str] = set()

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        return super().read(path)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        return (found for found in super().list(prefix) if found[0] not in self.unlisted)


def stored(*drafts: Draft) -> Ledger:
    backend = MemoryBackend()
    for entry in hand_written(*drafts):
        backend.create(f"ledger/churn/_/dev/{entry.number:08d}.json", entry.to_bytes())
    return Ledger(backend, "churn")


def claimed(ledger: Ledger, name: str) -> Entry:
    details: dict[str, object] = {"name": name}
    return ledger.append("claim", actor="ana", role="human", reason=f"for {name}", details=details)


def files(ledger: Ledger) -> dict[str, bytes]:
    assert isinstance(ledger.backend, MemoryBackend)
    return ledger.backend.files


def path(number: int) -> str:
    return f"ledger/churn/_/dev/{number:08d}.json"


def test_entries_lie_under_their_chain_and_follow_each_other() -> None:
    ledger = ticking()
    assert ledger.head() is None
    first, second = claimed(ledger, "a"), claimed(ledger, "b")
    assert list(files(ledger)) == [path(1), path(2)]
    assert ledger.entries() == (first, second)
    assert second.previous == first.hash
    assert ledger.head() == second
    assert first.recorded_at < second.recorded_at
    assert Ledger(ledger.backend, "churn").entries() == (first, second)


def test_chains_of_segments_and_deployments_do_not_meet() -> None:
    backend = MemoryBackend()
    for segment, deployment in [(None, "dev"), ("EWR", "dev"), ("EWR", "prod")]:
        claimed(Ledger(backend, "churn", segment=segment, deployment=deployment), "a")
    assert sorted(backend.files) == [
        f"ledger/churn/{p}/00000001.json" for p in ("EWR/dev", "EWR/prod", "_/dev")
    ]
    backend.files["ledger/churn/_/prod/00000001.json"] = backend.files["ledger/churn/_/dev/00000001.json"]
    with pytest.raises(LedgerError, match="The entry is of churn/_/dev"):
        Ledger(backend, "churn", deployment="prod").entries()


def test_only_new_entries_are_read_again() -> None:
    backend = WatchedBackend(files(stored(*CHAIN)))
    ledger = Ledger(backend, "churn")
    known = ledger.entries()
    claimed(Ledger(backend, "churn"), "a")
    backend.reads.clear()
    assert ledger.entries()[:4] == known
    assert backend.reads == [path(5)]


def test_an_entry_that_a_listing_skipped_is_read_all_the_same() -> None:
    backend = WatchedBackend(files(stored(*CHAIN)))
    backend.unlisted = {path(3)}
    assert [entry.number for entry in Ledger(backend, "churn").entries()] == [1, 2, 3, 4]


def test_expect_fails_by_the_name_of_who_came_first() -> None:
    ledger = ticking()
    claimed(ledger, "a")
    with pytest.raises(LedgerConflictError) as caught:
        ledger.append("claim", expect=0, actor="bob", role="human", reason="late", details={"name": "b"})
    assert "Entry 1 came first: claim by ana (human) at 2025-01-01T" in str(caught.value)
    assert "for a" in str(caught.value)
    assert "'claim' by bob was not recorded" in str(caught.value)
    assert len(ledger.entries()) == 1
    ledger.append("claim", expect=1, actor="bob", role="human", reason="now", details={"name": "b"})
    assert len(ledger.entries()) == 2
    with pytest.raises(LedgerError, match="made on entry 7, but the ledger ends with 2"):
        ledger.append("claim", expect=7, actor="bob", role="human", reason="lost", details={"name": "c"})


def test_expect_fails_when_another_comes_between_reading_and_writing() -> None:
    backend = RacingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    backend.others = [lambda: claimed(other, "theirs")]
    with pytest.raises(LedgerConflictError, match="for theirs"):
        mine.append("claim", expect=0, actor="bob", role="human", reason="mine", details={"name": "mine"})
    assert [entry.reason for entry in mine.entries()] == ["for theirs"]


def test_a_loser_checks_again_on_what_then_holds() -> None:
    backend = RacingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    backend.others = [lambda: claimed(other, "a"), lambda: claimed(other, "b")]
    seen: list[int] = []

    def check(state: State) -> None:
        seen.append(len(state.claims))

    entry = mine.append("claim", check=check, actor="x", role="human", reason="r", details={"name": "mine"})
    assert (seen, entry.number) == ([0, 1, 2], 3)


def test_a_loser_whose_precondition_is_gone_writes_nothing() -> None:
    backend = RacingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    backend.others = [lambda: claimed(other, "a")]

    def check(state: State) -> None:
        if state.claims:
            raise LedgerError("somebody claimed")

    with pytest.raises(LedgerError, match="somebody claimed"):
        mine.append("claim", check=check, actor="x", role="human", reason="r", details={"name": "mine"})
    assert [entry.reason for entry in mine.entries()] == ["for a"]


def test_who_loses_every_race_gives_up_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "_LONGEST_PAUSE", 0.0)
    backend = RacingBackend()
    mine, other = Ledger(backend, "churn"), Ledger(backend, "churn")
    for n in range(chain_module.ATTEMPTS):
        backend.others.append(partial(claimed, other, f"n{n}"))
    with pytest.raises(LedgerConflictError, match="lost 60 races in a row and was not recorded") as caught:
        claimed(mine, "mine")
    assert "Entry 60 came first: claim by ana (human) at " in str(caught.value)
    assert "because: for n59" in str(caught.value)
    assert "mine" not in mine.state().claims


def test_a_repeated_create_that_finds_our_own_entry_has_succeeded() -> None:
    ledger = Ledger(ForgetfulBackend(), "churn")
    entry = claimed(ledger, "a")
    again = ledger.append("claim", expect=1, actor="x", role="human", reason="r", details={"name": "b"})
    assert ledger.entries() == (entry, again)


def test_what_the_fold_would_refuse_is_never_written() -> None:
    ledger = stored(*CHAIN)
    with pytest.raises(LedgerError, match="It acknowledges a rollback, but none is open"):
        ledger.append("acknowledge", actor="ana", role="human", reason="r")
    with pytest.raises(LedgerError, match="reason of an entry is empty"):
        ledger.append("claim", actor="ana", role="human", reason="", details={"name": "a"})
    assert len(files(ledger)) == 4


def test_a_claim_has_one_holder() -> None:
    backend = MemoryBackend()
    first, second = Ledger(backend, "churn"), Ledger(backend, "churn")
    assert first.claim("drift:3:2024-01-05:1", "run-a", actor="s", role="sensor", reason="Drift.")
    assert not second.claim("drift:3:2024-01-05:1", "run-b", actor="s", role="sensor", reason="Drift.")
    assert first.claim("drift:3:2024-01-05:1", "run-a", actor="s", role="sensor", reason="Drift.")
    assert len(first.entries()) == 1


def test_a_whole_chain_has_no_findings() -> None:
    ledger = stored(*CHAIN)
    head = ledger.head()
    assert head is not None
    assert ledger.verify() == []
    assert ledger.verify((4, head.hash)) == []
    assert ledger.verify((2, ledger.entries()[1].hash)) == []
    assert Ledger(MemoryBackend(), "churn").verify() == []


def test_verify_finds_every_single_byte_edit() -> None:
    ledger = stored(*CHAIN)
    ledger.entries()
    for number in (1, 2, 4):
        data = files(ledger)[path(number)]
        for place in range(len(data)):
            files(ledger)[path(number)] = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            findings = ledger.verify()
            assert any(f.where == f"ledger churn/_/dev, entry {number}" for f in findings), place
            with pytest.raises(LedgerError, match=f"entry {number}"):
                Ledger(ledger.backend, "churn").entries()
        files(ledger)[path(number)] = data
    assert ledger.verify() == []


def test_verify_finds_every_removal() -> None:
    for number in range(1, 5):
        ledger = stored(*CHAIN)
        head = ledger.entries()[-1]
        del files(ledger)[path(number)]
        findings = [str(f) for f in ledger.verify((4, head.hash))]
        assert len(findings) == 1
        if number < 4:
            assert f"entry {number}: Entry {number} is missing" in findings[0]
        else:
            assert "entry 3 is the last, but the mirror knows entry 4" in findings[0]
        with pytest.raises(LedgerError, match=f"Entry {number} is missing"):
            ledger.entries()


def test_verify_finds_every_exchange() -> None:
    for one, other in combinations(range(1, 5), 2):
        ledger = stored(*CHAIN)
        held = files(ledger)
        held[path(one)], held[path(other)] = held[path(other)], held[path(one)]
        places = {f.where.rpartition(" ")[2] for f in ledger.verify()}
        assert {str(one), str(other)} <= places


def test_a_chain_that_is_cut_and_moved_up_is_found() -> None:
    ledger = stored(*CHAIN)
    held = files(ledger)
    held[path(2)], held[path(3)] = held[path(3)], held.pop(path(4))
    assert any("Entry 3 lies at place 2" in f.what for f in ledger.verify())


def test_a_rewritten_chain_betrays_itself_by_the_mirrored_head() -> None:
    ledger = stored(*CHAIN)
    head = ledger.entries()[-1]
    forged = stored(*CHAIN[:3], replace(CHAIN[3], actor="eve"))
    assert forged.verify() == []
    assert [f.what for f in forged.verify((4, head.hash))] == [
        "Entry 4 is not the one that the mirror knows: the chain was rewritten."
    ]


def test_an_entry_grafted_after_a_forged_one_is_found() -> None:
    ledger = stored(*CHAIN)
    forged = stored(replace(CHAIN[0], actor="eve"), *CHAIN[1:])
    files(ledger)[path(1)] = files(forged)[path(1)]
    assert [f.where for f in ledger.verify()] == ["ledger churn/_/dev, entry 2"]


def test_verify_names_files_that_are_no_entries_and_impossible_transitions() -> None:
    ledger = stored(*CHAIN, move("promote", 1, 2, 2))
    files(ledger)["ledger/churn/_/dev/00000001.json.bak"] = b""
    files(ledger)["ledger/churn/_/dev/00000000.json"] = b""
    findings = ledger.verify()
    assert [f.where for f in findings[:2]] == [
        "ledger/churn/_/dev/00000000.json",
        "ledger/churn/_/dev/00000001.json.bak",
    ]
    assert "names the" in findings[2].what


def test_a_far_number_does_not_make_the_reader_look_at_each_place() -> None:
    ledger = stored(*CHAIN)
    files(ledger)[path(99_999_999)] = b"x"
    with pytest.raises(LedgerError, match="Entry 5 is missing"):
        ledger.entries()
    assert "beyond a gap" in ledger.verify()[-1].what


def test_long_chains_are_read_in_order() -> None:
    length = chain_module._AHEAD + 100
    claims = [
        Draft(
            kind="claim", actor="s", role="sensor", reason="r", effective_at=day(0), details={"name": f"{n}"}
        )
        for n in range(length)
    ]
    assert [e.number for e in stored(*claims).entries()] == list(range(1, length + 1))


def test_the_clock_of_an_entry_is_the_ledgers() -> None:
    now = datetime(2030, 5, 1, tzinfo=UTC)
    ledger = Ledger(MemoryBackend(), "churn", clock=lambda: now)
    entry = claimed(ledger, "a")
    assert (entry.recorded_at, entry.effective_at) == (now, now)
    entry = ledger.append(
        "claim", actor="a", role="human", reason="r", effective_at=day(0), details={"name": "b"}
    )
    assert (entry.recorded_at, entry.effective_at) == (now, day(0))
