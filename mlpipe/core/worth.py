"""Whether another training pays, and whether a month's budget allows it.

What a training will win cannot be known; what is on record can. The expected gain is a mean over the fall of the champion, as if a
training won all of it back, and over what each of the last trainings did win when it was judged, which is nothing for a refused
one. So the first fall is believed, and a pipeline whose trainings keep being refused asks for a greater fall each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

REMEMBERED = 5
"""So many trainings back tell what the next one may win: the world of long ago says little."""


@dataclass(frozen=True)
class Pays:
    """What a better model is worth, and what a training costs.

    Parameters
    ----------
    value
        Worth of one whole unit of the primary metric (of ROC AUC, from 0 to 1) for one prediction, > 0.
    training
        Cost of one training, in the same unit as `value`, >= 0.
    review
        The gain is counted until the next review: so long.
    """

    value: float
    training: float
    review: timedelta = timedelta(days=28)


@dataclass(frozen=True)
class Budget:
    """The most trainings, and the most minutes of training and judging, in a calendar month; None: no limit."""

    retrains: int | None = None
    minutes: float | None = None


def expected_gain(fall: float, won: Sequence[float]) -> float:
    """What a training is expected to win, in units of the metric.

    Parameters
    ----------
    fall
        How much worse the champion is now than at its evaluation; a negative fall counts as none.
    won
        What earlier trainings won, in order, 0 for a refused one; the last `REMEMBERED` count.

    Returns
    -------
    float
        ``(max(fall, 0) + sum(won)) / (1 + len(won))``.
    """
    recent = list(won)[-REMEMBERED:]
    return (max(fall, 0.0) + sum(recent)) / (1 + len(recent))


def told_worth(pays: Pays, fall: float, won: Sequence[float], per_day: float) -> tuple[str, float]:
    """The worth of a training until the next review, as a sentence and as a number: expected gain x predictions x value."""
    gain = expected_gain(fall, won)
    days = pays.review.total_seconds() / 86400
    count = per_day * days
    value = gain * count * pays.value
    text = (
        f"a training is expected to win {gain:.3g} of the metric (the champion fell by {fall:.3g}; {_won(won)}) on {count:,.0f} "
        f"predictions until the next review in {days:.3g} days: worth {value:.4g}, and it costs {pays.training:.4g}"
    )
    return text, value


def overspent(budget: Budget, month: str, spent: Sequence[float]) -> str:
    """Why a budget allows no further training in a month; empty when it does.

    Parameters
    ----------
    month
        Its name, for the sentence.
    spent
        Minutes of each training that was asked for in it.
    """
    if budget.retrains is not None and len(spent) >= budget.retrains:
        return f"budget: {len(spent)} of {budget.retrains} trainings of {month} were asked for"
    if budget.minutes is not None and sum(spent) >= budget.minutes:
        return f"budget: {sum(spent):.3g} of {budget.minutes:.3g} minutes of training of {month} are spent"
    return ""


def _won(won: Sequence[float]) -> str:
    recent = list(won)[-REMEMBERED:]
    if not recent:
        return "no training before tells more"
    return f"the last {len(recent)} trainings won {sum(recent) / len(recent):.3g} on average"
