"""From what somebody writes to what is meant: a record's id or its prefix, ``flights@12``, ``flights@production``.

It reads the ledger and the names of records, and nothing else, so that an index may take its place where there is one.
"""

from dataclasses import dataclass

from mlpipe.errors import NotFoundError, did_you_mean
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.fold import State, Version
from mlpipe.ledger.verify import chains, meant
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.stores.store import Store

SHORTEST = 4
"""Least number of hex digits of a record's prefix."""
SHOWN = 5
RECORD = "rec-"


@dataclass(frozen=True)
class Reference:
    """What was meant: a record, and for a version of a model its number and the record of its evaluation (else None)."""

    pipeline: str
    record: str
    version: int | None = None
    evaluation: str | None = None

    @property
    def name(self) -> str:
        """How it is told to people."""
        return self.record if self.version is None else f"{self.pipeline}@{self.version}"


def referred(store: Store, text: str, ledger: str | None = None) -> Reference:
    """What a text refers to.

    Parameters
    ----------
    text
        Id of a record or its first digits (``rec-`` may be left out), or ``pipeline@version``, where a version is a number or the stage
        that one stands in (``production``, ``staging``, ``candidate``, ``archived``: the newest).
    ledger
        Name of the chain of decisions that versions are looked up in; default: ``dev``, else the only deployment, else the only one.

    Raises
    ------
    NotFoundError
        When there is none such, or more than one; with those that are meant perhaps.
    """
    name, at, version = text.partition("@")
    if at:
        return of_version(name, _version(_state(store, name, ledger), version, text))
    prefix = text if text.startswith(RECORD) else RECORD + text
    if len(prefix) < len(RECORD) + SHORTEST:
        raise NotFoundError(
            f"{text!r} is too short for the id of a record",
            where=store.url,
            fix=f"Give at least {SHORTEST} digits of it, or a version such as flights@12.",
        )
    pipelines = store.pipelines()
    found = [(p, r) for p in pipelines for r in store.record_ids(p) if r.startswith(prefix)]
    if len(found) == 1:
        return Reference(*found[0])
    if found:
        shown = ", ".join(r for _, r in found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
        raise NotFoundError(
            f"{len(found)} records begin with {text!r}: {shown}",
            where=store.url,
            fix="Give more digits of the one that you mean.",
        )
    hint = f"Versions are written {text}@12 or {text}@production." if text in pipelines else ""
    raise NotFoundError(
        f"there is no record {text!r}",
        where=store.url,
        fix=hint or "Give its id or the first digits of it, or a version such as flights@12.",
    )


def released(store: Store, pipeline: str | None = None, ledger: str | None = None) -> list[Reference]:
    """Every version that was ever champion, of one pipeline or of all, by pipeline and number."""
    names = sorted({p for p, _, _ in chains(store.backend)}) if pipeline is None else [pipeline]
    found = []
    for name in names:
        state = _state(store, name, ledger)
        numbers = sorted({move.to_version for move in state.history})
        found += [of_version(name, state.versions[n]) for n in numbers]
    return found


def evaluation_of(store: Store, training: Record) -> str | None:
    """Id of the newest evaluation (by its clock, then by when it was written down) of the model that a training made; None without one.

    Every record of the pipeline is looked at.
    """
    name, found = training.id.encode(), []
    for record_id, data in store.records(training.pipeline):
        if name in data and (record := from_bytes(data, record_id)).data.get("model_record") == training.id:
            found.append(record)
    newest = max(found, key=lambda r: (r.as_of, r.recorded_at), default=None)
    return None if newest is None else newest.id


def of_version(pipeline: str, version: Version) -> Reference:
    """A registered version: the record of its training, and that of its evaluation where the entry names it."""
    evaluation = version.details.get("evaluation_record")
    return Reference(
        pipeline,
        str(version.details["model_record"]),
        version.number,
        None if evaluation is None else str(evaluation),
    )


def _state(store: Store, pipeline: str, ledger: str | None) -> State:
    """What holds in a chain of a pipeline.

    Raises
    ------
    NotFoundError
        When the pipeline has none of that name, or several and none is named.
    """
    every = chains(store.backend)
    own = [(segment, deployment) for p, segment, deployment in every if p == pipeline]
    if not own:
        known = sorted({p for p, _, _ in every})
        raise NotFoundError(
            f"nothing was ever decided about a pipeline {pipeline!r}",
            where=store.url,
            fix=did_you_mean(pipeline, known) or "Its ledger is empty.",
        )
    names = [deployment for _, deployment in own]
    wanted = ledger or meant(names)
    if wanted not in names:
        asked = f"has no ledger {wanted!r}" if wanted else "has several ledgers"
        raise NotFoundError(
            f"pipeline {pipeline!r} {asked}",
            where=store.url,
            fix=f"Name one with --ledger: {', '.join(sorted(set(names)))}.",
        )
    segment = next(s for s, deployment in own if deployment == wanted)
    return Ledger(store.backend, pipeline, segment=segment, deployment=wanted).state()


def _version(state: State, text: str, whole: str) -> Version:
    if text.isascii() and text.isdigit():
        if int(text) in state.versions:
            return state.versions[int(text)]
        newest = max(state.versions, default=None)
        fix = "No version is registered yet." if newest is None else f"The newest is {newest}."
        raise NotFoundError(f"there is no version {whole}", fix=fix)
    if text == "production" and state.champion is not None:
        return state.champion
    stages = sorted({v.stage for v in state.versions.values()})
    standing = [v for v in state.versions.values() if v.stage == text and text != "production"]
    if not standing:
        raise NotFoundError(
            f"no version stands in {text!r} ({whole})",
            fix=did_you_mean(text, stages) or "No version is registered yet.",
        )
    return max(standing, key=lambda v: v.number)
