"""Predictions: a partition scored by the champion as of the run's clock, or by what stands in for it."""

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
from mlpipe.stages.indicators import missing, newest, own, visible
from mlpipe.stages.runner import Plan, Result, Stage, stored
from mlpipe.stages.serving import Answer, Guard, answered, early, guard, levels_of, unknown
from mlpipe.stores.bundles import Bundle


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition, all by the same champion. Without one, or without features, the record says so."""
    heads = ctx.need(f"{spec.name}/features", keys, spec.name)
    state = state_of(ctx)
    champion = opened(spec, state.champion, ctx)
    functions = tuple(o.function for o in spec.levels.own.values() if o.reads == ("features",))
    if spec.levels.fallback == "rule" and spec.baseline is not None:
        functions += (spec.baseline,)
    for key in keys:
        head = heads[key]
        guarded = guard(spec, key, state, champion, ctx)
        if champion is None or "features" not in head.outputs:
            work = partial(_nothing, champion is None, guarded)
            yield Plan(key, work, (head.seen(), *guarded.read), reusable=False)
            continue
        model = Input(
            asset=f"{spec.name}/production",
            partition=str(champion.number),
            record=champion.model.id,
            name="champion",
            id=champion.version.bundle,
        )
        params: dict[str, Any] = {
            "version": champion.number,
            "keys": spec.sources[spec.primary].keys,
            "levels": guarded.params(spec),
        }
        yield Plan(
            key,
            partial(_work, spec, key, head, champion, guarded, ctx),
            inputs=(head.read("features"), model, *guarded.read),
            params=params,
            functions=functions,
        )


def _nothing(no_champion: bool, guarded: Guard) -> Result:
    verdict, why = (
        ("no_champion", "no model is in production")
        if no_champion
        else ("left_out", "validation failed the partition")
    )
    return Result(
        verdict=verdict,
        findings=(Found(what=why),),
        data={HEAD_DATA: {} if no_champion else {"levels": levels_of(early(guarded, {}))}},
        headline=f"**No predictions**: {why}.",
    )


def _work(
    spec: PipelineSpec, key: str, head: Head, champion: Champion, guarded: Guard, ctx: Context
) -> Result:
    features_id = head.outputs["features"].id
    rows = ctx.store.get_table(features_id)
    names = champion.bundle.feature_names
    values = {"missing_rate": missing(spec, rows, names)}
    seen = visible(spec, rows, (head.data or {}).get("features", names))
    values |= own(spec, key, {"features": seen}, early=True)
    verdicts = early(guarded, values)
    score = partial(_scored, spec, key, champion, rows)
    answer = answered(spec, key, champion, guarded, verdicts, rows, score)
    served = {"served": dict(answer.served)} if answer.served else {}
    data: dict[str, Any] = {
        "version": champion.number,
        HEAD_DATA: {
            "version": champion.number,
            "features_id": features_id,
            "bundle": answer.model,
            "raw": (head.data or {}).get("raw"),
            "newest": newest(spec, rows),
            "levels": levels_of(verdicts),
            "unknown": unknown(verdicts, {**guarded.known, **values}),
            **served,
        },
    }
    if answer.scores is None:
        why = f"{', '.join(answer.served['for'])} asks for '{answer.served['response']}'"
        headline = f"**No predictions**: {why}."
        return Result(verdict="blocked", findings=answer.findings, data=data, headline=headline)
    table = rows[[ROW, TIME, *[k for k in spec.sources[spec.primary].keys if k in rows]]].copy()
    table.insert(0, "prediction_id", prediction_ids(features_id, answer.model, rows[ROW].to_numpy()))
    scored = columns_of(answer.bundle, answer.scores)
    table = table.assign(version=answer.version, features_id=features_id, **scored)
    if served:
        table = table.assign(served_by=answer.served["by"])
    metrics = [MetricValue(name="version", value=float(answer.version), split="predictions")]
    if champion.bundle.task != "multiclass" and len(table):
        metrics.append(MetricValue(name="mean", value=float(answer.scores.mean()), split="predictions"))
    return Result(
        outputs=(stored(ctx.store, "predictions", table),),
        metrics=tuple(metrics),
        verdict="pass",
        findings=answer.findings,
        data=data,
        headline=f"**{len(table):,}** rows scored by {_who(spec, champion, answer)}.",
    )


def _who(spec: PipelineSpec, champion: Champion, answer: Answer) -> str:
    name, by = f"`{spec.name}@{champion.number}`", answer.served.get("by", "champion")
    if by == "champion":
        return name
    stand = f"`{spec.name}@{answer.version}`" if answer.version else f"the **{by}**"
    return f"{stand} in the place of {name}, for {', '.join(answer.served['for'])}"


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


def columns_of(bundle: Bundle, scores: np.ndarray) -> dict[str, Any]:
    """Score columns by task: ``score`` (and ``predicted`` by the threshold), or one a class and the class chosen."""
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


STAGE = Stage("predict", "predictions", "3", plans)
