"""Between Dagster's event log and mlpipe's frozen values: heads read from events, records written as metadata."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import dagster as dg

from mlpipe.records.codec import Head, from_entries, literal, to_entries
from mlpipe.records.record import Record
from mlpipe.stages.context import Heads

EXPERIMENT_TAG = "mlpipe/experiment"
PAGE = 1000
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"!\[(?![^\]]*\]\(data:image/)")


def metadata_of(record: Record) -> dict[str, dg.MetadataValue]:
    """A record as the metadata of its event."""
    out: dict[str, dg.MetadataValue] = {}
    for name, value in to_entries(record).items():
        if isinstance(value, str):
            out[name] = dg.MetadataValue.md(harmless(value))
        elif isinstance(value, Mapping):
            out[name] = dg.MetadataValue.json(dict(value))
        elif isinstance(value, int):
            out[name] = dg.MetadataValue.int(value)
        else:
            out[name] = dg.MetadataValue.float(float(value))
    return out


def harmless(text: str) -> str:
    """Markdown in which nothing is HTML, and no image is fetched: column names, messages and reasons are written by strangers."""
    return _IMAGE.sub(r"!\\[", _TAG.sub("&lt;", text))


def plain(text: str) -> str:
    """Text as markdown that shows every character as it is."""
    return harmless(literal(text))


def head_of_event(event: dg.EventLogRecord) -> Head | None:
    """The head that an event carries; None for a materialization that is not mlpipe's."""
    materialization = event.asset_materialization
    if materialization is None or "record" not in materialization.metadata:
        return None
    entry = materialization.metadata["record"].value
    partition = materialization.partition or "all"
    asset = materialization.asset_key.to_user_string()
    return (
        from_entries(entry, asset=asset, partition=partition, event=str(event.storage_id))
        if isinstance(entry, Mapping)
        else None
    )


FACTS = ("raw", "validated", "features", "labels")
"""Assets that hold what happened, each row with the time from which it was known; the others hold what was concluded from it."""


class DagsterHeads:
    """Heads from the event log: what this run made, else what was known best at its clock when it started.

    Of several materializations by others the one with the latest `as_of` counts, and of equal ones the newest: a past that is lived
    through again does not cover up what is known today. A conclusion (a model, predictions, a monitor) drawn after the run's clock
    does not exist for it; facts may have been written down later, for each of their rows carries its own time.

    One step reads from one thread. What was found stays the same for the whole step; what a run makes itself shows at once, also from
    another process of the same run.

    Parameters
    ----------
    instance, run_id
        Where the events are, and whose are our own.
    started
        Others' events after this POSIX time do not show.
    as_of
        The run's clock; None: now.
    behind
        Asked for facts that this instance does not have.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        run_id: str,
        started: float,
        as_of: datetime | None = None,
        behind: Heads | None = None,
    ) -> None:
        self._instance, self._run_id, self._started = instance, run_id, started
        self._as_of, self._behind = as_of, behind
        self._found: dict[tuple[str, str], Head | None] = {}

    def find(self, asset: str, keys: Sequence[str]) -> Mapping[str, Head]:
        """Heads of the keys that have one."""
        unknown = [k for k in keys if (asset, k) not in self._found]
        if unknown:
            self._found.update({(asset, k): None for k in unknown})
            self._found.update({(asset, k): head for k, head in self._read(asset, unknown).items()})
        return {k: head for k in keys if (head := self._found[asset, k]) is not None}

    def add(self, head: Head) -> None:
        """Take note of what this run has just made."""
        self._found[head.asset, head.partition] = head

    def _read(self, asset: str, keys: Sequence[str]) -> dict[str, Head]:
        own: dict[str, Head] = {}
        timely: dict[str, Head] = {}
        later: dict[str, Head] = {}
        for event in materializations(self._instance, dg.AssetKey(asset.split("/")), keys):
            mine, partition = event.run_id == self._run_id, event.partition_key or "all"
            if (mine and partition in own) or (not mine and event.timestamp > self._started):
                continue
            head = head_of_event(event)
            if head is None or (head.experiment and not mine):
                continue
            found = own if mine else timely if self._known(head) else later
            if partition not in found or (not mine and _clock(head) > _clock(found[partition])):
                found[partition] = head
        if asset.rpartition("/")[2] not in FACTS:
            return {**timely, **own}
        missing = [k for k in keys if k not in own and k not in timely and k not in later]
        behind = self._behind.find(asset, missing) if self._behind is not None and missing else {}
        return {**behind, **later, **timely, **own}

    def _known(self, head: Head) -> bool:
        return self._as_of is None or _clock(head) <= self._as_of


def _clock(head: Head) -> datetime:
    return datetime.fromisoformat(head.as_of)


def materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str]
) -> Iterator[dg.EventLogRecord]:
    """Materializations of some partitions, the newest first."""
    memory = memory_of(instance)
    if memory is not None:
        return memory.read(key, partitions)
    wanted = None if list(partitions) == ["all"] else list(partitions)
    return _fetched(instance, dg.AssetRecordsFilter(asset_key=key, asset_partitions=wanted))


def _fetched(instance: dg.DagsterInstance, where: dg.AssetRecordsFilter) -> Iterator[dg.EventLogRecord]:
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(where, limit=PAGE, cursor=cursor)
        yield from page.records
        cursor = page.cursor
        if not page.has_more:
            return


class Memory:
    """Materializations that this process has read, so that a thousand nights read each of them once.

    For an instance that no other process writes to meanwhile: events are followed by their storage id, and writers side by side may
    commit out of that order. A run looks for news of each asset once, and of those that it makes itself whenever it asks.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._seen: dict[dg.AssetKey, dict[str, dict[int, dg.EventLogRecord]]] = {}
        self._upto: dict[dg.AssetKey, int] = {}
        self._news: set[dg.AssetKey] = set()
        self._made: set[dg.AssetKey] = set()

    def made(self, key: dg.AssetKey) -> None:
        """From now to the end of the run there may be news of an asset at any time."""
        self._made.add(key)

    def ended(self) -> None:
        """A run has ended: the next one looks for news again."""
        self._made.clear()
        self._news.clear()

    def read(self, key: dg.AssetKey, partitions: Sequence[str]) -> Iterator[dg.EventLogRecord]:
        """Materializations of some partitions, the newest first."""
        seen = self._seen.setdefault(key, {})
        if seen and (key in self._made or key not in self._news):
            after = dg.AssetRecordsFilter(asset_key=key, after_storage_id=self._upto[key])
            self._keep(key, seen, after)
        new = [p for p in partitions if p not in seen]
        if new:
            seen.update({p: {} for p in new})
            wanted = None if new == ["all"] else new
            self._keep(key, seen, dg.AssetRecordsFilter(asset_key=key, asset_partitions=wanted))
        self._news.add(key)
        found = [event for p in partitions for event in seen[p].values()]
        return iter(sorted(found, key=lambda event: -event.storage_id))

    def _keep(
        self, key: dg.AssetKey, seen: dict[str, dict[int, dg.EventLogRecord]], where: dg.AssetRecordsFilter
    ) -> None:
        upto = self._upto.setdefault(key, 0)
        for event in _fetched(self._instance, where):
            if (event.partition_key or "all") in seen:
                seen[event.partition_key or "all"][event.storage_id] = event
                # Only what was read by its partition alone, or after all that is known, moves the mark: it may not skip an event.
                upto = max(upto, event.storage_id)
        self._upto[key] = upto


MEMORIES: dict[str, Memory] = {}
"""By the folder of an instance: see `remembered`."""


def memory_of(instance: dg.DagsterInstance) -> Memory | None:
    """What this process remembers of an instance; None where it remembers nothing."""
    return MEMORIES.get(instance.root_directory) if MEMORIES else None


@contextmanager
def remembered(instance: dg.DagsterInstance) -> Iterator[None]:
    """Within the body this process reads each materialization of an instance once. Nobody else may write to it meanwhile."""
    MEMORIES[instance.root_directory] = Memory(instance)
    try:
        yield
    finally:
        del MEMORIES[instance.root_directory]


def newest(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str]
) -> dict[str, dg.EventLogRecord]:
    """Newest materialization of each partition that has one."""
    found: dict[str, dg.EventLogRecord] = {}
    for event in materializations(instance, key, partitions):
        found.setdefault(event.partition_key or "all", event)
        if len(found) == len(partitions):
            break
    return found


def provenance(event: dg.EventLogRecord | None, asset: str) -> dict[str, str]:
    """Tags that say which event of a parent was read; Dagster wants both, the version and the event."""
    made = None if event is None else event.asset_materialization
    version = None if made is None else (made.tags or {}).get("dagster/data_version")
    if event is None or version is None:
        return {}
    return {
        f"dagster/input_data_version/{asset}": version,
        f"dagster/input_event_pointer/{asset}": str(event.storage_id),
    }
