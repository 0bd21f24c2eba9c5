"""What a model is asked: which metrics, which gates, and the comparisons that these need."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipe.core.bootstrap import Paired, paired
from mlpipe.core.gates import MARGIN, level_of_gate
from mlpipe.core.metrics import DEFAULTS, METRICS, Scored
from mlpipe.spec.modeling import Gate
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.judging.rivals import Judged, Rival


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


def pairs_of(
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
