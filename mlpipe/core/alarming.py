"""When drift is worth an alarm: many columns, many days, and few false alarms.

A column is over on a day when its effect reaches its limit and its test, adjusted for the number of columns looked at [1]_, is
significant. It takes `k` of the last `n` days to open an alarm, and as many days well below the limit to close it, so that a single odd
day opens none and a measure that trembles around its limit makes one alarm, not ten. Limits are learned from days that are known to have
been quiet, and what the whole rule would have raised over recorded history is counted.

References
----------
.. [1] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57(1), 1995.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mlpipe.core.drift import MAJOR
from mlpipe.errors import DataError

QUARTER = 91
"""Days of a quarter."""


@dataclass(frozen=True)
class Reading:
    """A column on one day: `effect` >= 0, such as its PSI, and the p-value of its test; nan where unknown.

    Without a test the effect alone decides.
    """

    effect: float
    p: float = math.nan


@dataclass(frozen=True)
class Rule:
    """What makes an alarm.

    Parameters
    ----------
    rate
        Share of false discoveries among columns of one day that is put up with, in (0, 1]; 1 asks for no test.
    k, n
        So many of the last n known days must be over, 1 <= k <= n.
    close
        In (0, 1]: a day counts as calm when its effect is below this share of the limit; k of n calm days close an alarm.
    """

    rate: float = 0.05
    k: int = 2
    n: int = 3
    close: float = 0.8

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n or not 0 < self.rate <= 1 or not 0 < self.close <= 1:
            raise DataError(
                f"A rule with {self.k} of {self.n} days, rate {self.rate} and close {self.close} cannot be kept.",
                fix="Give 1 <= k <= n, and a rate and a close in (0, 1].",
            )


@dataclass(frozen=True)
class Standing:
    """Where alarms stand after a day: all that the next one needs to know of the days before it.

    Attributes
    ----------
    up
        Columns whose alarm is open.
    marks
        Marks of the last days, at most `Rule.n`, the newest last: ``x`` over, ``-`` calm, ``o`` between. A column is left out while its
        alarm is closed and no mark is ``x``: such marks decide nothing.
    """

    up: frozenset[str] = frozenset()
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alarm:
    """An alarm of a column: number of the day on which it opened, and of the one on which it closed; None while it is open."""

    column: str
    opened: int
    closed: int | None


@dataclass(frozen=True)
class FalseAlarms:
    """Alarms over quiet days: how many opened, on how many days, and per quarter, with its interval at 95%; nan without a quiet day."""

    alarms: int
    days: float
    per_quarter: float
    low: float
    high: float


def adjusted(p: Mapping[str, float]) -> dict[str, float]:
    """p-values of columns, adjusted so that those up to a rate hold on average no more false discoveries than that.

    By Benjamini and Hochberg: it holds for columns that are independent, and for those that move together. Columns whose p is nan are no
    tests, and left out.
    """
    tested = {name: value for name, value in p.items() if not math.isnan(value)}
    if not tested:
        return {}
    # scipy.stats takes a second to import.
    from scipy.stats import false_discovery_control

    return dict(zip(tested, false_discovery_control(list(tested.values())).tolist(), strict=True))


def over(day: Mapping[str, Reading], limits: Mapping[str, float], rate: float) -> tuple[str, ...]:
    """Columns that are over on one day, in order: effect at or above the limit (0.25 where there is none), and significant if tested."""
    q = adjusted({name: reading.p for name, reading in day.items()}) if rate < 1 else {}
    return tuple(
        name
        for name, reading in day.items()
        if reading.effect >= limits.get(name, MAJOR) and q.get(name, 0.0) <= rate
    )


def after(
    standing: Standing, day: Mapping[str, Reading], limits: Mapping[str, float], rule: Rule
) -> Standing:
    """Where alarms stand after one more day. A column that is missing, or whose effect is nan, stays as it was."""
    high = set(over(day, limits, rule.rate))
    up, kept = set(standing.up), dict(standing.marks)
    for name, reading in day.items():
        if math.isnan(reading.effect):
            continue
        calm = reading.effect < rule.close * limits.get(name, MAJOR)
        marks = (kept.pop(name, "") + ("x" if name in high else "-" if calm else "o"))[-rule.n :]
        if marks.count("-" if name in up else "x") >= rule.k:
            # What has decided once decides nothing more.
            up ^= {name}
            marks = ""
        if marks and (name in up or "x" in marks):
            kept[name] = marks
    return Standing(frozenset(up), kept)


def alarms(
    days: Sequence[Mapping[str, Reading]], limits: Mapping[str, float], rule: Rule | None = None
) -> tuple[Alarm, ...]:
    """Alarms of all columns over days in order, by day of opening, then by column.

    Parameters
    ----------
    days
        What was read on each day. A day on which a column is missing, or its effect is nan, does not count for it either way.
    limits
        By column, > 0; 0.25 where there is none.
    """
    rule = rule or Rule()
    standing, up = Standing(), []
    for day in days:
        standing = after(standing, day, limits, rule)
        up.append(standing.up)
    return recorded(up)


def episodes(raised: Sequence[Alarm]) -> tuple[tuple[int, int | None], ...]:
    """Stretches of days in which any alarm was open: opening and closing day, None while open. One that opens as another closes goes on."""
    found: list[tuple[int, int | None]] = []
    for alarm in sorted(raised, key=lambda a: a.opened):
        last = found[-1] if found else None
        if last is None or (last[1] is not None and alarm.opened > last[1]):
            found.append((alarm.opened, alarm.closed))
        else:
            ends = (last[1], alarm.closed)
            found[-1] = (last[0], None if ends[0] is None or ends[1] is None else max(ends[0], ends[1]))
    return tuple(found)


def frequency(count: int, days: float) -> FalseAlarms:
    """How often so many alarms in so many days are, with the exact interval of a Poisson count at 95%.

    (F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28, 1936.)
    """
    if not days:
        return FalseAlarms(0, 0, math.nan, math.nan, math.nan)
    from scipy.special import gammaincinv

    low = float(gammaincinv(count, 0.025)) if count else 0.0
    high = float(gammaincinv(count + 1, 0.975))
    scale = QUARTER / days
    return FalseAlarms(count, days, count * scale, low * scale, high * scale)


def recorded(days: Sequence[Collection[str]]) -> tuple[Alarm, ...]:
    """Alarms from the columns whose alarm was up on each day, in order, as they were recorded."""
    opened: dict[str, int] = {}
    found: list[Alarm] = []
    for number, up in enumerate(days):
        found += [Alarm(n, opened.pop(n), number) for n in list(opened) if n not in up]
        opened |= {n: number for n in up if n not in opened}
    found += [Alarm(n, number, None) for n, number in opened.items()]
    return tuple(sorted(found, key=lambda alarm: (alarm.opened, alarm.column)))
