"""A past record made again: its code unpacked into a folder of its own, and run by a process of its own, into which no code of today leaks.

The two speak by files: the job in, the answer out. What the project's own code prints is kept apart and shown only when it ends badly.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from mlpipe import errors
from mlpipe.errors import Finding, MlpipeError, NotFoundError
from mlpipe.ledger.references import Reference, evaluation_of
from mlpipe.orchestration.archived import spec_at
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.records.unpacked import unpack
from mlpipe.spec.pipeline import Deployment
from mlpipe.stages.remake import Remade, impossible, remake
from mlpipe.stores.agreement import TOLERANCE, overall
from mlpipe.stores.store import Store

JOB, ANSWER, CODE, MADE, PRINTED = "job.json", "answer.json", "code", "made", "printed.txt"
DEPLOYMENT = "MLPIPE_DEPLOYMENT"
CLEARED = ("PYTHONPATH", "PYTHONSTARTUP", "DAGSTER_HOME", "MLPIPE_STORE", DEPLOYMENT)
"""Variables that could lead the process to code, data or a deployment of today."""
LINES = 15
"""Last lines of what a process printed that are shown when it ended without an answer."""


def reproduce(store: Store, reference: Reference, tolerance: float = TOLERANCE) -> dict[str, Any]:
    """Make a record again, in a process of its own, and say how it came out.

    Parameters
    ----------
    store
        Holds the record, its inputs and its code; it is only read.
    reference
        The record; of a training with its evaluation, which is made again with the new model.
    tolerance
        See `mlpipe.stores.agreement.TOLERANCE`.

    Returns
    -------
    dict
        Plain values: ``verdict`` (identical, equal, different), ``outputs``, ``metrics`` and ``differences`` one by one, and what it was.

    Raises
    ------
    NotFoundError
        When the record, its code or an input is not in the store, or its code does not declare the pipeline.
    DataError
        When it cannot be made again at all; see `mlpipe.stages.remake.WHY_NOT`.
    MlpipeError
        What the stage raised, or how the process ended.
    """
    started = time.perf_counter()
    record = _record(store, reference.pipeline, reference.record)
    impossible(record)
    _archive(store, record)
    evaluation = reference.evaluation
    if record.stage == "train" and evaluation is None:
        evaluation = evaluation_of(store, record)
    with tempfile.TemporaryDirectory(prefix="mlpipe-again-") as place:
        folder = Path(place)
        (folder / CODE).mkdir()
        job = {
            "store": store.url,
            "pipeline": record.pipeline,
            "record": record.id,
            "evaluation": evaluation,
            "tolerance": tolerance,
        }
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
        answer = _asked(folder, surroundings(record, os.environ))
    return {
        "reference": reference.name,
        "version": reference.version,
        **answer,
        "seconds": round(time.perf_counter() - started, 3),
    }


def surroundings(record: Record, given: Mapping[str, str]) -> dict[str, str]:
    """Environment of the process: the thread variables as recorded where nobody sets them now, and nothing that leads to code of today."""
    kept = {k: v for k, v in given.items() if k not in CLEARED}
    threads = {k: v for k, v in record.environment.threads.items() if v and k not in given}
    deployment = {DEPLOYMENT: record.deployment} if record.deployment in get_args(Deployment) else {}
    # mlpipe itself must be found, also where it is not installed; it comes after the archive's own folders.
    own = {"PYTHONPATH": str(Path(errors.__file__).parents[1])}
    return {**kept, **threads, **deployment, **own}


def _record(store: Store, pipeline: str, name: str) -> Record:
    return from_bytes(store.get_record(pipeline, name), name)


def _archive(store: Store, record: Record) -> bytes:
    where = f"record {record.id} ({record.asset} {record.partition})"
    if not record.code.archive:
        raise NotFoundError(
            "it was recorded without the archive of its code",
            where=where,
            fix="Only what a run of Dagster made has one; train it again as a run, and that can be made again.",
        )
    try:
        return store.get_bytes(record.code.archive)
    except NotFoundError:
        raise NotFoundError(
            f"the archive of its code, {record.code.archive}, is not in the store",
            where=where,
            fix="Copy objects/ whole, or restore it from a backup.",
        ) from None


def _asked(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run the process, and read its answer."""
    command = [sys.executable, "-m", __name__, str(folder)]
    with (folder / PRINTED).open("wb") as printed:
        done = subprocess.run(
            command, cwd=folder / CODE, env=environment, stdout=printed, stderr=printed, check=False
        )
    answer = folder / ANSWER
    if not answer.is_file():
        text = (folder / PRINTED).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise MlpipeError(
            f"the process that makes it again ended with code {done.returncode}, without an answer",
            findings=[Finding(line) for line in text[-LINES:]],
            fix="Put --debug at the end of the command to see more, or try it again with more memory.",
        )
    made: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in made:
        raise _error(made["error"])
    return made


def _error(told: dict[str, Any]) -> MlpipeError:
    kind = getattr(errors, str(told["kind"]), MlpipeError)
    findings = [Finding(*f) for f in told["findings"]]
    made: MlpipeError = kind(told["what"], where=told["where"], fix=told["fix"], findings=findings)
    return made


# -- the process of its own -------------------------------------------------------------------------------------------


def answered(folder: Path) -> dict[str, Any]:
    """What the process answers: its job, done, or the error that it met."""
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    try:
        return _done(folder, job)
    except MlpipeError as error:
        return {"error": _told(error)}


def _told(error: MlpipeError) -> dict[str, Any]:
    kind = type(error).__name__ if hasattr(errors, type(error).__name__) else "MlpipeError"
    return {
        "kind": kind,
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "findings": [[f.what, f.where, f.fix] for f in error.findings],
    }


def _done(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    store = Store.open(job["store"], create=False)
    record = _record(store, job["pipeline"], job["record"])
    evaluation = job["evaluation"] and _record(store, job["pipeline"], job["evaluation"])
    code = unpack(_archive(store, record), record.code, folder / CODE)
    spec = spec_at(code, record.pipeline, os.environ.get(DEPLOYMENT))
    scratch, tolerance = folder / MADE, float(job["tolerance"])
    return plain(remake(spec, record, store, scratch, evaluation=evaluation or None, tolerance=tolerance))


def plain(made: Remade) -> dict[str, Any]:
    """What came of it, in plain values."""
    record = made.record
    return {
        "verdict": overall(made.agreements),
        "pipeline": record.pipeline,
        "record": record.id,
        "stage": record.stage,
        "asset": record.asset,
        "partition": record.partition,
        "recorded_at": record.recorded_at.isoformat(),
        "as_of": record.as_of.isoformat(),
        "archive": record.code.archive,
        "commit": record.code.commit,
        "read": made.read,
        "headline": record.headline,
        "outputs": [a.to_dict() for a in made.agreements if a not in made.metrics],
        "metrics": [a.to_dict() for a in made.metrics],
        "differences": [d.to_dict() for d in made.differences],
    }


def main(argv: Sequence[str]) -> int:
    """The process: do the job of a folder, and leave the answer there."""
    folder = Path(argv[0])
    answer = json.dumps(answered(folder), ensure_ascii=False)
    (folder / f"{ANSWER}.part").write_text(answer, encoding="utf-8")
    (folder / f"{ANSWER}.part").rename(folder / ANSWER)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
