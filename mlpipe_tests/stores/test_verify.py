"""Every kind of damage is found, named, and comes with what to do; a sound store has none."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe.records import codec
from mlpipe.records.record import Input, Output, Record
from mlpipe.stores.store import Put, Store
from mlpipe.stores.verify import Usage, du, verify
from mlpipe_tests.stores.models import logistic


class Filled:
    """A store with one of everything."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, Store.open(root)
        self.table = self.store.put_table(pd.DataFrame({"x": np.random.default_rng(0).random(2000)}))
        self.other = self.store.put_table(pd.DataFrame({"x": [4.0, 5.0, 6.0]}))
        self.bundle = self.store.put_bundle(logistic())
        self.report = self.store.put_bytes(b"<html>", "report", ".html")
        body = {
            "id": "rec-1",
            "inputs": [{"id": self.table.id}, {"id": "dbt/orders"}, {"id": ""}],
            "outputs": [self.output(put) for put in (self.bundle, self.report)],
        }
        self.store.add_record("p", "rec-1", json.dumps(body).encode())
        self.store.remember("recipe-1", {"id": self.table.id})
        self.store.pin("p/grid", {"grid": self.report.id})

    @staticmethod
    def output(put: Put) -> dict[str, object]:
        return {"name": "x", "id": put.id, "rows": put.rows, "bytes": put.bytes, "sha256": put.sha256}

    def file(self, put: Put) -> Path:
        return self.root / self.store.path_of(put.id)

    def write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.unlink()
        path.write_bytes(data)

    def flip(self, put: Put, place: float) -> None:
        data = bytearray(self.file(put).read_bytes())
        data[int(len(data) * place)] ^= 1
        self.write(self.file(put), bytes(data))

    def record(self) -> Path:
        return next((self.root / "records").rglob("rec-1.json"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "store"
    Filled(root)
    return root


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Filled:
    shutil.copytree(template, tmp_path / "store")
    return Filled(tmp_path / "store")


def test_a_sound_store_has_no_problems_and_garbage_is_none(filled: Filled) -> None:
    filled.write(filled.root / "tmp" / "123-abc", b"half a fi")
    report = verify(filled.store)
    assert report.ok and report.problems == ()
    assert (report.objects, report.records, report.notes, report.temporary) == (4, 1, 2, 1)


def _swap(filled: Filled) -> None:
    filled.write(filled.file(filled.table), filled.file(filled.other).read_bytes())


def _truncate(filled: Filled) -> None:
    filled.write(filled.file(filled.table), filled.file(filled.table).read_bytes()[:-9])


def _misplace(filled: Filled) -> None:
    target = filled.root / "objects/report/zz" / filled.file(filled.report).name
    filled.write(target, filled.file(filled.report).read_bytes())


def _intrude(filled: Filled) -> None:
    filled.write(filled.root / "objects/report/aa/notes.txt", b"hello")


DAMAGE: list[tuple[str, Callable[[Filled], None], str, str]] = [
    ("flipped table", lambda f: f.flip(f.table, 0.3), "objects/table/", "damaged"),
    ("flipped bundle", lambda f: f.flip(f.bundle, 0.5), "objects/bundle/", "damaged"),
    ("flipped bytes", lambda f: f.flip(f.report, 0.5), "objects/report/", "other content than its id says"),
    ("swapped table", _swap, "objects/table/", "other content than its id says"),
    ("truncated table", _truncate, "objects/table/", "damaged"),
    ("misplaced", _misplace, "objects/report/zz/", "wrong folder"),
    ("foreign file", _intrude, "objects/report/aa/notes.txt", "no object of mlpipe"),
    ("output gone", lambda f: f.file(f.report).unlink(), "record rec-1 of p", "names the output report-"),
    ("input gone", lambda f: f.file(f.table).unlink(), "record rec-1 of p", "names the input table-"),
    ("torn record", lambda f: f.write(f.record(), b'{"id":'), "record rec-1 of p", "damaged"),
    ("odd record", lambda f: f.write(f.record(), b"[]"), "record rec-1 of p", "no JSON object"),
    ("renamed record", lambda f: f.write(f.record(), b'{"id":"rec-2"}'), "record rec-1 of p", "record rec-2"),
    (
        "torn recipe",
        lambda f: f.write(next((f.root / "recipes").rglob("*.json")), b"{"),
        "recipes/",
        "damaged",
    ),
    ("odd pin", lambda f: f.write(f.root / "pins/p/grid.json", b"1"), "pins/p/grid.json", "no JSON object"),
]


@pytest.mark.parametrize(("change", "where", "what"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE])
def test_each_kind_of_damage_is_found(
    filled: Filled, change: Callable[[Filled], None], where: str, what: str
) -> None:
    change(filled)
    found = [problem for problem in verify(filled.store).problems if problem.where.startswith(where)]
    assert any(what in problem.what for problem in found), verify(filled.store).problems
    assert all(problem.fix for problem in found)


def test_a_checksum_that_a_record_names_is_compared(filled: Filled) -> None:
    body = json.loads(filled.record().read_bytes())
    body["outputs"][1]["sha256"] = hashlib.sha256(b"other").hexdigest()
    filled.write(filled.record(), json.dumps(body).encode())
    (problem,) = verify(filled.store).problems
    assert "checksum" in problem.what and filled.report.id in problem.what


def test_a_sealed_record_that_was_changed_is_found(filled: Filled) -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    empty = Record.model_construct(
        pipeline="p",
        stage="ingest",
        asset="p/raw",
        partition="2024-01-01",
        as_of=now,
        recorded_at=now,
        inputs=(Input(asset="a", partition="b", record="c", id=filled.table.id),),
        outputs=(Output(name="x", id=filled.report.id, sha256=filled.report.sha256),),
    )
    record = codec.sealed(Record.model_validate(empty.model_dump()))
    filled.store.add_record("q", record.id, codec.to_bytes(record))
    assert verify(filled.store).ok
    path = next((filled.root / "records/q").rglob("*.json"))
    filled.write(path, path.read_bytes().replace(b"2024-01-01", b"2024-01-02"))
    (problem,) = verify(filled.store).problems
    assert problem.where == f"record {record.id} of q" and "damaged" in problem.what


def test_du_counts_every_file_once(filled: Filled) -> None:
    usages = {usage.kind: usage for usage in du(filled.store)}
    files = [path for path in filled.root.rglob("*") if path.is_file() and "tmp" not in path.parts[-2:]]
    assert sum(usage.bytes for usage in usages.values()) == sum(path.stat().st_size for path in files)
    assert usages["report"] == Usage("report", 1, 6)
    assert usages["table"].count == 2 and usages["records"].count == 1
    assert [u.bytes for u in du(filled.store)] == sorted((u.bytes for u in du(filled.store)), reverse=True)
