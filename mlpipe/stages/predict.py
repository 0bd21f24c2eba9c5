"""Predictions: a partition scored by the champion as of the run's clock."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.errors import DataError, UserCodeError
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, opened, state_of
from mlpipe.stages.context import Context
from mlpipe.stages.frames import ROW, TIME
from mlpipe.stages.runner import Plan, Result, Stage, stored


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition, all by the same champion. Without one, or without features, the record says so."""
    heads = ctx.need(f"{spec.name}/features", keys, spec.name)
    champion = opened(spec, state_of(ctx).champion, ctx)
    for key in keys:
        head = heads[key]
        if champion is None or "features" not in head.outputs:
            yield Plan(key, partial(_nothing, champion is None), (head.seen(),), reusable=False)
            continue
        model = Input(
            asset=f"{spec.name}/production",
            partition=str(champion.number),
            record=champion.model.id,
            name="champion",
            id=champion.version.bundle,
        )
        params = {"version": champion.number, "keys": spec.sources[spec.primary].keys}
        yield Plan(
            key,
            partial(_work, spec, key, head, champion, ctx),
            inputs=(head.read("features"), model),
            params=params,
        )


def _nothing(no_champion: bool) -> Result:
    verdict, why = (
        ("no_champion", "no model is in production")
        if no_champion
        else ("left_out", "validation failed the partition")
    )
    return Result(
        verdict=verdict,
        findings=(Found(what=why),),
        data={HEAD_DATA: {}},
        headline=f"**No predictions**: {why}.",
    )


def _work(spec: PipelineSpec, key: str, head: Head, champion: Champion, ctx: Context) -> Result:
    features_id = head.outputs["features"].id
    rows = ctx.store.get_table(features_id)
    scores = _scored(spec, key, champion, rows)
    table = rows[[ROW, TIME, *[k for k in spec.sources[spec.primary].keys if k in rows]]].copy()
    table.insert(
        0, "prediction_id", prediction_ids(features_id, champion.version.bundle, rows[ROW].to_numpy())
    )
    table = table.assign(version=champion.number, features_id=features_id, **columns_of(champion, scores))
    metrics = [MetricValue(name="version", value=float(champion.number), split="predictions")]
    if champion.bundle.task != "multiclass" and len(scores):
        metrics.append(MetricValue(name="mean", value=float(scores.mean()), split="predictions"))
    return Result(
        outputs=(stored(ctx.store, "predictions", table),),
        metrics=tuple(metrics),
        verdict="pass",
        data={
            "version": champion.number,
            HEAD_DATA: {
                "version": champion.number,
                "features_id": features_id,
                "bundle": champion.version.bundle,
                "raw": (head.data or {}).get("raw"),
            },
        },
        headline=f"**{len(table):,}** rows scored by `{spec.name}@{champion.number}`.",
    )


def _scored(spec: PipelineSpec, key: str, champion: Champion, rows: pd.DataFrame) -> np.ndarray:
    """The champion's scores.

    Raises
    ------
    DataError
        It was learned from other features than are made now, or from other types.
    UserCodeError
        Code of the user's in the model raised.
    """
    who, names = f"{spec.name}@{champion.number}", champion.bundle.feature_names
    where = f"pipeline {spec.name}, partition {key}, predictions by {who}"
    missing = [n for n in names if n not in rows]
    if missing:
        raise DataError(
            f"{who} was learned from {', '.join(map(repr, missing[:5]))}, and that is no longer made",
            where=where,
            fix="Make these features again, or train a model on those of now (--train-at).",
        )
    try:
        return champion.bundle.predict(rows[list(names)])
    except (DataError, UserCodeError) as error:
        error.where = ", ".join(p for p in (where, error.where) if p)
        raise


def prediction_ids(features_id: str, bundle_id: str, rows: np.ndarray) -> list[str]:
    """Id of each prediction: names the features, the model and the row, and is the same whenever it is made again."""
    stem = hashlib.blake2b(f"{features_id}/{bundle_id}".encode(), digest_size=8).hexdigest()
    return [f"p-{stem}-{row}" for row in rows]


def columns_of(champion: Champion, scores: np.ndarray) -> dict[str, Any]:
    """Score columns by task: ``score`` (and ``predicted`` by the threshold), or one a class and the class chosen."""
    bundle = champion.bundle
    if bundle.task == "regression":
        return {"score": scores}
    if bundle.task == "binary":
        threshold = 0.5 if bundle.threshold is None else bundle.threshold
        return {"score": scores, "predicted": (scores >= threshold)}
    chosen = scores.argmax(axis=1)
    columns: dict[str, Any] = {f"score_{i}": scores[:, i] for i in range(scores.shape[1])}
    return {
        **columns,
        "score": scores.max(axis=1),
        "predicted": pd.Series([str(bundle.classes[i]) for i in chosen]),
    }


STAGE = Stage("predict", "predictions", "1", plans)
