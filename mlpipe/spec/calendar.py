"""Partitions: which stretch of time one partition key stands for.

Keys and bounds are those of Dagster's time-window partitions (a test compares them), computed here because this room knows no Dagster.
Nothing is remembered between calls, so a calendar may be shared by threads; each call costs what its answer is long.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, model_validator

from mlpipe.errors import NotFoundError
from mlpipe.spec.nodes import Node, Wrong, choices

WHOLE = "all"
"""The one key of a pipeline without partitions."""
DISTANT_PAST, DISTANT_FUTURE = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Every = Literal["hour", "day", "week", "month", "none"]
_DAY, _MINUTE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII), re.compile(r"[T ]\d\d:\d\d(:00)?", re.ASCII)
_HOUR_KEY = re.compile(r"\d{4}-\d\d-\d\d-\d\d:\d\d([+-]\d{4})?", re.ASCII)


@cache
def _zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def _zone(value: str) -> str:
    if value not in _zones():
        same = [z for z in _zones() if z.lower() == value.lower()]
        hint = f"Did you mean '{same[0]}'?" if same else choices(value, _zones())
        raise ValueError(f"unknown time zone {value!r}. {hint or 'Valid: IANA names such as Europe/Berlin.'}")
    return value


def _date_text(value: object) -> object:
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value


Timezone = Annotated[str, AfterValidator(_zone)]
DateText = Annotated[str, BeforeValidator(_date_text)]


class Window(Node):
    """Half-open stretch of time ``[start, end)``, both aware, in UTC."""

    start: datetime
    end: datetime


class Calendar(Node):
    """Partitions of a pipeline: every hour, day, week (from Sunday), month, or none, in a time zone.

    The first partition is the first that starts at or after `start`; the last is the last that has ended by `end`.
    """

    every: Every
    start: DateText | None = None
    end: DateText | None = None
    timezone: Timezone = "UTC"

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.every == "none":
            given = [name for name in ("start", "end") if getattr(self, name) is not None]
            if given:
                raise Wrong(*(((n,), f"a pipeline without partitions has no {n!r}") for n in given))
            return self
        if self.start is None:
            raise Wrong((("start",), "'start' is missing: the first date, such as '2024-01-01'"))
        found = [((n,), text) for n in ("start", "end") if (text := self._no_bound(n, getattr(self, n)))]
        if found:
            raise Wrong(*found)
        if self.last_end is not None and self.last_end <= self.first:
            text = f"from {self.start!r} to {self.end!r} there is no whole {self.every}; give a later 'end'"
            raise Wrong((("end",), text))
        if self.every == "hour" and self._shifts_by_minutes():
            text = f"in {self.timezone} clocks change by half an hour, so hours have no fixed start; use UTC"
            raise Wrong((("timezone",), text))
        return self

    def _no_bound(self, name: str, value: str | None) -> str:
        """What is wrong with a bound; empty when it is right."""
        if value is None:
            return ""
        day = _DAY.match(value)
        rest = value[day.end() :] if day else ""
        plain = day is not None and (not rest or (self.every == "hour" and _MINUTE.fullmatch(rest)))
        example = "'2024-01-31' or '2024-01-31T06:00'" if self.every == "hour" else "'2024-01-31'"
        try:
            if plain and 1900 < datetime.fromisoformat(value).year < 2200:
                return ""
        except ValueError:
            plain = False
        if plain:
            return f"{name} {value!r} is out of range; years from 1901 to 2199 are possible"
        return f"{name} {value!r} is no date of a calendar by {self.every}; write {example}"

    def _shifts_by_minutes(self) -> bool:
        year = self.first.year
        offsets = {datetime(year, month, 1, tzinfo=self.zone).utcoffset() for month in (1, 7)}
        return len({None if o is None else o % timedelta(hours=1) for o in offsets}) > 1

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    # -- instants ---------------------------------------------------------------------------------------------

    def _local(self, text: str) -> datetime:
        """Instant of local text, in UTC."""
        return datetime.fromisoformat(text).replace(tzinfo=self.zone).astimezone(UTC)

    def _floor(self, instant: datetime) -> datetime:
        """Start of the unit that holds the instant."""
        local = instant.astimezone(self.zone)
        if self.every == "hour":
            return instant.astimezone(UTC) - timedelta(
                minutes=local.minute, seconds=local.second, microseconds=local.microsecond
            )
        day = local.date()
        if self.every == "week":
            day -= timedelta(days=(day.weekday() + 1) % 7)
        elif self.every == "month":
            day = day.replace(day=1)
        return self._midnight(day)

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def _next(self, start: datetime) -> datetime:
        if self.every == "hour":
            return start + timedelta(hours=1)
        day = start.astimezone(self.zone).date()
        if self.every == "month":
            return self._midnight((day.replace(day=28) + timedelta(days=4)).replace(day=1))
        return self._midnight(day + timedelta(days=7 if self.every == "week" else 1))

    @cached_property
    def first(self) -> datetime:
        """Start of the first partition; without partitions `DISTANT_PAST`."""
        if self.every == "none" or self.start is None:
            return DISTANT_PAST
        instant = self._local(self.start)
        floor = self._floor(instant)
        return floor if floor == instant else self._next(floor)

    @cached_property
    def last_end(self) -> datetime | None:
        """Instant at which the last partition ends, or None when the calendar is open."""
        return None if self.end is None or self.every == "none" else self._floor(self._local(self.end))

    def _starts(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Starts of the partitions that overlap ``[start, end)``, clipped to the calendar."""
        here = max(self.first, self._floor(max(start, DISTANT_PAST)))
        end = min(end, self.last_end or DISTANT_FUTURE)
        while here < end:
            yield here
            here = self._next(here)

    # -- keys -------------------------------------------------------------------------------------------------

    def key(self, start: datetime) -> str:
        """Key of the partition that starts at an instant."""
        if self.every == "none":
            return WHOLE
        local = start.astimezone(self.zone)
        if self.every != "hour":
            return local.strftime("%Y-%m-%d")
        return local.strftime("%Y-%m-%d-%H:%M") + (local.strftime("%z") if local.fold else "")

    def window(self, key: str) -> Window:
        """Stretch of time that a key stands for.

        Raises
        ------
        NotFoundError
            When no partition of this calendar has that key.
        """
        if self.every == "none":
            if key != WHOLE:
                raise NotFoundError(
                    f"unknown partition {key!r}",
                    fix=f"This pipeline has no partitions; its only key is '{WHOLE}'.",
                )
            return Window(start=DISTANT_PAST, end=DISTANT_FUTURE)
        start = self._parse(key)
        if start is None or not self.has(key):
            until = f" and before {self.end}" if self.end else ""
            raise NotFoundError(
                f"unknown partition {key!r}",
                fix=f"Keys of this pipeline look like {self.key(self.first)!r}: "
                f"one every {self.every} from {self.start}{until}, in {self.timezone}.",
            )
        return Window(start=start, end=self._next(start))

    def has(self, key: str) -> bool:
        """Whether a text is the key of a partition of this calendar."""
        if self.every == "none":
            return key == WHOLE
        start = self._parse(key)
        return start is not None and self.first <= start < (self.last_end or DISTANT_FUTURE)

    def _parse(self, key: str) -> datetime | None:
        """Start of the unit with exactly this key; None when there is none."""
        hourly = self.every == "hour"
        if not (_HOUR_KEY if hourly else _DAY).fullmatch(key):
            return None
        try:
            text = f"{key[:10]}T{key[11:]}" if hourly else key
            local = datetime.fromisoformat(text)
            start = (local if local.tzinfo else local.replace(tzinfo=self.zone)).astimezone(UTC)
            return start if self._floor(start) == start and self.key(start) == key else None
        except (ValueError, OverflowError):
            return None

    def key_at(self, instant: datetime) -> str:
        """Key of the partition that holds an aware instant, whether or not the calendar has begun."""
        return WHOLE if self.every == "none" else self.key(self._floor(instant))

    def keys(self, first: str, last: str) -> tuple[str, ...]:
        """All keys from `first` to `last`, both included, in order; empty when `last` is before `first`."""
        return self.keys_between(self.window(first).start, self.window(last).end)

    def keys_between(self, start: datetime, end: datetime) -> tuple[str, ...]:
        """Keys of the partitions that overlap ``[start, end)``, clipped to the calendar; empty when `end` is not after `start`."""
        if self.every == "none":
            return (WHOLE,)
        return tuple(map(self.key, self._starts(start, end))) if start < end else ()

    def complete_until(self, instant: datetime) -> tuple[str, ...]:
        """Keys of all partitions that have ended at an instant."""
        return (WHOLE,) if self.every == "none" else self.keys_between(self.first, self._floor(instant))

    def before(self, key: str, length: timedelta | int) -> tuple[str, ...]:
        """Keys of the window that ends where `key` starts: a length of time, or a number of partitions.

        Clipped to the calendar. Without partitions the window is the one partition itself.
        """
        end = self.window(key).start
        if self.every == "none":
            return (WHOLE,)
        if isinstance(length, timedelta):
            return self.keys_between(end - min(length, end - DISTANT_PAST), end)
        found: list[str] = []
        while len(found) < length and end > self.first:
            end = self._floor(end - timedelta(microseconds=1))
            found.append(self.key(end))
        return tuple(reversed(found))

    def bounds(self, keys: Sequence[str]) -> Window:
        """Stretch from the start of the earliest to the end of the latest of some keys, at least one."""
        windows = [self.window(k) for k in keys]
        return Window(start=min(w.start for w in windows), end=max(w.end for w in windows))


DEFAULT_WINDOW: dict[str, int] = {"hour": 24 * 28, "day": 90, "week": 52, "month": 24, "none": 1}
"""Training window in partitions when the specification names none."""
UNITS: dict[str, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
    "none": timedelta(0),
}
"""Longest that a partition lasts, give or take a change of clocks."""
