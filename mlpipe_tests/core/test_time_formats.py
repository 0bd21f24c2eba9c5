"""Formats of strptime for a whole column: whatever is read is what Python reads."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.time_formats import pattern_of, read

FORMS = [
    "%d.%m.%Y",
    "%m/%d/%y %H:%M",
    "%Y%m%d",
    "%Y%m%dT%H%M%S",
    "%d-%b-%Y %I:%M:%S %p",
    "%B %d, %Y",
    "%Y/%m/%d %H:%M:%S.%f",
    "%Y",
    "%b %Y",
    "at %H o'clock on %d.%m.%y (100%%)",
]


def times(texts: list[str | None], form: str) -> list[datetime | None]:
    pattern = pattern_of(form)
    assert pattern is not None
    found = read(pa.array(texts, pa.large_string()), pattern)
    return [None if np.isnat(v) else v.item() for v in found]


def told(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


@given(st.lists(st.datetimes(datetime(1969, 1, 1), datetime(2068, 12, 31)), min_size=5))
def test_what_was_written_is_read_as_python_reads_it(moments: list[datetime]) -> None:
    for form in FORMS:
        texts: list[str | None] = [m.strftime(form) for m in moments]
        assert times([*texts, None], form) == [*(told(str(t), form) for t in texts), None]


@pytest.mark.parametrize("hour", range(24))
def test_every_hour_of_half_a_day(hour: int) -> None:
    moment, form = datetime(2024, 1, 1, hour, 5), "%d-%b-%Y %I:%M:%S %p"
    assert times([moment.strftime(form)], form) == [moment]


def test_years_of_two_digits_are_those_of_python() -> None:
    texts: list[str | None] = [f"01.01.{year:02}" for year in range(100)]
    assert times(texts, "%d.%m.%y") == [told(str(t), "%d.%m.%y") for t in texts]


@given(st.lists(st.text("0123456789./ JanMyPM:", max_size=12), min_size=1), st.sampled_from(FORMS))
def test_nothing_is_read_that_python_does_not_read(texts: list[str], form: str) -> None:
    for text, found in zip(texts, times([*texts], form), strict=True):
        assert found is None or found == told(text, form)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("31.02.2024", "%d.%m.%Y"),
        ("29.02.2023", "%d.%m.%Y"),
        ("00.01.2024", "%d.%m.%Y"),
        ("01.13.2024", "%d.%m.%Y"),
        ("2024-01-01 24:00", "%Y-%m-%d %H:%M"),
        ("2024-01-01 23:60", "%Y-%m-%d %H:%M"),
        ("1 Foo 2024", "%d %b %Y"),
        ("13:00 PM 2024-01-01", "%I:%M %p %Y-%m-%d"),
        ("0:30 AM 2024-01-01", "%I:%M %p %Y-%m-%d"),
        ("2024131", "%Y%m%d"),
        ("2024112", "%Y%m%d"),
        ("01.01.2024 ", "%d.%m.%Y"),
        ("01.01.02024", "%d.%m.%Y"),
    ],
)
def test_what_does_not_exist_is_no_time(text: str, form: str) -> None:
    assert times([text, None, ""], form) == [None] * 3


def test_capitals_and_the_number_of_blanks_make_no_difference() -> None:
    assert times(["1 JAN  2024", "01 jan 2024"], "%d %b %Y") == [datetime(2024, 1, 1)] * 2
    assert times(["1jan2024"], "%d%b%Y") == [datetime(2024, 1, 1)]
    assert times(["20240101t101500"], "%Y%m%dT%H%M%S") == [datetime(2024, 1, 1, 10, 15)]


@pytest.mark.parametrize(
    "form",
    [
        "%a %d %b %Y",
        "%Y-%j",
        "%G-W%V-%u",
        "%Y-%m-%d %z",
        "%d.%m.",
        "%Y %d",
        "%Y-%m-%d %I",
        "%Y-%m-%d %M",
        "%Y %y",
    ],
)
def test_other_formats_are_left_to_pandas(form: str) -> None:
    assert pattern_of(form) is None
