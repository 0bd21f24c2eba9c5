"""Curves by boosting iteration, against what scikit-learn's losses say of models cut off at that iteration."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlpipe.stages.curves import MOST_ROWS, Log, judged, kept, staged

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(900, 3)), columns=["a", "b", "c"])
Y = (X["a"] + RNG.normal(size=900) > 0).astype("int64").to_numpy()
PARTS = {"train": (X[:400], Y[:400]), "valid": (X[400:], Y[400:])}


@pytest.mark.parametrize("early", [True, False])
def test_the_loss_by_iteration_is_that_of_a_model_cut_off_there(early: bool) -> None:
    model = make_pipeline(
        StandardScaler(),
        HistGradientBoostingClassifier(
            max_iter=12, early_stopping=early, validation_fraction=0.2, random_state=1
        ),
    ).fit(*PARTS["train"])
    curve = staged(model, PARTS)["boosting"]
    assert [p["step"] for p in curve] == list(range(1, model[-1].n_iter_ + 1))
    for step in (1, len(curve)):
        shorter = make_pipeline(
            StandardScaler(),
            HistGradientBoostingClassifier(
                max_iter=step,
                early_stopping=early,
                n_iter_no_change=99,
                validation_fraction=0.2,
                random_state=1,
            ),
        ).fit(*PARTS["train"])
        for name, (rows, truth) in PARTS.items():
            expected = log_loss(truth, shorter.predict_proba(rows))
            assert curve[step - 1][f"{name}_log_loss"] == pytest.approx(expected, abs=1e-9)
    assert ("validation_score" in kept(model)) == early


def test_of_many_rows_some_are_scored_and_labels_may_be_text() -> None:
    wide = pd.concat([X] * 3, ignore_index=True)
    words = np.array(["no", "yes"])[np.tile(Y, 3)]
    model = GradientBoostingClassifier(n_estimators=3, random_state=0).fit(wide, words)
    curve = staged(model, {"valid": (wide, words)})["boosting"]
    rows = np.unique(np.linspace(0, len(wide) - 1, MOST_ROWS).astype("int64"))
    expected = log_loss(words[rows], model.predict_proba(wide.iloc[rows]))
    assert curve[-1] == {"step": 3.0, "valid_log_loss": pytest.approx(expected, abs=1e-9)}
    assert staged(model, {"valid": (wide, np.full(len(wide), "maybe"))}) == {}


def test_a_regression_has_its_error() -> None:
    model = HistGradientBoostingRegressor(max_iter=4).fit(X[:400], X["a"][:400] * 2)
    truth = (X["a"] * 2).to_numpy()
    curve = staged(model, {"valid": (X[400:], truth[400:])})["boosting"]
    expected = root_mean_squared_error(truth[400:], model.predict(X[400:]))
    assert curve[-1]["valid_rmse"] == pytest.approx(expected)


def test_others_have_what_they_keep_and_no_stages() -> None:
    assert staged(LogisticRegression().fit(X, Y), PARTS) == {} == kept(SGDClassifier().fit(X, Y))
    assert len(staged(AdaBoostClassifier(n_estimators=3).fit(X, Y), PARTS)["boosting"]) == 3
    network = MLPClassifier((4,), max_iter=5, random_state=0)
    with pytest.warns(match="Stochastic Optimizer"):
        network.fit(X, Y)
    curve = kept(network)["loss_curve"]
    assert [p["value"] for p in curve] == network.loss_curve_


class Boosted:
    """As gradient boosters keep what they measured."""

    evals_result_ = {"training": {"l2": [3.0, 2.0]}, "valid_0": {"l2": [4.0, 5.0], "auc": [0.5]}}


def test_evaluation_sets_are_read_by_their_shape() -> None:
    assert kept(Boosted()) == {
        "evals": [
            {"step": 0.0, "training_l2": 3.0, "valid_0_l2": 4.0, "valid_0_auc": 0.5},
            {"step": 1.0, "training_l2": 2.0, "valid_0_l2": 5.0},
        ]
    }


def test_a_log_counts_where_no_step_is_given() -> None:
    log = Log()
    log(loss=1)
    log(7, loss=0.5)
    log(step=8, loss=0.25)
    assert log.points == [{"step": 0, "loss": 1}, {"step": 7, "loss": 0.5}, {"step": 8, "loss": 0.25}]
    with pytest.raises(ValueError, match="could not convert"):
        log("one", loss=1)  # type: ignore[arg-type]


def points(**series: list[float]) -> list[dict[str, float]]:
    length = max(map(len, series.values()))
    return [{"step": i, **{k: v[i] for k, v in series.items()}} for i in range(length)]


def test_what_asks_for_most_attention_is_the_verdict() -> None:
    rising = [1.0, 0.6, 0.5, 0.8, 1.1]
    falling = [1.0, 0.6, 0.3, 0.2, 0.1]
    curves = {"log": points(train_loss=falling, valid_loss=rising, lr=[0.1] * 5)}
    data, plots = judged(curves, None)
    assert data["learning"] == "overfits"
    assert data["learning_text"] == "log valid_loss overfits since step 2: best 0.5 at step 2, 1.1 at the end"
    told = data["curves"]["log"]
    assert (told["valid_loss"]["since"], told["train_loss"]["verdict"]) == (2.0, "improving")
    assert told["lr"] == {"steps": 5, "last": 0.1, "better": ""}
    assert plots["curves"]["log"]["valid_loss"][2] == [2.0, 0.5]
    assert judged({}, None) == ({}, {})


def test_scores_of_boosting_by_histogram_rise_and_losses_of_others_fall() -> None:
    histogram: Any = HistGradientBoostingClassifier(max_iter=5, early_stopping=True).fit(X, Y)
    plain = GradientBoostingClassifier(n_estimators=5).fit(X, Y)
    for model, better in ((histogram, "higher"), (plain, "lower")):
        data, _ = judged({"train_score": kept(model)["train_score"]}, model)
        assert data["curves"]["train_score"]["value"]["better"] == better
        assert data["learning"] == "improving"
