"""How every stage runs: plan, recipe, reuse or work, record. A stage itself only says what it reads and what it does."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mlpipe.core.fingerprint import fingerprint
from mlpipe.errors import MlpipeError
from mlpipe.records.capture import environment, environment_now, metered, mlpipe_version
from mlpipe.records.codec import coerce, digest, head_of, sealed, to_bytes
from mlpipe.records.record import Code, Cost, Found, Input, MetricValue, Output, Record
from mlpipe.records.secrets import scrubbed, scrubbed_text
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.failures import Failures, attempted, placed
from mlpipe.stores.store import Put, Store
from mlpipe.stores.threads import limited

AHEAD = 16
"""At most this many partitions are worked on ahead of the disk."""


@dataclass(frozen=True)
class Result:
    """What the work of a stage gives, before it becomes a record. Holds no clock, so that a recipe may keep it."""

    outputs: tuple[Output, ...] = ()
    metrics: tuple[MetricValue, ...] = ()
    verdict: str = ""
    findings: tuple[Found, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    curves: tuple[Output, ...] = ()
    artifacts: tuple[Output, ...] = ()
    headline: str = ""
    plots: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """One partition's work, known before it is done.

    `params` and `inputs` decide the result together with the code, the seed and the environment; `reusable` is False where something
    outside decides too (a source, the ledger). `failed`: why it cannot be done, where that is known beforehand. `told` are the parameters
    as the record shows them, where that is not how they decide; None: `params`. `artifacts` and `data` describe what was asked for,
    and so are no part of what a recipe gives.
    """

    key: str
    work: Callable[[], Result]
    inputs: tuple[Input, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    functions: tuple[Callable[..., Any], ...] = ()
    seeds: dict[str, int] = field(default_factory=dict)
    reusable: bool = True
    failed: MlpipeError | None = None
    told: dict[str, Any] | None = None
    artifacts: tuple[Output, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage: the asset it makes, its version (raised when its results change), and its plans for some partitions."""

    name: str
    asset: str
    version: str
    plans: Callable[[PipelineSpec, Sequence[str], Context], Iterator[Plan]]


def output(name: str, put: Put) -> Output:
    """What was put, as an output of a record."""
    return Output(name=name, id=put.id, rows=put.rows, bytes=put.bytes, sha256=put.sha256)


def threads() -> int:
    """Threads that numerical libraries may use: `OMP_NUM_THREADS`, else one."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() and int(text) > 0 else 1


def run_stage(stage: Stage, spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Record]:
    """Run a stage for some partitions, in order; each record is in the store before it is yielded.

    A partition whose recipe was done before reuses what it made. A crash between two partitions loses nothing that was yielded. One that
    fails does not hold up the others: when they are done, the error is raised; see `mlpipe.stages.failures`.

    Raises
    ------
    MlpipeError
        Before any work, when the run lacks what the pipeline asks of every record; then what the stage raises.
    """
    _require(spec, ctx)
    done: deque[tuple[Record, Future[None]]] = deque()
    codes: dict[tuple[Callable[..., Any], ...], Code] = {}
    failures = Failures(spec.name, stage.asset, len(keys))
    with limited(threads()), ctx.store.writing_behind() as behind:
        try:
            for plan, looked in _looked(stage.plans(spec, keys, ctx)):
                if plan.functions not in codes:
                    codes[plan.functions] = code_of(stage, plan.functions, ctx)
                made = _made(stage, spec, plan, codes[plan.functions], looked, ctx)
                if isinstance(made, MlpipeError):
                    if not failures.add(plan.key, made, tried=plan.failed is None):
                        break
                    continue
                failures.went_on()
                record, result = made
                ctx.heads.add(head_of(record))
                note = partial(_note, spec, ctx, record, "" if record.reused else record.recipe, result)
                done.append((record, behind.then(note)))
                while len(done) > AHEAD or (done and done[0][1].done()):
                    yield _durable(done)
            failures.raised()
        except Exception as error:
            # What was finished before the failure is handed over first: it is on record, and must not be forgotten.
            while done:
                yield _durable(done)
            if isinstance(error, MlpipeError):
                placed(error, spec.name, stage.asset)
            raise
        while done:
            yield _durable(done)


def _require(spec: PipelineSpec, ctx: Context) -> None:
    """Raises where a run lacks tags that are required, or where a name is not formed as asked."""
    unmet = spec.record.unmet(ctx.run.experiment, {**spec.tags, **ctx.run.tags})
    if unmet:
        raise MlpipeError(
            "the run lacks what is asked of every record",
            where=f"pipeline {spec.name}, record.require",
            findings=unmet,
            fix="Give tags in 'tags' of the pipeline, or to the run as mlpipe/tag/<name>; an experiment as mlpipe/experiment.",
        )


def _looked(plans: Iterator[Plan]) -> Iterator[tuple[Plan, Cost]]:
    """Plans with what it cost to make each: a stage looks at its inputs there. What serves several partitions is counted for the first."""
    while True:
        with metered() as meter:
            plan = next(plans, None)
        if plan is None:
            return
        yield plan, meter.cost


def _made(
    stage: Stage, spec: PipelineSpec, plan: Plan, code: Code, looked: Cost, ctx: Context
) -> tuple[Record, Result] | MlpipeError:
    """What one partition came to; or its error, where that is its own."""
    if plan.failed is not None:
        return plan.failed
    with metered(looked) as meter:
        made = attempted(partial(_result, stage, plan, code, ctx))
    if isinstance(made, MlpipeError):
        return made
    recipe, result, reused = made
    return sealed(_record(stage, spec, plan, ctx, result, recipe, reused, code, meter.cost)), result


def _note(spec: PipelineSpec, ctx: Context, record: Record, recipe: str, result: Result) -> None:
    """The record, and then the recipe: a recipe found again must have all that it names."""
    ctx.store.add_record(spec.name, record.id, to_bytes(record))
    if recipe:
        ctx.store.remember(recipe, _to_json(result))


def _durable(done: "deque[tuple[Record, Future[None]]]") -> Record:
    record, written = done.popleft()
    written.result()
    return record


def code_of(stage: Stage, plan_functions: Sequence[Callable[..., Any]], ctx: Context) -> Code:
    """The code behind a stage's result. Of functions with one name (two lambdas), each has its own fingerprint."""
    names: dict[str, str] = {}
    for function in plan_functions:
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
        names[f"{name}#{len(names) + 1}" if name in names else name] = fingerprint(function)
    return Code(
        stage_version=stage.version,
        mlpipe=mlpipe_version(),
        fingerprints=names,
        archive=ctx.archive,
        commit=ctx.commit,
        base=ctx.base,
        withheld=dict(ctx.withheld),
    )


def recipe_of(stage: Stage, plan: Plan, code: Code) -> str:
    """Name of what decides the result: inputs by content, parameters, seeds, code, environment, stage version."""
    return "recipe-" + digest(
        {
            "stage": stage.name,
            "key": plan.key,
            "version": stage.version,
            "inputs": sorted([i.asset, i.partition, i.name, i.id] for i in plan.inputs),
            "params": coerce(plan.params),
            "seeds": plan.seeds,
            "code": code.fingerprints,
            "environment": environment().id,
        }
    )


def _result(stage: Stage, plan: Plan, code: Code, ctx: Context) -> tuple[str, Result, bool]:
    if not plan.reusable:
        return "", plan.work(), False
    recipe = recipe_of(stage, plan, code)
    done = ctx.store.recall(recipe)
    if done is not None:
        result = _from_json(done)
        if all(ctx.store.exists(o.id) for o in (*result.outputs, *result.curves, *result.artifacts)):
            return recipe, result, True
    return recipe, plan.work(), False


def _to_json(result: Result) -> dict[str, Any]:
    many = ("outputs", "metrics", "findings", "curves", "artifacts")
    body: dict[str, Any] = {
        name: [part.model_dump(mode="json") for part in getattr(result, name)] for name in many
    }
    body |= {
        "verdict": result.verdict,
        "data": result.data,
        "params": result.params,
        "headline": result.headline,
        "plots": result.plots,
    }
    return dict(scrubbed(coerce(body)))


def _from_json(body: dict[str, Any]) -> Result:
    made = {n: tuple(Output.model_validate(p) for p in body[n]) for n in ("outputs", "curves", "artifacts")}
    return Result(
        outputs=made["outputs"],
        metrics=tuple(MetricValue.model_validate(p) for p in body["metrics"]),
        verdict=body["verdict"],
        findings=tuple(Found.model_validate(p) for p in body["findings"]),
        data=body["data"],
        params=body["params"],
        curves=made["curves"],
        artifacts=made["artifacts"],
        headline=body["headline"],
        # What was remembered before there were any has none.
        plots=body.get("plots", {}),
    )


def _record(
    stage: Stage,
    spec: PipelineSpec,
    plan: Plan,
    ctx: Context,
    result: Result,
    recipe: str,
    reused: bool,
    code: Code,
    cost: Cost,
) -> Record:
    run = ctx.run
    params = plan.params if plan.told is None else plan.told
    return Record(
        pipeline=spec.name,
        segment=ctx.segment,
        deployment=ctx.ledger.deployment,
        stage=stage.name,
        asset=f"{spec.name}/{stage.asset}",
        partition=plan.key,
        run=run.id,
        recipe=recipe,
        reused=reused,
        as_of=run.as_of,
        recorded_at=ctx.now(),
        trigger=run.trigger,
        actor=run.actor,
        params=scrubbed(coerce({**params, **result.params})),
        metrics=result.metrics,
        curves=result.curves,
        inputs=plan.inputs,
        outputs=result.outputs,
        code=code,
        environment=environment_now(ctx.installed),
        seeds=plan.seeds,
        cost=cost,
        verdict=result.verdict,
        findings=tuple(map(_told, (*result.findings, *_withheld(stage, code)))),
        artifacts=(*result.artifacts, *plan.artifacts),
        data=scrubbed(coerce({**result.data, **plan.data})),
        headline=scrubbed_text(result.headline),
        plots=coerce(result.plots),
        owners=spec.owners,
        experiment=run.experiment,
        hypothesis=run.hypothesis,
        notes=run.note,
        tags={**spec.tags, **run.tags},
    )


def _told(found: Found) -> Found:
    return Found(
        what=scrubbed_text(found.what), where=scrubbed_text(found.where), fix=scrubbed_text(found.fix)
    )


LEARNING = ("train", "trial")
"""Stages whose records tell what is missing from the archive of the code: from them models are made again."""


def _withheld(stage: Stage, code: Code) -> Iterator[Found]:
    for file, why in code.withheld.items() if stage.name in LEARNING else ():
        yield Found(
            what=f"the file is not in the archive of the code: {why}",
            where=file,
            fix="Read secrets from the environment, and commit large files elsewhere: the model cannot be made again without this file.",
        )


def stored(store: Store, name: str, frame: Any, keys: Sequence[str] = ()) -> Output:
    """A table put into the store, as an output."""
    return output(name, store.put_table(frame, keys=tuple(keys)))
