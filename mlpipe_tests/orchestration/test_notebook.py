"""What a notebook in a project's folder asks is asked of the project's own instance."""

import os
from pathlib import Path

import mlpipe as ml
from mlpipe.index.index import Index
from mlpipe.index.place import index_url
from mlpipe.records.codec import to_bytes
from mlpipe.stores.store import Store
from mlpipe_tests.corpus.drive import working_in
from mlpipe_tests.index.made import training


def test_in_a_projects_folder_its_own_records_are_asked(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mlpipe]\ndagster_home = "home"\n')
    home, record = tmp_path / "home", training(0, "bundle-1")
    store = Store.open(home / "mlpipe")
    store.add_record(record.pipeline, record.id, to_bytes(record))
    with working_in(tmp_path):
        with Index.open(index_url(str(home)), create=True) as index:
            index.add([record], store.url)
        assert list(ml.runs()["id"]) == [record.id]
        del os.environ["DAGSTER_HOME"]
        assert ml.load(record.id).record.id == record.id
        assert os.environ["DAGSTER_HOME"] == str(home)


def test_a_home_that_is_set_stays(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mlpipe]\ndagster_home = "home"\n')
    with working_in(tmp_path):
        os.environ["DAGSTER_HOME"] = str(tmp_path / "other")
        with Index.open(index_url(), create=True):
            assert not len(ml.runs())
        assert not (tmp_path / "home").exists()
