"""How well predictions did, once labels are ripe: on this partition, and over the window."""

import math

from mlpipe.core.metrics import METRICS
from mlpipe.records.record import MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.judging.asked import names_of
from mlpipe.stages.refresh import ripe_id
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch


def section(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Section:
    """Realised metrics of the partition and of the window."""
    primary = names_of(spec, watch.champion.bundle.task)[0]
    realised, rolling, days = watch.outcomes.metrics(key, watch.champion, watch.predictions, watch.labels)
    splits = {"realised": realised, "rolling": rolling}
    bounds = watch.outcomes.bounds(primary, watch.champion, watch.predictions, watch.labels)
    low, high = (None, None) if bounds is None else (_known(bounds.low), _known(bounds.high))
    found = [(n != primary, split, n, v) for split, values in splits.items() for n, v in values.items()]
    return Section(
        # The primary metric first: pages show the first few.
        metrics=tuple(
            MetricValue(name=n, value=v, better=METRICS[n].better, split=split, low=low, high=high)
            if (split, n) == ("rolling", primary)
            else MetricValue(name=n, value=v, better=METRICS[n].better, split=split)
            for _, split, n, v in sorted(found, key=lambda f: f[0])
        ),
        data={"labelled_days": days},
        head={
            "truth": ripe_id(watch.labels.get(watch.keys[-1])),
            "primary": primary,
            "realised": realised.get(primary),
            "rolling": rolling.get(primary),
            "rolling_low": low,
            "rolling_high": high,
        },
        sentence=f"{primary} **{realised[primary]:.4g}** this partition, {rolling[primary]:.4g} over the window"
        if realised
        else "labels not ripe yet",
    )


def _known(value: float) -> float | None:
    """Facts hold no nan."""
    return value if math.isfinite(value) else None
