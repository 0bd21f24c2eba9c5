"""Service levels of a watched day: each indicator's value and state, what is done about a miss, and what is left of the error budgets.

What was known before the day was scored was asked there (`mlpipe.stages.serving`), and is read from the head of its predictions. All else
is asked here, of what the other sections found. The verdict of the monitor is not touched: a level that is missed shows in the record, in
the check ``service_levels`` and in an alert.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from mlpipe.core.distances import MAJOR
from mlpipe.core.sla import Budget, Indicator, State, Verdict, judged
from mlpipe.records.codec import digest
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.indicators import Day, Value, asked, before, budgets, history
from mlpipe.stages.runner import stored
from mlpipe.stages.watching.clocked import told_by_clock
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch
from mlpipe.stages.watching.values import FALL, PERFORMANCE, SCORE_JS, promised, values_of
from mlpipe.stages.watching.volume import VOLUME, volume

PSI = "psi"
NOT_ASKED = Value(None, "not asked before scoring")
RUNBOOKS: Mapping[str, str] = {
    PSI: "drift",
    SCORE_JS: "drift",
    PERFORMANCE: "performance",
    FALL: "performance",
}
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
        Values and states that were asked before the day was scored, and its volume.
    clocked
        What the run's clock tells: hours since the newest rows, labels that are late.
    volume
        Rows of the day, what is usual, and the days that tell it.
    served
        Who answered on the day, and why, where it was not simply the champion.
    by_others
        Partitions of the window that were answered by another than the champion.
    promised
        The primary metric at the champion's evaluation.
    read
        Heads that were read for it.
    """

    before: tuple[Day, ...] = ()
    today: Mapping[str, Value] = field(default_factory=dict)
    clocked: Mapping[str, Value] = field(default_factory=dict)
    volume: Mapping[str, Any] = field(default_factory=dict)
    served: Mapping[str, Any] = field(default_factory=dict)
    by_others: tuple[str, ...] = ()
    promised: MetricValue | None = None
    read: tuple[Input, ...] = ()

    def params(self, spec: PipelineSpec) -> dict[str, Any]:
        """What of it decides the result of watching the day, and what is asked."""
        then = self.promised
        return {
            "asked": {n: [str(i), i.severity, i.response, i.named] for n, i in asked(spec).items()},
            "budget": spec.levels.budget.model_dump(mode="json"),
            "before": digest([d.plain() for d in self.before]),
            "today": {n: [v.number, v.chance] for n, v in {**self.today, **self.clocked}.items()},
            "volume": self.volume,
            "by_others": self.by_others,
            "promised": None if then is None else [then.value, then.low, then.high],
        }


def known(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Known:
    """What is known of partition `key`."""
    heads = ctx.heads.find(f"{spec.name}/predictions", list(dict.fromkeys((*watch.keys, key))))
    day = (heads[key].data or {}) if key in heads else {}
    served = {k: (h.data or {}).get("served") or {} for k, h in heads.items()}
    why = day.get("unknown") or {}
    seen = heads[key].seen() if key in heads else None
    days = history(spec, before(spec, key), ctx)
    rows, facts, alike = volume(spec, key, ctx)
    clocked, due = told_by_clock(spec, key, watch.champion, heads, ctx)
    return Known(
        before=days,
        today={
            # What was in doubt then is in doubt.
            **{
                n: Value(value, why.get(n, ""), float(state == "unknown"))
                for n, (value, state) in (day.get("levels") or {}).items()
            },
            VOLUME: rows,
        },
        clocked=clocked,
        volume=facts,
        served=served.get(key, {}),
        by_others=tuple(k for k, who in served.items() if who.get("by", "champion") != "champion"),
        promised=promised(spec, watch, ctx),
        read=(*(() if seen is None else (seen,)), *(d.read for d in days), *alike, *due),
    )


def section(
    spec: PipelineSpec,
    key: str,
    watch: Watch,
    told: Known,
    drift: Section,
    performance: Section,
    others: Mapping[str, Value],
    ctx: Context,
) -> Section:
    """The section of the levels, from what is known beforehand and what other sections found; `others` are skew and business metrics."""
    found = {
        **others,
        **told.today,
        **told.clocked,
        **values_of(spec, key, watch, told.by_others, told.promised, drift, performance, ctx),
    }
    verdicts, columns, worst = _verdicts(spec, asked(spec, watch.champion.bundle.task), found, drift)
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
            "levels_unknown": {
                n: why for n, state in states.items() if state == "unknown" and (why := _why(n, found, worst))
            },
            **({"volume": dict(told.volume)} if told.volume else {}),
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
        outputs=(stored(ctx.store, "levels", _table([*verdicts, *columns], left, found, worst)),)
        if verdicts
        else (),
        sentence=_sentence(missed, spent),
    )


def _verdicts(
    spec: PipelineSpec, indicators: Mapping[str, Indicator], found: Mapping[str, Value], drift: Section
) -> tuple[list[Verdict], list[Verdict], Verdict | None]:
    """Verdicts on what is asked, on every watched column, and on the column that decides."""
    values = {n: found.get(n, NOT_ASKED) for n in indicators if n != PSI}
    chances = {n: v.chance for n, v in values.items()}
    verdicts = list(judged({n: v.number for n, v in values.items()}, indicators, chances=chances))
    columns = _columns(spec, indicators, drift)
    worst = max(
        columns, key=lambda v: (v.state == "missed", (v.value or 0.0) / v.indicator.limit), default=None
    )
    if PSI in indicators:
        verdicts.append(_whole(indicators[PSI], worst))
    return verdicts, columns, worst


def _why(name: str, found: Mapping[str, Value], worst: Verdict | None) -> str:
    """Why an indicator is unknown."""
    if name == PSI or name.startswith(f"{PSI}:"):
        if worst is None:
            return "no column is watched"
        return "no rows to compare" if worst.value is None else "so few rows that chance alone gives as much"
    value = found.get(name, NOT_ASKED)
    return value.why or value.doubt


def _columns(spec: PipelineSpec, indicators: Mapping[str, Indicator], drift: Section) -> list[Verdict]:
    """A verdict for each watched column. A limit of the user's holds for all; else each has its own, or 0.25."""
    level = spec.levels.psi
    if level is None or PSI not in indicators:
        return []
    limits: Mapping[str, Any] = drift.data.get("thresholds") or {}
    psis = {m.name: m.value for m in drift.metrics if m.split == PSI}
    chances: Mapping[str, float | None] = drift.data.get("chances") or {}
    calibrated = {n: float(limits[n]) if limits[n] else MAJOR for n in limits} if level.limit is None else {}
    watched = {f"{PSI}:{n}": psis.get(n) for n in limits}
    by_chance = {f"{PSI}:{n}": chances.get(n) or 0.0 for n in limits}
    return list(judged(watched, indicators, psi_limits=calibrated, chances=by_chance))


def _whole(indicator: Indicator, worst: Verdict | None) -> Verdict:
    """The verdict on the PSI as a whole: that of the column furthest beyond, or nearest to, its own limit."""
    if worst is None:
        return Verdict(indicator, None, "unknown")
    return Verdict(replace(indicator, limit=worst.indicator.limit), worst.value, worst.state)


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
    verdicts: Sequence[Verdict],
    left: Mapping[str, Budget],
    found: Mapping[str, Value],
    worst: Verdict | None,
) -> pd.DataFrame:
    rows = []
    for verdict in verdicts:
        indicator, spent = verdict.indicator, left.get(verdict.indicator.name)
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
                "why": _why(indicator.name, found, worst) if verdict.state == "unknown" else "",
            }
        )
    return pd.DataFrame(rows)


def _finite(value: float | None) -> float | None:
    """A head holds numbers alone: nan, and the ratio to a class without rows, are none."""
    return float(value) if value is not None and math.isfinite(value) else None
