"""An archive of code unpacked again: where its files go, so that its modules bear the names that they bore."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlpipe.errors import StoreError
from mlpipe.records.record import Code

_IMPORT = re.compile(r"^\s*(?:from|import)\s+([A-Za-z_][\w.]*)", re.MULTILINE)
_INIT = "__init__.py"


@dataclass(frozen=True)
class Unpacked:
    """Where an archive lies: its files' folder, the pipeline's own in it, and the folders to import from, in order."""

    folder: Path
    base: Path
    roots: tuple[Path, ...]


def unpack(data: bytes, code: Code, folder: Path) -> Unpacked:
    """Unpack the archive of a record's code.

    Parameters
    ----------
    data
        Bytes of the archive; see `mlpipe.records.capture.archive`.
    code
        Where the pipeline's folder lies in the archive, and by their fingerprints the names that its modules had.
    folder
        An empty folder.

    Raises
    ------
    StoreError
        When it is no archive, or would write outside of `folder`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    except (zipfile.BadZipFile, OSError) as error:
        raise StoreError(
            f"the archive of the code is damaged: {error}",
            where=code.archive,
            fix="Restore it from a backup.",
        ) from None
    outside = [
        n for n in files if PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts or "\\" in n
    ]
    if outside:
        raise StoreError(
            f"the archive of the code names a file outside of itself: {outside[0][:80]!r}",
            where=code.archive,
            fix="It was not made by mlpipe; do not use it.",
        )
    top = folder.joinpath(*_package(files, code))
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    base = top / code.base
    return Unpacked(folder, base, tuple(_roots(base, top, folder)))


def _package(files: dict[str, bytes], code: Code) -> tuple[str, ...]:
    """Names of the packages that an archive's own top folder is: none, unless it is a package itself.

    They are those under which its functions were known, or under which its files import each other.
    """
    if _INIT not in files:
        return ()
    for name in (*code.fingerprints, *_imported(files)):
        parts = name.partition("#")[0].split(".")
        for start in range(1, len(parts)):
            ends = range(start + 1, len(parts) + 1)
            if any("/".join(parts[start:end]) + ".py" in files for end in ends):
                return tuple(parts[:start])
    return ("project",)


def _imported(files: dict[str, bytes]) -> Iterator[str]:
    for name, content in files.items():
        if name.endswith(".py"):
            yield from _IMPORT.findall(content.decode("utf-8", "replace"))


def _roots(base: Path, top: Path, folder: Path) -> Iterable[Path]:
    """Folders to import from: that above the pipeline's package, then those above all other packages, then the top."""
    first = base
    while first != folder and (first == top or first.is_relative_to(top)) and (first / _INIT).is_file():
        first = first.parent
    if top != folder:
        # The top folder is a package of packages: they begin where the archive was unpacked.
        first = folder if (top / _INIT).is_file() and first in (top.parent, folder) else first
    packages = sorted(p.parent for p in top.rglob(_INIT))
    above = [p.parent for p in packages if not (p.parent / _INIT).is_file()]
    return dict.fromkeys([first, *(p for p in above if p.is_relative_to(folder)), top])
