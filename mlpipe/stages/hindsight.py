"""What the champions of the past made of each partition, beside what the first of them would have made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlpipe.core.metrics import Metric, Scored, evaluate
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, opened, state_of
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import LABEL, Encoding, met
from mlpipe.stages.frames import ROW, stacked
from mlpipe.stages.outcomes import RIPE
from mlpipe.stores.bundles import Bundle

AT_ONCE = 200_000
"""Rows that the first champion scores at once."""
MIDDLE = 0.5
"""The threshold of scores that `lined_up` gives."""


@dataclass(frozen=True)
class Seen:
    """One partition whose labels are ripe: its truth, and the scores of the live and of the first champion on the same rows."""

    key: str
    live: Scored
    fixed: Scored


def seen(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Seen]:
    """Partitions that were predicted and have ripe labels, in order; as of the run's clock."""
    state = state_of(ctx)
    first = opened(spec, state.anchor, ctx)
    if first is None:
        return
    bundles = {first.number: first.bundle}
    waiting: list[tuple[str, int, pd.DataFrame]] = []
    for key, number, rows in _scored_rows(spec, keys, ctx):
        if number not in bundles:
            version = opened(spec, state.versions[number], ctx)
            assert version is not None
            bundles[number] = version.bundle
        waiting.append((key, number, rows))
        if sum(len(r) for _, _, r in waiting) >= AT_ONCE:
            yield from _compared(spec, waiting, first, bundles)
            waiting = []
    if waiting:
        yield from _compared(spec, waiting, first, bundles)


def _scored_rows(
    spec: PipelineSpec, keys: Sequence[str], ctx: Context
) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Features, truth and live scores of each partition, and the version that scored it."""
    heads = {n: ctx.heads.find(f"{spec.name}/{n}", keys) for n in ("features", "predictions", "labels")}
    for key in keys:
        features, predictions, labels = (heads[n].get(key) for n in ("features", "predictions", "labels"))
        if features is None or predictions is None or labels is None or labels.verdict != RIPE:
            continue
        number = (predictions.data or {}).get("version")
        if "predictions" not in predictions.outputs or (predictions.data or {}).get("served"):
            continue  # nobody was answered, or something that stood in for the version did
        if number is None or (predictions.data or {}).get("features_id") != features.outputs["features"].id:
            continue
        rows = met(spec, features, "features", labels, ctx)
        if rows is None or not len(rows):
            continue
        table = ctx.store.get_table(predictions.outputs["predictions"].id)
        scores = table[[ROW, *_scores(table)]].rename(columns={c: f"_{c}" for c in _scores(table)})
        yield key, int(number), rows.merge(scores, on=ROW, how="inner", sort=False)


def _compared(
    spec: PipelineSpec,
    waiting: Sequence[tuple[str, int, pd.DataFrame]],
    first: Champion,
    bundles: dict[int, Bundle],
) -> Iterator[Seen]:
    together = stacked([rows for _, _, rows in waiting])
    y = Encoding(first.bundle.task, first.bundle.classes).encode(together[LABEL])
    fixed = first.bundle.predict(together)
    start = 0
    for key, number, rows in waiting:
        here = slice(start, start + len(rows))
        start += len(rows)
        known = np.isfinite(y[here])
        if not known.any() or bundles[number].classes != first.bundle.classes:
            continue
        columns = [c for c in rows.columns if str(c).startswith("_score")]
        scores = rows[columns if first.bundle.task == "multiclass" else columns[0]]
        live = scores.to_numpy(dtype="float64")[known]
        truth = y[here][known]
        yield Seen(
            key,
            Scored(truth, live, bundles[number].threshold, first.bundle.classes),
            Scored(truth, fixed[here][known], first.bundle.threshold, first.bundle.classes),
        )


def _scores(table: pd.DataFrame) -> list[str]:
    """Score columns: one a class where there are several, else the one."""
    several = [c for c in table.columns if str(c).startswith("score_")]
    return sorted(several, key=lambda c: int(c.rpartition("_")[2])) or ["score"]


def metric_of(scored: Scored, metric: Metric) -> float | None:
    """A metric, or None where it is undefined."""
    value = evaluate(scored, [metric])[metric.name]
    return float(value) if np.isfinite(value) else None


def pooled(parts: Sequence[Scored], metric: Metric) -> float | None:
    """A metric over the rows of several partitions, each with the threshold of its own model."""
    return metric_of(together(parts, metric), metric) if parts else None


def together(parts: Sequence[Scored], metric: Metric) -> Scored:
    """The rows of several partitions as a metric reads them, each with the threshold of its own model. At least one part."""
    labels = metric.needs == "label"
    scores = [lined_up(p) if labels else p.score for p in parts]
    cut = MIDDLE if labels and parts[0].threshold is not None else parts[0].threshold
    return Scored(np.concatenate([p.y for p in parts]), np.concatenate(scores), cut, parts[0].classes)


def lined_up(scored: Scored) -> np.ndarray:
    """Scores as 1 at and above the threshold and 0 below: models with different thresholds then share one. Others as they are."""
    if scored.threshold is None or scored.score.ndim > 1:
        return scored.score
    return (scored.score >= scored.threshold).astype("float64")
