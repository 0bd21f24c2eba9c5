"""Service levels of a watched day: each indicator's value and state, what is done about a miss, and what is left of the error budgets.

What was known before the day was scored was asked there (`mlpipe.stages.serving`), and is read from the head of its predictions. All else
is asked here, of what the other sections found. The verdict of the monitor is not touched: a level that is missed shows in the record, in
the check ``service_levels`` and in an alert.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.distances import MAJOR
from mlpipe.core.sla import Budget, Indicator, State, Verdict, class_ratio, judged
from mlpipe.records.codec import Head, digest
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import Encoding
from mlpipe.stages.frames import KNOWN, ROW, TIME
from mlpipe.stages.indicators import Day, Value, asked, before, budgets, history, own, visible
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.runner import stored
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch
from mlpipe.stores.store import Store

AGE, PSI, SCORE_JS, PERFORMANCE = "age_hours", "psi", "score_js", "performance"
RUNBOOKS: Mapping[str, str] = {PSI: "drift", SCORE_JS: "drift", PERFORMANCE: "performance"}
"""Runbook of an indicator in docs/runbooks; of all others ``data``."""
SHOWN = 28
"""So many days are kept where a person looks at them."""
PLAIN = frozenset({PSI, SCORE_JS, PERFORMANCE})
"""Indicators whose value stands among the metrics of another section."""


@dataclass(frozen=True)
class Known:
    """What is known of a day before it is watched.

    Attributes
    ----------
    before
        Watched days that its budgets reach.
    today
        Values and states that were asked before the day was scored.
    age
        Hours since the newest rows.
    served
        Who answered on the day, and why, where it was not simply the champion.
    by_others
        Partitions of the window that were answered by another than the champion.
    read
        Heads that were read for it.
    """

    before: tuple[Day, ...] = ()
    today: Mapping[str, Value] = field(default_factory=dict)
    age: Value = Value(None, "not looked at")
    served: Mapping[str, Any] = field(default_factory=dict)
    by_others: tuple[str, ...] = ()
    read: tuple[Input, ...] = ()

    def params(self, spec: PipelineSpec) -> dict[str, Any]:
        """What of it decides the result of watching the day, and what is asked."""
        return {
            "asked": {n: [str(i), i.severity, i.response] for n, i in asked(spec).items()},
            "budget": spec.levels.budget.model_dump(mode="json"),
            "before": digest([d.plain() for d in self.before]),
            "today": {n: v.number for n, v in self.today.items()},
            "age": self.age.number,
            "by_others": self.by_others,
        }


def known(spec: PipelineSpec, key: str, keys: Sequence[str], ctx: Context) -> Known:
    """What is known of partition `key`; `keys` are those of its window."""
    heads = ctx.heads.find(f"{spec.name}/predictions", list(dict.fromkeys((*keys, key))))
    day = (heads[key].data or {}) if key in heads else {}
    served = {k: (h.data or {}).get("served") or {} for k, h in heads.items()}
    why = day.get("unknown") or {}
    seen = heads[key].seen() if key in heads else None
    days = history(spec, before(spec, key), ctx)
    return Known(
        before=days,
        today={n: Value(value, why.get(n, "")) for n, (value, _) in (day.get("levels") or {}).items()},
        age=_age(spec, key, heads, ctx),
        served=served.get(key, {}),
        by_others=tuple(k for k, who in served.items() if who.get("by", "champion") != "champion"),
        read=(*(() if seen is None else (seen,)), *(d.read for d in days)),
    )


def _age(spec: PipelineSpec, key: str, predictions: Mapping[str, Head], ctx: Context) -> Value:
    """Hours from the newest rows to the run's clock.

    Told on the newest partition of that clock alone: an older one is made late by whoever makes it late, and says nothing about the
    source. One that is watched again keeps what was told when it was the newest. Where a day has no rows, the age is that of the
    newest row before it.
    """
    now, window = ctx.run.as_of, spec.partitions.window(key)
    if (
        spec.partitions.every != "none"
        and not window.start <= now < window.end + UNITS[spec.partitions.every]
    ):
        head = ctx.heads.find(f"{spec.name}/monitor", [key]).get(key)
        told = ((head.data or {}).get("levels") or {}).get(AGE) if head is not None else None
        if told is not None and told[0] is not None:
            return Value(float(told[0]))
        return Value(None, "another partition was the newest at the run's clock")
    times = [t for h in predictions.values() if (t := (h.data or {}).get("newest"))]
    if not times:
        return Value(None, "no rows with a time in the window")
    newest = max(datetime.fromisoformat(t) for t in times)
    return Value(max(0.0, (now - newest) / timedelta(hours=1)))


def section(
    spec: PipelineSpec,
    key: str,
    watch: Watch,
    told: Known,
    drift: Section,
    performance: Section,
    ctx: Context,
) -> Section:
    """The section of the levels, from what is known beforehand and what the sections of drift and performance found."""
    indicators = asked(spec, watch.champion.bundle.task)
    psis = {m.name: m.value for m in drift.metrics if m.split == PSI}
    thresholds = dict(drift.data.get("thresholds") or {})
    values = _values(spec, key, watch, told, drift, performance, ctx)
    found = {n: values.get(n, Value(None, "not asked before scoring")) for n in indicators if n != PSI}
    verdicts = list(judged({n: v.number for n, v in found.items()}, indicators))
    columns = _columns(spec, indicators, psis, thresholds)
    worst = max(columns, key=lambda v: (v.value or 0.0) / v.indicator.limit, default=None)
    if PSI in indicators:
        verdicts.append(_whole(indicators[PSI], worst))
        found[PSI] = Value(worst.value) if worst is not None else Value(None, "no column is watched")
    states: dict[str, State] = {v.indicator.name: v.state for v in verdicts}
    days = [(d.key, d.states) for d in told.before if d.key != key]
    left = budgets(spec, [*days, (key, states)], list(states))
    missed = [v for v in verdicts if v.state == "missed"]
    spent = [n for n, b in left.items() if b.exhausted and spec.partitions.every != "none"]
    findings = [_finding(v, worst) for v in missed if v.response != "log"]
    findings += [_used_up(n, left[n], spec) for n in spent]
    return Section(
        metrics=tuple(
            MetricValue(name=v.indicator.name, value=float(v.value), split="levels")
            for v in verdicts
            if v.indicator.name not in PLAIN and v.value is not None and math.isfinite(v.value)
        ),
        findings=tuple(findings),
        data={
            "levels_unknown": {n: v.why for n, v in found.items() if v.number is None and v.why},
            "levels_days": _strip([*days, (key, states)]),
        },
        head={
            "levels": {v.indicator.name: [_finite(v.value), v.state] for v in verdicts},
            "response": {
                v.indicator.name: [v.response, v.indicator.severity, v.indicator.asked] for v in missed
            },
            "exhausted": spent,
            **({"served": dict(told.served)} if told.served else {}),
        },
        outputs=(stored(ctx.store, "levels", _table([*verdicts, *columns], left, found)),)
        if verdicts
        else (),
        sentence=_sentence(missed, spent),
    )


def _values(
    spec: PipelineSpec,
    key: str,
    watch: Watch,
    told: Known,
    drift: Section,
    performance: Section,
    ctx: Context,
) -> dict[str, Value]:
    """All indicators but the PSI."""
    own_days = [k for k in watch.predictions if k not in told.by_others]
    return {
        **told.today,
        **_labels(spec, watch, ctx),
        AGE: told.age,
        SCORE_JS: _score(watch, own_days, drift),
        PERFORMANCE: _performance(key, watch, own_days, performance),
        **own(spec, key, _frames(spec, key, watch, ctx), early=False),
    }


def _frames(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> dict[str, pd.DataFrame]:
    """A day's tables, for functions of the user's that read more than features; labels once they are ripe."""
    late = {n for o in spec.levels.own.values() if o.reads != ("features",) for n in o.reads}
    if not late:
        return {}
    heads = {"features": watch.features.get(key), "predictions": watch.predictions.get(key)}
    label = watch.labels.get(key)
    heads["labels"] = label if label is not None and label.verdict == RIPE else None
    found = {}
    for name, head in heads.items():
        if head is not None and name in late | {"predictions"}:
            table = ctx.store.get_table(head.outputs[name].id)
            shown = [c for c in table.columns if c not in (ROW, TIME, KNOWN)]
            columns = list((head.data or {}).get("features") or shown) if name == "features" else shown
            found[name] = visible(spec, table, columns)
    return found


def _labels(spec: PipelineSpec, watch: Watch, ctx: Context) -> dict[str, Value]:
    """Share of ripe rows that have a label, and the greatest class against the smallest, over the ripe days of the window."""
    ripe = {k: h for k, h in watch.labels.items() if h.verdict == RIPE and k in watch.features}
    rows = sum(watch.features[k].outputs["features"].rows or 0 for k in ripe)
    if not rows:
        why = "no labels of the window are ripe"
        return {"label_coverage": Value(None, why), "class_ratio": Value(None, why)}
    labelled = sum(h.outputs["labels"].rows or 0 for h in ripe.values())
    bundle = watch.champion.bundle
    if bundle.task == "regression":
        ratio = Value(None, "a regression has no classes")
    else:
        counts = [
            _counts(ctx.store, h.outputs["labels"].id, spec.label.name, bundle.task, tuple(bundle.classes))
            for h in ripe.values()
        ]
        ratio = Value(class_ratio([sum(day) for day in zip(*counts, strict=True)]))
    return {"label_coverage": Value(labelled / rows), "class_ratio": ratio}


@lru_cache(maxsize=512)
def _counts(store: Store, labels: str, name: str, task: str, classes: tuple[object, ...]) -> tuple[int, ...]:
    """Rows of each class in a table of labels, which never changes: nights of one window count the same days."""
    numbers = Encoding(task, classes).encode(store.get_table(labels, columns=[name])[name])
    known = numbers[np.isfinite(numbers)].astype("int64")
    return tuple(int(n) for n in np.bincount(known, minlength=len(classes)))


def _columns(
    spec: PipelineSpec,
    indicators: Mapping[str, Indicator],
    psis: Mapping[str, float],
    limits: Mapping[str, Any],
) -> list[Verdict]:
    """A verdict for each watched column. A limit of the user's holds for all; else each has its own, or 0.25."""
    level = spec.levels.psi
    if level is None or PSI not in indicators:
        return []
    calibrated = {n: float(limits[n]) if limits[n] else MAJOR for n in limits} if level.limit is None else {}
    watched = {f"{PSI}:{n}": psis.get(n) for n in limits}
    return list(judged(watched, indicators, psi_limits=calibrated))


def _whole(indicator: Indicator, worst: Verdict | None) -> Verdict:
    """The verdict on the PSI as a whole: that of the column furthest beyond, or nearest to, its own limit."""
    if worst is None:
        return Verdict(indicator, None, "unknown")
    limit = worst.indicator.limit
    return Verdict(
        Indicator(PSI, indicator.kind, limit, indicator.severity, indicator.response),
        worst.value,
        worst.state,
    )


def _score(watch: Watch, own_days: Sequence[str], drift: Section) -> Value:
    if not watch.predictions:
        return Value(None, "nothing was predicted in the window")
    if len(own_days) < len(watch.predictions):
        return Value(None, "another answered in the place of the champion in the window")
    found = next((m.value for m in drift.metrics if (m.split, m.name) == ("drift", SCORE_JS)), None)
    if found is None or not math.isfinite(found):
        return Value(None, "the champion has no profile of its scores")
    return Value(found)


def _performance(key: str, watch: Watch, own_days: Sequence[str], performance: Section) -> Value:
    """The primary metric over the window, of the champion's own answers."""
    primary = performance.head.get("primary")
    rolling = performance.head.get("rolling")
    if len(own_days) < len(watch.predictions):
        mine = {k: watch.predictions[k] for k in own_days}
        rolling = watch.outcomes.metrics(key, watch.champion, mine, watch.labels)[1].get(str(primary))
    if rolling is None or not math.isfinite(rolling):
        return Value(None, "no labels of the champion's own answers in the window are ripe")
    return Value(float(rolling))


def _finding(verdict: Verdict, worst: Verdict | None) -> Found:
    asked_of, name = verdict.indicator, verdict.indicator.name
    column = (
        f" in column {worst.indicator.name.partition(':')[2]}" if name == PSI and worst is not None else ""
    )
    value = "infinite" if verdict.value is None or math.isinf(verdict.value) else f"{verdict.value:.4g}"
    what = f"{name} is {value}{column}, asked is {asked_of.asked} ({asked_of.severity}): {verdict.response}"
    return Found(what=what, where=f"level {name}", fix=f"See docs/runbooks/{RUNBOOKS.get(name, 'data')}.md.")


def _used_up(name: str, spent: Budget, spec: PipelineSpec) -> Found:
    days = f"{spent.missed} of {spent.days} known days missed it, {spent.allowed:.3g} may"
    frozen = "; promotions are frozen" if spec.levels.freeze_promotions else ""
    return Found(
        what=f"the error budget of {name} is used up: {days}{frozen}",
        where=f"level {name}",
        fix=f"See docs/runbooks/{RUNBOOKS.get(name, 'data')}.md.",
    )


def _strip(days: Sequence[tuple[str, Mapping[str, State]]]) -> dict[str, Any]:
    """States of the newest days as one letter each, for whoever shows them: m(et), x (missed), ? (unknown)."""
    shown = days[-SHOWN:]
    letters: dict[State, str] = {"met": "m", "missed": "x", "unknown": "?"}
    return {
        "from": shown[0][0],
        "to": shown[-1][0],
        "states": {n: "".join(letters[s.get(n, "unknown")] for _, s in shown) for n in shown[-1][1]},
    }


def _sentence(missed: Sequence[Verdict], spent: Sequence[str]) -> str:
    told = [f"**{v.indicator.name}** ({v.response})" for v in missed]
    parts = [f"levels missed: {', '.join(told)}"] if told else []
    parts += [f"error budget used up: {', '.join(spent)}"] if spent else []
    return "; ".join(parts)


def _table(
    verdicts: Sequence[Verdict], left: Mapping[str, Budget], values: Mapping[str, Value]
) -> pd.DataFrame:
    rows = []
    for verdict in verdicts:
        indicator, spent = verdict.indicator, left.get(verdict.indicator.name)
        why = values[indicator.name].why if indicator.name in values and verdict.state == "unknown" else ""
        rows.append(
            {
                "indicator": indicator.name,
                "value": math.nan if verdict.value is None else float(verdict.value),
                "asked": indicator.asked,
                "state": verdict.state,
                "severity": indicator.severity,
                "response": indicator.response,
                "known_days": 0 if spent is None else spent.days,
                "missed_days": 0 if spent is None else spent.missed,
                "allowed_days": math.nan if spent is None else spent.allowed,
                "why": why,
            }
        )
    return pd.DataFrame(rows)


def _finite(value: float | None) -> float | None:
    """A head holds numbers alone: nan, and the ratio to a class without rows, are none."""
    return float(value) if value is not None and math.isfinite(value) else None
