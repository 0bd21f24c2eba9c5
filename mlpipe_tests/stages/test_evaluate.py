"""Evaluation: the right rows, the right rivals, the gates at their own level."""

from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.core.bootstrap import paired
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
def data(tmp_path_factory):
    """Forty days of rows, and a world that has taken them in."""
    folder = tmp_path_factory.mktemp("data")
    world = World(folder / "store")
    raw = written(folder / "raw", days(40))
    world.run_all(DATA, spec_of(raw), days(40))
    return raw, world


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A world with forty days of data, and a model at day 25 that was promoted."""
    spec = spec_of(data[0], gates=[ml.gate.at_least("roc_auc", 0.6)])
    world = data[1].copied(tmp_path_factory.mktemp("evaluate") / "store")
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


def test_another_champion_is_another_evaluation(data, tmp_path):
    spec = spec_of(data[0])
    world = data[1].copied(tmp_path / "store")
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


def by_default(record, kind="beats_champion"):
    """The decision of the one gate of a kind."""
    [decision] = [g for g in record.data["gates"] if g["kind"] == kind]
    return decision


def test_where_nothing_is_declared_the_champion_must_be_beaten_by_half_a_percent(trained):
    world, spec = trained
    # The first model has no champion to beat, and is judged as before.
    first = world.run(evaluate.STAGE, spec, [day(25)], LATER.replace(year=2025))[day(25)]
    assert [g["kind"] for g in first.data["gates"]] == ["at_least", "beats_baseline"]
    assert (first.data["champion"], first.data["try"], first.params["try"]) == (None, None, None)
    world.run(train.STAGE, spec, [day(29)])
    record = world.run(evaluate.STAGE, spec, [day(29)])[day(29)]
    assert [g["kind"] for g in record.data["gates"]] == ["at_least", "beats_champion"]
    gate = by_default(record)
    assert gate["gate"] == "beats_champion(roc_auc, margin=0.5%)"
    theirs = metrics(record, "champion")["roc_auc"].value
    assert gate["limit"] == pytest.approx(0.005 * theirs, rel=1e-12)
    assert f"(0.5% of its {theirs:.4g})" in gate["sentence"]
    assert "(try 1 against version 1: of alpha 0.05, 0.025 is spent here)" in gate["sentence"]
    # A declared gate keeps its own margin, and no second one is added.
    own = spec.model_copy(update={"gates": beats_champion(spec)})
    kept = by_default(world.run(evaluate.STAGE, own, [day(29)])[day(29)])
    assert (kept["gate"], kept["limit"]) == ("beats_champion(roc_auc)", 0.0)


def test_the_default_gate_is_decided_as_a_bootstrap_by_hand_says(trained):
    """The same bound from the stored scores, scikit-learn's AUC, scipy's t, and all 256 ways to draw four days of four."""
    world, spec = trained
    world.run(train.STAGE, spec, [day(31)])
    record = world.run(evaluate.STAGE, spec, [day(31)])[day(31)]
    table = world.table(record, "scored")
    keys = sorted(table["_partition"].unique())
    champion = world.store.get_bundle(predict.state_of(world.context(spec)).champion.bundle)
    frame = pd.concat(
        world.store.get_table(world.heads.find("churn/features", [k])[k].outputs["features"].id) for k in keys
    )
    theirs, y, ours = champion.predict(frame), table["y"].to_numpy(), table["score"].to_numpy()
    members = [np.flatnonzero(table["_partition"] == k) for k in keys]
    gains = []
    for drawn in product(range(4), repeat=4):
        at = np.concatenate([members[d] for d in drawn])
        gains.append(roc_auc_score(y[at], ours[at]) - roc_auc_score(y[at], theirs[at]))
    shown = float(by_default(record)["sentence"].split("spent here) is ")[1].split(",")[0])
    # Four days leave three degrees of freedom; a hundred resamples know the spread to some 7%.
    gain = roc_auc_score(y, ours) - roc_auc_score(y, theirs)
    wide = student.ppf(0.975, 3) * np.sqrt(4 / 3) * np.std(gains)
    assert shown == pytest.approx(gain - wide, abs=0.25 * wide)
    assert by_default(record)["verdict"] == "fail" and shown < 0.005 * roc_auc_score(y, theirs)


def test_each_challenger_is_another_try_and_the_same_one_is_the_same_try(data, tmp_path):
    spec = spec_of(data[0], min_tenure="0s")
    world = data[1].copied(tmp_path / "store")
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    made = {}
    for number, key in enumerate([day(28), day(31), day(34)], start=1):
        made[key] = world.run_all(TRAINING, spec, [key], **scheduled())
        evaluation, release_ = made[key]["evaluate"][key], made[key]["register"][key]
        assert release_.verdict == "refused", "these learn from alike data, and are not half a percent better"
        assert evaluation.params["try"] == evaluation.data["try"] == number
        assert (evaluation.params["champion_version"], evaluation.data["champion"]) == (1, 1)
        version = world.context(spec).ledger.state().versions[number + 1]
        assert (version.details["champion"], version.details["try"]) == (1, number)
        assert version.reason.startswith("roc_auc improves on the champion 1 by ")
        assert version.reason.count("champion") == 1, "said once"
    # Done again, from training to release: the same try, the same evidence, nothing decided twice.
    entries = len(world.context(spec).ledger.entries())
    again = world.run_all(TRAINING, spec, [day(31)], **scheduled())
    assert again["evaluate"][day(31)].reused
    assert again["evaluate"][day(31)].recipe == made[day(31)]["evaluate"][day(31)].recipe
    assert len(world.context(spec).ledger.entries()) == entries
    # What is not comparable (data that end before the champion's) is no try.
    world.run_all(TRAINING, spec, [day(24)], **scheduled())
    assert world.context(spec).ledger.state().versions[5].details["try"] is None
    world.run(train.STAGE, spec, [day(37)])
    assert world.run(evaluate.STAGE, spec, [day(37)])[day(37)].params["try"] == 4


def test_a_crash_between_evaluation_and_release_spends_nothing_twice(data, tmp_path):
    spec = spec_of(data[0], min_tenure="0s")
    world = data[1].copied(tmp_path / "store")
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    world.run(train.STAGE, spec, [day(28)])
    died = world.run(evaluate.STAGE, spec, [day(28)], **scheduled())[day(28)]
    resumed = world.run_all(TRAINING, spec, [day(28)], **scheduled())
    assert resumed["evaluate"][day(28)].reused and resumed["evaluate"][day(28)].recipe == died.recipe
    # Two were evaluated as the second try before either was released.
    world.run(train.STAGE, spec, [day(31), day(34)])
    both = world.run(evaluate.STAGE, spec, [day(31), day(34)], **scheduled())
    assert [r.params["try"] for r in both.values()] == [2, 2]
    world.run(release.STAGE, spec, [day(31)], **scheduled())
    late = world.run(release.STAGE, spec, [day(34)], **scheduled())[day(34)]
    again = "Its gates were decided as try 2 against version 1, but it is try 3 by now: evaluate it again."
    assert late.verdict == "refused" and again in [f.what for f in late.findings]
    mended = world.run_all(TRAINING, spec, [day(34)], **scheduled())
    assert mended["evaluate"][day(34)].params["try"] == 3
    assert again not in [f.what for f in mended["register"][day(34)].findings]


def test_a_backfill_takes_no_alpha_from_those_who_come_after(data, tmp_path):
    spec = spec_of(data[0], min_tenure="0s")
    world = data[1].copied(tmp_path / "store")
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    for key in (day(28), day(31)):
        swept = world.run_all(TRAINING, spec, [key], **scheduled(), backfill=True)
        assert (swept["evaluate"][key].data["try"], swept["register"][key].verdict) == (1, "refused")
    world.run(train.STAGE, spec, [day(34)])
    assert world.run(evaluate.STAGE, spec, [day(34)])[day(34)].data["try"] == 1


def test_without_a_label_that_is_known_nothing_is_judged(trained):
    """Day 25 was done, so its labels are frozen; a clock before the rows kept for judging knows none of them."""
    world, spec = trained
    world.run(train.STAGE, spec, [day(26)])
    early = datetime(2024, 1, 1, tzinfo=UTC)
    for when in (early, early + timedelta(days=12)):
        made = world.run(evaluate.STAGE, spec, [day(26)], when)[day(26)]
        why = "no row kept for judging has a known label of the model's classes (as of 2024-01-"
        assert made.verdict == "no_labels" and made.findings[0].what.startswith(why)
        assert made.outputs == made.metrics == ()
        refused = world.run(release.STAGE, spec, [day(26)], when, **scheduled())[day(26)]
        assert refused.verdict == "no_model" and why in refused.findings[0].what
    # Known later, it is judged, and what was said before is not reused.
    assert world.run(evaluate.STAGE, spec, [day(26)])[day(26)].data["rows"] > 0


def test_a_clock_that_knows_more_of_the_same_labels_judges_again(trained):
    world, spec = trained
    world.run(train.STAGE, spec, [day(27)])
    some = datetime(2024, 1, 27, 12, tzinfo=UTC)
    first = world.run(evaluate.STAGE, spec, [day(27)], some)[day(27)]
    # Neither clock knows a champion, and all that is read is the same.
    later = world.run(evaluate.STAGE, spec, [day(27)], some + timedelta(days=1))[day(27)]
    assert not later.reused and first.data["rows"] < later.data["rows"] and first.inputs == later.inputs
    assert world.run(evaluate.STAGE, spec, [day(27)], some + timedelta(days=2))[day(27)].reused


def test_a_replay_counts_the_tries_that_its_clock_knew(data, tmp_path):
    spec = spec_of(data[0], min_tenure="0s")
    world = data[1].copied(tmp_path / "store")
    for key, year in ((day(25), 2025), (day(28), 2026), (day(31), 2027)):
        world.run_all(TRAINING, spec, [key], LATER.replace(year=year), **scheduled())
    world.run(train.STAGE, spec, [day(34)])
    tries = [
        world.run(evaluate.STAGE, spec, [day(34)], LATER.replace(year=year, month=6))[day(34)].params["try"]
        for year in (2024, 2025, 2026, 2027)
    ]
    assert tries == [None, 1, 2, 3]


def test_a_metric_that_only_a_gate_names_is_judged_too(trained):
    world, spec = trained
    gates = [ml.gate.at_least("f1", 0.3), ml.gate.beats_baseline("brier")]
    record = world.run(evaluate.STAGE, spec_of(spec.base_dir, metrics=["roc_auc"], gates=gates), [day(25)])
    record = record[day(25)]
    assert [g["verdict"] for g in record.data["gates"]][:2] == ["pass", "pass"]
    assert record.data["primary"] == "roc_auc" and {"f1", "brier"} <= set(metrics(record, "test"))


def test_only_what_a_gate_asks_for_is_compared(trained, monkeypatch):
    world, spec = trained
    asked = []

    def counted(ours, theirs, metric, *args, **settings):
        asked.append((metric.name, settings["level"], settings["resamples"]))
        return paired(ours, theirs, metric, *args, **settings)

    monkeypatch.setattr("mlpipe.stages.judging.asked.paired", counted)
    gates = [ml.gate.at_least("roc_auc", 0.6), ml.gate.beats_baseline("f1", level=0.9)]
    world.run(train.STAGE, spec, [day(33)])
    world.run(evaluate.STAGE, spec_of(spec.base_dir, gates=gates, bootstrap=150), [day(33)])
    # And the primary metric, with each rung of the ladder: the constant, the linear model, and the champion.
    ladder = [("roc_auc", 0.95, 150)] * 3
    assert asked == [("f1", 0.9, 150), ("roc_auc", 0.975, 150), *ladder]


def few_hours(frame: pd.DataFrame) -> np.ndarray:
    """A rule of thumb: who listens little leaves."""
    return 1.0 / (1.0 + frame["hours"].to_numpy())


def beats_champion(spec):
    """The declared form of one gate."""
    return spec_of(spec.base_dir, gates=[ml.gate.beats_champion("roc_auc")]).gates


def test_a_metric_that_does_not_exist_is_null_in_the_ledger(trained):
    """A model that says no to everything has no precision; that is no reason not to register it."""
    world, spec = trained
    silent = spec_of(spec.base_dir, threshold=1.0, metrics=["roc_auc", "precision"])
    made = world.run_all(TRAINING, silent, [day(33)])
    assert np.isnan(metrics(made["evaluate"][day(33)], "test")["precision"].value)
    number = made["register"][day(33)].data["version"]
    told = predict.state_of(world.context(silent)).versions[number].details["metrics"]
    assert told["precision"] is None and 0.5 < told["roc_auc"] < 1.0
