from pathlib import Path

import pytest

from mlpipe.errors import MlpipeError
from mlpipe.index.place import index_url, shown


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLPIPE_INDEX", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def test_the_variable_decides(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_INDEX", "postgresql://a@b/c")
    assert index_url() == "postgresql://a@b/c"
    monkeypatch.setenv("MLPIPE_INDEX", "/x/y.sqlite")
    assert index_url() == "sqlite:////x/y.sqlite"


def test_beside_the_store_of_the_instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert index_url() == f"sqlite:///{home}/mlpipe_index/index.sqlite"
    assert index_url("/other") == "sqlite:////other/mlpipe_index/index.sqlite"
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(home)
    assert index_url() == f"sqlite:///{home}/.mlpipe_index/index.sqlite"


def test_on_the_server_of_the_instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_PASSWORD", "p@ss")
    (home / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_db:\n      username: ana\n      password: {env: PG_PASSWORD}\n"
        "      hostname: db\n      db_name: dagster\n      port: 5433\n"
    )
    assert index_url() == "postgresql://ana:p%40ss@db:5433/dagster"
    assert shown(index_url()) == "postgresql://ana@db:5433/dagster"
    (home / "dagster.yaml").write_text("storage:\n  postgres:\n    postgres_url: postgresql://x@y/z\n")
    assert index_url() == "postgresql://x@y/z"
    (home / "dagster.yaml").write_text("storage:\n  postgres: {}\n")
    with pytest.raises(MlpipeError, match="does not say where that is"):
        index_url()
