"""The store: putting twice is putting once, ids from outside are checked, the first note wins."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import BundleError, DataError, NotFoundError, StoreError
from mlpipe.stores import store as module
from mlpipe.stores.bundles import Bundle, loads
from mlpipe.stores.store import Put, Store
from mlpipe.stores.tables import canonical, from_parquet, to_frame
from mlpipe_tests.stores.models import logistic, people

FRAME = pd.DataFrame({"k": [3, 1, 2], "x": [0.5, np.nan, 1.5], "s": ["a", None, "b"]}).assign(
    n=pd.array([2**60 + 1, None, 2], dtype="Int64")
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def file_of(store: Store, object_id: str) -> Path:
    return Path(store.url.removeprefix("file://")) / store.path_of(object_id)


def test_a_table_comes_back_sorted_by_its_keys(store: Store) -> None:
    put = store.put_table(FRAME, keys=["k"])
    assert put.rows == 3 and not put.existed and put.bytes == file_of(store, put.id).stat().st_size
    expected = FRAME.sort_values("k", ignore_index=True)
    pd.testing.assert_frame_equal(store.get_table(put.id), expected)
    pd.testing.assert_frame_equal(store.get_table(put.id, ["s", "k"]), expected[["s", "k"]])
    with pytest.raises(DataError):
        store.get_table(put.id, ["nope"])


def test_putting_twice_is_a_no_op_that_describes_what_lies_there(store: Store) -> None:
    first = store.put_table(FRAME, keys=["k"])
    again = store.put_table(FRAME.iloc[::-1], keys=["k"])
    assert again == Put(first.id, 3, first.bytes, first.sha256, existed=True)
    assert store.put_bytes(b"x", "report", ".html").existed is False
    assert store.put_bytes(b"x", "report", ".txt").existed is True


def test_the_checksum_is_of_what_lies_there_not_of_what_another_writer_would_write(store: Store) -> None:
    put = store.put_table(FRAME)
    path = file_of(store, put.id)
    path.unlink()
    to_frame(canonical(FRAME)).to_parquet(path, compression="gzip")
    again = store.put_table(FRAME)
    assert again.existed and again.id == put.id and again.sha256 != put.sha256
    assert again.bytes == path.stat().st_size


def test_putting_never_vouches_for_a_damaged_object(store: Store) -> None:
    put = store.put_bytes(b"text", "report")
    path = file_of(store, put.id)
    path.chmod(0o600)
    path.write_bytes(b"tex!")
    for use in (lambda: store.put_bytes(b"text", "report"), lambda: store.get_bytes(put.id)):
        with pytest.raises(StoreError, match="damaged"):
            use()


def test_frames_from_the_cache_are_the_callers_own(store: Store) -> None:
    put = store.put_table(FRAME)
    frame = store.get_table(put.id)
    frame.loc[0, "k"] = 99
    assert store.get_table(put.id)["k"].tolist() == [3, 1, 2]


def test_the_cache_forgets_the_oldest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    puts = [store.put_table(pd.DataFrame({"x": np.full(1000, float(i))})) for i in range(8)]
    store.get_table(puts[0].id)
    (size,) = (table.nbytes for table in store._tables.values())
    monkeypatch.setattr("mlpipe.stores.store._CACHE_BYTES", 5 * size)
    for put in puts:
        store.get_table(put.id)
    assert [key[0] for key in store._tables] == [put.id for put in puts[-5:]]
    store.get_table(puts[3].id)
    store.get_table(puts[0].id)
    assert puts[3].id in {key[0] for key in store._tables}


def test_a_bundle_comes_back_and_is_verified(store: Store) -> None:
    bundle, (frame, _) = logistic(), people()
    put = store.put_bundle(bundle)
    assert np.array_equal(store.get_bundle(put.id).predict(frame), bundle.predict(frame))
    assert store.put_bundle(bundle).existed
    other = store.put_bundle(replace(bundle, threshold=0.1))
    path = file_of(store, put.id)
    path.unlink()
    file_of(store, other.id).rename(path)
    with pytest.raises(StoreError, match="not what its id says"):
        store.get_bundle(put.id)


def test_json_is_named_by_its_value(store: Store) -> None:
    first = store.put_json({"b": [1, float("nan")], "a": None})
    again = store.put_json({"a": None, "b": (1, None)}, "json")
    assert again.id == first.id and again.existed
    assert store.get_json(first.id) == {"a": None, "b": [1, None]}
    assert store.put_json([1], "grid").id.startswith("grid-")


def test_bytes_are_found_by_id_whatever_their_suffix(store: Store) -> None:
    ids = [
        store.put_bytes(b"%d" % i, "profile", suffix).id for i, suffix in enumerate(["", ".bin", ".tar.gz"])
    ]
    fresh = Store.open(store.url)
    for s in (store, fresh):
        assert [s.get_bytes(object_id) for object_id in ids] == [b"0", b"1", b"2"]
    assert fresh.exists(ids[1])
    absent = "profile-" + "0" * 40
    assert not fresh.exists(absent)
    with pytest.raises(NotFoundError, match=absent):
        fresh.get_bytes(absent)


def test_a_model_just_put_is_handed_out_once_and_only_as_it_lies_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def counted(data: bytes, object_id: str, trusted: Any) -> Bundle:
        built.append(object_id)
        return loads(data, object_id, trusted)

    monkeypatch.setattr(module, "loads", counted)
    name = store.put_bundle(logistic()).id
    first, second = store.get_bundle(name), store.get_bundle(name)
    assert built == [name] and first is not second, "the second is the caller's own too"
    store.put_bundle(logistic())
    assert store.get_bundle(name, trusted=["some.Type"]) is not None and len(built) == 2, "asked otherwise"
    path = file_of(store, name)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1])
    with pytest.raises(BundleError, match="damaged"):
        store.get_bundle(name)


def test_tables_and_bundles_are_no_bytes(store: Store) -> None:
    for kind in ("table", "bundle"):
        with pytest.raises(StoreError, match=f"put_{kind}"):
            store.put_bytes(b"x", kind)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "table",
        "../../etc/passwd",
        "table-" + "g" * 40,
        "table-" + "a" * 39,
        "Table-" + "a" * 40,
        "a/b-" + "a" * 40,
    ]
    + ["table-" + "a" * 40 + "\n", "table-" + "a" * 38 + "\0a", "'-" + "a" * 40],
)
def test_ids_from_outside_are_checked_before_they_become_a_path(store: Store, bad: str) -> None:
    for ask in (
        store.exists,
        store.get_bytes,
        store.get_table,
        store.get_bundle,
        store.get_json,
        store.path_of,
    ):
        with pytest.raises(StoreError, match="not the id of an object"):
            ask(bad)


@pytest.mark.parametrize("bad", ["../x", "a/b", "", ".", "a'b", "a\0", "a b"])
def test_names_from_outside_are_checked(store: Store, bad: str) -> None:
    for use in (
        lambda: store.add_record(bad, "r", b"{}"),
        lambda: store.add_record("p", bad, b"{}"),
        lambda: store.get_record(bad, "r"),
        lambda: list(store.records(bad)),
        lambda: store.remember(bad, {}) if bad != "a/b" else store.recall("../b"),
        lambda: store.pin(bad, {}) if bad != "a/b" else store.pin("a/../b", {}),
        lambda: store.put_bytes(b"x", bad),
        lambda: store.put_bytes(b"x", "kind", f"/{bad}'"),
    ):
        with pytest.raises(StoreError):
            use()


def test_records_are_appended_and_listed_by_pipeline(store: Store) -> None:
    assert store.add_record("p", "rec-b", b"{}") is True
    assert store.add_record("p", "rec-a", b"[]") is True
    assert store.add_record("q", "rec-a", b"1") is True
    assert store.add_record("p", "rec-a", b"[]") is False
    with pytest.raises(StoreError, match="exists with other content"):
        store.add_record("p", "rec-a", b"[1]")
    assert list(store.records("p")) == [("rec-a", b"[]"), ("rec-b", b"{}")]
    assert store.get_record("q", "rec-a") == b"1"
    assert store.pipelines() == ["p", "q"]
    assert store.record_ids("none") == []
    with pytest.raises(NotFoundError):
        store.get_record("p", "rec-c")


def test_of_two_who_remember_or_pin_the_first_wins(store: Store) -> None:
    assert store.recall("recipe-1") is None
    assert store.remember("recipe-1", {"id": 1}) == {"id": 1}
    assert store.remember("recipe-1", {"id": 2}) == {"id": 1} == store.recall("recipe-1")
    assert store.pinned("p/grid/1") is None
    assert store.pin("p/grid/1", {"a": float("nan")}) == {"a": None}
    assert store.pin("p/grid/1", {"a": 2}) == {"a": None} == store.pinned("p/grid/1")


def test_many_threads_put_one_object_once(store: Store) -> None:
    with ThreadPoolExecutor(16) as pool:
        puts = list(pool.map(lambda _: store.put_table(FRAME), range(16)))
    assert sum(not put.existed for put in puts) == 1
    assert len({(put.id, put.sha256, put.bytes) for put in puts}) == 1


_PUT = """
import sys
import pandas as pd
from mlpipe.stores.store import Store
store = Store.open(sys.argv[1])
puts = [store.put_table(pd.DataFrame({"x": [i]})) for i in range(20)]
print(sum(not put.existed for put in puts), ",".join(put.id for put in puts))
"""


def test_many_processes_put_each_object_once(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _PUT, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sum(int(created) for created, _ in answers) == 20
    assert len({ids for _, ids in answers}) == 1


def test_a_copied_store_keeps_its_ids(store: Store, tmp_path: Path) -> None:
    ids = store.put_table(FRAME).id, store.put_bundle(logistic()).id
    copytree(store.url.removeprefix("file://"), tmp_path / "copy")
    copy = Store.open(tmp_path / "copy", create=False)
    assert copy.put_table(FRAME).existed and copy.put_bundle(logistic()).existed
    assert copy.get_table(ids[0]).equals(store.get_table(ids[0]))
    assert copy.get_bundle(ids[1]).task == "binary"


def test_a_store_of_another_format_names_the_fix(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(StoreError, match="format 2; this mlpipe reads and writes format 1") as caught:
        Store.open(tmp_path)
    assert "Use the version of mlpipe" in str(caught.value)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path)


def test_opening_without_creating(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Store.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    Store.open(tmp_path / "none")
    assert Store.open(tmp_path / "none", create=False).url.endswith("/none")


def test_a_store_can_be_pickled(store: Store) -> None:
    put = store.put_table(FRAME)
    assert pickle.loads(pickle.dumps(store)).get_table(put.id).equals(store.get_table(put.id))


def test_what_lies_there_is_plain_parquet(store: Store) -> None:
    put = store.put_table(FRAME)
    path = file_of(store, put.id)
    assert path.suffix == ".parquet" and path.parent.name == put.id[6:8]
    assert from_parquet(path.read_bytes()).equals(canonical(FRAME))
    assert pd.read_parquet(path)["k"].tolist() == [3, 1, 2]
