"""How well predictions are expected to do, before their labels are there (CBPE, `mlpipe.core.estimated`): the partition, and the window.

What scores are worth is learned from the rows that the version was judged on, by the record of its evaluation; blocks are partitions.
Only answers of that version are estimated, for the scores of another mean something else.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from mlpipe.core.costs import cost
from mlpipe.core.estimated import NAMES, Estimated, Estimator, learned
from mlpipe.core.scored import Scored
from mlpipe.records.record import Input, MetricValue, Output, Record
from mlpipe.spec.measures import COST
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, evaluation_of
from mlpipe.stages.context import Context
from mlpipe.stages.frames import DAY, stacked
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch
from mlpipe.stores.store import Store

RESAMPLES = 400
SCORE = "score"


def inputs(spec: PipelineSpec, watch: Watch, ctx: Context) -> tuple[Input, ...]:
    """The rows that the champion was judged on; nothing where there is no estimate."""
    if reason(spec, watch):
        return ()
    record = _evaluation(spec, watch.champion, ctx)
    return (
        Input(
            asset=record.asset,
            partition=record.partition,
            record=record.id,
            name="scored",
            id=_scored(record).id,
            rows=_scored(record).rows,
        ),
    )


def section(spec: PipelineSpec, key: str, watch: Watch, ctx: Context, performance: Section) -> Section:
    """Estimates of the partition and of the window, and how far they were off where labels are ripe."""
    why = reason(spec, watch)
    if why:
        return Section(data={"estimated": {"why": why}})
    primary = spec.measures.primary(watch.champion.bundle.task).name
    names = [n for n in spec.measures.names("binary") if _estimable(spec, n, watch.champion)]
    days = own_days(watch)
    estimator = _estimator(
        spec, ctx.store, _scored(_evaluation(spec, watch.champion, ctx)).id, watch.champion
    )
    found = {
        "day": _of(estimator, [key] if key in days else [], watch, names, spec.seed, ctx),
        "window": _of(estimator, days, watch, names, spec.seed, ctx),
    }
    truth = {"day": performance.head.get("realised"), "window": _rolling(key, watch, days, primary)}
    told = {span: _told(estimates.get(primary), truth[span]) for span, estimates in found.items()}
    today = told["day"]
    return Section(
        metrics=tuple(
            MetricValue(
                name=n,
                value=e.value,
                low=_known(e.low),
                high=_known(e.high),
                better=spec.measures.of(n).better,
                split=split,
            )
            for span, split in (("day", "estimated"), ("window", "estimated_window"))
            for n, e in found[span].items()
        ),
        data={"estimated": {"metric": primary, "blocks": estimator.blocks, **told}},
        head={
            "estimated": today["value"],
            "estimated_low": today["low"],
            "estimated_high": today["high"],
            "estimated_window": [told["window"][n] for n in ("value", "low", "high", "realised")],
        },
        sentence=_sentence(primary, today),
    )


def reason(spec: PipelineSpec, watch: Watch) -> str:
    """Why there is no estimate; empty where there is one."""
    bundle = watch.champion.bundle
    primary = spec.measures.primary(bundle.task).name
    if bundle.task != "binary":
        return f"not estimated: confidence tells how well a binary model does, and this one is {bundle.task}"
    if not _estimable(spec, primary, watch.champion):
        own = ", and one of your own" if primary in spec.measures.own else ""
        return f"not estimated: {primary} is the primary metric{own}; what can be estimated is {', '.join((*NAMES, COST))}"
    if not own_days(watch):
        return "not estimated: the champion answered on no day of the window"
    return ""


def _estimable(spec: PipelineSpec, name: str, champion: Champion) -> bool:
    """Whether there is an estimate of this metric: labels come from scores by a threshold alone."""
    return name in (*NAMES, *([COST] if spec.cost is not None else [])) and (
        spec.measures.of(name).needs != "label" or champion.bundle.threshold is not None
    )


def own_days(watch: Watch) -> list[str]:
    """Days of the window that the version itself answered: not another one, and nothing that stood in for it."""
    told = {k: h.data or {} for k, h in watch.predictions.items()}
    return [k for k, d in told.items() if d.get("version") == watch.champion.number and not d.get("served")]


def _evaluation(spec: PipelineSpec, champion: Champion, ctx: Context) -> Record:
    """The record on which the version was let into the ledger."""
    record = evaluation_of(spec, champion, ctx)
    assert record is not None
    return record


def _scored(evaluation: Record) -> Output:
    return next(o for o in evaluation.outputs if o.name == "scored")


@lru_cache(maxsize=4)
def _learned(
    store: Store, scored: str, threshold: float | None, classes: tuple[Any, ...], costs: str, seed: int
) -> Estimator:
    """Once a process: every day that a version is watched asks for the same."""
    rows = store.get_table(scored, columns=[DAY, "y", SCORE])
    return learned(
        Scored(rows["y"].to_numpy(), rows[SCORE].to_numpy(), threshold, classes),
        rows[DAY].to_numpy(),
        seed=seed,
        more=[cost(json.loads(costs), COST)] if costs else (),
    )


def _estimator(spec: PipelineSpec, store: Store, scored: str, champion: Champion) -> Estimator:
    costs = "" if spec.cost is None else json.dumps(spec.cost)
    bundle = champion.bundle
    return _learned(store, scored, bundle.threshold, tuple(bundle.classes), costs, spec.seed)


def _of(
    estimator: Estimator, days: Sequence[str], watch: Watch, names: Sequence[str], seed: int, ctx: Context
) -> dict[str, Estimated]:
    """Estimates of some days together, by metric; nothing where they have no rows."""
    frames = [
        ctx.store.get_table(watch.predictions[k].outputs["predictions"].id, columns=[SCORE]).assign(
            **{DAY: k}
        )
        for k in days
    ]
    if not sum(map(len, frames)):
        return {}
    rows = stacked(frames)
    return estimator.estimate(
        rows[SCORE].to_numpy(), rows[DAY].to_numpy(), names=names, resamples=RESAMPLES, seed=seed
    )


def _rolling(key: str, watch: Watch, days: Sequence[str], primary: str) -> float | None:
    """What the same days came to; None until the labels of all of them are ripe."""
    if any(k not in watch.labels or watch.labels[k].verdict != "ripe" for k in days):
        return None
    mine = {k: watch.predictions[k] for k in days}
    return watch.outcomes.metrics(key, watch.champion, mine, watch.labels)[1].get(primary)


def _told(found: Estimated | None, truth: float | None) -> dict[str, Any]:
    """An estimate and, once it is known, the truth, the error (truth less estimate), and whether the interval held it."""
    value, low, high = (found.value, found.low, found.high) if found is not None else (None, None, None)
    told: dict[str, Any] = {"value": _known(value), "low": _known(low), "high": _known(high)}
    if found is not None and found.shift:
        told["shift"] = _known(found.shift)
    real = told["realised"] = _known(truth)
    if real is not None and told["value"] is not None:
        told["error"] = real - told["value"]
        if told["low"] is not None and told["high"] is not None:
            told["held"] = bool(told["low"] <= real <= told["high"])
    if found is not None and found.note:
        told["note"] = found.note
    return told


def _known(value: float | None) -> float | None:
    """Facts hold no nan."""
    return float(value) if value is not None and math.isfinite(value) else None


def _sentence(primary: str, today: Mapping[str, Any]) -> str:
    if today["value"] is None:
        return ""
    between = "" if today["low"] is None else f" ({today['low']:.4g} to {today['high']:.4g})"
    return f"estimated {primary} {today['value']:.4g}{between}"
