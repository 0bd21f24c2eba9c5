"""What followed from other decisions: how production would have scored, by the model-by-day matrix."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from mlpipe.core.bootstrap import paired
from mlpipe.core.metrics import Metric, Scored
from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import fold
from mlpipe.stages.counterfactual import Case, Counterfactual, Ruled
from mlpipe.stages.hindsight import metric_of, pooled, together
from mlpipe.stages.matrix import Matrix, Tell, joined
from mlpipe.stages.past import Past


@dataclass(frozen=True)
class Served:
    """Which model scored a day: number of its version, and its bundle. None before there was one."""

    version: int | None
    bundle: str | None


def served(entries: Sequence[Entry], at: datetime) -> Served:
    """The champion at a moment on the clock of the data."""
    champion = fold(entries, as_of=at).champion
    return Served(None, None) if champion is None else Served(champion.number, champion.bundle)


def compared(
    past: Past,
    other: Counterfactual,
    cases: Sequence[Case],
    keys: Sequence[str],
    *,
    metric: Metric | None = None,
    tell: Tell = lambda done, total: None,
) -> dict[str, Any]:
    """Both pasts side by side, in plain values.

    Parameters
    ----------
    past, other, cases
        What was recorded, and what the other policy decided about each candidate.
    keys
        Partitions over which production is scored; those with ripe labels count.
    metric
        Default: the one that the pipeline's models are chosen by.

    Returns
    -------
    dict
        ``cases`` one by one with what followed: the candidate beside the champion of then on the days until the next candidate.
        ``production``: the metric of whichever model each policy would have had on each day, over all rows, with the difference (positive:
        the other policy is better) and its 95% interval, in which days are resampled. ``months`` and ``timeline`` are the same by month
        and day.
    """
    matrix = Matrix(past, keys)
    moments = {k: r.as_of for k, r in past.first("predict").items()}
    by = metric or matrix.primary(past.models())
    assert by is not None or not cases
    entries = past.ledger.entries(), other.ledger.entries()
    at = {k: moments.get(k, past.spec.partitions.window(k).end) for k in matrix.days}
    days = {k: (served(entries[0], at[k]), served(entries[1], at[k])) for k in matrix.days}
    spans = _spans(cases, at)
    bundles = {v.number: v.bundle for v in past.state.versions.values()}
    pairs = {(s.bundle, k) for k, both in days.items() for s in both if s.bundle is not None}
    for case, span in zip(cases, spans, strict=True):
        rivals = (str(case.registered.bundle), bundles.get(case.then.champion or 0))
        pairs |= {(b, k) for b in rivals if b is not None for k in span}
    order = {k: i for i, k in enumerate(matrix.days)}
    matrix.fill(sorted(pairs, key=lambda p: (p[0], order[p[1]])), tell)
    both = {k: (_part(matrix, a, k), _part(matrix, b, k)) for k, (a, b) in days.items()}
    return {
        "pipeline": past.spec.name,
        "ledger": past.ledger.deployment,
        "metric": by.name if by else None,
        "better": by.better if by else "",
        "stretch": [keys[0], keys[-1]] if keys else [],
        "cases": [_told(c, span, matrix, bundles, by) for c, span in zip(cases, spans, strict=True)],
        "by_hand": [
            {
                "kind": t.entry.kind,
                "actor": t.entry.actor,
                "at": t.entry.effective_at.isoformat(),
                "why": t.why,
            }
            for t in other.told
        ],
        "production": production(both, by, past.spec.bootstrap, past.spec.seed) if by else None,
        "months": _months(past, both, by) if by else [],
        "timeline": [
            {
                "day": k,
                "at": at[k].isoformat(),
                "then": days[k][0].version,
                "now": other.recorded(days[k][1].version),
                "value_then": _value(both[k][0], by),
                "value_now": _value(both[k][1], by),
            }
            for k in matrix.days
        ],
    }


def _spans(cases: Sequence[Case], at: dict[str, datetime]) -> list[list[str]]:
    """Of each case the days from its decision until the next one: those that its model would have scored."""
    starts = [c.registered.effective_at for c in cases]
    spans = []
    for i, start in enumerate(starts):
        end = next((s for s in starts[i + 1 :] if s > start), None)
        spans.append([k for k, moment in at.items() if start < moment and (end is None or moment <= end)])
    return spans


def _part(matrix: Matrix, who: Served, key: str) -> Scored | None:
    return None if who.bundle is None else matrix.scored(who.bundle, key)


def _value(part: Scored | None, by: Metric | None) -> float | None:
    return None if part is None or by is None else metric_of(part, by)


def _told(
    case: Case, span: Sequence[str], matrix: Matrix, bundles: dict[int, str], by: Metric | None
) -> dict[str, Any]:
    entry = case.registered
    rival = bundles.get(case.then.champion or 0)
    ours = [matrix.scored(str(entry.bundle), k) for k in span]
    theirs = [matrix.scored(rival, k) if rival else None for k in span]
    met = [
        (a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and (b is not None or not rival)
    ]
    return {
        "version": entry.version,
        "partition": entry.logical_date,
        "at": entry.effective_at.isoformat(),
        "trigger": entry.trigger,
        "inject": entry.details.get("inject", ""),
        "champion": case.then.champion,
        "then": _ruled(case.then),
        "now": _ruled(case.now),
        "same": case.same,
        "followed": {
            "days": len(met),
            "rows": sum(len(a.y) for a, _ in met),
            "candidate": _joined([a for a, _ in met], by),
            "champion": _joined([b for _, b in met if b is not None], by),
        },
    }


def _ruled(ruled: Ruled) -> dict[str, Any]:
    return {
        "verdict": ruled.verdict,
        "champion": ruled.champion,
        "failed": list(ruled.failed),
        "gates": [g.to_dict() for g in ruled.gates],
        "reasons": list(ruled.reasons),
    }


def _joined(parts: Sequence[Scored], by: Metric | None) -> float | None:
    return metric_of(joined(parts), by) if parts and by else None


Both = dict[str, tuple[Scored | None, Scored | None]]


def production(both: Both, by: Metric, resamples: int, seed: int) -> dict[str, Any]:
    """Production under both policies, over the rows of all days on which both had a model of the same classes."""
    found = [
        (a, b)
        for a, b in both.values()
        if a is not None and b is not None and a.classes == b.classes and np.array_equal(a.y, b.y)
    ]
    told: dict[str, Any] = {"days": len(found), "rows": sum(len(a.y) for a, _ in found)}
    if not found:
        return {**told, "then": None, "now": None, "difference": None, "low": None, "high": None, "note": ""}
    then, now = together([a for a, _ in found], by), together([b for _, b in found], by)
    blocks = np.repeat(np.arange(len(found)), [len(a.y) for a, _ in found])
    pair = paired(now, then, by, blocks, resamples=resamples, seed=seed)
    return {
        **told,
        "then": metric_of(then, by),
        "now": metric_of(now, by),
        "difference": _finite(pair.difference),
        "low": _finite(pair.low),
        "high": _finite(pair.high),
        "note": pair.note,
    }


def _months(past: Past, both: Both, by: Metric) -> list[dict[str, Any]]:
    months: dict[str, list[tuple[Scored | None, Scored | None]]] = {}
    zone = past.spec.partitions.zone
    for key, pair in both.items():
        month = f"{past.spec.partitions.window(key).start.astimezone(zone):%Y-%m}"
        months.setdefault(month, []).append(pair)
    pick: tuple[Callable[[Any], Any], Callable[[Any], Any]] = (lambda p: p[0], lambda p: p[1])
    out = []
    for month, pairs in months.items():
        then, now = ([x for x in map(side, pairs) if x is not None] for side in pick)
        if not (then or now):
            continue
        out.append(
            {
                "month": month,
                "then": pooled(then, by),
                "now": pooled(now, by),
                "rows": sum(len(p.y) for p in then),
            }
        )
    return out


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
