"""Bringing the index up to date: from stores, from Dagster's events, from the chains of decisions. From nothing it gives the same."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.index import kept
from mlpipe.index.index import SYNCED, Index
from mlpipe.index.rows import Confirmed, Entry, entry_of
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.verify import chains
from mlpipe.orchestration.causes import first_line
from mlpipe.orchestration.events import PAGE, head_of_event
from mlpipe.orchestration.runs import instance
from mlpipe.orchestration.runtime import now
from mlpipe.records.codec import from_bytes
from mlpipe.stores.backend import Backend, open_backend
from mlpipe.stores.place import default_url

BATCH = 200
"""Records of one transaction: short enough that steps need not wait."""
AGAIN = 200
"""Newest events of an asset that are read again at every sync: writers side by side commit out of order."""
Tell = Callable[[str], None]


@dataclass
class Found:
    """What a sync came to."""

    added: int = 0
    removed: int = 0
    confirmed: int = 0
    deleted: int = 0
    unread: int = 0

    def __str__(self) -> str:
        told = [f"{self.added} records were missing"]
        told += [f"{self.removed} are in no store any more"] if self.removed else []
        told += [f"the events of {self.deleted} were deleted"] if self.deleted else []
        told += [f"{self.unread} records or chains of decisions cannot be read"] if self.unread else []
        return ", ".join(told)


def brought_up(
    url: str,
    *,
    stores: Sequence[str] = (),
    full: bool = False,
    anew: bool = False,
    tell: Tell,
    on: dg.DagsterInstance | None = None,
) -> str:
    """Bring the index at an address up to date, and say in a sentence what that came to.

    Parameters
    ----------
    stores
        Addresses of stores to read besides those that the index knows and the default one.
    full
        Read all events, and look for records and events that are gone; else what is new, and the newest events again.
    anew
        Make every row anew, also of an index of another format.
    tell
        Hears of what could not be read. Then the index is not called complete.
    on
        The instance whose events are read; default: that of $DAGSTER_HOME, if it is set.
    """
    started = now()
    with Index.open(url, create=True, anew=anew) as index:
        found, whole = Found(), True
        for store in _stores(index, stores):
            try:
                found = _from_store(index, store, found, full=full or anew, anew=anew, tell=tell)
            except (MlpipeError, OSError) as error:
                whole = False
                tell(f"the store {store} is left out: {error}")
        whole = _from_instance(index, on, found, full=full or anew, tell=tell) and whole
        if whole and not found.unread:
            index.remember(SYNCED, started.isoformat())
        count = index.count()
    return f"{found}; the index holds {count}, as of {started:%Y-%m-%d %H:%M:%S} UTC."


def _stores(index: Index, named: Sequence[str]) -> list[str]:
    """Addresses of all stores to read; the default one only where there is one."""
    found = [*index.stores(), *named]
    default = default_url()
    try:
        if open_backend(default).exists("store.json"):
            found.append(default)
    except MlpipeError:
        # A default that was never chosen is no store that is missed.
        if os.environ.get("MLPIPE_STORE"):
            raise
    return list(dict.fromkeys(open_backend(url).url for url in found))


def _from_store(index: Index, store: str, found: Found, *, full: bool, anew: bool, tell: Tell) -> Found:
    """Rows of a store's records, notes, marks of deletion, and decisions."""
    backend = open_backend(store)
    if not backend.exists("store.json"):
        raise NotFoundError("there is no store", where=store, fix="Name another one by --store.")
    paths = {p.rpartition("/")[2].removesuffix(".json"): p for p, _ in backend.list("records")}
    known = index.ids(store)
    missing = sorted(paths if anew else paths.keys() - known)
    for i in range(0, len(missing), BATCH):
        read = _entries(backend, (paths[name] for name in missing[i : i + BATCH]), found, tell)
        found.added += index.enter(list(read), store, replace=anew)
    gone = sorted(known - paths.keys()) if full else []
    if gone:
        index.remove(gone)
        found.removed += len(gone)
    index.add_notes(list(kept.notes(backend, index.notes())))
    index.mark_deleted(kept.deleted(backend) & paths.keys())
    for pipeline, segment, deployment in chains(backend):
        try:
            entries = Ledger(backend, pipeline, segment=segment, deployment=deployment).entries()
        except MlpipeError as error:
            found.unread += 1
            tell(f"decisions are left out: {error}")
            continue
        index.decide(pipeline, segment, deployment, entries)
    return found


def _entries(backend: Backend, paths: Iterable[str], found: Found, tell: Tell) -> Iterator[Entry]:
    for path in paths:
        try:
            yield entry_of(from_bytes(backend.read(path), path))
        except MlpipeError as error:
            found.unread += 1
            tell(f"a record is left out: {error}")


def _from_instance(
    index: Index, on: dg.DagsterInstance | None, found: Found, *, full: bool, tell: Tell
) -> bool:
    """What the events of an instance confirm; whether they could be read."""
    if on is None and not os.environ.get("DAGSTER_HOME"):
        return True
    try:
        if on is not None:
            _from_events(index, on, found, full=full)
            return True
        with instance() as opened:
            _from_events(index, opened, found, full=full)
    except (MlpipeError, dg.DagsterError, SQLAlchemyError, OSError) as error:
        tell(f"Dagster's events are left out: {first_line(error)}")
        return False
    return True


def _from_events(index: Index, on: dg.DagsterInstance, found: Found, *, full: bool) -> None:
    name = identity(on)
    mark = f"events {name}"
    marks: dict[str, list[Any]] = index.recall(mark) or {}
    for asset in index.assets():
        upto, before = marks.get(asset, (0, ""))
        events = _events(on, asset, None if full or not upto else upto)
        again = sorted(e for e in events.values() if e <= upto)[-AGAIN:]
        everything = full or not upto
        if not everything and _fingerprint(again) != before:
            # An event that was read is gone, or one came late under an old number.
            events, everything = _events(on, asset, None), True
        rows = [Confirmed(record, event) for record, event in events.items()]
        known = index.confirmed(name, asset)
        index.confirm([r for r in rows if known.get(r.record) != r.event], name)
        found.confirmed += len(rows)
        if everything:
            _deleted(index, [r for r, event in known.items() if r not in events], found)
        newest = sorted(events.values())[-AGAIN:]
        marks[asset] = [newest[-1], _fingerprint(newest)] if newest else [0, ""]
    index.remember(mark, marks)


def identity(on: dg.DagsterInstance) -> str:
    """What tells an instance from others, and from the one that it was before it was wiped."""
    # Every storage that Dagster ships has it, though its base class does not say so.
    given = getattr(on.run_storage, "get_run_storage_id", None)
    return str(given()) if given is not None else str(on.root_directory)


def _deleted(index: Index, records: Sequence[str], found: Found) -> None:
    """Mark records whose events are gone, in their stores too, so that a rebuild knows it."""
    rows = [row for record in records for row in index.find(record) if not row.get("deleted")]
    for row in rows:
        kept.write_deleted(open_backend(row.store), row.pipeline, [row.id])
    index.mark_deleted([row.id for row in rows])
    found.deleted += len(rows)


def _events(on: dg.DagsterInstance, asset: str, upto: int | None) -> dict[str, int]:
    """Newest event of each record of an asset; with `upto` no more than `AGAIN` of those that are not newer than it."""
    found: dict[str, int] = {}
    cursor: str | None = None
    old = 0
    while True:
        page = on.fetch_materializations(
            dg.AssetKey(asset.split("/")), limit=PAGE if upto is None else AGAIN, cursor=cursor
        )
        for event in page.records:
            head = head_of_event(event)
            if upto is not None and event.storage_id <= upto:
                old += 1
                if old > AGAIN:
                    return found
            if head is not None:
                found.setdefault(head.record, event.storage_id)
        cursor = page.cursor
        if not page.has_more:
            return found


def _fingerprint(events: Sequence[int]) -> str:
    return hashlib.blake2b(",".join(map(str, events)).encode(), digest_size=16).hexdigest()
