"""What the jobs select, and how long they may take."""

import dagster as dg
import pytest

from mlpipe.orchestration.jobs import RUN_LIMIT, jobs_of
from mlpipe_tests.orchestration.conftest import World
from mlpipe_tests.orchestration.shop import shop


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("ingest", {"raw", "validated", "features", "labels"}),
        ("daily", {"raw", "validated", "features", "labels", "predictions", "monitor"}),
        ("training", {"model", "evaluation", "release"}),
        ("backtest", {"model", "evaluation"}),
        ("trial", {"trial"}),
    ],
)
def test_a_job_materializes_its_stages_and_no_more(world: World, job: str, assets: set[str]) -> None:
    made = world.defs.resolve_job_def(f"shop_{job}")
    assert {k.path[-1] for k in made.asset_layer.executable_asset_keys} == assets
    assert made.tags["mlpipe/pipeline"] == "shop" and made.tags["mlpipe/job"] == job
    assert made.partitions_def == dg.DailyPartitionsDefinition("2024-01-01")


def test_the_limit_of_a_step_bounds_the_run_by_its_number_of_steps() -> None:
    tags = {j.name: j.tags for j in jobs_of(shop(timeout="90s").spec)}
    assert {n: t[RUN_LIMIT] for n, t in tags.items()} == {
        "shop_ingest": "360",
        "shop_daily": "540",
        "shop_training": "270",
        "shop_backtest": "180",
        "shop_trial": "90",
    }
    assert not any(RUN_LIMIT in j.tags for j in jobs_of(shop().spec))
