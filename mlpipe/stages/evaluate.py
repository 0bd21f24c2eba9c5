"""Evaluate: metrics with intervals on the rows kept for judging, beside baselines and the champion, and what each gate says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.bootstrap import Interval, Paired, interval, paired
from mlpipe.core.gates import MARGIN, Evidence, GateDecision, decide, level_of_gate, passed
from mlpipe.core.metrics import DEFAULTS, METRICS, Scored, evaluate
from mlpipe.errors import DataError, did_you_mean
from mlpipe.ledger.rule import next_try
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, Input, MetricValue
from mlpipe.spec.modeling import Gate
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.artifacts import configured, of_judged
from mlpipe.stages.champions import Champion, opened, state_of
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import DAY, Dataset, Encoding, collect
from mlpipe.stages.frames import ROW, TIME
from mlpipe.stages.runner import Plan, Result, Stage, stored
from mlpipe.stages.splits import judging, parts
from mlpipe.stages.train import rule_scores
from mlpipe.stores.bundles import Bundle

MOST_BLOCKS = 500
FEW_DAYS = 5


@dataclass(frozen=True)
class Judged:
    """One model on some rows: what it is called, its scores, and its metrics with intervals."""

    name: str
    scored: Scored
    values: dict[str, float]
    intervals: dict[str, Interval]


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


@dataclass(frozen=True)
class Rival:
    """The champion on the rows that neither model was trained or chosen on, and ours on the same; or why there are none."""

    judged: Judged | None = None
    ours: Scored | None = None
    blocks: np.ndarray | None = None
    incomparable: str = ""


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
    challenger = _judge(spec, "challenger", scored_by(bundle, test, y), names, blocks)
    baselines = _baselines(spec, key, bundle, test, y, names, blocks)
    rival = _rival(spec, bundle, champion, test, y, names, blocks)
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
        pairs = _pairs(spec, gate, challenger, baselines, rival, blocks, compared)
        decisions.append(decide(gate.kind, gate.params, replace(evidence, **pairs)))
    table = test[[DAY, ROW, TIME]].assign(y=y, **_score_columns(challenger.scored))
    judged = [challenger, *baselines, *([rival.judged] if rival.judged else [])]
    result = _result(spec, judged, decisions, table, head, champion, rival.incomparable, compared, ctx)
    kept, plots = of_judged(ctx.store, challenger.scored, test, bundle.feature_names)
    return replace(result, artifacts=kept, plots=plots)


def _pairs(
    spec: PipelineSpec,
    gate: Gate,
    challenger: Judged,
    baselines: Sequence[Judged],
    rival: Rival,
    blocks: np.ndarray,
    number: int | None,
) -> dict[str, Any]:
    """The comparison that a gate asks for, as a part of its evidence: of its metric alone, at the level that is left for this try."""
    if gate.kind not in ("beats_baseline", "beats_champion"):
        return {}
    metric, level = str(gate.params["metric"]), level_of_gate(gate.kind, gate.params, number)

    def pair(ours: Scored, theirs: Scored, rows: np.ndarray) -> dict[str, Paired]:
        """One metric of two models on the same rows."""
        made = paired(ours, theirs, metric, rows, resamples=spec.bootstrap, level=level, seed=spec.seed)
        return {metric: made}

    if gate.kind == "beats_baseline":
        asked = gate.params.get("baseline", "constant")
        return {
            "baselines": {
                b.name: pair(challenger.scored, b.scored, blocks) for b in baselines if b.name == asked
            }
        }
    if rival.judged is None or rival.ours is None or rival.blocks is None:
        return {}
    return {"champion": pair(rival.ours, rival.judged.scored, rival.blocks)}


def blocks_of(spec: PipelineSpec, key: str, test: pd.DataFrame) -> np.ndarray:
    """What is resampled together: the declared column, else the day (of few days the hour).

    Without partitions rows are, in at most 500 groups.

    Raises
    ------
    DataError
        When the declared column is no key or feature.
    """
    if spec.blocks is not None and spec.blocks not in test:
        known = [str(c) for c in test.columns if not str(c).startswith("_")]
        where = f"pipeline {spec.name}, partition {key}, blocks"
        raise DataError(
            f"there is no column {spec.blocks!r} among keys and features",
            where=where,
            fix=did_you_mean(spec.blocks, known),
        )
    if spec.blocks is not None:
        return test[spec.blocks].astype("str").to_numpy()
    if spec.partitions.every == "none":
        # Rows are independent here: many groups of them vary as the rows do, and cost less than one block a row.
        return np.arange(len(test)) % MOST_BLOCKS
    local = (test[TIME] + pd.Timedelta(spec.lead)).dt.tz_convert(spec.partitions.timezone)
    days = local.dt.strftime("%Y-%m-%d")
    # A test of a few hours has no days to speak of: then the hours are resampled.
    return (test[DAY] if spec.partitions.every == "hour" and days.nunique() < FEW_DAYS else days).to_numpy()


def names_of(spec: PipelineSpec, task: str) -> tuple[str, ...]:
    """Metrics to report; the first is the primary."""
    fitting = tuple(m for m in spec.metrics if task in METRICS[m].tasks)
    return fitting or tuple(DEFAULTS[task])  # type: ignore[index]


def gates_of(spec: PipelineSpec, task: str, first: bool) -> list[Gate]:
    """The declared gates, and one that always stands beside them.

    The first model of all must beat the constant baseline. Every later one must beat the champion: by what a declared gate asks for,
    else in the primary metric by `MARGIN`.
    """
    gates, primary = list(spec.gates), names_of(spec, task)[0]
    if not first and not any(g.kind == "beats_champion" for g in gates):
        gates.append(Gate(kind="beats_champion", params={"metric": primary, "margin": MARGIN}))
    if first and not any(
        g.kind == "beats_baseline" and g.params.get("baseline", "constant") == "constant" for g in gates
    ):
        gates.append(Gate(kind="beats_baseline", params={"metric": primary}))
    return gates


def scored_by(bundle: Bundle, rows: pd.DataFrame, y: np.ndarray) -> Scored:
    """A bundle's scores of some rows, beside the truth."""
    return Scored(y, bundle.predict(rows), bundle.threshold, bundle.classes)


def _judge(spec: PipelineSpec, name: str, scored: Scored, names: Sequence[str], blocks: np.ndarray) -> Judged:
    values = evaluate(scored, list(names))
    intervals = {n: interval(scored, n, blocks, resamples=spec.bootstrap, seed=spec.seed) for n in names}
    return Judged(name, scored, values, intervals)


def _baselines(
    spec: PipelineSpec,
    key: str,
    bundle: Bundle,
    test: pd.DataFrame,
    y: np.ndarray,
    names: Sequence[str],
    blocks: np.ndarray,
) -> list[Judged]:
    constant = np.asarray(bundle.extra["constant"], dtype="float64")
    scores = (
        np.tile(constant, (len(y), 1)) if bundle.task == "multiclass" else np.full(len(y), float(constant))
    )
    scored = Scored(y, scores, bundle.extra.get("constant_threshold"), bundle.classes)
    out = [_judge(spec, "constant", scored, names, blocks)]
    if spec.baseline is not None and bundle.task != "multiclass":
        rule = rule_scores(spec, test[list(bundle.feature_names)], key)
        out.append(
            _judge(
                spec,
                "rule",
                Scored(y, rule, bundle.extra.get("rule_threshold"), bundle.classes),
                names,
                blocks,
            )
        )
    return out


def _rival(
    spec: PipelineSpec,
    bundle: Bundle,
    champion: Champion | None,
    test: pd.DataFrame,
    y: np.ndarray,
    names: Sequence[str],
    blocks: np.ndarray,
) -> Rival:
    if champion is None:
        return Rival()
    if champion.bundle.task != bundle.task or champion.bundle.classes != bundle.classes:
        return Rival(incomparable=f"version {champion.number} predicts something else")
    missing = [n for n in champion.bundle.feature_names if n not in test]
    if missing:
        why = f"version {champion.number} needs the feature {missing[0]!r}, which is no longer made"
        return Rival(incomparable=why)
    later = (test[TIME] + pd.Timedelta(spec.lead) >= pd.Timestamp(champion.data_end)).to_numpy()
    if not later.any():
        until = f"{champion.data_end:%Y-%m-%d}"
        why = f"no row is later than what version {champion.number} was trained and judged on (until {until})"
        return Rival(incomparable=why)
    rows = test[later].reset_index(drop=True)
    try:
        theirs = scored_by(champion.bundle, rows, y[later])
    except DataError as error:
        return Rival(incomparable=f"version {champion.number} cannot score these rows: {error.what}")
    judged = _judge(spec, "champion", theirs, names, blocks[later])
    return Rival(judged, scored_by(bundle, rows, y[later]), blocks[later])


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
