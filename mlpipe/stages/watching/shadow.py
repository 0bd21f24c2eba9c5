"""Challengers in shadow: versions on staging score the days that the champion scored, and both stand beside the truth. On request."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from mlpipe.errors import DataError, MlpipeError
from mlpipe.ledger.fold import State
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, opened
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import LABEL, met
from mlpipe.stages.failures import attempted
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.predict import columns_of
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch

NOT_TESTED = "not tested"


def challengers(spec: PipelineSpec, state: State, ctx: Context) -> tuple[Champion, ...]:
    """Versions that are to score beside the champion, by number."""
    if spec.monitor.shadow is None:
        return ()
    staged = [v for _, v in sorted(state.versions.items()) if v.stage == spec.monitor.shadow]
    return tuple(c for v in staged if (c := opened(spec, v, ctx)) is not None)


def inputs(spec: PipelineSpec, staged: tuple[Champion, ...]) -> tuple[Input, ...]:
    """The challengers."""
    return tuple(
        Input(
            asset=f"{spec.name}/model",
            partition=c.model.partition,
            record=c.model.id,
            name="shadow",
            id=c.version.bundle,
        )
        for c in staged
    )


def section(
    spec: PipelineSpec, key: str, watch: Watch, staged: tuple[Champion, ...], ctx: Context
) -> Section:
    """The primary metric of each challenger over the window, beside the champion's on the same days.

    Only days count that the challenger has neither learned from nor was judged on, and whose labels are ripe.
    """
    if spec.monitor.shadow is None:
        return Section(data={"shadow": NOT_TESTED})
    told, values, metrics, findings = {}, {}, [], []
    for challenger in staged:
        metric = spec.measures.primary(challenger.bundle.task)
        found = attempted(partial(_beside, spec, key, watch, challenger, ctx))
        name = str(challenger.number)
        if isinstance(found, MlpipeError):
            findings.append(Found(what=found.what, where=f"shadow {spec.name}@{name}", fix=found.fix))
            found = {"why": found.what}
        value = found.get("value")
        told[name], values[name] = found, value
        if value is not None:
            metrics.append(
                MetricValue(name=f"{metric.name}@{name}", value=value, better=metric.better, split="shadow")
            )
    return Section(
        metrics=tuple(metrics),
        findings=tuple(findings),
        data={"shadow": told or f"{NOT_TESTED}: no version is on {spec.monitor.shadow}"},
        head={"shadow": values},
        sentence="; ".join(_sentence(spec, n, t) for n, t in told.items() if t.get("value") is not None),
    )


def _beside(spec: PipelineSpec, key: str, watch: Watch, challenger: Champion, ctx: Context) -> dict[str, Any]:
    days = {k: h for k, h in watch.predictions.items() if _fresh(spec, k, challenger) and k in watch.features}
    frames = {k: f for k in days if (f := _scored(spec, k, watch, challenger, ctx)) is not None}
    if not frames:
        return {"why": "no labels are ripe of days that it has not seen"}
    primary = spec.measures.primary(challenger.bundle.task).name
    theirs = watch.outcomes.metrics(
        key, watch.champion, {k: days[k] for k in frames}, watch.labels
    ).window.get(primary)
    return {
        "metric": primary,
        "value": watch.outcomes.of(challenger, frames).get(primary),
        "champion": theirs,
        "days": len(frames),
    }


def _fresh(spec: PipelineSpec, day: str, challenger: Champion) -> bool:
    """Whether a partition lies behind all that the challenger was made and judged by."""
    return spec.partitions.every != "none" and spec.partitions.window(day).start >= challenger.data_end


def _scored(
    spec: PipelineSpec, day: str, watch: Watch, challenger: Champion, ctx: Context
) -> pd.DataFrame | None:
    """The challenger's scores of a day beside its ripe labels; None without. Raises DataError where a feature is no longer made."""
    truth = watch.labels.get(day)
    if truth is None or truth.verdict != RIPE:
        return None
    rows = met(spec, watch.features[day], "features", truth, ctx)
    if rows is None or not len(rows):
        return None
    names = list(challenger.bundle.feature_names)
    gone = [n for n in names if n not in rows]
    if gone:
        raise DataError(
            f"version {challenger.number} needs the feature {gone[0]!r}, which is no longer made",
            where=f"pipeline {spec.name}, partition {day}",
            fix="Make it again, or take the version off staging: mlpipe unstage.",
        )
    scores = challenger.bundle.predict(rows[names])
    return pd.DataFrame({LABEL: rows[LABEL].reset_index(drop=True), **columns_of(challenger.bundle, scores)})


def _sentence(spec: PipelineSpec, name: str, told: Mapping[str, Any]) -> str:
    beside = "" if told["champion"] is None else f" beside {told['champion']:.4g}"
    return f"in shadow `{spec.name}@{name}`: {told['metric']} **{told['value']:.4g}**{beside} over {told['days']} days"
