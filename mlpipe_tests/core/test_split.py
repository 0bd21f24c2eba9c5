"""Split in time: by hand, by property."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.split import PARTS, assign, temporal
from mlpipe.errors import DataError

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
LENGTHS = st.timedeltas(timedelta(0), 40 * DAY)


def at(day: int) -> datetime:
    return datetime(2024, 1, day, tzinfo=UTC)


def test_by_hand() -> None:
    split = temporal(START, at(31), valid=5 * DAY, test=7 * DAY, embargo=2 * DAY)
    assert split.test == (at(24), at(31))
    assert split.valid == (at(17), at(22))
    assert split.train == (at(1), at(15))


def test_an_empty_part_costs_no_embargo() -> None:
    split = temporal(START, at(31), valid=0 * DAY, test=7 * DAY, embargo=2 * DAY)
    assert (split.train, split.valid, split.test) == ((at(1), at(22)), (at(22), at(22)), (at(24), at(31)))
    split = temporal(START, at(31), valid=0 * DAY, test=0 * DAY, embargo=2 * DAY)
    assert split.train == (at(1), at(31))


def test_ends_are_half_open_and_gaps_belong_to_none() -> None:
    split = temporal(START, at(31), valid=5 * DAY, test=7 * DAY, embargo=2 * DAY)
    tick = timedelta(microseconds=1)
    times = [
        at(1) - tick,
        at(1),
        at(15) - tick,
        at(15),
        at(17),
        at(22) - tick,
        at(22),
        at(24),
        at(31) - tick,
        at(31),
    ]
    assert assign(times, split).tolist() == [0, 1, 1, 0, 2, 2, 0, 3, 3, 0]
    series = pd.Series([*times, None]).dt.tz_convert("Asia/Tokyo")
    assert assign(series, split).tolist() == [0, 1, 1, 0, 2, 2, 0, 3, 3, 0, 0]
    naive = np.array([t.replace(tzinfo=None) for t in times], dtype="datetime64[us]")
    assert assign(naive, split).tolist() == [0, 1, 1, 0, 2, 2, 0, 3, 3, 0]
    assert assign([], split).dtype == np.int8 and len(assign([], split)) == 0


@given(window=st.timedeltas(timedelta(hours=1), 90 * DAY), valid=LENGTHS, test=LENGTHS, embargo=LENGTHS)
def test_parts_are_ordered_apart_and_as_long_as_asked(
    window: timedelta, valid: timedelta, test: timedelta, embargo: timedelta
) -> None:
    end = START + window
    if valid + test + embargo * (bool(valid) + bool(test)) >= window:
        with pytest.raises(DataError, match="leaves nothing to train on"):
            temporal(START, end, valid=valid, test=test, embargo=embargo)
        return
    split = temporal(START, end, valid=valid, test=test, embargo=embargo)
    assert split.train[0] == START < split.train[1]
    assert split.test[1] == end
    assert (split.valid[1] - split.valid[0], split.test[1] - split.test[0]) == (valid, test)
    assert split.valid[0] - split.train[1] == (embargo if valid else timedelta(0))
    assert split.test[0] - split.valid[1] == (embargo if test else timedelta(0))


@given(
    seconds=st.lists(st.integers(-86_400, 40 * 86_400), min_size=1, max_size=50),
    embargo=st.timedeltas(timedelta(0), 5 * DAY),
)
def test_no_row_in_two_parts_and_order_is_kept(seconds: list[int], embargo: timedelta) -> None:
    times = [START + timedelta(seconds=s) for s in sorted(seconds)]
    codes = assign(times, temporal(START, START + 30 * DAY, valid=4 * DAY, test=4 * DAY, embargo=embargo))
    found = codes[codes > 0]
    assert np.all(np.diff(found) >= 0)
    for earlier, later in ((1, 2), (2, 3), (1, 3)):
        last = [t for t, c in zip(times, codes, strict=True) if c == earlier][-1:]
        first = [t for t, c in zip(times, codes, strict=True) if c == later][:1]
        if last and first:
            assert first[0] - last[0] > embargo


def test_lengths_are_absolute_across_a_change_of_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    split = temporal(
        datetime(2024, 3, 20, tzinfo=berlin),
        datetime(2024, 4, 2, tzinfo=berlin),
        valid=DAY,
        test=DAY,
        embargo=DAY,
    )
    assert split.test[0] - split.valid[1] == DAY and split.train[0].tzinfo == UTC
    assert split.train[0] == datetime(2024, 3, 19, 23, tzinfo=UTC)


def test_wrong_questions() -> None:
    with pytest.raises(DataError, match=r"Lengthen the window"):
        temporal(START, at(3), valid=DAY, test=DAY, embargo=0 * DAY)
    with pytest.raises(DataError, match="window of 0:00:00"):
        temporal(at(3), at(2), valid=0 * DAY, test=0 * DAY, embargo=0 * DAY)
    with pytest.raises(DataError, match="no time zone"):
        temporal(datetime(2024, 1, 1), at(3), valid=DAY, test=DAY, embargo=DAY)
    with pytest.raises(DataError, match="negative"):
        temporal(START, at(30), valid=DAY, test=DAY, embargo=-DAY)


def test_codes_are_fixed() -> None:
    assert dict(PARTS) == {"": 0, "train": 1, "valid": 2, "test": 3}
