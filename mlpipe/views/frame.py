"""The ground of a replay's picture: its panels, its colours, the time that all panels share, and how lines and words are written."""

import math
from dataclasses import dataclass
from functools import cached_property

from mlpipe.views.drawing import DAY, HOUR, LARGEST, Scale, at, safe, seconds
from mlpipe.views.lived import Day, Replay

WIDTH, HEIGHT = 1200, 640
LEFT, RIGHT = 66.0, 1052.0
METRIC = (108.0, 322.0)
DRIFT = (368.0, 480.0)
ASKED, DECIDED, FAILED = 532.0, 552.0, 571.0
FOOT = 584.0
LIVE, FIXED, ALARM, INK, PALE, GRID = "#0072B2", "#B8500B", "#A0297A", "#222222", "#666666", "#DDDDDD"
BANDS = ("#EEF3F7", "#FAFBFC")
HALO = "#F6F9FB"
SMALL, NORMAL = 11.0, 12.0


@dataclass(frozen=True)
class Frame:
    """The time that all panels share, and what is drawn in it."""

    replay: Replay

    @cached_property
    def step(self) -> float:
        """Length of a partition in seconds: the median gap between their ends; a day when there is only one."""
        ends = sorted({seconds(d.moment) for d in self.replay.days})
        gaps = sorted(b - a for a, b in zip(ends, ends[1:], strict=False))
        return gaps[len(gaps) // 2] if gaps else DAY

    @cached_property
    def x(self) -> Scale:
        ends = [seconds(d.moment) for d in self.replay.days]
        others = [seconds(a.moment) for a in self.replay.attempts]
        others += [seconds(m.moment) for m in self.replay.moves]
        low = min([e - self.step for e in ends] + others, default=0.0)
        high = max(ends + others, default=DAY)
        return Scale(low, max(high, low + 1.0), LEFT, RIGHT)

    def mid(self, day: Day) -> float:
        """Where a partition stands: between its beginning and its end."""
        return self.x(seconds(day.moment) - self.step / 2)

    @property
    def unit(self) -> str:
        """Word for a partition of this length."""
        words = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30.4 * DAY}
        return next((w for w, length in words.items() if 0.9 < self.step / length < 1.1), "partition")

    @cached_property
    def days(self) -> list[Day]:
        return sorted(self.replay.days, key=lambda d: seconds(d.moment))


def write(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: float = NORMAL,
    fill: str = "",
    weight: str = "",
    halo: bool = False,
) -> str:
    """Words at a place: `anchor` is start, middle or end; with a halo they read well over lines."""
    more = "".join(
        f' {name}="{value}"'
        for name, value in (
            ("text-anchor", "" if anchor == "start" else anchor),
            ("font-size", "" if size == NORMAL else at(size)),
            ("fill", fill),
            ("font-weight", weight),
            ("paint-order", "stroke" if halo else ""),
            ("stroke", HALO if halo else ""),
            ("stroke-width", "3" if halo else ""),
        )
        if value
    )
    return f'<text x="{at(x)}" y="{at(y)}"{more}>{safe(text)}</text>'


def rule(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0, dash: str = "") -> str:
    """A straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{at(x1)}" y1="{at(y1)}" x2="{at(x2)}" y2="{at(y2)}" '
        f'stroke="{colour}" stroke-width="{at(width)}"{dashed}/>'
    )


def finite(value: float | None) -> float | None:
    """The value, where it can be drawn."""
    return value if value is not None and math.isfinite(value) and abs(value) < LARGEST else None
