"""Threads of numerical libraries, held for a while and given back."""

import sys
from types import ModuleType

import numpy  # noqa: F401  (has a BLAS)
import pytest
import threadpoolctl

from mlpipe.stores.threads import limited


def now() -> set[int]:
    """Threads of the libraries that are loaded, looked for anew."""
    return {int(library["num_threads"]) for library in threadpoolctl.threadpool_info()}


def test_threads_are_as_many_as_said_and_afterwards_as_before() -> None:
    with limited(1):
        assert now() == {1}
        with limited(3):
            assert 3 in now()
        assert now() == {1}


def test_libraries_are_looked_for_again_where_a_module_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    class Counted(threadpoolctl.ThreadpoolController):
        def __init__(self) -> None:
            looked.append(len(sys.modules))
            super().__init__()

    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Counted)
    with limited(1):
        before = len(looked)
    monkeypatch.setitem(sys.modules, "a_library_of_ones_own", ModuleType("a_library_of_ones_own"))
    for _ in range(3):
        with limited(1):
            pass
    assert len(looked) == before + 1
