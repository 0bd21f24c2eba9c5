"""Served features made again: chance in them shows up on the day, rows that came again later at the end of the window."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import DataError
from mlpipe.notify.conditions import conditions_of
from mlpipe.records.codec import from_bytes, head_of
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import ingest, monitor, rootcause, validate
from mlpipe.stages.remake import remake
from mlpipe.stages.watching import skew
from mlpipe.stores.agreement import overall
from mlpipe_tests.stages.pipelines import (
    DATA,
    LIVE,
    TRAINING,
    World,
    day,
    days,
    rows,
    save,
    scheduled,
    spec_of,
    written,
)

WATCHED = {"window": 3, "grid_window": 5, "skew": True}


def by_chance(frames: dict[str, pd.DataFrame], history: Any) -> pd.DataFrame:
    """Features of which one is another each time it is made."""
    (rows,) = frames.values()
    luck = np.random.default_rng().normal(size=len(rows))
    return rows[["hours", "plays"]].assign(luck=luck)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, PipelineSpec, dict[str, Record]]:
    """Days 25 to 27 served and watched; then the rows of day 25 come again, with other hours in every third."""
    folder = tmp_path_factory.mktemp("skew")
    spec = spec_of(written(folder / "data", days(28)), features=["hours", "plays", "city"], monitor=WATCHED)
    world = World(folder / "store")
    world.run_all(DATA, spec, days(28))
    world.run_all(TRAINING, spec, [day(24)], **scheduled())
    live = world.run_all(LIVE, spec, days(3, first=25))["monitor"]
    later = rows(day(25)).sample(frac=1, random_state=0)
    later["hours"] = later["hours"].where(later["user"] % 3 > 0, later["hours"] + 1.5)
    save(later, folder / "data" / f"{day(25)}.parquet")
    world.run(ingest.STAGE, spec, [day(25)])
    world.run(validate.STAGE, spec, [day(25)])
    return world, spec, live


def test_the_same_by_both_paths_is_no_skew(watched: tuple[World, PipelineSpec, dict[str, Record]]) -> None:
    _, _, live = watched
    told = live[day(27)].data
    assert told["head"]["skewed"] == [] and set(told["skew"]) == {day(25), day(27)}
    assert told["skew"][day(27)] == {"rows": 60, "alone": 0, "differing": 0, "columns": {}}
    assert told["head"]["skewed_rows"] == [0, 120] and told["head"]["levels"]["skew_rate"] == [0.0, "met"]


def test_where_nothing_was_served_skew_is_unknown_and_not_met(
    watched: tuple[World, PipelineSpec, dict[str, Record]],
) -> None:
    world, spec, _ = watched
    off = spec.model_copy(update={"monitor": spec.monitor.model_copy(update={"skew": False})})
    for asked, key in ((spec, day(24)), (off, day(27))):
        record = world.run(monitor.STAGE, asked, [key])[key]
        assert record.data["head"]["levels"]["skew_rate"] == [None, "unknown"]
        assert "nothing that was served" in record.data["levels_unknown"]["skew_rate"]
        assert record.data["head"].get("skewed") is None


def test_features_that_cannot_be_made_again_are_unknown_and_end_no_alert(
    watched: tuple[World, PipelineSpec, dict[str, Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, spec, _ = watched

    def failing(*given: Any) -> pd.DataFrame:
        raise DataError("a price of nothing")

    monkeypatch.setattr(skew, "_made", failing)
    wider = spec.model_copy(update={"monitor": spec.monitor.model_copy(update={"window": 2})})
    record = world.run(monitor.STAGE, wider, [day(26)])[day(26)]
    assert "cannot be made again" in record.data["skew"][day(26)]
    assert record.data["head"]["skewed"] is None
    assert record.data["head"]["levels"]["skew_rate"] == [None, "unknown"]
    assert "skew" not in [c.kind for c in conditions_of(spec, head_of(record), {})]


def test_rows_that_came_again_are_met_by_key_and_named(
    watched: tuple[World, PipelineSpec, dict[str, Record]], tmp_path: Path
) -> None:
    world, spec, _ = watched
    record = world.run(monitor.STAGE, spec, [day(27)])[day(27)]
    assert not record.reused and record.data["head"]["skewed"] == ["hours"]
    assert record.data["skew"][day(25)]["columns"] == {"hours": [20, pytest.approx(1.5)]}
    assert record.data["head"]["skewed_rows"] == [20, 120]
    assert record.data["head"]["levels"]["skew_rate"] == [pytest.approx(1 / 6), "missed"]
    (found,) = [f for f in record.findings if f.where == "feature hours"]
    assert "in 20 of 60, by 1.5 on average" in found.what and found.fix
    assert "differ between serving and training" in record.headline
    assert overall(remake(spec, record, world.store, tmp_path).agreements) == "identical"
    told = {c.kind: c for c in conditions_of(spec, head_of(record), {})}
    assert told["skew"].state == "firing" and "in 20 of 120 rows: hours" in told["skew"].text
    cause = rootcause.found(spec, day(27), world.context(spec))
    assert (cause.kind, cause.column) == ("train-serve skew", "hours")


def test_a_feature_made_by_chance_differs_on_its_own_day(
    watched: tuple[World, PipelineSpec, dict[str, Record]], tmp_path: Any
) -> None:
    spec = spec_of(written(tmp_path / "data", days(26)), features=by_chance, monitor=WATCHED, window="15d")
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(26))
    world.run_all(TRAINING, spec, [day(24)], **scheduled())
    record = world.run_all(LIVE, spec, [day(25)])["monitor"][day(25)]
    assert record.data["head"]["skewed"] == ["luck"]
    assert record.data["skew"][day(25)]["columns"]["luck"][0] == 60
    assert from_bytes(world.store.get_record("churn", record.id)).id == record.id
