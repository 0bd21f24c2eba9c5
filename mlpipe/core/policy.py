"""When to learn again: a pure decision over what was recorded, the same by night, in a sensor and in a replay of the past.

Time here is the time of the data: "now" is the end of the newest partition that was watched. So the decision depends on the
records alone, and a backlog that is worked off in an hour is judged as if each night had come.

An *episode* is a stretch of partitions in which a measure stood above its limit. It opens at the limit, closes only below
`Policy.close` of it (hysteresis: a measure that trembles around its limit is one episode, not ten), and belongs to a champion, for
the measures compare with what that champion learned from. Within an episode each *attempt* at a better model is asked for once; an
episode that is still open may ask again when the cool-down is over. So a refused retrain does not come back the next night.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from mlpipe.core.drift import MAJOR
from mlpipe.core.retraining import CALIBRATED, CAUSES, Attempt, Every, Facts, Observation, Policy
from mlpipe.core.worth import overspent, told_worth

__all__ = [
    "CAUSES",
    "FAILURES",
    "LEAST_NEW",
    "Attempt",
    "Decision",
    "Episode",
    "Facts",
    "Observation",
    "Policy",
    "asks_by_itself",
    "decide",
]

FAILURES = 3
"""So many attempts in a row may fail (crash, not be refused) before the cool-down holds for them too."""
LEAST_NEW: Mapping[str, timedelta] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}
"""Length of a cadence: it never waits for more new data than this, whatever `Policy.min_new_data` says."""


@dataclass(frozen=True)
class Episode:
    """An open episode: the cause, its first partition, and what stands above its limit now, in a sentence and in numbers."""

    cause: str
    first: str
    text: str
    details: Mapping[str, str]


@dataclass(frozen=True)
class Decision:
    """Whether to learn again.

    `name` of the attempt (``<cause>:<champion>:<first partition>:<number>``), `cause` and `reason` when `ask`; `held`: why what is
    open does not ask now; `details` of the cause, for tags; `open` episodes.
    """

    ask: bool
    name: str = ""
    cause: str = ""
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    open: tuple[Episode, ...] = ()


@dataclass(frozen=True)
class _Measure:
    """One measure of a partition over its limit: at least 1 is open. None: nothing known that day."""

    ratio: float
    text: str
    details: Mapping[str, str]


def decide(policy: Policy, facts: Facts) -> Decision:
    """Whether to learn again now, why, and under which name; or what holds it back.

    Returns
    -------
    Decision
        At most one attempt, of the first cause in `CAUSES` that is open and may ask. Nothing when no partition was watched.
    """
    if not facts.observations:
        return Decision(False, held=("no partition was watched yet",))
    now = facts.observations[-1]
    episodes = _episodes(policy, facts, now)
    if not episodes:
        return Decision(False)
    if facts.good < facts.needed:
        why = f"{facts.good} of {facts.needed} needed partitions are good in the training window before {now.key}"
        return Decision(False, held=(why,), open=episodes)
    held: list[str] = []
    for episode in episodes:
        why = _held(policy, facts, now, episode)
        if why:
            held.append(f"{episode.cause}: {why}")
            continue
        stem = f"{episode.cause}:{facts.champion or 0}:{episode.first}"
        number = 1 + sum(a.name.rpartition(":")[0] == stem for a in facts.attempts)
        others = [e.text for e in episodes if e is not episode]
        reason = episode.text + (f"; also {'; '.join(others)}" if others else "")
        name = f"{stem}:{number}"
        return Decision(True, name, episode.cause, reason, episode.details, tuple(held), episodes)
    return Decision(False, held=tuple(held), open=episodes)


def _episodes(policy: Policy, facts: Facts, now: Observation) -> tuple[Episode, ...]:
    """What is open now, in the order of precedence."""
    if facts.champion is None:
        seen = [o.key for o in facts.observations if o.version is None] or [now.key]
        text = "no model is in production yet"
        return (Episode("first", seen[0], text, {"partition": now.key}),) if asks_by_itself(policy) else ()
    mine = [o for o in facts.observations if o.version == facts.champion]
    found = [
        _data(policy, facts, now),
        _open("performance", mine, policy, lambda o: _performance(policy, facts, o)),
        _levels(policy, mine),
        _open("drift", mine, policy, lambda o: _drift(policy, o)),
        _gain(policy, facts, mine),
        _cadence(policy, facts, now),
    ]
    return tuple(e for e in found if e is not None)


def asks_by_itself(policy: Policy) -> bool:
    """Whether anything at all makes this policy ask."""
    triggers = (policy.drift, policy.drift_share, policy.score_drift, policy.performance, policy.pays)
    return policy.every != "never" or policy.on_new_data or any(t is not None for t in triggers)


def _open(
    cause: str, days: Sequence[Observation], policy: Policy, measure: Callable[[Observation], _Measure | None]
) -> Episode | None:
    """The episode that is open after the last of some days, folded over all of them."""
    first, last = "", None
    for day in days:
        measured = measure(day)
        if measured is None:
            continue
        last = measured
        if not first and measured.ratio >= 1:
            first = day.key
        elif first and measured.ratio < policy.close:
            first = ""
    if not first or last is None:
        return None
    text = (
        last.text
        if last.ratio >= 1
        else f"{last.text}, over the limit since {first} and not below {policy.close:.0%} of it yet"
    )
    return Episode(cause, first, text, last.details)


def _drift(policy: Policy, day: Observation) -> _Measure | None:
    """The worst of the three measures of drift."""
    found: list[_Measure] = []
    limits = {c: _limit(policy, own) for c, (_, own) in day.columns.items()}
    ratios = {c: psi / limits[c] for c, (psi, _) in day.columns.items()}
    if policy.drift is not None and ratios:
        worst = max(ratios, key=lambda c: (ratios[c], c))
        psi, limit = day.columns[worst][0], limits[worst]
        text = f"PSI of {worst} is {psi:.3g}, limit {limit:.3g}, on {day.key}"
        found.append(_Measure(ratios[worst], text, _details(day, worst, psi, limit)))
    if policy.drift_share is not None and day.watched:
        count = sum(r >= 1 for r in ratios.values())
        text = f"{count} of {day.watched} watched columns drift, limit {policy.drift_share:.3g}, on {day.key}"
        share = count / day.watched
        details = _details(day, "share of columns", share, policy.drift_share)
        found.append(_Measure(share / policy.drift_share, text, details))
    if policy.score_drift is not None and day.score_psi is not None:
        text = f"PSI of the score is {day.score_psi:.3g}, limit {policy.score_drift:.3g}, on {day.key}"
        details = _details(day, "score", day.score_psi, policy.score_drift)
        found.append(_Measure(day.score_psi / policy.score_drift, text, details))
    return max(found, key=lambda m: m.ratio, default=None)


def _limit(policy: Policy, calibrated: float) -> float:
    if policy.drift == CALIBRATED or policy.drift is None:
        return calibrated if calibrated > 0 else MAJOR
    return float(policy.drift)


def _performance(policy: Policy, facts: Facts, day: Observation) -> _Measure | None:
    if policy.performance is None or facts.expected is None or day.rolling is None:
        return None
    fall = facts.sign * (facts.expected - day.rolling)
    text = (
        f"the realised metric is {day.rolling:.4g} over the window until {day.key}, {fall:.3g} worse than "
        f"{facts.expected:.4g} at the evaluation, limit {policy.performance:.3g}"
    )
    return _Measure(
        fall / policy.performance, text, _details(day, "performance", day.rolling, policy.performance)
    )


def _levels(policy: Policy, mine: Sequence[Observation]) -> Episode | None:
    """The first service level that is missed. A level has no half of its limit: it is over once it is met again."""
    names = dict.fromkeys(n for o in mine for n in o.levels) if policy.levels else {}
    open_ones = (_open("level", mine, policy, partial(_level, name)) for name in names)
    return next((e for e in open_ones if e is not None), None)


def _level(name: str, day: Observation) -> _Measure | None:
    if name not in day.levels:
        return None
    value, missed = day.levels[name]
    text = f"the service level {name} is missed with {value:.4g} on {day.key}"
    details = {"partition": day.key, "column": name, "value": f"{value:.6g}"}
    return _Measure(float(missed), text, details)


def _gain(policy: Policy, facts: Facts, mine: Sequence[Observation]) -> Episode | None:
    """Whether a training is expected to pay; of a champion whose realised metric is not known yet nothing is expected."""
    now = next((o for o in reversed(mine) if o.rolling is not None), None)
    if policy.pays is None or facts.expected is None or now is None or now.rolling is None:
        return None
    fall = facts.sign * (facts.expected - now.rolling)
    won = [a.gain for a in facts.attempts if a.gain is not None]
    text, value = told_worth(policy.pays, fall, won, facts.per_day or 0.0)
    if value < policy.pays.training:
        return None
    return Episode("gain", now.key, text, _details(now, "expected gain", value, policy.pays.training))


def _data(policy: Policy, facts: Facts, now: Observation) -> Episode | None:
    if not policy.on_new_data:
        return None
    if facts.corrected:
        asked = any(a.name.startswith(f"data:{facts.champion}:{facts.correction}:") for a in facts.attempts)
        shown = ", ".join(facts.corrected[:3]) + (", …" if len(facts.corrected) > 3 else "")
        text = f"{len(facts.corrected)} partitions that the champion learned from were corrected: {shown}"
        details = {"partition": now.key, "corrected": str(len(facts.corrected))}
        if not asked:
            return Episode("data", facts.correction, text, details)
    new = _new(facts, now)
    if new is None or new < policy.min_new_data:
        return None
    text = f"{_days(new)} of new data since the last training"
    return Episode("data", now.key, text, {"partition": now.key, "new": _days(new)})


def _cadence(policy: Policy, facts: Facts, now: Observation) -> Episode | None:
    """Due when nothing was asked for in this period yet."""
    if policy.every == "never":
        return None
    period = _period(policy.every, now.end)
    moments = [a.end for a in facts.attempts if not a.failed]
    if facts.trained_until is not None:
        moments.append(facts.trained_until.astimezone(now.end.tzinfo))
    if any(_period(policy.every, m) >= period for m in moments):
        return None
    return Episode("schedule", period, f"the {policy.every} of {period} has begun", {"partition": now.key})


def _period(every: Every, moment: datetime) -> str:
    day = moment.date()
    if every == "month":
        return f"{day:%Y-%m}"
    return (day - timedelta(days=day.weekday()) if every == "week" else day).isoformat()


def _held(policy: Policy, facts: Facts, now: Observation, episode: Episode) -> str:
    """Why an open episode may not ask now; empty when it may."""
    recent = [a for a in facts.attempts if now.end - a.end < policy.cool_down and a.end <= now.end]
    done = [a for a in recent if not a.failed]
    failures = len(recent) - max((i + 1 for i, a in enumerate(recent) if not a.failed), default=0)
    if any(a.end == now.end for a in done):
        return f"{done[-1].name} was asked for at the same partition"
    if episode.cause != "schedule" and done:
        since = _days(now.end - done[-1].end)
        return f"cool-down of {_days(policy.cool_down)}: {done[-1].name} was asked {since} ago"
    if failures >= FAILURES:
        return f"cool-down of {_days(policy.cool_down)}: the last {failures} attempts failed"
    least = (
        min(policy.min_new_data, LEAST_NEW[policy.every])
        if episode.cause == "schedule"
        else policy.min_new_data
    )
    new = _new(facts, now)
    if new is not None and new < least and not (episode.cause == "data" and facts.corrected):
        return f"{_days(new)} of new data since the last training, at least {_days(least)} are asked"
    return _over_budget(policy, facts, now)


def _over_budget(policy: Policy, facts: Facts, now: Observation) -> str:
    """What the month's budget says against another training; a pipeline without a model is not held by it."""
    if policy.budget is None or facts.champion is None:
        return ""
    month = _period("month", now.end)
    spent = [a.minutes for a in facts.attempts if not a.failed and _period("month", a.end) == month]
    return overspent(policy.budget, month, spent)


def _new(facts: Facts, now: Observation) -> timedelta | None:
    """New data since the last training; None when there was none."""
    return None if facts.trained_until is None else now.end - facts.trained_until


def _details(day: Observation, what: str, value: float, limit: float) -> dict[str, str]:
    return {"partition": day.key, "column": what, "value": f"{value:.6g}", "limit": f"{limit:.6g}"}


def _days(length: timedelta) -> str:
    days = length.total_seconds() / 86400
    return f"{days:.3g} {'day' if days == 1 else 'days'}" if days >= 1 else f"{days * 24:.3g} hours"
