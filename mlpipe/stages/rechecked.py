"""How often another contract would have failed days that were fine, before it blocks anything.

A day was *fine* when its contract passed it then and nothing that was seen later speaks against it: `monitor` raised no alarm for it, and
the trailing metric had not fallen by what the retraining policy calls a decline. A day that passed and was never monitored against a
champion is *not judged*: it is counted apart, for nobody knows.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mlpipe.ledger.fold import State
from mlpipe.records.codec import HEAD_DATA, head_of
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import validate
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.frames import usable
from mlpipe.stages.matrix import Tell
from mlpipe.stages.past import Past
from mlpipe.stages.runner import run_stage
from mlpipe.stores.local import LocalBackend
from mlpipe.stores.overlay import Overlay
from mlpipe.stores.store import Store

Standing = Literal["fine", "not_fine", "not_judged"]
JUDGED = ("stable", "drift")
"""Verdicts of `monitor` that say something about a day."""


def rechecked(
    past: Past,
    spec: PipelineSpec,
    keys: Sequence[str],
    scratch: Path,
    *,
    tell: Tell = lambda done, total: None,
) -> dict[str, Any]:
    """What another contract says about each partition that was validated, beside what was said then and what was seen later.

    Parameters
    ----------
    past
        What was recorded.
    spec
        The pipeline with the other contract.
    keys
        Partitions to look at; those that were validated count.
    scratch
        An empty folder for what is made; the store is only read.
    tell
        Hears how many of how many partitions are done.

    Returns
    -------
    dict
        Plain values. ``false_alarms``: fine days, how many of them fail now, the rate in [0, 1] (None without a fine day) and its exact
        95% interval (Clopper and Pearson). ``passed`` is the same of all days that passed then,
        whatever was seen later; ``not_judged`` and ``not_fine`` count the days that are not fine. ``rules``: of each rule that is broken
        on a day that fails, on how many days and on how many fine ones. ``days`` one by one.

    Raises
    ------
    MlpipeError
        What the stage raises, such as a contract that names a suite that there is not.
    """
    raw, before = past.newest("ingest"), past.newest("validate")
    looked = [k for k in keys if k in before and k in raw]
    store = Store(Overlay(past.store.backend, LocalBackend(scratch)))
    days = []
    # A run at a time knows one clock; what a contract says of a day depends on none.
    clock = max((before[k].as_of for k in looked), default=None)
    if clock is not None:
        heads = MemoryHeads([head_of(raw[k]) for k in looked])
        run = Run("backtest", clock, tags=before[looked[0]].tags)
        ctx = Context(store, past.ledger, heads, run, lambda: clock, segment=past.ledger.segment)
        monitored = past.newest("monitor")
        for record in run_stage(validate.STAGE, spec, looked, ctx):
            key = record.partition
            standing, why = _standing(past, before[key], monitored.get(key), past.state)
            days.append(_told(before[key], record, standing, why))
            tell(len(days), len(looked))
    return {
        "pipeline": past.spec.name,
        "ledger": past.ledger.deployment,
        "stretch": [looked[0], looked[-1]] if looked else [],
        "validated": len(looked),
        "false_alarms": _rate([d for d in days if d["standing"] == "fine"]),
        "passed": _rate([d for d in days if d["then"] == "pass"]),
        "not_judged": _rate([d for d in days if d["standing"] == "not_judged"]),
        "not_fine": _rate([d for d in days if d["standing"] == "not_fine"]),
        "rules": _rules(days),
        "days": days,
    }


def _standing(past: Past, then: Record, seen: Record | None, state: State) -> tuple[Standing, str]:
    if not usable(head_of(then)):
        return "not_fine", "its contract did not pass it then"
    if seen is None or seen.verdict not in JUDGED:
        return "not_judged", "it was never monitored against a champion"
    if seen.verdict == "drift":
        return "not_fine", f"drift of {', '.join(seen.data[HEAD_DATA]['drifted'][:3])}"
    fall = _fall(past, seen, state)
    return ("not_fine", fall) if fall else ("fine", "")


def _fall(past: Past, seen: Record, state: State) -> str:
    """By what the trailing metric had fallen since the champion's evaluation, where the policy calls that a decline; else empty."""
    limit = past.spec.retrain.performance if past.spec.retrain is not None else None
    head = seen.data[HEAD_DATA]
    version = state.versions.get(int(head["version"]))
    metrics = version.details.get("metrics") if version is not None else None
    expected = metrics.get(head["primary"]) if isinstance(metrics, dict) else None
    rolling, metric = head.get("rolling"), past.spec.measures.get(head["primary"])
    if limit is None or expected is None or rolling is None or metric is None or not math.isfinite(rolling):
        return ""
    fall = metric.sign * (expected - rolling)
    return f"{head['primary']} had fallen by {fall:.3g}" if fall > limit else ""


def _told(then: Record, now: Record, standing: Standing, why: str) -> dict[str, Any]:
    broken = [
        {"source": source, "rule": rule["name"], "rows": rule["broken"]}
        for source, rules in now.data["rules"].items()
        for rule in rules
        if not rule["success"]
    ]
    return {
        "day": now.partition,
        "then": then.verdict,
        "now": now.verdict,
        "standing": standing,
        "why": why,
        "score": now.data[HEAD_DATA]["score"],
        "broken": broken,
    }


def _rate(days: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many days fail under the other contract, with the exact interval of the rate."""
    failed = sum(d["now"] != "pass" for d in days)
    if not days:
        return {"days": 0, "failed": 0, "rate": None, "low": None, "high": None}
    # scipy is slow to import, and most commands need none.
    from scipy.stats import binomtest

    ends = binomtest(failed, len(days)).proportion_ci(0.95, method="exact")
    return {
        "days": len(days),
        "failed": failed,
        "rate": failed / len(days),
        "low": float(ends.low),
        "high": float(ends.high),
    }


def _rules(days: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules that are broken on days that fail, most often first."""
    counts: dict[tuple[str, str], list[int]] = {}
    for day in days:
        for one in day["broken"] if day["now"] != "pass" else ():
            count = counts.setdefault((one["source"], one["rule"]), [0, 0])
            count[0] += 1
            count[1] += day["standing"] == "fine"
    ordered = sorted(counts.items(), key=lambda c: (-c[1][1], -c[1][0], c[0]))
    return [{"source": s, "rule": r, "days": n, "fine_days": fine} for (s, r), (n, fine) in ordered]
