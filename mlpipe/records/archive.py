"""The archive of a project's code: what a pipeline is declared with and runs on, without anything secret."""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlpipe.records.secrets import leaks

PROJECT = "pyproject.toml"
KINDS = (".py", ".yaml", ".yml")
SKIPPED = {".venv", "venv", "node_modules", "__pycache__", "build", "dist", "site-packages"}
FILE_LIMIT, ARCHIVE_LIMIT = 2**20, 8 * 2**20


@dataclass(frozen=True)
class Archive:
    """A project's code.

    Attributes
    ----------
    data
        Bytes of a zip, the same for the same files.
    base
        The pipeline's folder in it; empty: its root.
    withheld
        Files that are not in it, and why. A secret is named by its line and kind, never told.
    """

    data: bytes
    base: str
    withheld: dict[str, str]


def project_of(folder: Path) -> Path:
    """The project that a folder belongs to: the nearest folder above (or itself) with a ``pyproject.toml``; without one, the folder."""
    folder = folder.absolute()
    stop = {Path.home(), Path(folder.anchor)}
    for above in (folder, *folder.parents):
        if above in stop:
            break
        if (above / PROJECT).is_file():
            return above
    return folder


def archived(folder: Path, beside: Iterable[str] = ()) -> Archive:
    """Archive of the project that a pipeline's folder belongs to: its importable files and its ``pyproject.toml``.

    Hidden folders, environments, links and files over 1 MiB are left out; past 8 MiB in all the largest are left out too. A file that
    seems to hold a secret is left out whole.

    Parameters
    ----------
    folder
        The pipeline's folder.
    beside
        Further files that the pipeline names, such as a suite of expectations, relative to `folder`; those outside of the project stay out.
    """
    root = project_of(folder)
    withheld: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for path in (*_importable(root), *_named(folder, beside, root)):
        name = path.relative_to(root).as_posix()
        why = ""
        if path.stat().st_size > FILE_LIMIT:
            why = f"it is larger than {FILE_LIMIT // 2**20} MiB"
        else:
            files[name] = path.read_bytes()
            why = _secret(files[name], path.suffix)
        if why:
            files.pop(name, None)
            withheld[name] = why
    while sum(map(len, files.values())) > ARCHIVE_LIMIT:
        largest = max(sorted(files), key=lambda n: len(files[n]))
        del files[largest]
        withheld[largest] = f"the archive would be larger than {ARCHIVE_LIMIT // 2**20} MiB with it"
    base = folder.absolute().relative_to(root).as_posix()
    return Archive(_zipped(files), "" if base == "." else base, dict(sorted(withheld.items())))


def archive(folder: Path) -> bytes:
    """Bytes of `archived`."""
    return archived(folder).data


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(files):
            bundle.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), files[name])
    return buffer.getvalue()


def _importable(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root):
        # Pruned, not filtered: an environment holds more files than all projects.
        folders[:] = [f for f in folders if _shown(f) and not (Path(place) / f).is_symlink()]
        for path in (Path(place) / name for name in names if _shown(name)):
            wanted = path.suffix in KINDS or path == root / PROJECT
            if wanted and not path.is_symlink() and path.is_file():
                yield path


def _named(folder: Path, beside: Iterable[str], root: Path) -> Iterator[Path]:
    for name in beside:
        path = (folder / name).resolve()
        if path.is_file() and path.is_relative_to(root.resolve()):
            yield root / path.relative_to(root.resolve())


def _shown(name: str) -> bool:
    return name not in SKIPPED and not name.startswith(".")


def _secret(data: bytes, suffix: str) -> str:
    """Why a file is withheld: the first place that seems to hold a secret; empty for none."""
    found = list(leaks(data.decode("utf-8", "replace"), yaml=suffix != ".py"))
    if not found:
        return ""
    others = len(found) - 1
    more = f", and {others} more line{'s' if others > 1 else ''}" if others else ""
    return f"line {found[0].line} seems to hold {found[0].kind}{more}"


def archive_id(data: bytes) -> str:
    """Content id of an archive."""
    return "code-" + hashlib.blake2b(data, digest_size=20).hexdigest()
