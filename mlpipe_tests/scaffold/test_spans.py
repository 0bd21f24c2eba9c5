from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from mlpipe.scaffold.spans import span_of

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def times(start: str, every: str, periods: int, rows: int) -> "pd.Series[Any]":
    return pd.Series(pd.date_range(start, periods=periods, freq=every, tz="UTC").repeat(rows))


@pytest.mark.parametrize(
    ("given", "every", "start", "window"),
    [
        (times("2024-01-02 08:00", "D", 40, 30), "day", "2024-01-02", 20),
        (times("2020-01-01", "D", 1000, 30), "day", "2020-01-01", 90),
        (times("2024-01-01 09:00", "D", 120, 3), "week", "2023-12-31", 9),
        (times("2021-03-01", "MS", 24, 50), "month", "2021-03-01", 12),
        (times("2024-01-01", "h", 72, 20), "hour", "2024-01-01T00:00", 36),
        (times("2024-01-01", "D", 5, 100), "none", None, None),
        (times("2024-01-01 09:00", "12h", 10, 1), "none", None, None),
        (times("2031-01-01", "D", 40, 30), "none", None, None),
        (times("2023-01-01", "W", 30, 40), "week", "2023-01-01", 15),
    ],
)
def test_how_time_is_cut(given: Any, every: str, start: str | None, window: int | None) -> None:
    found = span_of(given, "UTC", 1.0, NOW)
    assert (found.every, found.start, found.window) == (every, start, window), found


def test_gaps_lower_the_share_that_must_be_covered() -> None:
    full = times("2024-01-02 08:00", "D", 60, 30)
    weekdays = full[full.dt.dayofweek < 5]
    assert span_of(full, "UTC", 1.0, NOW).coverage == 0.8
    found = span_of(weekdays, "UTC", 1.0, NOW)
    assert found.coverage == 0.5 and "hold no rows" in " ".join(found.notes)


def test_rows_in_the_future_wait() -> None:
    found = span_of(times("2024-05-01 08:00", "D", 50, 30), "UTC", 1.0, NOW)
    assert found.every == "day" and found.window == 15 and "in the future" in found.notes[0]


def test_a_reset_clock_makes_no_thousand_partitions() -> None:
    given = times("2024-01-02 08:00", "D", 40, 30)
    stray = pd.Series(pd.to_datetime(["1970-01-01", "2009-09-09"], utc=True))
    found = span_of(pd.concat([given, stray], ignore_index=True), "UTC", 1.0, NOW)
    assert (found.every, found.start) == ("day", "2024-01-02") and "2 rows are from before" in found.notes[0]
    # A year of days is one past, however few its first days hold.
    assert span_of(times("2023-05-01", "D", 390, 30), "UTC", 1.0, NOW).start == "2023-05-01"


def test_a_window_fits_into_memory() -> None:
    assert span_of(times("2024-01-02 08:00", "D", 40, 30), "UTC", 1000.0, NOW).window == 10


def test_days_are_those_of_the_zone() -> None:
    given = times("2024-01-02 23:30", "D", 40, 30)
    assert span_of(given, "Europe/Berlin", 1.0, NOW).start == "2024-01-03"


def test_the_window_that_is_learned_from_now_passes_what_is_asked_of_it() -> None:
    full = times("2024-01-02 08:00", "D", 60, 30)
    # A gap of three weeks before the last days: 14 of the last window's 30 days hold rows.
    late = full[(full < "2024-02-05") | (full >= "2024-02-26")]
    found = span_of(late, "UTC", 1.0, NOW)
    days = late.dt.normalize().unique()
    held = [d for d in pd.date_range(end="2024-02-29", periods=found.window or 0, tz="UTC") if d in days]
    assert found.coverage < 0.7 and len(held) >= found.coverage * (found.window or 0)


def test_empty_days_widen_the_window_until_there_is_something_to_learn_from() -> None:
    full = times("2024-01-01 08:00", "D", 40, 30)
    found = span_of(full[(full < "2024-01-19") | (full >= "2024-02-01")], "UTC", 1.0, NOW)
    assert found.every == "day" and found.window is not None and found.window > 20
    assert found.coverage <= 0.6 and found.min_rows <= 30
