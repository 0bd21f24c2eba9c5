"""The probe `slices`: the model on parts of the judged rows, beside the whole and the champion, and the worst parts that there are."""

from typing import Any

from mlpipe.core.discovery import Suspect, losses, worst
from mlpipe.core.gates import GATES
from mlpipe.core.slices import Slices, sliced
from mlpipe.errors import DataError, did_you_mean
from mlpipe.records.codec import coerce
from mlpipe.stages.judging.subject import Probed, Subject

LEVEL = float(GATES["no_slice_regresses"].optional["level"])
SHOWN = 12
"""So many slices, those to worry about first, stand among the facts; the report holds all."""


def probe(subject: Subject) -> Probed:
    """Slices by the primary metric, and under ``others`` by each further one that a gate asks for.

    Raises
    ------
    DataError
        A declared column is neither a key nor a feature.
    """
    asked, spec = subject.spec.slices, subject.spec
    known(subject, asked.by, "slices")
    gates = [g for g in (*spec.gates, *spec.staging_gates) if g.kind == "no_slice_regresses"]
    further = {str(g.params["metric"]) for g in gates if g.params.get("metric")} - {subject.names[0]}
    first = _sliced(subject, subject.names[0])
    others = {name: _sliced(subject, name) for name in sorted(further)}
    found: tuple[Suspect, ...] = ()
    if asked.by_itself:
        found = worst(
            subject.rows,
            list(subject.bundle.feature_names),
            losses(subject.scored),
            subject.blocks,
            min_support=asked.min_support,
        )
    suspects = [s.to_dict() for s in found]
    # All slices that a gate would call worse come first: the least sure of the gates says which these are.
    alpha = 1 - min((float(g.params.get("level", LEVEL)) for g in gates), default=LEVEL)
    facts = {**_facts(first, SHOWN, alpha, others), "worst": suspects[:5]}
    report = {**_facts(first, None, alpha, others), "worst": suspects}
    bad = [s for s in first.slices if s.regresses][:3]
    notes = tuple(
        f"slice {s.slice}: {first.metric} is worse than under the champion by {-s.told:.3g}" for s in bad
    )
    return Probed(coerce(facts), coerce(report), notes=notes)


def known(subject: Subject, by: tuple[tuple[str, ...], ...], key: str) -> None:
    """Raise a `DataError` for a column that the judged rows do not have."""
    there = [str(c) for c in subject.rows.columns if not str(c).startswith("_")]
    for name in (name for columns in by for name in columns):
        if name not in there:
            where = f"pipeline {subject.spec.name}, partition {subject.key}, {key}"
            what = f"there is no column {name!r} among keys and features"
            raise DataError(what, where=where, fix=did_you_mean(name, there))


def _sliced(subject: Subject, name: str) -> Slices:
    asked = subject.spec.slices
    return sliced(
        subject.rows,
        asked.by,
        subject.scored,
        subject.spec.measures.of(name),
        subject.blocks,
        champion=subject.champion_scored,
        compared=subject.compared,
        min_support=asked.min_support,
        resamples=asked.resamples,
        seed=subject.seed,
    )


def _facts(first: Slices, most: int | None, alpha: float, others: dict[str, Slices]) -> dict[str, Any]:
    further = {name: s.to_dict(most, alpha) for name, s in others.items()}
    return {**first.to_dict(most, alpha), **({"others": further} if further else {})}
