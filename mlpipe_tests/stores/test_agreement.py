"""Identical, equal within a tolerance, or different: by hand, for models, tables and metrics."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlpipe.records.record import MetricValue, Output, Record
from mlpipe.stores.agreement import MEASURED, metrics, outputs, overall
from mlpipe.stores.bundles import Bundle
from mlpipe.stores.content import Put
from mlpipe.stores.store import Store

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def record(**fields: Any) -> Record:
    return Record(
        pipeline="p", stage="train", asset="p/model", partition="d", as_of=NOW, recorded_at=NOW, **fields
    )


def holding(put: Put, name: str = "out") -> Record:
    return record(outputs=(Output(name=name, id=put.id),))


def model(shift: float, threshold: float = 0.5) -> Bundle:
    """A regression whose coefficient is one plus a shift."""
    X = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    made = LogisticRegression().fit(X, [0, 1, 1])
    made.coef_, made.intercept_ = np.array([[1.0 + shift]]), np.array([0.0])
    return Bundle(made, "binary", (("x", "float64"),), (0, 1), 1, threshold, X, {})


@pytest.mark.parametrize(
    ("shift", "threshold", "verdict"),
    [(0.0, 0.5, "identical"), (1e-9, 0.5, "equal"), (0.01, 0.5, "different"), (0.0, 0.6, "different")],
)
def test_models_agree_prediction_by_prediction(
    shift: float, threshold: float, verdict: str, tmp_path: Path
) -> None:
    store = Store.open(tmp_path)
    then, now = (holding(store.put_bundle(m), "bundle") for m in (model(0.0), model(shift, threshold)))
    found = outputs(then, now, store)
    assert overall(found) == verdict
    if verdict == "different":
        assert "example rows differ by at most" in found[0].note


@pytest.mark.parametrize(
    ("other", "verdict", "note"),
    [
        ({"a": [1.0, np.nan], "b": ["x", "y"]}, "identical", ""),
        ({"a": [1.0 + 1e-9, np.nan], "b": ["x", "y"]}, "equal", "at most 1e-09"),
        ({"a": [1.1, np.nan], "b": ["x", "z"]}, "different", "columns a, b hold"),
        ({"a": [1.0], "b": ["x"]}, "different", "2 rows, now 1"),
        ({"a": [1.0, np.nan], "c": ["x", "y"]}, "different", "columns: b gone, c new"),
    ],
)
def test_tables_agree_column_by_column(
    other: dict[str, Any], verdict: str, note: str, tmp_path: Path
) -> None:
    store = Store.open(tmp_path)
    then, now = (
        holding(store.put_table(pd.DataFrame(f))) for f in ({"a": [1.0, np.nan], "b": ["x", "y"]}, other)
    )
    found = outputs(then, now, store)
    assert found[0].verdict == verdict and note in found[0].note


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ([0.5, 0.25], "identical"),
        ([0.5, 0.25 + 1e-9], "equal"),
        ([0.5, 0.3], "different"),
        ([0.5], "different"),
    ],
)
def test_curves_agree_point_by_point(value: list[float], verdict: str, tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    points = ([{"step": float(i), "loss": v} for i, v in enumerate(vs)] for vs in ([0.5, 0.25], value))
    then, now = (holding(store.put_json(p, "curve"), "log") for p in points)
    found = outputs(then, now, store)
    assert found[0].verdict == verdict
    if verdict == "different":
        assert "the first at 1." in found[0].note


def test_what_follows_from_others_is_judged_by_them(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    then, now = (holding(store.put_json(v, "report"), "roc") for v in (1, 2))
    assert outputs(then, now, store)[0].verdict == "equal"


@pytest.mark.parametrize(
    ("today", "verdict"),
    [
        ({"model": {"depth": 3, "width": None}, "slices": []}, "identical"),
        ({"model": {"depth": 4}}, "equal"),
        ({"slices": []}, "equal"),
    ],
)
def test_a_configuration_may_have_got_further_keys(
    today: dict[str, Any], verdict: str, tmp_path: Path
) -> None:
    store = Store.open(tmp_path)
    then = holding(store.put_json({"model": {"depth": 3}}, "report"), "configuration")
    now = holding(store.put_json(today, "report"), "configuration")
    assert outputs(then, now, store)[0].verdict == verdict


def test_a_card_is_no_json(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    then, now = (holding(store.put_bytes(t, "report", ".md"), "card") for t in (b"# one", b"# two"))
    assert outputs(then, now, store)[0].verdict == "equal"


def test_what_was_not_made_again_differs_and_what_is_new_does_not_count(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    one = holding(store.put_json({"a": 1}))
    assert overall(outputs(one, record(), store)) == "different"
    assert outputs(record(), one, store) == []


def test_metrics_agree_with_their_intervals() -> None:
    def of(value: float, low: float | None = None, high: float | None = None) -> Record:
        return record(metrics=(MetricValue(name="f1", split="test", value=value, low=low, high=high),))

    assert overall(metrics(of(0.5), of(0.5))) == "identical"
    assert overall(metrics(of(float("nan")), of(float("nan")))) == "identical"
    assert overall(metrics(of(0.5, 0.4, 0.6), of(0.5 + 1e-9, 0.4, 0.6))) == "equal"
    assert overall(metrics(of(0.5, 0.4, 0.6), of(0.5, 0.4, 0.7))) == "different"
    assert overall(metrics(of(0.5, 0.4, 0.6), of(0.5))) == "different"
    assert metrics(of(0.5), of(0.6))[0].name == "test.f1"
    assert overall(metrics(of(0.5), record())) == "different"
    assert overall(metrics(of(0.5), of(0.6), 0.5)) == "equal"


def test_what_a_clock_gave_is_not_compared() -> None:
    """Speed is another number each time: it says nothing about whether a result came out the same."""
    then = MetricValue(name="p99_ms", value=3.0, split=MEASURED)
    now = then.model_copy(update={"value": 30.0})
    kept = MetricValue(name="f1", value=0.5, split="test")
    found = metrics(record(metrics=(then, kept)), record(metrics=(now, kept)))
    assert [a.name for a in found] == ["test.f1"]
