"""Event times of whatever spelling become instants in UTC."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from mlpipe.errors import DataError
from mlpipe.stages.times import instants

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2024-07-01T14:00",
        "2024-07-01 14:00:00.000000",
        "2024-07-01T12:00Z",
        "2024-07-01 12:00:00+00",
        "2024-07-01 14:00:00+02:00",
        "2024-07-01T14:00:00+0200",
        datetime(2024, 7, 1, 14),
        NOON,
        pd.Timestamp("2024-07-01 08:00", tz="America/New_York"),
    ],
)
def test_spellings_of_one_instant(value: object) -> None:
    for series in (pd.Series([value, None]), pd.Series([value, None], dtype=object)):
        found = instants(series, "Europe/Berlin", "column at")
        assert found.dtype == "datetime64[us, UTC]"
        assert found[0] == NOON and found.isna().tolist() == [False, True]


def test_dates_are_their_local_midnight() -> None:
    for value in ("2024-07-02", date(2024, 7, 2)):
        found = instants(pd.Series([value]), "Europe/Berlin", "column at")
        assert found[0] == datetime(2024, 7, 1, 22, tzinfo=UTC)


def test_local_times_that_happen_twice_or_never() -> None:
    local = pd.Series(["2024-10-27T02:30", "2024-03-31T02:30"])
    found = instants(local, "Europe/Berlin", "column at")
    assert found.tolist() == [
        pd.Timestamp("2024-10-27 00:30", tz="UTC"),
        pd.Timestamp("2024-03-31 01:00", tz="UTC"),
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([20240701, 20240702], "are numbers"),
        ([True, False], "are numbers"),
        (["2024-07-01", "noon"], "1 event times cannot be read, such as 'noon'"),
        (["2024-07-01", "now"], "1 event times cannot be read, such as 'now'"),
        (["2024-07-01T10:00", "2024-07-01T10:00Z"], "some event times have a zone"),
    ],
)
def test_what_is_no_time_is_an_error_with_an_example(values: list[object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        instants(pd.Series(values), "UTC", "column at")


def test_nothing_but_nulls_is_no_error() -> None:
    for series in (pd.Series([None, None]), pd.Series([float("nan")] * 2), pd.Series([], dtype=object)):
        assert instants(series, "UTC", "column at").isna().all()
