"""The model card: what a model is for, what it was made from, how it was judged, and what was decided. Markdown."""

from collections.abc import Sequence

from mlpipe.core.gates import GateDecision
from mlpipe.ledger.fold import Version
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec

NOT_SAID = "not said"


def model_card(
    spec: PipelineSpec,
    version: Version,
    evaluation: Record,
    gates: Sequence[GateDecision],
    verdict: str,
    reasons: Sequence[str],
) -> str:
    """Card of one version. Holds no clock: the same evidence gives the same card."""
    problem = spec.problem
    partitions = sum(1 for i in evaluation.inputs if i.name == "features")
    lines = [
        f"# {spec.name}@{version.number}",
        "",
        escaped(spec.description) or f"Model of pipeline {spec.name}.",
        "",
        "## Purpose",
        f"* Decision: {escaped(problem.decision) or NOT_SAID}",
        f"* Cost of a false positive: {escaped(problem.cost_false_positive) or NOT_SAID}",
        f"* Cost of a false negative: {escaped(problem.cost_false_negative) or NOT_SAID}",
        f"* Intended use: {escaped(problem.intended_use) or NOT_SAID}",
        f"* Out of scope: {escaped(problem.out_of_scope) or NOT_SAID}",
        f"* Owners: {escaped(', '.join(spec.owners)) or NOT_SAID}",
        "",
        "## Made from",
        f"* Bundle `{version.bundle}`",
        f"* Training data until {version.data_end:%Y-%m-%d %H:%M} UTC, {partitions} partitions in the window",
        f"* Model record `{version.details.get('model_record', '')}`, evaluation record `{evaluation.id}`",
        "",
        "## Judged",
        "| metric | on | value | interval |",
        "|---|---|---|---|",
        *(
            f"| {m.name} | {m.split} | {m.value:.4g} | {_interval(m.low, m.high)} |"
            for m in evaluation.metrics
        ),
        "",
        "Fairness between groups: not tested.",
        "",
        "## Gates",
        *(f"* **{g.verdict}** {escaped(g.sentence)}" for g in gates),
        "",
        "## Decision",
        f"{verdict}" + ("" if not reasons else ": " + escaped(" ".join(reasons))),
        "",
    ]
    return "\n".join(lines)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4g} to {high:.4g}"


def escaped(text: str) -> str:
    """Text that shows as itself in markdown and HTML."""
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "'")):
        text = text.replace(raw, safe)
    return text
