"""The graph as Dagster shows it, and what its events carry."""

import time
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import SpecError, TransientError, UserCodeError
from mlpipe.orchestration.assets import data_version
from mlpipe.orchestration.definitions import definitions_of
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.faces import STAGES, code_version
from mlpipe.orchestration.runs import Request, run
from mlpipe.records.codec import from_bytes
from mlpipe_tests.orchestration.conftest import FIRST, LAST, NEXT, TRAIN_AT, World, world_at
from mlpipe_tests.orchestration.shop import orders, shop


def heads(world: World, asset: str, keys: list[str]) -> dict[str, Any]:
    return dict(DagsterHeads(world.on, "", time.time()).find(f"shop/{asset}", keys))


# -- the graph ------------------------------------------------------------------------------------------------------


def test_ten_assets_in_one_group_each_with_kinds_owners_text_and_code_version(world: World) -> None:
    specs = {s.key.to_user_string(): s for s in world.defs.resolve_all_asset_specs()}
    assert set(specs) == {
        f"shop/{n}"
        for n in (
            *("raw", "validated", "features", "labels", "model"),
            *("evaluation", "release", "predictions", "monitor", "production", "trial"),
        )
    }
    for name, spec in specs.items():
        assert spec.group_name == "shop" and spec.kinds and spec.owners == ["team:shop"] and spec.description
        if name != "shop/production":
            assert spec.code_version and spec.partitions_def == dg.DailyPartitionsDefinition("2024-01-01")
    graph = world.defs.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["shop", "production"])).is_external
    assert not graph.get(dg.AssetKey(["shop", "raw"])).is_external
    assert graph.get(dg.AssetKey(["shop", "production"])).child_keys == set()
    parents = {n: {k.path[-1] for k in graph.get(dg.AssetKey(["shop", n])).parent_keys} for n in STAGES}
    assert parents["features"] == {"validated"} and parents["model"] == {"features", "labels"}
    assert parents["predictions"] == {"features"} and parents["monitor"] == {"predictions", "labels"}


def test_the_code_version_follows_what_decides_a_result_and_nothing_else() -> None:
    before = shop().spec
    for changes, changed in (
        ({"features": ["size"]}, {"features"}),
        ({"seed": 5}, {"model"}),
        ({"gates": []}, {"evaluation"}),
        ({"description": "other", "owners": []}, set()),
    ):
        after = shop(**changes).spec
        assert {n for n in STAGES if code_version(before, n) != code_version(after, n)} == changed


def test_a_pipeline_without_partitions_has_none_and_runs(tmp_path: Path, on: dg.DagsterInstance) -> None:
    rows = orders(
        type(
            "Window",
            (),
            {"start": pd.Timestamp("2024-01-01", tz="UTC"), "end": pd.Timestamp("2024-01-09", tz="UTC")},
        )
    )
    world = world_at(
        tmp_path,
        on,
        partitions=ml.unpartitioned(),
        window=None,
        source=ml.Load(lambda w: rows, event_time="at", keys=["order"]),
    )
    for job in ("ingest", "training", "daily"):
        world.run(job, "all")
    assert [len(world.events(n)) for n in ("raw", "model", "production", "monitor")] == [2, 1, 1, 1]
    assert world.events("model")[0].partition_key is None


# -- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", ["raw", "validated", "features", "labels", "predictions", "monitor"])
def test_the_data_version_is_the_content_of_each_partition_after_a_range_and_after_one_day(
    world: World, asset: str
) -> None:
    keys = [NEXT, LAST] if asset in ("predictions", "monitor") else [NEXT, LAST, FIRST, "2024-01-05"]
    for key, head in heads(world, asset, keys).items():
        record = from_bytes(world.store.get_record("shop", head.record))
        assert record.partition == key and record.asset == f"shop/{asset}"
        made = [o.id for o in record.outputs if o.name != "profile"]
        assert world.version(asset, key) == data_version(record) and (
            len(made) > 1 or made == [data_version(record)]
        )
    assert len(heads(world, asset, keys)) == len(keys)
    versions = {world.version("raw", k) for k in (FIRST, LAST, NEXT)}
    assert len(versions) == 3


def test_the_data_version_of_several_objects_names_them_all_and_a_bundle_is_found_again(world: World) -> None:
    head = heads(world, "model", [TRAIN_AT])[TRAIN_AT]
    assert len(head.outputs) > 1 and world.version("model", TRAIN_AT).startswith(f"{len(head.outputs)}-")
    assert world.store.exists(head.outputs["bundle"].id)


def test_a_range_twice_and_each_day_alone_give_the_same_content(
    world: World, tmp_path: Path, on: dg.DagsterInstance
) -> None:
    alone = world_at(tmp_path, on)
    for key in (FIRST, "2024-01-02"):
        alone.run("ingest", key)
    for asset in ("raw", "validated", "features", "labels"):
        for key in (FIRST, "2024-01-02"):
            assert alone.version(asset, key) == world.version(asset, key)


def test_what_follows_from_the_content_is_no_new_version(small: World) -> None:
    before = small.version("features", FIRST)
    small.run("training", TRAIN_AT)
    small.run("daily", LAST)
    small.run("ingest", FIRST)
    # The monitor of a champion made the grid, so that the day now comes with a profile; its rows are the same.
    event = small.events("features")[0].asset_materialization
    assert event is not None and "profile" in event.metadata["record"].value["outputs"]
    assert small.version("features", FIRST) == before


def test_the_event_of_a_partition_leads_people_with_a_summary_and_hides_nothing_in_numbers(
    world: World,
) -> None:
    event = world.events("evaluation")[0].asset_materialization
    assert event is not None
    names = list(event.metadata)
    assert {"summary", "record", "dagster/size_bytes"} <= set(names)
    assert 1 <= len([n for n in names if n.startswith("metric/")]) <= 8


# -- failures -------------------------------------------------------------------------------------------------------


class Flaky:
    """Fails on the first calls, then gives rows."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self, window: Any) -> pd.DataFrame:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return orders(window)


def source_of(load: Any) -> Any:
    return ml.Load(load, event_time="at", keys=["order"])


def test_a_fault_that_passes_costs_retries_with_back_off_and_nothing_else(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    load = Flaky(2, ConnectionError("no route"))
    world = world_at(tmp_path, on, source=source_of(load), retries={"times": 3, "delay": "0.2s"})
    started = time.monotonic()
    run_id = world.run("ingest", FIRST)
    # Back-off with jitter: 0.1 to 0.2 s, then 0.2 to 0.4 s.
    assert time.monotonic() - started >= 0.3 and load.calls == 3
    assert len(world.events("raw")) == 1
    assert len([r for _, r in world.store.records("shop") if from_bytes(r).asset == "shop/raw"]) == 1
    restarts = on.all_logs(run_id, of_type=dg.DagsterEventType.STEP_RESTARTED)
    assert len(restarts) == 2


def test_a_fault_that_stays_is_raised_by_its_own_name_after_the_last_try(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    load = Flaky(99, ConnectionError("no route"))
    world = world_at(tmp_path, on, source=source_of(load), retries={"times": 1, "delay": "0.1s"})
    with pytest.raises(TransientError, match="no route"):
        world.run("ingest", FIRST)
    assert load.calls == 2 and not world.events("raw")


def test_a_mistake_is_not_tried_again(tmp_path: Path, on: dg.DagsterInstance) -> None:
    load = Flaky(99, KeyError("size"))
    world = world_at(tmp_path, on, source=source_of(load))
    with pytest.raises(UserCodeError, match="raised KeyError"):
        world.run("ingest", FIRST)
    assert load.calls == 1


def test_a_range_that_breaks_on_a_day_keeps_the_days_before_it(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    def features(frames: Any, history: Any) -> pd.DataFrame:
        rows = frames["rows"]
        if rows["at"].min() >= pd.Timestamp("2024-01-04", tz="UTC"):
            raise ValueError("no such season")
        return rows[["size"]]

    world = world_at(tmp_path, on, features=features)
    with pytest.raises(UserCodeError, match="no such season"):
        world.run("ingest", FIRST, "2024-01-06")
    done = [FIRST, "2024-01-02", "2024-01-03"]
    assert sorted(e.partition_key for e in world.events("features")) == done
    for key, head in heads(world, "features", done).items():
        assert world.store.exists(head.outputs["features"].id) and world.version("features", key).startswith(
            "table-"
        )
    assert not world.events("labels") and {e.partition_key for e in world.events("validated")} >= set(done)


def test_a_broken_range_keeps_the_verdicts_of_the_days_before_it(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    contract = ml.Contract(columns={"size": ml.Column("number")}, repair=lambda bad: 1 / 0)
    world = world_at(
        tmp_path, on, source=ml.Load(_spoilt, event_time="at", keys=["order"], contract=contract)
    )
    with pytest.raises(UserCodeError, match="ZeroDivisionError"):
        world.run("ingest", FIRST, "2024-01-04")
    assert sorted(e.partition_key for e in world.events("validated")) == [FIRST, "2024-01-02"]
    run_id = world.events("validated")[0].run_id
    evaluations = on.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    told = [e.get_dagster_event().asset_check_evaluation_data for e in evaluations]
    assert sorted((e.partition, e.passed) for e in told) == [(FIRST, True), ("2024-01-02", True)]


def _spoilt(window: Any) -> pd.DataFrame:
    rows = orders(window).astype({"size": "object"})
    rows.loc[rows["at"] >= pd.Timestamp("2024-01-03", tz="UTC"), "size"] = "many"
    return rows


def test_a_stage_that_leaves_out_a_partition_is_an_error_that_names_it(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    spec = world_at(tmp_path, on).spec
    defs = definitions_of(spec, execute=lambda spec, stage, keys, ctx: iter(()))
    with pytest.raises(UserCodeError, match="yielded 0 records for 1 partitions") as caught:
        run(spec, defs, on, Request("ingest", FIRST, FIRST))
    assert FIRST in str(caught.value)


def test_a_subclass_may_not_move_an_asset() -> None:
    with pytest.raises(SpecError, match="changes the key of shop/"):
        definitions_of(shop().spec, dress=lambda name, spec: spec.replace_attributes(key="elsewhere"))
