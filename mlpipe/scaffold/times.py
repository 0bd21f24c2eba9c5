"""Which columns hold times, and how they are spelled."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

LEAST = 0.95
"""A column of times is one of which at least this share can be read as times."""
TRIED = 5_000
"""Cells that formats are tried on, at most."""
EPOCHS = (("epoch_s", 1), ("epoch_ms", 10**3), ("epoch_us", 10**6), ("epoch_ns", 10**9))
_EARLIEST, _LATEST = pd.Timestamp("1980-01-01").timestamp(), pd.Timestamp("2100-01-01").timestamp()
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_DATES = tuple(
    day.replace("-", mark)
    for day, mark in product(("%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y"), ("/", ".", "-"))
) + (
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%d. %B %Y",
)
_WHOLE = (
    "%b %Y",
    "%B %Y",
    "%b-%Y",
    "%b-%y",
    "%m/%Y",
    "%Y/%m",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%Y-%m-%d-%H:%M",
    "%Y%m%dT%H%M%S",
)
_LETTERS = (
    "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
)
_SOME_TIME = r"(?i)\d|^(?:now|today)$"
NAMES = re.compile(
    r"(^|[_\W])(time|date|datetime|timestamp|ts|day|when|month|week|hour|created|updated|occurred|event|period|at|on|datum|zeit|fecha)"
    r"($|[_\W\d])|time$|date$|_at$|_ts$|_on$",
    re.IGNORECASE,
)
_NOT_NOW = re.compile(
    r"birth|dob|born|expir|valid_(to|until)|end|due|deadline|closed|cancel|resolved|update|modified",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Times:
    """How a column of times is read.

    Attributes
    ----------
    formats
        What to try in turn: ``iso``, ``epoch_s`` and the like, or `strptime` formats. Empty for columns that are times already, and
        for text in ISO alone.
    values
        Instants in UTC; times without a zone as if in UTC. Null where there is none, or it cannot be read.
    zoned
        Whether the times say their zone.
    unreadable
        How many cells hold something that is no time.
    note
        What was guessed, in a sentence; empty when nothing was.
    """

    formats: tuple[str, ...]
    values: "pd.Series[Any]"
    zoned: bool = False
    unreadable: int = 0
    note: str = ""


def times_of(column: "pd.Series[Any]", name: str, *, told: bool = False) -> Times | None:
    """How a column is read as times; None when it holds none.

    Parameters
    ----------
    told
        Somebody says that it holds times: numbers that look like days (20240131) or years are then taken as such.
    """
    filled = column.dropna()
    if not len(filled) or pd.api.types.is_bool_dtype(column):
        return None
    if pd.api.types.is_datetime64_any_dtype(column):
        zoned = getattr(column.dtype, "tz", None) is not None
        return Times((), _utc(column), zoned)
    inferred = pd.api.types.infer_dtype(filled, skipna=True)
    if inferred in ("date", "datetime"):
        values = pd.to_datetime(column, errors="coerce", utc=True)
        return Times((), values, any(getattr(v, "tzinfo", None) for v in filled.head(100)))
    if pd.api.types.is_numeric_dtype(column) or inferred in ("integer", "floating", "decimal"):
        return _of_numbers(column, name, told)
    text = (
        (filled if len(filled) <= TRIED else filled.sample(TRIED, random_state=0)).astype("str").str.strip()
    )
    if (text.str.len() > 40).mean() > 0.05 or not text.str.contains(r"\d", regex=True).mean() > LEAST:
        return None
    return _of_text(column, name, told)


def is_named_as_time(name: str) -> bool:
    """Whether a column's name speaks of the moment of an event."""
    return bool(NAMES.search(name)) and not _NOT_NOW.search(name)


def _utc(values: "pd.Series[Any]") -> "pd.Series[Any]":
    made: pd.Series[Any] = (
        values.dt.tz_localize("UTC")
        if getattr(values.dt, "tz", None) is None
        else values.dt.tz_convert("UTC")
    )
    return made


def _of_numbers(column: "pd.Series[Any]", name: str, told: bool) -> Times | None:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    filled = numbers.dropna()
    if not len(filled):
        return None
    for word, scale in EPOCHS:
        inside = filled.between(_EARLIEST * scale, _LATEST * scale)
        if inside.mean() >= LEAST and (told or is_named_as_time(name) or "epoch" in name.lower()):
            values = pd.to_datetime(
                (numbers / scale).where(numbers.between(0, _LATEST * scale)), unit="s", utc=True
            )
            unit = {
                "epoch_s": "seconds",
                "epoch_ms": "milliseconds",
                "epoch_us": "microseconds",
                "epoch_ns": "nanoseconds",
            }
            note = f"The numbers are taken as {unit[word]} since 1970, in UTC."
            return Times((word,), values, True, int((~inside).sum()), note)
    if not (told or is_named_as_time(name)) or (filled % 1 != 0).any():
        return None
    text = numbers.map("{:.0f}".format, na_action="ignore")
    for pattern, low, high, what in (
        ("%Y%m%d", 19000101, 22000101, "days (YYYYMMDD)"),
        ("%Y%m", 190001, 220001, "months (YYYYMM)"),
        ("%Y", 1900, 2200, "years"),
    ):
        if filled.between(low, high).mean() >= LEAST:
            values = pd.to_datetime(text, format=pattern, errors="coerce", utc=True)
            if values.notna().sum() >= LEAST * len(filled):
                bad = int(values.isna().sum() - column.isna().sum())
                return Times((pattern,), values, False, bad, f"The numbers are taken as {what}.")
    return None


def _of_text(column: "pd.Series[Any]", name: str, told: bool) -> Times | None:
    text = column.astype("object").where(column.notna()).map(lambda v: str(v).strip(), na_action="ignore")
    filled = text.dropna()
    sample = filled.drop_duplicates()
    if len(sample) > TRIED:
        sample = sample.sample(TRIED, random_state=0).sort_index()
    if sample.str.fullmatch(r"\d+(\.0)?").mean() > LEAST:
        made = _of_numbers(pd.to_numeric(text, errors="coerce"), name, told)
        return made
    formats, note = _formats(sample)
    if not formats:
        return None
    values = parsed(text, formats)
    bad = int((values.isna() & text.notna()).sum())
    if bad > (1 - LEAST) * len(filled):
        return None
    zoned = bool(
        filled.head(1000).str.contains(r"\d\d:?\d\d.*(?:[+-]\d\d:?\d\d|Z|GMT|UTC)$", regex=True).mean() > 0.5
    )
    return Times(() if formats == ("iso",) and not bad else formats, values, zoned, bad, note)


def parsed(text: "pd.Series[Any]", formats: Sequence[str]) -> "pd.Series[Any]":
    """Instants of texts, by the first format that reads each; null where none does."""
    out = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us, UTC]")
    for form in formats:
        open_ = out.isna() & text.notna()
        if not open_.any():
            break
        out[open_] = _by(text[open_], form)
    return out


def _by(text: "pd.Series[Any]", form: str) -> "pd.Series[Any]":
    made = pd.to_datetime(text, format="ISO8601" if form == "iso" else form, errors="coerce", utc=True)
    # A year of two digits is nobody's year 2068.
    made = made.where(
        (made >= pd.Timestamp("1900-01-01", tz="UTC")) & (made < pd.Timestamp("2200-01-01", tz="UTC"))
    )
    return made.dt.as_unit("us")


def _candidates(sample: "pd.Series[Any]") -> list[str]:
    """Formats that could read some of the texts: all ask for a digit, but for words such as "now"."""
    if not sample.str.contains(_SOME_TIME, regex=True).any():
        return []
    letters = sample.str.contains(r"[A-Za-z]{3}", regex=True).any()
    clocks = [c for c in _CLOCKS if not c or sample.str.contains(r"\d:\d\d", regex=True).any()]
    dates = [d for d in _DATES if ("%b" not in d and "%B" not in d) or letters]
    joined = [d + c for d in dates for c in clocks]
    return ["iso", *_WHOLE, *joined, *(_LETTERS if letters else ())]


def _formats(sample: "pd.Series[Any]") -> tuple[tuple[str, ...], str]:
    """The fewest formats that read the texts, the most frequent first; and what was guessed about their order."""
    first = sample.head(200)
    read = {f: _by(first, f).notna() for f in _candidates(sample)}
    read = {f: _by(sample, f).notna() for f, found in read.items() if found.any()}
    twins = _twins(sample, read)
    chosen: list[str] = []
    open_ = pd.Series(True, index=sample.index)
    while open_.any() and read:
        best = max(read, key=lambda f: (int((read[f] & open_).sum()), -list(read).index(f)))
        if not (read[best] & open_).any():
            break
        chosen.append(best)
        open_ &= ~read[best]
    notes = [text for pair, text in twins.items() if pair in chosen]
    if len(chosen) > 1:
        shown = ", ".join(chosen)
        notes.insert(0, f"Times are spelled in {len(chosen)} ways: {shown}.")
    return tuple(chosen), " ".join(notes)


def _twins(sample: "pd.Series[Any]", read: dict[str, "pd.Series[Any]"]) -> dict[str, str]:
    """Of two formats that only differ in what is the day and what the month, the less likely is taken out of `read`."""
    notes = {}
    for day in [f for f in read if f.startswith("%d") and "%m" in f]:
        month = day.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
        if month not in read:
            continue
        only_day, only_month = int((read[day] & ~read[month]).sum()), int((read[month] & ~read[day]).sum())
        if only_day and only_month:
            # Both are spelled here: what both could be is read as the more frequent of the two.
            keep = day if only_day >= only_month else month
            order = "the day" if keep == day else "the month"
            notes[keep] = f"Where it could be either, {order} is taken to come first."
            read[day if keep == month else month] &= ~read[keep]
            continue
        keep = (
            day
            if only_day > only_month or (only_day == only_month and _steadier(sample, day, month))
            else month
        )
        del read[month if keep == day else day]
        if only_day == only_month:
            order = "day" if keep == day else "month"
            notes[keep] = (
                f"Whether day or month comes first cannot be told from the data; the {order} was taken to."
            )
    return notes


def _steadier(sample: "pd.Series[Any]", day: str, month: str) -> bool:
    """Whether times stand more nearly in order, and closer together, when the day comes first. A tie goes to it, unless slashes divide."""
    order = []
    for form in (day, month):
        times = _by(sample, form).dropna().astype("int64").to_numpy()
        order.append((int((np.diff(times) < 0).sum()), int(np.ptp(times)), int(form == day and "/" in day)))
    return order[0] <= order[1]
