"""Service levels of a pipeline: what is measured of a day, whether it is met, and how much of it may fail before something is done.

An indicator is a number with a limit; what lies exactly on the limit is told by its kind: "below" is missed there, "at_least" is met.
An error budget is the share of days that may miss an indicator over a window (B. Beyer et al., "Site Reliability Engineering", 2016,
chapter 3).

A default knows noise: what lies beyond it counts as missed only where chance would hardly give as much without any fault (`CHANCE`). On few
rows it often would, and what is seen then says nothing, neither good nor bad. A limit that the user names is taken at its word.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from mlpipe.core.distances import MAJOR
from mlpipe.errors import DataError, did_you_mean

Kind = Literal["below", "above", "at_least", "at_most"]
Severity = Literal["info", "warning", "critical"]
Response = Literal["log", "warn", "retrain", "fall back", "block scoring", "page"]
State = Literal["met", "missed", "unknown"]

RESPONSES: tuple[Response, ...] = ("log", "warn", "page", "retrain", "fall back", "block scoring")
"""From the one that changes least to the one that changes most."""
ACTING: tuple[Response, ...] = ("fall back", "block scoring")
"""Responses that change what is answered. No default asks for one: they are the user's to name."""
SERVED = ("missing_rate", "valid_rate", "outlier_rate", "rows")
"""Indicators that are known before a day is scored, and so may keep it from being scored."""
CHANCE = 0.01
"""What chance gives more often than this is no miss of a default."""
FEW_CLASSES = 10
"""With at least this many rows of the smallest class expected at its limit, the ratio of the classes is told as it is."""
SMALL: Mapping[int, float] = {2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.2, 7: 1.14, 8: 1.129, 9: 1.107}
"""By how much the median absolute deviation of so few normal numbers is too small."""
_WORDS: Mapping[Kind, str] = {"below": "<", "above": ">", "at_least": ">=", "at_most": "<="}


@dataclass(frozen=True)
class Indicator:
    """What is asked of one number.

    Attributes
    ----------
    name, kind, limit
        The number must be `kind` its `limit`, in the units that the name tells.
    severity, response
        What a miss means, and what is to be done.
    named
        Whether the limit is the user's own, and so holds on few rows too.
    """

    name: str
    kind: Kind
    limit: float
    severity: Severity = "warning"
    response: Response = "warn"
    named: bool = False

    def judge(self, value: float | None, chance: float = 0.0) -> State:
        """Whether a value meets the limit.

        Parameters
        ----------
        value
            None and nan are "unknown", which is neither met nor missed.
        chance
            Probability of as bad a value without a fault, in [0, 1]: a miss of a default that is likelier than `CHANCE` is unknown.
        """
        if value is None or math.isnan(value):
            return "unknown"
        met = {
            "below": value < self.limit,
            "above": value > self.limit,
            "at_least": value >= self.limit,
            "at_most": value <= self.limit,
        }[self.kind]
        return "met" if met else "unknown" if chance > CHANCE and not self.named else "missed"

    @property
    def asked(self) -> str:
        """The limit, as ``< 0.01``."""
        return f"{_WORDS[self.kind]} {self.limit:g}"

    def __str__(self) -> str:
        """As ``missing_rate < 0.01``."""
        return f"{self.name} {self.asked}"


DEFAULTS: Mapping[str, Indicator] = {
    i.name: i
    for i in (
        Indicator("missing_rate", "below", 0.01),
        Indicator("valid_rate", "above", 0.999),
        Indicator("outlier_rate", "below", 0.02),
        Indicator("volume", "at_least", 0.75),
        Indicator("label_coverage", "above", 0.95),
        Indicator("labels_overdue", "below", 0.05),
        Indicator("class_ratio", "below", 20.0),
        Indicator("psi", "below", MAJOR, "warning", "retrain"),
        Indicator("score_js", "below", 0.1),
        Indicator("skew_rate", "at_most", 0.01),
        Indicator("age_hours", "below", 24.0, "critical", "page"),
        Indicator("performance_fall", "below", 1.0),
    )
}
"""Share of missing values, share of rows that keep the schema, share of outliers, rows against those usual on such a day (the smaller over
the greater), share of ripe rows with a label, share of labels that are late, majority to minority class, PSI of a watched column (its
calibrated limit goes first), Jensen-Shannon distance of the score, share of rows that were served other features than training makes of
them, age of the newest rows in hours, and fall of the primary metric below the evaluation, in widths of its interval there. A floor of
performance and of rows has no default: both are the user's to name. Nor has any default a response of `ACTING`: a row that breaks its
schema is left out of the scores already."""
FLOORS: Mapping[str, Indicator] = {
    i.name: i
    for i in (
        Indicator("performance", "at_least", 0.0, "critical", "retrain"),
        Indicator("rows", "at_least", 0.0, "critical", "page"),
    )
}
"""The primary metric realised over the trailing window, and the rows that keep the schema: what is asked once a limit is named."""
HOURLY_AGE = 0.25
"""Limit of `age_hours` when partitions are hours: 15 minutes."""


@dataclass(frozen=True)
class Verdict:
    """One indicator on one day, and what is to be done: the response only where it was missed."""

    indicator: Indicator
    value: float | None
    state: State

    @property
    def response(self) -> Response | None:
        """What is to be done."""
        return self.indicator.response if self.state == "missed" else None


@dataclass(frozen=True)
class Budget:
    """What is left of an error budget over a window.

    Attributes
    ----------
    days, missed
        Known days, and those that missed.
    allowed
        Days that may miss, a fraction of a day included.
    spent
        Share of the budget that is used: 1 is all of it. inf when nothing was allowed and a day missed; 0 without known days.
    """

    days: int
    missed: int
    allowed: float
    spent: float

    @property
    def exhausted(self) -> bool:
        """Whether more days missed than are allowed: what is allowed may be used up to the last."""
        return self.missed > self.allowed + 1e-9


def judged(
    values: Mapping[str, float | None],
    indicators: Mapping[str, Indicator] = DEFAULTS,
    *,
    psi_limits: Mapping[str, float] | None = None,
    chances: Mapping[str, float] | None = None,
) -> tuple[Verdict, ...]:
    """Verdicts of one day, in the order of the values.

    Parameters
    ----------
    values
        By name of the indicator; of a column as ``psi:<column>``. None and nan are unknown.
    indicators
        By name.
    psi_limits
        Calibrated limits by column; where there is none, the limit of ``psi`` holds.
    chances
        By name as the values: how likely as bad a value is without a fault, in [0, 1]; 0 where it is not given.

    Raises
    ------
    DataError
        A value of which no indicator is known.
    """
    found = []
    for name, value in values.items():
        base, _, column = name.partition(":")
        known = indicators.get(name) or indicators.get(base)
        if known is None:
            raise DataError(
                f"There is no indicator for '{name}'.", fix=did_you_mean(name, sorted(indicators))
            )
        limit = (psi_limits or {}).get(column, known.limit) if base == "psi" else known.limit
        asked = replace(known, name=name, limit=limit)
        found.append(Verdict(asked, value, asked.judge(value, (chances or {}).get(name, 0.0))))
    return tuple(found)


def share_by_chance(bad: float, rows: float, limit: float) -> float:
    """Chance of as great a share of bad rows as was seen, if the true share lies on the limit; 0 where it is no question of chance.

    Parameters
    ----------
    bad
        Share of the rows that are bad, in [0, 1].
    rows
        Rows, >= 0.
    limit
        Share that may be bad, in (0, 1).

    Returns
    -------
    float
        With so many rows that the limit allows at least one bad one, a share is what it is: 0. With fewer, the binomial probability of
        `bad` x `rows` or more, and 1 for a single row, which alone would miss the limit whatever it says.
    """
    if rows * limit >= 1.0 - 1e-9:
        return 0.0
    count = bad * rows
    return 1.0 if count < 2.0 - 1e-9 else _at_least(count, rows, limit)


def ratio_by_chance(counts: Sequence[int], limit: float) -> float:
    """Chance of so few rows of the smallest class beside the greatest, if the true one lies on the limit; 0 where enough are expected."""
    if len(counts) < 2 or not any(counts):
        return 0.0
    least, rows = min(counts), min(counts) + max(counts)
    share = 1.0 / (1.0 + limit)
    return 0.0 if rows * share >= FEW_CLASSES else 1.0 - _at_least(least + 1.0, rows, share)


@dataclass(frozen=True)
class Usual:
    """What a count usually is: the median of some earlier ones, their spread as a standard deviation, and how many they were."""

    median: float
    spread: float
    counted: int

    def chance(self, count: float) -> float:
        """Chance of a count as far from the median, if counts are normal and the median is off as a mean of as many would be."""
        if self.spread <= 0.0:
            return 1.0
        off = abs(count - self.median) / (self.spread * math.sqrt(1.0 + 1.0 / self.counted))
        return math.erfc(off / math.sqrt(2.0))


def usual(counts: Sequence[float]) -> Usual:
    """What counts usually are, whatever a few of them were.

    Parameters
    ----------
    counts
        At least one, each >= 0.

    Returns
    -------
    Usual
        The spread is 1.4826 times the median absolute deviation, which for normal counts is their standard deviation (F. Hampel, "The
        influence curve and its role in robust estimation", J. American Statistical Association 69, 1974), times `SMALL` for few counts
        (C. Croux, P. Rousseeuw, "Time-efficient algorithms for two highly robust estimators of scale", COMPSTAT 1992), and at least
        that of a Poisson count, the root of the median.

    Raises
    ------
    DataError
        No counts.
    """
    if not counts:
        raise DataError("What is usual cannot be told from no counts.")
    middle = median(counts)
    number = len(counts)
    small = SMALL.get(number, number / (number - 0.8) if number > 1 else 1.0)
    spread = 1.4826 * small * median(abs(c - middle) for c in counts)
    return Usual(middle, max(spread, math.sqrt(max(middle, 0.0))), number)


def _at_least(count: float, rows: float, share: float) -> float:
    """Binomial probability of a count or more, as the incomplete beta function has it; a count need not be whole."""
    if count > rows:
        return 0.0
    # scipy is slow to import, and whoever only reads a specification judges nothing.
    from scipy.special import betainc

    return float(betainc(count, rows - count + 1.0, share))


def budget(states: Sequence[State], target: float, window: int = 0) -> Budget:
    """Error budget of one indicator over a window of days.

    Parameters
    ----------
    states
        One a day. Unknown days count neither as met nor as missed.
    target
        Share of known days that must meet it, in [0, 1].
    window
        Days of the whole window: while fewer are known, as many may miss as of all of them. Else the first miss of a new pipeline would
        be one too many.

    Raises
    ------
    DataError
        A target out of range.
    """
    if not 0.0 <= target <= 1.0:
        raise DataError(f"The target of an error budget must be in [0, 1]. Got {target} instead.")
    missed = sum(state == "missed" for state in states)
    days = missed + sum(state == "met" for state in states)
    allowed = (1.0 - target) * max(days, window)
    spent = missed / allowed if allowed > 1e-9 else math.inf if missed else 0.0
    return Budget(days, missed, allowed, spent)


def class_ratio(counts: Sequence[int]) -> float:
    """Rows of the greatest class over those of the smallest; inf when one has none, nan with fewer than two classes or no row."""
    if len(counts) < 2 or not any(counts):
        return math.nan
    return max(counts) / min(counts) if min(counts) else math.inf
