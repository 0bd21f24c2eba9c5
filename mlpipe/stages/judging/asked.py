"""What a model is asked: which metrics, which gates, and the comparisons that these need."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlpipe.core.bootstrap import Paired, paired
from mlpipe.core.gates import GATES, MARGIN, level_of_gate, needs
from mlpipe.core.metrics import Scored
from mlpipe.records.codec import coerce
from mlpipe.spec.judging import Gate
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.judging.rivals import Judged, Rival
from mlpipe.stages.judging.subject import Subject

CHEAP = ("robust", "no_leakage", "lineage_complete")
"""Gates that stand beside the comparison where none is declared."""


def gates_of(spec: PipelineSpec, task: str, first: bool, trial: bool = False) -> list[Gate]:
    """The declared gates, and one that always stands beside them; a metric that is not named is the primary one.

    The first model of all must beat the constant baseline. Every later one must beat the champion: by what a declared gate asks for,
    else in the primary metric by `MARGIN`. Where no gate is declared the cheap ones are asked too. A trial asks for no probe.
    """
    gates, primary = list(spec.gates), spec.measures.primary(task).name
    if not first and not any(g.kind == "beats_champion" for g in gates):
        gates.append(Gate(kind="beats_champion", params={"metric": primary, "margin": MARGIN}))
    if first and not any(
        g.kind == "beats_baseline" and g.params.get("baseline", "constant") == "constant" for g in gates
    ):
        gates.append(Gate(kind="beats_baseline", params={"metric": primary}))
    if not spec.gates:
        sliced = ("no_slice_regresses",) if spec.slices.by else ()
        gates += [Gate(kind=kind) for kind in (*sliced, *CHEAP)]
    asked = [_with_metric(g, primary) for g in gates]
    return [g for g in asked if not needs(g.kind, g.params)] if trial else asked


def staging_gates_of(spec: PipelineSpec, task: str) -> list[Gate]:
    """What lets a version onto staging; a metric that is not named is the primary one."""
    return [_with_metric(g, spec.measures.primary(task).name) for g in spec.staging_gates]


def _with_metric(gate: Gate, primary: str) -> Gate:
    if "metric" not in GATES[gate.kind].optional or gate.params.get("metric") is not None:
        return gate
    return Gate(kind=gate.kind, params={**gate.params, "metric": primary})


def metrics_of(spec: PipelineSpec, task: str, gates: Sequence[Gate]) -> tuple[str, ...]:
    """All metrics that a model is judged by: those to report, the pipeline's own, and those that gates ask for."""
    asked = (str(g.params["metric"]) for g in gates if g.params.get("metric") is not None)
    return tuple(dict.fromkeys((*spec.measures.told(task), *asked)))


DECLARED = ("fairness", "behaviour", "golden")
"""Keys that ask for the probe of their name."""


def probes_of(spec: PipelineSpec, gates: Sequence[Gate]) -> tuple[str, ...]:
    """Probes that a gate needs, and those that the pipeline declares."""
    found = [name for gate in gates for name in needs(gate.kind, gate.params)]
    found += [name for name in DECLARED if getattr(spec, name)]
    found += ["slices"] if spec.slices.by else []
    found += ["explanation"] if spec.explain is not None else []
    return tuple(dict.fromkeys(found))


def functions_of(spec: PipelineSpec) -> tuple[Callable[..., Any], ...]:
    """The user's functions that decide a judgement: their code is part of its recipe."""
    gates = (g.params.get("function") for g in (*spec.gates, *spec.staging_gates))
    given = (spec.baseline, *spec.measures.functions, *gates)
    return tuple(dict.fromkeys(f for f in given if f is not None))


class Comparisons:
    """Pairs of models on the same rows, each compared once a metric and level: the gates and the ladder often ask for the same."""

    def __init__(self, spec: PipelineSpec) -> None:
        self._spec, self._measures = spec, spec.measures
        self._made: dict[tuple[int, int, str, float], tuple[Scored, Scored, Paired]] = {}

    def of(self, ours: Scored, theirs: Scored, metric: str, level: float, blocks: np.ndarray) -> Paired:
        """One metric of two models, whose rows stand in these blocks."""
        key = (id(ours), id(theirs), metric, level)
        if key not in self._made:
            spec, measure = self._spec, self._measures.of(metric)
            made = paired(
                ours, theirs, measure, blocks, resamples=spec.bootstrap, level=level, seed=spec.seed
            )
            # The two are kept too, so that no other pair can get their places in memory.
            self._made[key] = ours, theirs, made
        return self._made[key][2]


def pairs_of(
    comparisons: Comparisons,
    gate: Gate,
    challenger: Judged,
    baselines: Sequence[Judged],
    rival: Rival,
    blocks: np.ndarray,
    number: int | None,
) -> dict[str, Any]:
    """The comparison that a gate asks for, as a part of its evidence: of its metric alone, at the level that is left for this try."""
    near = gate.kind == "within" and gate.params.get("on") == "test"
    if gate.kind not in ("beats_baseline", "beats_champion") and not near:
        return {}
    metric, level = str(gate.params["metric"]), level_of_gate(gate.kind, gate.params, number)

    def pair(ours: Scored, theirs: Scored, rows: np.ndarray) -> dict[str, Paired]:
        return {metric: comparisons.of(ours, theirs, metric, level, rows)}

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


JUDGED_BY = (
    "staging_gates",
    "slices",
    "fairness",
    "behaviour",
    "robustness",
    "resources",
    "leakage",
    "golden",
    "explain",
    "locked",
    "problem",
    "owners",
    "description",
)
"""Keys of a specification that decide a judgement beside the metrics and the gates of production."""


def told_of(spec: PipelineSpec) -> dict[str, Any]:
    """What of these keys was given, as it stands in recipes: functions by name."""
    given = {n for n in JUDGED_BY if getattr(spec, n) != type(spec).model_fields[n].default}
    if not any(g.kind == "documented" for g in (*spec.gates, *spec.staging_gates)):
        given -= {"problem", "owners", "description"}
    plain = spec.model_dump(mode="python", include=given - {"staging_gates"})
    plain |= spec.measures.to_plain()
    if "staging_gates" in given:
        plain["staging_gates"] = [g.to_plain() for g in spec.staging_gates]
    return plain


LEVEL = 0.95
"""Confidence from which an improvement is more than noise."""


def lifts(
    comparisons: Comparisons, subject: Subject, ladder: Sequence[Judged], rival: Rival, metric: str
) -> dict[str, dict[str, Any]]:
    """How much better the model is than each rung of the ladder, by the primary metric, and whether that is more than noise.

    Returns
    -------
    dict
        By name: `value` of the rung, `lift` (positive when the model is better) with its two-sided 95% interval, and `verdict`: better,
        worse, or noise where the interval holds zero. The champion is compared on the rows later than all that it learned from.
    """
    rungs = [(b.name, subject.scored, b.scored, b.values[metric], subject.blocks) for b in ladder]
    if rival.judged is not None and rival.ours is not None and rival.blocks is not None:
        rungs.append(("champion", rival.ours, rival.judged.scored, rival.judged.values[metric], rival.blocks))
    told = {}
    for name, ours, theirs, value, blocks in rungs:
        found = comparisons.of(ours, theirs, metric, LEVEL, blocks)
        told[name] = {"value": value if math.isfinite(value) else None, **_rung(found)}
    return dict(coerce(told))


def _rung(found: Paired) -> dict[str, Any]:
    low, high = found.low, found.high
    sure = math.isfinite(low) and math.isfinite(high)
    verdict = "better" if sure and low > 0 else "worse" if sure and high < 0 else "noise"
    known = {"lift": found.difference, "low": low, "high": high}
    # What is undefined, as on a single block, is no number in JSON.
    return {**{n: v if math.isfinite(v) else None for n, v in known.items()}, "verdict": verdict}
