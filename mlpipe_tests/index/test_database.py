from pathlib import Path

import pytest

from mlpipe.errors import MlpipeError
from mlpipe.index.database import IndexUnreachableError
from mlpipe.index.index import Index
from mlpipe_tests.index.made import STORE, training


def test_an_index_of_another_format_is_refused_and_made_anew_when_asked(url: str) -> None:
    with Index.open(url, create=True) as index:
        index.add([training(1)], STORE)
        index.database.run("update meta set value = '0' where name = 'schema'")
    with pytest.raises(MlpipeError, match="the index has format 0, not 2") as caught:
        Index.open(url, create=True)
    assert "mlpipe index rebuild" in str(caught.value)
    with Index.open(url, create=True, anew=True) as index:
        assert index.count() == 0
        index.add([training(1)], STORE)
    with Index.open(url, create=True, anew=True) as index:
        assert index.count() == 1


def half_written(index: Index) -> None:
    with index._writing():
        index.database.run(
            "insert into note (record, written, actor, text, name) values ('r', 1, 'a', 't', 'n')"
        )
        index.database.run("select nothing from nowhere")


def test_a_write_that_fails_leaves_nothing_behind(url: str) -> None:
    with Index.open(url, create=True) as index:
        with pytest.raises(IndexUnreachableError):
            half_written(index)
        assert index.database.run("select * from note") == []
        # Numbers that were given within are given again.
        assert index.add([training(1)], STORE) == 1


def test_a_file_that_is_no_index_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database, and long enough to be read as one. " * 100)
    with pytest.raises(IndexUnreachableError, match="mlpipe index rebuild"):
        Index.open(str(tmp_path / "index.sqlite"))


def test_other_addresses_and_silent_servers_are_refused_without_their_password() -> None:
    with pytest.raises(IndexUnreachableError, match="cannot lie in 'mysql'"):
        Index.open("mysql://a:secret@b/c")
    with pytest.raises(IndexUnreachableError) as caught:
        Index.open("postgresql://ana:secret@127.0.0.1:1/none", create=True)
    assert "secret" not in str(caught.value) and "127.0.0.1" in str(caught.value)
