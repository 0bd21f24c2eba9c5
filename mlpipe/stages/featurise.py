"""How rows become features: joins as of the moment of prediction, then the user's columns or function. Pure but for the frames it is given."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pandas as pd

from mlpipe.core.asof import asof_join
from mlpipe.errors import DataError, UserCodeError, did_you_mean
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.deadline import deadline
from mlpipe.stages.frames import KNOWN, ROW, TIME, Validated, by_source, hidden_columns, known_labels, moments
from mlpipe.stages.sources import call

LABELS = "labels"
"""Key of the labelled past among the frames of `history`."""


def reach(spec: PipelineSpec) -> timedelta:
    """How far before a partition its features may read: look-back, and the age that a side table's row may have."""
    ages = [spec.features.look_back]
    for table in spec.tables.values():
        if table.event_time is not None and table.join is not None:
            ages.append((table.join.tolerance or spec.features.look_back or timedelta(days=1)) + spec.lead + table.available_after)
    return max(ages)


def past_keys(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    """Partitions before `key` that its features may read."""
    far = reach(spec)
    if spec.partitions.every == "none" or not far:
        return ()
    return spec.partitions.before(key, far)


def featurise(spec: PipelineSpec, key: str, data: Validated, as_of: datetime) -> tuple[pd.DataFrame, list[str]]:
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
        history = _history(spec, data, past, _bound(rows, as_of))
        features = _made(spec, visible, history, where)
    keys = [k for k in spec.sources[spec.primary].keys if k not in features]
    base = visible[[ROW, TIME, *keys]]
    return pd.concat([base, features], axis=1), list(features.columns)


def _bound(rows: pd.DataFrame, as_of: datetime) -> datetime:
    """No later than the run's clock, and no later than the last prediction of the partition."""
    last = rows[TIME].max()
    return as_of if pd.isna(last) else min(as_of, last.to_pydatetime())


def _joined(spec: PipelineSpec, rows: pd.DataFrame, data: Validated, keys: Sequence[str], where: str) -> pd.DataFrame:
    for name, table in spec.tables.items():
        assert table.join is not None
        side = data.frame(name, keys if table.event_time is not None else keys[-1:]).drop(columns=[ROW], errors="ignore")
        on = list(table.join.on)
        for column in on:
            if column not in rows or (len(side) and column not in side):
                holder = rows if column not in rows else side
                raise DataError(f"there is no column {column!r} to join {name} on", where=where, fix=did_you_mean(column, [str(c) for c in holder.columns]))
        if not len(side):
            continue
        if table.event_time is None:
            rows = _looked_up(rows, side, on, name, where)
            continue
        known = side[table.event_time] + pd.Timedelta(table.available_after)
        tolerance = None if table.join.tolerance is None else pd.Timedelta(table.join.tolerance)
        rows = asof_join(rows, side.assign(**{KNOWN: known}), left_time=TIME, right_time=table.event_time, by=on, tolerance=tolerance, prefix=f"{name}.", known_at=KNOWN)
        rows = rows.drop(columns=[f"{name}.{KNOWN}"], errors="ignore")
    return rows


def _looked_up(rows: pd.DataFrame, side: pd.DataFrame, on: list[str], name: str, where: str) -> pd.DataFrame:
    twice = side[side.duplicated(on)]
    if len(twice):
        example = ", ".join(f"{c}={twice.iloc[0][c]!r}" for c in on)
        raise DataError(f"side table {name} has {len(twice)} further rows for the same {', '.join(on)}, such as {example}", where=where, fix="Declare its 'event_time', or make it unique (contract: unique).")
    side = side.rename(columns={c: f"{name}.{c}" for c in side.columns if c not in on})
    out = rows.merge(side, on=on, how="left", sort=False)
    out.index = rows.index
    return out


def _history(spec: PipelineSpec, data: Validated, past: Sequence[str], bound: datetime) -> dict[str, pd.DataFrame]:
    """The past as it was known: side tables, primary rows without what became known later, and the labelled rows."""
    keys = [k for k in past if spec.features.look_back]
    history: dict[str, pd.DataFrame] = {}
    for name, source in spec.sources.items():
        frame = data.frame(name, keys)
        if source.event_time is not None and len(frame):
            frame = frame[frame[source.event_time] + pd.Timedelta(source.available_after) <= pd.Timestamp(bound)]
        history[name] = frame
    rows = history[spec.primary]
    own = history.pop(spec.label.source) if spec.label.source is not None else None
    history[LABELS] = known_labels(spec, data.frame(spec.primary, keys), own, bound)
    history[spec.primary] = rows.drop(columns=[c for c in hidden_columns(spec) if c in rows])
    return history


def _columns(spec: PipelineSpec, visible: pd.DataFrame, where: str) -> pd.DataFrame:
    known = [str(c) for c in visible.columns if c not in (ROW, TIME)]
    tables = [n for n, t in spec.tables.items() if t.event_time is not None or t.join is not None]
    missing = [c for c in spec.features.columns if c not in visible]
    absent = [c for c in missing if c.split(".")[0] in tables]
    if len(missing) > len(absent):
        name = next(c for c in missing if c not in absent)
        raise DataError(f"there is no column {name!r}", where=where, fix=did_you_mean(name, known))
    # A side table without a row in reach: its columns are unknown for all.
    return visible.assign(**{c: None for c in absent})[list(spec.features.columns)]


def _made(spec: PipelineSpec, visible: pd.DataFrame, history: Mapping[str, pd.DataFrame], where: str) -> pd.DataFrame:
    assert spec.features.function is not None
    frames = by_source({spec.primary: visible})
    with deadline(spec.timeout, f"the function of {where}"):
        given = spec.features.function
        made = _indexed(call_frame(given, frames, by_source(history), where), visible, where)
    forbidden = [c for c in made.columns if c in (*hidden_columns(spec), ROW, TIME, KNOWN)]
    if forbidden:
        raise UserCodeError(f"the feature function returns {forbidden[0]!r}, which no feature may be", where=where, fix="Leave it out, or give it another name.")
    return made


def call_frame(function: object, frames: dict[str, pd.DataFrame], history: dict[str, pd.DataFrame], where: str) -> pd.DataFrame:
    """The user's frame, with its own index: rows are matched by it."""
    kept: list[pd.Index] = []

    def remembered(f: dict[str, pd.DataFrame], h: dict[str, pd.DataFrame]) -> object:
        value = function(f, h)  # type: ignore[operator]
        if isinstance(value, pd.DataFrame):
            kept.append(value.index)
        return value

    made = call(remembered, frames, history, where=where)
    return made.set_axis(kept[0], axis=0)


def _indexed(made: pd.DataFrame, visible: pd.DataFrame, where: str) -> pd.DataFrame:
    if len(made) != len(visible) or made.index.has_duplicates or set(made.index) != set(visible.index):
        raise UserCodeError(
            f"the feature function returned {len(made)} rows for {len(visible)}, or changed their index",
            where=where,
            fix="Return one row for each row of the primary frame, with its index.",
        )
    if made.columns.has_duplicates:
        raise UserCodeError(f"the feature function returns {made.columns[made.columns.duplicated()][0]!r} twice", where=where, fix="Name each feature once.")
    return made.loc[visible.index].set_axis([str(c) for c in made.columns], axis=1)
