"""Rows of other assets, read outside a run."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import SourceError
from mlpipe.orchestration.upstream import readers
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.smoke import smoke
from mlpipe_tests.orchestration.conftest import world_at
from mlpipe_tests.orchestration.shop import ROWS, START, orders

DAYS = dg.DailyPartitionsDefinition(START)
MADE = DAYS.get_partition_keys_in_range(dg.PartitionKeyRange(START, "2024-01-06"))


@dg.asset(key=["crm", "orders"], partitions_def=DAYS)
def crm_orders(context: dg.AssetExecutionContext) -> pd.DataFrame:
    return orders(context.partition_time_window).assign(place=["north", "south"] * (ROWS // 2))


@dg.asset
def places() -> pd.DataFrame:
    return pd.DataFrame({"place": ["north", "south"], "rent": [7.0, 9.0]})


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PipelineSpec, Any]]:
    """The pipeline, and how its sources are read."""
    folder: Path = tmp_path_factory.mktemp("upstream")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    sources = {
        "orders": ml.Upstream("crm/orders", event_time="at", keys=["order"]),
        "places": ml.Upstream("places", keys=["place"], join={"on": ["place"]}),
    }
    short = {"window": "6d", "split": ml.Split(valid="1d", test="2d")}
    with dg.DagsterInstance.from_config(str(folder)) as on:
        made = world_at(
            folder, on, sources=sources, source=None, features=["size", "price", "places.rent"], **short
        )
        assets = [crm_orders, places]
        dg.materialize([places], instance=on)
        for day in MADE:
            dg.materialize([crm_orders], instance=on, partition_key=day)
        defs = dg.Definitions.merge(made.defs, dg.Definitions(assets=assets))
        with readers(made.spec, defs, on) as by:
            yield made.spec, by


def test_a_partition_is_the_frame_that_was_made_and_an_asset_without_is_the_same_for_each(
    read: tuple[PipelineSpec, Any],
) -> None:
    _, by = read
    assert set(by) == {"orders", "places"}
    assert by["orders"]("2024-01-03")["at"].dt.strftime("%Y-%m-%d").unique().tolist() == ["2024-01-03"]
    assert len(by["orders"](START)) == ROWS
    assert by["places"](START).equals(by["places"]("2024-01-03")) and len(by["places"](START)) == 2


def test_what_was_never_made_is_told(read: tuple[PipelineSpec, Any]) -> None:
    spec, by = read
    with pytest.raises(SourceError, match=r"asset crm/orders partition 2024-02-01 cannot be loaded") as error:
        by["orders"]("2024-02-01")
    assert f"pipeline {spec.name}, source orders" in str(error.value) and "Materialize it" in str(error.value)


def test_the_pipeline_is_tried_on_them(read: tuple[PipelineSpec, Any]) -> None:
    spec, by = read
    clock = datetime(2024, 3, 1, tzinfo=UTC)
    checks = {c.name: c.answer for c in smoke(spec, clock, lambda: clock, rows=300, upstream=by)}
    # The newest days were not made yet; the first window was.
    assert "6 partitions from 2024-01-01 to 2024-01-06" in checks["sources"].sentence, checks["sources"]
    assert {a.status for a in checks.values()} <= {"ok", "warning", "not applicable"}
    assert checks["training"].status == checks["repeated"].status == "ok"
