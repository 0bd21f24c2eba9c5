"""Register: the decision about an evaluated model, in the ledger, with its model card."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from mlpipe.core.gates import GateDecision, passed
from mlpipe.errors import DataError
from mlpipe.ledger.fold import Version
from mlpipe.ledger.promotion import Candidate, Decision, decide
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, MetricValue, Record
from mlpipe.spec.calendar import DISTANT_PAST
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.card import model_card
from mlpipe.stages.champions import state_of
from mlpipe.stages.context import Context, record_of
from mlpipe.stages.evidence import is_older
from mlpipe.stages.indicators import frozen
from mlpipe.stages.runner import Plan, Result, Stage, output

ROLES = {
    "manual": "human",
    "schedule": "schedule",
    "backfill": "backfill",
    "experiment": "experiment",
}


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition. Never reused: it is a decision, not a computation."""
    heads = ctx.need(f"{spec.name}/evaluation", keys, spec.name)
    for key in keys:
        head = heads[key]
        if "scored" not in head.outputs:
            yield Plan(key, partial(_nothing, head), (head.seen(),), reusable=False)
            continue
        yield Plan(
            key,
            partial(_work, spec, key, head, ctx),
            inputs=(head.read("scored"),),
            params={"min_tenure": spec.min_tenure},
            reusable=False,
        )


def _nothing(head: Head) -> Result:
    why = str((head.data or {}).get("refused", "no model was evaluated"))
    return Result(
        verdict="no_model",
        findings=(Found(what=f"there is no evaluated model to register: {why}"),),
        data={HEAD_DATA: {}},
        headline=f"**Nothing to register**: {why}.",
    )


def _work(spec: PipelineSpec, key: str, head: Head, ctx: Context) -> Result:
    evaluation = record_of(ctx, head, spec.name)
    gates = [GateDecision.from_dict(d) for d in evaluation.data["gates"]]
    gates += [GateDecision.from_dict(d) for d in evaluation.data.get("staging_gates", ())]
    bundle, model = str(evaluation.data["bundle"]), str(evaluation.data["model_record"])
    _check_evidence(spec, key, evaluation, ctx)
    champion = ctx.ledger.state().champion
    if champion is not None and champion.bundle == bundle:
        return _already(spec, champion, evaluation)
    candidate = _candidate(spec, key, evaluation, gates, bundle, ctx)
    corrected = _corrected(spec, key, candidate, ctx)
    details: dict[str, Any] = {
        "model_record": model,
        "evaluation_record": evaluation.id,
        "partition": key,
        "metrics": _test_metrics(evaluation),
        "gates": [g.to_dict() for g in gates],
        "run": ctx.run.id,
        **({"attempt": ctx.run.attempt} if ctx.run.attempt else {}),
        **({"inject": ctx.run.inject} if ctx.run.inject else {}),
        **({"looks": evaluation.data["looks"]} if evaluation.data.get("looks") is not None else {}),
    }
    decision = decide(
        ctx.ledger,
        candidate,
        actor=ctx.run.actor or "unknown",
        reason=ctx.run.trigger.reason or f"trained for {key} ({ctx.run.trigger.kind})",
        now=ctx.run.as_of,
        min_tenure=spec.min_tenure,
        corrected_data=corrected,
        frozen=frozen(spec, ctx.run.as_of, ctx),
        logical_date=key,
        details=details,
    )
    return _result(spec, key, evaluation, decision, gates, ctx)


def _check_evidence(spec: PipelineSpec, key: str, evaluation: Record, ctx: Context) -> None:
    """Raise a `DataError` where the evaluation says nothing about the model of the partition as it is now."""
    bundle = str(evaluation.data["bundle"])
    where, fix = f"{spec.name}, partition {key}", "Materialize model and evaluation again."
    if not any(i.name == "bundle" and i.id == bundle for i in evaluation.inputs):
        raise DataError("the evaluation does not belong to the model that it names", where=where, fix=fix)
    if not evaluation.data["gates"]:
        raise DataError("the evaluation holds no decision of a gate", where=where, fix=fix)
    model = ctx.heads.find(f"{spec.name}/model", [key]).get(key)
    if model is None or "bundle" not in model.outputs:
        raise DataError("the model of the evaluation is gone", where=where, fix=fix)
    if model.outputs["bundle"].id != bundle:
        raise DataError(
            f"the evaluation is of another model ({bundle}) than the one that was trained since "
            f"({model.outputs['bundle'].id})",
            where=where,
            fix=f"Materialize {spec.name}/evaluation again.",
        )
    if is_older(evaluation, record_of(ctx, model, spec.name)):
        raise DataError(
            "the evaluation is older than the model, which was made again since",
            where=where,
            fix=f"Materialize {spec.name}/evaluation again.",
        )


def _already(spec: PipelineSpec, champion: Version, evaluation: Record) -> Result:
    """The very model that is champion was made again: there is nothing to decide."""
    head = {"version": champion.number, "promoted": False, "entries": [], "moved": []}
    return Result(
        metrics=(MetricValue(name="version", value=float(champion.number), split="model"),),
        verdict="champion",
        data={
            "version": champion.number,
            "bundle": champion.bundle,
            "evaluation": evaluation.id,
            HEAD_DATA: head,
        },
        headline=f"`{spec.name}@{champion.number}` was made again, to the bit; it is in production already.",
    )


def _candidate(
    spec: PipelineSpec, key: str, evaluation: Record, gates: list[GateDecision], bundle: str, ctx: Context
) -> Candidate:
    trigger = "backfill" if ctx.run.backfill else "experiment" if ctx.run.experiment else ctx.run.trigger.kind
    end = DISTANT_PAST if spec.partitions.every == "none" else spec.partitions.window(key).start
    return Candidate(
        bundle=bundle,
        # The same evaluation done again (after a crash, by a retry) is the same evidence, whatever its record's clock says.
        evaluation_id=evaluation.recipe or evaluation.id,
        data_end=end,
        trigger=trigger,
        role=ROLES.get(trigger, "sensor"),
        gates_passed=passed(gates),
        gate_sentence=" ".join(g.sentence for g in gates if g.verdict != "pass"),
        champion=evaluation.data["champion"],
        try_number=evaluation.data["try"],
    )


def _corrected(spec: PipelineSpec, key: str, candidate: Candidate, ctx: Context) -> bool:
    """Whether the model was made from corrected data: the champion's own partition, from other inputs. Without partitions always."""
    champion = state_of(ctx).champion
    if champion is None:
        return False
    return spec.partitions.every == "none" or (
        candidate.data_end == champion.data_end and candidate.bundle != champion.bundle
    )


def _test_metrics(evaluation: Record) -> dict[str, float | None]:
    """Metrics of the test part; None for one that does not exist, such as the precision of a model that says no to everything."""
    return {
        m.name: m.value if math.isfinite(m.value) else None for m in evaluation.metrics if m.split == "test"
    }


def _result(
    spec: PipelineSpec,
    key: str,
    evaluation: Record,
    decision: Decision,
    gates: list[GateDecision],
    ctx: Context,
) -> Result:
    version = decision.version
    verdict = "promoted" if decision.promoted else "refused" if decision.refused else "candidate"
    card = model_card(spec, version, evaluation, gates, verdict, decision.reasons)
    put = ctx.store.put_bytes(card.encode(), "report", ".md")
    moved = [e for e in decision.entries if e.kind in ("promote", "override")]
    why = " ".join(decision.reasons)
    head = {
        "version": version.number,
        "promoted": decision.promoted,
        "entries": [e.number for e in decision.entries],
        "moved": [e.number for e in moved],
    }
    stage = (
        "is **production** now"
        if verdict == "promoted"
        else f"was **{verdict}**: {why}"
        if why
        else f"was **{verdict}**"
    )
    return Result(
        outputs=(output("card", put),),
        metrics=(MetricValue(name="version", value=float(version.number), split="model"),),
        verdict=verdict,
        findings=tuple(Found(what=r) for r in decision.reasons),
        data={
            "version": version.number,
            "bundle": version.bundle,
            "evaluation": evaluation.id,
            "decided_at": _text(ctx.run.as_of),
            HEAD_DATA: head,
        },
        artifacts=(output("model_card", put),),
        headline=f"`{spec.name}@{version.number}` {stage}",
    )


def _text(instant: datetime) -> str:
    return instant.isoformat()


STAGE = Stage("register", "release", "2", plans)
