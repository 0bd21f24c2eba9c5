"""Rows of other assets for a pipeline that is looked at outside a run: read through the IO managers that wrote them."""

import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import dagster as dg

from mlpipe.errors import SourceError
from mlpipe.orchestration.causes import first_line
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what IO managers tell of each load off the terminal; their warnings stay."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
