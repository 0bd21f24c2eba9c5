from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.scaffold.times import is_named_as_time, times_of


@pytest.mark.parametrize(
    ("values", "formats", "first"),
    [
        (["2024-01-02", "2024-02-03"], (), "2024-01-02"),
        (["2024-01-02 03:04:05", "2024-02-03 00:00:00"], (), "2024-01-02 03:04:05"),
        (["2024-01-02T03:00:00+02:00", "2024-01-03T00:00:00Z"], (), "2024-01-02 01:00:00"),
        (["02/01/2024", "15/02/2024"], ("%d/%m/%Y",), "2024-01-02"),
        (["02/01/2024", "02/15/2024"], ("%m/%d/%Y",), "2024-02-01"),
        (["02.01.2024 10:30", "15.02.2024 11:00"], ("%d.%m.%Y %H:%M",), "2024-01-02 10:30"),
        (["15/02/2024", "2024-03-04", "16/02/2024"], ("%d/%m/%Y", "iso"), "2024-02-15"),
        (["Mar 2021", "Apr 2021"], ("%b %Y",), "2021-03-01"),
        (["2021-03", "2021-04"], (), "2021-03-01"),
        ([20240131, 20240201], ("%Y%m%d",), "2024-01-31"),
        (["20240131", "20240201"], ("%Y%m%d",), "2024-01-31"),
        ([1_700_000_000, 1_700_003_600], ("epoch_s",), "2023-11-14 22:13:20"),
        ([1_700_000_000_000, 1_700_003_600_000], ("epoch_ms",), "2023-11-14 22:13:20"),
        (["1700000000", "1700003600"], ("epoch_s",), "2023-11-14 22:13:20"),
        (["3 Jan 2024", "14 Feb 2024"], ("%d %b %Y",), "2024-01-03"),
        ([pd.Timestamp("2024-01-02").date(), None], (), "2024-01-02"),
    ],
)
def test_spellings_of_times(values: list[Any], formats: tuple[str, ...], first: str) -> None:
    found = times_of(pd.Series(values), "created_at")
    assert found is not None and found.formats == formats and found.unreadable == 0
    assert found.values.iloc[0] == pd.Timestamp(first, tz="UTC")


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [0.5, 1.5],
        ["a", "b"],
        ["1.5", "2.5"],
        [True, False],
        [None, None],
        ["see 3 notes", "12 more words"],
        ["10", "20"],
    ],
)
def test_what_is_no_time(values: list[Any]) -> None:
    assert times_of(pd.Series(values), "created_at") is None


def test_numbers_are_times_only_where_something_says_so() -> None:
    values = pd.Series([1_700_000_000, 1_700_003_600])
    assert times_of(values, "revenue") is None
    assert times_of(values, "revenue", told=True) is not None
    assert times_of(pd.Series([2019, 2020]), "year", told=True) is not None


def test_an_order_that_cannot_be_told_is_said() -> None:
    found = times_of(pd.Series(["03/04/2024", "05/06/2024"]), "day")
    assert found is not None and found.formats == ("%m/%d/%Y",) and "cannot be told" in found.note
    # In order with the day first, out of order with the month first.
    steady = times_of(pd.Series(["11/01/2024", "02/02/2024", "03/02/2024"]), "day")
    assert steady is not None and steady.formats == ("%d/%m/%Y",)
    # Twelve days in a row are likelier than the first day of twelve months.
    close = times_of(pd.Series([f"{d:02}/01/2024" for d in range(1, 13)]), "day")
    assert close is not None and close.formats == ("%d/%m/%Y",)


def test_unreadable_cells_are_counted() -> None:
    found = times_of(pd.Series(["2024-01-01"] * 99 + ["soon 2"]), "day")
    assert found is not None and found.unreadable == 1 and found.values.isna().sum() == 1


def test_names_that_speak_of_the_moment() -> None:
    for name in ("created_at", "date", "Order Date", "timestamp", "ts", "event_time", "snapshot_ts", "month"):
        assert is_named_as_time(name), name
    for name in ("birth_date", "amount", "cancel_date", "latitude", "status", "expires_on"):
        assert not is_named_as_time(name), name


@given(
    days=st.lists(
        st.dates(pd.Timestamp("1990-01-01").date(), pd.Timestamp("2050-01-01").date()),
        min_size=1,
        max_size=30,
    ),
    form=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", "%Y%m%d", "%B %d, %Y"]),
)
def test_every_day_comes_back_when_its_order_can_be_told(days: list[Any], form: str) -> None:
    told = form != "%d.%m.%Y" or any(d.day > 12 for d in days)
    found = times_of(pd.Series([d.strftime(form) for d in days]), "day")
    assert found is not None
    if told:
        assert found.values.dt.date.tolist() == days
