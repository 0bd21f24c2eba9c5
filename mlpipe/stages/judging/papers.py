"""The probes `lineage` and `documentation`: whether the origin of a model is on record, and whether its purpose is written down."""

from mlpipe.errors import MlpipeError
from mlpipe.records.codec import from_bytes
from mlpipe.stages.judging.subject import Probed, Subject

SHOWN = 10
DOCUMENTED = ("decision", "cost_false_positive", "cost_false_negative", "intended_use", "out_of_scope")
"""What a model card says about the problem."""


def lineage(subject: Subject) -> Probed:
    """What the record of the training does not name: inputs without record or content, and the code."""
    spec, store = subject.spec, subject.ctx.store
    try:
        record = from_bytes(store.get_record(spec.name, subject.model), subject.model)
    except MlpipeError as error:
        return _missing([f"the record of the training ({error.what})"])
    missing = [f"{i.asset} of {i.partition}" for i in record.inputs if not (i.version or (i.record and i.id))]
    if not record.inputs:
        missing.append("what was read")
    if not record.code.stage_version:
        missing.append("the version of the code")
    return _missing(missing)


def documentation(subject: Subject) -> Probed:
    """What of the purpose, the costs of errors and the owners the pipeline does not say."""
    spec = subject.spec
    said = {"description": spec.description, "owners": spec.owners}
    if spec.task != "regression":
        said |= {f"problem.{name}": getattr(spec.problem, name) for name in DOCUMENTED}
    return _missing([name for name, value in said.items() if not value])


def _missing(missing: list[str]) -> Probed:
    return Probed({"missing": missing[:SHOWN], "count": len(missing)}, {"missing": missing})
