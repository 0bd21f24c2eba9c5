"""Where bytes lie: immutable files by path, created exclusively. Nothing is ever overwritten or deleted.

Who may call at once
    Any number of threads, processes and machines, on the same path or on others. A backend holds no lock and no
    state that matters; each process opens its own.
What a second writer sees
    `create` is the only way to write, and it is a compare-and-set: of all who create the same path at once exactly
    one gets True, all others get False, and the bytes that lie there are the winner's. A reader sees the whole
    file or `NotFoundError`, never a torn one.
What survives a crash
    A path whose `create` returned, with True or with False, is there after a power cut. A writer that dies before
    leaves either nothing or the whole file under its name, and perhaps a temporary file, which `list` never
    names: garbage, never damage.

Only proven backends are accepted. fsspec's generic exclusive mode is "exists, then write", which lets two people
promote at once; so a URL that no backend here proves is refused by name.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from mlpipe.errors import StoreError

TEMPORARY = "tmp"
"""First segment of the folder for unfinished files. No path may start with it."""

_SEGMENT = re.compile(r"[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]{0,199}")


class Backend(Protocol):
    """Immutable files by relative posix path. See the module for what concurrent callers see."""

    @property
    def url(self) -> str:
        """Address from which `open_backend` opens the same place again."""

    def read(self, path: str) -> bytes:
        """All bytes of one file.

        Raises
        ------
        NotFoundError
            Nothing lies at `path`.
        StoreError
            `path` is malformed, or the place cannot be read.
        """

    def create(self, path: str, data: bytes) -> bool:
        """Write `data` to `path`, if nothing lies there.

        Returns
        -------
        bool
            True when this call created the file; False when something lay there already, whatever its bytes.
            Either way the file is durable when this returns.

        Raises
        ------
        StoreError
            `path` is malformed, or the place cannot be written.
        """

    def exists(self, path: str) -> bool:
        """Whether a finished file lies at `path`."""

    def size(self, path: str) -> int:
        """Bytes of the file at `path`. Raises `NotFoundError` when nothing lies there."""

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Path and bytes of every finished file below the folder `prefix` ("" for all), sorted by path.

        A folder that does not exist is empty. Files of others, whose names no path could have, are left out.
        """

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Paths as of `list`, in no order: of a folder much faster, for no file is looked at."""

    def temporary(self) -> int:
        """How many unfinished files dead writers left behind. They are harmless."""


def check_path(path: str) -> str:
    """Return `path`, if it is a relative posix path of safe segments.

    Parameters
    ----------
    path
        Segments of 1 to 200 of the characters ``A-Z a-z 0-9 . _ = + @ -``, joined by ``/``. None may start with a
        dot, and the first may not be ``tmp``.

    Raises
    ------
    StoreError
        Anything else: ``..``, an absolute path, an empty segment, NUL, a quote, a space, a letter with an accent.
    """
    segments = path.split("/")
    bad = next((s for s in segments if not is_segment(s)), None)
    if bad is not None:
        raise StoreError(
            f"The path {path[:200]!r} has a segment that is not allowed: {bad[:80]!r}.",
            fix="Use 1 to 200 of A-Z a-z 0-9 . _ = + @ - in each segment, not starting with a dot.",
        )
    if segments[0] == TEMPORARY:
        raise StoreError(
            f"The path {path[:200]!r} starts with '{TEMPORARY}', which is kept for unfinished files.",
            fix="Choose another first folder.",
        )
    return path


def is_segment(name: str) -> bool:
    """Whether `name` may be one segment of a path."""
    return _SEGMENT.fullmatch(name) is not None


def check_segment(name: str) -> str:
    """Return `name`, if it may be one segment of a path. Raises `StoreError` otherwise, also for one with ``/``."""
    if not is_segment(name):
        raise StoreError(
            f"The name {name[:200]!r} cannot stand in a store.",
            fix="Use 1 to 200 of A-Z a-z 0-9 . _ = + @ -, not starting with a dot.",
        )
    return name


def open_backend(url: str | Path) -> Backend:
    """Open the place that `url` names. Nothing is created before the first `create`.

    Parameters
    ----------
    url
        A folder, as a plain path or ``file:///…``, or ``s3://bucket/prefix``.

    Raises
    ------
    StoreError
        The scheme is none of these.
    """
    text = str(url)
    scheme, separator, _ = text.partition("://")
    if not separator:
        return _local(Path(text).expanduser())
    parts = urlsplit(text)
    if scheme == "file" and parts.netloc in ("", "localhost"):
        return _local(Path(unquote(parts.path)))
    if scheme == "s3" and parts.netloc:
        from mlpipe.stores.s3 import S3Backend

        return S3Backend(parts.netloc, parts.path.strip("/"))
    raise StoreError(
        f"The store URL {text!r} is not supported: only proven backends are accepted, because exclusive "
        "creation must be real, or two people could promote at once.",
        fix="Use a folder, file:///folder or s3://bucket/prefix.",
    )


def _local(root: Path) -> Backend:
    from mlpipe.stores.local import LocalBackend

    return LocalBackend(root)
