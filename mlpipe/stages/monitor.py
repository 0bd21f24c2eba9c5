"""Monitor: how the trailing window differs from what the champion learned from, and how well predictions did once labels are ripe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.drift import MAJOR, ColumnDrift, alarms, compare
from mlpipe.core.grid import Grid
from mlpipe.core.metrics import METRICS
from mlpipe.core.profile import merge, profile
from mlpipe.core.profile_codec import from_bytes
from mlpipe.ledger.fold import State
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, opened, state_of
from mlpipe.stages.context import Context
from mlpipe.stages.frames import stacked
from mlpipe.stages.grids import grid_of
from mlpipe.stages.judging.asked import names_of
from mlpipe.stages.outcomes import Outcomes
from mlpipe.stages.references import Profiles, Reference
from mlpipe.stages.refresh import ripe_id
from mlpipe.stages.runner import Plan, Result, Stage, stored

SCORE = "score"
MOST_COLUMNS = 30
"""So many PSIs are kept where a policy reads them, the greatest first; the table has all."""


@dataclass(frozen=True)
class Watch:
    """What is compared on one day: the window's heads, the champion and the anchor, and the grid."""

    keys: tuple[str, ...]
    features: dict[str, Head]
    predictions: dict[str, Head]
    labels: dict[str, Head]
    champion: Champion
    anchor: Champion
    profiles: Profiles
    outcomes: Outcomes

    def inputs(self) -> tuple[Input, ...]:
        """Everything that is read."""
        read = [h.read("features") for h in self.features.values()]
        read += [h.read("predictions") for h in self.predictions.values()]
        read += [h.read("labels") for h in self.labels.values()]
        for name, version in (("champion", self.champion), ("anchor", self.anchor)):
            read.append(
                Input(
                    asset=f"{self.champion.model.pipeline}/model",
                    partition=version.model.partition,
                    record=version.model.id,
                    name=name,
                    id=version.version.bundle,
                )
            )
        return tuple(read)


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition. Before there is a champion, the record says so."""
    ctx.need(f"{spec.name}/features", keys, spec.name)
    state = state_of(ctx)
    champion = opened(spec, state.champion, ctx)
    same = champion is not None and state.anchor is not None and state.anchor.number == champion.number
    anchor = champion if same else opened(spec, state.anchor, ctx)
    outcomes = Outcomes(spec, ctx)
    found = grid_of(spec, ctx, force=True) if champion is not None else None
    profiles = Profiles(spec, ctx, *found) if found is not None else None
    versions = {c.number: c for c in (champion, anchor) if c is not None}
    for key in keys:
        watch = _watch(spec, key, versions, state, profiles, outcomes, ctx)
        if watch is None:
            verdict = "no_champion" if champion is None else "no_data"
            yield Plan(key, partial(_nothing, verdict), reusable=False)
            continue
        unripe = any(h.verdict != "ripe" for h in watch.labels.values())
        params: dict[str, Any] = {
            "monitor": spec.monitor.model_dump(mode="json"),
            "calendar": spec.features.calendar,
            "version": watch.champion.number,
            "anchor": watch.anchor.number,
            "metrics": spec.metrics,
            "grid": watch.profiles.grid_id,
            "window": watch.keys,
            "limit": fixed_limit(spec),
            "as_of": ctx.run.as_of if unripe else None,
        }
        yield Plan(key, partial(_work, spec, key, watch, ctx), inputs=watch.inputs(), params=params)


def _nothing(verdict: str) -> Result:
    why = (
        "no model is in production" if verdict == "no_champion" else "no partition of the window has features"
    )
    return Result(
        verdict=verdict,
        findings=(Found(what=why),),
        data={HEAD_DATA: {}},
        headline=f"**Nothing to compare**: {why}.",
    )


def _watch(
    spec: PipelineSpec,
    key: str,
    versions: dict[int, Champion],
    state: State,
    profiles: Profiles | None,
    outcomes: Outcomes,
    ctx: Context,
) -> Watch | None:
    """What to compare; None without a champion or without features. `versions` are those that are open, and grows."""
    if state.champion is None or state.anchor is None or profiles is None:
        return None
    keys = (
        (*spec.partitions.before(key, spec.monitor.window - 1), key)
        if spec.partitions.every != "none"
        else (key,)
    )
    heads = {n: ctx.heads.find(f"{spec.name}/{n}", keys) for n in ("features", "predictions", "labels")}
    good = {n: {k: h for k, h in hs.items() if n in h.outputs} for n, hs in heads.items()}
    if not good["features"]:
        return None
    # Labels ripen after the champion may have changed: a partition is judged with the version that predicted it.
    predicted = good["predictions"].get(key)
    number = (predicted.data or {}).get("version") if predicted is not None else None
    version = state.versions.get(number, state.champion) if number is not None else state.champion
    if version.number not in versions:
        opened_version = opened(spec, version, ctx)
        assert opened_version is not None
        versions[version.number] = opened_version
    return Watch(
        keys,
        good["features"],
        good["predictions"],
        good["labels"],
        versions[version.number],
        versions[state.anchor.number],
        profiles,
        outcomes,
    )


def fixed_limit(spec: PipelineSpec) -> float | None:
    """The PSI that the retraining policy names for every column; None where each column has its own, calibrated."""
    drift = spec.retrain.drift if spec.retrain is not None else None
    return drift if isinstance(drift, float) else None


def _work(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Result:
    names, grid = watch.champion.bundle.feature_names, watch.profiles.grid
    heads = watch.features.values()
    current = merge([watch.profiles.of(h.outputs["features"].id, (h.data or {})["features"]) for h in heads])
    reference = watch.profiles.reference(watch.champion)
    watched = _watched(spec, names, reference)
    columns = [n for n in names if n in grid.columns]
    drifts = compare(grid, reference.profile, current, columns)
    limit = fixed_limit(spec)
    limits = dict(reference.thresholds) if limit is None else dict.fromkeys(names, limit)
    raised = alarms({n: drifts[n] for n in watched if n in drifts}, limits)
    fixed = compare(grid, watch.profiles.reference(watch.anchor).profile, current, columns)
    score, score_fixed = _score_drift(watch, watch.champion, ctx), _score_drift(watch, watch.anchor, ctx)
    realised, rolling, days = watch.outcomes.metrics(key, watch.champion, watch.predictions, watch.labels)
    table = _table(drifts, fixed, limits, watched, raised)
    metrics = _metrics(spec, watch, drifts, fixed, watched, raised, score, score_fixed, realised, rolling)
    verdict = "drift" if raised else "stable"
    data = {
        "version": watch.champion.number,
        "anchor": watch.anchor.number,
        "window": [watch.keys[0], watch.keys[-1]],
        "partitions": len(watch.features),
        "alarms": list(raised),
        "thresholds": {n: limits.get(n) for n in watched},
        "not_watched": {n: reference.excluded.get(n, "not in 'watch'") for n in names if n not in watched},
        "labelled_days": days,
        HEAD_DATA: _head(spec, watch, drifts, watched, raised, score, realised, rolling, reference),
    }
    return Result(
        outputs=(stored(ctx.store, "drift", table),),
        metrics=tuple(metrics),
        verdict=verdict,
        findings=tuple(_finding(drifts[n], limits.get(n, MAJOR)) for n in raised),
        data=data,
        headline=_headline(spec, watch, drifts, watched, raised, score, realised, rolling, limits),
    )


def _head(
    spec: PipelineSpec,
    watch: Watch,
    drifts: dict[str, ColumnDrift],
    watched: list[str],
    raised: Sequence[str],
    score: float,
    realised: dict[str, float],
    rolling: dict[str, float],
    reference: Reference,
) -> dict[str, Any]:
    """What a policy or a table needs of the day, without opening the record."""
    primary = names_of(spec, watch.champion.bundle.task)[0]
    worst = _worst_of(drifts, watched)
    known = [n for n in watched if n in drifts and np.isfinite(drifts[n].psi)]
    shown = sorted(known, key=lambda n: -drifts[n].psi)[:MOST_COLUMNS]
    return {
        "version": watch.champion.number,
        "truth": ripe_id(watch.labels.get(watch.keys[-1])),
        "alarms": list(raised)[:50],
        "worst": worst.column if worst else None,
        "worst_psi": worst.psi if worst else None,
        "watched": len(watched),
        "psi": {n: [drifts[n].psi, reference.thresholds.get(n, MAJOR)] for n in shown},
        "score_psi": score if np.isfinite(score) else None,
        "primary": primary,
        "realised": realised.get(primary),
        "rolling": rolling.get(primary),
    }


def _worst_of(drifts: dict[str, ColumnDrift], names: Sequence[str]) -> ColumnDrift | None:
    return max((drifts[n] for n in names if n in drifts), key=lambda d: d.psi, default=None)


def _watched(spec: PipelineSpec, names: Sequence[str], reference: Reference) -> list[str]:
    """Features that may raise an alarm: those asked for, else all that are not excluded."""
    return [
        n for n in names if (n in spec.monitor.watch if spec.monitor.watch else n not in reference.excluded)
    ]


def _finding(drift: ColumnDrift, threshold: float) -> Found:
    return Found(
        what=f"PSI {drift.psi:.3f} is above its threshold {threshold:.3f} ({drift.band})",
        where=f"feature {drift.column}",
    )


def _score_drift(watch: Watch, version: Champion, ctx: Context) -> float:
    """PSI of the scores in the window against a version's scores on its validation rows; NaN without predictions."""
    outputs = {o.name: o for o in version.model.outputs}
    if not watch.predictions or "score_profile" not in outputs:
        return float("nan")
    grid = Grid.from_bytes(ctx.store.get_bytes(outputs["score_grid"].id))
    reference = from_bytes(ctx.store.get_bytes(outputs["score_profile"].id))
    frames = [
        ctx.store.get_table(h.outputs["predictions"].id, columns=[SCORE]) for h in watch.predictions.values()
    ]
    current = profile(stacked(frames), grid)
    return compare(grid, reference, current, [SCORE])[SCORE].psi


def _worst(drifts: dict[str, ColumnDrift], names: Sequence[str]) -> float:
    worst = _worst_of(drifts, names)
    return worst.psi if worst else float("nan")


def _metrics(
    spec: PipelineSpec,
    watch: Watch,
    drifts: dict[str, ColumnDrift],
    fixed: dict[str, ColumnDrift],
    watched: list[str],
    raised: Sequence[str],
    score: float,
    score_fixed: float,
    realised: dict[str, float],
    rolling: dict[str, float],
) -> list[MetricValue]:
    primary = names_of(spec, watch.champion.bundle.task)[0]
    share = len(raised) / len(watched) if watched else 0.0
    named = {"worst_psi": _worst(drifts, watched), "score_psi": score, "drifted_share": share}
    out = [MetricValue(name=n, value=v, better="lower", split="drift") for n, v in named.items()]
    out += [
        MetricValue(name=n, value=v, better="lower", split="anchor")
        for n, v in {"worst_psi": _worst(fixed, watched), "score_psi": score_fixed}.items()
    ]
    for split, values in (("realised", realised), ("rolling", rolling)):
        ordered = sorted(values, key=lambda n: n != primary)
        out += [
            MetricValue(name=n, value=values[n], better=METRICS[n].better, split=split) for n in ordered[:1]
        ]
    for split, values in (("realised", realised), ("rolling", rolling)):
        out += [
            MetricValue(name=n, value=v, better=METRICS[n].better, split=split)
            for n, v in values.items()
            if n != primary
        ]
    out += [MetricValue(name=n, value=d.psi, better="lower", split="psi") for n, d in drifts.items()]
    return out


def _table(
    drifts: dict[str, ColumnDrift],
    fixed: dict[str, ColumnDrift],
    limits: dict[str, float],
    watched: list[str],
    raised: Sequence[str],
) -> pd.DataFrame:
    rows = [
        {
            "feature": n,
            "psi": d.psi,
            "threshold": limits.get(n, float("nan")),
            "watched": n in watched,
            "alarm": n in raised,
            "band": d.band,
            "ks": d.ks,
            "js": d.js,
            "null_rate_change": d.null_rate_change,
            "unseen_rate": d.unseen_rate,
            "anchor_psi": fixed[n].psi,
        }
        for n, d in drifts.items()
    ]
    return pd.DataFrame(rows)


def _headline(
    spec: PipelineSpec,
    watch: Watch,
    drifts: dict[str, ColumnDrift],
    watched: list[str],
    raised: Sequence[str],
    score: float,
    realised: dict[str, float],
    rolling: dict[str, float],
    limits: dict[str, float],
) -> str:
    primary = names_of(spec, watch.champion.bundle.task)[0]
    worst = _worst_of(drifts, watched)
    parts = [
        f"`{spec.name}@{watch.champion.number}`: **{len(raised)}** of {len(watched)} watched features drift"
    ]
    if worst is not None:
        parts.append(
            f"worst {worst.column} PSI {worst.psi:.3f} (threshold {limits.get(worst.column, float('nan')):.3f})"
        )
    if np.isfinite(score):
        parts.append(f"score PSI {score:.3f}")
    if realised:
        parts.append(
            f"{primary} **{realised[primary]:.4g}** this partition, {rolling[primary]:.4g} over the window"
        )
    else:
        parts.append("labels not ripe yet")
    return "; ".join(parts) + "."


STAGE = Stage("monitor", "monitor", "2", plans)
