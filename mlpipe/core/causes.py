"""Why an alarm was raised: which column matters most, since when, what changed upstream that day, and which kind of fault that is.

The rules are few and are tried in this order; the first that holds names the kind.

1. Nothing is raised: *nothing*.
2. A column differs between training and serving on the same rows: *train-serve skew*.
3. As many labels contradict the score at both of its ends: *label problem*.
4. Something upstream changed within `NEAR` days of the beginning, or the drift of the first column is mostly missing values or unknown
   categories, or, while no column drifts, what is a fault by itself happened: *data bug*. Where the metric fell and columns tell who
   the mistakes happen to, faults of a few days explain nothing: those days' rows are few, or were never scored.
5. A year before, the columns that drift looked as they do now: *seasonal*.
6. The metric fell, and columns tell who the mistakes happen to, or no column drifts: *concept drift*.
7. Columns drift: *covariate drift*.
8. Labels are late, and nothing else is raised: *label delay*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "nothing",
    "train-serve skew",
    "label problem",
    "label delay",
    "data bug",
    "seasonal",
    "concept drift",
    "covariate drift",
]
MANY = 0.25
"""Share of the days of the window from which on faults upstream explain a metric that fell over it."""
NEAR = 2
"""So many days a change upstream and the beginning of the drift may lie apart: a beginning is estimated."""
MISSING, UNKNOWN = 0.05, 0.05
"""More missing values than the reference has, and rows with categories that it has not, as shares: from here on they are a fault."""


@dataclass(frozen=True)
class Moved:
    """A column that is watched.

    Attributes
    ----------
    column, ratio
        Its name, and its drift as a multiple of its limit, >= 0.
    importance
        Share of what the champion goes by, in [0, 1]; None where nothing is recorded.
    since
        Number of the day on which its drift began; None where it is not known.
    nulls, unseen
        Share of missing values beyond the reference's, in [-1, 1], and of rows with unknown categories, in [0, 1].
    a_year_ago
        Drift against the same days a year before, as a multiple of the limit; None without them.
    """

    column: str
    ratio: float
    importance: float | None = None
    since: int | None = None
    nulls: float = 0.0
    unseen: float = 0.0
    a_year_ago: float | None = None


@dataclass(frozen=True)
class Change:
    """Something that changed upstream on a day (its number), told in a sentence. `alone`: it is a fault whether a column drifts or not."""

    day: int
    text: str
    alone: bool = False


@dataclass(frozen=True)
class Evidence:
    """What is known of one day.

    Attributes
    ----------
    days
        Keys of the days, in order; numbers of days count in it.
    columns
        Watched columns; those with a ratio of at least 1 are raised.
    changes
        What changed upstream.
    fell
        In words, how far the metric fell; empty where it did not, or is not known.
    told
        Sentences on columns that tell who the mistakes happen to, the strongest first.
    labels
        Sentences on what is wrong with labels.
    overdue
        In words, how many labels are late; empty where none are.
    window
        So many days, the last ones, make up what is compared; 0 stands for all.
    skewed
        Columns that differ between training and serving.
    """

    days: Sequence[str]
    columns: Sequence[Moved] = ()
    changes: Sequence[Change] = ()
    fell: str = ""
    told: Sequence[str] = ()
    labels: Sequence[str] = ()
    skewed: Sequence[str] = ()
    overdue: str = ""
    window: int = 0


@dataclass(frozen=True)
class Cause:
    """The kind of fault, the column that matters most, the day since when, what changed upstream, and the evidence in sentences.

    `ranking`: raised columns by drift times importance, as shares of their sum.
    """

    kind: Kind
    column: str | None = None
    since: str | None = None
    upstream: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    ranking: tuple[tuple[str, float], ...] = ()


def ranked(columns: Sequence[Moved]) -> tuple[tuple[Moved, float], ...]:
    """Raised columns by drift times importance, each with its share of the sum; all weigh alike where no importance is known."""
    raised = [c for c in columns if c.ratio >= 1]
    known = any(c.importance is not None for c in raised)
    weights = [c.ratio * ((c.importance or 0.0) if known else 1.0) for c in raised]
    if sum(weights) <= 0:
        weights = [c.ratio for c in raised]
    order = sorted(range(len(raised)), key=lambda i: (-weights[i], raised[i].column))
    return tuple((raised[i], weights[i] / sum(weights)) for i in order)


def cause(seen: Evidence) -> Cause:
    """The likeliest cause, by the rules above."""
    order = ranked(seen.columns)
    first = order[0][0] if order else None
    alone = [c for c in seen.changes if c.alone]
    if first is None and not (seen.fell or seen.labels or seen.skewed or seen.overdue or alone):
        return Cause("nothing")
    starts = [c.since for c, _ in order if c.since is not None]
    since = first.since if first is not None and first.since is not None else min(starts, default=None)
    near = [c for c in seen.changes if since is not None and abs(c.day - since) <= NEAR]
    upstream = near if since is not None else _faults(seen, alone)
    if since is None and upstream:
        since = min(c.day for c in upstream)
    kind = _kind(seen, order, upstream)
    column = first.column if first is not None else (seen.skewed[0] if seen.skewed else None)
    return Cause(
        kind,
        column,
        seen.days[since] if since is not None else None,
        tuple(f"{seen.days[c.day]}: {c.text}" for c in upstream),
        (*_evidence(seen, order), *(f"{seen.days[c.day]}: {c.text}" for c in alone if c not in upstream)),
        tuple((c.column, share) for c, share in order),
    )


def _faults(seen: Evidence, alone: Sequence[Change]) -> Sequence[Change]:
    """What is a fault by itself, unless it is of too few days to explain mistakes that columns tell of."""
    few = len({c.day for c in alone}) < MANY * (seen.window or len(seen.days))
    return [] if few and seen.fell and seen.told else alone


def _kind(seen: Evidence, order: Sequence[tuple[Moved, float]], upstream: Sequence[Change]) -> Kind:
    if seen.skewed:
        return "train-serve skew"
    if seen.labels:
        return "label problem"
    first = order[0][0] if order else None
    broken = first is not None and (first.nulls >= MISSING or first.unseen >= UNKNOWN)
    if upstream or broken:
        return "data bug"
    if _seasonal(order):
        return "seasonal"
    if seen.fell and (seen.told or not order):
        return "concept drift"
    return "covariate drift" if order else "label delay"


def _seasonal(order: Sequence[tuple[Moved, float]]) -> bool:
    """Whether the columns that make up more than half of the drift looked a year before as they do now."""
    alike = sum(
        share for c, share in order if c.a_year_ago is not None and c.a_year_ago < min(1.0, 0.5 * c.ratio)
    )
    return alike > 0.5


def _evidence(seen: Evidence, order: Sequence[tuple[Moved, float]]) -> list[str]:
    found = [f"{c.column} drifts {c.ratio:.3g} times its limit{_more(c, seen.days)}" for c, _ in order[:5]]
    if order and all(c.importance is None for c, _ in order):
        found.append("no importance of columns is recorded, so all weigh alike")
    found += [f"{n} differs between training and serving" for n in seen.skewed]
    return [*found, *filter(None, [seen.fell, seen.overdue]), *seen.labels, *seen.told]


def _more(c: Moved, days: Sequence[str]) -> str:
    parts = []
    if c.importance is not None:
        parts.append(f"{c.importance:.0%} of what the champion goes by")
    if c.since is not None:
        parts.append(f"since {days[c.since]}")
    if c.nulls >= MISSING:
        parts.append(f"{c.nulls:+.0%} missing")
    if c.unseen >= UNKNOWN:
        parts.append(f"{c.unseen:.0%} of unknown categories")
    if c.a_year_ago is not None:
        parts.append(f"{c.a_year_ago:.3g} times against the same days a year before")
    return f" ({'; '.join(parts)})" if parts else ""
