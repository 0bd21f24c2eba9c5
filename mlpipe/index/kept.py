"""What is kept in the store about records beside the records themselves, so that a rebuild brings it back: notes, and marks of deletion.

Files are created and never changed: ``notes/<pipeline>/<record>/<time>-<chance>.json``, ``deleted/<pipeline>/<record>.json``.
"""

import json
import secrets
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

from mlpipe.errors import MlpipeError, StoreError
from mlpipe.index.rows import Note, clean
from mlpipe.stores.backend import Backend, open_backend

LONGEST = 10_000
"""Characters of a note."""


def write_note(store: str, pipeline: str, record: str, text: str, actor: str) -> Note:
    """Write a note into a store.

    Raises
    ------
    MlpipeError
        It is empty, or longer than `LONGEST`.
    """
    text = clean(text).strip()
    if not text or len(text) > LONGEST:
        raise MlpipeError(
            f"a note has 1 to {LONGEST} characters, this one {len(text)}", fix="Write another one."
        )
    now = datetime.now(UTC)
    name = f"notes/{pipeline}/{record}/{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}.json"
    body = {"record": record, "written": now.isoformat(), "actor": actor, "text": text}
    open_backend(store).create(name, json.dumps(body, sort_keys=True, ensure_ascii=False).encode())
    return Note(record, now, actor, text, name)


def notes(backend: Backend, known: Collection[str] = ()) -> Iterator[Note]:
    """All notes of a store but those whose names are known already: notes never change.

    Raises
    ------
    StoreError
        One is damaged.
    """
    for path, _ in backend.list("notes"):
        if path in known:
            continue
        try:
            body = json.loads(backend.read(path))
            yield Note(
                body["record"], datetime.fromisoformat(body["written"]), body["actor"], body["text"], path
            )
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"a note is damaged: {error}", where=path, fix="Restore it from a backup, or delete the file."
            ) from None


def write_deleted(backend: Backend, pipeline: str, records: Iterable[str]) -> None:
    """Mark in the store that the events of records were deleted in Dagster."""
    for record in records:
        backend.create(f"deleted/{pipeline}/{record}.json", json.dumps({"record": record}).encode())


def deleted(backend: Backend) -> set[str]:
    """Ids of all records of a store whose events were deleted."""
    return {path.rpartition("/")[2].removesuffix(".json") for path, _ in backend.list("deleted")}
