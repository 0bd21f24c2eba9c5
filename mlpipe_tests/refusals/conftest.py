"""Projects to be spoilt: one that is new, and one in which a model was trained and promoted."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlpipe_tests.corpus.drive import working_in
from mlpipe_tests.refusals.project import Project, days

FIRST, LAST, TRAINED, NEXT = days()[0], days()[5], days()[6], days()[7]


@contextmanager
def at_work(project: Project) -> Iterator[Project]:
    """Work in a project's folder, with its own Dagster home."""
    with working_in(project.folder):
        os.environ["DAGSTER_HOME"] = str(project.home)
        yield project


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Six days were ingested, and a model is in production; for copying only."""
    made = Project(tmp_path_factory.mktemp("refusals") / "shop").make()
    with at_work(made):
        told = made("run", "shop", "--from", FIRST, "--to", LAST, "--train-at", TRAINED)
        assert told.code == 0, told.err
    return made


@pytest.fixture
def shop(trained: Project, tmp_path: Path) -> Iterator[Project]:
    """A copy of it, and the process at work there."""
    folder = tmp_path / "shop"
    shutil.copytree(trained.folder, folder)
    with at_work(Project(folder, dict(trained.parts))) as project:
        yield project


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Project]:
    """A project with data and no past, and the process at work there."""
    with at_work(Project(tmp_path / "shop").make()) as project:
        yield project
