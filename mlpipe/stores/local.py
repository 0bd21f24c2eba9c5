"""A folder as a backend: temporary file, fsync, hard link to the final name, fsync of the folder.

`os.link` fails when the name exists and is atomic on local file systems and NFS, so it is the compare-and-set.
NFS may repeat a link whose answer was lost and report "exists" for our own: then both names are one file, which
`create` checks before it says that somebody else was first.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mlpipe.errors import NotFoundError, StoreError
from mlpipe.stores.backend import TEMPORARY, check_path, is_segment

_READ_ONLY = 0o444

_FIXES = {
    errno.ENOSPC: "The disk is full: free some space, then run again. Nothing that was stored is harmed.",
    errno.EDQUOT: "The disk quota is used up: free some space, then run again. Nothing that was stored is harmed.",
    errno.EROFS: "The file system is mounted read-only: mount it read-write, or choose another folder.",
    errno.EACCES: "This user may not write there: change the folder's owner or mode, or choose another folder.",
    errno.EPERM: "This file system has no hard links, or forbids them: choose a folder on another one, or S3.",
    errno.EOPNOTSUPP: "This file system has no hard links: choose a folder on another one, or S3.",
    errno.ENOTDIR: "A file lies where a folder is needed: move it away, or choose another folder.",
    errno.EEXIST: "A file lies where a folder is needed: move it away, or choose another folder.",
    errno.ENAMETOOLONG: "The name is too long for this file system: choose a shorter one.",
}


class LocalBackend:
    """Immutable files below one folder.

    Parameters
    ----------
    root
        The folder. Made by the first `create`, on one file system that has hard links.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self._durable: set[Path] = set()

    @property
    def url(self) -> str:
        """``file:///…`` of the folder."""
        return self.root.as_uri()

    def __repr__(self) -> str:
        return f"LocalBackend({str(self.root)!r})"

    def read(self, path: str) -> bytes:
        """All bytes of one file."""
        try:
            return self._at(path).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise self._missing(path) from None
        except OSError as error:
            raise self._failed("read", path, error) from error

    def create(self, path: str, data: bytes) -> bool:
        """Write `data` to `path`, if nothing lies there; True when this call did."""
        final = self._at(path)
        try:
            self._make_durable(final.parent)
            # The loser flushes the folder too: it will tell others that the file is there.
            created = not final.exists() and self._link(final, data)
            _flush_folder(final.parent)
        except OSError as error:
            raise self._failed("write", path, error) from error
        return created

    def exists(self, path: str) -> bool:
        """Whether a finished file lies at `path`."""
        return self._at(path).is_file()

    def size(self, path: str) -> int:
        """Bytes of the file at `path`."""
        if not self.exists(path):
            raise self._missing(path)
        return self._at(path).stat().st_size

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Path and bytes of every finished file below the folder `prefix`, sorted by path."""
        folder = self._at(prefix) if prefix else self.root
        yield from self._walk(folder, f"{prefix}/" if prefix else "")

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Path of every finished file below the folder `prefix`, in no order."""
        waiting = [(str(self._at(prefix)), f"{prefix}/") if prefix else (str(self.root), "")]
        while waiting:
            folder, above = waiting.pop()
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
                for entry in found:
                    if not is_segment(entry.name) or (not above and entry.name == TEMPORARY):
                        continue
                    if entry.is_dir():
                        waiting.append((entry.path, f"{above}{entry.name}/"))
                    elif entry.is_file():
                        yield above + entry.name

    def temporary(self) -> int:
        """How many unfinished files dead writers left behind."""
        folder = self.root / TEMPORARY
        return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0

    def _at(self, path: str) -> Path:
        return self.root / check_path(path)

    def _walk(self, folder: Path, above: str) -> Iterator[tuple[str, int]]:
        if not folder.is_dir():
            return
        with os.scandir(folder) as found:
            entries = [e for e in found if is_segment(e.name) and (above or e.name != TEMPORARY)]
        # A folder sorts as "name/", so that the walk yields the byte order of whole paths, as S3 does.
        for entry in sorted(entries, key=lambda e: f"{e.name}/" if e.is_dir() else e.name):
            if entry.is_dir():
                yield from self._walk(folder / entry.name, f"{above}{entry.name}/")
            elif entry.is_file():
                yield above + entry.name, entry.stat().st_size

    def _link(self, final: Path, data: bytes) -> bool:
        folder = self.root / TEMPORARY
        self._make_durable(folder)
        temporary = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            _write_durably(temporary, data)
            try:
                os.link(temporary, final)
            except FileExistsError:
                return os.path.samefile(temporary, final)
            return True
        finally:
            with suppress(OSError):  # left-over temporary files are harmless
                temporary.unlink(missing_ok=True)

    def _make_durable(self, folder: Path) -> None:
        """Make `folder` and those above it, each flushed into its parent once in this process."""
        if folder in self._durable and folder.is_dir():
            return
        if folder == folder.parent:
            return
        self._make_durable(folder.parent)
        folder.mkdir(exist_ok=True)
        # Somebody else may have made the folder a moment ago and not have flushed it yet. Folders above the root
        # were there before us, or were made by this loop; they may not be ours to open.
        with suppress(PermissionError):
            _flush_folder(folder.parent)
        self._durable.add(folder)

    def _missing(self, path: str) -> NotFoundError:
        return NotFoundError(
            f"Nothing lies at {path!r}.",
            where=str(self.root),
            fix="Check the id, and that this is the right store.",
        )

    def _failed(self, verb: str, path: str, error: OSError) -> StoreError:
        reason = error.strerror or str(error)
        return StoreError(f"Could not {verb} {path!r}: {reason}.", where=str(self.root), fix=fix_of(error))


def fix_of(error: OSError) -> str:
    """What to do about a disk or folder that refuses."""
    return _FIXES.get(error.errno or 0, "Check the disk and the folder's permissions, then run again.")


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _READ_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
