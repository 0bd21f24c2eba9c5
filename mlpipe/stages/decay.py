"""What the model-by-day matrix shows: each model over the months, and how each grows old."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np

from mlpipe.core.metrics import Metric
from mlpipe.errors import NotFoundError
from mlpipe.stages.matrix import Matrix, Tell, Value
from mlpipe.stages.past import Kept, Past

MONTH = timedelta(days=30.4375)
"""A month of age."""


def survey(
    past: Past,
    keys: Sequence[str],
    *,
    metric: str | None = None,
    by: str = "month",
    tell: Tell = lambda done, total: None,
) -> dict[str, Any]:
    """Every kept model over some partitions, filled where cells are missing.

    Parameters
    ----------
    past, keys
        What was recorded, and the partitions to look at; those with features and ripe labels are days of the matrix.
    metric
        Name of a metric; None is the one that models are chosen by.
    by
        ``month`` or ``day``: what a column holds.
    tell
        Hears of cells that are made; see `Matrix.fill`.

    Returns
    -------
    dict
        Plain values. ``grid`` has a row for each of ``models`` and a column for each of ``columns``: the metric over the days that the
        model has not learned from; over all days of the column, and marked ``seen``, where it has learned from each of them.
        ``decay`` has the same by months of age, for each model, and ``by_age`` the mean change since a model's first month, positive
        is better, with the number of models behind it.

    Raises
    ------
    NotFoundError
        No model is kept, no day is labelled, or there is no such metric.
    """
    asked = past.spec.measures.of(metric) if metric else None
    matrix, models = Matrix(past, keys), past.models()
    where = f"pipeline {past.spec.name}"
    if not models:
        raise NotFoundError("no model is kept", where=where, fix="Train one: mlpipe run … --job training.")
    if not matrix.days:
        raise NotFoundError(
            "no partition of this stretch has features and ripe labels",
            where=where,
            fix="Choose another stretch, or wait until its labels are known.",
        )
    measure = asked or matrix.primary(models)
    assert measure is not None
    made = matrix.fill(((m.bundle, k) for m in models for k in matrix.days), tell)
    columns: dict[str, list[str]] = {}
    for key in matrix.days:
        columns.setdefault(key if by == "day" else _month(past, key), []).append(key)
    decay = [_ages(past, matrix, m, measure) for m in models]
    return {
        "pipeline": past.spec.name,
        "ledger": past.ledger.deployment,
        "metric": measure.name,
        "better": measure.better,
        "by": by,
        "days": [matrix.days[0], matrix.days[-1], len(matrix.days)],
        "made": made,
        "models": [_told(m) for m in models],
        "columns": list(columns),
        "grid": [[asdict(_cell(past, matrix, m, c, measure)) for c in columns.values()] for m in models],
        "decay": decay,
        "by_age": _by_age(decay, measure.sign),
        "unfit": _unfit(matrix, models),
    }


def _told(model: Kept) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "partition": model.partition,
        "bundle": model.bundle,
        "data_end": model.data_end.isoformat(),
    }


def _month(past: Past, key: str) -> str:
    start = past.spec.partitions.window(key).start.astimezone(past.spec.partitions.zone)
    return f"{start:%Y-%m}"


def new_to(past: Past, model: Kept) -> Callable[[str], bool]:
    """Whether a partition is later than all that a model was made from."""
    return lambda key: past.spec.partitions.window(key).start >= model.data_end


def _cell(past: Past, matrix: Matrix, model: Kept, keys: Sequence[str], metric: Metric) -> Value:
    unseen = list(filter(new_to(past, model), keys))
    return matrix.value(model.bundle, unseen or keys, metric, seen=not unseen)


def _ages(past: Past, matrix: Matrix, model: Kept, metric: Metric) -> list[dict[str, Any]]:
    """The metric of each month of a model's age, from 0."""
    ages: dict[int, list[str]] = {}
    for key in filter(new_to(past, model), matrix.days):
        ages.setdefault((past.spec.partitions.window(key).start - model.data_end) // MONTH, []).append(key)
    values = {age: matrix.value(model.bundle, keys, metric) for age, keys in sorted(ages.items())}
    return [{"age": age, "value": v.value, "rows": v.rows, "days": v.days} for age, v in values.items()]


def _by_age(decay: Sequence[Sequence[dict[str, Any]]], sign: float) -> list[dict[str, Any]]:
    """The mean change since the first month of age, over the models that have both."""
    changes: dict[int, list[float]] = {}
    for ages in decay:
        fresh = next((a["value"] for a in ages if a["age"] == 0), None)
        for one in ages if fresh is not None else ():
            if one["value"] is not None:
                changes.setdefault(one["age"], []).append(sign * (one["value"] - fresh))
    return [
        {
            "age": age,
            "models": len(found),
            "change": math.fsum(found) / len(found),
            "worst": float(np.min(found)),
        }
        for age, found in sorted(changes.items())
    ]


def _unfit(matrix: Matrix, models: Sequence[Kept]) -> list[dict[str, Any]]:
    """Models that could not score some days, and why the first of these."""
    out = []
    for model in models:
        why = [text for (bundle, _), text in matrix.unfit.items() if bundle == model.bundle]
        if why:
            out.append({"model": model.name, "days": len(why), "why": why[0]})
    return out
