"""Between Dagster's event log and mlpipe's frozen values: heads read from events, records written as metadata."""

import re
from collections.abc import Mapping, Sequence

import dagster as dg

from mlpipe.records.codec import Head, from_entries, to_entries
from mlpipe.records.record import Record

EXPERIMENT_TAG = "mlpipe/experiment"
PAGE = 1000
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"!\[(?![^\]]*\]\(data:image/)")
_MARKS = re.compile(r"([\\`*_\[\]])")


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
    return harmless(_MARKS.sub(r"\\\1", text))


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


class DagsterHeads:
    """Heads from the event log: what this run made, else the newest that is no experiment and was there when the run started.

    One step reads from one thread. What was found stays the same for the whole step; what a run makes itself shows at once, also from
    another process of the same run.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str, started: float) -> None:
        self._instance, self._run_id, self._started = instance, run_id, started
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
        others: dict[str, Head] = {}
        wanted = None if keys == ["all"] else list(keys)
        where = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset.split("/")), asset_partitions=wanted)
        cursor: str | None = None
        while len(own) < len(keys):
            page = self._instance.fetch_materializations(where, limit=PAGE, cursor=cursor)
            for event in page.records:
                mine = event.run_id == self._run_id
                target = own if mine else others
                partition = event.partition_key or "all"
                if partition in target or (not mine and event.timestamp > self._started):
                    continue
                head = head_of_event(event)
                if head is not None and (mine or not head.experiment):
                    target[partition] = head
            cursor = page.cursor
            if not page.has_more or len(own.keys() | others.keys()) == len(keys):
                break
        return {**others, **own}


def newest(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str]
) -> dict[str, dg.EventLogRecord]:
    """Newest materialization of each partition that has one."""
    wanted = None if list(partitions) == ["all"] else list(partitions)
    where = dg.AssetRecordsFilter(asset_key=key, asset_partitions=wanted)
    found: dict[str, dg.EventLogRecord] = {}
    cursor: str | None = None
    while len(found) < len(partitions):
        page = instance.fetch_materializations(where, limit=PAGE, cursor=cursor)
        for event in page.records:
            found.setdefault(event.partition_key or "all", event)
        cursor = page.cursor
        if not page.has_more:
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
