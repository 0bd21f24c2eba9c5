"""What a retraining policy is, and what it is told when it is asked. `mlpipe.core.policy` decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from mlpipe.core.worth import Budget, Pays

Every = Literal["never", "day", "week", "month"]
CALIBRATED: Literal["calibrated"] = "calibrated"
CAUSES = ("first", "data", "performance", "level", "drift", "gain", "schedule")
"""In the order of precedence, when several ask in one night. ``first`` is a pipeline without a model."""


@dataclass(frozen=True)
class Policy:
    """When to learn again.

    Parameters
    ----------
    every
        Cadence by calendar: once in each day, week (from Monday) or month.
    drift
        Limit on the PSI of any watched column: a number, ``"calibrated"`` (each column's own limit, from windows inside the
        champion's training period), or None.
    drift_share
        Limit on the share of watched columns that drift, in (0, 1].
    score_drift
        Limit on the PSI of the score.
    performance
        Limit on how far the primary metric, realised over the trailing window, is worse than at the champion's evaluation, in units
        of the metric.
    levels
        Ask when a service level is missed whose response is to retrain.
    on_new_data
        Ask when `min_new_data` has come since the last training, and when data that the champion learned from was corrected or
        completed.
    cool_down
        Least time between two attempts by a trigger.
    min_new_data
        Least new data since the last training. Corrected data counts as new.
    close
        In (0, 1]: an episode closes when its measure is below this share of the limit.
    pays
        Ask when what a training is expected to win pays for it.
    budget
        The most trainings, and the most minutes of training, in a month.
    """

    every: Every = "month"
    drift: float | Literal["calibrated"] | None = CALIBRATED
    drift_share: float | None = None
    score_drift: float | None = None
    performance: float | None = None
    levels: bool = True
    on_new_data: bool = False
    cool_down: timedelta = timedelta(days=14)
    min_new_data: timedelta = timedelta(days=7)
    close: float = 0.5
    pays: Pays | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class Observation:
    """What watching one partition showed.

    Parameters
    ----------
    key, end
        The partition, and when it ended: aware, in the zone by whose calendar the cadence goes.
    version
        The champion that was watched; None when there was none.
    columns
        PSI and calibrated limit of watched columns; when they are many, of those with the greatest PSI.
    watched
        How many columns were watched.
    score_psi, rolling
        PSI of the score, and the primary metric realised over the trailing window; None where unknown.
    levels
        Value, and whether it was missed, of the known service levels whose response is to retrain.
    """

    key: str
    end: datetime
    version: int | None
    columns: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    watched: int = 0
    score_psi: float | None = None
    rolling: float | None = None
    levels: Mapping[str, tuple[float, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """A training that was asked for.

    Parameters
    ----------
    name, cause, end
        Its name, its cause, and the end of the partition at which it was asked.
    failed
        It crashed.
    gain
        By how much its model was better than the champion on the rows that judged both, in units of the primary metric and positive
        where better; 0 when it was refused, for then nothing was won. None when it was compared with none.
    minutes
        Of training and judging.
    """

    name: str
    cause: str
    end: datetime
    failed: bool = False
    gain: float | None = None
    minutes: float = 0.0


@dataclass(frozen=True)
class Facts:
    """What is known when the policy is asked.

    Parameters
    ----------
    observations
        Partitions that were watched, in order. The last one is now.
    champion
        Number of the version in production, or None.
    expected, sign
        Its primary metric at its evaluation (None when unknown), and whether greater is better (1) or worse (-1).
    attempts
        All trainings that were asked for, in order.
    trained_until
        End of the data of the newest training of any cause, or None.
    corrected, correction
        Partitions that the champion learned from and that have other contents now, in order; and a name for these contents.
    good, needed
        Good partitions in the window of a training now, and how many it takes.
    per_day
        Predictions a day, the mean over the newest partitions; None when nothing was predicted.
    """

    observations: Sequence[Observation]
    champion: int | None = None
    expected: float | None = None
    sign: float = 1.0
    attempts: Sequence[Attempt] = ()
    trained_until: datetime | None = None
    corrected: Sequence[str] = ()
    correction: str = ""
    good: int = 0
    needed: int = 0
    per_day: float | None = None
