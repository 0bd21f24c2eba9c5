"""Partitions: which stretch of time one partition key stands for.

Keys and bounds are those of Dagster's time-window partitions (a test compares them), computed here because this room knows no Dagster.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, model_validator

from mlpipe.errors import NotFoundError, did_you_mean
from mlpipe.spec.nodes import Node

WHOLE = "all"
"""The one key of a pipeline without partitions."""
DISTANT_PAST, DISTANT_FUTURE = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Every = Literal["hour", "day", "week", "month", "none"]


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(
            f"unknown time zone {value!r}. {did_you_mean(value, sorted(available_timezones())) if value else ''}"[
                :300
            ]
        )
    return value


Timezone = Annotated[str, AfterValidator(_zone)]


class Window(Node):
    """Half-open stretch of time ``[start, end)``, both aware, in UTC."""

    start: datetime
    end: datetime


class Calendar(Node):
    """Partitions of a pipeline: every hour, day, week (from Sunday), month, or none, in a time zone."""

    every: Every
    start: str | None = None
    end: str | None = None
    timezone: Timezone = "UTC"

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.every != "none" and self.start is None:
            raise ValueError("partitions need a 'start', the first date, such as '2024-01-01'")
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None:
                try:
                    datetime.fromisoformat(value)
                except ValueError:
                    raise ValueError(
                        f"{name} {value!r} is no ISO date; write '2024-01-31' or '2024-01-31T06:00'"
                    ) from None
        if self.start and self.end and datetime.fromisoformat(self.end) <= datetime.fromisoformat(self.start):
            raise ValueError(f"the end {self.end!r} is not after the start {self.start!r}")
        return self

    @cached_property
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
        """Start of the first partition."""
        assert self.start is not None
        instant = self._local(self.start)
        floor = self._floor(instant)
        return floor if floor == instant else self._next(floor)

    def _edges_until(self, instant: datetime) -> list[datetime]:
        """Partition bounds from the first one to the first bound after `instant`; grown once, kept."""
        edges: list[datetime] = self.__dict__.setdefault("_edges", [self.first])
        while edges[-1] <= instant:
            edges.append(self._next(edges[-1]))
        return edges

    # -- keys -------------------------------------------------------------------------------------------------

    def key(self, start: datetime) -> str:
        """Key of the partition that starts at an instant."""
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
        try:
            start = self._parse(key)
        except ValueError:
            start = None
        if (
            start is None
            or start < self.first
            or self._floor(start) != start
            or self.key(start) != key
            or (self.last_end and start >= self.last_end)
        ):
            until = f" and before {self.end}" if self.end else ""
            raise NotFoundError(
                f"unknown partition {key!r}",
                fix=f"Keys of this pipeline look like {self.key(self.first)!r}: one every {self.every} from {self.start}{until}, in {self.timezone}.",
            )
        return Window(start=start, end=self._next(start))

    def _parse(self, key: str) -> datetime:
        if self.every != "hour":
            return self._local(key)
        if len(key) > 16:
            return datetime.strptime(key, "%Y-%m-%d-%H:%M%z").astimezone(UTC)
        return datetime.strptime(key, "%Y-%m-%d-%H:%M").replace(tzinfo=self.zone).astimezone(UTC)

    @cached_property
    def last_end(self) -> datetime | None:
        """Instant at which the last partition ends, or None when the calendar is open."""
        return None if self.end is None else self._local(self.end)

    def key_at(self, instant: datetime) -> str:
        """Key of the partition that holds an instant, whether or not the calendar has begun."""
        return WHOLE if self.every == "none" else self.key(self._floor(instant))

    def keys(self, first: str, last: str) -> tuple[str, ...]:
        """All keys from `first` to `last`, both included, in order; empty when `last` is before `first`."""
        if self.every == "none":
            self.window(first), self.window(last)
            return (WHOLE,)
        return self.keys_between(self.window(first).start, self.window(last).end)

    def keys_between(self, start: datetime, end: datetime) -> tuple[str, ...]:
        """Keys of the partitions that overlap ``[start, end)``, clipped to the calendar."""
        if self.every == "none":
            return (WHOLE,)
        end = min(end, self.last_end) if self.last_end else end
        edges = self._edges_until(max(end, self.first))
        low = max(bisect_right(edges, start) - 1, 0)
        return tuple(self.key(e) for e in edges[low:] if e < end)

    def complete_until(self, instant: datetime) -> tuple[str, ...]:
        """Keys of all partitions that have ended at an instant."""
        keys = self.keys_between(self.first, instant) if self.every != "none" else (WHOLE,)
        return tuple(k for k in keys if self.every == "none" or self.window(k).end <= instant)

    def before(self, key: str, length: timedelta | int) -> tuple[str, ...]:
        """Keys of the window that ends where `key` starts: a length of time, or a number of partitions.

        Clipped to the calendar. Without partitions the window is the one partition itself.
        """
        if self.every == "none":
            return (WHOLE,)
        end = self.window(key).start
        if isinstance(length, timedelta):
            return self.keys_between(max(end - length, self.first), end) if end > self.first else ()
        edges = self._edges_until(end)
        position = bisect_right(edges, end) - 1
        return tuple(self.key(e) for e in edges[max(position - length, 0) : position])

    def bounds(self, keys: Sequence[str]) -> Window:
        """Stretch from the start of the earliest to the end of the latest of some keys."""
        windows = [self.window(k) for k in keys]
        return Window(start=min(w.start for w in windows), end=max(w.end for w in windows))


DEFAULT_WINDOW: dict[str, int] = {"hour": 24 * 28, "day": 90, "week": 52, "month": 24, "none": 1}
"""Training window in partitions when the specification names none."""
