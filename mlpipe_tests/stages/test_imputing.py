"""Declared missing values: filled by what the training rows say, with an indicator, in front of every kind of model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mlpipe as ml
from mlpipe.errors import DataError
from mlpipe.records.record import Record
from mlpipe.stages import predict, release, train
from mlpipe.stages.imputing import OWN, Imputer, imputer_of, told
from mlpipe_tests.stages.pipelines import (
    DATA,
    FEATURES,
    LIVE,
    TRAINING,
    World,
    day,
    days,
    scheduled,
    spec_of,
    written,
)
from mlpipe_tests.stages.pipelines import rows as frame_of

NAN = np.nan
KINDS = (("a", "float64"), ("b", "float64"), ("c", "float64"), ("word", "str"), ("kind", "str"))
TRAIN = pd.DataFrame(
    {
        "a": [1.0, NAN, 3.0, 8.0],
        "b": [2.0, 4.0, NAN, 10.0],
        "c": [0.0, 1.0, 2.0, 3.0],
        "word": ["x", "y", None, "y"],
        "kind": ["x", "y", None, "x"],
    }
)
NEW = pd.DataFrame({"a": [NAN], "b": [NAN], "c": [NAN], "word": [None], "kind": [None]}).astype(
    {"a": float, "b": float}
)
EACH = {"a": "mcar", "b": "mnar", "word": "mcar", "kind": "mnar"}


def test_each_mechanism_fills_in_its_own_way() -> None:
    imputer = Imputer(EACH, KINDS).fit(TRAIN)
    made = imputer.transform(NEW)
    # The median of 1, 3, 8; as far below 2 as 10 is above it; the most frequent word; a word of its own.
    assert made.iloc[0, :5].tolist()[:2] == [3.0, -6.0] and np.isnan(made["c"][0])
    assert (made["word"][0], made["kind"][0]) == ("y", OWN)
    names = ["a missing", "b missing", "word missing", "kind missing"]
    assert list(made.columns) == [*TRAIN.columns, *names] == imputer.get_feature_names_out().tolist()
    assert made[names].to_numpy().tolist() == [[1.0] * 4]
    known = imputer.transform(TRAIN)
    assert known["a"].tolist() == [1, 3, 3, 8] and known["a missing"].tolist() == [0, 1, 0, 0]
    assert known["word"].tolist() == ["x", "y", "y", "y"] and TRAIN["a"].isna().sum() == 1


def test_of_words_equally_frequent_the_first_by_alphabet_is_taken() -> None:
    rows = pd.DataFrame({"word": ["b", "a", None]})
    assert Imputer({"word": "mcar"}, (("word", "str"),)).fit(rows).transform(rows)["word"].tolist() == [
        "b",
        "a",
        "a",
    ]


def test_at_random_is_told_by_the_other_numbers() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=400), rng.normal(size=400)
    whole = pd.DataFrame({"a": a, "b": b, "c": 3 * a - b, "gone": NAN})
    holes = whole.assign(c=whole["c"].where(rng.random(400) > 0.3))
    kinds = tuple((str(n), "float64") for n in whole)
    made = Imputer({"c": "mar"}, kinds).fit(holes).transform(holes)
    missing = holes["c"].isna()
    error = (made["c"] - whole["c"])[missing].abs().mean()
    assert error < 0.15 < whole["c"].abs().mean() and made["gone"].isna().all()
    assert made.loc[~missing, "c"].equals(whole.loc[~missing, "c"])


def test_a_column_without_a_value_is_left_as_it_is() -> None:
    rows = pd.DataFrame({"a": [NAN, NAN], "b": [np.inf, NAN], "word": pd.Series([None, None], dtype="str")})
    kinds = (("a", "float64"), ("b", "float64"), ("word", "str"))
    for mechanism in ("mcar", "mnar"):
        imputer = Imputer({"a": mechanism, "b": mechanism, "word": mechanism}, kinds).fit(rows)
        pd.testing.assert_frame_equal(imputer.transform(rows), rows)
    assert told(imputer, rows)["a"]["filled"] == "nothing: it has no value in the training rows"


def test_it_can_be_cloned_as_any_transformer() -> None:
    copy = clone(Imputer(EACH, KINDS))
    assert copy.mechanisms == EACH and not hasattr(copy, "values_")


def test_the_record_says_what_was_done_and_no_more_than_forty_columns() -> None:
    rows = pd.DataFrame({f"f{i}": [1.0, NAN, float(i)] for i in range(50)})
    kinds = tuple((str(n), "float64") for n in rows)
    imputer = Imputer({n: "mar" if n == "f3" else "mcar" for n, _ in kinds}, kinds).fit(rows)
    said = told(imputer, rows)
    assert said["f1"] == {"mechanism": "mcar", "nulls": 0.333333, "value": 1.0}
    assert said["f3"] == {"mechanism": "mar", "nulls": 0.333333, "filled": "regression on 49 features"}
    assert len(said) == 41 and said["further"] == 10


# -- in a pipeline ------------------------------------------------------------------------------------------------

KEYS = days(10)
LAST = day(9)
SHORT = {"window": "8d", "split": ml.Split(valid="2d", test="2d"), "monitor": {"window": 2, "grid_window": 3}}
MISSING = {"hours": "mar", "plays": "mnar", "city": "mcar"}


def holed(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(int(frame["user"].iloc[0]))
    holes = {c: frame[c].where(rng.random(len(frame)) > 0.25) for c in FEATURES}
    return frame.assign(**holes)


def elsewhere(frame: pd.DataFrame) -> pd.DataFrame:
    """What stands in valid and test alone: other numbers, another word, and hardly a hole."""
    return holed(frame).assign(hours=frame["hours"] + 1e6, plays=frame["plays"] - 1e6, city="Atlantis")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("missing")
    # The window before the last day is days 1 to 8: four to learn from, two to choose by, two to judge on.
    changes: dict[str, Any] = {f"d{n}": elsewhere if n in (5, 6, 7, 8) else holed for n in range(10)}
    return written(folder, KEYS, **changes)


@pytest.fixture(scope="module")
def shared(data: Path) -> World:
    return World(data / "store")


def trained(data: Path, world: World, missing: Mapping[str, str] = MISSING, **settings: Any) -> Record:
    spec = spec_of(data, **{**SHORT, "features": {"columns": FEATURES, "missing": missing}, **settings})
    world.run_all(DATA, spec, KEYS)
    return world.run(train.STAGE, spec, [LAST])[LAST]


def test_it_is_learned_from_the_training_part_alone(data: Path, shared: World) -> None:
    record = trained(data, shared, {"hours": "mcar", "plays": "mnar", "city": "mcar"})
    rows = pd.concat([holed(frame_of(k)) for k in days(4, 1)])
    said = record.data["missing"]
    assert said["hours"]["value"] == pytest.approx(rows["hours"].median(), abs=1e-6)
    assert said["plays"]["value"] == 2 * rows["plays"].min() - rows["plays"].max()
    assert said["city"]["value"] == rows["city"].mode().min()
    for column in FEATURES:
        assert said[column]["nulls"] == pytest.approx(rows[column].isna().mean(), abs=1e-6)
    bundle = shared.store.get_bundle(record.output("bundle").id)
    assert bundle.estimator.steps[0][1].values_["city"] != "Atlantis"


def test_a_regression_too_is_learned_from_the_training_part_alone(data: Path, shared: World) -> None:
    record = trained(data, shared)
    imputer = shared.store.get_bundle(record.output("bundle").id).estimator.steps[0][1]
    rows = pd.concat([holed(frame_of(k)) for k in days(4, 1)], ignore_index=True)
    again = Imputer(MISSING, imputer.kinds).fit(rows[FEATURES])
    assert imputer.chained_["high"].max() < 1e3
    for name, value in again.chained_.items():
        np.testing.assert_allclose(imputer.chained_[name], value, rtol=1e-9)
    assert record.data["missing"]["hours"]["filled"] == "regression on 1 features"


def learn(learned: Any, valid: Any, params: Any, log: Any) -> Any:
    """A fit function, which sees frames without a hole, and the indicators."""
    assert not learned.X.isna().any().any() and not valid.X.isna().any().any()
    assert list(learned.X.columns) == [*FEATURES, "hours missing", "plays missing", "city missing"]
    log(1, rows=len(learned.X))
    numbers = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    return numbers.fit(learned.X, learned.y)


MODELS: dict[str, dict[str, Any]] = {
    "linear": {"model": LogisticRegression()},
    "trees that take nulls": {"model": HistGradientBoostingClassifier(max_iter=5)},
    "a pipeline": {"model": make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())},
    "a function": {"model": learn, "task": "binary"},
    "no preprocessing": {"model": {"estimator": LogisticRegression(), "preprocess": "none"}},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_stands_behind_it(data: Path, shared: World, name: str) -> None:
    settings = dict(MODELS[name])
    if name == "no preprocessing":
        settings["features"] = {"columns": ["hours", "plays"], "missing": {"hours": "mar", "plays": "mcar"}}
    record = trained(data, shared, **settings)
    assert record.verdict == "trained", record.findings
    bundle = shared.store.get_bundle(record.output("bundle").id)
    assert isinstance(bundle.estimator.steps[0][1], Imputer)
    frame = holed(frame_of(LAST))
    scores = bundle.predict(frame)
    assert np.isfinite(scores).all() and len(set(scores.round(9))) > 10
    nothing = pd.DataFrame({c: pd.Series([NAN], dtype=object) for c in FEATURES})
    assert np.isfinite(bundle.predict(nothing)).all()
    assert record.recipe == trained(data, shared, **settings).recipe


def test_whether_a_value_is_missing_can_be_learned_from(tmp_path: Path) -> None:
    """What is missing decides the label: a median alone would hide it."""

    def silent(frame: pd.DataFrame) -> pd.DataFrame:
        rng = np.random.default_rng(int(frame["user"].iloc[0]))
        gone = rng.random(len(frame)) < 0.5
        return frame.assign(
            hours=frame["hours"].where(~gone), churned=gone.astype("int64"), plays=5, city="Ulm"
        )

    changes: dict[str, Any] = {f"d{n}": silent for n in range(10)}
    written(tmp_path, KEYS, **changes)
    world = World(tmp_path / "store")
    record = trained(tmp_path, world, {"hours": "mcar"}, model=LogisticRegression())
    bundle = world.store.get_bundle(record.output("bundle").id)
    rows = silent(frame_of(LAST))
    assert ((bundle.predict(rows) > 0.5) == rows["churned"].astype(bool)).mean() == 1.0


def test_the_whole_life_of_a_model_with_it(tmp_path: Path) -> None:
    keys, last = days(22), day(21)
    changes: dict[str, Any] = {f"d{n}": holed for n in range(len(keys))}
    spec = spec_of(written(tmp_path, keys, **changes), features={"columns": FEATURES, "missing": MISSING})
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, keys)
    decided = world.run_all(TRAINING, spec, [last], **scheduled())[release.STAGE.name][last]
    assert decided.verdict == "promoted", decided.headline
    live = world.run_all(LIVE, spec, [last])
    assert live[predict.STAGE.name][last].verdict == "pass"
    assert len(world.table(live[predict.STAGE.name][last], "predictions")) == 60


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"city": "mar"}, "'city' is text, and 'mar' predicts numbers"),
        ({"horse": "mcar"}, "'horse' is no feature"),
        ({"hours": "mcar"}, "'hours missing' is the name of the indicator of 'hours', and of a feature"),
    ],
)
def test_what_cannot_be_filled_is_a_refusal_that_says_why(
    data: Path, shared: World, missing: dict[str, str], said: str
) -> None:
    def features(frames: Any, history: Any) -> pd.DataFrame:
        made: pd.DataFrame = frames["rows"][FEATURES].assign(**{"hours missing": 0.0})
        return made

    record = trained(data, shared, features={"function": features, "missing": missing})
    assert record.verdict == "refused" and said in record.findings[0].what
    assert record.findings[0].where.endswith("features.missing")


def test_without_a_declaration_nothing_changes(data: Path, shared: World) -> None:
    record = trained(data, shared, {})
    assert "missing" not in record.data and "missing" not in record.params
    bundle = shared.store.get_bundle(record.output("bundle").id)
    assert [n for n, _ in bundle.estimator.steps] == ["prepare", "model"]
    assert imputer_of(spec_of(data), KINDS) is None
    with pytest.raises(DataError, match="Did you mean 'word'"):
        imputer_of(spec_of(data, features={"function": learn, "missing": {"wrd": "mcar"}}), KINDS)


def test_medians_are_those_of_scikit_learn(data: Path) -> None:
    rows = pd.concat([holed(frame_of(k)) for k in KEYS], ignore_index=True)[["hours", "plays"]]
    kinds = (("hours", "float64"), ("plays", "float64"))
    made = Imputer({"hours": "mcar", "plays": "mcar"}, kinds).fit(rows).transform(rows)
    oracle = SimpleImputer(strategy="median", add_indicator=True).fit_transform(rows)
    np.testing.assert_array_equal(made.to_numpy(), oracle)
