"""Frames that stages read: validated rows, known labels, feature tables. The names of reserved columns stand here."""

from collections.abc import Sequence
from datetime import datetime
from math import isinf

import pandas as pd

from mlpipe.core.columns import with_columns
from mlpipe.errors import DataError, UserCodeError, did_you_mean
from mlpipe.records.codec import Head
from mlpipe.records.record import Input
from mlpipe.spec.calendar import DISTANT_FUTURE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.cleaning import formed
from mlpipe.stages.context import Context
from mlpipe.stages.deadline import deadline
from mlpipe.stages.sources import call_any, defined
from mlpipe.stages.times import instants

ROW = "_row"
"""Position of a row in its raw table; with the partition it names the row."""
TIME = "_time"
"""Moment of prediction of a row, in UTC."""
KNOWN = "_known_at"
"""Instant from which a label is known, in UTC."""
DAY = "_partition"
"""Partition of a row."""
LABEL = "_label"
"""Label of a row, whatever its name."""
RESERVED = (ROW, TIME, KNOWN, DAY, LABEL)
"""Columns that no source and no feature may have."""


def usable(head: Head) -> bool:
    """Whether a validated partition may be read downstream."""
    return head.verdict == "pass"


def validated(spec: PipelineSpec, ctx: Context, raw: Head, head: Head, source: str) -> pd.DataFrame:
    """Rows of a source that keep the contract, in their declared form, and those repaired; with `ROW`, in the order of the raw table."""
    frame = ctx.store.get_table(raw.outputs[source].id)
    # Cells that are null throughout come as None, which no function of a user's can count with.
    empty = [c for c in frame.columns if frame[c].dtype == object and not frame[c].notna().any()]
    frame = with_columns(frame, {c: pd.Series(float("nan"), index=frame.index, dtype=object) for c in empty})
    kept = ctx.store.get_table(head.outputs[f"{source}/kept"].id)[ROW].to_numpy()
    good = formed(frame.iloc[kept], spec.sources[source], spec.partitions).frame
    rows = good.assign(**{ROW: kept})
    repaired = head.outputs.get(f"{source}/repaired")
    if repaired is not None:
        rows = stacked([rows, ctx.store.get_table(repaired.id)]).sort_values(ROW, kind="stable")
    return rows.reset_index(drop=True)


def read_inputs(raw: Head, head: Head, source: str) -> tuple[Input, ...]:
    """Everything that `validated` reads, as inputs of a record."""
    names = [n for n in (f"{source}/kept", f"{source}/repaired") if n in head.outputs]
    return (raw.read(source), *(head.read(n) for n in names))


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames below one another. A column that is null throughout in one of them takes its type from the others."""
    filled = [f for f in frames if len(f)]
    if len(filled) < 2:
        # Without a row the columns still stand: a function that names them must not fail on a quiet day.
        single = [*filled, *sorted(frames, key=lambda f: -len(f.columns)), pd.DataFrame()][0]
        return single.reset_index(drop=True)
    frames = filled
    first = frames[0]
    if all(
        f.columns.equals(first.columns) and (f.dtypes.to_numpy() == first.dtypes.to_numpy()).all()
        for f in frames
    ):
        return pd.concat(frames, ignore_index=True)
    names = list(dict.fromkeys(c for f in frames for c in f.columns))
    typed = [
        f.drop(columns=[c for c in f.columns if f[c].dtype == object and not f[c].notna().any()])
        for f in frames
    ]
    return pd.concat(typed, ignore_index=True).reindex(columns=names)


class Validated:
    """Validated rows of a pipeline's partitions, each table read once, and the inputs that were read.

    One thread; frames are not to be changed.
    """

    def __init__(self, spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> None:
        self.spec, self.ctx = spec, ctx
        self.heads = ctx.heads.find(f"{spec.name}/validated", keys)
        self.raw = ctx.heads.find(f"{spec.name}/raw", keys)
        self.good = {k for k in keys if k in self.heads and k in self.raw and usable(self.heads[k])}
        self._rows: dict[tuple[str, ...], pd.DataFrame] = {}
        self._labelled: dict[str, pd.DataFrame] = {}

    def rows(self, source: str, key: str) -> pd.DataFrame:
        """Rows of a source in one good partition. A table that is the same in many partitions is read once."""
        name = (source, *(i.id for i in read_inputs(self.raw[key], self.heads[key], source)))
        if name not in self._rows:
            self._rows[name] = validated(self.spec, self.ctx, self.raw[key], self.heads[key], source)
        return self._rows[name]

    def frame(self, source: str, keys: Sequence[str]) -> pd.DataFrame:
        """Rows of a source in some partitions; those that failed or were never made are left out."""
        return stacked([self.rows(source, k) for k in keys if k in self.good])

    def labelled(self, keys: Sequence[str], bound: datetime) -> pd.DataFrame:
        """Primary rows with their labels, as known at an instant; see `known_labels`."""
        spec = self.spec
        parts = []
        for key in (k for k in keys if k in self.good):
            if spec.label.source is not None:
                # Whatever the label stage would look into, and nothing that lies outside the keys.
                own = self.frame(spec.label.source, [k for k in label_keys(spec, key) if k in keys])
                parts.append(known_labels(spec, self.rows(spec.primary, key), own, bound, key))
                continue
            if key not in self._labelled:
                rows = self.rows(spec.primary, key)
                self._labelled[key] = known_labels(spec, rows, None, DISTANT_FUTURE, key)
            parts.append(self._labelled[key])
        known = stacked(parts)
        if not len(known):
            return known_labels(spec, known, None, bound)
        return known[known[KNOWN] <= pd.Timestamp(bound)].reset_index(drop=True)

    def inputs(self, source: str, keys: Sequence[str]) -> tuple[Input, ...]:
        """The materializations behind `frame`."""
        return tuple(
            i for k in keys if k in self.good for i in read_inputs(self.raw[k], self.heads[k], source)
        )


def moments(spec: PipelineSpec, rows: pd.DataFrame, key: str) -> pd.Series:
    """Moment of prediction of each row, in UTC; without any time column, the start of the partition."""
    column = spec.prediction_time or spec.sources[spec.primary].event_time
    if column is None:
        return pd.Series(pd.Timestamp(spec.partitions.window(key).start), index=rows.index).dt.as_unit("us")
    if column not in rows:
        raise DataError(
            f"there is no column {column!r}",
            where=f"pipeline {spec.name}, prediction_time",
            fix=did_you_mean(column, list(rows.columns)),
        )
    times = rows[column]
    if column != spec.sources[spec.primary].event_time:
        times = instants(times, spec.partitions.timezone, f"pipeline {spec.name}, column {column}")
    return times - pd.Timedelta(spec.lead)


def hidden_columns(spec: PipelineSpec) -> tuple[str, ...]:
    """Columns that no feature may see: the label and what becomes known with it."""
    return tuple(c for c in (spec.label.column, *spec.label.outcomes) if c is not None)


def label_keys(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    """Partitions of the label's own source in which labels of a partition's rows may stand: its own, and later ones up to the horizon."""
    if spec.partitions.every == "none":
        return (key,)
    end = spec.partitions.window(key).end
    return (key, *spec.partitions.keys_between(end, end + spec.label.horizon))


def known_labels(
    spec: PipelineSpec, rows: pd.DataFrame, own: pd.DataFrame | None, bound: datetime, key: str = ""
) -> pd.DataFrame:
    """Labels of some primary rows, as known at an instant.

    Parameters
    ----------
    rows
        Validated rows of the primary source.
    own
        Validated rows of the label's own source, or None when the label comes from the primary source.
    bound
        Instant; a label known later than this does not exist.
    key
        Partition, for errors.

    Returns
    -------
    DataFrame
        `rows` with `KNOWN` and the label column added; only rows whose label is known, not null and not infinite.
    """
    return known_of(spec, labelled_rows(spec, rows, own, bound, key), bound)


def known_of(spec: PipelineSpec, out: pd.DataFrame, bound: datetime) -> pd.DataFrame:
    """Of what `labelled_rows` gives, the rows whose label is known: an infinite one is none, as a null is none."""
    good = out[spec.label.name].notna() & ~infinite(out[spec.label.name])
    mask = good & out[KNOWN].notna() & (out[KNOWN] <= pd.Timestamp(bound))
    return out[mask].reset_index(drop=True)


def labelled_rows(
    spec: PipelineSpec, rows: pd.DataFrame, own: pd.DataFrame | None, bound: datetime, key: str = ""
) -> pd.DataFrame:
    """As `known_labels`, but with all rows, whatever their label."""
    label, where = spec.label, f"pipeline {spec.name}, label" + (f", partition {key}" if key else "")
    if not len(rows):
        return rows.assign(
            **{KNOWN: pd.Series(dtype="datetime64[us, UTC]"), label.name: pd.Series(dtype="float64")}
        )
    if own is not None:
        values, known = _from_own_source(spec, rows, own, bound, key, where)
    else:
        values = _values(spec, rows, where)
        known = _known_at(spec, rows, key)
    return with_columns(rows, {label.name: values, KNOWN: known})


def infinite(column: pd.Series) -> "pd.Series[bool]":
    """Which cells of a column are infinite; of text, times and the like none."""
    if pd.api.types.is_float_dtype(column):
        return column.isin([float("inf"), float("-inf")])
    if column.dtype != object:
        return pd.Series(False, index=column.index)
    return column.map(lambda v: isinstance(v, float) and isinf(v)).astype(bool)


def _values(spec: PipelineSpec, rows: pd.DataFrame, where: str) -> pd.Series:
    label = spec.label
    if label.function is None:
        if label.column not in rows:
            raise DataError(
                f"there is no column {label.column!r}",
                where=where,
                fix=did_you_mean(str(label.column), list(rows.columns)),
            )
        return rows[label.column]
    with deadline(spec.timeout, "the label function", f"{where}, {defined(label.function)}"):
        values = call_any(
            label.function, rows.drop(columns=[ROW], errors="ignore").copy(deep=True), where=where
        )
    if not isinstance(values, (pd.Series, pd.DataFrame, str, dict)) and hasattr(values, "__len__"):
        values = pd.Series(values, index=rows.index) if len(values) == len(rows) else values
    if isinstance(values, pd.Series) and same_rows(values.index, rows.index):
        return values.loc[rows.index]
    got = f"{len(values)} values" if isinstance(values, pd.Series) else f"a {type(values).__name__}"
    raise UserCodeError(
        f"the label function must return one value a row ({len(rows)} rows, with their index), got {got}",
        where=f"{where}, {defined(label.function)}",
        fix="Return a Series with the index of the rows.",
    )


def same_rows(index: pd.Index, rows: pd.Index) -> bool:
    """Whether an index names each row once, in any order."""
    return len(index) == len(rows) and not index.has_duplicates and bool(index.isin(rows).all())


def _known_at(spec: PipelineSpec, rows: pd.DataFrame, key: str) -> pd.Series:
    column = spec.sources[spec.primary].event_time
    if column is not None:
        return rows[column] + pd.Timedelta(spec.label.available_after)
    return pd.Series(
        pd.Timestamp(spec.partitions.window(key).start),
        index=rows.index,
    ).dt.as_unit("us")


def _from_own_source(
    spec: PipelineSpec, rows: pd.DataFrame, own: pd.DataFrame, bound: datetime, key: str, where: str
) -> tuple[pd.Series, pd.Series]:
    """The newest label row per key of those known at an instant; one is known at its own event time plus the delay."""
    label, source = spec.label, spec.sources[str(spec.label.source)]
    keys = list(source.keys)
    missing = [k for k in keys if k not in rows]
    if missing:
        raise DataError(
            f"the rows have no column {missing[0]!r} to meet their labels by",
            where=where,
            fix=did_you_mean(missing[0], list(rows.columns)),
        )
    if not len(own):
        return pd.Series([None] * len(rows), index=rows.index), pd.Series(
            pd.NaT, index=rows.index, dtype="datetime64[us, UTC]"
        )
    values = _values(spec, own, where)
    labels = own[keys].assign(_value=values, _known=pd.Timestamp(bound))
    if source.event_time is not None:
        labels["_known"] = own[source.event_time] + pd.Timedelta(label.available_after)
        labels = labels[labels["_known"] <= pd.Timestamp(bound)].sort_values("_known", kind="stable")
    labels = labels.dropna(subset=keys).drop_duplicates(keys, keep="last")
    try:
        joined = rows[keys].merge(labels, on=keys, how="left", validate="many_to_one")
    except ValueError as error:
        raise DataError(
            f"the rows and their labels cannot meet on {', '.join(keys)}: {str(error).splitlines()[0]}",
            where=where,
            fix="Give the keys one type on both sides.",
        ) from None
    joined.index = rows.index
    if source.event_time is None:
        return joined["_value"], _known_at(spec, rows, key)
    return joined["_value"], joined["_known"]


def handed(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame for a user's function, which may change it, without the position of the row.

    A deep copy: even under pandas' copy-on-write, `Series.array` of a lazy copy writes into the original.
    """
    return frame.drop(columns=[ROW], errors="ignore").copy(deep=True)
