"""How rows become features: joins as of the moment of prediction, then the user's columns or function."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from mlpipe.core.asof import asof_join
from mlpipe.core.columns import with_columns
from mlpipe.errors import DataError, UserCodeError, did_you_mean
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import Source
from mlpipe.stages.deadline import deadline
from mlpipe.stages.frames import (
    KNOWN,
    RESERVED,
    ROW,
    TIME,
    Validated,
    handed,
    hidden_columns,
    known_labels,
    moments,
    same_rows,
)
from mlpipe.stages.sources import call_any, defined

NOTHING = timedelta(0)
LABELS = "labels"
"""Key of the labelled past among the frames of `history`."""


def reach(spec: PipelineSpec) -> timedelta:
    """How far before a partition its features may read: look-back, and the age that a side table's row may have."""
    ages = [spec.features.look_back]
    ages += [_age(spec, table) for table in spec.tables.values() if table.event_time is not None]
    return max(ages)


def side_keys(spec: PipelineSpec, table: Source, keys: Sequence[str]) -> tuple[str, ...]:
    """Partitions, of those up to the last one, in which a side table's rows may still count."""
    if table.event_time is None or spec.partitions.every == "none":
        return tuple(keys[-1:])
    age = _age(spec, table)
    start = spec.partitions.window(keys[-1]).start
    return tuple(k for k in keys if spec.partitions.window(k).end > start - age)


def _age(spec: PipelineSpec, table: Source) -> timedelta:
    """How old a row of a side table may be, counted from the start of the partition."""
    tolerance = table.join.tolerance if table.join is not None else None
    return (tolerance or spec.features.look_back or timedelta(days=1)) + spec.lead + table.available_after


def past_keys(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    """Partitions before `key` that its features may read."""
    far = reach(spec)
    if spec.partitions.every == "none" or not far:
        return ()
    return spec.partitions.before(key, far)


def featurise(
    spec: PipelineSpec, key: str, data: Validated, as_of: datetime
) -> tuple[pd.DataFrame, list[str]]:
    """Features of one partition as known at the moment of prediction.

    Returns
    -------
    frame : DataFrame
        `ROW`, `TIME`, the keys, and the features; a row per validated row of the primary source, in their order.
    names : list of str
        The features among its columns.

    Raises
    ------
    UserCodeError
        When the user's function raises, or returns other rows than it was given.
    DataError
        When a column does not exist.
    """
    where = f"pipeline {spec.name}, partition {key}, features"
    rows = data.frame(spec.primary, [key])
    rows = rows.assign(**{TIME: moments(spec, rows, key)})
    past = past_keys(spec, key)
    rows = _joined(spec, rows, data, (*past, key), where)
    visible = rows.drop(columns=[c for c in hidden_columns(spec) if c in rows])
    if spec.features.function is None:
        features = _columns(spec, visible, where)
    else:
        features = _made(spec, visible, History(spec, data, key, moment(rows, as_of)), where)
    keys = [k for k in spec.sources[spec.primary].keys if k not in features]
    base = visible[[ROW, TIME, *keys]]
    return pd.concat([base, features], axis=1), list(features.columns)


def moment(rows: pd.DataFrame, as_of: datetime) -> datetime:
    """Instant whose knowledge `history` shows: no later than the run's clock, and no later than the last prediction of the partition."""
    last = rows[TIME].max()
    return as_of if pd.isna(last) else min(as_of, last.to_pydatetime())


def _joined(
    spec: PipelineSpec, rows: pd.DataFrame, data: Validated, keys: Sequence[str], where: str
) -> pd.DataFrame:
    for name, table in spec.tables.items():
        assert table.join is not None
        side = data.frame(name, side_keys(spec, table, keys)).drop(columns=[ROW], errors="ignore")
        on = list(table.join.on)
        for column in on:
            if column not in rows or (len(side) and column not in side):
                holder = rows if column not in rows else side
                raise DataError(
                    f"there is no column {column!r} to join {name} on",
                    where=where,
                    fix=did_you_mean(column, [str(c) for c in holder.columns]),
                )
        if not len(side):
            rows = rows.assign(**_absent(spec, name, data, keys, rows, on))
            continue
        if table.event_time is None:
            rows = _looked_up(rows, side, on, name, where)
            continue
        delay = max(
            table.available_after, spec.label.available_after if name == spec.label.source else NOTHING
        )
        known = side[table.event_time] + pd.Timedelta(delay)
        tolerance = None if table.join.tolerance is None else pd.Timedelta(table.join.tolerance)
        rows = asof_join(
            rows,
            side.assign(**{KNOWN: known}),
            left_time=TIME,
            right_time=table.event_time,
            by=on,
            tolerance=tolerance,
            prefix=f"{name}.",
            known_at=KNOWN,
        )
        rows = rows.drop(columns=[f"{name}.{KNOWN}"], errors="ignore")
    return rows


def _absent(
    spec: PipelineSpec, name: str, data: Validated, keys: Sequence[str], rows: pd.DataFrame, on: list[str]
) -> dict[str, pd.Series]:
    """Columns of a side table that has no row in reach: null, numbers where the last table with rows held numbers."""
    schemas = [(data.raw[k].data or {}).get("schema", {}).get(name) for k in keys if k in data.raw]
    kinds = next((s for s in reversed(schemas) if s), None) or dict.fromkeys(spec.sources[name].columns or ())
    nothing = pd.Series(float("nan"), index=rows.index)
    return {
        f"{name}.{c}": nothing if kind in ("int", "float", "decimal") else nothing.astype(object)
        for c, kind in kinds.items()
        if c not in on
    }


def _looked_up(rows: pd.DataFrame, side: pd.DataFrame, on: list[str], name: str, where: str) -> pd.DataFrame:
    # A null names nothing: it meets no row, as in a join as of a moment.
    side = side.dropna(subset=on)
    twice = side[side.duplicated(on)]
    if len(twice):
        example = ", ".join(f"{c}={twice.iloc[0][c]!r}" for c in on)
        raise DataError(
            f"side table {name} has {len(twice)} further rows for the same {', '.join(on)}, such as {example}",
            where=where,
            fix="Declare its 'event_time', or make it unique (contract: unique).",
        )
    side = side.rename(columns={c: f"{name}.{c}" for c in side.columns if c not in on})
    try:
        out = rows.merge(side, on=on, how="left", sort=False)
    except ValueError as error:
        raise DataError(
            f"the rows and side table {name} cannot meet on {', '.join(on)}: {str(error).splitlines()[0]}",
            where=where,
            fix="Give the columns one type on both sides.",
        ) from None
    out.index = rows.index
    return out


class History(Mapping[str, pd.DataFrame]):
    """The past as it was known at an instant: each source's rows within the look-back, and the labelled rows under ``labels``.

    Primary rows lack what became known only later. Each frame is read when it is asked for.
    """

    def __init__(self, spec: PipelineSpec, data: Validated, key: str, bound: datetime) -> None:
        self._spec, self._data, self._key, self._bound = spec, data, key, bound
        look_back = spec.features.look_back
        timeless = spec.partitions.every == "none"
        self._past = spec.partitions.before(key, look_back) if look_back and not timeless else ()
        self._names = [*(n for n in spec.sources if n != spec.label.source), LABELS]

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._names:
            raise KeyError(f"{name!r}; history holds {', '.join(self._names)}")
        spec = self._spec
        if name == LABELS:
            return handed(self._labelled)
        source, frame = spec.sources[name], self._data.frame(name, self._past)
        if not len(frame):
            # On the first day there is no past, but its columns are known.
            frame = self._data.frame(name, [self._key]).head(0)
        elif source.event_time is not None:
            known = frame[source.event_time] + pd.Timedelta(source.available_after)
            frame = frame[known <= pd.Timestamp(self._bound)].reset_index(drop=True)
        if name == spec.primary:
            frame = frame.drop(columns=[c for c in hidden_columns(spec) if c in frame])
        return handed(frame)

    @cached_property
    def _labelled(self) -> pd.DataFrame:
        """Put together once: a function asks for it again for each rate that it counts."""
        labelled = self._data.labelled(self._past, self._bound)
        if len(labelled):
            return labelled
        # On the first day there is no past, but its columns are known.
        none = self._data.frame(self._spec.primary, [self._key]).head(0)
        return known_labels(self._spec, none, None, self._bound)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _columns(spec: PipelineSpec, visible: pd.DataFrame, where: str) -> pd.DataFrame:
    known = [str(c) for c in visible.columns if c not in (ROW, TIME)]
    tables = [n for n, t in spec.tables.items() if t.event_time is not None or t.join is not None]
    missing = [c for c in spec.features.columns if c not in visible]
    absent = [c for c in missing if c.split(".")[0] in tables]
    if len(missing) > len(absent):
        name = next(c for c in missing if c not in absent)
        raise DataError(f"there is no column {name!r}", where=where, fix=did_you_mean(name, known))
    # A side table without a row in reach: its columns are unknown for all.
    return with_columns(visible, dict.fromkeys(absent))[list(spec.features.columns)]


def _made(spec: PipelineSpec, visible: pd.DataFrame, history: History, where: str) -> pd.DataFrame:
    function = spec.features.function
    assert function is not None
    with deadline(spec.timeout, "the feature function", f"{where}, {defined(function)}"):
        made = call_any(function, {spec.primary: handed(visible)}, history, where=where)
    where = f"{where}, {defined(function)}"
    if not isinstance(made, pd.DataFrame):
        raise UserCodeError(
            f"the feature function returned a {type(made).__name__}",
            where=where,
            fix="Return a pandas DataFrame.",
        )
    made = _indexed(made, visible, where)
    forbidden = [c for c in made.columns if c in (*hidden_columns(spec), *RESERVED)]
    if forbidden:
        raise UserCodeError(
            f"the feature function returns {forbidden[0]!r}, which no feature may be",
            where=where,
            fix="Leave it out, or give it another name.",
        )
    return made


def _indexed(made: pd.DataFrame, visible: pd.DataFrame, where: str) -> pd.DataFrame:
    if not same_rows(made.index, visible.index):
        raise UserCodeError(
            f"the feature function returned {len(made)} rows for {len(visible)}, or changed their index",
            where=where,
            fix="Return one row for each row of the primary frame, with its index.",
        )
    made = made.set_axis([str(c) for c in made.columns], axis=1)
    if made.columns.has_duplicates:
        raise UserCodeError(
            f"the feature function returns {made.columns[made.columns.duplicated()][0]!r} twice",
            where=where,
            fix="Name each feature once.",
        )
    if not len(made.columns):
        raise UserCodeError("the feature function returned no column", where=where, fix="Return a feature.")
    made = made.loc[visible.index]
    moved = next((c for c in made.columns if c in visible and _moved(made[c], visible[c])), None)
    if moved is not None:
        raise UserCodeError(
            f"the feature function returned the values of {moved!r} in another order than their rows",
            where=where,
            fix="Keep the index of the frame that it is given: sort, merge and group without resetting it.",
        )
    return made


def _moved(made: pd.Series, given: pd.Series) -> bool:
    """Whether a column holds the values that it was given, at other rows: what sorting and then resetting the index leaves."""
    if made.dtype != given.dtype or made.equals(given):
        return False
    try:
        one, other = (np.sort(pd.util.hash_pandas_object(c, index=False)) for c in (made, given))
    except TypeError:
        # Values without a hash are no feature; that is told where they are stored.
        return False
    return bool((one == other).all())
