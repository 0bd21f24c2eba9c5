"""What the run's clock tells of a day: how old the newest rows are, and which labels are late.

Told on the newest partition of that clock alone: an older one is made late by whoever makes it late, and says nothing about the source. One
that is watched again keeps what was told when it was the newest.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from mlpipe.records.codec import Head
from mlpipe.records.record import Input
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.indicators import Value
from mlpipe.stages.watching.overdue import OVERDUE, labels_overdue

AGE = "age_hours"


def told_by_clock(
    spec: PipelineSpec, key: str, champion: Champion, predictions: Mapping[str, Head], ctx: Context
) -> tuple[dict[str, Value], tuple[Input, ...]]:
    """Age of the newest rows and share of late labels, and what was seen for them; `predictions` are those of the window."""
    if not _newest(spec, key, ctx):
        head = ctx.heads.find(f"{spec.name}/monitor", [key]).get(key)
        told = ((head.data or {}).get("levels") or {}) if head is not None else {}
        return {n: _kept(told.get(n)) for n in (AGE, OVERDUE)}, ()
    late, seen = labels_overdue(spec, champion, ctx)
    return {AGE: _age(predictions, ctx.run.as_of), OVERDUE: late}, seen


def _newest(spec: PipelineSpec, key: str, ctx: Context) -> bool:
    if spec.partitions.every == "none":
        return True
    window = spec.partitions.window(key)
    return window.start <= ctx.run.as_of < window.end + UNITS[spec.partitions.every]


def _kept(told: tuple[float | None, str] | None) -> Value:
    if told is None or told[0] is None:
        return Value(None, "another partition was the newest at the run's clock")
    return Value(float(told[0]), chance=float(told[1] == "unknown"))


def _age(predictions: Mapping[str, Head], now: datetime) -> Value:
    """Hours from the newest rows to the run's clock; where a day has no rows, from the newest row before it."""
    times = [t for h in predictions.values() if (t := (h.data or {}).get("newest"))]
    if not times:
        return Value(None, "no rows with a time in the window")
    newest = max(datetime.fromisoformat(t) for t in times)
    return Value(max(0.0, (now - newest) / timedelta(hours=1)))
