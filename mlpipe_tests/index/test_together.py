"""Many processes at one index: writers, readers, and one that syncs and is killed again and again."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlpipe.index.index import Index
from mlpipe.index.place import index_url
from mlpipe.orchestration.reconcile import brought_up
from mlpipe.stores.store import Store
from mlpipe_tests.index.conftest import emptied

NO_TELEMETRY = "telemetry: {enabled: false}\n"
ROOT = Path(__file__).resolve().parents[2]


def started(
    work: str, url: str, store: str, number: int, seconds: float, home: str = ""
) -> "subprocess.Popen[str]":
    """A process that waits for its start; it has imported what it needs."""
    env = {k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"}
    command = [sys.executable, "-m", "mlpipe_tests.index.hammer", work, url, store, str(number), str(seconds)]
    command += [home] if home else []
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env, cwd=ROOT)


def held(url: str) -> list[dict[str, Any]]:
    with Index.open(url) as index:
        return index.ask('stage like "%" order by id').rows


def hammered(url: str, folder: Path, writers: int, readers: int, seconds: float, kills: int) -> None:
    """Let them all work at once; then every record is there once, and as a rebuild makes it."""
    place = str(folder / "store")
    store = Store.open(place)
    many = [started("write", url, place, i, seconds) for i in range(writers)]
    many += [started("ask", url, place, i, seconds) for i in range(readers)]
    many.append(started("sync", url, place, kills, seconds))
    finished(many, seconds)
    ids = store.record_ids("flights")
    assert len(ids) > writers
    rows = held(url)
    assert [row["id"] for row in rows] == ids
    brought_up(url, stores=[place], full=True, tell=_never)
    fresh = f"sqlite:///{folder}/fresh.sqlite"
    brought_up(fresh, stores=[place], full=True, anew=True, tell=_never)
    assert rows == held(url) == held(fresh)


def finished(many: Sequence["subprocess.Popen[str]"], seconds: float) -> list[int]:
    """Let processes begin at once, and wait until all are done: how often each had its turn."""
    for process in many:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    for process in many:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    turns = []
    for process in many:
        out, err = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0, err
        turns.append(int(out))
        assert turns[-1] > 0, f"{process.args!r} had no turn"
    return turns


def materialized(
    folder: Path, storage: str, pipelines: int, readers: int, seconds: float, kills: int
) -> None:
    """Dagster's runs on one instance, all at once: then each record is there once, confirmed by its event, and as a rebuild makes it."""
    place, home = str(folder / "store"), str(folder / "home")
    Path(home).mkdir()
    (Path(home) / "dagster.yaml").write_text(NO_TELEMETRY + storage)
    store, url = Store.open(place), index_url(home)
    with dg.DagsterInstance.from_config(home) as on:
        assert not on.get_runs_count()
        many = [started("materialize", url, place, i, seconds, home) for i in range(pipelines)]
        many += [started("ask", url, place, i, seconds, home) for i in range(readers)]
        many.append(started("sync", url, place, kills, seconds, home))
        turns = finished(many, seconds)
        assert on.get_runs_count() == on.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        assert on.get_runs_count() >= sum(turns[:pipelines])
        assert store.pipelines() == sorted(f"shop{i}" for i in range(pipelines))
        rows = held(url)
        assert sorted(row["id"] for row in rows) == sorted(
            r for p in store.pipelines() for r in store.record_ids(p)
        )
        brought_up(url, stores=[place], full=True, tell=_never, on=on)
        fresh = f"sqlite:///{folder}/fresh.sqlite"
        brought_up(fresh, stores=[place], full=True, anew=True, tell=_never, on=on)
    assert rows == held(url) == held(fresh)


def _never(text: str) -> None:
    raise AssertionError(text)


def test_writers_readers_and_a_sync_that_is_killed(url: str, tmp_path: Path) -> None:
    hammered(url, tmp_path, writers=2, readers=1, seconds=2, kills=2)


@pytest.mark.long
def test_eight_write_two_ask_and_a_sync_is_killed_twenty_times(url: str, tmp_path: Path) -> None:
    hammered(url, tmp_path, writers=8, readers=2, seconds=60, kills=20)


def test_runs_of_dagster_a_reader_and_a_sync_that_is_killed(tmp_path: Path) -> None:
    materialized(tmp_path, "", pipelines=1, readers=1, seconds=2, kills=1)


@pytest.mark.long
@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_eight_pipelines_materialize_two_ask_and_a_sync_is_killed_twenty_times(
    storage: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    text = ""
    if storage == "postgres":
        place = emptied(request.getfixturevalue("server"))
        text = f"storage: {{postgres: {{postgres_url: '{place}'}}}}\n"
    materialized(tmp_path, text, pipelines=8, readers=2, seconds=60, kills=20)
