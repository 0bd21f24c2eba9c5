"""Retraining policies lived through the same recorded months, side by side: what each asked for, took and gave, and what it missed.

*Regret against the best model* of a day is how much worse the policy's champion was than the best of all models that existed by then,
whichever policy had them trained; the mean over days. Who could choose each day after the fact would have none, so nobody reaches zero, and
some of it is luck: of many models one is best by chance. *Regret against the best policy* is how much worse the metric over all rows is
than that of the policy that did best.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from statistics import fmean
from typing import Any

from mlpipe.core.metrics import Metric, Scored
from mlpipe.core.policy import Policy
from mlpipe.core.worth import Pays
from mlpipe.errors import DataError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.consequences import Served, production, served
from mlpipe.stages.context import Context
from mlpipe.stages.hindsight import metric_of, pooled
from mlpipe.stages.lives import Asked, Life, Recorded
from mlpipe.stages.matrix import Matrix, Tell
from mlpipe.stages.past import Past
from mlpipe.stages.retraining import expected_of, policy_of

NEVER, OWN = "never", "declared"
STANDARD = (NEVER, "weekly", "monthly", "drift", "performance", "cost-aware", OWN)
"""Policies that are tried unless others are asked for; `OWN` is the pipeline's."""
FALL, POINT = 0.05, 0.01
"""Of the first champion's metric, where the pipeline declares nothing: the fall at which the policy *performance* asks; and what a training
costs the policy *cost-aware*, on all predictions of a review."""
QUIET = Policy(every="never", drift=None, levels=False)
"""Asks for nothing by itself."""
Hear = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class _Day:
    """A day with ripe labels: when it was predicted, and by whom in each life."""

    key: str
    at: datetime
    by: Mapping[str, Served]


def tried(
    past: Past,
    around: Context,
    keys: Sequence[str],
    *,
    more: Mapping[str, Policy] | None = None,
    only: Sequence[str] = (),
    metric: str | None = None,
    codes: Sequence[str] = (),
    hear: Hear = lambda name, done, total, text: None,
    tell: Tell = lambda done, total: None,
) -> dict[str, Any]:
    """Every policy's life over the same partitions, in plain values.

    Parameters
    ----------
    past, around, codes
        What was recorded; what stages may touch, and the versions of the code: see `Life`.
    keys
        Partitions to live through, in order.
    more, only
        Further policies by name; and the names to try, where not all are.
    metric
        Default: the one that the pipeline's models are chosen by.
    hear, tell
        Hear of the nights of each life; and of the days that are scored afterwards.

    Raises
    ------
    DataError
        There is nothing to live through, a name is no policy, or no life had a model.
    NotFoundError
        None of the partitions has features, or there is no such metric.
    """
    _check_stretch(past.spec, keys)
    measure = past.spec.measures.of(metric) if metric else None
    recorded = Recorded(past.spec, past)
    lives: dict[str, Life] = {}
    told: dict[str, str] = {}
    names = _names(past.spec, more or {}, only)

    def lived(name: str, policy: Policy) -> Life:
        life = Life(recorded, name, policy, keys, around, codes)
        life.live(lambda done, total, text: hear(name, done, total, text))
        return life

    @cache
    def first() -> float:
        """The metric of the first champion, which is that of every life: of the one that has no other."""
        life = lives.get(NEVER) or lived(NEVER, _policy(NEVER, past, keys, {}, first)[0])
        return abs(expected_of(life.ledger.state().anchor, _primary(past.spec, {NEVER: life})) or 1.0)

    for name in names:
        policy, told[name] = _policy(name, past, keys, more or {}, first)
        lives[name] = lived(name, policy)
    asked = {name: life.asked() for name, life in lives.items()}
    matrix = Matrix(past, keys)
    primary = measure or past.spec.measures.of(_primary(past.spec, lives))
    days = [d for d in _days(matrix, lives) if all(s.bundle is not None for s in d.by.values())]
    existed = _existed(asked)
    pairs = {(b, d.key) for d in days for b, since in existed.items() if since < d.at}
    pairs |= {(str(s.bundle), d.key) for d in days for s in d.by.values()}
    matrix.fill(sorted(pairs), tell)
    scores = _scores(primary, names, matrix, days, existed)
    policies = [_of_life(past, life, told[n], asked[n], scores) for n, life in lives.items()]
    return {**_found(past, keys, days, len(existed), scores), "policies": policies}


def _check_stretch(spec: PipelineSpec, keys: Sequence[str]) -> None:
    if spec.partitions.every == "none":
        raise DataError(f"pipeline {spec.name!r} has no partitions, and so no past to live through")
    if not keys:
        raise DataError(
            "no partition lies in this stretch",
            where=f"pipeline {spec.name}",
            fix=f"Swap --from and --to; or bring data to record first: mlpipe run {spec.name}",
        )


def _names(spec: PipelineSpec, more: Mapping[str, Policy], only: Sequence[str]) -> list[str]:
    """Policies to try, in order. The pipeline's own stands among them where it has one."""
    known = [n for n in STANDARD if n != OWN or spec.retrain is not None] + [
        n for n in more if n not in STANDARD
    ]
    wrong = [n for n in only if n not in known]
    if wrong:
        raise DataError(f"no policy is called {wrong[0]!r}", fix=f"Valid: {', '.join(known)}.")
    return [n for n in known if not only or n in only]


def _policy(
    name: str, past: Past, keys: Sequence[str], more: Mapping[str, Policy], first: Callable[[], float]
) -> tuple[Policy, str]:
    """A policy by its name, and what it assumes. Cool-down and the like are the pipeline's own; only what makes it ask differs."""
    own = policy_of(past.spec.retrain)
    if name in more:
        return more[name], ""
    if name == OWN and own is not None:
        return own, ""
    base = own or Policy()
    bare = replace(
        QUIET, cool_down=base.cool_down, min_new_data=base.min_new_data, close=base.close, budget=base.budget
    )
    if name in ("weekly", "monthly"):
        return replace(bare, every="week" if name == "weekly" else "month"), ""
    if name == "drift":
        drifts = (
            (base.drift, base.drift_share, base.score_drift) if _drifts(base) else ("calibrated", None, None)
        )
        return replace(bare, drift=drifts[0], drift_share=drifts[1], score_drift=drifts[2]), ""
    if name == "performance":
        if base.performance is not None:
            return replace(bare, performance=base.performance), ""
        limit = FALL * first()
        assumes = f"asks when the metric is worse by {limit:.3g}, for 'retrain.performance' names no limit"
        return replace(bare, performance=limit), assumes
    if name == "cost-aware":
        if base.pays is not None:
            return replace(bare, pays=base.pays), ""
        pays = Pays(value=1.0, training=0.0)
        count = _per_day(past, keys) * pays.review.total_seconds() / 86400
        gain = POINT * first()
        return replace(bare, pays=replace(pays, training=gain * count)), (
            f"a training costs what {gain:.3g} of the metric is worth on the {count:,.0f} predictions of 28 days, "
            "for 'retrain.pays' says nothing else"
        )
    return bare, "asks for a first model, and for no other"


def _drifts(policy: Policy) -> bool:
    return any(limit is not None for limit in (policy.drift, policy.drift_share, policy.score_drift))


def _primary(spec: PipelineSpec, lives: Mapping[str, Life]) -> str:
    """The metric by which models are judged: the first declared, else the first that an evaluation tells.

    Raises
    ------
    DataError
        No life had a model.
    """
    if spec.metrics:
        return spec.metrics[0]
    for life in lives.values():
        for head in life.heads.find(f"{spec.name}/monitor", life.keys).values():
            if head.data and head.data.get("primary"):
                return str(head.data["primary"])
    why = next((a.why for life in lives.values() for a in life.asked() if a.why), "none was asked for")
    raise DataError(
        f"no policy had a model in production: {why}",
        where=f"pipeline {spec.name}",
        fix="Begin later, when the training window is covered, or look at the gates.",
    )


def _per_day(past: Past, keys: Sequence[str]) -> float:
    """Rows a day, of the partitions that have features."""
    heads = past.heads("feature")
    rows = [
        heads[k].outputs["features"].rows or 0 for k in keys if k in heads and "features" in heads[k].outputs
    ]
    window = past.spec.partitions.window
    length = sum((window(k).end - window(k).start).total_seconds() for k in keys) / 86400 / max(len(keys), 1)
    return fmean(rows) / length if rows else 0.0


def _days(matrix: Matrix, lives: Mapping[str, Life]) -> Iterator[_Day]:
    """Days with ripe labels, each with the champion of its own night in every life."""
    entries = {name: life.ledger.entries() for name, life in lives.items()}
    moment = next(iter(lives.values())).moment
    for key in matrix.days:
        yield _Day(key, moment(key), {name: served(chain, moment(key)) for name, chain in entries.items()})


def _existed(asked: Mapping[str, Sequence[Asked]]) -> dict[str, datetime]:
    """Every model that any policy had trained, with the moment from which it existed."""
    out: dict[str, datetime] = {}
    for trained in asked.values():
        for one in trained:
            if one.bundle is not None:
                out[one.bundle] = min(one.moment, out.get(one.bundle, one.moment))
    return out


@dataclass(frozen=True)
class _Scores:
    """What every model and every life scored.

    Parameters
    ----------
    metric
        By which they are compared.
    values
        Of each model on each day on which it existed, where the metric is defined.
    best
        The best of them on each day, with the sign that greater is better.
    scored, overall, ranked
        Of each life the rows of its days, the metric over all of them, and the names from the best to the worst.
    """

    metric: Metric
    values: Mapping[tuple[str, str], float]
    best: Mapping[str, float]
    scored: Mapping[str, Sequence[tuple[_Day, Scored | None]]]
    overall: Mapping[str, float | None]
    ranked: Sequence[str]

    @property
    def sign(self) -> float:
        return self.metric.sign


def _scores(
    metric: Metric,
    names: Sequence[str],
    matrix: Matrix,
    days: Sequence[_Day],
    existed: Mapping[str, datetime],
) -> _Scores:
    sign = metric.sign
    values: dict[tuple[str, str], float] = {}
    best: dict[str, float] = {}
    for day in days:
        for bundle in (b for b, since in existed.items() if since < day.at):
            part = matrix.scored(bundle, day.key)
            value = None if part is None else metric_of(part, metric)
            if value is not None:
                values[bundle, day.key] = value
                best[day.key] = max(sign * value, best.get(day.key, sign * value))
    scored = {n: [(d, matrix.scored(str(d.by[n].bundle), d.key)) for d in days] for n in names}
    overall = {n: pooled([s for _, s in parts if s is not None], metric) for n, parts in scored.items()}
    known = {n: sign * v for n, v in overall.items() if v is not None}
    return _Scores(metric, values, best, scored, overall, sorted(known, key=lambda n: -known[n]))


def _found(
    past: Past, keys: Sequence[str], days: Sequence[_Day], models: int, scores: _Scores
) -> dict[str, Any]:
    first = next(iter(scores.scored.values()))
    return {
        "pipeline": past.spec.name,
        "metric": scores.metric.name,
        "better": scores.metric.better,
        "stretch": [keys[0], keys[-1]],
        "unit": past.spec.partitions.every,
        "nights": len(keys),
        "days": len(days),
        "rows": sum(len(s.y) for _, s in first if s is not None),
        "models": models,
        "ranked": list(scores.ranked),
        "hindsight": scores.sign * fmean(scores.best.values()) if scores.best else None,
    }


def _of_life(past: Past, life: Life, assumes: str, asked: Sequence[Asked], scores: _Scores) -> dict[str, Any]:
    """What came of one policy."""
    sign, name, scored = scores.sign, life.name, scores.scored[life.name]
    line = [scores.values.get((str(d.by[name].bundle), d.key)) for d, _ in scored]
    known = [v for v in line if v is not None]
    missed = [scores.best[d.key] - sign * v for (d, _), v in zip(scored, line, strict=True) if v is not None]
    value, worse, against = scores.overall[name], None, None
    if value is not None:
        top = scores.ranked[0]
        worse = abs((scores.overall[top] or 0.0) - value)
        against = _against(past, scored, scores.scored[top], scores.metric)
    return {
        "name": name,
        "assumes": assumes,
        "chain": life.chain,
        **_counts(asked),
        "value": value,
        "days": len(known),
        "mean": fmean(known) if known else None,
        "regret_model": fmean(missed) if missed else None,
        "regret_policy": worse,
        "against": against,
        "failed_nights": sorted(k for k in life.failed if k in life.keys),
        "asked": [_plain(a) for a in asked],
        "timeline": [
            {"day": d.key, "at": d.at.isoformat(), "version": d.by[name].version, "value": v}
            for (d, _), v in zip(scored, line, strict=True)
        ],
    }


def _against(
    past: Past,
    mine: Sequence[tuple[_Day, Scored | None]],
    best: Sequence[tuple[_Day, Scored | None]],
    metric: Metric,
) -> dict[str, Any]:
    """A policy beside the best one, over all rows: the difference with its interval, positive where it is better."""
    both = {d.key: (b, m) for (d, m), (_, b) in zip(mine, best, strict=True)}
    return production(both, metric, past.spec.bootstrap, past.spec.seed)


def _counts(asked: Sequence[Asked]) -> dict[str, Any]:
    causes: dict[str, int] = {}
    for one in asked:
        causes[one.cause] = causes.get(one.cause, 0) + 1
    outcomes = {o: sum(a.outcome == o for a in asked) for o in ("promoted", "refused", "no_model", "failed")}
    return {
        "retrains": len(asked),
        "causes": causes,
        **outcomes,
        "seconds": round(sum(a.seconds for a in asked), 1),
    }


def _plain(asked: Asked) -> dict[str, Any]:
    return {
        "partition": asked.key,
        "at": asked.moment.isoformat(),
        "cause": asked.cause,
        "reason": asked.reason,
        "outcome": asked.outcome,
        "version": asked.version,
        "why": asked.why,
        "seconds": round(asked.seconds, 1),
    }
