"""Service levels of a pipeline: what is measured of a day, whether it is met, and how much of it may fail before something is done.

An indicator is a number with a limit; what lies exactly on the limit is told by its kind: "below" is missed there, "at_least" is met.
An error budget is the share of days that may miss an indicator over a window (B. Beyer et al., "Site Reliability Engineering", 2016,
chapter 3).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """

    name: str
    kind: Kind
    limit: float
    severity: Severity = "warning"
    response: Response = "warn"

    def judge(self, value: float | None) -> State:
        """Whether a value meets the limit; None and nan are "unknown", which is neither met nor missed."""
        if value is None or math.isnan(value):
            return "unknown"
        met = {
            "below": value < self.limit,
            "above": value > self.limit,
            "at_least": value >= self.limit,
            "at_most": value <= self.limit,
        }[self.kind]
        return "met" if met else "missed"

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
        Indicator("label_coverage", "above", 0.95),
        Indicator("class_ratio", "below", 20.0),
        Indicator("psi", "below", MAJOR, "warning", "retrain"),
        Indicator("score_js", "below", 0.1),
        Indicator("age_hours", "below", 24.0, "critical", "page"),
    )
}
"""Share of missing values, share of rows that keep the schema, share of outliers, share of ripe rows with a label, majority to
minority class, PSI of a watched column (its calibrated limit goes first), Jensen-Shannon distance of the score, and age of the newest
rows in hours. A floor of performance and of rows has no default: both are the user's to name. Nor has any default a response of
`ACTING`: on a day of a hundred rows a single one that breaks its schema misses its level, and it is left out of the scores already."""
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
        asked = Indicator(name, known.kind, limit, known.severity, known.response)
        found.append(Verdict(asked, value, asked.judge(value)))
    return tuple(found)


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
