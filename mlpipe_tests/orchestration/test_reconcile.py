import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlpipe.cli import main
from mlpipe.index.index import Index
from mlpipe.index.place import index_url
from mlpipe.orchestration.reconcile import brought_up
from mlpipe.records.codec import to_bytes
from mlpipe.stores.store import Store
from mlpipe_tests.index.made import training
from mlpipe_tests.orchestration.conftest import World, world_at

Rows = dict[str, dict[str, Any]]


def told(text: str) -> None:
    raise AssertionError(f"nothing should be told: {text}")


def rows(url: str) -> Rows:
    """Everything that an index holds, by record; numbers of rows left aside."""
    with Index.open(url) as index:
        answer = index.ask('stage like "%"')
        events = dict(index.database.run("select id, event from record"))
        readers = {row["id"]: sorted(r.id for r in index.readers(row["id"])) for row in answer.rows}
    return {r["id"]: {**r, "event": events[r["id"]], "readers": readers[r["id"]]} for r in answer.rows}


@pytest.fixture
def lived(world: World, tmp_path: Path) -> Iterator[World]:
    """What has run, with a model in production; the test's own."""
    folder = tmp_path / "lived"
    shutil.copytree(world.on.root_directory, folder)
    (folder / "mlpipe").mkdir(exist_ok=True)
    for file in (folder / "mlpipe").glob("index.sqlite*"):
        file.unlink()
    with dg.DagsterInstance.from_config(str(folder)) as on:
        yield world_at(folder, on)


def synced(world: World, url: str, **how: Any) -> str:
    return brought_up(url, stores=[world.store.url], tell=told, on=world.on, **how)


def test_steps_write_what_a_sync_and_a_rebuild_would(world: World, tmp_path: Path) -> None:
    by_steps = index_url(world.on.root_directory)
    assert synced(world, by_steps).startswith("0 records were missing")
    anew = f"sqlite:///{tmp_path}/anew.sqlite"
    assert not synced(world, anew, full=True, anew=True).startswith("0 records")
    one, other = rows(by_steps), rows(anew)
    assert len(one) > 50 and one == other


def test_a_training_has_its_version_its_stage_and_its_event(lived: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.sqlite"
    synced(lived, url)
    with Index.open(url) as index:
        found = index.find("shop@production")
        assert [r.get("version") for r in found] == [1] and found[0].get("release_stage") == "production"
        assert index.ask("registered = true").rows[0]["id"] == found[0].id == index.one("shop@1").id
        assert found[0].get("metrics.test.roc_auc") is not None
    assert all(values["event"] for values in rows(url).values())


def test_a_deleted_run_is_kept_and_marked_also_by_a_rebuild(lived: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.sqlite"
    synced(lived, url)
    run = lived.events("model")[0].run_id
    lived.on.delete_run(run)
    assert "the events of" in synced(lived, url)
    with Index.open(url) as index:
        gone = index.ask('stage like "%" and deleted = true')
        assert gone.total == 3 and {r["run"] for r in gone.rows} == {run}
        index.note(gone.rows[0]["id"], "deleted by mistake", "ana")
    before = rows(url)
    anew = f"sqlite:///{tmp_path}/anew.sqlite"
    synced(lived, anew, full=True, anew=True)
    after = rows(anew)
    for values in (*before.values(), *after.values()):
        # Only the deleted events are known no more.
        values["event"] = None if values["deleted"] else values["event"]
    assert before == after


def test_a_wiped_instance_says_nothing_about_what_another_confirmed(lived: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.sqlite"
    synced(lived, url)
    (tmp_path / "new").mkdir()
    (tmp_path / "new/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path / "new")) as other:
        brought_up(url, stores=[lived.store.url], full=True, tell=told, on=other)
    assert not any(values["deleted"] for values in rows(url).values())


def test_a_backfill_of_old_partitions_is_taken_in(lived: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.sqlite"
    synced(lived, url)
    lived.run("ingest", "2024-01-02", "2024-01-03")
    assert synced(lived, url).startswith("8 records were missing")
    assert synced(lived, url).startswith("0 records were missing")


def test_rows_of_records_that_are_gone_go_and_lost_ones_come_back(lived: World, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.sqlite"
    synced(lived, url)
    before = rows(url)
    with Index.open(url) as index:
        index.remove([next(iter(before))])
        index.database.run("update record set verdict = 'nonsense'")
    synced(lived, url, full=True, anew=True)
    assert rows(url) == before


def test_an_index_that_cannot_be_written_stops_no_step(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_INDEX", "sqlite:////proc/nowhere/index.sqlite")
    run = small.run("ingest", "2024-01-13")
    assert small.on.get_run_by_id(run).is_success  # type: ignore[union-attr]


def test_an_unreachable_store_is_told_and_nothing_is_called_complete(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    heard: list[str] = []
    url = f"sqlite:///{tmp_path}/index.sqlite"
    brought_up(url, stores=[str(tmp_path / "nowhere")], tell=heard.append, on=on)
    assert len(heard) == 1 and "nowhere" in heard[0]
    with Index.open(url) as index:
        assert index.recall("synced") is None


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path, on: dg.DagsterInstance) -> None:
    store = Store.open(tmp_path / "store")
    good, bad = training(1), training(2)
    for record in (good, bad):
        store.add_record(record.pipeline, record.id, to_bytes(record))
    (file,) = (tmp_path / "store/records").rglob(f"{bad.id}.json")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes().replace(b"run-2", b"run-3"))
    heard: list[str] = []
    url = f"sqlite:///{tmp_path}/index.sqlite"
    said = brought_up(url, stores=[store.url], tell=heard.append, on=on)
    assert "1 records or chains of decisions cannot be read" in said
    assert len(heard) == 1 and bad.id in heard[0]
    with Index.open(url) as index:
        assert index.ids() == {good.id} and index.recall("synced") is None


def test_the_commands_bring_it_up_to_date(
    lived: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(lived.on.root_directory))
    monkeypatch.setenv("MLPIPE_STORE", lived.store.url)

    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capsys.readouterr()
        assert ended.value.code == 0 and err == "", err
        return out

    rebuilt = said("index", "rebuild")
    # The steps have written their rows themselves, so none was missing.
    held = re.match(r"0 records were missing; the index holds (\d+), as of ", rebuilt)
    assert held is not None, rebuilt
    count = int(held[1])
    assert count == len(lived.store.record_ids("shop")) > 50
    assert said("index", "sync", "--tail").startswith("0 records were missing; ")
    with Index.open(index_url()) as index:
        index.remove(sorted(index.ids())[:3])
    table = said("runs", "version = 1", "--sync", "--keys", "version,release_stage")
    assert table.splitlines()[2].split()[1:] == ["1", "production"]
    with Index.open(index_url()) as index:
        assert index.count() == count
