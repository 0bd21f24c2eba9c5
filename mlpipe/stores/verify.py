"""Whether everything in a store is what it says it is, and what takes the space."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlpipe.errors import Finding, MlpipeError, StoreError
from mlpipe.records import codec
from mlpipe.stores.canonical_json import parse_json
from mlpipe.stores.content import content_id, parse_id
from mlpipe.stores.store import Store

_RESTORE = "Restore it from a backup, or delete the file and materialize its partition again."
_RECORD = "Restore the record from a backup; it is never written again."


@dataclass(frozen=True)
class Report:
    """What `verify` looked at, and what is wrong.

    Parameters
    ----------
    objects, records, notes
        How many objects, records, and recipes and pins were read.
    temporary
        Unfinished files of dead writers. Harmless: delete them when nothing writes.
    problems
        Everything that is wrong, objects first.
    """

    objects: int
    records: int
    notes: int
    temporary: int
    problems: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class Usage:
    """What one kind of file takes."""

    kind: str
    count: int
    bytes: int


def verify(store: Store) -> Report:
    """Read everything in a store and compute it again.

    Every object's id is computed from its content; every record, recipe and pin must be JSON; every record must be
    what its id says, and every object that it names as output must be there with the checksum that it names, every
    input must be there. The ledger has a check of its own.
    """
    problems: list[Finding] = []
    checksums: dict[str, str] = {}
    objects = 0
    for path, _ in store.backend.list("objects"):
        objects += 1
        problems += _check_object(store, path, checksums)
    records = 0
    for pipeline in store.pipelines():
        for record_id in store.record_ids(pipeline):
            records += 1
            problems += _check_record(store, pipeline, record_id, checksums)
    notes = 0
    for folder in ("recipes", "pins"):
        for path, _ in store.backend.list(folder):
            notes += 1
            problems += _check_note(store, path)
    return Report(objects, records, notes, store.backend.temporary(), tuple(problems))


def du(store: Store) -> tuple[Usage, ...]:
    """Number and bytes of files by kind of object, and of records, recipes, pins and the ledger; largest first."""
    counts: dict[str, tuple[int, int]] = {}
    for path, size in store.backend.list():
        first, _, rest = path.partition("/")
        kind = rest.split("/")[0] if first == "objects" else first
        count, total = counts.get(kind, (0, 0))
        counts[kind] = count + 1, total + size
    usages = (Usage(kind, count, total) for kind, (count, total) in counts.items())
    return tuple(sorted(usages, key=lambda usage: (-usage.bytes, usage.kind)))


def _check_object(store: Store, path: str, checksums: dict[str, str]) -> Iterator[Finding]:
    object_id = path.rpartition("/")[2].split(".")[0]
    try:
        kind, digest = parse_id(object_id)
    except StoreError:
        yield Finding("is no object of mlpipe.", where=path, fix="Move the file out of the store.")
        return
    if not path.startswith(f"objects/{kind}/{digest[:2]}/{object_id}"):
        yield Finding(
            "lies in the wrong folder, where nothing finds it.",
            where=path,
            fix=f"Move it to objects/{kind}/{digest[:2]}/.",
        )
    try:
        data = store.backend.read(path)
        checksums[object_id] = hashlib.sha256(data).hexdigest()
        actual = content_id(data, kind)
    except MlpipeError as error:
        yield Finding(f"cannot be read: {error.what}", where=path, fix=_RESTORE)
        return
    if actual != object_id:
        yield Finding(f"holds other content than its id says: {actual}.", where=path, fix=_RESTORE)


def _check_record(
    store: Store, pipeline: str, record_id: str, checksums: dict[str, str]
) -> Iterator[Finding]:
    where = f"record {record_id} of {pipeline}"
    try:
        data = store.get_record(pipeline, record_id)
        body = parse_json(data, where)
        if isinstance(body, dict) and "schema_version" in body:
            codec.from_bytes(data)
    except MlpipeError as error:
        yield Finding(f"is damaged: {error.what}", where=where, fix=_RECORD)
        return
    if not isinstance(body, dict):
        yield Finding("is no JSON object.", where=where, fix=_RECORD)
        return
    if body.get("id", record_id) != record_id:
        yield Finding(f"is the record {body['id']} under another name.", where=where, fix=_RECORD)
    for output in _entries(body, "outputs"):
        object_id = output["id"]
        if object_id not in checksums:
            yield Finding(f"names the output {object_id}, which is not there.", where=where, fix=_RESTORE)
        elif output.get("sha256") and output["sha256"] != checksums[object_id]:
            yield Finding(
                f"names the output {object_id} with a checksum that its file does not have.",
                where=where,
                fix="When the object itself is sound, it was written again by another version; else restore it.",
            )
    for given in _entries(body, "inputs"):
        if given["id"] not in checksums:
            yield Finding(f"names the input {given['id']}, which is not there.", where=where, fix=_RESTORE)


def _entries(body: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Outputs or inputs that name an object of a store; others, such as assets of other tools, are not ours."""
    entries = body.get(name)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and _is_object_id(entry.get("id")):
            yield entry


def _is_object_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(parse_id(value))
    except StoreError:
        return False


def _check_note(store: Store, path: str) -> Iterator[Finding]:
    fix = (
        "Delete the file: the work is done again when it is needed."
        if path.startswith("recipes/")
        else _RESTORE
    )
    try:
        value = parse_json(store.backend.read(path), path)
    except MlpipeError as error:
        yield Finding(f"is damaged: {error.what}", where=path, fix=fix)
        return
    if not isinstance(value, dict):
        yield Finding("is no JSON object.", where=path, fix=fix)
