"""Rows of other assets for a pipeline that is looked at outside a run: read through the IO managers that wrote them."""

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import dagster as dg

from mlpipe.errors import SourceError
from mlpipe.orchestration.causes import first_line
from mlpipe.orchestration.events import head_of_event, newest
from mlpipe.records.record import Input
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import UpstreamSource


@contextmanager
def readers(
    spec: PipelineSpec, defs: dg.Definitions, on: dg.DagsterInstance
) -> Iterator[Mapping[str, Callable[[str], Any]]]:
    """Within the body: how a partition of each upstream source is read, by the name of the source.

    An asset without partitions gives the same for each. A reader raises `SourceError` when the asset was never materialized, or cannot be
    loaded.
    """
    partitioned = {s.key: s.partitions_def is not None for s in defs.resolve_all_asset_specs()}

    def reader(name: str, source: UpstreamSource) -> Callable[[str], Any]:
        key = dg.AssetKey(source.asset.split("/"))

        @lru_cache(maxsize=2)
        def loaded(by: str | None) -> Any:
            try:
                with _quiet():
                    return loader.load_asset_value(key, partition_key=by, python_type=object)
            except Exception as error:
                at = f" partition {by}" if by else ""
                raise SourceError(
                    f"asset {source.asset}{at} cannot be loaded: {first_line(error)}",
                    where=f"pipeline {spec.name}, source {name}",
                    fix="Materialize it first.",
                ) from error

        return lambda partition: loaded(partition if partitioned.get(key) else None)

    with defs.get_asset_value_loader(instance=on) as loader:
        yield {n: reader(n, s) for n, s in spec.sources.items() if isinstance(s, UpstreamSource)}
    # Each load leaves an instance in memory behind, which complains when it is let go only as the process ends.
    gc.collect()


def read_of(
    spec: PipelineSpec, instance: dg.DagsterInstance, keys: Sequence[str]
) -> dict[tuple[str, str], Input]:
    """Which materialization of each upstream source a step reads: the newest of each partition, by source and partition.

    Of an asset without partitions it is the same one for all. What was never materialized is left out.
    """
    found: dict[tuple[str, str], Input] = {}
    for name, source in spec.sources.items():
        if not isinstance(source, UpstreamSource):
            continue
        asset = dg.AssetKey(source.asset.split("/"))
        made = newest(instance, asset, keys)
        whole = made.get(WHOLE) or newest(instance, asset, [WHOLE]).get(WHOLE)
        for key in keys:
            event = made.get(key) or whole
            if event is not None:
                found[name, key] = _input(name, source.asset, event)
    return found


def _input(name: str, asset: str, event: dg.EventLogRecord) -> Input:
    """A foreign materialization as an input; one of another pipeline of mlpipe's with the id of its record too."""
    made, head = event.asset_materialization, head_of_event(event)
    rows = None if made is None else made.metadata.get("dagster/row_count")
    count = None if rows is None else rows.value
    return Input(
        asset=asset,
        partition=event.partition_key or WHOLE,
        record="" if head is None else head.record,
        event=str(event.storage_id),
        name=name,
        rows=count if isinstance(count, int) else None,
        version="" if made is None else (made.tags or {}).get("dagster/data_version", ""),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what IO managers tell of each load off the terminal; their warnings stay."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
