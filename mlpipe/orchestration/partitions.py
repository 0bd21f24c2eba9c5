"""The specification's calendar as Dagster's partitions."""

from datetime import datetime

import dagster as dg

from mlpipe.spec.calendar import Calendar

_FORMATS = {"hour": "%Y-%m-%d-%H:%M"}


def partitions_of(calendar: Calendar) -> dg.PartitionsDefinition | None:
    """Partitions definition with the same keys and bounds; None without partitions."""
    if calendar.every == "none" or calendar.start is None:
        return None
    kinds = {
        "hour": dg.HourlyPartitionsDefinition,
        "day": dg.DailyPartitionsDefinition,
        "week": dg.WeeklyPartitionsDefinition,
        "month": dg.MonthlyPartitionsDefinition,
    }
    text = _FORMATS.get(calendar.every, "%Y-%m-%d")
    start = datetime.fromisoformat(calendar.start).strftime(text)
    end = None if calendar.end is None else datetime.fromisoformat(calendar.end).strftime(text)
    made: dg.PartitionsDefinition = kinds[calendar.every](
        start_date=start, end_date=end, timezone=calendar.timezone
    )
    return made
