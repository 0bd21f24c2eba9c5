"""The calendar's keys are Dagster's keys."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from mlpipe.orchestration.partitions import partitions_of
from mlpipe.spec.calendar import Calendar

NOW = datetime(2024, 12, 31, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("every", "timezone"),
    [(e, z) for e in ("hour", "day", "week", "month") for z in ("UTC", "America/New_York", "Asia/Kathmandu")]
    + [(e, "Australia/Lord_Howe") for e in ("day", "week", "month")],
)
@pytest.mark.parametrize("start", ["2024-01-01", "2024-03-13"])
def test_keys_and_windows_are_those_of_dagster(every: str, timezone: str, start: str) -> None:
    if every == "hour":
        start = start.replace("01-01", "09-20")
    calendar = Calendar(every=every, start=start, timezone=timezone)
    made = partitions_of(calendar)
    assert isinstance(made, dg.TimeWindowPartitionsDefinition)
    with dg.DagsterInstance.ephemeral():
        keys = made.get_partition_keys(current_time=NOW)
    assert list(calendar.complete_until(NOW)) == list(keys) and len(keys) > 5
    for key in (keys[0], keys[len(keys) // 2], keys[-1]):
        theirs, ours = made.time_window_for_partition_key(key), calendar.window(key)
        assert (theirs.start.timestamp(), theirs.end.timestamp()) == (
            ours.start.timestamp(),
            ours.end.timestamp(),
        )


def test_an_end_ends_both() -> None:
    calendar = Calendar(every="day", start="2024-01-01", end="2024-01-04")
    made = partitions_of(calendar)
    assert made is not None
    assert list(made.get_partition_keys(current_time=NOW)) == list(calendar.complete_until(NOW))


def test_no_partitions_are_none() -> None:
    assert partitions_of(Calendar(every="none")) is None
