"""One place laid over another: what is there is read, what is made lies apart. Work can be done again without leaving a trace."""

from collections.abc import Iterator

from mlpipe.errors import NotFoundError
from mlpipe.stores.backend import Backend


class Overlay:
    """Reads from `below` and from `above`; writes to `above` alone.

    Who may call at once
        Whoever may call the two places. `below` is never written to.
    What a second writer sees
        A path that lies below counts as created by somebody else.

    Parameters
    ----------
    below, above
        The place that is read, and the one that takes what is made.
    hidden
        First folders of `below` that do not show: with ``recipes`` hidden nothing that was done before is found again.
    """

    def __init__(self, below: Backend, above: Backend, hidden: tuple[str, ...] = ()) -> None:
        self._below, self._above, self._hidden = below, above, hidden

    @property
    def url(self) -> str:
        """Address of the place above: what is made lies there."""
        return self._above.url

    def read(self, path: str) -> bytes:
        """All bytes of one file, wherever it lies."""
        try:
            return self._above.read(path)
        except NotFoundError:
            if not self._shown(path):
                raise
        return self._below.read(path)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file, if nothing lies at its path in either place."""
        if self._shown(path) and self._below.exists(path):
            return False
        return self._above.create(path, data)

    def exists(self, path: str) -> bool:
        """Whether a file lies at a path in either place."""
        return self._above.exists(path) or (self._shown(path) and self._below.exists(path))

    def size(self, path: str) -> int:
        """Bytes of a file, wherever it lies."""
        if self._above.exists(path) or not self._shown(path):
            return self._above.size(path)
        return self._below.size(path)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Path and bytes of every file below a folder, in both places, sorted by path."""
        found = {path: size for path, size in self._below.list(prefix) if self._shown(path)}
        yield from sorted({**found, **dict(self._above.list(prefix))}.items())

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Path of every file below a folder, in both places, in no order."""
        below = {path for path in self._below.paths(prefix) if self._shown(path)}
        yield from below.union(self._above.paths(prefix))

    def temporary(self) -> int:
        """How many unfinished files lie in the place above."""
        return self._above.temporary()

    def _shown(self, path: str) -> bool:
        return path.split("/")[0] not in self._hidden
