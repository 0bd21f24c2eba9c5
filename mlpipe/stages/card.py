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
        *_slices(evaluation),
        *_fairness(evaluation),
        "",
        "## Gates",
        *(f"* **{g.verdict}** {escaped(g.sentence)}" for g in gates),
        "",
        "## Decision",
        f"{verdict}" + ("" if not reasons else ": " + escaped(" ".join(reasons))),
        "",
    ]
    return "\n".join(lines)


def _slices(evaluation: Record) -> list[str]:
    facts = (evaluation.data.get("judged") or {}).get("slices")
    if facts is None:
        return ["Slices: not judged."]
    rows = [
        f"| {escaped(str(s['slice']))} | {s['rows']} | {_number(s['value'])} | {_number(s['difference'])} |"
        for s in facts["slices"]
    ]
    return [
        f"Slices by {facts['metric']}, with at least {facts['min_support']} rows:",
        "",
        "| slice | rows | value | beside the champion |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _fairness(evaluation: Record) -> list[str]:
    facts = (evaluation.data.get("judged") or {}).get("fairness")
    if facts is None:
        return ["Fairness between groups: not tested."]
    told = [
        f"* {escaped(column)}: {measure} {_number(found['value'])}"
        for column, by in facts["columns"].items()
        for measure, found in by["measures"].items()
    ]
    told += [
        f"* {escaped(str(u['column']))}: not tested ({escaped(str(u['why']))})" for u in facts["not_tested"]
    ]
    return ["Fairness between groups:", "", *told]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4g} to {high:.4g}"


def escaped(text: str) -> str:
    """Text that shows as itself in markdown and HTML."""
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "'")):
        text = text.replace(raw, safe)
    return text
