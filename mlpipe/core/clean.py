"""Columns brought into their declared form: numbers, yes and no, times, or text in canonical spellings.

What is there but cannot be read is never guessed at: it becomes null, and is named. Pure functions of one column.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlpipe.core.clean_times import Numbers, instants_of_numbers, instants_of_texts, instants_of_times
from mlpipe.core.form import Form

BoolArray = NDArray[np.bool_]
_TRUTH, _REAL = (bool, np.bool_), (bool, np.bool_, int, float, Decimal, np.number)
_KINDS = {
    "string": "text",
    "boolean": "bool",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "datetime": "time",
    "datetime64": "time",
    "date": "time",
    "empty": "nothing",
}


@dataclass(frozen=True, eq=False)
class Cells:
    """A column in its form.

    Attributes
    ----------
    values
        Shape (n,), with the index of the column: for a number ``float64``, or the whole numbers that it came as; for yes and no ``bool``,
        with nulls ``boolean``; for times ``datetime64[us, UTC]``; for text pandas' own. Null for what is null and for what cannot be read.
    unreadable
        Shape (n,): cells that are there, stand for a value, and cannot be read.
    """

    values: "pd.Series[Any]"
    unreadable: BoolArray


def clean(column: "pd.Series[Any]", form: Form, timezone: str = "UTC") -> Cells:
    """Bring a column into a form.

    A cell without a value is one that is null, blank (unless text is asked for), or one of `form.null`. What already has the form stays as
    it is, so doing it again changes nothing.

    Parameters
    ----------
    column
        Shape (n,), of any type: text, numbers, booleans, times, objects, or several of them mixed.
    timezone
        Zone of times that say none. A local time that happens twice is the first of the two.
    """
    kind = _kind(column)
    plain = column.reset_index(drop=True)
    if form.to == "number":
        made = _numbers(plain, kind, form)
    elif form.to == "bool":
        made = _bools(plain, kind, form)
    elif form.to == "time":
        made = _times(plain, kind, form, timezone)
    else:
        made = _texts(plain, kind, form)
    return Cells(made.values.set_axis(column.index), made.unreadable)


def _kind(column: "pd.Series[Any]") -> str:
    """What the cells of a column are: text, bool, number, time, nothing, or mixed."""
    types = pd.api.types
    if types.is_bool_dtype(column.dtype):
        return "bool"
    if types.is_numeric_dtype(column.dtype):
        return "number"
    if types.is_datetime64_any_dtype(column.dtype):
        return "time"
    return _KINDS.get(types.infer_dtype(column, skipna=True), "mixed")


# -- cells as text ------------------------------------------------------------------------------------------------


def spelled(column: "pd.Series[Any]") -> pa.LargeStringArray:
    """Cells as they would be written; whole numbers without a fraction, times in ISO 8601. Null stays null."""
    if _kind(column) == "text":
        try:
            return _one(pa.array(column, pa.large_string(), from_pandas=True))
        except UnicodeEncodeError:  # half a character, which no UTF-8 can hold
            pass
    if column.dtype == object:
        cells = zip(column, column.isna(), strict=True)
        return pa.array([None if null else _word(v) for v, null in cells], pa.large_string())
    codes, values = pd.factorize(column, use_na_sentinel=True)
    words = pa.array([_word(v) for v in values], pa.large_string())
    return words.take(pa.array(np.where(codes < 0, 0, codes), mask=codes < 0))


def _one(array: Any) -> pa.LargeStringArray:
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def _word(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    return str(value).encode("utf-8", "replace").decode()


def _trimmed(text: pa.LargeStringArray) -> pa.LargeStringArray:
    return pc.utf8_trim_whitespace(text)


def _among(text: pa.LargeStringArray, words: Sequence[str]) -> BoolArray:
    found = pc.is_in(text, value_set=pa.array(list(words), pa.large_string()), skip_nulls=True)
    return _mask(found)


def _mask(found: pa.BooleanArray) -> BoolArray:
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)


def _null_words(form: Form) -> list[str]:
    return [v if isinstance(v, str) else _word(v) for v in form.null]


def _nothing(text: pa.LargeStringArray, bare: pa.LargeStringArray, form: Form) -> BoolArray:
    """Cells that stand for no value, by their spelling; `bare` is the text without blanks around it."""
    words = _null_words(form)
    return _among(bare, ["", *words]) | (_among(text, words) if words else False)


def _are(column: "pd.Series[Any]", present: BoolArray, types: Any) -> BoolArray:
    """Cells of a mixed column that are of some types already."""
    return np.asarray([isinstance(v, types) for v in column], dtype=bool) & present


def _made(values: "pd.Series[Any]", present: BoolArray, nothing: BoolArray) -> Cells:
    return Cells(values, present & ~nothing & values.isna().to_numpy(dtype=bool))


# -- numbers ------------------------------------------------------------------------------------------------------


def _numbers(column: "pd.Series[Any]", kind: str, form: Form) -> Cells:
    present = column.notna().to_numpy(dtype=bool)
    if kind == "number":
        values = column if column.dtype != object else column.astype("float64")
        hit = values.isin(_null_numbers(form) if form.null else ()).to_numpy(dtype=bool)
        if hit.any():
            # Whole numbers with a hole stay whole: as floats the large ones would be rounded.
            holey: Any = {"i": "Int64", "u": "UInt64"}.get(values.dtype.kind, values.dtype)
            values = values.astype(holey).mask(hit)
        return _made(values, present, hit)
    if kind in ("bool", "nothing"):
        numbers = column.to_numpy(dtype="float64", na_value=np.nan)
        return _made(pd.Series(numbers), present, np.zeros(len(column), dtype=bool))
    text = spelled(column)
    bare = _trimmed(text)
    nothing = _nothing(text, bare, form)
    read = parsed(unmarked(bare, form.marks), form.decimal, form.thousands)
    if kind == "mixed":
        real = _are(column, present, _REAL)
        read[real] = column[real].astype("float64")
    values = pd.Series(read)
    nothing |= values.isin(_null_numbers(form)).to_numpy(dtype=bool)
    return _made(values.mask(nothing), present, nothing)


def parsed(bare: pa.LargeStringArray, decimal: str = ".", thousands: str = "") -> NDArray[np.float64]:
    """Numbers of texts without blanks around them; NaN for what is none, or is not finite. Beyond 2**53 they are rounded.

    With a mark between thousands, each group behind one has three digits; numbers without any are read all the same.
    """
    mark, exponent = _escaped(decimal), r"(?:[eE][+-]?\d+)?"
    plain = rf"\d+(?:{mark}\d*)?{exponent}|{mark}\d+{exponent}"
    grouped = rf"\d{{1,3}}(?:{_escaped(thousands)}\d{{3}})+(?:{mark}\d*)?|" if thousands else ""
    if thousands == " ":
        bare = pc.replace_substring_regex(bare, "[\u00a0\u2009\u202f]", " ")
    if _mask(pc.match_substring(bare, "\u2212")).any():
        bare = pc.replace_substring(bare, "\u2212", "-")
    fits = pc.match_substring_regex(bare, rf"^[+-]?(?:{grouped}{plain})$")
    number = pc.if_else(fits, bare, pa.scalar(None, pa.large_string()))
    if thousands:
        number = pc.replace_substring(number, thousands, "")
    if decimal != ".":
        number = pc.replace_substring(number, decimal, ".")
    values = np.array(pc.cast(number, pa.float64()).to_numpy(zero_copy_only=False), dtype="float64")
    values[~np.isfinite(values)] = np.nan
    return values


def unmarked(bare: pa.LargeStringArray, marks: Sequence[str]) -> pa.LargeStringArray:
    """Texts without the marks before or behind their number; a sign may stand before the mark."""
    if not marks:
        return bare
    either = "|".join(re.escape(m) for m in sorted(marks, key=len, reverse=True))
    bare = pc.replace_substring_regex(bare, rf"^([+-]?)\s*(?:{either})\s*", r"\1")
    return pc.replace_substring_regex(bare, rf"\s*(?:{either})$", "")


def _escaped(mark: str) -> str:
    return "\\." if mark == "." else mark


def _null_numbers(form: Form) -> list[float]:
    words = pa.array([v.strip() for v in form.null if isinstance(v, str)], pa.large_string())
    read = parsed(words, form.decimal, form.thousands)
    return [*(float(v) for v in form.null if not isinstance(v, str)), *read[~np.isnan(read)].tolist()]


# -- yes and no ---------------------------------------------------------------------------------------------------


def _bools(column: "pd.Series[Any]", kind: str, form: Form) -> Cells:
    present = column.notna().to_numpy(dtype=bool)
    if kind == "bool":
        values = column if column.dtype != object else column.astype("boolean")
        return _made(values, present, np.zeros(len(column), dtype=bool))
    text = spelled(column)
    bare = _trimmed(text)
    nothing = _nothing(text, bare, form)
    small = pc.utf8_lower(bare)
    yes, no = (_among(small, [w.strip().lower() for w in words]) for words in (form.truthy, form.falsy))
    if kind == "mixed":
        real = _are(column, present, _TRUTH)
        yes[real] = column[real].astype(bool)
        no |= real
    known = (yes | no) & ~nothing
    values = pd.Series(yes if known.all() else pd.array(yes, dtype="boolean"))
    return _made(values.where(known, pd.NA) if not known.all() else values, present, nothing)


# -- text ---------------------------------------------------------------------------------------------------------


def _texts(column: "pd.Series[Any]", kind: str, form: Form) -> Cells:
    text = spelled(column)
    bare = _trimmed(text)
    words = _null_words(form)
    nothing = _among(bare, words) | _among(text, words)
    # One word may be written in several ways: é as one character, or as e and its accent.
    made = pc.utf8_normalize(bare if form.strip else text, form="NFC")
    made = _cased(made, form)
    if form.map:
        # A name stands for itself, so that bringing a text into its form again changes nothing.
        names = [*form.map.values(), *form.map.values()]
        spellings = _cased(pa.array([*form.map.values(), *form.map], pa.large_string()), form)
        table = dict(zip(spellings.to_pylist(), names, strict=True))
        found = pc.index_in(made, value_set=pa.array(list(table), pa.large_string()), skip_nulls=True)
        made = pc.coalesce(pa.array(list(table.values()), pa.large_string()).take(found), made)
    if nothing.any():
        made = pc.if_else(pa.array(~nothing), made, pa.scalar(None, pa.large_string()))
    values = pd.Series(made.to_pandas())
    return Cells(values, np.zeros(len(column), dtype=bool))


def _cased(text: pa.LargeStringArray, form: Form) -> pa.LargeStringArray:
    return {"lower": pc.utf8_lower, "upper": pc.utf8_upper}.get(form.case, lambda same: same)(text)


# -- times --------------------------------------------------------------------------------------------------------


def _times(column: "pd.Series[Any]", kind: str, form: Form, timezone: str) -> Cells:
    present = column.notna().to_numpy(dtype=bool)
    if kind == "nothing":
        return _made(_utc(np.full(len(column), np.datetime64("NaT", "us"))), present, ~present)
    if kind == "time":
        found = instants_of_times(column, timezone)
        nothing = _among(spelled(column), _null_words(form)) if form.null else ~present
        return _made(_utc(np.where(nothing, np.datetime64("NaT", "us"), found)), present, nothing)
    if kind == "bool":
        return _made(_utc(np.full(len(column), np.datetime64("NaT", "us"))), present, ~present)
    if kind == "number":
        nothing = column.isin(_null_numbers(form)).to_numpy(dtype=bool)
        found = instants_of_numbers(Numbers.of(column), lambda: spelled(column), form.formats, timezone)
        return _made(_utc(np.where(nothing, np.datetime64("NaT", "us"), found)), present, nothing)
    text = spelled(column)
    bare = _trimmed(text)
    nothing = _nothing(text, bare, form)
    found = instants_of_texts(bare, form.formats, timezone)
    if kind == "mixed":
        real = _are(column, present, date)
        found[real] = instants_of_times(column[real], timezone)
    return _made(_utc(np.where(nothing, np.datetime64("NaT", "us"), found)), present, nothing)


def _utc(instants: NDArray[np.datetime64]) -> "pd.Series[Any]":
    return pd.Series(pd.DatetimeIndex(instants.astype("datetime64[us]"), tz="UTC"))
