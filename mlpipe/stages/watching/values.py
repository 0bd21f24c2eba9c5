"""What the service levels of a watched day are asked of: each indicator's value, or why there is none."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from mlpipe.core.sla import DEFAULTS, class_ratio, ratio_by_chance
from mlpipe.records.record import MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import evaluation_of, promise
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import Encoding
from mlpipe.stages.frames import KNOWN, ROW, TIME
from mlpipe.stages.indicators import Value, own, share_of, visible
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch
from mlpipe.stores.store import Store

SCORE_JS, PERFORMANCE, FALL = "score_js", "performance", "performance_fall"


def values_of(
    spec: PipelineSpec,
    key: str,
    watch: Watch,
    by_others: Sequence[str],
    then: MetricValue | None,
    drift: Section,
    performance: Section,
    ctx: Context,
) -> dict[str, Value]:
    """What the day itself, its labels, and the sections of drift and performance tell.

    Parameters
    ----------
    by_others
        Days of the window that another than the champion answered.
    then
        The primary metric at the champion's evaluation.
    """
    own_days = [k for k in watch.predictions if k not in by_others]
    realised, bounds = _realised(key, watch, own_days, performance)
    return {
        **_labels(spec, watch, ctx),
        SCORE_JS: _score(watch, own_days, drift),
        PERFORMANCE: realised,
        FALL: _fall(then, realised, bounds),
        **own(spec, key, _frames(spec, key, watch, ctx), early=False),
    }


def promised(spec: PipelineSpec, watch: Watch, ctx: Context) -> MetricValue | None:
    """The primary metric of the version at its evaluation, with its interval; None where that is not recorded."""
    record = evaluation_of(spec, watch.champion, ctx)
    return promise(record, spec.measures.primary(watch.champion.bundle.task).name)


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
        totals = [sum(day) for day in zip(*counts, strict=True)]
        chance = ratio_by_chance(totals, DEFAULTS["class_ratio"].limit)
        ratio = Value(class_ratio(totals), chance=chance)
    return {"label_coverage": share_of("label_coverage", labelled / rows, rows), "class_ratio": ratio}


@lru_cache(maxsize=512)
def _counts(store: Store, labels: str, name: str, task: str, classes: tuple[object, ...]) -> tuple[int, ...]:
    """Rows of each class in a table of labels, which never changes: nights of one window count the same days."""
    numbers = Encoding(task, classes).encode(store.get_table(labels, columns=[name])[name])
    known = numbers[np.isfinite(numbers)].astype("int64")
    return tuple(int(n) for n in np.bincount(known, minlength=len(classes)))


def _score(watch: Watch, own_days: Sequence[str], drift: Section) -> Value:
    if not watch.predictions:
        return Value(None, "nothing was predicted in the window")
    if len(own_days) < len(watch.predictions):
        return Value(None, "another answered in the place of the champion in the window")
    found = next((m.value for m in drift.metrics if (m.split, m.name) == ("drift", SCORE_JS)), None)
    if found is None or not math.isfinite(found):
        return Value(None, "the champion has no profile of its scores")
    chance = drift.data.get("score_chance")
    return Value(found, chance=0.0 if chance is None else float(chance))


def _realised(
    key: str, watch: Watch, own_days: Sequence[str], performance: Section
) -> tuple[Value, tuple[float | None, float | None]]:
    """The primary metric over the window, of the champion's own answers, and its interval."""
    primary = str(performance.head.get("primary"))
    rolling = performance.head.get("rolling")
    bounds = (performance.head.get("rolling_low"), performance.head.get("rolling_high"))
    if len(own_days) < len(watch.predictions):
        mine = {k: watch.predictions[k] for k in own_days}
        rolling = watch.outcomes.metrics(key, watch.champion, mine, watch.labels)[1].get(primary)
        found = watch.outcomes.bounds(primary, watch.champion, mine, watch.labels)
        bounds = (None, None) if found is None else (found.low, found.high)
    if rolling is None or not math.isfinite(rolling):
        return Value(None, "no labels of the champion's own answers in the window are ripe"), (None, None)
    return Value(float(rolling)), bounds


def _fall(
    then: MetricValue | None,
    now: Value,
    bounds: tuple[float | None, float | None],
) -> Value:
    """How far the metric fell below the evaluation, in widths of its interval there: from 1 on two intervals as wide part.

    A fall is no question of chance once the interval of the window excludes what the evaluation found.
    """
    if now.number is None:
        return Value(None, now.why)
    if then is None or then.low is None or then.high is None or not then.high > then.low:
        return Value(None, "no interval of the metric at the version's evaluation is recorded")
    sign = -1.0 if then.better == "lower" else 1.0
    nearest = bounds[1] if sign > 0 else bounds[0]
    apart = nearest is not None and math.isfinite(nearest) and sign * (then.value - nearest) > 0
    return Value(sign * (then.value - now.number) / (then.high - then.low), chance=0.0 if apart else 1.0)
