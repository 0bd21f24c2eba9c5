"""A past that was lived through, as frozen values, and how its days compare."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

OUTCOMES = ("promoted", "refused", "no_model", "failed")


@dataclass(frozen=True)
class Day:
    """One partition that was lived through.

    Parameters
    ----------
    key, moment
        The partition, and its end.
    version
        The champion that scored it; None without one.
    live, fixed
        The metric of that day: of the live champion, and of the first champion, never retrained. None without labels, without a
        champion, or where only one class occurs.
    rows
        Rows that were scored.
    worst, psi, threshold
        The worst watched column of that day's drift window, by PSI over its threshold.
    score_psi
        PSI of the scores in that window.
    note
        What went wrong, such as ``failed: validation``; empty when nothing did.
    """

    key: str
    moment: datetime
    version: int | None
    live: float | None
    fixed: float | None
    rows: int
    worst: str | None
    psi: float | None
    threshold: float | None
    score_psi: float | None
    note: str = ""


@dataclass(frozen=True)
class Attempt:
    """One retraining that was asked for.

    Parameters
    ----------
    key, moment
        Partition of the training, and when it was asked for.
    name
        Such as ``drift:1:2013-04-14:1``.
    cause, reason
        schedule, drift, performance, data or manual; and why, in words and numbers.
    outcome
        One of `OUTCOMES`.
    version
        Number under which it was registered; None when it was not.
    why
        The decision in words and numbers.
    metric, rival
        Of the challenger and the champion, on rows common to both.
    injected
        Name of a fault that was put in on purpose, such as ``shuffled-labels``.
    """

    key: str
    moment: datetime
    name: str
    cause: str
    reason: str
    outcome: str
    version: int | None
    why: str
    metric: float | None
    rival: float | None
    injected: str = ""


@dataclass(frozen=True)
class Move:
    """A promotion or rollback that came from no attempt."""

    moment: datetime
    kind: str
    version: int
    reason: str


@dataclass(frozen=True)
class Replay:
    """A past that was lived through.

    Parameters
    ----------
    first, last
        Partitions, both included.
    ledger, policy
        Name of the chain of decisions; the policy in one line of words.
    metric, better
        The primary metric, and ``higher`` or ``lower``.
    live, fixed
        The metric pooled over all rows of the days that both scored.
    seconds
        Wall time. Two equal replays differ in nothing else.
    """

    pipeline: str
    first: str
    last: str
    ledger: str
    policy: str
    metric: str
    better: str
    days: tuple[Day, ...]
    attempts: tuple[Attempt, ...]
    moves: tuple[Move, ...] = ()
    live: float | None = None
    fixed: float | None = None
    seconds: float | None = None

    @property
    def sign(self) -> float:
        """1.0 when higher is better, else -1.0: a difference times this is positive when it is an improvement."""
        return -1.0 if self.better == "lower" else 1.0


@dataclass(frozen=True)
class Tally:
    """Days that both scored: how many, the plain means of their metrics, and on how many the live champion was better or worse."""

    name: str
    days: int
    live: float
    fixed: float
    better: int
    worse: int

    @property
    def equal(self) -> int:
        return self.days - self.better - self.worse


def known(value: float | None) -> bool:
    """Whether there is a number to show."""
    return value is not None and math.isfinite(value)


def tally(replay: Replay, name: str, days: Sequence[Day]) -> Tally | None:
    """Count days on which both the live and the first champion have a metric; None when there is none."""
    pairs = [(d.live, d.fixed) for d in days if known(d.live) and known(d.fixed)]
    scored = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not scored:
        return None
    gains = [replay.sign * (a - b) for a, b in scored]
    live, fixed = (math.fsum(v / len(scored) for v in side) for side in zip(*scored, strict=True))
    return Tally(name, len(scored), live, fixed, sum(g > 0 for g in gains), sum(g < 0 for g in gains))


def months(replay: Replay) -> tuple[Tally, ...]:
    """A tally for each calendar month, by the start of the partitions; a month without a scored day is left out."""
    by: dict[str, list[Day]] = {}
    for day in replay.days:
        by.setdefault(month_of(day.key), []).append(day)
    made = (tally(replay, name, days) for name, days in sorted(by.items()))
    return tuple(t for t in made if t is not None)


def month_of(key: str) -> str:
    """Month of a partition key, such as ``2013-04``; for other keys the word ``all``."""
    return key[:7] if re.match(r"\d{4}-\d{2}", key) else "all"
