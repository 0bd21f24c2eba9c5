"""Reading: one call for a contiguous range of partitions, cut afterwards."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.blame import users_line
from mlpipe.core.columns import with_columns
from mlpipe.errors import DataError, MlpipeError, SourceError, TransientError, UserCodeError, did_you_mean
from mlpipe.spec.calendar import Calendar
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import Files, LoadSource, Source, SqlSource, UpstreamSource
from mlpipe.stages.cleaning import event_times, storable, zone
from mlpipe.stages.context import Context
from mlpipe.stages.databases import query
from mlpipe.stages.deadline import TooSlowError, deadline
from mlpipe.stages.files import read
from mlpipe.stages.passing import FIX, passing
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
    """Rows of one source in one partition, and how many rows of the same load belong to no partition at all.

    Those have no event time (`unplaced`), or one that cannot be read in its declared form (`unreadable`, with `examples`).
    """

    frame: pd.DataFrame
    unplaced: int = 0
    unreadable: int = 0
    examples: tuple[str, ...] = ()


def load(
    spec: PipelineSpec, name: str, keys: Sequence[str], ctx: Context
) -> Iterator[tuple[str, Piece | MlpipeError]]:
    """Rows of a source for contiguous partitions, one piece a key, in the order of the keys.

    A key whose own file is missing or broken gives the error instead, so that its neighbours are not held up by it.

    Raises
    ------
    TransientError
        When the source does not answer, or not within its 'timeout'.
    SourceError, DataError, UserCodeError
        When it gives something other than was declared.
    """
    source = spec.sources[name]
    where = f"pipeline {spec.name}, source {name}"
    limit = source.timeout or spec.timeout
    try:
        with deadline(limit, "the load", where):
            yield from _pieces(spec, name, source, keys, ctx, where)
    except TooSlowError as error:
        fix = f"{FIX} If it is always this slow, raise 'timeout' of the source or of the pipeline."
        raise TransientError(error.what, where=where, fix=fix) from error


def _pieces(
    spec: PipelineSpec, name: str, source: Source, keys: Sequence[str], ctx: Context, where: str
) -> Iterator[tuple[str, Piece | MlpipeError]]:
    if isinstance(source, Files) and source.templated:
        for key in keys:
            at = f"{where}, partition {key}"
            try:
                piece = _timed(read(source, spec.base_dir, key, at), source, spec.partitions, at)
            except MlpipeError as error:
                yield key, error
            else:
                yield key, piece
        return
    if isinstance(source, UpstreamSource):
        frames = [_frame(ctx.upstream[name](key), f"{where} (asset {source.asset})") for key in keys]
        if source.event_time is None or spec.partitions.every == "none":
            for key, frame in zip(keys, frames, strict=True):
                yield key, _timed(frame, source, spec.partitions, where)
            return
        frame = pd.concat(frames, ignore_index=True) if len({id(f) for f in frames}) > 1 else frames[0]
    elif isinstance(source, Files):
        frame = read(source, spec.base_dir, None, where)
    elif isinstance(source, SqlSource):
        window = None if spec.partitions.every == "none" else spec.partitions.bounds(keys)
        frame = query(source, spec, window, where)
    elif isinstance(source, LoadSource):
        frame = _call(source, spec, keys, where)
    else:
        raise SourceError(f"unknown kind of source {type(source).__name__}", where=where)
    yield from _cut(_timed(frame, source, spec.partitions, where), source, spec.partitions, keys)


def timed(frame: pd.DataFrame, source: Source, calendar: Calendar, where: str) -> pd.DataFrame:
    """Rows as a source declares them: its columns, and event times as instants in UTC."""
    return _timed(frame, source, calendar, where).frame


def _timed(frame: pd.DataFrame, source: Source, calendar: Calendar, where: str) -> Piece:
    frame = _columns(frame, source, where)
    name = source.event_time
    if name is None or not len(frame):
        return Piece(storable(frame, source))
    if name in source.clean:
        read = event_times(frame[name], source.clean[name], zone(source, calendar))
        frame = storable(with_columns(frame, {name: read.values}), source)
        return Piece(frame, unreadable=read.unreadable, examples=read.examples)
    times = instants(frame[name], zone(source, calendar), f"{where}, column {name}")
    return Piece(storable(with_columns(frame, {name: times}), source))


def _columns(frame: pd.DataFrame, source: Source, where: str) -> pd.DataFrame:
    joined = () if source.join is None else source.join.on
    needed = [*filter(None, [source.event_time]), *source.keys, *joined, *(source.columns or ())]
    if not len(frame.columns):
        return pd.DataFrame({c: pd.Series(dtype="object") for c in dict.fromkeys(needed)})
    known = [str(c) for c in frame.columns]
    if len(set(known)) < len(known):
        twice = next(c for c in known if known.count(c) > 1)
        raise DataError(f"two columns are named {twice!r}", where=where, fix="Rename or drop one of them.")
    frame = frame.set_axis(known, axis=1)
    missing = [c for c in dict.fromkeys(needed) if c not in known]
    if missing:
        raise DataError(
            f"there is no column {missing[0]!r}", where=where, fix=did_you_mean(missing[0], known)
        )
    return frame if source.columns is None else frame[list(dict.fromkeys(needed))]


def _cut(
    loaded: Piece, source: Source, calendar: Calendar, keys: Sequence[str]
) -> Iterator[tuple[str, Piece]]:
    """Rows by partition. A table without event time is the same in each partition."""
    if source.event_time is None or calendar.every == "none":
        yield from ((key, loaded) for key in keys)
        return
    frame, times = loaded.frame, loaded.frame[source.event_time]
    unplaced = int(times.isna().sum()) - loaded.unreadable
    ordered = frame[times.notna()].sort_values(source.event_time, kind="stable")
    sorted_times = (
        pd.DatetimeIndex(ordered[source.event_time]) if len(ordered) else pd.DatetimeIndex([], tz="UTC")
    )
    for key in keys:
        window = calendar.window(key)
        low, high = sorted_times.searchsorted([pd.Timestamp(window.start), pd.Timestamp(window.end)])
        rows = _settled(ordered.iloc[low:high].reset_index(drop=True))
        yield key, replace(loaded, frame=rows, unplaced=unplaced)


def _settled(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers typed by the values of this piece alone: whole numbers without a null are int64.

    A null elsewhere in the load turns a column of integers into floats; the content of a partition must not depend on which others were
    read with it.
    """
    whole = {}
    for name in frame.columns:
        column = frame[name]
        kind = getattr(column.dtype, "kind", "O")
        if kind not in "iuf" or column.hasnans:
            continue
        values = column.to_numpy(dtype="float64")
        exact = np.isfinite(values).all() and (np.abs(values) <= 2**53).all()
        if exact and (np.floor(values) == values).all():
            whole[name] = column.astype("int64")
    return with_columns(frame, whole) if whole else frame


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
        When it raises what may pass (a connection that failed, a time-out, a server that is busy): such steps are retried.
    UserCodeError
        When it raises anything else; with the file and line.
    """
    name = getattr(function, "__name__", type(function).__name__)
    try:
        return function(*args)
    except MlpipeError:
        raise
    except Exception as error:  # the boundary to the user's code
        passes = passing(error)
        if passes is not None:
            raise passes.raised(f"{name} failed: {type(error).__name__}: {error}", where) from error
        raise _blamed(name, error, function, where) from error
    except SystemExit as error:  # a function of the user's does not end the run
        raise _blamed(name, error, function, where) from error


def _blamed(name: str, error: BaseException, function: Callable[..., Any], where: str) -> UserCodeError:
    text = str(error).strip()
    return UserCodeError(
        f"{name} raised {type(error).__name__}" + (f": {text}" if text else ""),
        where=", ".join(x for x in (where, users_line(error) or defined(function)) if x),
        fix="Mend the function.",
    )


def call(function: Callable[..., Any], *args: Any, where: str) -> pd.DataFrame:
    """Call a user's function that must return a frame; raises as `call_any`, and when it returns anything else."""
    return _frame(call_any(function, *args, where=where), f"{where}, {defined(function)}")


def defined(function: Any) -> str:
    """File and line where a user's function stands, else its name."""
    while hasattr(function, "__wrapped__") or hasattr(function, "func"):
        function = getattr(function, "__wrapped__", None) or function.func
    function = getattr(function, "__func__", function)
    methods = vars(type(function))
    code = getattr(function, "__code__", None) or getattr(methods.get("__call__"), "__code__", None)
    if code is None:
        return f"function {getattr(function, '__name__', type(function).__name__)}"
    return f"{code.co_filename}:{code.co_firstlineno}"


def _frame(value: Any, where: str) -> pd.DataFrame:
    if not isinstance(value, pd.DataFrame):
        raise UserCodeError(
            f"a DataFrame was expected, {type(value).__name__} came",
            where=where,
            fix="Return a pandas DataFrame.",
        )
    return value.reset_index(drop=True)
