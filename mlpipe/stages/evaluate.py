"""Evaluate: metrics with intervals on the rows kept for judging, beside baselines and the champion, and what each gate says."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.gates import Evidence, GateDecision, decide, passed
from mlpipe.core.metrics import METRICS, Scored
from mlpipe.ledger.rule import next_try
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.artifacts import configured, of_judged
from mlpipe.stages.champions import Champion, opened, state_of
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import DAY, Dataset, Encoding, collect
from mlpipe.stages.frames import ROW, TIME
from mlpipe.stages.judging.asked import gates_of, names_of, pairs_of
from mlpipe.stages.judging.rivals import Judged, baselines, blocks_of, judge, rival_of, scored_by
from mlpipe.stages.runner import Plan, Result, Stage, stored
from mlpipe.stages.splits import judging, parts


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition: its model, on the test part of its own window; the champion as of the run's clock, and which try this is."""
    heads = ctx.need(f"{spec.name}/model", keys, spec.name)
    state = state_of(ctx)
    champion = opened(spec, state.champion, ctx)
    functions = tuple(f for f in (spec.baseline,) if f is not None)
    for key in keys:
        head = heads[key]
        if "bundle" not in head.outputs:
            why = str((head.data or {}).get("refused", "no model was trained"))
            yield Plan(key, partial(_nothing, "no_model", why), (head.seen(),), reusable=False)
            continue
        window = spec.partitions.before(key, spec.training_window)
        data = collect(spec, judging(spec, window), ctx)
        inputs = [head.read("bundle"), *data.inputs]
        number = None
        if champion is not None:
            number = next_try(state, champion.number, head.outputs["bundle"].id, as_of=ctx.run.as_of)
            inputs.append(
                Input(
                    asset=f"{spec.name}/production",
                    partition=str(champion.number),
                    record=champion.model.id,
                    name="champion",
                    id=champion.version.bundle,
                )
            )
        params: dict[str, Any] = {
            "metrics": spec.metrics,
            "gates": [g.model_dump(mode="json") for g in spec.gates],
            "blocks": spec.blocks,
            "bootstrap": spec.bootstrap,
            "split": spec.split.model_dump(mode="json"),
            "window": spec.training_window,
            "lead": spec.lead,
            # Of the same labels a later clock knows more, and never fewer.
            "labelled": len(data.rows),
            "champion_data_end": champion.data_end if champion else None,
            "champion_version": champion.number if champion else None,
            "try": number,
        }
        work = partial(_work, spec, key, head, window, data, champion, number, ctx)
        yield Plan(
            key,
            work,
            inputs=tuple(inputs),
            params=params,
            functions=functions,
            seeds={"bootstrap": spec.seed},
            artifacts=(configured(ctx.store, spec),),
        )


def _nothing(verdict: str, why: str) -> Result:
    return Result(
        verdict=verdict,
        findings=(Found(what=why),),
        data={HEAD_DATA: {"refused": why}},
        headline=f"**Nothing to evaluate**: {why}.",
    )


def _judging(
    spec: PipelineSpec, window: Sequence[str], data: Dataset, encoding: Encoding
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows kept for judging whose label the model knows, and their truth as numbers."""
    if not len(data.rows):
        return data.rows, np.empty(0)
    test = data.rows[parts(spec, window, data.rows).masks["test"]]
    y = encoding.encode(test[data.label])
    known = np.isfinite(y)
    return test[known].reset_index(drop=True), y[known]


def _work(
    spec: PipelineSpec,
    key: str,
    head: Head,
    window: Sequence[str],
    data: Dataset,
    champion: Champion | None,
    number: int | None,
    ctx: Context,
) -> Result:
    bundle = ctx.store.get_bundle(head.outputs["bundle"].id, trusted=spec.model.trusted)
    test, y = _judging(spec, window, data, Encoding(bundle.task, bundle.classes))
    if not len(test):
        clock = ctx.run.as_of.isoformat(sep=" ", timespec="minutes")
        return _nothing(
            "no_labels", f"no row kept for judging has a known label of the model's classes (as of {clock})"
        )
    gates = gates_of(spec, bundle.task, champion is None)
    names = tuple(dict.fromkeys((*names_of(spec, bundle.task), *(str(g.params["metric"]) for g in gates))))
    blocks = blocks_of(spec, key, test)
    ctx.log(
        f"{spec.name}: judging on {len(test):,} rows, {spec.bootstrap} resamples of {len(np.unique(blocks))} blocks"
    )
    challenger = judge(spec, "challenger", scored_by(bundle, test, y), names, blocks)
    ladder = baselines(spec, key, bundle, test, y, names, blocks)
    rival = rival_of(spec, bundle, champion, test, y, names, blocks)
    compared = number if rival.judged else None
    evidence = Evidence(
        metrics=challenger.values,
        intervals={n: (i.low, i.high) for n, i in challenger.intervals.items()},
        champion_version=str(champion.number) if champion else None,
        try_number=compared,
        incomparable=rival.incomparable,
        ids=(head.record, head.outputs["bundle"].id),
    )
    decisions = []
    for gate in gates:
        pairs = pairs_of(spec, gate, challenger, ladder, rival, blocks, compared)
        decisions.append(decide(gate.kind, gate.params, replace(evidence, **pairs)))
    table = test[[DAY, ROW, TIME]].assign(y=y, **_score_columns(challenger.scored))
    judged = [challenger, *ladder, *([rival.judged] if rival.judged else [])]
    result = _result(spec, judged, decisions, table, head, champion, rival.incomparable, compared, ctx)
    kept, plots = of_judged(ctx.store, challenger.scored, test, bundle.feature_names)
    return replace(result, artifacts=kept, plots=plots)


def _score_columns(scored: Scored) -> dict[str, np.ndarray]:
    if scored.score.ndim == 1:
        return {"score": scored.score}
    return {f"score_{i}": scored.score[:, i] for i in range(scored.score.shape[1])}


def _values(judged: Judged, split: str) -> list[MetricValue]:
    out = []
    for name, value in judged.values.items():
        bounds = judged.intervals[name]
        out.append(
            MetricValue(
                name=name,
                value=value,
                better=METRICS[name].better,
                split=split,
                low=bounds.low,
                high=bounds.high,
            )
        )
    return out


def _result(
    spec: PipelineSpec,
    judged: list[Judged],
    decisions: list[GateDecision],
    table: pd.DataFrame,
    head: Head,
    champion: Champion | None,
    incomparable: str,
    number: int | None,
    ctx: Context,
) -> Result:
    metrics = [v for j in judged for v in _values(j, "test" if j.name == "challenger" else j.name)]
    good = passed(decisions)
    undecided = all(d.verdict in ("pass", "not_comparable") for d in decisions)
    verdict = "pass" if good else "not_comparable" if undecided else "fail"
    primary, bundle_id = next(iter(judged[0].values)), head.outputs["bundle"].id
    base = {j.name: j.values[primary] for j in judged[1:]}
    small = {
        "bundle": bundle_id,
        "gates_passed": good,
        "primary": primary,
        "data_end": (head.data or {}).get("data_end"),
    }
    data = {
        "primary": primary,
        "rows": len(table),
        "bundle": bundle_id,
        "model_record": head.record,
        "gates": [d.to_dict() for d in decisions],
        "champion": champion.number if champion else None,
        "try": number,
        "incomparable": incomparable,
        "lift": {n: METRICS[primary].sign * (judged[0].values[primary] - v) for n, v in base.items()},
        HEAD_DATA: small,
    }
    bounds, others = judged[0].intervals[primary], ", ".join(f"{n} {v:.4g}" for n, v in base.items())
    shown = f"{primary} **{judged[0].values[primary]:.4g}** [{bounds.low:.4g}, {bounds.high:.4g}] ({others})"
    return Result(
        outputs=(stored(ctx.store, "scored", table),),
        metrics=tuple(metrics),
        verdict=verdict,
        findings=tuple(Found(what=d.sentence) for d in decisions if d.verdict != "pass"),
        data=data,
        headline=f"{shown} on {len(table):,} rows; gates: **{verdict.replace('_', ' ')}**.",
    )


STAGE = Stage("evaluate", "evaluation", "3", plans)
