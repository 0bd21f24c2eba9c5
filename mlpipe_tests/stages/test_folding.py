"""Folds of a training: what each learned from and tested, scored by a model made as the model is, and what they come to."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, roc_auc_score

import mlpipe as ml
from mlpipe.errors import DataError
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, train
from mlpipe.stages.folding import FOLDS
from mlpipe.stages.frames import DAY, ROW, TIME
from mlpipe_tests.stages.pipelines import DATA, World, day, days, rows, spec_of, written

KEY = day(20)
TENTH = day(10)
SHORT: dict[str, Any] = {"window": "10d"}
DAYS = pd.Timedelta(days=1)
SOURCE = ml.Parquet("{partition}.parquet", event_time="at", keys=["user", "account"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    folder = tmp_path_factory.mktemp("folds")
    # Users of an account come on all days.
    changes = {f"d{n}": lambda f: f.assign(account=f["user"] % 25) for n in range(20)}
    raw = written(folder / "raw", days(20), **changes)
    made = World(folder / "store")
    made.run_all(DATA, spec_of(raw, source=SOURCE), days(20))
    return raw, made


def learned(
    given: tuple[Path, World], split: ml.Split, **settings: Any
) -> tuple[PipelineSpec, Record, Record]:
    raw, world = given
    spec = spec_of(raw, split=split, source=SOURCE, **settings)
    model = world.run(train.STAGE, spec, [KEY])[KEY]
    return spec, model, world.run(evaluate.STAGE, spec, [KEY])[KEY]


def split(**settings: Any) -> ml.Split:
    return ml.Split(valid="4d", test="4d", **settings)


def short(**settings: Any) -> ml.Split:
    return ml.Split(valid="2d", test="2d", **settings)


def by_fold(given: tuple[Path, World], model: Record) -> dict[int, pd.DataFrame]:
    table = given[1].table(model, FOLDS)
    return {int(n): t for n, t in table.groupby("fold")}


def metric(record: Record, name: str) -> Any:
    return next(m for m in record.metrics if (m.split, m.name) == (FOLDS, name))


def test_folds_forward_in_time_by_hand(world: tuple[Path, World]) -> None:
    _, model, judged = learned(world, split(kind="expanding", folds=3))
    # 16 days lie before the test part. Four stretches of 4 days: the first learns, each of the others is tested once.
    tables = by_fold(world, model)
    assert {n: (min(t[DAY]), max(t[DAY])) for n, t in tables.items()} == {
        1: (day(4), day(7)),
        2: (day(8), day(11)),
        3: (day(12), day(15)),
    }
    told = model.data[FOLDS]
    assert (told["kind"], told["by"]) == ("expanding", None)
    assert [(f["fold"], f["test"]) for f in told["folds"]] == [(1, 240), (2, 240), (3, 240)]
    # Of what a fold may learn from, the last 15% choose its threshold, and copies of tested rows are left out.
    trained = [f["train"] for f in told["folds"]]
    assert trained == pytest.approx([204, 408, 612], abs=4) and max(trained) < 612
    values = [roc_auc_score(t["y"], t["score"]) for t in tables.values()]
    auc = metric(judged, "roc_auc")
    assert [f["values"]["roc_auc"] for f in judged.data[FOLDS]["folds"]] == pytest.approx(values)
    half = stats.t.ppf(0.975, 2) * np.sqrt(np.var(values, ddof=1) * (1 / 3 + 720 / sum(trained)))
    assert (auc.value, auc.low, auc.high, auc.better) == pytest.approx(
        (np.mean(values), np.mean(values) - half, np.mean(values) + half, "higher")
    )
    cuts = [accuracy_score(t["y"], t["score"] >= t["threshold"].iloc[0]) for t in tables.values()]
    assert metric(judged, "accuracy").value == pytest.approx(np.mean(cuts))
    assert judged.verdict == "pass", "folds decide nothing"


def test_rolling_folds_learn_as_long_each_and_an_embargo_is_left_out(world: tuple[Path, World]) -> None:
    _, model, _ = learned(world, split(kind="rolling", folds=4, train="6d"))
    assert [(min(t[DAY]), max(t[DAY])) for t in by_fold(world, model).values()] == [
        (day(8), day(9)),
        (day(10), day(11)),
        (day(12), day(13)),
        (day(14), day(15)),
    ]
    assert [f["train"] for f in model.data[FOLDS]["folds"]] == pytest.approx([306] * 4, abs=3)
    _, apart, _ = learned(world, split(kind="rolling", folds=2, train="4d", embargo="1d"))
    # 15 days, for one is left out before the test part; 10 of them after embargo and training.
    assert [(min(t[DAY]), max(t[DAY])) for t in by_fold(world, apart).values()] == [
        (day(5), day(9)),
        (day(10), day(14)),
    ]


def test_no_group_is_in_two_folds_and_every_row_is_tested_once(world: tuple[Path, World]) -> None:
    _, model, judged = learned(world, split(kind="grouped", by="account", folds=4))
    table = world[1].table(model, FOLDS)
    assert len(table) == 16 * 60 and not table.duplicated([DAY, ROW]).any()
    users = pd.concat(
        world[1]
        .store.get_table(world[1].heads.find("churn/features", [k])[k].outputs["features"].id)
        .assign(**{DAY: k})
        for k in days(16)
    )
    met = table.merge(users, on=[DAY, ROW])
    assert (met.groupby("account")["fold"].nunique() == 1).all() and met["account"].nunique() == 25
    assert judged.data[FOLDS]["by"] == "account"
    assert metric(judged, "roc_auc").value > 0.8


def test_strata_are_dealt_out_evenly(world: tuple[Path, World]) -> None:
    _, model, _ = learned(world, split(kind="stratified", folds=5))
    shares = world[1].table(model, FOLDS).groupby("fold")["y"]
    assert shares.sum().max() - shares.sum().min() <= 1 and shares.size().max() - shares.size().min() <= 1


def test_purged_folds_learn_from_no_label_that_overlaps_the_tested_stretch(world: tuple[Path, World]) -> None:
    label = ml.Label("churned", outcomes=["reason"], available_after="1d")
    raw, _ = world
    spec = spec_of(
        raw, source=SOURCE, label=label, **SHORT, split=short(kind="purged", folds=3, embargo="1d")
    )
    own = World(world[1].folder.parent / "purged")
    own.run_all(DATA, spec, days(10))
    model = own.run(train.STAGE, spec, [TENTH])[TENTH]
    table = own.table(model, FOLDS)
    assert sorted(table["fold"].unique()) == [1, 2, 3]
    times = pd.concat([rows(k) for k in days(7)])["at"]
    for told in model.data[FOLDS]["folds"]:
        first, last = pd.Timestamp(told["from"]), pd.Timestamp(told["to"]) + DAYS
        left = np.sort(times[(times + DAYS <= first) | (times >= last + DAYS)])
        # The last 15% of what is left choose, and before them another day is left out. Some rows are copies of tested ones.
        learns = left < left[int(0.85 * len(left))] - DAYS.to_numpy()
        assert told["train"] == pytest.approx(learns.sum(), abs=5)


def test_a_regression_and_a_metric_of_ones_own_on_folds(world: tuple[Path, World]) -> None:
    own = World(world[1].folder.parent / "regression")
    spec = spec_of(
        world[0],
        source=SOURCE,
        **SHORT,
        split=short(kind="stratified", folds=3),
        label=ml.Label("plays"),
        features=["hours", "city"],
        model=LinearRegression(),
        own_metrics=[{"name": "off", "function": _off, "better": "lower"}],
    )
    own.run_all(DATA, spec, days(10))
    made = own.run_all((train.STAGE, evaluate.STAGE), spec, [TENTH])
    model, judged = made["train"][TENTH], made["evaluate"][TENTH]
    values = [float(np.abs(t["y"] - t["score"]).mean()) for _, t in own.table(model, FOLDS).groupby("fold")]
    assert metric(judged, "off").value == pytest.approx(np.mean(values))
    assert metric(judged, "mae").value == pytest.approx(np.mean(values))
    assert metric(judged, "off").better == "lower"


def _off(y: np.ndarray, guess: np.ndarray) -> float:
    return float(np.abs(y - guess).mean())


def test_what_a_temporal_split_makes_is_as_it_was(world: tuple[Path, World]) -> None:
    _, model, judged = learned(world, split())
    assert FOLDS not in model.data and FOLDS not in judged.data
    assert FOLDS not in {o.name for o in model.outputs} and FOLDS not in {m.split for m in judged.metrics}
    assert model.params["split"] == {"valid": "4d", "test": "4d", "embargo": "0s"}


def test_a_fold_that_cannot_learn_is_left_out_and_says_why(tmp_path: Path) -> None:
    # In the first days nobody leaves.
    changes = {f"d{n}": lambda f: f.assign(churned=0) for n in range(2)}
    raw = written(tmp_path / "raw", days(10), **changes)
    world = World(tmp_path / "store")
    spec = spec_of(raw, split=short(kind="expanding", folds=3), **SHORT)
    world.run_all(DATA, spec, days(10))
    model = world.run(train.STAGE, spec, [TENTH])[TENTH]
    why = [f.what for f in model.findings if "fold" in f.what]
    assert why == ["fold 1 is left out: its training rows hold a single class"]
    assert model.data[FOLDS]["folds"][0]["why"] == "its training rows hold a single class"
    judged = world.run(evaluate.STAGE, spec, [TENTH])[TENTH]
    assert [f["fold"] for f in judged.data[FOLDS]["folds"]] == [2, 3]


def test_copies_of_tested_rows_do_not_train_unless_most_are(tmp_path: Path) -> None:
    again = rows(day(1))
    changes = {"d6": lambda f: again.assign(user=f["user"], at=f["at"])}
    raw = written(tmp_path / "raw", days(10), **changes)
    world = World(tmp_path / "store")
    spec = spec_of(raw, split=short(kind="stratified", folds=4), **SHORT)
    world.run_all(DATA, spec, days(10))
    told = world.run(train.STAGE, spec, [TENTH])[TENTH].data[FOLDS]
    assert told["copies_left_out"] > 60
    few = spec_of(raw, split=short(kind="stratified", folds=4), **SHORT, features=["city"])
    world.run_all(DATA[2:], few, days(10))
    model = world.run(train.STAGE, few, [TENTH])[TENTH]
    assert model.data[FOLDS]["copies_left_out"] == 0
    assert any(
        f.what.startswith("most training rows are copies of tested ones in 1, 2, 3, 4")
        for f in model.findings
    )


def test_folds_that_do_not_fit_are_told_and_the_model_stands(world: tuple[Path, World]) -> None:
    raw, made = world
    short = spec_of(raw, source=SOURCE, split=split(kind="grouped", by="city", folds=4))
    model = made.run(train.STAGE, short, [KEY])[KEY]
    assert model.verdict == "trained" and FOLDS not in {o.name for o in model.outputs}
    found = next(f for f in model.findings if "no folds" in f.what)
    assert found.what == "no folds were made: 4 folds of 3 groups cannot be made"
    assert found.fix == "Ask for 2 to 3 folds."
    assert made.run(evaluate.STAGE, short, [KEY])[KEY].verdict == "pass"


def test_a_column_that_features_do_not_make_is_refused(world: tuple[Path, World]) -> None:
    raw, made = world
    spec = spec_of(raw, source=SOURCE, split=split(kind="grouped", by="town"), features=_features)
    with pytest.raises(DataError, match="no column 'town' among keys and features"):
        made.run(train.STAGE, spec, [KEY])


def _features(frames: Any) -> pd.DataFrame:
    return frames["primary"][["hours"]] if "primary" in frames else next(iter(frames.values()))[["hours"]]


def test_times_of_a_window_are_those_of_the_clock_on_the_wall(world: tuple[Path, World]) -> None:
    _, model, _ = learned(world, split(kind="expanding", folds=3))
    table = world[1].table(model, FOLDS)
    assert (table[TIME].dt.date.astype(str) == table[DAY]).all()
