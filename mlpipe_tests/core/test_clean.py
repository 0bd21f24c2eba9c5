"""Columns in their declared form: what is read, what means nothing, and what cannot be read."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.clean import clean, parsed, spelled
from mlpipe.core.form import Form

BAD = "unreadable"


def cells(values: list[Any], form: Form, zone: str = "UTC", dtype: Any = None) -> list[Any]:
    """Each cell as a plain value, None, or the word for one that cannot be read."""
    column = pd.Series(values, dtype=dtype, index=pd.RangeIndex(5, 5 + len(values)))
    made = clean(column, form, zone)
    assert made.values.index.equals(column.index) and made.unreadable.shape == (len(values),)
    assert not (made.unreadable & (made.values.notna() | column.isna()).to_numpy()).any()
    plain = [v.item() if hasattr(v, "item") else v for v in made.values]
    return [BAD if bad else None if pd.isna(v) else v for v, bad in zip(plain, made.unreadable, strict=True)]


EUROPEAN = Form("number", ("k. A.", -999), ",", ".")


@pytest.mark.parametrize(
    ("form", "given", "wanted"),
    [
        (Form("number"), ["1", " 2.5 ", "-3", "+4", "5.", ".5", "1e3", "\u22127"], [1, 2.5, -3, 4, 5, 0.5, 1000, -7]),
        (Form("number"), ["1,5", "abc", "inf", "nan", "1e999", "0x10", "1 2", "٣"], [BAD] * 8),
        (Form("number"), ["", "  ", None, "-", "1"], [None, None, None, BAD, 1]),
        (Form("number", ("NA", "?", -999)), ["NA", " ? ", "-999", "-999.0", "na", "7"], [*[None] * 4, BAD, 7]),
        (EUROPEAN, ["1.234,5", "1234,5", "1.234", "12.34", "k. A.", "-999"], [1234.5, 1234.5, 1234, BAD, None, None]),
        (Form("number", (), ".", ","), ["1,234", "1,234,567.8", "12,34", ",123", "1,23"], [1234, 1234567.8, *[BAD] * 3]),
        (Form("number", (), ",", " "), ["1 234,5", "1\u00a0234", "1\u202f234 567"], [1234.5, 1234, 1234567]),
        (Form("number", (), ".", "'"), ["1'234.5"], [1234.5]),
        (Form("number", (), ".", "_"), ["1_234"], [1234]),
        (Form("bool"), ["yes", "No ", "TRUE", "f", "1", "0", "on", "", "perhaps"], [1, 0, 1, 0, 1, 0, 1, None, BAD]),
        (Form("bool", ("?",), truthy=("ja",), falsy=("nein",)), ["JA", "nein", "?", "yes"], [1, 0, None, BAD]),
        (Form("text"), [" a ", "A", "", "  ", None], ["a", "A", "", "", None]),
        (Form("text", strip=False), [" a "], [" a "]),
        (Form("text", ("NA", ""), case="lower"), ["NA", " NA", "na", "", "Ab"], [None, None, "na", None, "ab"]),
        (Form("text", case="upper"), ["Übel"], ["ÜBEL"]),
        (Form("text"), ["e\u0301"], ["é"]),
        (
            Form("text", map={"NYC": "New York", "new york": "New York"}),
            ["NYC", "new york", "New York", "nyc"],
            ["New York", "New York", "New York", "nyc"],
        ),
        (Form("text", case="lower", map={"NYC": "New York"}), ["nyc", "NEW YORK", "Ulm"], ["New York", "New York", "ulm"]),
    ],
)  # fmt: skip
def test_spellings(form: Form, given: list[Any], wanted: list[Any]) -> None:
    assert cells(given, form) == wanted
    assert cells(given, form, dtype=object) == wanted


NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


def test_marks_around_numbers_mean_nothing() -> None:
    form = Form("number", thousands=",", marks=("$", "EUR", "%"))
    given = ["$1,234.50", "-$5", "7 EUR", "EUR 8", "12%", "$", "$x", "1$2"]
    assert cells(given, form)[:5] == [1234.5, -5, 7, 8, 12]
    assert clean(pd.Series(given), form, "UTC").unreadable.tolist() == [False] * 5 + [True] * 3


@pytest.mark.parametrize(
    ("to", "given", "dtype", "wanted"),
    [
        ("number", [1, 2, -999], "int64", [1, 2, None]),
        ("number", [2**60 + 1, -999, None], "Int64", [2**60 + 1, None, None]),
        ("number", [2**60 + 1, -999], "int64", [2**60 + 1, None]),
        ("number", [2**63 + 1, 0], "uint64", [2**63 + 1, 0]),
        ("number", [2**63 + 1, 5], "uint64", [2**63 + 1, 5]),
        ("number", [1.5, -999.0, None], "float64", [1.5, None, None]),
        ("number", [True, None], "boolean", [1, None]),
        ("number", [Decimal("1.5"), None], object, [1.5, None]),
        ("number", [1, "2", None, "x", 2.5, True], object, [1, 2, None, BAD, 2.5, 1]),
        ("number", [NOON], None, [BAD]),
        ("number", [None, None], object, [None, None]),
        ("bool", [True, False, None], "boolean", [True, False, None]),
        ("bool", [1, 0, 2, -999], "int64", [True, False, BAD, None]),
        ("bool", [1.0, 0.0, None, 0.5], "float64", [True, False, None, BAD]),
        ("bool", [True, "no", 1, None], object, [True, False, True, None]),
        ("text", [1, -999], "int64", ["1", None]),
        ("text", [1.0, 2.5, None], "float64", ["1", "2.5", None]),
        ("text", [True, 1, "x", date(2024, 1, 2), None], object, ["True", "1", "x", "2024-01-02", None]),
        ("text", [NOON], None, ["2024-07-01T12:00:00+00:00"]),
        ("time", [True, None], "boolean", [BAD, None]),
        ("time", [None], object, [None]),
    ],
)
def test_what_is_no_text_is_read_by_its_value(
    to: str, given: list[Any], dtype: Any, wanted: list[Any]
) -> None:
    assert cells(given, Form(to, (-999,)), dtype=dtype) == wanted


def test_what_is_a_time_already_needs_no_format() -> None:
    form = Form("time", formats=("%d.%m.%Y",))
    given = ["01.02.2024", date(2024, 2, 2), NOON, "2024-02-03", None]
    there = [datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 2, 2, tzinfo=UTC), NOON, BAD, None]
    assert cells(given, form, dtype=object) == there


def test_a_number_among_texts_is_not_spelled_and_read_again() -> None:
    # Spelled, 1.234 would be one thousand and more where the point separates thousands.
    assert cells([1.234, "1.234"], EUROPEAN, dtype=object) == [1.234, 1234]
    assert cells([True, "ja"], Form("bool", truthy=("ja",), falsy=("nein",)), dtype=object) == [True, True]


@pytest.mark.parametrize(
    ("to", "dtype"),
    [("number", "float64"), ("bool", "boolean"), ("time", "datetime64[us, UTC]"), ("text", "str")],
)
def test_types_do_not_depend_on_the_rows(to: str, dtype: str) -> None:
    """So that partitions of one column can stand below one another."""
    for values in ([], [None], [None, None]):
        made = clean(pd.Series(values, dtype=object), Form(to)).values
        assert made.isna().all() and (made.dtype == dtype or (to, len(values)) == ("bool", 0))
    assert clean(pd.Series(["yes", "no"]), Form("bool")).values.dtype == bool
    assert clean(pd.Series(["yes", None]), Form("bool")).values.dtype == "boolean"


def test_half_a_character_is_no_crash() -> None:
    assert cells(["\ud800", "1"], Form("number"), dtype=object) == [BAD, 1]
    assert cells(["\ud800"], Form("text"), dtype=object) == ["?"]


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.datetimes(timezones=st.one_of(st.none(), st.just(UTC))),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.sampled_from(["1,5", "1.234", "NA", "yes", "2024-01-02", "now", "01.02.2024", "-999", "[1]"]),
)
FORMS = [
    Form("number", ("NA", -999), ",", "."),
    Form("bool", ("NA",)),
    Form("time", ("NA", -999), formats=("iso", "epoch_s", "%d.%m.%Y", "%b %d %y %I %p", "%d.%m.%Y %z")),
    Form("text", ("NA", ""), case="lower", map={"Yes": "Si"}),
]


@given(st.lists(ANYTHING, max_size=12), st.sampled_from(FORMS), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_whatever_stands_there_each_cell_is_read_null_or_named_and_reading_again_changes_nothing(
    values: list[Any], form: Form, zone: str
) -> None:
    column = pd.Series(values, dtype=object)
    made = clean(column, form, zone)
    assert len(made.values) == len(values)
    assert not (made.unreadable & (column.isna() | made.values.notna()).to_numpy()).any()
    again = clean(made.values, form, zone)
    assert not again.unreadable.any()
    pd.testing.assert_series_equal(again.values, made.values, check_dtype=form.to != "bool")
    # A frame for a repair holds what could be read, and the rest as it came.
    mixed = made.values.astype(object).where(~made.unreadable, column)
    third = clean(mixed, form, zone)
    pd.testing.assert_series_equal(third.values, made.values, check_dtype=False)
    assert (third.unreadable == made.unreadable).all()


@given(
    st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1),
    st.sampled_from([(".", ","), (",", ".")]),
)
def test_numbers_as_python_writes_them_are_read_back(numbers: list[float], marks: tuple[str, str]) -> None:
    decimal, thousands = marks
    texts = [f"{n:,.3f}".replace(",", "#").replace(".", decimal).replace("#", thousands) for n in numbers]
    read = parsed(spelled(pd.Series(texts)), decimal, thousands)
    assert read.tolist() == [float(f"{n:.3f}") for n in numbers]


@given(st.lists(st.text("0123456789.,-+eE x", max_size=7), min_size=1))
def test_numbers_are_those_of_python(texts: list[str]) -> None:
    def told(text: str) -> float:
        try:
            return float(text) if text == text.strip() and abs(float(text)) < np.inf else np.nan
        except ValueError:
            return np.nan

    np.testing.assert_array_equal(parsed(spelled(pd.Series(texts))), [told(t) for t in texts])
