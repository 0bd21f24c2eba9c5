"""How many threads numerical libraries use for a stretch of work."""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def limited(count: int) -> AbstractContextManager[Any]:
    """A context in which the numerical libraries that are loaded use at most so many threads each.

    To look for them takes 3 ms, as long as to score a few rows; so it is done again only where a module was imported since.
    """
    limits: AbstractContextManager[Any] = _libraries(len(sys.modules)).limit(limits=count)
    return limits


@lru_cache(maxsize=1)
def _libraries(modules: int) -> "ThreadpoolController":
    """Libraries with threads of their own, looked for when so many modules were imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
