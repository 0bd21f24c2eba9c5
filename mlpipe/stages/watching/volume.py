"""How many rows a day brought, against what is usual on such a day: the same weekday of the weeks before."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mlpipe.core.sla import Usual, usual
from mlpipe.records.codec import Head
from mlpipe.records.record import Input
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.indicators import Value

VOLUME, USUAL = "volume", "usual"
WEEKS, LEAST = 8, 4
"""So many weeks (of longer partitions: so many partitions) back are looked at, and so many of them must be recorded."""


def volume(spec: PipelineSpec, key: str, ctx: Context) -> tuple[Value, dict[str, Any], tuple[Input, ...]]:
    """Rows of the primary source that keep the contract, the smaller over the greater of today's and the usual; the facts; what was seen.

    The usual is the median of the same weekday (and hour) in the weeks before, of weeks and months that of the partitions before. A day
    that failed validation, or is not recorded, is no measure for others.
    """
    keys = alike(spec, key)
    heads = ctx.heads.find(f"{spec.name}/validated", [*keys, key])
    counts = {
        k: n
        for k in keys
        if k in heads and heads[k].verdict == "pass" and (n := _rows(spec, heads[k])) is not None
    }
    today = _rows(spec, heads[key]) if key in heads else None
    seen = tuple(heads[k].compared(USUAL) for k in counts)
    if today is None:
        return Value(None, "not validated"), {}, ()
    if len(counts) < LEAST:
        return Value(None, f"fewer than {LEAST} such days before it are recorded"), {}, seen
    found = usual(list(counts.values()))
    if found.median <= 0:
        return Value(None, "no rows are usual on such a day"), {}, seen
    return (
        _compared(today, found, len(counts)),
        {"rows": today, "usual": found.median, "days": list(counts)},
        seen,
    )


def _compared(today: int, found: Usual, days: int) -> Value:
    low, high = sorted((float(today), found.median))
    return Value(low / high, chance=found.chance(today))


def _rows(spec: PipelineSpec, head: Head) -> int | None:
    counts: Mapping[str, Mapping[str, int]] = (head.data or {}).get("rows") or {}
    if spec.primary not in counts:
        return None
    return counts[spec.primary]["kept"] + counts[spec.primary].get("repaired", 0)


def alike(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    """Earlier partitions that are like one: of days and hours those of the same weekday and hour by the pipeline's own clock."""
    calendar = spec.partitions
    if calendar.every == "none":
        return ()
    if UNITS[calendar.every] > timedelta(days=1):
        return calendar.before(key, WEEKS)
    local = calendar.window(key).start.astimezone(calendar.zone)
    starts = [local - timedelta(weeks=n) for n in range(WEEKS, 0, -1)]
    return tuple(dict.fromkeys(calendar.key_at(s) for s in starts if s >= calendar.first))
