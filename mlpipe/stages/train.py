"""Train: a model learned from the window that ends before a partition, as a bundle. A refusal is a result, not a crash."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd

from mlpipe.core.baselines import constant_scores
from mlpipe.core.fingerprint import is_users
from mlpipe.core.grid import Grid, build
from mlpipe.core.profile import profile
from mlpipe.core.profile_codec import to_bytes
from mlpipe.core.scored import Task
from mlpipe.core.threshold import choose
from mlpipe.errors import DataError, UserCodeError
from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Found, MetricValue, Output
from mlpipe.spec.modeling import Model
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import curves, description
from mlpipe.stages.artifacts import configured
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import DAY, Dataset, Encoding, collect, encoding_of, kinds_of, model_frame
from mlpipe.stages.deadline import TooSlowError, deadline
from mlpipe.stages.estimators import Part, fitted
from mlpipe.stages.folding import Folding, with_folds
from mlpipe.stages.frames import TIME
from mlpipe.stages.inject import injected
from mlpipe.stages.linear import learned_linear
from mlpipe.stages.repeats import Repeats, told
from mlpipe.stages.runner import Plan, Result, Stage, output
from mlpipe.stages.sources import call_any, defined
from mlpipe.stages.splits import Parts, parts
from mlpipe.stores.bundles import Bundle

EXAMPLES = 5


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition: its window, collected."""
    functions = tuple(f for f in (spec.model.fit, spec.baseline, *own_code(spec.model)) if f is not None)
    for key in keys:
        window = spec.partitions.before(key, spec.training_window)
        ctx.log(f"{spec.name}: collecting {len(window)} partitions to learn from for {key}")
        data = collect(spec, window, ctx, known=spec.split.kind == "purged")
        fault = {"inject": ctx.run.inject} if ctx.run.inject else {}
        yield Plan(
            key,
            partial(_work, spec, key, window, data, ctx),
            inputs=data.inputs,
            params=_params(spec, data) | fault,
            functions=functions,
            seeds={"seed": spec.seed},
            told=description.told(spec, data.names, fault),
            artifacts=(configured(ctx.store, spec),),
        )


def _params(spec: PipelineSpec, data: Dataset) -> dict[str, Any]:
    """What decides, as it stands in recipes; the record tells it as `mlpipe.stages.description` does."""
    model = spec.model
    return {
        "model": model.estimator if model.estimator is not None else model.fit,
        "model_params": {**(_deep(model.estimator)), **model.params},
        "preprocess": model.preprocess,
        "window": spec.training_window,
        "min_coverage": spec.min_coverage,
        "min_rows": spec.min_rows,
        "threshold": spec.threshold,
        "task": spec.task,
        "positive": spec.label.positive,
        "features": data.names,
        "lead": spec.lead,
        "left_out": data.left_out,
        # Of the same labels a later clock knows more, and never fewer.
        "labelled": len(data.rows),
        "split": spec.split.to_plain(),
        "partitions": spec.partitions.model_dump(mode="json", include={"every", "timezone"}),
        **({"missing": spec.features.missing} if spec.features.missing else {}),
    }


def _deep(estimator: Any) -> dict[str, Any]:
    """Every hyper-parameter of an estimator, defaults included; parts that are estimators themselves stand by their class."""
    return {} if estimator is None else dict(sorted(estimator.get_params(deep=True).items()))


def own_code(model: Model) -> Iterator[Callable[..., Any]]:
    """The user's classes and functions among a model's parts and parameters: their code decides what is learned."""
    seen: set[int] = set()

    def walk(value: Any) -> Iterator[Callable[..., Any]]:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            for item in value:
                yield from walk(item)
            return
        if hasattr(value, "get_params") and not isinstance(value, type):
            yield from walk(type(value))
            yield from walk(value.get_params(deep=False))
        elif callable(value) and (isinstance(value, partial) or is_users(value) or is_users(type(value))):
            yield value

    yield from walk(model.estimator)
    yield from walk(model.params)


def _work(spec: PipelineSpec, key: str, window: Sequence[str], data: Dataset, ctx: Context) -> Result:
    base = {
        "window": [window[0], window[-1]] if window else [],
        "used": len(data.used),
        "left_out": data.left_out,
        "coverage": round(data.coverage, 6),
    }
    findings = _left_out(data, window)
    refused = _too_little(spec, data)
    if refused:
        return _refusal(refused, base, findings)
    repeats, split = None, None
    try:
        encoding = encoding_of(spec, data.rows[data.label])
        repeats = Repeats(data, encoding)
        split = parts(spec, window, data)
        kinds = kinds_of(data.rows[split.masks["train"]], data.names)
        _imputable(spec, kinds)
    except DataError as error:
        return _refusal(error, *_with_copies(repeats, split, base, findings))
    base, findings = _with_copies(repeats, split, base, findings)
    learned = split.masks["train"] | split.masks["valid"]
    y = injected(ctx.run.inject, encoding.encode(data.rows[data.label]), learned, spec.seed, data.rows)
    if ctx.run.inject:
        findings.append(Found(what=f"a fault was put in on purpose: {ctx.run.inject}"))
        base["inject"] = ctx.run.inject
    rows = {name: int(mask.sum()) for name, mask in split.masks.items()}
    refused = _too_few(spec, encoding, y, split, rows) or _nothing_known(data, split)
    findings += _hollow(data.rows.loc[split.masks["train"], list(data.names)])
    if refused:
        return _refusal(refused, {**base, "rows": rows}, findings)
    result = _fit(spec, key, data, encoding, split, kinds, y, {**base, "rows": rows}, findings, ctx)
    where = f"pipeline {spec.name}, partition {key}, model"
    return with_folds(result, Folding(spec, data, encoding, split, kinds, y, repeats.near, where), ctx)


def _with_copies(
    repeats: Repeats | None, split: Parts | None, base: dict[str, Any], findings: list[Found]
) -> tuple[dict[str, Any], list[Found]]:
    """Data and findings with what is known of copies among the rows; nothing where they were not looked for."""
    if repeats is None:
        return base, findings
    data, found = told(repeats, split)
    return {**base, "duplicates": data}, [*findings, *found]


def _imputable(spec: PipelineSpec, kinds: tuple[tuple[str, str], ...]) -> None:
    """Raises a `DataError` where missing values cannot be filled as declared."""
    if spec.features.missing:
        from mlpipe.stages.imputing import imputer_of

        imputer_of(spec, kinds)


def _refusal(reason: str | DataError, base: dict[str, Any], findings: list[Found]) -> Result:
    why = reason if isinstance(reason, str) else reason.what
    place = {} if isinstance(reason, str) else {"where": reason.where, "fix": reason.fix}
    return Result(
        verdict="refused",
        findings=(Found(what=why, **place), *findings),
        data={**base, "refused": why, HEAD_DATA: {"refused": why}},
        headline=f"**No model**: {why}.",
    )


def _left_out(data: Dataset, window: Sequence[str]) -> list[Found]:
    if not data.left_out:
        return []
    shown = ", ".join(f"{k} ({why})" for k, why in list(data.left_out.items())[:5])
    more = f" and {len(data.left_out) - 5} more" if len(data.left_out) > 5 else ""
    return [
        Found(
            what=f"{len(data.left_out)} of {len(window)} partitions are left out of training: {shown}{more}"
        )
    ]


def _too_little(spec: PipelineSpec, data: Dataset) -> str:
    if not len(data.rows):
        return "no partition of the window has features with known labels"
    if data.coverage < spec.min_coverage:
        return f"only {data.coverage:.0%} of the window's partitions can be used, {spec.min_coverage:.0%} are asked (min_coverage)"
    return ""


def _too_few(
    spec: PipelineSpec, encoding: Encoding, y: np.ndarray, split: Parts, rows: dict[str, int]
) -> str:
    for name, count in rows.items():
        least = spec.min_rows if name == "train" else 1
        if count < least:
            return f"the {name} part holds {count} labelled rows, at least {least} are needed"
    if encoding.task != "regression" and len(np.unique(y[split.masks["train"]])) < 2:
        return "the training rows hold a single class"
    if encoding.task == "regression" and not np.isfinite(y).all():
        return "the labels hold values that are not finite"
    return ""


def _nothing_known(data: Dataset, split: Parts) -> str:
    known = data.rows.loc[split.masks["train"], list(data.names)].notna().to_numpy()
    return "" if known.any() else "no feature holds a value in the training rows"


def _hollow(rows: pd.DataFrame) -> Iterator[Found]:
    """Features from which nothing can be learned: without a value in the training rows, or with one and the same."""
    for name in rows.columns:
        values = rows[name].dropna().nunique()
        if values == 0:
            yield Found(what="no training row holds a value", where=f"feature {name}")
        elif values == 1 and rows[name].notna().all():
            yield Found(what="all training rows hold the same value", where=f"feature {name}")


def _fit(
    spec: PipelineSpec,
    key: str,
    data: Dataset,
    encoding: Encoding,
    split: Parts,
    kinds: tuple[tuple[str, str], ...],
    y: np.ndarray,
    base: dict[str, Any],
    findings: list[Found],
    ctx: Context,
) -> Result:
    masks, X = split.masks, model_frame(data.rows, kinds)
    labels = encoding.decode(y)
    train, valid = (Part(X[masks[p]].reset_index(drop=True), labels[masks[p]]) for p in ("train", "valid"))
    ctx.log(f"{spec.name}: learning from {len(train.y):,} rows and {len(kinds)} features")
    where = f"pipeline {spec.name}, partition {key}, model"
    estimator, logged = fitted(spec, train, valid, kinds, where)
    draft = Bundle(
        estimator,
        encoding.task,
        kinds,
        encoding.classes,
        encoding.classes[-1] if encoding.task == "binary" else None,
        None,
        train.X.head(EXAMPLES),
        {},
    )
    scores = _scores(draft, valid.X, where, spec)
    threshold, extra = _thresholds(spec, encoding, y[masks["train"]], y[masks["valid"]], valid.X, scores, key)
    bundle = replace(draft, threshold=threshold, extra=extra)
    grid = _score_grid(encoding, scores)
    simple, missed = learned_linear(spec, encoding, train, valid, kinds, y[masks["valid"]], where, ctx.store)
    outputs = [
        output("bundle", ctx.store.put_bundle(bundle, trusted=spec.model.trusted)),
        output("score_grid", ctx.store.put_bytes(grid.to_bytes(), "grid", ".json")),
        output(
            "score_profile",
            ctx.store.put_bytes(to_bytes(profile(score_frame(bundle, scores), grid)), "profile", ".bin"),
        ),
        *simple,
    ]
    lines = {**logged, **curves.staged(estimator, {"train": train, "valid": valid})}
    made = [output(name, ctx.store.put_json(points, "curve")) for name, points in lines.items()]
    heard, plots = curves.judged(lines, estimator)
    timed = spec.partitions.every != "none"
    details = {
        "task": encoding.task,
        "classes": encoding.classes,
        "threshold": threshold,
        "split": split.bounds,
        "chosen_until": split.chosen_until if timed else None,
        "data_end": spec.partitions.window(key).start if timed else None,
        **heard,
    }
    if spec.features.missing:
        from mlpipe.stages import imputing

        details["missing"] = imputing.told(estimator.steps[0][1], train.X)
    result = _result(base | details, outputs, made, [*findings, *missed], data, encoding)
    return replace(result, params=description.learned(spec, estimator), plots=plots)


def _result(
    details: dict[str, Any],
    outputs: list[Output],
    curves: list[Output],
    findings: list[Found],
    data: Dataset,
    encoding: Encoding,
) -> Result:
    rows, threshold = details["rows"], details["threshold"]
    cut = f", threshold {threshold:.4g}" if threshold is not None else ""
    head = {k: details[k] for k in ("task", "data_end", "chosen_until", "window")} | {"used": len(data.used)}
    first, last = details["window"]
    shown = f"{first} to {last}" if data.rows[DAY].nunique() > 1 else first
    return Result(
        outputs=tuple(outputs),
        metrics=tuple(MetricValue(name=f"rows_{n}", value=float(v), split="model") for n, v in rows.items()),
        verdict="trained",
        findings=tuple(findings),
        data={**details, "moments": [data.rows[TIME].min(), data.rows[TIME].max()], HEAD_DATA: head},
        curves=tuple(curves),
        headline=f"{encoding.task} model learned from **{rows['train']:,}** rows of {shown} "
        f"({len(data.used)} partitions, {len(data.left_out)} left out){cut}.",
    )


def _scores(bundle: Bundle, X: pd.DataFrame, where: str, spec: PipelineSpec) -> np.ndarray:
    """Scores of rows like those learned from: what the model raises, or gives, is its own mistake, and not theirs."""
    model, limit = spec.model, spec.timeout
    try:
        with deadline(limit, "scoring", where):
            return bundle.predict(X)
    except TooSlowError:
        raise
    except (DataError, UserCodeError) as error:
        own = model.fit is not None
        if error.__cause__ is None and not own:
            raise
        place = defined(model.fit) if own and not error.where else error.where
        raise UserCodeError(error.what, where=f"{where}, {place}", fix="Mend the model.") from error


def _thresholds(
    spec: PipelineSpec,
    encoding: Encoding,
    learned: np.ndarray,
    y: np.ndarray,
    X: pd.DataFrame,
    scores: np.ndarray,
    key: str,
) -> tuple[float | None, dict[str, Any]]:
    """The decision threshold by the declared rule on validation rows; likewise for the baselines, so that they compete on equal terms."""
    constant = np.asarray(constant_scores(cast(Task, encoding.task), learned, 1, encoding.classes))[0]
    extra: dict[str, Any] = {
        "constant": constant.tolist() if hasattr(constant, "tolist") else float(constant)
    }
    if encoding.task != "binary":
        return None, extra
    flat = np.full(len(y), float(constant))
    extra["constant_threshold"] = choose(y, flat, spec.threshold).value
    if spec.baseline is not None:
        extra["rule_threshold"] = choose(y, rule_scores(spec, X, key), spec.threshold).value
    return float(choose(y, scores, spec.threshold).value), extra


def rule_scores(spec: PipelineSpec, X: pd.DataFrame, key: str) -> np.ndarray:
    """Scores of the user's own rule.

    Raises
    ------
    UserCodeError
        When it raises, or does not give one finite number a row.
    """
    assert spec.baseline is not None
    where = f"pipeline {spec.name}, partition {key}, baseline"
    with deadline(spec.timeout, "the baseline", f"{where}, {defined(spec.baseline)}"):
        given = call_any(spec.baseline, X.copy(deep=True), where=where)
    where = f"{where}, {defined(spec.baseline)}"
    try:
        values = np.asarray(given, dtype="float64")
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (len(X),) or not np.isfinite(values).all():
        raise UserCodeError(
            f"the baseline must give one finite number a row ({len(X)} rows), got a {type(given).__name__} of shape {np.shape(given)}",
            where=where,
            fix="Return an array or Series of scores.",
        )
    return values


def score_frame(bundle: Bundle, scores: np.ndarray) -> pd.DataFrame:
    """What is profiled of scores: the probability or prediction; for several classes the class chosen and its probability."""
    if bundle.task != "multiclass":
        return pd.DataFrame({"score": scores})
    chosen = scores.argmax(axis=1)
    return pd.DataFrame({"score": scores.max(axis=1), "class": [str(bundle.classes[i]) for i in chosen]})


def _score_grid(encoding: Encoding, scores: np.ndarray) -> Grid:
    if encoding.task == "regression":
        return build(pd.DataFrame({"score": scores}))
    grid = pd.DataFrame({"score": np.linspace(0.0, 1.0, 1025)})
    if encoding.task == "multiclass":
        grid["class"] = [str(encoding.classes[i % len(encoding.classes)]) for i in range(len(grid))]
    return build(grid)


STAGE = Stage("train", "model", "5", plans)
