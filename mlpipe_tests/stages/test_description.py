"""Every hyper-parameter of every step has one path in the record, defaults included."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mlpipe.records.codec import coerce
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.description import declared, described, learned, told
from mlpipe.stages.estimators import Part, fitted
from mlpipe_tests.stages.pipelines import FEATURES, day, rows, spec_of

KINDS = (("hours", "float64"), ("plays", "float64"), ("city", "str"))


def test_parts_stand_under_their_names() -> None:
    columns = ColumnTransformer(
        [("numbers", StandardScaler(with_mean=False), ["a", "b"]), ("rest", "drop", [2])]
    )
    found = described(make_pipeline(columns, LogisticRegression(C=0.5)))
    assert found["class"] == "sklearn.pipeline.Pipeline" and found["memory"] is None
    assert found["steps"]["logisticregression"]["C"] == 0.5
    assert found["steps"]["columntransformer"]["transformers"] == {
        "numbers": {
            "class": "sklearn.preprocessing._data.StandardScaler",
            "copy": True,
            "with_mean": False,
            "with_std": True,
            "columns": ["a", "b"],
        },
        "rest": {"class": "drop", "columns": [2]},
    }


class Nested(BaseEstimator):
    def __init__(self, inner: Any = None, options: Any = None) -> None:
        self.inner, self.options = inner, options


def leaves(value: Any) -> int:
    return sum(map(leaves, value.values())) if isinstance(value, dict) else 1


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), HistGradientBoostingClassifier()),
        VotingClassifier(
            [("a", LogisticRegression()), ("b", make_pipeline(StandardScaler(), LogisticRegression()))]
        ),
        Nested(Nested(LogisticRegression(C=3)), {"depth": [1, {"x": np.float64(2)}]}),
        Pipeline([("same", StandardScaler()), ("other", LogisticRegression())]),
    ],
)
def test_nothing_that_scikit_learn_knows_is_left_out(estimator: Any) -> None:
    found = coerce(described(estimator))
    for path, value in estimator.get_params(deep=True).items():
        here: Any = found
        for part in path.split("__"):
            named = next((here[p] for p in ("steps", "estimators") if p in here and part in here[p]), here)
            here = named[part]
        if not hasattr(value, "get_params") and not isinstance(value, list):
            assert here == coerce(value) or isinstance(value, dict), path


class Odd(LogisticRegression):
    def get_params(self) -> dict[str, Any]:  # type: ignore[override]
        return {}


def test_a_model_that_cannot_describe_itself_is_no_failure() -> None:
    assert described(Odd()) == {"class": f"{__name__}.Odd", "unreadable": "get_params raised TypeError"}
    assert described(object()) == "builtins.object"


def learn(spec: PipelineSpec) -> dict[str, Any]:
    frame = rows(day(0), 200)
    part = Part(frame[FEATURES], frame["churned"].to_numpy())
    estimator, _ = fitted(spec, part, part, KINDS, "here")
    return coerce(learned(spec, estimator))  # type: ignore[no-any-return]


def test_what_was_fitted_is_told_with_its_seed_and_preprocessing(tmp_path: Any) -> None:
    model = HistGradientBoostingClassifier(max_iter=3)
    spec = spec_of(tmp_path, model={"estimator": model, "params": {"learning_rate": 0.3}}, seed=7)
    before, after = declared(spec)["model"], learn(spec)["model"]
    assert (
        after["class"]
        == "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier"
    )
    assert set(model.get_params()) == set(after) - {"class"} == set(before) - {"class"}
    assert (after["learning_rate"], after["max_iter"], after["max_leaf_nodes"]) == (0.3, 3, 31)
    assert (before["random_state"], after["random_state"]) == (None, 7)
    preprocess = learn(spec)["preprocess"]
    assert preprocess["kind"] == "auto" and preprocess["numbers"]["columns"] == ["hours", "plays"]
    assert preprocess["categories"]["steps"]["ordinalencoder"]["max_categories"] == 254


def test_a_pipeline_of_the_users_own_is_the_model(tmp_path: Any) -> None:
    own = make_pipeline(ColumnTransformer([("n", StandardScaler(), ["hours"])]), LogisticRegression(C=2))
    found = learn(spec_of(tmp_path, model=own))
    assert found["preprocess"] == {"kind": "auto"}
    assert found["model"]["steps"]["logisticregression"]["C"] == 2


def test_an_imputer_is_told_apart_from_the_model(tmp_path: Any) -> None:
    features = {"columns": FEATURES, "missing": {"hours": "mcar"}}
    found = learn(spec_of(tmp_path, features=features, model=LogisticRegression(max_iter=200)))
    assert found["preprocess"]["missing"]["mechanisms"] == {"hours": "mcar"}
    assert found["preprocess"]["numbers"]["columns"] == ["hours", "plays", "hours_missing"] or found[
        "preprocess"
    ]["numbers"]["columns"][:2] == ["hours", "plays"]
    assert found["model"]["max_iter"] == 200 and "steps" not in found["model"]


def test_the_rest_is_told_too(tmp_path: Any) -> None:
    spec = spec_of(tmp_path, threshold=0.4, lead="2h")
    found = coerce(told(spec, ["hours"], {"inject": "noise"}))
    assert (found["threshold"], found["lead"], found["window"]) == (0.4, "7200s", "1728000s")
    assert found["split"] == {"valid": "4d", "test": "4d", "embargo": "0s"}
    assert found["features"] == ["hours"] and found["seed"] == 0 and found["inject"] == "noise"
    assert isinstance(pd.json_normalize(found), pd.DataFrame)
