"""Times of every spelling as instants."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.clean import spelled
from mlpipe.core.clean_times import Numbers, instants_of_numbers, instants_of_texts, instants_of_times

BERLIN = "Europe/Berlin"


def instants(texts: list[str | None], *formats: str, zone: str = "UTC") -> list[datetime | None]:
    found = instants_of_texts(spelled(pd.Series(texts, dtype=object)), formats, zone)
    return [None if np.isnat(v) else v.item().replace(tzinfo=UTC) for v in found]


def at(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, micro: int = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, second, micro, UTC)


@pytest.mark.parametrize(
    ("text", "form", "wanted"),
    [
        ("2024-07-01T14:00", "iso", at(2024, 7, 1, 12)),
        ("2024-07-01 12:00:00+00", "iso", at(2024, 7, 1, 12)),
        ("2024-07-01T14:00:00.25+0200", "iso", at(2024, 7, 1, 12, 0, 0, 250_000)),
        ("2024-07-02", "iso", at(2024, 7, 1, 22)),
        ("now", "iso", None),
        ("today", "iso", None),
        ("2024-02-30", "iso", None),
        ("1600-01-01", "iso", None),
        ("9999-12-31", "iso", None),
        ("1719835200", "epoch_s", at(2024, 7, 1, 12)),
        ("1719835200.25", "epoch_s", at(2024, 7, 1, 12, 0, 0, 250_000)),
        ("1719835200123456789", "epoch_ns", at(2024, 7, 1, 12, 0, 0, 123_456)),
        ("-1", "epoch_s", at(1969, 12, 31, 23, 59, 59)),
        ("1719835200000", "epoch_s", None),
        ("99999999999999999999", "epoch_ns", None),
        ("1e9", "epoch_s", None),
        ("01.07.2024", "%d.%m.%Y", at(2024, 6, 30, 22)),
        ("1.7.24 14:00", "%d.%m.%y %H:%M", at(2024, 7, 1, 12)),
        ("20240701140000", "%Y%m%d%H%M%S", at(2024, 7, 1, 12)),
        ("Jul 1, 2024 2:00 PM", "%b %d, %Y %I:%M %p", at(2024, 7, 1, 12)),
        ("Mon, 01 Jul 2024 14:00:00 +0200", "%a, %d %b %Y %H:%M:%S %z", at(2024, 7, 1, 12)),
        ("2024-W27-1", "%G-W%V-%u", at(2024, 6, 30, 22)),
        ("2024", "%Y", at(2023, 12, 31, 23)),
        ("07/2024", "%m/%Y", at(2024, 6, 30, 22)),
        ("2024-10-27 02:30", "iso", at(2024, 10, 27, 0, 30)),
        ("27.10.2024 02:30", "%d.%m.%Y %H:%M", at(2024, 10, 27, 0, 30)),
        ("31.03.2024 02:30", "%d.%m.%Y %H:%M", at(2024, 3, 31, 1)),
    ],
)
def test_one_spelling(text: str, form: str, wanted: datetime | None) -> None:
    assert instants([text, None], form, zone=BERLIN) == [wanted, None]


def test_the_first_format_that_reads_a_cell_counts() -> None:
    mixed = ["03/04/2024", "25/12/2024", "12/25/2024", "2024-01-02", "1704153600", None, "noon"]
    wanted = [at(2024, 4, 3), at(2024, 12, 25), at(2024, 12, 25), at(2024, 1, 2), at(2024, 1, 2), None, None]
    assert instants(mixed, "iso", "%d/%m/%Y", "%m/%d/%Y", "epoch_s") == wanted
    assert instants(mixed, "%m/%d/%Y", "%d/%m/%Y", "iso", "epoch_s")[0] == at(2024, 3, 4)


def of_numbers(column: "pd.Series[Any]", *formats: str) -> list[Any]:
    found = instants_of_numbers(Numbers.of(column), lambda: spelled(column), formats, "UTC")
    return list(found.tolist())


def test_units_are_told_apart_by_their_size() -> None:
    both = [1719835200, 1719835200000]
    for column in (pd.Series(both), pd.Series(both, dtype="float64"), pd.Series(both, dtype="Int64")):
        assert of_numbers(column, "epoch_s", "epoch_ms") == [datetime(2024, 7, 1, 12)] * 2


def test_numbers_may_be_days() -> None:
    column = pd.Series([20240701.0, 20240230.0, np.nan, 7.5])
    assert of_numbers(column, "%Y%m%d") == [datetime(2024, 7, 1), None, None, None]


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 7, 1, 14),
        datetime(2024, 7, 1, 12, tzinfo=UTC),
        pd.Timestamp("2024-07-01 08:00", tz="America/New_York"),
    ],
)
def test_what_is_a_time_already(value: Any) -> None:
    for column in (pd.Series([value, None]), pd.Series([value, None, date(2024, 7, 2)], dtype=object)):
        found = instants_of_times(column, BERLIN).tolist()
        assert found[:2] == [datetime(2024, 7, 1, 12), None] and found[2:] in ([], [datetime(2024, 7, 1, 22)])


def test_times_that_no_table_holds_are_none() -> None:
    given = pd.Series([date(1, 1, 1), date(9999, 12, 31), date(2024, 1, 1)], dtype=object)
    assert instants_of_times(given, BERLIN).tolist() == [None, None, datetime(2023, 12, 31, 23)]


LOCAL = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))


@given(st.lists(LOCAL, min_size=1, max_size=20), st.sampled_from(["UTC", BERLIN, "America/New_York"]))
def test_local_times_agree_with_zoneinfo(moments: list[datetime], zone: str) -> None:
    def utc(moment: datetime) -> datetime:
        there = moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        # A time that never happened is read as the one at which the clocks were put forward.
        if there.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != moment:
            low, high = there - timedelta(days=1), there + timedelta(days=1)
            while high - low > timedelta(microseconds=1):
                middle = low + (high - low) / 2
                past = middle.astimezone(ZoneInfo(zone)).replace(tzinfo=None) > moment
                low, high = (low, middle) if past else (middle, high)
            return high
        return there

    texts: list[str | None] = [m.isoformat() for m in moments]
    assert instants(texts, "iso", zone=zone) == [utc(m) for m in moments]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.sampled_from(["epoch_us", "epoch_ns", "epoch_ms"]),
)
def test_whole_numbers_since_1970_are_exact(values: list[int], word: str) -> None:
    per_second = {"epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}[word]
    low, high = datetime(1678, 1, 1), datetime(2262, 1, 1)

    def told(value: int) -> datetime | None:
        if abs(value) // per_second > 10**10:
            return None
        moment = datetime(1970, 1, 1) + timedelta(microseconds=value * 10**6 // per_second)
        return moment if low <= moment < high else None

    assert of_numbers(pd.Series(values, dtype="int64"), word) == [told(v) for v in values]
