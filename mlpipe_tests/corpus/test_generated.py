"""Generated tables drive `init` and `run`: no traceback, nothing half written, and every refusal names its cause."""

import itertools
import re
import shutil
import warnings
import zlib
from pathlib import Path

import pytest
from hypothesis import event, given, settings

from mlpipe_tests.corpus.drive import DOCUMENTED, Told, concluded, told, ugly, working_in
from mlpipe_tests.corpus.tables import Table, tables

NAME = "made"
CAUSE = re.compile(
    r"^mlpipe: (?P<where>[^\n]*(/|\bcolumn |--|defs\.yaml:\d|\bpipeline )[^\n]*?)(: |, )?(?P<what>[^\n]{10,})",
    re.MULTILINE,
)
"""A place (a path, a column, an option, a line, a pipeline), and something about it."""
_number = itertools.count()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def names_its_cause(result: Told) -> bool:
    """Whether a refusal says what is wrong and where, in a paragraph of a few lines."""
    found = CAUSE.search(result.err)
    return found is not None and len(result.err[found.start() :].splitlines()) <= 15


def whole(home: Path) -> list[str]:
    """What is damaged or half written in the store of a project."""
    store = home / "mlpipe"
    if not store.exists():
        return []
    verified = told("store", "verify", "--store", str(store))
    left = [p.name for p in (store / "tmp").rglob("*") if p.is_file()] if (store / "tmp").exists() else []
    return ([] if verified.code == 0 else [verified.out + verified.err]) + left


def lived_through(table: Table, folder: Path, running: bool) -> None:
    data = table.write(folder)
    made = told(*table.arguments(NAME, data), "--json")
    assert not ugly(made), ugly(made)
    assert made.code in DOCUMENTED
    if made.code:
        event(f"init refuses: {made.code}")
        assert names_its_cause(made), made.err
        assert [p.name for p in folder.iterdir()] == [data], "a refusal leaves nothing behind"
        return
    assert concluded(made)["rows"] == len(table.frame) or table.ending == "csv"
    if not running:
        event("init proposes")
        return
    done = told("run", NAME)
    event(f"run ends with {done.code}")
    assert not ugly(done), ugly(done)
    assert done.code == 0 or names_its_cause(done), done.err
    assert not whole(folder / NAME / ".dagster_home")


def one(table: Table, place: Path, share: int) -> None:
    """An example, in a folder of its own; one in `share` is run. Which, is decided by its text: the same example always fares alike."""
    running = zlib.crc32(repr(table).encode()) % share == 0
    folder = place / str(next(_number))
    folder.mkdir()
    try:
        with working_in(folder), warnings.catch_warnings():
            lived_through(table, folder, running)
    finally:
        shutil.rmtree(folder)


# A run takes two to four seconds, so one table in ten is run. The thorough profile draws ten times as many, and the long test adds as
# many again, of which one in four is run: two thousand tables in all.
@pytest.mark.timeout(3600)
@settings(max_examples=20)
@given(table=tables())
def test_any_table_gives_a_pipeline_that_runs_or_a_refusal(table: Table, place: Path) -> None:
    one(table, place, 10)


@pytest.mark.long
@pytest.mark.timeout(7200)
@settings(max_examples=1000)
@given(table=tables())
def test_any_table_gives_a_pipeline_that_runs_or_a_refusal_long(table: Table, place: Path) -> None:
    one(table, place, 4)
