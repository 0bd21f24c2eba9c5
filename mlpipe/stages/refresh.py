"""Which earlier partitions a night does again: those whose labels ripened or were corrected, and no others.

Both questions are asked of the records alone. So a night that was killed, or failed, is made up for by the next.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

from mlpipe.records.codec import Head, coerce
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.outcomes import RIPE

PATIENCE = 31
"""So many partitions longer than labels take to ripen, a night looks back: failed nights are made up for."""


def again(spec: PipelineSpec, asset: str, key: str, ctx: Context) -> dict[str, Head]:
    """Earlier partitions that the night of partition `key` does again, with what stands there now; by asset (its last name)."""
    find = REFRESHED.get(asset)
    if find is None or spec.partitions.every == "none":
        return {}
    return find(spec, key, ctx)


def labels(spec: PipelineSpec, key: str, ctx: Context) -> dict[str, Head]:
    """Partitions of which labels may have become known since they were last looked at."""
    heads = ctx.heads.find(f"{spec.name}/labels", _earlier(spec, key))
    return {
        k: head
        for k, head in heads.items()
        if head.verdict == "unripe"
        and spec.partitions.window(k).start + spec.label.available_after < ctx.run.as_of
    }


def monitor(spec: PipelineSpec, key: str, ctx: Context) -> dict[str, Head]:
    """Partitions that were judged on other labels than those that are ripe now."""
    keys = _earlier(spec, key)
    truth = ctx.heads.find(f"{spec.name}/labels", keys)
    heads = ctx.heads.find(f"{spec.name}/monitor", keys)
    return {
        k: head
        for k, head in heads.items()
        if head.data
        and head.data.get("version") is not None
        and head.data.get("truth") != ripe_id(truth.get(k))
    }


def ripe_id(head: Head | None) -> str | None:
    """Id of a partition's labels once they are ripe."""
    if head is None or head.verdict != RIPE or "labels" not in head.outputs:
        return None
    return head.outputs["labels"].id


def unchanged(before: Head, after: Head) -> bool:
    """Whether doing a partition again gave what was there."""
    ids = [{name: o.id for name, o in head.outputs.items()} for head in (before, after)]
    return ids[0] == ids[1] and before.verdict == after.verdict and before.data == coerce(after.data)


def _earlier(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    label, unit = spec.label, UNITS[spec.partitions.every]
    ripening = label.available_after + (label.horizon if label.source is not None else timedelta(0))
    return spec.partitions.before(key, -(-ripening // unit) + PATIENCE)


REFRESHED: Mapping[str, Callable[[PipelineSpec, str, Context], dict[str, Head]]] = {
    "labels": labels,
    "monitor": monitor,
}
