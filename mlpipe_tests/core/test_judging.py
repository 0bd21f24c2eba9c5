"""What is drawn of a judged model, by hand and against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_auc_score, roc_curve

from mlpipe.core.judging import calibration, confusion, drawn, precision_recall, residuals, roc, telling
from mlpipe.core.scored import Scored

Y = np.array([0, 0, 1, 1])
SCORE = np.array([0.1, 0.6, 0.4, 0.9])


def test_four_rows_by_hand() -> None:
    scored = Scored(Y, SCORE, 0.5, ("stays", "leaves"))
    # 0.9 and 0.6 are called leaving: one rightly, one wrongly; 0.4 leaves and is missed.
    assert confusion(scored) == {"classes": ["stays", "leaves"], "threshold": 0.5, "matrix": [[1, 1], [1, 1]]}
    assert roc(Y == 1, SCORE) == {
        "fpr": [0, 0, 0.5, 0.5, 1],
        "tpr": [0, 0.5, 0.5, 1, 1],
        "threshold": [None, 0.9, 0.6, 0.4, 0.1],
    }
    assert precision_recall(Y == 1, SCORE) == {
        "recall": [0.5, 0.5, 1, 1],
        "precision": [1, 0.5, pytest.approx(2 / 3), 0.5],
        "threshold": [0.9, 0.6, 0.4, 0.1],
    }
    assert calibration(Y == 1, SCORE, 2) == [
        {"rows": 2, "predicted": pytest.approx(0.25), "observed": 0.5, "low": 0.1, "high": 0.4},
        {"rows": 2, "predicted": 0.75, "observed": 0.5, "low": 0.6, "high": 0.9},
    ]
    # 0.4 is missed and 0.6 called wrongly, both by 0.1: the first of equal ones; 0.9 and 0.1 are right by 0.4.
    assert telling(scored, 1) == {"wrong": [1], "uncertain": [2], "right": [0]}
    assert telling(scored, 9) == {"wrong": [1, 2], "uncertain": [0, 3], "right": []}


def test_residuals_by_hand() -> None:
    y, predicted = np.array([1.0, 2.0, 3.0, 10.0]), np.array([1.0, 1.0, 4.0, 4.0])
    assert residuals(y, predicted, 2) == [
        {"rows": 2, "predicted": 1.0, "mean": 0.5, "q25": 0.25, "median": 0.5, "q75": 0.75},
        {"rows": 2, "predicted": 4.0, "mean": 2.5, "q25": 0.75, "median": 2.5, "q75": 4.25},
    ]
    assert telling(Scored(y, predicted), 1) == {"right": [0], "wrong": [3]}


cases = st.integers(2, 300).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 1), min_size=n, max_size=n),
        st.lists(st.floats(0, 1, width=16), min_size=n, max_size=n),
    )
)


@settings(max_examples=60)
@given(cases)
def test_curves_are_those_of_scikit_learn(case: tuple[list[int], list[float]]) -> None:
    y, score = np.array(case[0]), np.array(case[1], dtype="float64")
    if len(set(case[0])) < 2:
        assert roc(y == 1, score) is None and (precision_recall(y == 1, score) is None) == (not y.any())
        return
    made: Any = roc(y == 1, score, 10_000)
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    assert np.allclose(made["fpr"], fpr) and np.allclose(made["tpr"], tpr)
    found: Any = precision_recall(y == 1, score, 10_000)
    precision, recall, cuts = precision_recall_curve(y, score)
    assert np.allclose(found["threshold"], cuts[::-1])
    assert np.allclose(found["precision"], precision[:-1][::-1]) and np.allclose(
        found["recall"], recall[:-1][::-1]
    )
    thin: Any = roc(y == 1, score, 20)
    assert len(thin["fpr"]) <= 20 and (thin["fpr"][-1], thin["tpr"][-1]) == (1, 1) and thin["tpr"][0] == 0
    scored = Scored(y, score, 0.5, ("a", "b"))
    assert confusion(scored)["matrix"] == confusion_matrix(y, score >= 0.5, labels=[0, 1]).tolist()
    groups = calibration(y == 1, score)
    assert sum(g["rows"] for g in groups) == len(y)
    assert sum(g["rows"] * g["observed"] for g in groups) == pytest.approx(y.sum())


def test_a_thinned_curve_has_nearly_the_same_area() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 20_000)
    score = rng.normal(size=20_000) + y
    made: Any = roc(y == 1, score)
    assert len(made["fpr"]) <= 100
    assert np.trapezoid(made["tpr"], made["fpr"]) == pytest.approx(roc_auc_score(y, score), abs=0.002)


def test_of_many_classes_the_most_frequent_are_drawn() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(30), np.arange(1, 31))
    score = rng.dirichlet(np.ones(30), len(y))
    found = drawn(Scored(y, score, None, tuple(f"c{i}" for i in range(30))))
    assert set(found) == {"confusion", "roc", "precision_recall", "calibration"}
    assert list(found["roc"]) == [f"c{i}" for i in range(10, 30)]
    assert len(found["confusion"]["matrix"]) == 30
    assert max(len(c["fpr"]) for c in found["roc"].values()) <= 20


def test_what_cannot_be_drawn_is_left_out() -> None:
    one = Scored(np.zeros(3, dtype="int64"), np.array([0.1, 0.2, 0.3]), None, ("a", "b"))
    assert set(drawn(one)) == {"calibration"}
    assert set(drawn(Scored(np.array([1.0]), np.array([2.0])))) == {"residuals"}


@given(st.integers(1, 60), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_telling_rows_are_told_once_and_are_what_they_are_called(n: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scored = Scored(rng.integers(0, 3, n), rng.dirichlet(np.ones(3), n), None, ("a", "b", "c"))
    found = telling(scored, count)
    rows = [r for places in found.values() for r in places]
    assert len(rows) == len(set(rows)) and all(len(p) <= count for p in found.values())
    assert all(scored.labels[r] == scored.y[r] for r in found["right"])
    assert all(scored.labels[r] != scored.y[r] for r in found["wrong"])
