"""Find the data that somebody names, and read as much of it as a guess needs."""

import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mlpipe.errors import SourceError
from mlpipe.scaffold.dialect import PACKED, dialect_of
from mlpipe.spec.sources import CsvSource, Files, JsonLinesSource, ParquetSource
from mlpipe.stages.files import listed, read

SAMPLE = 200_000
"""Rows that are looked at, at most; of the time column all of them."""
TYPES: dict[str, type[Files]] = {"csv": CsvSource, "parquet": ParquetSource, "jsonl": JsonLinesSource}
ENDINGS = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".dat", ".psv"), "csv"),
    **dict.fromkeys((".parquet", ".pq", ".parq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
}
_DATED = re.compile(r"\d{4}-\d\d-\d\d")
FIX = "Name a CSV, Parquet or JSON-lines file, a folder of them, or a table: postgresql+psycopg2://user@host/name#table."


@dataclass(frozen=True)
class Looked:
    """Data that was found.

    Attributes
    ----------
    frame
        The rows as they were read, or a sample of them; the columns as text.
    rows
        How many there are in all.
    source
        Settings of the source that reads them, for a specification; `path` is absolute.
    kind
        csv, parquet, jsonl or sql.
    origin
        What was looked at, for people; without credentials.
    notes
        What was noticed, in sentences.
    daily
        Whether each day has a file of its own, named by its date.
    span
        Least and greatest value of the time column, where the rows are a sample of a table.
    whole
        All rows, where `frame` is a sample of a file.
    secrets
        Environment variables that the source needs, by name.
    """

    frame: pd.DataFrame
    rows: int
    source: dict[str, Any]
    kind: str
    origin: str
    notes: tuple[str, ...] = ()
    daily: bool = False
    span: "pd.Series[Any] | None" = None
    whole: pd.DataFrame | None = None
    secrets: tuple[tuple[str, str], ...] = ()


def look(
    data: str, folder: Path, downloads: Path, *, time: str | None = None, table: str | None = None
) -> Looked:
    """Look at a file, a folder, an address or a table.

    Parameters
    ----------
    data
        What the user named.
    folder
        Where a relative path starts from.
    downloads
        Folder for what has to be fetched first.
    time
        Name of the time column, where it is known.
    table
        Name of the table, for a database whose URL names none behind ``#``.

    Raises
    ------
    SourceError
        When it cannot be found or read, holds no rows, or is of no kind that mlpipe reads.
    TransientError
        When a database or a disk does not answer.
    """
    scheme = data.partition("://")[0].lower() if "://" in data else ""
    if scheme in ("http", "https"):
        file = fetched(data, downloads)
        found = _files(file, time)
        note = f"It was fetched from {_bare(data)} to {file.name}; fetch it again when it changes."
        found = replace(found, origin=_bare(data), notes=(note, *found.notes))
    elif scheme == "file":
        found = _files(Path(urllib.parse.unquote(urllib.parse.urlsplit(data).path)), time)
    elif scheme:
        from mlpipe.scaffold.tables import look_at_table

        found = look_at_table(data, folder, time, table)
    else:
        found = _files(Path(os.path.normpath((folder / Path(data).expanduser()).absolute())), time)
    if not len(found.frame):
        raise SourceError(
            "there are no rows", where=found.origin, fix="Name data with at least some tens of rows."
        )
    return replace(found, frame=_named(found.frame, found.origin))


def _bare(url: str) -> str:
    """The address without user, password and query, which may hold secrets."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def fetched(url: str, folder: Path) -> Path:
    """Download a file, whole or not at all.

    Raises
    ------
    SourceError
        When the server does not give it.
    """
    name = re.sub(r"[^\w.-]", "_", Path(urllib.parse.urlsplit(url).path).name) or "data.csv"
    folder.mkdir(parents=True, exist_ok=True)
    file, part = folder / name, folder / f".{name}.part"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, part.open("wb") as out:
            shutil.copyfileobj(answer, out)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        part.unlink(missing_ok=True)
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"{_bare(url)} cannot be fetched: {reason}", fix="Is the address right?") from None
    part.replace(file)
    return file


def _named(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    names = [str(c) for c in frame.columns]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SourceError(
            f"{len(twice)} column names stand twice, such as {twice[0]!r}",
            where=where,
            fix="Rename one of each.",
        )
    return frame.set_axis(names, axis=1)


# -- files --------------------------------------------------------------------------------------------------------


def _files(path: Path, time: str | None) -> Looked:
    where = str(path)
    files = listed(path, where)
    kind = _kind(files, where)
    source: dict[str, Any] = {"type": kind, "path": braced(path)}
    notes: tuple[str, ...] = ()
    if kind == "csv":
        dialect = dialect_of(files[0], where)
        notes = dialect.notes
        if dialect.options:
            source["options"] = dialect.options
    daily = path.is_dir() and time is None and _dated(files, path)
    frame = read(TYPES[kind].model_validate(source), Path("/"), None, where)
    if len(files) > 1:
        notes = (f"{len(files)} files are read as one table.", *notes)
    rows, whole = len(frame), None
    if rows > SAMPLE:
        notes, whole = (*notes, f"{SAMPLE:,} of {rows:,} rows were looked at."), frame
        frame = frame.sample(SAMPLE, random_state=0).sort_index().reset_index(drop=True)
    if daily:
        frame = read_daily(TYPES[kind], source, files)
        source = {**source, "path": f"{braced(path)}/{{partition}}{braced(Path(_ending(files[0])))}"}
    return Looked(frame, rows, source, kind, where, notes, daily, whole=whole)


def read_daily(source: type[Files], settings: dict[str, Any], files: Iterable[Path]) -> pd.DataFrame:
    """All files, each row with the day of its file in the column ``_day``."""
    frames = []
    for file in files:
        one = source.model_validate({**settings, "path": braced(file)})
        frames.append(read(one, Path("/"), None, str(file)).assign(_day=file.name[:10]))
    return pd.concat(frames, ignore_index=True)


def braced(path: Path) -> str:
    """A path as a source names it: its braces twice."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _ending(file: Path) -> str:
    return file.name[10:]


def _dated(files: list[Path], folder: Path) -> bool:
    """Whether each file is named by a day, and no day in between has none."""
    if len(files) < 2 or any(f.parent != folder or not _DATED.match(f.name) for f in files):
        return False
    days = pd.to_datetime([f.name[:10] for f in files], errors="coerce")
    same = {_ending(f) for f in files}
    return len(same) == 1 and not days.hasnans and len(days) == (days.max() - days.min()).days + 1


def _kind(files: list[Path], where: str) -> str:
    kinds = {f: _kind_of(f) for f in files}
    known = sorted({k for k in kinds.values() if k})
    if len(known) == 1 and all(kinds.values()):
        return known[0]
    odd = next((f for f, k in kinds.items() if not k), files[0])
    if len(known) > 1:
        raise SourceError(
            f"the folder holds files of several kinds: {', '.join(known)}",
            where=where,
            fix="Name a folder with one kind.",
        )
    raise SourceError(f"{odd.name} is of no kind that mlpipe reads", where=where, fix=FIX)


def _kind_of(file: Path) -> str:
    """Kind of a file, by what it begins with, else by its name."""
    with file.open("rb") as stream:
        head = stream.read(64)
    suffixes = [s.lower() for s in file.suffixes]
    named = ENDINGS.get(suffixes[-1] if suffixes else "", "")
    if len(suffixes) > 1 and suffixes[-1] in PACKED:
        named = ENDINGS.get(suffixes[-2], "")
    elif suffixes and suffixes[-1] in PACKED:
        named = "csv"
    if head.startswith(b"PAR1"):
        return "parquet"
    if named == "jsonl" and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise SourceError(
            f"{file.name} is one JSON list, not JSON lines",
            where=str(file),
            fix="Write one record on each line: jq -c '.[]' file.json > file.jsonl",
        )
    return named


def relative_to(source: dict[str, Any], base: Path, near: Path) -> dict[str, Any]:
    """The source with its path as seen from a project's folder, where the data lies near it; else absolute."""
    if "path" not in source:
        return source
    path = Path(source["path"])
    if not path.is_relative_to(near):
        return source
    return {**source, "path": os.path.relpath(path, base)}
