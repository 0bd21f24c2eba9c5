import os
from pathlib import Path

import pytest

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.orchestration.settled import settle


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", "SHOP_URL"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)


def project(folder: Path, home: str = ".dagster_home", env: str = "") -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(f'[tool.mlpipe]\ndagster_home = "{home}"\n')
    if env:
        (folder / ".env").write_text(env)
    return folder


def test_a_project_names_its_home_and_gets_it(tmp_path: Path) -> None:
    settle(project(tmp_path / "a"))
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "a/.dagster_home")
    assert "telemetry" in (tmp_path / "a/.dagster_home/dagster.yaml").read_text()
    (tmp_path / "a/.dagster_home/dagster.yaml").write_text("mine: {}\n")
    settle(tmp_path / "a")
    assert (tmp_path / "a/.dagster_home/dagster.yaml").read_text() == "mine: {}\n"


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/mine")
    monkeypatch.setenv("SHOP_URL", "mine")
    settle(project(tmp_path / "a", env="SHOP_URL=theirs\n"))
    assert os.environ["DAGSTER_HOME"] == "/mine" and os.environ["SHOP_URL"] == "mine"
    assert not (tmp_path / "a/.dagster_home").exists()


def test_the_next_project_of_a_process_has_its_own(tmp_path: Path) -> None:
    settle(project(tmp_path / "a", env="SHOP_URL=one\n"))
    settle(project(tmp_path / "b"))
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "b/.dagster_home") and "SHOP_URL" not in os.environ
    settle(tmp_path)
    assert "DAGSTER_HOME" not in os.environ


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MlpipeError, match="cannot be made") as error:
        settle(project(tmp_path / "a", home="../file/home"))
    assert "tool.mlpipe.dagster_home" in str(error.value)


def test_a_file_that_is_no_toml_is_said(tmp_path: Path) -> None:
    folder = project(tmp_path / "a")
    (folder / "pyproject.toml").write_bytes(b"\xff\xfe[")
    with pytest.raises(NotFoundError, match="no valid TOML"):
        settle(folder)
