"""Training: whatever the columns and the estimator, a model or a refusal that says why."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

import mlpipe as ml
from mlpipe.errors import UserCodeError
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import predict, train
from mlpipe.stages.estimators import preprocessing
from mlpipe_tests.stages.pipelines import (
    DATA,
    FEATURES,
    LIVE,
    TRAINING,
    World,
    day,
    days,
    ids,
    rows,
    scheduled,
    spec_of,
    written,
)

KEYS = days(10)
LAST = day(9)
SHORT = {"window": "8d", "split": ml.Split(valid="2d", test="2d"), "monitor": {"window": 2, "grid_window": 3}}


def messy(frame: pd.DataFrame) -> pd.DataFrame:
    """Text, nulls, booleans, a column of nulls alone, decimals beyond floats, and three classes."""
    rng = np.random.default_rng(int(frame["user"].iloc[0]))
    hole = rng.random(len(frame)) < 0.2
    return frame.assign(
        hours=frame["hours"].where(~hole),
        city=frame["city"].where(rng.random(len(frame)) > 0.1),
        empty=None,
        paying=pd.array(frame["plays"] > 4, dtype="boolean"),
        grade=np.where(frame["hours"] > 8, "high", np.where(frame["hours"] > 3, "middle", "low")),
        verdict=np.where(frame["churned"] == 1, "gone", "here"),
        score=3 * frame["hours"] - frame["plays"] + rng.normal(0, 1, len(frame)),
    )


MESSY = [*FEATURES, "empty", "paying"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    strange = {f"d{n}": messy for n in range(9)}
    written(folder, KEYS, **strange, d9=lambda f: messy(f).assign(city="Atlantis", plays=None, empty=1.0))
    return folder


def prepared(folder: Path, world: World, **settings: Any) -> PipelineSpec:
    spec = spec_of(folder, **{**SHORT, "features": MESSY, **settings})
    world.run_all(DATA, spec, KEYS)
    return spec


@pytest.fixture(scope="module")
def shared(data: Path) -> World:
    """One store for all: what was ingested and featurised is found again."""
    return World(data / "store")


def trained(spec: PipelineSpec, world: World, **run: Any) -> Record:
    return world.run(train.STAGE, spec, [day(8)], **run)[day(8)]


MODELS = {
    "logistic": (LogisticRegression(max_iter=500), "churned"),
    "boosting": (HistGradientBoostingClassifier(max_iter=10), "churned"),
    "forest": (RandomForestClassifier(n_estimators=10, max_depth=4), "churned"),
    "text labels": (LogisticRegression(max_iter=500), "verdict"),
    "ridge": (Ridge(), "score"),
    "forest regression": (RandomForestRegressor(n_estimators=10, max_depth=4), "score"),
    "multiclass": (LogisticRegression(max_iter=1000), "grade"),
    "multiclass boosting": (HistGradientBoostingClassifier(max_iter=5), "grade"),
}


@pytest.mark.parametrize("kind", list(MODELS))
def test_each_model_goes_through_all_stages(kind: str, data: Path, shared: World) -> None:
    model, label = MODELS[kind]
    spec = prepared(
        data,
        shared,
        name=f"p_{kind.replace(' ', '_')}",
        model=model,
        label=ml.Label(label),
        blocks="user",  # of two test days alone no bound is sure of anything
    )
    made = shared.run_all(TRAINING, spec, [day(8)], **scheduled())
    assert made["train"][day(8)].verdict == "trained" and made["register"][day(8)].verdict == "promoted"
    metrics = {(m.split, m.name): m.value for m in made["evaluate"][day(8)].metrics}
    primary = made["evaluate"][day(8)].data["primary"]
    assert metrics["test", primary] != metrics["constant", primary]
    live = shared.run_all(LIVE, spec, KEYS[7:])
    # Day 9 holds a city that nobody has seen, no plays at all, and numbers where there never were any.
    table = shared.table(live["predict"][LAST], "predictions")
    assert len(table) == 60 and np.isfinite(table["score"]).all() and table["prediction_id"].is_unique
    assert live["monitor"][LAST].data["labelled_days"] == 2
    truth = messy(rows(day(7))).set_index("user")
    told = shared.table(live["predict"][day(7)], "predictions").set_index("user")
    if kind == "text labels":
        assert made["train"][day(8)].data["classes"] == ["gone", "here"]
        right = ((truth["verdict"] == "here") == told["predicted"]).mean()
    elif label == "grade":
        assert made["train"][day(8)].data["classes"] == ["high", "low", "middle"]
        right = (truth["grade"] == told["predicted"]).mean()
    elif label == "score":
        right = np.corrcoef(truth["score"], told["score"])[0, 1]
    else:
        right = (truth["churned"] == told["predicted"]).mean()
    assert right > 0.7


def test_the_positive_class_is_the_one_that_was_named(data: Path, shared: World) -> None:
    told = {}
    for positive in (0, 1):
        spec = prepared(
            data,
            shared,
            name=f"positive{positive}",
            label=ml.Label("churned", positive=positive),
            model=LogisticRegression(max_iter=500),
        )
        shared.run_all(TRAINING, spec, [day(8)], **scheduled())
        record = shared.run(predict.STAGE, spec, [day(7)])[day(7)]
        told[positive] = shared.table(record, "predictions")["score"]
    assert np.allclose(told[0] + told[1], 1.0)
    churned = messy(rows(day(7))).sort_values("user")["churned"].to_numpy()
    assert told[1][churned == 1].mean() > told[1][churned == 0].mean()


def fit(train: Any, valid: Any, params: dict[str, Any], log: Any) -> Any:
    """A fit function that changes all that it is given."""
    numbers = ["hours", "plays"]
    model = make_pipeline(FunctionTransformer(chosen), StandardScaler(), LogisticRegression(C=params["C"]))
    model.fit(train.X, train.y)
    for step in range(3):
        log(step, loss=1.0 / (step + 1), accuracy=model.score(valid.X, valid.y))
    train.X[numbers] = -1.0
    valid.X[numbers] = -1.0
    valid.y[:] = valid.y[0]
    params["C"] = 99
    return model


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["hours", "plays"]].fillna(0.0)


def by_fit(folder: Path, world: World, function: Any, **settings: Any) -> PipelineSpec:
    given = {
        "model": {"fit": function, "params": {"C": 0.5}, "trusted": [f"{__name__}.chosen"]},
        "task": "binary",
        "features": ["hours", "plays"],
        "name": "by_fit",
        **settings,
    }
    return prepared(folder, world, **given)


def test_a_fit_function_has_parameters_and_curves(data: Path, shared: World) -> None:
    spec = by_fit(data, shared, fit)
    record = trained(spec, shared)
    assert record.verdict == "trained" and record.params["model"]["C"] == 0.5
    assert record.params["model"]["fit"] == f"{__name__}:fit"
    steps = record.params["model"]["fitted"]["steps"]
    assert (steps["logisticregression"]["C"], steps["standardscaler"]["with_mean"]) == (0.5, True)
    told = record.data["curves"]["log"]
    assert (told["loss"]["verdict"], told["loss"]["last"], told["accuracy"]["better"]) == (
        "improving",
        1 / 3,
        "higher",
    )
    assert record.plots["curves"]["log"]["loss"] == [[0, 1.0], [1, 0.5], [2, 1 / 3]]
    curve = shared.store.get_json(next(c.id for c in record.curves if c.name == "log"))
    assert [(p["step"], p["loss"]) for p in curve] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    bundle = shared.store.get_bundle(record.output("bundle").id, trusted=spec.model.trusted)
    assert (bundle.input_example["hours"].dropna() >= 0).all()
    assert 0 < record.data["threshold"] < 1
    assert [f for f in record.code.fingerprints if f.endswith("fit")]


def test_a_fit_function_need_not_take_a_log(data: Path, shared: World) -> None:
    def plain(train: Any, valid: Any, params: dict[str, Any]) -> Any:
        return fit(train, valid, params, lambda *_, **__: None)

    record = trained(by_fit(data, shared, plain, name="plain"), shared)
    assert record.verdict == "trained" and record.curves == () and "curves" not in record.data


WRONG = {
    "raises": (lambda train, valid, params, log: train.X["nothing"], "raised KeyError"),
    "nothing": (lambda train, valid, params, log: None, "NoneType, which has no predict_proba"),
    "a class": (lambda train, valid, params, log: LogisticRegression, "has no predict_proba"),
    "no probabilities": (
        lambda train, valid, params, log: LinearSVC().fit(train.X.fillna(0), train.y),
        "CalibratedClassifierCV",
    ),
    "not fitted": (lambda train, valid, params, log: LogisticRegression(), "NotFittedError"),
    "bad log": (lambda train, valid, params, log: log("one", loss=1), "raised ValueError"),
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_a_wrong_fit_function_is_an_error_of_the_users(kind: str, data: Path, shared: World) -> None:
    function, said = WRONG[kind]
    spec = by_fit(data, shared, function)
    with pytest.raises(UserCodeError) as error:
        trained(spec, shared)
    assert said in str(error.value) and day(8) in str(error.value)
    if kind not in ("not fitted",):
        assert f"{__file__}:" in str(error.value)


def test_training_that_takes_too_long(data: Path, shared: World) -> None:
    def endless(train: Any, valid: Any, params: Any, log: Any) -> Any:
        while True:
            pass

    by_fit(data, shared, endless)
    spec = by_fit(data, shared, endless, timeout="0.3s")
    with pytest.raises(UserCodeError, match="took longer"):
        trained(spec, shared)


REFUSALS = {
    "one class": ({"label": ml.Label(lambda f: pd.Series(1, index=f.index))}, "a single class"),
    "too few rows": ({"min_rows": 5000}, "at least 5000 are needed"),
    "window too short": ({"_key": 3}, "nothing to train on"),
    "coverage": ({"label": ml.Label("churned", available_after="5d"), "_as_of": 9}, "min_coverage"),
    "no label": ({"label": ml.Label("churned", available_after="90d"), "_as_of": 9}, "known labels"),
    "not binary": ({"label": ml.Label("plays"), "task": "binary", "features": ["hours"]}, "task is binary"),
    "positive": ({"label": ml.Label("churned", positive="yes")}, "the positive class is 'yes'"),
    "times": ({"features": ["hours", "at"]}, "feature 'at' holds datetime"),
    "only nulls": ({"features": ["empty"]}, "no feature holds a value"),
    "text to a regressor": (
        {"label": ml.Label("city"), "model": Ridge(), "features": ["hours"]},
        "needs numbers as labels",
    ),
    "first day": ({"_key": 0}, "known labels"),
}


@pytest.mark.parametrize("kind", list(REFUSALS))
def test_a_refusal_is_a_record_all_the_way(kind: str, data: Path, tmp_path: Path) -> None:
    settings, said = REFUSALS[kind]
    settings = dict(settings)
    clock = (
        {"as_of": pd.Timestamp(day(settings.pop("_as_of")), tz="UTC").to_pydatetime()}
        if "_as_of" in settings
        else {}
    )
    key = day(settings.pop("_key", 8))
    spec, world = spec_of(data, **{**SHORT, "features": FEATURES, **settings}), World(tmp_path / "s")
    world.run_all(DATA, spec, KEYS[:9], **clock)
    made = world.run_all(TRAINING, spec, [key], **clock, **scheduled())
    assert {n: r[key].verdict for n, r in made.items()} == {
        "train": "refused",
        "evaluate": "no_model",
        "register": "no_model",
    }
    record = made["train"][key]
    assert said in record.findings[0].what and said in record.headline and not record.outputs
    assert said in made["evaluate"][key].findings[0].what
    live = world.run_all(LIVE, spec, [key], **clock)
    assert {r[key].verdict for r in live.values()} == {"no_champion"}
    assert world.context(spec).ledger.entries() == ()


def test_the_same_recipe_is_not_trained_twice(data: Path, shared: World) -> None:
    settings = {"name": "again", "model": RandomForestClassifier(n_estimators=5)}
    first = trained(prepared(data, shared, **settings), shared)
    second = trained(prepared(data, shared, **settings), shared)
    assert not first.reused and second.reused and second.recipe == first.recipe
    assert ids({"": first}) == ids({"": second})
    other = trained(prepared(data, shared, **settings, seed=1), shared)
    assert not other.reused and other.output("bundle").id != first.output("bundle").id
    deeper = trained(
        prepared(data, shared, name="again", model=RandomForestClassifier(n_estimators=6)), shared
    )
    assert not deeper.reused


class Own(ClassifierMixin, BaseEstimator):
    """An estimator of the user's own."""

    def fit(self, X: Any, y: Any) -> "Own":
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))


def test_code_within_an_estimator_is_part_of_the_recipe() -> None:
    from mlpipe.spec.modeling import Model

    model = Model(estimator=make_pipeline(FunctionTransformer(chosen), Own()))
    assert list(train.own_code(model)) == [chosen, Own]
    assert list(train.own_code(Model(estimator=DummyClassifier()))) == []
    assert list(train.own_code(Model(fit=fit, params={"loss": chosen, "nested": [{"f": chosen}]}))) == [
        chosen
    ]


def test_a_rule_of_the_users_competes(data: Path, shared: World) -> None:
    def rule(frame: pd.DataFrame) -> pd.Series:
        frame["hours"] = (frame["hours"].fillna(3) < 4).astype("float64")
        return frame["hours"]

    settings = {"features": ["hours", "plays"], "model": LogisticRegression(max_iter=500)}
    spec = prepared(data, shared, name="ruled", baseline=rule, **settings)
    record = shared.run_all(TRAINING, spec, [day(8)], **scheduled())["evaluate"][day(8)]
    assert "rule" in {m.split for m in record.metrics}
    wrong = prepared(data, shared, name="ruled", baseline=lambda f: f["hours"].astype(str), **settings)
    with pytest.raises(UserCodeError, match=r"one finite number a row") as error:
        trained(wrong, shared)
    assert f"{__file__}:" in str(error.value)


@pytest.mark.parametrize("estimator", [LogisticRegression(), HistGradientBoostingClassifier(max_iter=2)])
def test_text_that_no_training_row_holds_is_left_out_without_a_warning(estimator):
    kinds = [("hours", "float64"), ("city", "str")]
    X = pd.DataFrame({"hours": [1.0, 2.0, 3.0, 4.0], "city": pd.Series([None] * 4, dtype="str")})
    model = make_pipeline(preprocessing(estimator, X, kinds), estimator).fit(X, [0, 1, 0, 1])
    # Later rows may hold it.
    assert model.predict_proba(X.assign(city="Ulm")).tolist() == model.predict_proba(X).tolist()
