from pathlib import Path

import pytest

from mlpipe.errors import MlpipeError, NotFoundError, StoreError
from mlpipe.index import kept
from mlpipe.index.index import Index
from mlpipe.stores.backend import open_backend
from mlpipe_tests.index.made import record, training


def test_a_note_is_in_the_store_and_at_the_row(index: Index, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    own = training(1, notes="tried by hand")
    index.add([own], store)
    first = index.note(own.id, "  looks odd\n", "ana")
    index.note("run-1", "it was the feed", "bob")
    assert index.ask("").rows[0]["notes"] == "tried by hand\nlooks odd\nit was the feed"
    assert index.ask('notes like "%feed"').total == 1
    backend = open_backend(store)
    assert [n.text for n in kept.notes(backend)] == ["looks odd", "it was the feed"]
    assert [n.actor for n in kept.notes(backend, {first.name})] == ["bob"]
    index.add_notes(list(kept.notes(backend)))
    index.add([own], store, replace=True)
    assert index.ask("").rows[0]["notes"].count("\n") == 2


def test_a_note_before_its_record_is_not_lost(index: Index, tmp_path: Path) -> None:
    own = training(1)
    made = kept.write_note(str(tmp_path / "store"), own.pipeline, own.id, "early", "ana")
    index.add_notes([made])
    index.add([own])
    assert index.ask("").rows[0]["notes"] == "early"


def test_empty_and_endless_notes_are_refused_and_of_nothing_there_is_none(
    index: Index, tmp_path: Path
) -> None:
    index.add([record(1)], str(tmp_path / "store"))
    for text in (" \n", "x" * 10_001):
        with pytest.raises(MlpipeError, match="1 to 10000 characters"):
            index.note("run-1", text, "ana")
    with pytest.raises(NotFoundError):
        index.note("run-9", "text", "ana")
    assert not (tmp_path / "store/notes").exists()


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    backend = open_backend(str(tmp_path / "store"))
    backend.create("notes/flights/rec-1/one.json", b'{"record": 5}')
    with pytest.raises(StoreError, match="a note is damaged") as caught:
        list(kept.notes(backend))
    assert "notes/flights/rec-1/one.json" in str(caught.value)


def test_marks_of_deletion_come_back(tmp_path: Path) -> None:
    backend = open_backend(str(tmp_path / "store"))
    kept.write_deleted(backend, "flights", ["rec-1", "rec-2"])
    kept.write_deleted(backend, "flights", ["rec-2"])
    assert kept.deleted(backend) == {"rec-1", "rec-2"}
