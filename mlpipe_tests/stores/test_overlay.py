"""One place over another: it reads both, writes one, and hides what it is told to."""

from pathlib import Path

import pytest

from mlpipe.errors import NotFoundError
from mlpipe.stores.local import LocalBackend
from mlpipe.stores.overlay import Overlay


def test_what_is_there_is_read_and_what_is_made_lies_apart(tmp_path: Path) -> None:
    below, above = LocalBackend(tmp_path / "below"), LocalBackend(tmp_path / "above")
    below.create("objects/a", b"one")
    below.create("recipes/r", b"done")
    over = Overlay(below, above, hidden=("recipes",))
    assert over.read("objects/a") == b"one" and over.size("objects/a") == 3
    assert not over.create("objects/a", b"two") and over.read("objects/a") == b"one"
    assert not over.exists("recipes/r")
    with pytest.raises(NotFoundError):
        over.read("recipes/r")
    assert over.create("recipes/r", b"again") and over.read("recipes/r") == b"again"
    assert over.create("objects/b", b"new") and not over.create("objects/b", b"newer")
    assert list(over.list()) == [("objects/a", 3), ("objects/b", 3), ("recipes/r", 5)]
    assert list(below.list()) == [("objects/a", 3), ("recipes/r", 4)]
    assert over.exists("objects/b") and over.size("recipes/r") == 5 and over.temporary() == 0
