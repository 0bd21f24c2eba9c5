"""What stands against the evidence that a model is moved on: it is missing, of another model, or older than the model."""

from mlpipe.core.gates import GateDecision
from mlpipe.errors import NotFoundError
from mlpipe.ledger.fold import Version
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stores.store import Store


def is_older(evaluation: Record, model: Record) -> bool:
    """Whether an evaluation was made before a training: by the clocks of their runs; of runs at one moment, by when each was recorded."""
    return (evaluation.as_of, evaluation.recorded_at) < (model.as_of, model.recorded_at)


def against_promotion(spec: PipelineSpec, store: Store, version: Version) -> list[str]:
    """What stands against the evidence of a registered version, in sentences.

    A version whose registration names no record of an evaluation (it was registered by a program of its own) has only the gates that
    were recorded with it, and nothing is said here.
    """
    return [] if version.details.get("evaluation_record") is None else _read(spec, store, version)[1]


def against_staging(spec: PipelineSpec, store: Store, version: Version) -> list[str]:
    """What the gates of staging say against a version, and what stands against the evidence that they were decided on.

    They are the decisions that were recorded when the model was judged. A gate that was declared since has none, and does not let it
    through. Without declared gates nothing is asked.
    """
    if not spec.staging_gates:
        return []
    evaluation, reasons = _read(spec, store, version)
    if evaluation is None:
        return reasons
    decisions = [GateDecision.from_dict(d) for d in evaluation.data.get("staging_gates", ())]
    undecided = sorted({g.kind for g in spec.staging_gates} - {d.kind for d in decisions})
    if undecided:
        reasons.append(
            f"No decision of the staging gates {', '.join(undecided)} is recorded: evaluate it again."
        )
    return reasons + [d.sentence for d in decisions if d.verdict != "pass"]


def _read(spec: PipelineSpec, store: Store, version: Version) -> tuple[Record | None, list[str]]:
    """The evaluation that a version was registered for, None where it cannot be read, and what stands against it."""
    found = {}
    for what in ("evaluation", "model"):
        name = version.details.get(f"{what}_record")
        try:
            found[what] = from_bytes(store.get_record(spec.name, str(name)), str(name))
        except NotFoundError:
            return None, [f"The record of its {what}, {name}, is not in the store."]
    evaluation, reasons = found["evaluation"], []
    if evaluation.data.get("bundle") != version.bundle:
        reasons.append(f"Its evaluation is of another model, {evaluation.data.get('bundle')}.")
    if is_older(evaluation, found["model"]):
        reasons.append("Its evaluation is older than the model: evaluate it again.")
    return evaluation, reasons
