"""Reading files: CSV, Parquet and JSON lines, one file or a folder of them. A file that did not change is read once a process."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from mlpipe.core.columns import with_columns
from mlpipe.errors import SourceError, did_you_mean
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.sources import CsvSource, Files, JsonLinesSource, ParquetSource
from mlpipe.stages.passing import passing

MIXED = ("mixed", "mixed-integer")
"""What pandas calls a column of several types, which no table can hold; whole numbers among others are none."""
DEEPEST = 20
"""Records in JSON lines may be nested this deep."""


def read(source: Files, base_dir: Path, key: str | None, where: str) -> pd.DataFrame:
    """Rows of a source's file, or of all files below its folder; `key` takes the place of ``{partition}`` in the path.

    Returns
    -------
    DataFrame
        Not to be changed: it is remembered. Lists and records are JSON text.

    Raises
    ------
    TransientError
        When the disk is away, which may pass.
    SourceError
        When there is no file, or it cannot be read.
    """
    try:
        return _files(source, base_dir / source.located(key or WHOLE), where)
    except OSError as error:
        # A remote disk that is away for a moment is no missing file.
        passes = passing(error)
        if passes is not None:
            raise passes.raised(f"{source.path} cannot be reached: {error}", where) from error
        raise SourceError(
            f"{source.path} cannot be read: {error}", where=where, fix="May this user read it?"
        ) from error


def listed(path: Path, where: str) -> list[Path]:
    """The file, or all files below the folder, in order of their names; hidden ones are left out.

    Raises
    ------
    SourceError
        When there is none.
    """
    if not path.exists():
        raise SourceError(f"there is no file {path.resolve()}", where=where, fix=_near(path.resolve()))
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "_")))
    if not files:
        raise SourceError(
            f"the folder {path} holds no files", where=where, fix="Put the data there, or mend 'path'."
        )
    return files


def _files(source: Files, path: Path, where: str) -> pd.DataFrame:
    frames = [_read(source, file, where) for file in listed(path, where)]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either; mend 'path'."
    return (
        did_you_mean(path.name, sorted(p.name for p in folder.iterdir())[:200])
        or f"The folder {folder} is empty."
    )


def _read(source: Files, file: Path, where: str) -> pd.DataFrame:
    stat = file.stat()
    if isinstance(source, CsvSource):
        return _csv(str(file), stat.st_mtime_ns, stat.st_size, _Options(_options(source)), where)
    if isinstance(source, ParquetSource):
        return _parquet(str(file), stat.st_mtime_ns, stat.st_size, where)
    if isinstance(source, JsonLinesSource):
        return _jsonl(str(file), stat.st_mtime_ns, stat.st_size, where)
    raise SourceError(f"unknown kind of file source {type(source).__name__}", where=where)


def _options(source: CsvSource) -> dict[str, Any]:
    """Options of the reader. Columns whose form depends on how their cells are spelled are read as text, unless the user says otherwise."""
    told, types = source.options.get("converters") or {}, source.options.get("dtype", {})
    spelled = [n for n, form in source.clean.items() if form.by_spelling and n not in told]
    if not spelled or not isinstance(types, dict):
        return source.options
    return {**source.options, "dtype": {**dict.fromkeys(spelled, "str"), **types}}


@dataclass(frozen=True)
class _Options:
    """Options of a reader, hashed by their text: they may hold lists and mappings, which have no hash of their own."""

    given: dict[str, Any]

    def __hash__(self) -> int:
        return hash(repr(sorted(self.given.items(), key=lambda item: item[0])))


@lru_cache(maxsize=4)
def _csv(file: str, mtime: int, size: int, options: _Options, where: str) -> pd.DataFrame:
    try:
        return _storable(pd.read_csv(file, **{"low_memory": False, **options.given}))
    except pd.errors.EmptyDataError:
        raise SourceError(
            f"the file {file} is empty",
            where=where,
            fix="A CSV file needs at least its line of column names.",
        ) from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise SourceError(
            f"the file {file} cannot be read as CSV: {error}",
            where=where,
            fix="Mend the file, or set 'options' (sep, encoding, …).",
        ) from None


@lru_cache(maxsize=4)
def _parquet(file: str, mtime: int, size: int, where: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
        nested = [f.name for f in table.schema if pa.types.is_nested(f.type)]
        frame: pd.DataFrame = table.to_pandas()
    except (pa.ArrowException, OSError) as error:
        if passing(error) is not None:
            raise
        raise SourceError(
            f"the file {file} cannot be read as Parquet: {error}",
            where=where,
            fix="It may be cut short; write it again.",
        ) from None
    if nested and frame.columns.is_unique:
        texts = {n: [_text(v) for v in table.column(n).to_pylist()] for n in nested}
        frame = with_columns(
            frame, {n: pd.Series(t, index=frame.index, dtype="object") for n, t in texts.items()}
        )
    return frame


@lru_cache(maxsize=4)
def _jsonl(file: str, mtime: int, size: int, where: str) -> pd.DataFrame:
    records = []
    try:
        with gzip.open(file, "rb") if file.endswith(".gz") else Path(file).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                text = line.removeprefix(b"\xef\xbb\xbf").strip()
                if text:
                    records.append(_record(text, f"{where}, {file}:{number}"))
    except (gzip.BadGzipFile, EOFError) as error:
        raise SourceError(
            f"the file {file} cannot be unpacked: {error}",
            where=where,
            fix="It may be cut short; write it again.",
        ) from None
    if not records:
        raise SourceError(
            f"the file {file} is empty", where=where, fix="JSON lines hold one record on each line."
        )
    frame = pd.DataFrame(records)
    mixed = [str(c) for c in frame if pd.api.types.infer_dtype(frame[c], skipna=True) in MIXED]
    texts = {c: frame[c].map(_text_of, na_action="ignore").astype("object") for c in mixed}
    return _storable(with_columns(frame, texts))


def _text_of(value: Any) -> str:
    """A cell of a column that holds several types: text as it is, all else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers of more digits than 64 bits hold are text, as no column of numbers keeps all of them; they mostly name things."""
    for name in frame.columns:
        mixed = pd.api.types.is_object_dtype(frame[name])
        if mixed and any(type(v) is int and not -(2**63) <= v < 2**63 for v in frame[name]):
            frame[name] = frame[name].map(str, na_action="ignore").astype("object")
    return frame


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"this line is no JSON: {str(error) or 'it is nested too deeply'}",
            where=where,
            fix="Write one JSON record on each line.",
        ) from None
    if not isinstance(value, dict):
        raise SourceError(
            f"this line holds a {type(value).__name__}, not a record",
            where=where,
            fix='Write one JSON record on each line, such as {"a": 1}.',
        )
    return dict(_flat(value))


def _flat(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict) and depth < DEEPEST:
            yield from _flat(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", _text(value) if isinstance(value, (list, dict)) else value


def _text(value: Any) -> str | None:
    """A list or record as JSON text, which a table can hold; dates and bytes in it as their text."""
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)
