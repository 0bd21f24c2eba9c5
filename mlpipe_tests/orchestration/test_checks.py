"""Checks show the verdict of every partition: after one day, and after a range."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.orchestration.checks import CHECKS
from mlpipe_tests.orchestration.conftest import FIRST, LAST, NEXT, TRAIN_AT, World, world_at
from mlpipe_tests.orchestration.shop import orders


def told(world: World, run_id: str, check: str) -> dict[str | None, bool]:
    """What a check said in a run, by partition."""
    logs = world.on.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [log.get_dagster_event().asset_check_evaluation_data for log in logs]
    return {e.partition: e.passed for e in found if e.check_name == check}


@pytest.mark.parametrize(("asset", "check"), [(a, c.name) for a in sorted(CHECKS) for c in CHECKS[a]])
def test_every_check_is_partitioned_as_its_asset_is(world: World, asset: str, check: str) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(["shop", asset]), check)
    spec = world.defs.resolve_asset_graph().get_check_spec(key)
    assert spec.partitions_def == dg.DailyPartitionsDefinition("2024-01-01") and not spec.blocking


def test_each_partition_has_its_own_result_after_a_range_and_after_one_day(world: World) -> None:
    by_run = {e.partition_key: e.run_id for e in world.events("validated")}
    days = [d.strftime("%Y-%m-%d") for d in pd.date_range(FIRST, LAST)]
    # A range has one result more, without a partition: what Dagster asks of the step as a whole.
    assert told(world, by_run[FIRST], "contract") == {**dict.fromkeys(days, True), None: True}
    assert told(world, by_run[NEXT], "contract") == {NEXT: True}
    assert told(world, world.events("model")[0].run_id, "gates") == {TRAIN_AT: True}
    assert told(world, by_run[NEXT], "drift") == {NEXT: True}
    # Of so few rows the Jensen-Shannon distance of the score is above 0.1 by chance, and that is no miss.
    assert told(world, by_run[NEXT], "service_levels") == {NEXT: True}


def test_a_day_that_breaks_its_contract_fails_alone(tmp_path: Path, on: dg.DagsterInstance) -> None:
    def load(window: Any) -> pd.DataFrame:
        rows = orders(window)
        rows.loc[rows["at"].dt.day == 2, "size"] = 999.0
        return rows

    contract = ml.Contract(columns={"size": ml.Column("number", max=100)})
    source = ml.Load(load, event_time="at", keys=["order"], contract=contract)
    world = world_at(tmp_path, on, source=source)
    run_id = world.run("ingest", FIRST, "2024-01-03")
    assert told(world, run_id, "contract") == {
        FIRST: True,
        "2024-01-02": False,
        "2024-01-03": True,
        None: False,
    }
    # The neighbours went on: a check is the window, not the lock.
    assert {e.partition_key for e in world.events("features")} == {FIRST, "2024-01-02", "2024-01-03"}
    alone = world.run("ingest", "2024-01-02")
    assert told(world, alone, "contract") == {"2024-01-02": False}
