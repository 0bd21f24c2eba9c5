"""The difference between two records in full: code as a unified diff, data by rows, columns and distribution."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mlpipe.core.drift import compare as drift_of
from mlpipe.core.grid import build
from mlpipe.core.profile import profile
from mlpipe.core.renames import Rename, renames
from mlpipe.core.rowdiff import RowDiff, row_diff
from mlpipe.errors import DataError
from mlpipe.index.distributions import feature_tables, moved
from mlpipe.index.origins import origin_of
from mlpipe.index.shelf import Shelf
from mlpipe.records.archives import FileDiff, differing, files
from mlpipe.records.record import Record

ROW, TIME = "_row", "_time"
"""Columns of every table of features: the place of its row in the source, and its moment."""
MOST_TABLES = 5
FEWEST = 20
"""Tables with fewer rows have no distribution to speak of."""
SAMPLE = 50_000
"""Rows of a window that are looked at for columns with another name."""


@dataclass(frozen=True)
class TableDiff:
    """Two tables of one name.

    `added`, `removed` and `retyped` are columns with their types; `rows` tells the rows, None where windows are compared, whose rows are
    not the same things; `psi` is that of the columns that both have.
    """

    name: str
    counts: tuple[int, int]
    added: dict[str, str]
    removed: dict[str, str]
    retyped: dict[str, tuple[str, str]]
    psi: dict[str, float]
    renames: tuple[Rename, ...] = ()
    rows: RowDiff | None = None


@dataclass(frozen=True)
class Diff:
    """Two records: files of their archives, tables. `notes` say what could not be compared, and why."""

    names: tuple[str, str]
    records: tuple[Record, Record]
    code: tuple[FileDiff, ...] = ()
    tables: tuple[TableDiff, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


def diff_of(shelf: Shelf, names: Sequence[str], *, code: bool = True, data: bool = True) -> Diff:
    """The difference between two records.

    Parameters
    ----------
    names
        What they are called; two.
    code, data
        Which of both to look at.

    Raises
    ------
    NotFoundError
        A name means nothing, or several records; or an object is not in the store.
    """
    old, new = (shelf.one(name) for name in names)
    notes: list[str] = []
    changed = tuple(_code(shelf, old, new, notes)) if code else ()
    tables = tuple(_data(shelf, old, new, notes)) if data else ()
    return Diff((names[0], names[1]), (old, new), changed, tables, tuple(notes))


def _code(shelf: Shelf, old: Record, new: Record, notes: list[str]) -> Iterator[FileDiff]:
    ids = [r.code.archive for r in (old, new)]
    if not all(ids):
        notes.append("The code cannot be compared: a record has no archive of it.")
        return
    if ids[0] != ids[1]:
        before, after = (files(shelf.store.get_bytes(i), i) for i in ids)
        yield from differing(before, after)


def _data(shelf: Shelf, old: Record, new: Record, notes: list[str]) -> Iterator[TableDiff]:
    """Tables that both made; where they made none, the windows of features that they read, and partitions that were made again."""
    made = [{o.name: o.id for o in r.outputs if o.id.startswith("table-")} for r in (old, new)]
    shared = [n for n in made[0] if n in made[1]] if old.stage == new.stage else []
    for name in shared:
        before, after = (shelf.store.get_table(one[name]) for one in made)
        yield table_diff(name, before, after, _keys(old, name, before, after))
    if shared:
        return
    origins = [origin_of(shelf, r) for r in (old, new)]
    tables = [feature_tables(o) for o in origins]
    if not all(tables):
        notes.append("The data cannot be compared: they have no tables in common, made or read.")
        return
    drifts = moved(shelf.store, origins)
    frames = [_sampled(shelf, ids) for ids in tables]
    before, after = frames
    found = _columns(before, after)
    psi = {n: d[1].psi for n, d in drifts.items() if d[1] is not None}
    counts = tuple(o.spans["features"].rows if "features" in o.spans else 0 for o in origins)
    yield TableDiff(
        "features of the window",
        (counts[0], counts[1]),
        *found,
        psi,
        tuple(renames(_values(before), _values(after))),
    )
    first, last = origins[0].objects, origins[1].objects
    again = [k for k in sorted(first) if k in last and first[k] != last[k] and first[k].startswith("table-")]
    for key in again[:MOST_TABLES]:
        before, after = shelf.store.get_table(first[key]), shelf.store.get_table(last[key])
        yield table_diff(
            f"{key[0]} {key[1]} ({key[2]})", before, after, [ROW] if ROW in before and ROW in after else []
        )
    if len(again) > MOST_TABLES:
        notes.append(
            f"{len(again) - MOST_TABLES} more tables of the same partitions were made again with another content."
        )


def table_diff(name: str, before: pd.DataFrame, after: pd.DataFrame, keys: Sequence[str]) -> TableDiff:
    """Two tables of one name, met by some keys."""
    old, new = (t.drop(columns=[c for c in (ROW, TIME) if c in t and c not in keys]) for t in (before, after))
    rows = row_diff(old, new, keys)
    enough = min(len(before), len(after)) >= FEWEST
    psi = dict(_psi(_values(before), _values(after), keys)) if enough else {}
    return TableDiff(
        name,
        (len(before), len(after)),
        *_columns(before, after),
        psi,
        tuple(renames(_values(before, keys), _values(after, keys), keys)),
        rows,
    )


def _values(frame: pd.DataFrame, keys: Sequence[str] = ()) -> pd.DataFrame:
    return frame[[c for c in frame.columns if c in keys or not str(c).startswith("_")]]


def _keys(record: Record, name: str, before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Columns by which the rows of an output are met: the declared keys, where both tables have them, else the place in the source."""
    sources: Any = record.params.get("sources") or {}
    source = sources.get(name) or sources.get(record.params.get("primary")) or {}
    declared = list(source.get("keys") or record.params.get("keys") or ())
    for keys in (declared, [ROW]):
        if keys and all(k in before and k in after for k in keys):
            return keys
    return []


def _columns(
    before: pd.DataFrame, after: pd.DataFrame
) -> tuple[dict[str, str], dict[str, str], dict[str, tuple[str, str]]]:
    old, new = ({str(c): str(t[c].dtype) for c in t.columns} for t in (before, after))
    return (
        {c: k for c, k in new.items() if c not in old},
        {c: k for c, k in old.items() if c not in new},
        {c: (old[c], new[c]) for c in old if c in new and old[c] != new[c]},
    )


def _psi(before: pd.DataFrame, after: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[str, float]]:
    """PSI of the columns that both have. Keys and times are never distributed as before, and say nothing by that."""
    for name in [c for c in before.columns if c in after and c not in keys]:
        if pd.api.types.is_datetime64_any_dtype(before[name].dtype):
            continue
        try:
            grid = build(before[[name]])
            value = drift_of(grid, profile(before[[name]], grid), profile(after[[name]], grid))[str(name)].psi
        except DataError:
            # A column that changed its kind, or holds lists, has no distribution to compare; its type is told.
            continue
        if not math.isnan(value):
            yield str(name), value


def _sampled(shelf: Shelf, tables: Sequence[str]) -> pd.DataFrame:
    """Rows of the last tables, so many that a sample is held."""
    frames: list[pd.DataFrame] = []
    for table in reversed(tables):
        frames.insert(0, shelf.store.get_table(table))
        if sum(map(len, frames)) >= SAMPLE:
            break
    return pd.concat(frames, ignore_index=True)
