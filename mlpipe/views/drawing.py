"""What a picture in SVG is made of: text that is safe and fits, scales, ticks, and labels that do not overlap."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape

from mlpipe.views.table import printable

LARGEST = 1e100
"""Values beyond this are left out: their differences would not be finite."""
HOUR, DAY = 3600.0, 86400.0
EM_WIDE, EM = 1.0, 0.56
"""Width of a character in ems, on the safe side: of East Asian and other wide ones, and of the rest in a sans-serif face."""


def safe(text: str) -> str:
    """Text for SVG: without control characters, escaped for elements and attributes."""
    return escape(printable(text), quote=True)


def wide(text: str, size: float) -> float:
    """Estimated width of a text in pixels."""
    ems = sum(EM_WIDE if unicodedata.east_asian_width(c) in "WF" or ord(c) > 0x2FFF else EM for c in text)
    return ems * size


def fitted(text: str, size: float, room: float) -> str:
    """The text, cut with an ellipsis where it would be wider than `room` pixels."""
    text = printable(text)
    if wide(text, size) <= room:
        return text
    while text and wide(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def at(value: float) -> str:
    """A coordinate, with a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Scale:
    """A linear map from values to pixels; values outside are drawn at the border."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)


def span(values: Sequence[float], pad: float = 0.06) -> tuple[float, float]:
    """Bounds of an axis that holds the values, somewhat wider; for equal values, and none, wide enough to be an axis."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = high - low
    least = max(abs(low), abs(high)) * 1e-3
    if room <= least:
        room = max(least * 20, 0.1)
    return low - pad * room, high + pad * room


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values between two bounds: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)][: most + 2]


def tick_text(value: float, step: float) -> str:
    """A tick with as many decimals as its step has."""
    if abs(value) >= 1e7 or step < 1e-6:
        return f"{value:.3g}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}"


def seconds(moment: datetime) -> float:
    """A moment as seconds since 1970; one without a zone is taken as UTC, so that no machine's zone matters."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True)
class Tick:
    """A tick of a time axis: where it stands, its text, and a second line where a year or a day begins."""

    when: float
    text: str
    below: str = ""


_STEPS: tuple[tuple[float, str], ...] = (
    *((h * HOUR, "hour") for h in (1, 3, 6, 12)),
    *((d * DAY, "day") for d in (1, 2, 7)),
    *((m * 30.44 * DAY, "month") for m in (1, 3, 6, 12, 60, 120, 600)),
)


def time_ticks(low: float, high: float, most: int = 14) -> list[Tick]:
    """Ticks by hours, days or months, whichever gives at most about `most`. UTC."""
    length, unit = next((s for s in _STEPS if (high - low) / s[0] <= most), _STEPS[-1])
    if unit == "month":
        return list(_months(low, high, max(1, round(length / (30.44 * DAY)))))
    made: list[Tick] = []
    # 1 January 1970 was a Thursday: weeks are counted from a Monday.
    start = 4 * DAY if length >= 7 * DAY else 0.0
    when = start + math.ceil((low - start) / length) * length
    while when <= high:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=when)
        text = f"{moment:%H:%M}" if unit == "hour" else f"{moment.day} {moment:%b}"
        group = f"{moment.day} {moment:%b %Y}" if unit == "hour" else f"{moment:%Y}"
        made.append(Tick(when, text, group))
        when += length
    return _told_once(made)


def _months(low: float, high: float, step: int) -> list[Tick]:
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=low)
    index = (start.year * 12 + start.month - 1) // step * step
    made: list[Tick] = []
    while index // 12 <= 9999:
        moment = datetime(max(index // 12, 1), index % 12 + 1, 1, tzinfo=UTC)
        when = moment.timestamp()
        if when > high:
            break
        if when >= low:
            made.append(
                Tick(
                    when, f"{moment:%b}" if step < 12 else f"{moment:%Y}", f"{moment:%Y}" if step < 12 else ""
                )
            )
        index += step
    return _told_once(made)


def _told_once(made: Sequence[Tick]) -> list[Tick]:
    """The second line only where it changes."""
    return [t if i == 0 or made[i - 1].below != t.below else Tick(t.when, t.text) for i, t in enumerate(made)]


@dataclass
class Labels:
    """Places that are taken. A label that would overlap one is left out."""

    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def take(self, x: float, y: float, width: float, height: float) -> bool:
        """Reserve a box by its left upper corner; False when something is there already."""
        gap = 2.0
        if any(
            x < right + gap and left < x + width + gap and y < bottom and top < y + height
            for left, top, right, bottom in self.taken
        ):
            return False
        self.taken.append((x, y, x + width, y + height))
        return True


def apart(places: Sequence[float], least: float, top: float, bottom: float) -> list[float]:
    """Heights moved as little as needed so that they are `least` apart and between `top` and `bottom`, in the same order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for n, i in enumerate(order):
        floor = top if n == 0 else moved[order[n - 1]] + least
        moved[i] = max(moved[i], floor)
    for n, i in reversed(list(enumerate(order))):
        ceiling = bottom if n == len(order) - 1 else moved[order[n + 1]] - least
        moved[i] = min(moved[i], ceiling)
    return moved
