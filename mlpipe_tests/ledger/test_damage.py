"""Whatever is done to the files of whatever chain, `verify` finds it; what cuts the tail off, with the mirror's head."""

from dataclasses import fields
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.errors import LedgerError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Draft, Entry
from mlpipe_tests.ledger.chains import MemoryBackend, ticking
from mlpipe_tests.ledger.test_sequences import Step, operations, play


@cache
def tail_of_each_kind() -> Ledger:
    """A chain with every kind of entry, which ends in what is no move: a refusal, a claim, an acknowledgement."""
    release: list[Step] = [("release", 1, 2, "schedule", "schedule", True)] * 2
    back: list[Step] = [
        ("rollback", 1, 1, "manual", "human", True),
        ("acknowledge", 1, 1, "manual", "human", True),
    ]
    ledger = play([*release, ("override", 1, 1, "manual", "human", True), *back])
    details: dict[str, Any] = {"name": "drift:1", "holder": "run"}
    ledger.append("claim", actor="s", role="sensor", reason="Drift.", details=details)
    return ledger


chains = operations.map(play).filter(lambda ledger: len(ledger.entries()) >= 3)


def files(ledger: Ledger) -> dict[str, bytes]:
    assert isinstance(ledger.backend, MemoryBackend)
    return ledger.backend.files


def damaged(ledger: Ledger, changed: dict[str, bytes]) -> Ledger:
    """The chain with other files, as somebody finds it who never read it."""
    backend = MemoryBackend()
    backend.files = changed
    return Ledger(backend, ledger.pipeline)


def assert_found(ledger: Ledger, *places: int) -> None:
    """`verify` names the places, and nobody who reads the chain gets past the damage."""
    where = {f.where.rpartition("entry ")[2] for f in ledger.verify()}
    assert {str(place) for place in places} <= where
    with pytest.raises(LedgerError):
        ledger.entries()


@given(chains, st.data())
def test_every_edit_of_a_byte_is_found(ledger: Ledger, data: st.DataObject) -> None:
    held = dict(files(ledger))
    path = data.draw(st.sampled_from(sorted(held)))
    old = held[path]
    place = data.draw(st.integers(0, len(old) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != old[place]).map(lambda b: bytes([b])))
    kind = data.draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
    after = {
        "replace": byte + old[place + 1 :],
        "insert": byte + old[place:],
        "delete": old[place + 1 :],
        "cut": b"",
    }
    held[path] = old[:place] + after[kind]
    assert_found(damaged(ledger, held), int(path[-13:-5]))


@given(chains, st.data())
def test_every_removal_before_the_end_is_found(ledger: Ledger, data: st.DataObject) -> None:
    paths = sorted(files(ledger))
    gone = data.draw(st.sets(st.sampled_from(paths[:-1]), min_size=1))
    held = {p: d for p, d in files(ledger).items() if p not in gone}
    assert_found(damaged(ledger, held), *(int(p[-13:-5]) for p in gone))


@given(chains, st.data())
def test_every_other_order_is_found(ledger: Ledger, data: st.DataObject) -> None:
    paths = sorted(files(ledger))
    order = data.draw(st.permutations(paths).filter(lambda order: order != paths))
    held = {p: files(ledger)[q] for p, q in zip(paths, order, strict=True)}
    assert_found(
        damaged(ledger, held), *(int(p[-13:-5]) for p, q in zip(paths, order, strict=True) if p != q)
    )


@given(chains, st.data())
def test_every_truncation_is_found_with_the_mirrors_head(ledger: Ledger, data: st.DataObject) -> None:
    entries = ledger.entries()
    kept = data.draw(st.integers(0, len(entries) - 1))
    held = dict(sorted(files(ledger).items())[:kept])
    [finding] = damaged(ledger, held).verify((entries[-1].number, entries[-1].hash))
    assert finding.what == (
        f"The tail was removed: entry {kept} is the last, but the mirror knows entry {len(entries)}."
    )


@given(chains, st.data())
def test_every_forgery_whose_hashes_agree_is_found_with_the_mirrors_head(
    ledger: Ledger, data: st.DataObject
) -> None:
    """From some entry on, the chain is written anew with another actor, as somebody would who knows the format."""
    entries = ledger.entries()
    first = data.draw(st.integers(1, len(entries)))
    forged: list[Entry] = list(entries[: first - 1])
    for entry in entries[first - 1 :]:
        after = forged[-1] if forged else None
        chain, nonce = (entry.pipeline, entry.segment, entry.deployment), entry.nonce
        forged.append(
            Entry.seal(renamed(entry), after=after, chain=chain, nonce=nonce, recorded_at=entry.recorded_at)
        )
    held = {path: entry.to_bytes() for path, entry in zip(sorted(files(ledger)), forged, strict=True)}
    changed = damaged(ledger, held)
    assert changed.verify() == []
    [finding] = changed.verify((entries[-1].number, entries[-1].hash))
    assert "the chain was rewritten" in finding.what
    if first < len(entries):
        alone = dict(files(ledger)) | {sorted(held)[first - 1]: forged[first - 1].to_bytes()}
        assert_found(damaged(ledger, alone), first + 1)
    # A head that is mirrored after the forgery does not hide it while the mirror also holds what it knew before.
    everything = [(e.number, e.hash) for e in (*entries, *forged)]
    assert [f.what for f in changed.verify(*everything)] == [
        f"Entry {first} is not the one that the mirror knows: the chain was rewritten."
    ]


def renamed(entry: Entry) -> Draft:
    return Draft(**{f.name: getattr(entry, f.name) for f in fields(Draft)} | {"actor": "eve"})


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_tail_without_a_move_is_missed_too(cut: int) -> None:
    ledger = tail_of_each_kind()
    entries = ledger.entries()
    assert [e.kind for e in entries[-3:]] == ["rollback", "acknowledge", "claim"]
    held = dict(sorted(files(ledger).items())[:-cut])
    known = [(e.number, e.hash) for e in entries]
    assert len(damaged(ledger, held).verify(*known)) == 1
    assert damaged(ledger, dict(files(ledger))).verify(*known, None) == []


def test_an_empty_chain_against_a_mirror_that_knows_it() -> None:
    head = tail_of_each_kind().entries()[-1]
    assert ticking().verify((head.number, head.hash))[0].what.startswith("The tail was removed: entry 0 is")
