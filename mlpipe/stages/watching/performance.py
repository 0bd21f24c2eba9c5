"""How well predictions did, once labels are ripe: on this partition, and over the window."""

import math
from collections.abc import Mapping

from mlpipe.errors import MlpipeError
from mlpipe.records.record import Found, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.outcomes import Realised
from mlpipe.stages.refresh import ripe_id
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch


def section(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Section:
    """Realised metrics of the partition and of the window."""
    measures, task = spec.measures, watch.champion.bundle.task
    primary = measures.primary(task).name
    made = watch.outcomes.metrics(key, watch.champion, watch.predictions, watch.labels)
    bounds = watch.outcomes.bounds(primary, watch.champion, watch.predictions, watch.labels)
    low, high = (None, None) if bounds is None else (_known(bounds.low), _known(bounds.high))
    splits = {"realised": made.day, "rolling": made.window}
    # The primary metric first: pages show the first few.
    found = sorted(
        ((n, split, v) for split, values in splits.items() for n, v in values.items()),
        key=lambda one: one[0] != primary,
    )
    return Section(
        metrics=tuple(
            MetricValue(name=n, value=v, better=measures.of(n).better, split=split, low=low, high=high)
            if (split, n) == ("rolling", primary)
            else MetricValue(name=n, value=v, better=measures.of(n).better, split=split)
            for n, split, v in found
        ),
        findings=tuple(_failed(name, error) for name, error in made.failed.items()),
        data={"labelled_days": made.days},
        head={
            "truth": ripe_id(watch.labels.get(watch.keys[-1])),
            "primary": primary,
            "realised": made.day.get(primary),
            "rolling": made.window.get(primary),
            "rolling_low": low,
            "rolling_high": high,
        },
        sentence=_sentence(primary, made),
    )


def _failed(name: str, error: MlpipeError) -> Found:
    """A metric of the user's own that has no value on this partition; what else is watched is told all the same."""
    return Found(
        what=error.what, where=", ".join(w for w in (f"metric {name}", error.where) if w), fix=error.fix
    )


def _sentence(primary: str, made: Realised) -> str:
    if not made.ripe:
        return "labels not ripe yet"
    return f"{primary} {_shown(made.day, primary)} this partition, {_shown(made.window, primary, '')} over the window"


def _shown(values: Mapping[str, float], name: str, mark: str = "**") -> str:
    return f"{mark}{values[name]:.4g}{mark}" if name in values else "undefined"


def _known(value: float) -> float | None:
    """Facts hold no nan."""
    return value if math.isfinite(value) else None
