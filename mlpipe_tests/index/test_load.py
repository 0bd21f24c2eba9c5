"""A past result in hands."""

import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import NotFoundError
from mlpipe_tests.stages.pipelines import day, rows
from mlpipe_tests.views.story import story


def test_a_model_predicts_as_it_did() -> None:
    past = ml.load("churn@production", store=story().store)
    predictions = ml.load(f"churn/predictions@{day(45)}", store=story().store)
    features = ml.load(f"churn/features@{day(45)}", store=story().store).data["features"]
    scores = past.model.predict(features[list(past.model.feature_names)])
    assert predictions.data["predictions"]["score"].tolist() == scores.tolist()
    assert predictions.model.predict(features[list(past.model.feature_names)]).tolist() == scores.tolist()
    assert past.params["model"]["class"].endswith("LogisticRegression")
    assert set(past.metrics) == {"f1", "precision", "roc_auc"} and past.metrics["f1"] > 0.9
    assert "churn/model" in repr(past) and past.curves == {}


def test_data_of_a_model_are_the_rows_that_it_read() -> None:
    past = ml.load("churn@2", store=story().store)
    assert {n: len(t) for n, t in past.data.items()} == {"features": 1200, "labels": 1200}
    assert past.data["features"]["_partition"].nunique() == 20


def test_data_of_a_partition_are_what_it_holds() -> None:
    raw = ml.load(f"churn/raw@{day(3)}", store=story().store)
    wanted = rows(day(3)).sort_values("user").reset_index(drop=True)
    assert raw.data["rows"].sort_values("user")["hours"].tolist() == wanted["hours"].tolist()
    with pytest.raises(NotFoundError, match="has no model"):
        _ = raw.model
    with pytest.raises(NotFoundError, match="has no tables"):
        _ = raw.inputs


def test_curves_come_whole() -> None:
    from mlpipe.index.load import Loaded
    from mlpipe.records.record import Output

    past = ml.load("churn@1", store=story().store)
    put = past.store.put_json([{"step": 0.0, "loss": 1.0}, {"step": 1.0, "loss": 0.5}], "curve")
    record = past.record.model_copy(update={"curves": (Output(name="loss", id=put.id),)})
    curve = Loaded(record, None, past.store).curves["loss"]
    pd.testing.assert_frame_equal(curve, pd.DataFrame({"step": [0.0, 1.0], "loss": [1.0, 0.5]}))


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'churn'"):
        ml.load("churm@1", store=story().store)
