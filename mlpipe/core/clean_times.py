"""Times of every spelling as instants: numbers since 1970, ISO 8601, and formats of `strptime`, tried in turn on each cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlpipe.core.form import EPOCHS
from mlpipe.core.time_formats import pattern_of, read

Instants = NDArray[np.datetime64]
"""Shape (n,), ``datetime64[us]`` in UTC, NaT for what is no time."""
FIRST, LAST = np.datetime64("1678-01-01", "us"), np.datetime64("2262-01-01", "us")
"""Instants that a table can hold; what lies outside is no time."""
_SECONDS = (float(FIRST.astype("int64")) / 1e6, float(LAST.astype("int64")) / 1e6)
_ZONED = r"[T ]\d\d?[\d:.,]*\s?(?:[Zz]|[+-]\d\d(?::?\d\d)?(?::\d\d)?)$"
"""A time of day with an offset: ``Z``, ``+01:00``, ``+0100``, or ``+01``. A date alone has none."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers of a column: whole ones exactly, or floats. `known` says which cells hold one."""

    values: NDArray[Any]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, column: "pd.Series[Any]") -> "Numbers":
        """Numbers of a column of numbers, of any of pandas' types."""
        known = column.notna().to_numpy(dtype=bool)
        if column.dtype != object and column.dtype.kind == "i":
            return cls(column.to_numpy(dtype="int64", na_value=0), known)
        return cls(column.to_numpy(dtype="float64", na_value=np.nan), known)

    @classmethod
    def in_text(cls, text: pa.LargeStringArray) -> "Numbers":
        """Numbers of texts; known where the text is one without an exponent."""
        fits = pc.match_substring_regex(text, r"^[+-]?\d{1,18}$|^[1-8]\d{18}$")
        whole = _bools(fits)
        if whole.all():
            return cls(np.asarray(pc.cast(text, pa.int64())), whole)
        number = pc.match_substring_regex(text, r"^[+-]?\d{1,19}\.\d*$")
        some = pc.if_else(pc.or_kleene(fits, number), text, pa.scalar(None, pa.large_string()))
        values = np.array(pc.cast(some, pa.float64()).to_numpy(zero_copy_only=False), dtype="float64")
        return cls(values, ~np.isnan(values))

    def take(self, rows: NDArray[np.int64]) -> "Numbers":
        """Some of the cells."""
        return Numbers(self.values[rows], self.known[rows])


def instants_of_texts(text: pa.LargeStringArray, formats: Sequence[str], zone: str) -> Instants:
    """Instants of texts without blanks around them, by the first format that reads each."""

    def by(rows: NDArray[np.int64], form: str) -> Instants:
        some = text if len(rows) == len(text) else text.take(pa.array(rows))
        return _epochs(Numbers.in_text(some), form) if form in EPOCHS else _text_by(some, form, zone)

    return _in_turn(_bools(pc.is_valid(text)), formats, by)


def instants_of_numbers(
    numbers: Numbers, spelled: Callable[[], pa.LargeStringArray], formats: Sequence[str], zone: str
) -> Instants:
    """Instants of numbers: since 1970, or spelled as a format says (20240131); `spelled` gives how each is written."""

    def by(rows: NDArray[np.int64], form: str) -> Instants:
        if form in EPOCHS:
            return _epochs(numbers.take(rows), form)
        return _text_by(spelled().take(pa.array(rows)), form, zone)

    return _in_turn(numbers.known, formats, by)


def instants_of_times(column: "pd.Series[Any]", zone: str) -> Instants:
    """Instants of what are times already: datetimes with or without a zone, or dates."""
    times = column
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        cells = [None if pd.isna(v) else _aware(v, zone) for v in column]
        times = pd.Series(pd.DatetimeIndex(cells, dtype="datetime64[us, UTC]"))
    if times.dt.tz is None:
        return _localised(times, zone)
    return _bounded(times.dt.tz_convert("UTC").dt.tz_localize(None))


def _aware(value: Any, zone: str) -> pd.Timestamp | None:
    try:
        stamp = pd.Timestamp(value)
        if stamp.tzinfo is None:
            stamp = stamp.tz_localize(ZoneInfo(zone), ambiguous=True, nonexistent="shift_forward")
        return stamp.tz_convert("UTC")
    except (ValueError, OverflowError):  # a year that no time of pandas reaches
        return None


def _in_turn(
    known: NDArray[np.bool_], formats: Sequence[str], read: Callable[[NDArray[np.int64], str], Instants]
) -> Instants:
    out = np.full(len(known), np.datetime64("NaT", "us"))
    for form in formats:
        rows = np.flatnonzero(known & np.isnat(out))
        if len(rows):
            out[rows] = read(rows, form)
    return out


def _bools(array: pa.BooleanArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)


def _bounded(naive: "pd.Series[Any]") -> Instants:
    """Times in UTC without their zone as `Instants`."""
    inside = ((naive >= pd.Timestamp(FIRST)) & (naive < pd.Timestamp(LAST))).to_numpy(dtype=bool)
    made = naive.where(inside).dt.as_unit("us").to_numpy(dtype="datetime64[us]")
    return np.asarray(made)


def _localised(naive: "pd.Series[Any]", zone: str) -> Instants:
    """Local times as instants. One that happens twice is the first of the two; one that never happens moves to the next that does."""
    inside = pd.Series(pd.DatetimeIndex(_bounded(naive)))
    if zone == "UTC":
        return inside.to_numpy(dtype="datetime64[us]")
    first = np.ones(len(inside), dtype=bool)
    aware = inside.dt.tz_localize(ZoneInfo(zone), ambiguous=first, nonexistent="shift_forward")
    return _bounded(aware.dt.tz_convert("UTC").dt.tz_localize(None))


def _epochs(numbers: Numbers, word: str) -> Instants:
    scale, values = EPOCHS[word], numbers.values
    with np.errstate(invalid="ignore"):
        seconds = values / scale
        good = numbers.known & (seconds >= _SECONDS[0]) & (seconds < _SECONDS[1])
    some = np.where(good, values, 0)
    if some.dtype.kind == "i":
        micros = some // (scale // 10**6) if scale > 10**6 else some * (10**6 // scale)
    else:
        micros = np.rint(some * (10**6 / scale)).astype("int64")
    return np.where(good, micros.astype("datetime64[us]"), np.datetime64("NaT", "us"))


# -- text ---------------------------------------------------------------------------------------------------------


def _text_by(text: pa.LargeStringArray, form: str, zone: str) -> Instants:
    if form == "iso":
        return _iso(text, zone)
    pattern = pattern_of(form)
    if pattern is not None:
        return _localised(pd.Series(pd.DatetimeIndex(read(text, pattern))), zone)
    # The slow way: each spelling once.
    once = text.dictionary_encode()
    words, codes = once.dictionary.to_pandas(), np.asarray(pc.fill_null(once.indices, -1))
    named = "%z" in form or "%Z" in form
    made = pd.Series(pd.to_datetime(words, format=form, errors="coerce", utc=named))
    found = _bounded(made.dt.tz_localize(None)) if named else _localised(made, zone)
    each: Instants = np.append(found, np.datetime64("NaT", "us"))[codes]
    return each


def _iso(text: pa.LargeStringArray, zone: str) -> Instants:
    # Pandas takes the words now and today for times: the clock of whoever reads.
    dated = _bools(pc.match_substring_regex(text, r"^\d{4}"))
    zoned = dated & _bools(pc.match_substring_regex(text, _ZONED))
    out = np.full(len(text), np.datetime64("NaT", "us"))
    for rows, named in ((np.flatnonzero(dated & ~zoned), False), (np.flatnonzero(zoned), True)):
        if len(rows):
            some = (text if len(rows) == len(text) else text.take(pa.array(rows))).to_pandas()
            made = pd.Series(pd.to_datetime(some, format="ISO8601", errors="coerce", utc=named))
            out[rows] = _bounded(made.dt.tz_localize(None)) if named else _localised(made, zone)
    return out
