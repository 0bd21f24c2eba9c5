"""Evaluation: the right rows, the right rivals, the gates at their own level."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.errors import DataError
from mlpipe.ledger import promotion
from mlpipe.stages import evaluate, predict, release, train
from mlpipe_tests.stages.pipelines import (
    DATA,
    LATER,
    TRAINING,
    World,
    day,
    days,
    rows,
    scheduled,
    spec_of,
    written,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A world with forty days of data, and a model at day 25 that was promoted."""
    folder = tmp_path_factory.mktemp("evaluate")
    spec = spec_of(written(folder / "data", days(40)), gates=[ml.gate.at_least("roc_auc", 0.6)])
    world = World(folder / "store")
    world.run_all(DATA, spec, days(40))
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    return world, spec


def metrics(record, split):
    return {m.name: m for m in record.metrics if m.split == split}


def test_metrics_are_those_of_the_test_rows_alone(trained):
    world, spec = trained
    record = world.run(evaluate.STAGE, spec, [day(25)])[day(25)]
    table = world.table(record, "scored")
    # The window is days 5 to 24; its last four days judge.
    assert sorted(table["_partition"].unique()) == list(days(4, first=21))
    found = metrics(record, "test")["roc_auc"]
    assert found.value == pytest.approx(roc_auc_score(table["y"], table["score"]), abs=1e-12)
    assert found.low < found.value < found.high and found.better == "higher"
    assert metrics(record, "constant")["roc_auc"].value == 0.5


def test_the_first_model_must_beat_the_constant_whatever_is_declared(trained):
    world, spec = trained
    record = world.run(evaluate.STAGE, spec, [day(25)], LATER.replace(year=2025))[day(25)]
    kinds = [g["gate"] for g in record.data["gates"]]
    assert kinds[0].startswith("at_least") and kinds[1].startswith("beats_baseline(roc_auc")
    assert [g["verdict"] for g in record.data["gates"]] == ["pass", "pass"]


def test_the_champion_is_judged_on_later_rows_only(trained):
    world, spec = trained
    spec = spec.model_copy(update={"gates": (*spec.gates, *beats_champion(spec))})
    assert predict.state_of(world.context(spec)).champion.number == 1
    # The window of day 27 ends with day 26: only days 25 and 26 are later than all that the champion saw.
    world.run(train.STAGE, spec, [day(27)])
    record = world.run(evaluate.STAGE, spec, [day(27)])[day(27)]
    assert record.data["champion"] == 1 and record.data["incomparable"] == ""
    rival = metrics(record, "champion")["roc_auc"].value
    later = world.table(record, "scored")
    later = later[later["_partition"] >= day(25)]
    champion = world.store.get_bundle(predict.state_of(world.context(spec)).champion.bundle)
    rows = pd.concat(
        world.store.get_table(world.heads.find("churn/features", [k])[k].outputs["features"].id)
        for k in (day(25), day(26))
    )
    expected = roc_auc_score(later["y"], champion.predict(rows))
    assert rival == pytest.approx(expected, abs=1e-12)


def test_a_challenger_without_later_rows_is_not_comparable_and_does_not_promote(trained):
    world, spec = trained
    spec = spec.model_copy(update={"gates": beats_champion(spec)})
    world.run(train.STAGE, spec, [day(24)])
    record = world.run(evaluate.STAGE, spec, [day(24)])[day(24)]
    assert record.verdict == "not_comparable"
    assert "no row is later" in record.data["incomparable"]
    decided = world.run(release.STAGE, spec, [day(24)], **scheduled())[day(24)]
    assert decided.verdict == "refused"
    assert predict.state_of(world.context(spec)).champion.number == 1


def test_a_gate_is_judged_at_its_own_level(trained):
    world, spec = trained
    strict = ml.gate.beats_baseline("roc_auc", level=0.99)
    with_level = spec_of(spec.base_dir, gates=[strict])
    record = world.run(evaluate.STAGE, with_level, [day(25)])[day(25)]
    assert record.data["gates"][0]["verdict"] == "pass"
    assert "0.99" in record.data["gates"][0]["sentence"]


def test_a_rule_competes_on_equal_terms(trained):
    world, spec = trained
    mine = spec_of(
        spec.base_dir, baseline=few_hours, gates=[ml.gate.beats_baseline("roc_auc", baseline="rule")]
    )
    world.run(train.STAGE, mine, [day(30)])
    record = world.run(evaluate.STAGE, mine, [day(30)])[day(30)]
    table = world.table(record, "scored")
    rows = [world.heads.find("churn/features", [k])[k] for k in sorted(table["_partition"].unique())]
    frame = pd.concat(world.store.get_table(h.outputs["features"].id) for h in rows)
    expected = roc_auc_score(table["y"], few_hours(frame))
    assert metrics(record, "rule")["roc_auc"].value == pytest.approx(expected, abs=1e-12)


def test_blocks_may_be_a_column_and_must_exist(trained):
    world, spec = trained
    by_city = spec_of(spec.base_dir, blocks="city")
    record = world.run(evaluate.STAGE, by_city, [day(25)])[day(25)]
    by_day = world.run(evaluate.STAGE, spec, [day(25)])[day(25)]
    assert metrics(record, "test")["roc_auc"].low != metrics(by_day, "test")["roc_auc"].low
    with pytest.raises(DataError, match="'town'"):
        world.run(evaluate.STAGE, spec_of(spec.base_dir, blocks="town"), [day(25)])


def test_days_are_resampled_also_where_partitions_are_longer(tmp_path):
    """Two weeks of test are two partitions and fourteen days: two blocks would tell nothing."""
    folder = tmp_path / "data"
    folder.mkdir()
    pd.concat([rows(day(n)) for n in range(140)], ignore_index=True).to_parquet(folder / "all.parquet")
    source = ml.Parquet("all.parquet", event_time="at", keys=["user"])
    weeks = ml.weekly(start="2024-01-07")
    spec = spec_of(
        folder, source=source, partitions=weeks, window=16, split=ml.Split(valid="14d", test="14d")
    )
    world = World(tmp_path / "store")
    keys = spec.partitions.keys("2024-01-07", "2024-05-12")
    world.run_all(DATA, spec, keys)
    world.run(train.STAGE, spec, [keys[-1]])
    record = world.run(evaluate.STAGE, spec, [keys[-1]])[keys[-1]]
    assert metrics(record, "test")["roc_auc"].low == metrics(record, "test")["roc_auc"].low
    assert record.data["gates"][0]["verdict"] == "pass"


def test_another_champion_is_another_evaluation(tmp_path):
    spec = spec_of(written(tmp_path / "data", days(30)))
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(30))
    first = world.run_all(TRAINING, spec, [day(25)], **scheduled())
    again = world.run_all(TRAINING, spec, [day(25)], **scheduled())
    assert again["train"][day(25)].reused
    # There is a champion now, so this is new evidence; but the model is the champion's own, and nothing is decided.
    assert not again["evaluate"][day(25)].reused
    assert (
        first["register"][day(25)].verdict == "promoted" and again["register"][day(25)].verdict == "champion"
    )
    ledger = world.context(spec).ledger
    assert [e.kind for e in ledger.entries()] == ["register", "promote"]
    rolled = world.run_all(TRAINING, spec, [day(28)], **scheduled())["register"][day(28)]
    if rolled.verdict == "promoted":
        promotion.rollback(
            ledger, None, "ana", "worse", now=LATER.replace(year=2031), prove=lambda version: None
        )
        assert ledger.state().champion.number == 1


def few_hours(frame: pd.DataFrame) -> np.ndarray:
    """A rule of thumb: who listens little leaves."""
    return 1.0 / (1.0 + frame["hours"].to_numpy())


def beats_champion(spec):
    """The declared form of one gate."""
    return spec_of(spec.base_dir, gates=[ml.gate.beats_champion("roc_auc")]).gates
