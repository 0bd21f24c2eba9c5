"""Evaluate: metrics with intervals on the rows kept for judging, beside baselines and the champion, and what each gate says."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.bootstrap import Interval
from mlpipe.core.gates import Evidence, GateDecision, decide, passed
from mlpipe.ledger.rule import next_try
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.judging import Gate
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import locked
from mlpipe.stages.artifacts import configured, of_judged
from mlpipe.stages.champions import Champion, opened, state_of
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import DAY, Dataset, Encoding, collect
from mlpipe.stages.folding import FOLDS, judged_folds, score_columns
from mlpipe.stages.frames import ROW, TIME
from mlpipe.stages.judging import probed
from mlpipe.stages.judging.asked import (
    Comparisons,
    functions_of,
    gates_of,
    lifts,
    metrics_of,
    pairs_of,
    probes_of,
    staging_gates_of,
    told_of,
)
from mlpipe.stages.judging.rivals import (
    Judged,
    Rival,
    baselines,
    blocks_of,
    judge,
    rival_of,
    scored_by,
)
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stages.linear import LINEAR
from mlpipe.stages.runner import Plan, Result, Stage, output, stored
from mlpipe.stages.splits import judging, parts
from mlpipe.stores.bundles import Bundle


@dataclass(frozen=True)
class Asked:
    """One model that is to be judged: its partition, what was read, its rival, and how often the locked window was looked at."""

    spec: PipelineSpec
    key: str
    head: Head
    window: Sequence[str]
    data: Dataset
    champion: Champion | None
    number: int | None
    looks: int | None
    ctx: Context

    @property
    def trial(self) -> bool:
        """Whether the model is a trial's, which no record holds yet."""
        return not self.head.record


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition: its model, on the test part of its own window; the champion as of the run's clock, and which try this is."""
    heads = ctx.need(f"{spec.name}/model", keys, spec.name)
    state = state_of(ctx)
    champion = opened(spec, state.champion, ctx)
    functions = functions_of(spec)
    for key in keys:
        head = heads[key]
        if "bundle" not in head.outputs:
            why = str((head.data or {}).get("refused", "no model was trained"))
            yield Plan(key, partial(_nothing, "no_model", why), (head.seen(),), reusable=False)
            continue
        window = spec.partitions.before(key, spec.training_window)
        data = collect(spec, judging(spec, window), ctx)
        inputs = [head.read(n) for n in ("bundle", LINEAR, FOLDS) if n in head.outputs]
        inputs += data.inputs
        number, bundle = None, head.outputs["bundle"].id
        if champion is not None:
            number = next_try(state, champion.number, bundle, as_of=ctx.run.as_of)
            inputs.append(
                Input(
                    asset=f"{spec.name}/production",
                    partition=str(champion.number),
                    record=champion.model.id,
                    name="champion",
                    id=champion.version.bundle,
                )
            )
        opens = bool(head.record) and not (ctx.run.backfill or ctx.run.experiment)
        looks = locked.looks(spec, key, bundle, state, as_of=ctx.run.as_of) if opens else None
        asked = Asked(spec, key, head, window, data, champion, number, looks, ctx)
        yield Plan(
            key,
            partial(_work, asked),
            inputs=tuple(inputs),
            params=_params(asked),
            functions=functions,
            seeds={"bootstrap": spec.seed},
            artifacts=(configured(ctx.store, spec),),
        )


def _params(asked: Asked) -> dict[str, Any]:
    """What decides beside the inputs."""
    spec, champion = asked.spec, asked.champion
    found: dict[str, Any] = {
        "metrics": spec.metrics,
        "gates": [g.to_plain() for g in spec.gates],
        "blocks": spec.clustered_by,
        "bootstrap": spec.bootstrap,
        "split": spec.split.to_plain(),
        "window": spec.training_window,
        "lead": spec.lead,
        # Of the same labels a later clock knows more, and never fewer.
        "labelled": len(asked.data.rows),
        "champion_data_end": champion.data_end if champion else None,
        "champion_version": champion.number if champion else None,
        "try": asked.number,
    }
    judged = told_of(spec)
    found |= {"judged_by": judged} if judged else {}
    return found | ({"looks": asked.looks} if spec.locked is not None else {})


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
    test = data.rows[parts(spec, window, data).masks["test"]]
    y = encoding.encode(test[data.label])
    known = np.isfinite(y)
    return test[known].reset_index(drop=True), y[known]


def _work(asked: Asked) -> Result:
    spec, head, champion, ctx = asked.spec, asked.head, asked.champion, asked.ctx
    bundle = ctx.store.get_bundle(head.outputs["bundle"].id, trusted=spec.model.trusted)
    test, y = _judging(spec, asked.window, asked.data, Encoding(bundle.task, bundle.classes))
    if spec.locked is not None and asked.looks is None:
        shown = locked.unlocked(test, spec.locked.share)
        test, y = test[shown].reset_index(drop=True), y[shown]
    if not len(test):
        clock = ctx.run.as_of.isoformat(sep=" ", timespec="minutes")
        return _nothing(
            "no_labels", f"no row kept for judging has a known label of the model's classes (as of {clock})"
        )
    gates = gates_of(spec, bundle.task, champion is None, asked.trial)
    staging = [] if asked.trial else staging_gates_of(spec, bundle.task)
    names, blocks = metrics_of(spec, bundle.task, [*gates, *staging]), blocks_of(spec, asked.key, test)
    ctx.log(
        f"{spec.name}: judging on {len(test):,} rows, {spec.bootstrap} resamples of {len(np.unique(blocks))} blocks"
    )
    challenger = judge(spec, "challenger", scored_by(bundle, test, y), names, blocks)
    ladder = baselines(spec, asked.key, bundle, test, y, names, blocks, _linear(asked))
    rival = rival_of(spec, bundle, champion, test, y, names, blocks)
    subject = _subject(asked, bundle, test, y, challenger, blocks, rival)
    found = probed(subject, () if asked.trial else probes_of(spec, [*gates, *staging]))
    compared = asked.number if rival.judged else None
    evidence = Evidence(
        metrics=challenger.values,
        intervals={n: (i.low, i.high) for n, i in challenger.intervals.items()},
        champion_version=str(champion.number) if champion else None,
        try_number=compared,
        incomparable=rival.incomparable,
        ids=(head.record, head.outputs["bundle"].id),
        probes={name: p.facts for name, p in found.items()},
    )

    comparisons = Comparisons(spec)

    def decided(asked_for: Sequence[Gate]) -> list[GateDecision]:
        pairs = (
            pairs_of(comparisons, gate, challenger, ladder, rival, blocks, compared) for gate in asked_for
        )
        return [
            decide(g.kind, g.params, replace(evidence, **p)) for g, p in zip(asked_for, pairs, strict=True)
        ]

    table = test[[DAY, ROW, TIME]].assign(y=y, **score_columns(challenger.scored.score))
    judged = [challenger, *ladder, *([rival.judged] if rival.judged else [])]
    result = _result(asked, judged, decided(gates), decided(staging), table, rival.incomparable, compared)
    result = _with_folds(_with_probes(result, found, ctx), asked, bundle, tuple(challenger.values))
    lift = lifts(comparisons, subject, ladder, rival, names[0])
    kept, plots = of_judged(ctx.store, challenger.scored, test, bundle.feature_names)
    return replace(
        result,
        data={**result.data, "ladder": lift},
        artifacts=(*kept, *result.artifacts),
        plots=plots,
    )


def _subject(
    asked: Asked,
    bundle: Bundle,
    test: pd.DataFrame,
    y: np.ndarray,
    challenger: Judged,
    blocks: np.ndarray,
    rival: Rival,
) -> Subject:
    spec, champion = asked.spec, asked.champion
    return Subject(
        spec=spec,
        key=asked.key,
        bundle=bundle,
        rows=test,
        y=y,
        scored=challenger.scored,
        blocks=blocks,
        names=tuple(challenger.values),
        champion=champion.bundle if champion and rival.judged else None,
        champion_scored=rival.judged.scored if rival.judged else None,
        compared=rival.compared,
        training=partial(_training, asked, Encoding(bundle.task, bundle.classes)),
        ctx=asked.ctx,
        seed=spec.seed,
        model=asked.head.record,
    )


def _linear(asked: Asked) -> Bundle | None:
    """The simple model that was learned beside the model; None where there is none."""
    made = asked.head.outputs.get(LINEAR)
    return None if made is None else asked.ctx.store.get_bundle(made.id)


def _training(asked: Asked, encoding: Encoding) -> tuple[pd.DataFrame, np.ndarray]:
    """The train part of the window, as it is known at the run's clock, and its truth as numbers."""
    data = collect(asked.spec, asked.window, asked.ctx)
    rows = data.rows[parts(asked.spec, asked.window, data).masks["train"]]
    y = encoding.encode(rows[data.label])
    known = np.isfinite(y)
    return rows[known].reset_index(drop=True), y[known]


def _with_probes(result: Result, found: Mapping[str, Probed], ctx: Context) -> Result:
    """The result with what probes found: facts among its data, numbers among its metrics, reports as objects."""
    if not found:
        return result
    reports = tuple(output(n, ctx.store.put_json(dict(p.report), "report")) for n, p in found.items())
    return replace(
        result,
        metrics=(*result.metrics, *(m for p in found.values() for m in p.metrics)),
        findings=(*result.findings, *(Found(what=note) for p in found.values() for note in p.notes)),
        data={**result.data, "judged": {n: dict(p.facts) for n, p in found.items()}},
        artifacts=(*result.artifacts, *reports),
    )


def _with_folds(result: Result, asked: Asked, bundle: Bundle, names: Sequence[str]) -> Result:
    """The result with what the folds of the training came to, where it made some: a report, by which nothing is decided."""
    made = asked.head.outputs.get(FOLDS)
    if made is None:
        return result
    metrics, told = judged_folds(asked.spec, asked.ctx.store.get_table(made.id), bundle.classes, names)
    return replace(result, metrics=(*result.metrics, *metrics), data={**result.data, FOLDS: told})


def _values(spec: PipelineSpec, judged: Judged, split: str) -> list[MetricValue]:
    measures, out = spec.measures, []
    for name, value in judged.values.items():
        bounds, metric = judged.intervals[name], measures.of(name)
        out.append(
            MetricValue(
                name=name, value=value, better=metric.better, split=split, low=bounds.low, high=bounds.high
            )
        )
    return out


def _result(
    asked: Asked,
    judged: list[Judged],
    decisions: list[GateDecision],
    staging: list[GateDecision],
    table: pd.DataFrame,
    incomparable: str,
    number: int | None,
) -> Result:
    spec, head = asked.spec, asked.head
    metrics = [v for j in judged for v in _values(spec, j, "test" if j.name == "challenger" else j.name)]
    if asked.looks is not None and spec.locked is not None:
        metrics.append(MetricValue(name="looks", value=float(asked.looks), split="locked"))
    good = passed(decisions)
    undecided = all(d.verdict in ("pass", "not_comparable") for d in decisions)
    verdict = "pass" if good else "not_comparable" if undecided else "fail"
    primary, bundle_id = next(iter(judged[0].values)), head.outputs["bundle"].id
    base, sign = {j.name: j.values[primary] for j in judged[1:]}, spec.measures.of(primary).sign
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
        "champion": asked.champion.number if asked.champion else None,
        "try": number,
        "incomparable": incomparable,
        "lift": {n: _known(sign * (judged[0].values[primary] - v)) for n, v in base.items()},
        **({"staging_gates": [d.to_dict() for d in staging]} if staging else {}),
        **({"looks": asked.looks} if spec.locked is not None else {}),
        HEAD_DATA: small,
    }
    others = ", ".join(f"{n} {_shown(v)}" for n, v in base.items())
    shown = (
        f"{primary} **{_shown(judged[0].values[primary])}**{_ends(judged[0].intervals[primary])} ({others})"
    )
    return Result(
        outputs=(stored(asked.ctx.store, "scored", table),),
        metrics=tuple(metrics),
        verdict=verdict,
        findings=tuple(Found(what=d.sentence) for d in (*decisions, *staging) if d.verdict != "pass"),
        data=data,
        headline=f"{shown} on {len(table):,} rows; gates: **{verdict.replace('_', ' ')}**.",
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "undefined"


def _ends(bounds: Interval) -> str:
    return f" [{bounds.low:.4g}, {bounds.high:.4g}]" if math.isfinite(bounds.low + bounds.high) else ""


STAGE = Stage("evaluate", "evaluation", "6", plans)
