"""The probe `reproduction`: the model is trained again from its record, finding nothing that was done before, and laid beside itself."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlpipe.errors import MlpipeError
from mlpipe.stages.context import record_of
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stages.remake import remake
from mlpipe.stages.trial import first_line
from mlpipe.stores.agreement import overall

SHOWN = 20


def probe(subject: Subject) -> Probed:
    """The worst verdict over outputs and metrics: identical, equal (numbers within the tolerance) or different; and what is not identical.

    Where the model has no record to be made again from (a trial's) or its inputs are not in the store, the facts say ``failed``.
    """
    spec, ctx = subject.spec, subject.ctx
    head = ctx.heads.find(f"{spec.name}/model", [subject.key]).get(subject.key)
    if head is None or not head.record:
        return _failed("the model has no record of its own, from which it could be made again")
    record = record_of(ctx, head, spec.name)
    ctx.log(f"{spec.name}: training {subject.key} again, to see whether the same model comes out")
    with TemporaryDirectory(prefix="mlpipe-again-") as scratch:
        try:
            found = remake(spec, record, ctx.store, Path(scratch), log=ctx.log)
        except MlpipeError as error:
            return _failed(f"it could not be trained again: {first_line(error)}")
    differs = [a.to_dict() for a in found.agreements if a.verdict != "identical"]
    facts: dict[str, Any] = {
        "verdict": overall(found.agreements),
        "compared": len(found.agreements),
        "differs": [{"name": d["name"], "verdict": d["verdict"], "note": d["note"]} for d in differs[:SHOWN]],
        "record": record.id,
    }
    report = {**facts, "differs": differs}
    bad = [d["name"] for d in differs if d["verdict"] == "different"]
    notes = (f"trained again, {', '.join(bad[:5])} came out different",) if bad else ()
    return Probed(facts, report, notes=notes)


def _failed(why: str) -> Probed:
    facts = {"failed": why}
    return Probed(facts, facts, notes=(f"reproduction was not tested: {why}",))
