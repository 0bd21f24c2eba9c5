"""Monitor: the window against what the champion learned from, and realised metrics once labels are ripe."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.core.coarse import coarsen
from mlpipe.core.drift import psi
from mlpipe.core.grid import Grid
from mlpipe.core.profile import merge, profile
from mlpipe.stages import label, monitor, predict
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written


def shifted(frame: pd.DataFrame) -> pd.DataFrame:
    """A day on which everybody listens three times as long."""
    return frame.assign(hours=frame["hours"] * 3 + 10)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Forty days of which the last six are shifted; a model at day 25."""
    folder = tmp_path_factory.mktemp("monitor")
    spec = spec_of(written(folder / "data", days(40), **{f"d{n}": shifted for n in range(34, 40)}))
    world = World(folder / "store")
    world.run_all(DATA, spec, days(40))
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    return world, spec, world.run_all(LIVE, spec, days(15, first=25))


def value(record, split, name):
    return next(m.value for m in record.metrics if m.split == split and m.name == name)


def test_quiet_days_are_stable_and_shifted_ones_drift(watched):
    _, _, records = watched
    assert [records["monitor"][k].verdict for k in days(9, first=25)] == ["stable"] * 9
    late = records["monitor"][day(36)]
    assert late.verdict == "drift" and "hours" in late.data["alarms"]
    assert "hours" in " ".join(f.where for f in late.findings)
    assert value(late, "drift", "score_psi") > 0.25


def test_psi_is_that_of_the_raw_rows_on_the_grid(watched):
    world, _spec, records = watched
    record = records["monitor"][day(35)]

    def features(keys):
        heads = world.heads.find("churn/features", keys)
        return pd.concat(world.store.get_table(heads[k].outputs["features"].id) for k in keys)

    pinned = [p for p, _ in world.store.backend.list("pins")]
    grid = Grid.from_bytes(
        world.store.get_bytes(
            world.store.pinned(pinned[0].removeprefix("pins/").removesuffix(".json"))["grid"]
        )
    )
    reference = profile(features(days(20, first=5))[list(grid.columns)], grid)
    current = profile(features(days(3, first=33))[list(grid.columns)], grid)
    expected = psi(*coarsen(grid.columns["hours"], reference.columns["hours"], current.columns["hours"])[:2])
    assert value(record, "psi", "hours") == pytest.approx(expected, rel=1e-12)
    assert merge([reference, current]).rows == reference.rows + current.rows


def test_realised_metrics_are_those_of_predictions_and_labels(watched):
    world, _spec, records = watched
    table = world.table(records["predict"][day(30)], "predictions")
    truth = world.store.get_table(world.heads.find("churn/labels", [day(30)])[day(30)].outputs["labels"].id)
    both = table.merge(truth[["_row", "churned"]], on="_row")
    assert value(records["monitor"][day(30)], "realised", "roc_auc") == pytest.approx(
        roc_auc_score(both["churned"], both["score"]), abs=1e-12
    )


def test_the_rolling_metric_has_an_interval_of_whole_days(watched):
    _, _, records = watched
    head = records["monitor"][day(30)].data["head"]
    assert head["rolling_low"] < head["rolling"] < head["rolling_high"]
    found = next(
        m for m in records["monitor"][day(30)].metrics if (m.split, m.name) == ("rolling", "roc_auc")
    )
    assert (found.low, found.high) == (head["rolling_low"], head["rolling_high"])
    alone = records["monitor"][day(25)].data["head"]
    assert alone["rolling"] == alone["realised"] and alone["rolling_low"] is None, "one day cannot vary"


def test_predictions_name_version_features_and_row(watched):
    world, _, records = watched
    table = world.table(records["predict"][day(30)], "predictions")
    features = world.heads.find("churn/features", [day(30)])[day(30)].outputs["features"].id
    assert set(table["version"]) == {1} and set(table["features_id"]) == {features}
    assert table["prediction_id"].is_unique
    assert (
        table["prediction_id"].iloc[0]
        == predict.prediction_ids(
            features, records["predict"][day(30)].inputs[1].id, np.array([table["_row"].iloc[0]])
        )[0]
    )


def test_before_there_is_a_champion_both_say_so(tmp_path):
    spec = spec_of(written(tmp_path / "data", days(3)))
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(3))
    records = world.run_all(LIVE, spec, [day(2)])
    assert (
        records["predict"][day(2)].verdict == "no_champion"
        and records["monitor"][day(2)].verdict == "no_champion"
    )
    assert records["predict"][day(2)].outputs == ()


def test_unripe_labels_give_no_realised_metric_and_ripe_ones_do(tmp_path):
    spec = spec_of(
        written(tmp_path / "data", days(34)),
        label=ml.Label("churned", available_after="2d", outcomes=["reason"]),
    )
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(34))
    world.run_all(TRAINING, spec, [day(25)], as_of=datetime(2024, 1, 28, tzinfo=UTC), **scheduled())
    night = datetime(2024, 2, 1, 2, tzinfo=UTC)
    world.run(label.STAGE, spec, days(4, first=27), night)
    records = world.run_all(LIVE, spec, days(4, first=27), night)
    # Day 30 is 31 January: at two in the night after it, its labels are a day and more away.
    assert not [m for m in records["monitor"][day(30)].metrics if m.split == "realised"]
    assert "not ripe" in records["monitor"][day(30)].headline
    later = night + timedelta(days=3)
    world.run(label.STAGE, spec, days(4, first=27), later)
    again = world.run(monitor.STAGE, spec, [day(30)], later)[day(30)]
    assert [m.name for m in again.metrics if m.split == "realised"]


def test_a_day_that_failed_validation_leaves_a_gap_and_no_crash(tmp_path):
    broken = {"d28": lambda frame: frame.assign(city=None)}
    contract = ml.Contract(columns={"city": ml.Column("string", nullable=0)})
    source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], contract=contract)
    spec = spec_of(written(tmp_path / "data", days(30), **broken), source=source)
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(30))
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    records = world.run_all(LIVE, spec, days(5, first=25))
    assert records["predict"][day(28)].verdict == "left_out"
    assert records["monitor"][day(29)].data["partitions"] == 2
    assert records["monitor"][day(29)].verdict in ("stable", "drift")
