"""Writing behind keeps the order that matters: objects, then the record that names them."""

import threading
import time

import pandas as pd
import pytest

from mlpipe.errors import StoreError
from mlpipe.stores.behind import Behind
from mlpipe.stores.store import Store


def test_a_later_write_waits_for_every_object_before_it():
    done: list[str] = []
    behind = Behind()

    def slow(name: str) -> None:
        time.sleep(0.05)
        done.append(name)

    for name in ("a", "b", "c"):
        behind.submit(name, lambda name=name: slow(name))
    behind.then(lambda: done.append("record"))
    behind.submit("d", lambda: slow("d"))
    behind.close()
    assert all(done.index(name) < done.index("record") for name in ("a", "b", "c"))


def test_a_record_is_not_written_when_an_object_before_it_failed():
    behind, written = Behind(), []

    def broken() -> None:
        raise StoreError("the disk is full")

    behind.submit("a", broken)
    with pytest.raises(StoreError, match="full"):
        behind.then(lambda: written.append("record")).result()
    # Nor is the next one: nobody has mended what it may name.
    with pytest.raises(StoreError, match="full"):
        behind.then(lambda: written.append("record")).result()
    assert written == []
    with pytest.raises(StoreError, match="full"):
        behind.close()


def test_the_same_object_is_written_once():
    behind, calls = Behind(), []
    for _ in range(5):
        behind.submit("a", lambda: calls.append(threading.current_thread().name))
    behind.close()
    assert len(calls) == 1


def test_reading_waits_for_an_object_that_is_under_way(tmp_path, monkeypatch):
    store = Store.open(tmp_path)
    create = type(store.backend).create

    def slowly(self, path, data):
        time.sleep(0.1 if path.startswith("objects/") else 0)
        return create(self, path, data)

    monkeypatch.setattr(type(store.backend), "create", slowly)
    frame = pd.DataFrame({"x": [1, 2, 3]})
    with store.writing_behind():
        put = store.put_table(frame)
        assert store.exists(put.id)
        assert store.get_table(put.id)["x"].tolist() == [1, 2, 3]
        again = store.put_table(frame)
    assert not put.existed and again.existed and again.sha256 == put.sha256


def test_a_note_within_follows_what_it_names(tmp_path, monkeypatch):
    store = Store.open(tmp_path)
    order: list[str] = []
    create = type(store.backend).create

    def watched(self, path, data):
        time.sleep(0.05 if path.startswith("objects/") else 0)
        order.append(path.split("/")[0])
        return create(self, path, data)

    monkeypatch.setattr(type(store.backend), "create", watched)
    with store.writing_behind():
        put = store.put_bytes(b"profile", "profile", ".bin")
        store.note("recipe-1", {"id": put.id})
    assert order == ["objects", "recipes"]
    assert store.recall("recipe-1") == {"id": put.id}


def test_an_error_behind_the_caller_is_raised_at_the_end(tmp_path, monkeypatch):
    store = Store.open(tmp_path)

    def full(self, path, data):
        raise StoreError("the disk is full")

    monkeypatch.setattr(type(store.backend), "create", full)
    with pytest.raises(StoreError, match="full"), store.writing_behind():
        store.put_bytes(b"x", "report", ".md")
