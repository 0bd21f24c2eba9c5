"""What the alarms of a pipeline were like over its recorded history."""

from collections.abc import Collection
from datetime import timedelta

from mlpipe.core.alarming import FalseAlarms, episodes, frequency, recorded
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Heads


def false_alarm_rate(
    spec: PipelineSpec, heads: Heads, keys: Collection[str], quiet: Collection[str] | None = None
) -> FalseAlarms:
    """How often the recorded monitors raised an alarm, per quarter, and its interval at 95%.

    Parameters
    ----------
    heads, keys
        Where monitors are found, and the partitions to look at; those that were not monitored, or not compared, are passed over.
    quiet
        Partitions that are known to have been quiet: an alarm is counted when it opened on one of them. None: all of them, so that the
        rate is that of all alarms, an upper bound of the false ones.

    Notes
    -----
    Alarms are those that were recorded (``drifted`` and ``slices_drifted`` in the head), under the settings of their day. Columns and
    slices whose alarms overlap make one.
    Reads heads alone.
    """
    ordered = sorted(keys, key=lambda k: spec.partitions.window(k).start)
    found = heads.find(f"{spec.name}/monitor", ordered)
    told = {k: found[k].data or {} for k in ordered if k in found}
    days = {
        k: [*d["drifted"], *(f"scores on {n}" for n in d.get("slices_drifted") or ())]
        for k, d in told.items()
        if d.get("drifted") is not None
    }
    calm = [quiet is None or k in quiet for k in days]
    count = sum(calm[first] for first, _ in episodes(recorded(list(days.values()))))
    if spec.partitions.every == "none":
        return frequency(count, 0.0)
    spans = [spec.partitions.window(k) for k, still in zip(days, calm, strict=True) if still]
    return frequency(count, sum((w.end - w.start) / timedelta(days=1) for w in spans))
