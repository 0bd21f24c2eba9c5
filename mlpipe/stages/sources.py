"""Reading: one call for a contiguous range of partitions, cut afterwards."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from mlpipe.errors import DataError, MlpipeError, SourceError, TransientError, UserCodeError, did_you_mean
from mlpipe.spec.calendar import WHOLE, Calendar
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import CsvSource, Files, LoadSource, ParquetSource, Source, SqlSource, UpstreamSource
from mlpipe.stages.context import Context
from mlpipe.stages.deadline import deadline
from mlpipe.stages.times import instants


@dataclass(frozen=True)
class LoadWindow:
    """What a `load` function is asked for: partition keys, and the half-open stretch of time that they cover (aware, in UTC)."""

    keys: tuple[str, ...]
    start: datetime
    end: datetime
    timezone: str


@dataclass(frozen=True)
class Piece:
    """Rows of one source in one partition, and how many rows of the same load belong to no partition at all."""

    frame: pd.DataFrame
    unplaced: int = 0


def load(
    spec: PipelineSpec, name: str, keys: Sequence[str], ctx: Context
) -> Iterator[tuple[str, Piece | MlpipeError]]:
    """Rows of a source for contiguous partitions, one piece a key, in the order of the keys.

    A key whose own file is missing or broken gives the error instead, so that its neighbours are not held up by it.
    """
    source = spec.sources[name]
    where = f"pipeline {spec.name}, source {name}"
    with deadline(source.timeout or spec.timeout, f"loading {where}"):
        yield from _pieces(spec, name, source, keys, ctx, where)


def _pieces(
    spec: PipelineSpec, name: str, source: Source, keys: Sequence[str], ctx: Context, where: str
) -> Iterator[tuple[str, Piece | MlpipeError]]:
    if isinstance(source, Files) and "{partition}" in source.path:
        for key in keys:
            try:
                yield (
                    key,
                    Piece(
                        _timed(
                            _file(source, spec, key, where),
                            source,
                            spec.partitions,
                            f"{where}, partition {key}",
                        )
                    ),
                )
            except MlpipeError as error:
                yield key, error
        return
    if isinstance(source, UpstreamSource):
        frames = [_frame(ctx.upstream[name](key), f"{where} (asset {source.asset})") for key in keys]
        if source.event_time is None or spec.partitions.every == "none":
            yield from (
                (key, Piece(_columns(frame, source, where))) for key, frame in zip(keys, frames, strict=True)
            )
            return
        frame = pd.concat(frames, ignore_index=True) if len({id(f) for f in frames}) > 1 else frames[0]
    elif isinstance(source, Files):
        frame = _file(source, spec, None, where)
    elif isinstance(source, SqlSource):
        frame = _sql(source, spec, keys, where)
    elif isinstance(source, LoadSource):
        frame = _call(source, spec, keys, where)
    else:
        raise SourceError(f"unknown kind of source {type(source).__name__}", where=where)
    yield from _cut(_timed(frame, source, spec.partitions, where), source, spec.partitions, keys)


def _timed(frame: pd.DataFrame, source: Source, calendar: Calendar, where: str) -> pd.DataFrame:
    frame = _columns(frame, source, where)
    if source.event_time is None or not len(frame):
        return frame
    times = instants(
        frame[source.event_time], source.timezone or calendar.timezone, f"{where}, column {source.event_time}"
    )
    return frame.assign(**{source.event_time: times})


def _columns(frame: pd.DataFrame, source: Source, where: str) -> pd.DataFrame:
    needed = [*([source.event_time] if source.event_time else []), *source.keys, *(source.columns or ())]
    if not len(frame.columns):
        return pd.DataFrame({c: pd.Series(dtype="object") for c in dict.fromkeys(needed)})
    known = [str(c) for c in frame.columns]
    missing = [c for c in dict.fromkeys(needed) if c not in known]
    if missing:
        raise DataError(
            f"there is no column {missing[0]!r}", where=where, fix=did_you_mean(missing[0], known)
        )
    if source.columns is not None:
        frame = frame[list(dict.fromkeys(needed))]
    return frame.set_axis([str(c) for c in frame.columns], axis=1)


def _cut(
    frame: pd.DataFrame, source: Source, calendar: Calendar, keys: Sequence[str]
) -> Iterator[tuple[str, Piece]]:
    """Rows by partition. A table without event time is the same in each partition."""
    if source.event_time is None or calendar.every == "none":
        yield from ((key, Piece(frame)) for key in keys)
        return
    times = frame[source.event_time]
    unplaced = int(times.isna().sum())
    ordered = frame[times.notna()].sort_values(source.event_time, kind="stable")
    sorted_times = (
        pd.DatetimeIndex(ordered[source.event_time]) if len(ordered) else pd.DatetimeIndex([], tz="UTC")
    )
    for key in keys:
        window = calendar.window(key)
        low, high = sorted_times.searchsorted([pd.Timestamp(window.start), pd.Timestamp(window.end)])
        yield key, Piece(ordered.iloc[low:high].reset_index(drop=True), unplaced)


# -- files --------------------------------------------------------------------------------------------------------


def _file(source: Files, spec: PipelineSpec, key: str | None, where: str) -> pd.DataFrame:
    path = spec.base_dir / source.path.replace("{partition}", key or WHOLE)
    if not path.exists():
        raise SourceError(
            f"there is no file {path}", where=where + (f", partition {key}" if key else ""), fix=_near(path)
        )
    files = (
        sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "_")))
        if path.is_dir()
        else [path]
    )
    if not files:
        raise SourceError(
            f"the folder {path} holds no files", where=where, fix="Put the data there, or mend 'path'."
        )
    frames = [_read(source, file, where) for file in files]
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
        return _csv(
            str(file), stat.st_mtime_ns, stat.st_size, tuple(sorted(source.options.items(), key=str)), where
        )
    if isinstance(source, ParquetSource):
        return _parquet(str(file), stat.st_mtime_ns, stat.st_size, where)
    raise SourceError(f"unknown kind of file source {type(source).__name__}", where=where)


@lru_cache(maxsize=4)
def _csv(file: str, mtime: int, size: int, options: tuple[tuple[str, Any], ...], where: str) -> pd.DataFrame:
    try:
        return pd.read_csv(file, **{"low_memory": False, **dict(options)})
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
        return pq.read_table(file).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"the file {file} cannot be read as Parquet: {error}",
            where=where,
            fix="It may be cut short; write it again.",
        ) from None


# -- SQL ----------------------------------------------------------------------------------------------------------


def _sql(source: SqlSource, spec: PipelineSpec, keys: Sequence[str], where: str) -> pd.DataFrame:
    import sqlalchemy as sa

    bounds = None if spec.partitions.every == "none" else spec.partitions.bounds(keys)
    engine = _engine(source.url, str(spec.base_dir), where)
    try:
        with engine.connect() as connection:
            return pd.read_sql(
                _statement(source, spec, bounds, connection), connection, dtype_backend="numpy_nullable"
            )
    except sa.exc.OperationalError as error:
        raise TransientError(
            f"the database did not answer: {_first(error)}",
            where=where,
            fix="Is it running, and is 'url' right?",
        ) from None
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(
            f"the query failed: {_first(error)}", where=where, fix="Mend 'table', 'query' or 'event_time'."
        ) from None


def _first(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def _statement(source: SqlSource, spec: PipelineSpec, bounds: Any, connection: Any) -> Any:
    import sqlalchemy as sa

    def bound(instant: datetime, aware: bool) -> datetime:
        from zoneinfo import ZoneInfo

        return (
            instant
            if aware
            else instant.astimezone(ZoneInfo(source.timezone or spec.partitions.timezone)).replace(
                tzinfo=None
            )
        )

    if source.query is not None:
        named = set(re.findall(r"(?<!:):(\w+)", source.query))
        values = (
            {} if bounds is None else {"start": bound(bounds.start, False), "end": bound(bounds.end, False)}
        )
        return sa.text(source.query).bindparams(**{k: v for k, v in values.items() if k in named})
    schema, _, table_name = (source.table or "").rpartition(".")
    try:
        table = sa.Table(table_name, sa.MetaData(), schema=schema or None, autoload_with=connection)
    except sa.exc.NoSuchTableError:
        known = sa.inspect(connection).get_table_names(schema=schema or None)
        raise SourceError(
            f"there is no table {source.table!r}",
            where=f"pipeline {spec.name}",
            fix=did_you_mean(table_name, known),
        ) from None
    chosen = (
        [table]
        if source.columns is None
        else [
            table.c[c]
            for c in dict.fromkeys(
                [*source.columns, *source.keys, *([source.event_time] if source.event_time else [])]
            )
        ]
    )
    statement = sa.select(*chosen)
    if source.event_time is None or bounds is None:
        return statement
    if source.event_time not in table.c:
        raise DataError(
            f"table {source.table!r} has no column {source.event_time!r}",
            where=f"pipeline {spec.name}",
            fix=did_you_mean(source.event_time, list(table.c.keys())),
        )
    column = table.c[source.event_time]
    aware = bool(getattr(column.type, "timezone", False))
    if isinstance(column.type, (sa.String, sa.Text)):
        low, high = (bound(b, False).isoformat(sep=" ") for b in (bounds.start, bounds.end))
        return statement.where(column >= low, column < high)
    return statement.where(column >= bound(bounds.start, aware), column < bound(bounds.end, aware))


@lru_cache(maxsize=8)
def _engine(url: str, base_dir: str, where: str) -> Any:
    import sqlalchemy as sa

    def secret(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise SourceError(
                f"the environment variable {match[1]} is not set", where=where, fix=f"export {match[1]}=…"
            )
        return os.environ[match[1]]

    full = re.sub(r"\$\{(\w+)\}", secret, url)
    if full.startswith("sqlite:///") and not full.startswith("sqlite:////"):
        full = f"sqlite:///{Path(base_dir) / full.removeprefix('sqlite:///')}"
    try:
        return sa.create_engine(full)
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise SourceError(
            f"the database URL cannot be used: {type(error).__name__}",
            where=where,
            fix="Write dialect+driver://user@host/name, such as postgresql+psycopg2://…",
        ) from None


# -- functions ----------------------------------------------------------------------------------------------------


def _call(source: LoadSource, spec: PipelineSpec, keys: Sequence[str], where: str) -> pd.DataFrame:
    bounds = spec.partitions.bounds(keys)
    window = LoadWindow(tuple(keys), bounds.start, bounds.end, spec.partitions.timezone)
    return call(source.function, window, where=where)


def call_any(function: Callable[..., Any], *args: Any, where: str) -> Any:
    """Call a user's function.

    Raises
    ------
    TransientError
        When it raises what may pass (a connection that failed, a time-out): such steps are retried.
    UserCodeError
        When it raises anything else; with the file and line.
    """
    name = getattr(function, "__name__", type(function).__name__)
    try:
        return function(*args)
    except (ConnectionError, TimeoutError) as error:
        raise TransientError(
            f"{name} failed: {type(error).__name__}: {error}",
            where=where,
            fix="It may pass; the step is tried again.",
        ) from error
    except Exception as error:  # the boundary to the user's code
        raise UserCodeError(
            f"{name} raised {type(error).__name__}: {error}",
            where=f"{where}, {_line(error)}",
            fix="Mend the function.",
        ) from error


def call(function: Callable[..., Any], *args: Any, where: str) -> pd.DataFrame:
    """Call a user's function that must return a frame; raises as `call_any`, and when it returns anything else."""
    return _frame(
        call_any(function, *args, where=where), f"{where}, function {getattr(function, '__name__', '')}"
    )


def _line(error: BaseException) -> str:
    """File and line where the user's code raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


def _frame(value: Any, where: str) -> pd.DataFrame:
    if not isinstance(value, pd.DataFrame):
        raise UserCodeError(
            f"a DataFrame was expected, {type(value).__name__} came",
            where=where,
            fix="Return a pandas DataFrame.",
        )
    return value.reset_index(drop=True)
