"""What a pipeline for some data could look like, with the reason for each guess."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from mlpipe.errors import DataError, NotFoundError, did_you_mean
from mlpipe.scaffold.cells import Cells, cells_of
from mlpipe.scaffold.look import Looked
from mlpipe.scaffold.roles import RESERVED, Roles, roles_of
from mlpipe.scaffold.spans import Span, span_of, whole
from mlpipe.scaffold.target import Target, target_of
from mlpipe.scaffold.times import is_named_as_time, times_of

DAY = "_day"
"""Column with the day of a file that is named by it; see `mlpipe.scaffold.look.read_daily`."""


@dataclass(frozen=True)
class Asked:
    """What somebody says about the data: its label, and perhaps its times, keys and moment of prediction."""

    name: str
    label: str
    time: str | None = None
    keys: tuple[str, ...] = ()
    at: str | None = None


@dataclass(frozen=True)
class Proposal:
    """All that was concluded.

    Attributes
    ----------
    keys
        Columns that together identify a row; empty when none do.
    unique
        Whether the contract asks for that: not where the data breaks it already.
    notes
        About the time and the keys, in sentences.
    """

    asked: Asked
    looked: Looked
    cells: dict[str, Cells]
    target: Target
    roles: Roles
    span: Span
    time: str | None
    keys: tuple[str, ...]
    unique: bool
    time_notes: tuple[str, ...]
    key_notes: tuple[str, ...]


def propose(asked: Asked, looked: Looked, now: datetime) -> Proposal:
    """Conclude from data what a pipeline for it needs.

    Raises
    ------
    NotFoundError
        A column that was named does not exist; with close names.
    DataError
        Nothing can be learned: see `mlpipe.scaffold.target.target_of`; or a column of times holds none, or no column is left.
    """
    frame, where = looked.frame, looked.origin
    known = [str(c) for c in frame.columns if c != DAY]
    named: dict[str, Sequence[str | None]] = {
        "--label": [asked.label],
        "--time": [asked.time],
        "--key": asked.keys,
        "--at": [asked.at],
    }
    for option, names in named.items():
        for name in names:
            if name is not None and name not in known:
                raise NotFoundError(
                    f"there is no column {name!r} ({option})", where=where, fix=did_you_mean(name, known)
                )
    reserved = [n for names in named.values() for n in names if n in RESERVED]
    if reserved:
        raise DataError(
            f"the name {reserved[0]!r} is one that mlpipe gives to a column of its own",
            where=where,
            fix="Rename the column.",
        )
    told = {asked.time, asked.at}
    cells = {n: cells_of(frame[n], n, time=n in told) for n in known}
    for name in told:
        if name is not None and cells[name].kind != "time":
            examples = ", ".join(repr(v) for v in frame[name].dropna().head(3))
            raise DataError(
                "this column holds no times" + (f", but {examples}" if examples else ""),
                where=f"{where}, column {name}",
                fix="Name a column of dates or times.",
            )
    target = target_of(cells[asked.label], frame[asked.label], where)
    time, time_notes = _time(asked, looked, cells)
    span = _span(looked, cells, time, now)
    keys, unique, key_notes = _keys(asked, frame, cells, time)
    moment = _moment(asked, cells, time)
    roles = roles_of(cells, target, _taken(asked, time, keys, cells), moment)
    if not roles.features:
        raise DataError(
            "no column is left to learn from: "
            + "; ".join(f"{n}: {w}" for n, w in list(roles.left_out.items())[:10]),
            where=where,
            fix="Name data with more columns.",
        )
    return Proposal(asked, looked, cells, target, roles, span, time, keys, unique, time_notes, key_notes)


def _taken(asked: Asked, time: str | None, keys: Sequence[str], cells: dict[str, Cells]) -> dict[str, str]:
    taken = {asked.label: "it is the label"}
    if time is not None:
        taken[time] = "it is the time of the row"
    if asked.at is not None:
        taken.setdefault(asked.at, "it is the time of prediction")
    for key in keys:
        taken.setdefault(key, "it is an identifier: the key of the row")
    return taken


def guessed_time(looked: Looked, asked: Asked) -> str | None:
    """The column that most looks like the time of a row, by its values and its name; None when none does."""
    frame = looked.frame
    found = []
    for position, name in enumerate(frame.columns):
        if name in (asked.label, DAY, *asked.keys) or not is_named_as_time(name):
            continue
        times = times_of(frame[name], name)
        if times is not None and times.values.notna().mean() > 0.9 and times.values.nunique() > 1:
            found.append((-times.values.notna().mean(), position, name))
    return min(found)[2] if found else None


def _time(asked: Asked, looked: Looked, cells: dict[str, Cells]) -> tuple[str | None, tuple[str, ...]]:
    if looked.daily:
        return None, ("Each day has a file of its own, named by its date.",)
    name = asked.time or asked.at or guessed_time(looked, asked)
    if name is None:
        return None, ("No column looks like the time of a row (name it with --time).",)
    if cells[name].kind != "time":
        return None, ()
    notes = list(cells[name].notes)
    if asked.time is None:
        others = [n for n, c in cells.items() if c.kind == "time" and n != name]
        also = f"; {', '.join(others)} hold times too" if others else ""
        notes.insert(0, f"{name!r} looks like the time of a row{also}. Name another with --time.")
    times = cells[name].times
    if times is not None and not times.zoned:
        notes.append(
            "The times name no zone; they are taken as UTC. Write another into 'timezone' if that is wrong."
        )
    return name, tuple(notes)


def _zone(looked: Looked, time: str | None) -> str:
    """Time zone of a column whose type names one."""
    zone = getattr(looked.frame[time].dtype, "tz", None) if time is not None else None
    key = getattr(zone, "key", None) or getattr(zone, "zone", None)
    return str(key) if key and "/" in str(key) else "UTC"


def _span(looked: Looked, cells: dict[str, Cells], time: str | None, now: datetime) -> Span:
    scale = looked.rows / len(looked.frame)
    if looked.daily:
        return span_of(pd.to_datetime(looked.frame[DAY], utc=True), "UTC", scale, now)
    if time is None:
        return whole(looked.rows, "Without a time there are no partitions: one model is made from all rows.")
    times = cells[time].values
    if looked.whole is not None:
        times, scale = cells_of(looked.whole[time], time, time=True).values, 1.0
    if looked.span is not None:
        ends = times_of(looked.span, time, told=True)
        times = times if ends is None else pd.concat([times, ends.values], ignore_index=True)
    return span_of(times, _zone(looked, time), scale, now)


def _moment(asked: Asked, cells: dict[str, Cells], time: str | None) -> "pd.Series[Any] | None":
    name = asked.at or time
    return cells[name].values if name is not None else None


def _keys(
    asked: Asked, frame: pd.DataFrame, cells: dict[str, Cells], time: str | None
) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Columns that identify a row, whether they do, and what was found about it."""
    if not asked.keys:
        return (), False, ()
    keys = list(asked.keys)
    nulls = [k for k in keys if frame[k].isna().any()]
    notes = [f"{int(frame[k].isna().sum()):,} rows have no {k!r}." for k in nulls]
    twice = int(frame.duplicated(keys).sum())
    if twice and time is not None and time not in keys:
        with_time = int(frame.duplicated([*keys, time]).sum())
        if with_time < twice:
            notes.append(f"{', '.join(keys)} alone stands on several rows; with {time!r} it identifies one.")
            keys, twice = [*keys, time], with_time
    if twice:
        notes.append(
            f"{twice:,} rows share their key with another one, so the contract does not ask for unique keys "
            "('unique: []'); take that line out to have all but one of them quarantined."
        )
    return tuple(keys), not twice, tuple(notes)
