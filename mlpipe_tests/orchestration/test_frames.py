"""A good neighbour: an existing asset upstream is a real dependency, and a user's own asset downstream receives frames."""

import time
from collections.abc import Iterator

import dagster as dg
import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.frames import FramesIOManager
from mlpipe.records.codec import from_bytes
from mlpipe_tests.orchestration.conftest import FIRST, World, world_at
from mlpipe_tests.orchestration.shop import orders

DAYS = dg.DailyPartitionsDefinition("2024-01-01")
TRAIN_AT, TODAY = "2024-01-07", "2024-01-08"
SEEN: dict[str, object] = {}


@dg.asset(key=["crm", "orders"], partitions_def=DAYS)
def crm_orders(context: dg.AssetExecutionContext) -> pd.DataFrame:
    """The user's own partitioned asset."""
    return orders(context.partition_time_window).assign(place=["north", "south"] * 40)


@dg.asset
def places() -> pd.DataFrame:
    """The user's own asset without partitions."""
    return pd.DataFrame({"place": ["north", "south"], "rent": [7.0, 9.0]})


@dg.asset(
    partitions_def=DAYS,
    ins={"features": dg.AssetIn(["shop", "features"]), "scores": dg.AssetIn(["shop", "predictions"])},
)
def report(context: dg.AssetExecutionContext, features: pd.DataFrame, scores: pd.DataFrame) -> None:
    """One day's frames."""
    SEEN[context.partition_key] = (features, scores)


def window(start: int) -> dg.TimeWindowPartitionMapping:
    return dg.TimeWindowPartitionMapping(start_offset=start, end_offset=0)


@dg.asset(
    partitions_def=DAYS, ins={"features": dg.AssetIn(["shop", "features"], partition_mapping=window(-2))}
)
def trend(features: pd.DataFrame) -> None:
    """Three days in one frame."""
    SEEN["trend"] = features


@dg.asset(
    partitions_def=DAYS, ins={"features": dg.AssetIn(["shop", "features"], partition_mapping=window(-2))}
)
def by_day(features: dict[str, pd.DataFrame]) -> None:
    """Three days, by day."""
    SEEN["by_day"] = features


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A pipeline between the user's assets: a range through all of it, and what stands downstream."""
    folder = tmp_path_factory.mktemp("neighbours")
    sources = {
        # A name that no Python argument could bear.
        "class": ml.Upstream("crm/orders", event_time="at", keys=["order"]),
        "places": ml.Upstream("places", keys=["place"], join={"on": ["place"]}),
    }
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder)) as on:
        short = {"window": "6d", "split": ml.Split(valid="1d", test="2d")}
        features = ["size", "price", "places.rent"]
        made = world_at(folder, on, sources=sources, source=None, features=features, **short)
        own = dg.Definitions(assets=[crm_orders, places, report, trend, by_day])
        world = World(made.spec, dg.Definitions.merge(made.defs, own), on)
        everything(world, ["places"], None)
        everything(world, ["crm/orders"], (FIRST, TODAY))
        world.run("ingest", FIRST, TODAY)
        world.run("training", TRAIN_AT)
        world.run("daily", TODAY)
        yield world


def everything(world: World, assets: list[str], keys: str | tuple[str, str] | None) -> None:
    """Materialize assets, for one partition, a range, or none; day by day where an asset's own policy asks for it."""
    job = world.defs.resolve_implicit_global_asset_job_def()
    selection = [dg.AssetKey(a.split("/")) for a in assets]
    days = (
        [None]
        if keys is None
        else [keys]
        if isinstance(keys, str)
        else DAYS.get_partition_keys_in_range(dg.PartitionKeyRange(*keys))
    )
    for day in days:
        job.execute_in_process(instance=world.on, asset_selection=selection, partition_key=day)


def test_an_upstream_asset_is_a_real_dependency_and_its_rows_are_what_raw_freezes(neighbours: World) -> None:
    raw = dg.AssetKey(["shop", "raw"])
    graph = neighbours.defs.resolve_asset_graph()
    assert graph.get(raw).parent_keys == {dg.AssetKey(["crm", "orders"]), dg.AssetKey("places")}
    head = DagsterHeads(neighbours.on, "", time.time()).find("shop/raw", [FIRST, TODAY])
    assert set(head) == {FIRST, TODAY}
    for key in (FIRST, TODAY):
        frozen = neighbours.store.get_table(head[key].outputs["class"].id)
        start = pd.Timestamp(key, tz="UTC")
        expected = orders(type("Window", (), {"start": start, "end": start + pd.Timedelta("1D")}))
        assert sorted(frozen["order"]) == sorted(expected["order"])
        assert list(neighbours.store.get_table(head[key].outputs["places"].id)["rent"]) == [7.0, 9.0]
    # The range came in one run, the last day again in a run of its own, with the same content.
    assert len({e.run_id for e in neighbours.events("raw")}) == 2
    versions = [
        e.asset_materialization.tags["dagster/data_version"]
        for e in neighbours.events("raw")
        if e.partition_key == TODAY
    ]
    assert versions[0] == versions[1]


def test_raw_names_the_very_materializations_that_it_read(neighbours: World) -> None:
    heads = DagsterHeads(neighbours.on, "", time.time()).find("shop/raw", [FIRST, TODAY])
    for key, head in heads.items():
        record = from_bytes(neighbours.store.get_record("shop", head.record))
        archive = neighbours.store.get_bytes(record.code.archive)
        assert f"{record.code.base}/shop.py".encode() in archive and record.code.base.endswith(
            "orchestration"
        )
        assert neighbours.store.get_json(record.environment.installed)["dagster"] == dg.__version__
        read = {i.name: i for i in record.inputs}
        assert (read["class"].partition, read["places"].partition) == (key, "all")
        for name, asset in (("class", ["crm", "orders"]), ("places", ["places"])):
            made = neighbours.on.fetch_materializations(
                dg.AssetRecordsFilter(
                    asset_key=dg.AssetKey(asset), asset_partitions=[key] if name == "class" else None
                ),
                limit=1,
            ).records[0]
            assert read[name].event == str(made.storage_id) and read[name].id == ""
            tags = made.asset_materialization.tags if made.asset_materialization is not None else {}
            assert read[name].version == tags["dagster/data_version"] != ""


def test_a_users_asset_receives_one_days_features_and_predictions_as_frames(neighbours: World) -> None:
    everything(neighbours, ["report"], TODAY)
    features, scores = SEEN[TODAY]
    assert {"size", "price", "places.rent"} <= set(features) and len(features) == 80 == len(scores)
    assert scores["score"].between(0, 1).all()
    assert "late" not in features and "label" not in features


def test_several_days_come_as_one_frame_with_their_partition_or_by_day_where_a_dict_is_asked_for(
    neighbours: World,
) -> None:
    everything(neighbours, ["trend", "by_day"], TODAY)
    days = ["2024-01-06", "2024-01-07", TODAY]
    trend, by_day = SEEN["trend"], SEEN["by_day"]
    assert isinstance(trend, pd.DataFrame) and isinstance(by_day, dict)
    assert trend["partition"].value_counts().to_dict() == dict.fromkeys(days, 80)
    assert list(by_day) == days and all(len(f) == 80 and "partition" not in f for f in by_day.values())
    pd.testing.assert_frame_equal(
        trend[trend["partition"] == TODAY].drop(columns="partition").reset_index(drop=True), by_day[TODAY]
    )


def test_a_partition_that_was_never_made_is_named_with_the_command_that_makes_it(neighbours: World) -> None:
    with pytest.raises(NotFoundError, match="shop/features has no partition 2024-02-01") as caught:
        loaded(neighbours, "features", "2024-02-01")
    assert "mlpipe run shop --from 2024-02-01" in str(caught.value)


def test_predictions_without_a_champion_say_so(neighbours: World) -> None:
    neighbours.run("daily", "2024-01-02", as_of="2024-01-03T00:00:00+00:00")
    with pytest.raises(NotFoundError, match="holds no rows: its verdict is 'no_champion'") as caught:
        loaded(neighbours, "predictions", "2024-01-02")
    assert "--train-at" in str(caught.value)


def test_an_asset_without_a_table_says_which_have_one(neighbours: World) -> None:
    with pytest.raises(MlpipeError, match="shop/model holds no frame") as caught:
        loaded(neighbours, "model", TRAIN_AT)
    assert "features, labels, predictions, monitor" in str(caught.value)
    assert len(loaded(neighbours, "labels", FIRST)) == 80 and len(loaded(neighbours, "monitor", TODAY))


def test_a_value_returned_by_an_asset_is_refused() -> None:
    manager = FramesIOManager(None)
    with (
        dg.build_output_context(asset_key=["shop", "raw"]) as context,
        pytest.raises(MlpipeError, match="returned a value"),
    ):
        manager.handle_output(context, 5)


def loaded(world: World, asset: str, key: str) -> pd.DataFrame:
    keys = dg.PartitionKeyRange(key, key)
    more = {"asset_partition_key_range": keys, "asset_partitions_def": DAYS, "instance": world.on}
    with dg.build_input_context(asset_key=dg.AssetKey(["shop", asset]), partition_key=key, **more) as context:
        return FramesIOManager(world.spec).load_input(context)
