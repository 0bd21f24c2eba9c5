from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipe.index.index import Index
from mlpipe_tests.postgres import serving


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with serving("index") as url:
        yield url


def emptied(server: str) -> str:
    """The server, without an index."""
    import psycopg2

    on = psycopg2.connect(server.replace("+psycopg2", ""))
    on.autocommit = True
    on.cursor().execute("drop schema if exists mlpipe cascade")
    on.close()
    return server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty place for an index, in each of the databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/index.sqlite"
    return emptied(request.getfixturevalue("server"))


@pytest.fixture
def index(url: str) -> Iterator[Index]:
    with Index.open(url, create=True) as opened:
        yield opened
