"""Many processes at one index: writers, readers, and one that syncs and is killed again and again."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlpipe.index.index import Index
from mlpipe.orchestration.reconcile import brought_up
from mlpipe.stores.store import Store

ROOT = Path(__file__).resolve().parents[2]


def started(work: str, url: str, store: str, number: int, seconds: float) -> "subprocess.Popen[str]":
    """A process that waits for its start; it has imported what it needs."""
    env = {k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"}
    command = [sys.executable, "-m", "mlpipe_tests.index.hammer", work, url, store, str(number), str(seconds)]
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
    for process in many:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    for process in many:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in many:
        out, err = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0, err
        assert int(out) > 0, f"{process.args} had no turn"
    ids = store.record_ids("flights")
    assert len(ids) > writers
    rows = held(url)
    assert [row["id"] for row in rows] == ids
    brought_up(url, stores=[place], full=True, tell=_never)
    fresh = f"sqlite:///{folder}/fresh.sqlite"
    brought_up(fresh, stores=[place], full=True, anew=True, tell=_never)
    assert rows == held(url) == held(fresh)


def _never(text: str) -> None:
    raise AssertionError(text)


def test_writers_readers_and_a_sync_that_is_killed(url: str, tmp_path: Path) -> None:
    hammered(url, tmp_path, writers=3, readers=1, seconds=4, kills=3)


@pytest.mark.long
def test_eight_write_two_ask_and_a_sync_is_killed_twenty_times(url: str, tmp_path: Path) -> None:
    hammered(url, tmp_path, writers=8, readers=2, seconds=60, kills=20)
