from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.index.index import Index
from mlpipe.ledger.chain import Ledger
from mlpipe.orchestration import indexing
from mlpipe.stores.backend import open_backend
from mlpipe_tests.index.made import STORE, training


@pytest.fixture
def file(on: dg.DagsterInstance) -> Iterator[Path]:
    """Where the index of the instance lies."""
    yield Path(on.root_directory) / "mlpipe_index/index.sqlite"
    indexing.released()


def never(text: str) -> None:
    raise AssertionError(text)


def test_a_step_adds_its_records_to_the_index_of_its_instance(on: dg.DagsterInstance, file: Path) -> None:
    made = [training(d) for d in range(3)]
    indexing.indexed(on, STORE, made[:2], never)
    indexing.indexed(on, STORE, [], never)
    indexing.indexed(on, STORE, made[1:], never)
    with Index.open(str(file)) as index:
        assert index.ids(STORE) == {r.id for r in made}


def test_the_log_is_written_back_once_a_process(on: dg.DagsterInstance, file: Path) -> None:
    indexing.indexed(on, STORE, [training(1)], never)
    log = file.with_name("index.sqlite-wal")
    assert log.exists()
    indexing.released()
    assert not log.exists()


def test_an_index_that_was_wiped_between_two_steps_is_made_anew(on: dg.DagsterInstance, file: Path) -> None:
    indexing.indexed(on, STORE, [training(1)], never)
    for each in file.parent.glob("index.sqlite*"):
        each.unlink()
    indexing.indexed(on, STORE, [training(2)], never)
    with Index.open(str(file)) as index:
        assert index.ids() == {training(2).id}


def test_what_cannot_be_written_is_told(
    on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("MLPIPE_INDEX", str(tmp_path / "a-file/index.sqlite"))
    heard: list[str] = []
    indexing.indexed(on, STORE, [training(1)], heard.append)
    indexing.decided(Ledger(open_backend(str(tmp_path / "store")), "flights"), heard.append, on)
    assert len(heard) == 2 and all("'mlpipe index sync' makes up for it." in text for text in heard)
    assert heard[0].startswith("1 records are in the store, and not in the index yet")
