"""Tables in the form that their source declares: read so when they are validated, and by everything downstream. Raw stays as it came.

The event time is the exception. Rows are cut into partitions by it, so it is read when raw is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.clean import clean, spelled
from mlpipe.core.columns import with_columns
from mlpipe.core.quality import BoolArray
from mlpipe.spec.calendar import Calendar
from mlpipe.spec.cleaning import Clean
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import Source

SHOWN, LONGEST = 3, 40
"""Examples in a finding, and characters of each."""


@dataclass(frozen=True, eq=False)
class Reading:
    """How the cells of one column could be read.

    Attributes
    ----------
    to
        What they were read as: number, bool, time or text.
    broken
        Shape (n,): cells that are there and cannot be read. None when the table has no such column.
    """

    column: str
    to: str
    broken: BoolArray | None

    @property
    def rule(self) -> str:
        """Name of the rule that it stands for in the contract."""
        return f"{self.column} readable as {self.to}"


@dataclass(frozen=True, eq=False)
class Formed:
    """A table in the form that its source declares.

    Attributes
    ----------
    frame
        Each cell in its form; null where it cannot be read.
    shown
        The same, but with the cells that cannot be read as they came: for people, and for a repair.
    readings
        Of each column with a form but the event time.
    """

    frame: pd.DataFrame
    shown: pd.DataFrame
    readings: tuple[Reading, ...] = ()


def formed(frame: pd.DataFrame, source: Source, calendar: Calendar) -> Formed:
    """A table of a source in its declared form; a source that declares none costs nothing. The index is kept."""
    forms = dict(_forms(source))
    if not forms:
        return Formed(frame, frame)
    readings, values, shown = [], {}, {}
    for name, form in forms.items():
        if name not in frame:
            readings.append(Reading(name, form.to, None))
            continue
        made = clean(frame[name], form.form, zone(source, calendar))
        readings.append(Reading(name, form.to, made.unreadable))
        values[name] = made.values
        if made.unreadable.any():
            shown[name] = made.values.astype(object).where(~made.unreadable, frame[name])
    read = with_columns(frame, values)
    return Formed(read, with_columns(read, shown) if shown else read, tuple(readings))


def _forms(source: Source) -> Iterator[tuple[str, Clean]]:
    """Forms of columns that are read downstream of raw."""
    return ((n, f) for n, f in source.clean.items() if n != source.event_time)


def zone(source: Source, calendar: Calendar) -> str:
    """Zone of a source's times that say none."""
    return source.timezone or calendar.timezone


def clean_params(spec: PipelineSpec, *names: str) -> dict[str, Any]:
    """What decides how raw is read, for the recipe of a stage that reads it: forms and zone by source, of those that declare any.

    Parameters
    ----------
    names
        Sources that the stage reads; default: all.
    """
    found = {}
    for name in names or spec.sources:
        source = spec.sources[name]
        forms = {c: f.model_dump(mode="json", exclude_defaults=True) for c, f in _forms(source)}
        if forms:
            found[name] = {"forms": forms, "timezone": zone(source, spec.partitions)}
    return {"clean": found} if found else {}


def time_forms(spec: PipelineSpec) -> dict[str, Any]:
    """Forms of event times by source, of those that declare one: they decide what raw holds."""
    found = {n: s.clean.get(s.event_time or "") for n, s in spec.sources.items()}
    return {n: f.model_dump(mode="json", exclude_defaults=True) for n, f in found.items() if f is not None}


# -- when raw is made ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Times:
    """Event times as instants, how many of them are there and cannot be read, and examples of those."""

    values: "pd.Series[Any]"
    unreadable: int = 0
    examples: tuple[str, ...] = ()


def event_times(column: "pd.Series[Any]", form: Clean, timezone: str) -> Times:
    """Event times by their declared form; null where there is none, or it cannot be read."""
    made = clean(column, form.form, timezone)
    rows = np.flatnonzero(made.unreadable)
    examples = dict.fromkeys(repr(str(v)[:LONGEST]) for v in column.iloc[rows[:1000]])
    return Times(made.values, len(rows), tuple(examples)[:SHOWN])


def storable(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The frame with mixed columns that have a form as text, each cell as it would be written: a stored column has one type."""
    mixed = {}
    for name in source.clean:
        if name in frame and frame[name].dtype == object:
            if pd.api.types.infer_dtype(frame[name], skipna=True) in ("mixed", "mixed-integer"):
                mixed[name] = pd.Series(spelled(frame[name]).to_pandas()).set_axis(frame.index)
    return with_columns(frame, mixed) if mixed else frame
