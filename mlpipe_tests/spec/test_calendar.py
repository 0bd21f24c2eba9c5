"""Keys and windows are those of Dagster, and a calendar answers at once, from any thread."""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlpipe.errors import NotFoundError
from mlpipe.spec.calendar import DISTANT_FUTURE, DISTANT_PAST, WHOLE, Calendar, Every

KINDS = {
    "hour": dg.HourlyPartitionsDefinition,
    "day": dg.DailyPartitionsDefinition,
    "week": dg.WeeklyPartitionsDefinition,
    "month": dg.MonthlyPartitionsDefinition,
}
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo", "America/Havana")
UNIT = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(7), "month": timedelta(31)}


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def same_as_dagster(calendar: Calendar, until: datetime) -> int:
    """Compare keys and windows of all partitions that have ended; how many there are."""
    text = "%Y-%m-%d-%H:%M" if calendar.every == "hour" else "%Y-%m-%d"
    start, end = (
        None if bound is None else datetime.fromisoformat(bound).strftime(text)
        for bound in (calendar.start, calendar.end)
    )
    theirs = KINDS[calendar.every](start_date=start, end_date=end, timezone=calendar.timezone)  # type: ignore[arg-type]
    keys = theirs.get_partition_keys(current_time=until)
    assert list(calendar.complete_until(until)) == list(keys)
    for key in keys:
        window, own = theirs.time_window_for_partition_key(key), calendar.window(key)
        bounds = window.start.timestamp(), window.end.timestamp()
        assert (own.start.timestamp(), own.end.timestamp()) == bounds
        assert calendar.key_at(own.start) == key == calendar.key_at(own.end - timedelta(microseconds=1))
    return len(keys)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", list(KINDS))
@pytest.mark.parametrize(
    ("start", "end", "until"),
    [
        ("2013-03-05", None, "2013-03-14T03:20"),
        ("2013-10-30", None, "2013-11-06T23:59"),
        ("2013-11-03", None, "2013-11-05T00:00"),
        ("2017-10-11", None, "2017-10-18"),  # no midnight on 15 October in São Paulo
        ("2018-02-14", None, "2018-02-20"),  # two on 18 February
        ("2013-10-01", "2013-11-06", "2013-12-24"),
        ("2013-01-15", "2013-04-17", "2013-06-01"),
    ],
)
def test_keys_and_windows_are_those_of_dagster(
    every: Every, zone: str, start: str, end: str | None, until: str
) -> None:
    if every in ("week", "month") and end is None:
        until = f"{int(until[:4]) + 1}{until[4:]}"
    if every == "hour" and end is not None:
        start = (date.fromisoformat(end) - timedelta(days=4)).isoformat()
    calendar = Calendar(every=every, start=start, end=end, timezone=zone)
    assert same_as_dagster(calendar, at(until, zone)) > 0


@given(
    every=st.sampled_from(sorted(KINDS)),
    zone=st.sampled_from(ZONES),
    start=st.dates(date(1999, 1, 1), date(2035, 1, 1)),
    minutes=st.integers(0, 24 * 60 - 1),
    units=st.integers(1, 9),
    extra=st.integers(0, 40),
    closed=st.booleans(),
)
def test_keys_and_windows_are_those_of_dagster_on_any_date(
    every: Every, zone: str, start: date, minutes: int, units: int, extra: int, closed: bool
) -> None:
    text = start.isoformat() + (f"T{minutes // 60:02}:{minutes % 60:02}" if every == "hour" else "")
    last = datetime.combine(start, datetime.min.time()) + units * UNIT[every] + timedelta(days=extra)
    try:
        calendar = Calendar(
            every=every, start=text, end=last.date().isoformat() if closed else None, timezone=zone
        )
    except ValidationError as error:
        assume("there is no whole" not in str(error))
        raise
    same_as_dagster(calendar, at((last + timedelta(hours=5)).isoformat(), zone))


def test_the_hour_that_comes_twice_has_two_keys() -> None:
    calendar = Calendar(every="hour", start="2013-11-03", timezone="America/New_York")
    assert calendar.keys("2013-11-03-00:00", "2013-11-03-02:00") == (
        "2013-11-03-00:00",
        "2013-11-03-01:00",
        "2013-11-03-01:00-0500",
        "2013-11-03-02:00",
    )
    assert calendar.window("2013-11-03-01:00").start == at("2013-11-03T05:00")
    assert calendar.window("2013-11-03-01:00-0500").start == at("2013-11-03T06:00")
    spring = Calendar(every="hour", start="2013-03-10", timezone="America/New_York")
    assert spring.keys_between(at("2013-03-10T06:00"), at("2013-03-10T08:00")) == (
        "2013-03-10-01:00",
        "2013-03-10-03:00",
    )


def test_a_calendar_begins_and_ends_with_whole_units() -> None:
    week = Calendar(every="week", start="2024-01-03", end="2024-01-30")
    assert week.complete_until(at("2024-03-01")) == ("2024-01-07", "2024-01-14", "2024-01-21")
    assert week.last_end == at("2024-01-28")
    month = Calendar(every="month", start="2024-01-31", timezone="Asia/Kathmandu")
    assert month.first == at("2024-01-31T18:15") and month.key(month.first) == "2024-02-01"
    assert month.window("2024-02-01").end == at("2024-02-29T18:15")


def test_before_is_the_window_that_ends_where_a_key_starts() -> None:
    day = Calendar(every="day", start="2024-01-01", timezone="Europe/Berlin")
    assert day.before("2024-01-05", 2) == ("2024-01-03", "2024-01-04")
    assert day.before("2024-01-05", timedelta(days=2)) == ("2024-01-03", "2024-01-04")
    assert day.before("2024-01-05", timedelta(hours=25)) == ("2024-01-03", "2024-01-04")
    assert (
        day.before("2024-01-03", 90)
        == ("2024-01-01", "2024-01-02")
        == day.before("2024-01-03", timedelta(90))
    )
    assert day.before("2024-01-01", 5) == () == day.before("2024-01-01", timedelta(days=5))
    assert day.before("2024-01-05", 0) == () == day.before("2024-01-05", timedelta(0))
    assert len(day.before("2024-04-02", timedelta(days=3))) == 4, "three days of 24 hours reach into a fourth"
    assert day.before("2024-01-05", timedelta(days=36525)) == day.keys("2024-01-01", "2024-01-04")


def test_ranges_are_clipped_and_a_range_backwards_is_empty() -> None:
    day = Calendar(every="day", start="2024-01-01", end="2024-01-05")
    assert day.keys("2024-01-02", "2024-01-02") == ("2024-01-02",)
    assert day.keys("2024-01-04", "2024-01-02") == () == day.keys("2024-01-02", "2024-01-01")
    assert day.keys_between(DISTANT_PAST, DISTANT_FUTURE) == day.keys("2024-01-01", "2024-01-04")
    assert day.keys_between(at("2024-01-01T12:00"), at("2024-01-02T00:00:01")) == ("2024-01-01", "2024-01-02")
    assert day.complete_until(at("2024-01-03")) == ("2024-01-01", "2024-01-02")
    assert day.complete_until(at("2024-01-02T23:59")) == ("2024-01-01",)
    assert day.complete_until(at("1999-01-01")) == () and day.key_at(at("1999-01-01")) == "1999-01-01"
    bounds = day.bounds(["2024-01-04", "2024-01-02"])
    assert (bounds.start, bounds.end) == (at("2024-01-02"), at("2024-01-05"))


BAD_KEYS = [
    "../x",
    "",
    "2013-13-01",
    "2024-01-01\x00",
    "\x00",
    "2023-12-31",
    "2024-1-1",
    "20240101",
    " 2024-01-02",
]
BAD_KEYS += [
    "0001-01-01",
    "9999-12-31",
    "2200-01-01",
    "2024-01-02T00:00",
    "2024-W01-2",
    "٢٠٢٤-٠١-٠٢",
    "\ud800",
    "all",
]


@pytest.mark.parametrize("key", [*BAD_KEYS, "2024-02-01"])
def test_an_unknown_key_is_refused_with_what_keys_look_like(key: str) -> None:
    day = Calendar(every="day", start="2024-01-01", end="2024-02-01", timezone="Asia/Tokyo")
    with pytest.raises(NotFoundError) as caught:
        day.window(key)
    assert caught.value.what == f"unknown partition {key!r}"
    assert caught.value.fix == (
        "Keys of this pipeline look like '2024-01-01': one every day from 2024-01-01 and before 2024-02-01, in Asia/Tokyo."
    )


@pytest.mark.parametrize(
    "key",
    [
        *BAD_KEYS,
        "2024-03-10-02:00",
        "2024-03-09-02:30",
        "2024-06-01-00:00-0400",
        "2024-11-03-01:00+0000",
        "2024-03-09",
    ],
)
def test_an_unknown_hour_is_refused(key: str) -> None:
    hour = Calendar(every="hour", start="2024-01-01", timezone="America/New_York")
    with pytest.raises(
        NotFoundError, match="look like '2024-01-01-00:00': one every hour from 2024-01-01, in"
    ):
        hour.window(key)


@given(st.text(max_size=20))
def test_any_other_text_is_no_key(key: str) -> None:
    week = Calendar(every="week", start="2024-01-01")
    try:
        start = week.window(key).start
    except NotFoundError:
        return
    assert week.key(start) == key


def test_without_partitions_there_is_one_key() -> None:
    none = Calendar(every="none")
    assert none.window(WHOLE).start == DISTANT_PAST and none.key_at(at("2024-01-01")) == WHOLE
    assert (
        none.keys(WHOLE, WHOLE) == none.before(WHOLE, 5) == none.complete_until(at("2024-01-01")) == (WHOLE,)
    )
    with pytest.raises(NotFoundError, match="its only key is 'all'"):
        none.window("2024-01-01")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"every": "day"}, "'start' is missing"),
        (
            {"every": "day", "start": "01.02.2024"},
            "start '01.02.2024' is no date of a calendar by day; write '2024-01-31'",
        ),
        ({"every": "day", "start": "2024-01-01T06:00"}, "is no date of a calendar by day"),
        (
            {"every": "hour", "start": "2024-01-01T06:00+02:00"},
            "is no date of a calendar by hour; write '2024-01-31' or",
        ),
        ({"every": "hour", "start": "2024-01-01T06:00:30"}, "is no date of a calendar by hour"),
        ({"every": "day", "start": "2024-02-30"}, "start '2024-02-30' is no date"),
        ({"every": "day", "start": "0001-01-01"}, "years from 1901 to 2199 are possible"),
        (
            {"every": "day", "start": "2024-01-02", "end": "2024-01-01"},
            "there is no whole day; give a later 'end'",
        ),
        ({"every": "month", "start": "2024-01-02", "end": "2024-02-20"}, "there is no whole month"),
        ({"every": "none", "start": "2024-01-02"}, "a pipeline without partitions has no 'start'"),
        (
            {"every": "day", "start": "2024-01-01", "timezone": "utc"},
            "unknown time zone 'utc'. Did you mean 'UTC'?",
        ),
        ({"every": "day", "start": "2024-01-01", "timezone": ""}, "unknown time zone ''. Valid: IANA names"),
        (
            {"every": "hour", "start": "2024-01-01", "timezone": "Australia/Lord_Howe"},
            "change by half an hour",
        ),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(settings: dict[str, str], what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Calendar.model_validate(settings)
    assert what in str(caught.value)


def test_ten_years_of_hours_are_quick() -> None:
    hour = Calendar(every="hour", start="2014-01-01", timezone="America/New_York")
    started = time.process_time()
    for day in range(1, 21):
        assert len(hour.before(f"2024-02-{day:02}-00:00", timedelta(days=90))) == 2160
        assert len(hour.before(f"2024-02-{day:02}-00:00", 672)) == 672
        assert hour.window(f"2024-02-{day:02}-05:00").start.minute == 0
    assert time.process_time() - started < 2


def test_a_calendar_is_shared_by_threads_and_pickled() -> None:
    hour = Calendar(every="hour", start="2023-06-01", timezone="Europe/Berlin")
    expected = Calendar(every="hour", start="2023-06-01", timezone="Europe/Berlin").before(
        "2024-01-01-00:00", 3000
    )
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: hour.before("2024-01-01-00:00", 3000), range(16)))
    assert answers == {expected} and len(set(expected)) == 3000
    back = pickle.loads(pickle.dumps(hour))
    assert back == hour and hash(back) == hash(hour) and back.before("2024-01-01-00:00", 3000) == expected
