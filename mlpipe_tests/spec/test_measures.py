"""The metrics that a pipeline knows by name: which is the primary one, and what is said of names that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import mlpipe as ml
from mlpipe.errors import NotFoundError, SpecError
from mlpipe.spec.measures import Measures
from mlpipe_tests.spec.test_judging import yaml
from mlpipe_tests.stages.pipelines import spec_of

COSTS = {"false_positive": 1, "false_negative": 5}


def profit(y: np.ndarray, score: np.ndarray) -> float:
    return float(np.mean(np.where(y == 1, score, -score)))


def own(**changes: Any) -> dict[str, Any]:
    return {"name": "profit", "function": profit, "better": "higher", **changes}


def test_the_first_that_fits_the_task_is_the_primary_one() -> None:
    spec = spec_of(Path("."), metrics=[own(), "roc_auc", "cost"], cost=COSTS)
    assert spec.metrics == ("profit", "roc_auc", "cost") and [m.name for m in spec.own_metrics] == ["profit"]
    measures = spec.measures
    assert measures.primary("binary").name == "profit" and measures.primary("binary").sign == 1.0
    assert measures.names("binary") == measures.told("binary") == ("profit", "roc_auc", "cost")
    # Costs are of classes: a regression has none, and nothing else of a binary model's.
    assert measures.names("regression") == ("profit",)


def test_what_is_declared_beside_is_told_and_does_not_decide() -> None:
    spec = spec_of(Path("."), own_metrics=[own(better="lower")], cost=COSTS)
    assert spec.measures.names("binary")[0] == "roc_auc"
    assert spec.measures.told("binary")[-2:] == ("profit", "cost")
    assert spec.measures.of("profit").sign == -1.0 and spec.measures.of("cost").better == "lower"
    assert spec.measures.told("regression") == ("rmse", "mae", "r2", "profit")


def test_a_mapping_stands_where_it_is_written(tmp_path: Path) -> None:
    text = "  metrics: [{name: profit, function: 'own:profit', better: higher}, f1]\n"
    spec = yaml(tmp_path, text + "  gates: [{beats_champion: {metric: profit}}]\n")
    assert spec.metrics == ("profit", "f1") and spec.measures.primary("binary").name == "profit"


def test_those_in_the_list_and_those_beside_it_come_together() -> None:
    beside = own(name="loss", better="lower")
    spec = spec_of(Path("."), metrics=["f1", own()], own_metrics=[beside])
    assert spec.metrics == ("f1", "profit") and list(spec.measures.own) == ["loss", "profit"]
    with pytest.raises(SpecError) as caught:
        spec_of(Path("."), metrics=[own(better="up")], own_metrics=[beside])
    (found,) = caught.value.findings
    assert found.where.endswith("key metrics.0.better")
    with pytest.raises(SpecError, match="two metrics are called 'profit'"):
        spec_of(Path("."), metrics=[own()], own_metrics=[own()])


def test_a_name_on_record_may_be_gone() -> None:
    measures = Measures(("f1",))
    assert measures.get("profit") is None and measures.get("f1") is not None
    with pytest.raises(NotFoundError, match="unknown metric 'profits'"):
        measures.of("profits")


@pytest.mark.parametrize(
    ("settings", "key", "text"),
    [
        ({"metrics": ["cost"]}, "metrics.0", "the pipeline does not give it"),
        ({"metrics": ["roc_auc", "profits"], "own_metrics": [own()]}, "metrics.1", "Did you mean 'profit'"),
        (
            {"metrics": ["cost"], "cost": COSTS, "model": Ridge()},
            "metrics.0",
            "metric 'cost' is not for a regression model",
        ),
        ({"cost": COSTS, "own_metrics": [own(name="cost")]}, "cost", "a metric of your own has that name"),
        (
            {"gates": [ml.gate.at_least("cost", 1)]},
            "gates.0.at_least.metric",
            "the pipeline does not give it",
        ),
        (
            {"record": {"require": {"metrics": ["profit"]}}},
            "record.require.metrics.0",
            "unknown metric 'profit'",
        ),
    ],
)
def test_what_is_no_metric_is_said_once_and_where(settings: dict[str, Any], key: str, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(Path("."), **settings)
    (found,) = caught.value.findings
    assert found.where.endswith(f"key {key}") and text in found.what


def test_a_metric_of_ones_own_may_be_required() -> None:
    asked = {"require": {"metrics": ["profit", "cost"]}}
    assert spec_of(Path("."), own_metrics=[own()], cost=COSTS, record=asked).record.require.metrics
    assert spec_of(Path("."), metrics=["f1", own()], cost=COSTS, record=asked).metrics == ("f1", "profit")
