"""Trials beside the pipeline's own models of the same partitions: on the rows that both were judged on, difference by difference."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.bootstrap import paired
from mlpipe.core.metrics import Metric
from mlpipe.core.scored import Scored
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.frames import DAY, ROW
from mlpipe.stages.judging.rivals import blocks_of
from mlpipe.stores.store import Store

LEVEL = 0.95


@dataclass(frozen=True)
class SameDay:
    """A trial beside the own model of one partition; positive differences mean that the trial is better.

    `value` and `own` are the metric of each on the `rows` that both were judged on; `low` and `high` a paired interval at 95 %.
    """

    partition: str
    value: float
    own: float
    difference: float
    low: float
    high: float
    rows: int
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """A variant on all its partitions: each beside the own model, the mean with its interval, and what is missing, with the reason."""

    metric: str
    days: tuple[SameDay, ...]
    missing: dict[str, str]
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for views and machines; None for what cannot be had."""
        days = [{k: _plain(v) for k, v in vars(d).items()} for d in self.days]
        own = {k: _plain(v) for k, v in vars(self).items() if k not in ("days", "missing")}
        return {**own, "days": days, "missing": self.missing}


@dataclass(frozen=True)
class Own:
    """The pipeline's own model of a partition: its training and its evaluation."""

    training: Record
    evaluation: Record


def compared(
    spec: PipelineSpec,
    trials: Sequence[Record],
    own: Mapping[str, Own],
    store: Store,
    metric: str | None = None,
) -> Comparison:
    """One variant beside the pipeline's own models.

    Parameters
    ----------
    trials
        Records of one variant, one a partition.
    own
        The own models, by partition.
    metric
        Default: the primary one of the first trial that was judged.

    Returns
    -------
    Comparison
        Its mean has an interval (of a t distribution over partitions) only where no two of them are judged on the same days, and there are
        at least two; else `note` says why not.
    """
    name = metric or next((m for r in trials if (m := _primary(r))), "")
    measure = spec.measures.of(name) if name else None
    days: list[SameDay] = []
    missing: dict[str, str] = {}
    for record in trials:
        made = _day(spec, record, own.get(record.partition), store, measure)
        if isinstance(made, str):
            missing[record.partition] = made
        else:
            days.append(made)
    judged = {d.partition for d in days}
    return _mean(Comparison(name, tuple(days), missing), [r for r in trials if r.partition in judged])


def _primary(record: Record) -> str:
    return str((record.data.get("judged") or {}).get("primary") or "")


def _day(
    spec: PipelineSpec, trial: Record, own: Own | None, store: Store, metric: Metric | None
) -> SameDay | str:
    """The comparison on one partition, or why there is none."""
    if own is None:
        return f"the pipeline has no evaluated model of its own (mlpipe run {spec.name} --train-at {trial.partition})"
    tables = [_scored_table(r, store) for r in (trial, own.evaluation)]
    if any(t is None for t in tables):
        who = "the trial" if tables[0] is None else "the own model"
        return f"{who} was not judged: {(trial if tables[0] is None else own.evaluation).verdict}"
    ours, theirs = (t for t in tables if t is not None)
    if list(trial.data["classes"]) != list(own.training.data["classes"]):
        return "they predict different classes"
    assert metric is not None, "a trial that was judged names its metric"
    rows = ours.merge(theirs, on=[DAY, ROW], suffixes=("", "_own"))
    rows = rows[(rows["y"] == rows["y_own"]).to_numpy()].reset_index(drop=True)
    if not len(rows):
        return "they were judged on no row in common"
    notes = [] if len(rows) == len(ours) == len(theirs) else [f"{len(rows)} of {len(ours)} rows in common"]
    if spec.blocks is not None:
        notes.append("resampled by day")
    blocks = blocks_of(spec.model_copy(update={"blocks": None}), trial.partition, rows)
    sides = [_side(rows, r, suffix) for r, suffix in ((trial, ""), (own.training, "_own"))]
    made = paired(sides[0], sides[1], metric, blocks, resamples=spec.bootstrap, level=LEVEL, seed=spec.seed)
    value = made.rival + metric.sign * made.difference
    told = " ".join([*notes, *([made.note] if made.note else [])])
    return SameDay(trial.partition, value, made.rival, made.difference, made.low, made.high, len(rows), told)


def _scored_table(record: Record, store: Store) -> pd.DataFrame | None:
    found = next((o for o in record.outputs if o.name == "scored"), None)
    return None if found is None else store.get_table(found.id)


def _side(rows: pd.DataFrame, training: Record, suffix: str) -> Scored:
    """One model's scores of the rows in common, with its own threshold."""
    classes = tuple(training.data["classes"])
    names = ["score"] if "score" in rows else [f"score_{i}" for i in range(len(classes))]
    scores = rows[[n + suffix for n in names]].to_numpy(dtype="float64")
    scores = scores[:, 0] if len(names) == 1 else scores
    y: np.ndarray = rows["y"].to_numpy()
    return Scored(y, scores, training.data["threshold"], classes)


def _mean(made: Comparison, trials: Sequence[Record]) -> Comparison:
    values = np.array([d.difference for d in made.days], dtype="float64")
    if not len(values):
        return made
    mean = float(values.mean())
    if len(values) < 2:
        return replace(made, mean=mean, note="of one partition; its own interval stands beside it")
    if _overlap([r.data["split"]["test"] for r in trials if r.data.get("split")]):
        return replace(made, mean=mean, note="no interval: some partitions are judged on the same days")
    from scipy.special import stdtrit

    side = (
        float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    )
    return replace(made, mean=mean, low=mean - side, high=mean + side)


def _overlap(bounds: Sequence[Sequence[str]]) -> bool:
    spans = sorted((datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in bounds)
    return any(late[0] < early[1] for early, late in zip(spans, spans[1:], strict=False))


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
