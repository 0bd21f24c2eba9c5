"""Metrics: by hand, by property, and against scikit-learn."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlpipe.core import metrics as module
from mlpipe.core.metrics import DEFAULTS, METRICS, Scored, custom, evaluate, evaluate_resamples
from mlpipe.errors import DataError, NotFoundError, SpecError, UserCodeError

SEEDS = st.integers(0, 2**32 - 1)
LISTS = {"ndcg", "map", "mrr"}
ROWS = [n for n in METRICS if n not in LISTS]
BINARY = [n for n in ROWS if "binary" in METRICS[n].tasks]


def of_task(task: str) -> list[str]:
    return [n for n in ROWS if task in METRICS[n].tasks]


def random_scored(task: str, seed: int, n: int = 40) -> Scored:
    """Scores with many ties, and a truth in which every class occurs."""
    rng = np.random.default_rng(seed)
    if task == "binary":
        y = np.append([0, 1], rng.integers(0, 2, n - 2))
        score = np.round(rng.random(n), int(rng.integers(1, 4)))
        return Scored(y, score, float(rng.choice(score)), ("no", "yes"))
    if task == "multiclass":
        y = np.append([0, 1, 2], rng.integers(0, 3, n - 3))
        return Scored(y, np.round(rng.dirichlet(np.ones(3), n), 2), classes=("a", "b", "c"))
    y = rng.normal(size=n) + rng.choice([0.0, 1e4])
    return Scored(y, y + rng.normal(size=n))


def random_weights(seed: int, n: int = 40) -> Any:
    rng = np.random.default_rng(seed + 1)
    weights = rng.random(n) * rng.integers(0, 2, n)
    weights[:3] = 0.5
    return weights


def weighted_quantile(values: Any, at: float, w: Any) -> float:
    return float(
        np.quantile(values, at, weights=np.ones(len(values)) if w is None else w, method="inverted_cdf")
    )


def ece_by_loop(p: Any, right: Any, w: Any, bins: int) -> float:
    w = np.ones(len(p)) if w is None else w
    total = 0.0
    for b in range(bins):
        inside = (p > b / bins) & (p <= (b + 1) / bins) if b else p <= 1 / bins
        total += abs(np.sum(w[inside] * (p[inside] - right[inside])))
    return total / np.sum(w)


def sklearn_values(s: Scored, w: Any) -> dict[str, float]:
    kwargs: dict[str, Any] = {"sample_weight": w}
    if s.task == "regression":
        return {
            "rmse": sk.root_mean_squared_error(s.y, s.score, **kwargs),
            "mae": sk.mean_absolute_error(s.y, s.score, **kwargs),
            "r2": sk.r2_score(s.y, s.score, **kwargs),
            "mape": sk.mean_absolute_percentage_error(s.y, s.score, **kwargs),
            "smape": np.average(2 * np.abs(s.y - s.score) / (np.abs(s.y) + np.abs(s.score)), weights=w),
            "p90_error": weighted_quantile(np.abs(s.y - s.score), 0.9, w),
        }
    both = {
        "accuracy": sk.accuracy_score(s.y, s.labels, **kwargs),
        "balanced_accuracy": sk.balanced_accuracy_score(s.y, s.labels, **kwargs),
    }
    if s.task == "multiclass":
        proba = s.score / s.score.sum(axis=1, keepdims=True)
        return both | {
            "macro_f1": sk.f1_score(s.y, s.labels, average="macro", zero_division=np.nan, **kwargs),
            "log_loss": sk.log_loss(s.y, proba, labels=[0, 1, 2], **kwargs),
            "ece": ece_by_loop(s.score.max(axis=1), s.labels == s.y, w, 10),
        }
    return both | {
        "roc_auc": sk.roc_auc_score(s.y, s.score, **kwargs),
        "pr_auc": sk.average_precision_score(s.y, s.score, **kwargs),
        "log_loss": sk.log_loss(s.y, s.score, **kwargs),
        "brier": sk.brier_score_loss(s.y, s.score, **kwargs),
        "ece": ece_by_loop(s.score, s.y, w, 10),
        "precision": sk.precision_score(s.y, s.labels, zero_division=np.nan, **kwargs),
        "recall": sk.recall_score(s.y, s.labels, zero_division=np.nan, **kwargs),
        "f1": sk.f1_score(s.y, s.labels, zero_division=np.nan, **kwargs),
    }


def test_binary_by_hand() -> None:
    s = Scored(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), 0.5, (0, 1))
    assert evaluate(s, BINARY) == pytest.approx(
        {
            "roc_auc": 3 / 4,
            "pr_auc": 0.5 * 1 + 0.5 * 2 / 3,
            "log_loss": -(math.log(0.9) + math.log(0.6) + math.log(0.35) + math.log(0.8)) / 4,
            "brier": (0.01 + 0.16 + 0.4225 + 0.04) / 4,
            "ece": (0.1 + abs(0.4 + 0.35 - 1) + 0.2) / 4,  # 0.35 and 0.4 fall into one bin
            "accuracy": 3 / 4,
            "precision": 1,
            "recall": 1 / 2,
            "f1": 2 / 3,
            "balanced_accuracy": 3 / 4,
        },
        rel=1e-14,
    )


def test_ties_count_half_and_the_threshold_itself_is_positive() -> None:
    s = Scored(np.array([0, 1]), np.array([0.5, 0.5]), 0.5, (0, 1))
    values = evaluate(s, ["roc_auc", "pr_auc", "recall", "precision"])
    assert values == {"roc_auc": 0.5, "pr_auc": 0.5, "recall": 1, "precision": 0.5}


def test_multiclass_and_regression_by_hand() -> None:
    score = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    s = Scored(np.array([0, 1, 1]), score, classes=("a", "b", "c"))
    values = evaluate(s, of_task("multiclass"))
    assert values["accuracy"] == pytest.approx(2 / 3)
    assert values["macro_f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)  # "c" neither occurs nor is predicted
    assert values["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert values["ece"] == pytest.approx((0.3 + 0.6 + 0.2) / 3)  # each in a bin of its own
    assert values["log_loss"] == pytest.approx(-(math.log(0.7) + math.log(0.3) + math.log(0.8)) / 3)
    r = evaluate(Scored(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0])), of_task("regression"))
    wanted = {"rmse": math.sqrt(3), "mae": 1, "r2": 1 - 9 / 2, "mape": 1 / 3, "smape": 2 / 9, "p90_error": 3}
    assert r == pytest.approx(wanted)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, weighted=st.booleans())
@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one:UserWarning")
def test_equal_to_scikit_learn(task: str, seed: int, weighted: bool) -> None:
    s = random_scored(task, seed)
    if task == "multiclass":
        s = Scored(s.y, s.score / s.score.sum(axis=1, keepdims=True), classes=s.classes)
    w = random_weights(seed) if weighted else None
    wanted = sklearn_values(s, w)
    got = evaluate(s, list(wanted), w)
    assert sorted(wanted) == sorted(of_task(task))
    assert got == pytest.approx(wanted, rel=1e-12, abs=1e-12, nan_ok=True)


def test_certain_and_wrong_is_clipped_as_scikit_learn_does() -> None:
    s = Scored(np.array([0, 1, 1]), np.array([1.0, 0.0, 0.5]), classes=(0, 1))
    assert evaluate(s, ["log_loss"])["log_loss"] == pytest.approx(sk.log_loss(s.y, s.score), rel=1e-12)


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_weights_are_repetitions_and_order_and_scale_do_not_matter(name: str, seed: int) -> None:
    s = random_scored(METRICS[name].tasks[-1], seed)
    rng = np.random.default_rng(seed)
    counts = np.append([1, 1, 1], rng.integers(0, 4, 37))
    value = evaluate(s, [name], counts)[name]
    repeated = np.repeat(np.arange(40), counts)
    assert evaluate(take(s, repeated), [name])[name] == pytest.approx(value, rel=1e-11, nan_ok=True)
    shuffled = rng.permutation(40)
    assert evaluate(take(s, shuffled), [name], 7 * counts[shuffled])[name] == pytest.approx(
        value, rel=1e-11, nan_ok=True
    )


def take(s: Scored, rows: Any) -> Scored:
    return Scored(
        s.y[rows], s.score[rows], s.threshold, s.classes, None if s.groups is None else s.groups[rows]
    )


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_auc_of_the_opposite_is_the_complement(seed: int) -> None:
    s = random_scored("binary", seed)
    turned = Scored(1 - s.y, s.score, classes=s.classes)
    assert evaluate(s, ["roc_auc"])["roc_auc"] == pytest.approx(1 - evaluate(turned, ["roc_auc"])["roc_auc"])


@pytest.mark.parametrize("name", ROWS)
def test_resamples_equal_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s = random_scored(METRICS[name].tasks[0], 5)
    rng = np.random.default_rng(3)
    codes, counts = rng.integers(0, 6, 40), rng.integers(0, 3, (17, 6)).astype(float)
    counts[0] = 0
    wanted = [evaluate(s, [name], c[codes])[name] for c in counts]
    assert math.isnan(wanted[0]) and np.isfinite(wanted).sum() > 10
    blocks = evaluate_resamples(s, name, counts, codes)
    np.testing.assert_allclose(blocks, wanted, rtol=1e-9)
    np.testing.assert_allclose(evaluate_resamples(s, name, counts[:, codes]), wanted, rtol=1e-9)
    monkeypatch.setattr(module, "CELLS", 100)
    np.testing.assert_allclose(evaluate_resamples(s, name, counts, codes), blocks, rtol=1e-14)


def test_undefined_is_nan_and_only_then() -> None:
    positive = Scored(np.array([1, 1]), np.array([0.2, 0.9]), 0.5, (0, 1))
    values = evaluate(positive, BINARY)
    assert {n for n, v in values.items() if math.isnan(v)} == {"roc_auc", "balanced_accuracy"}
    negative = Scored(np.array([0, 0]), np.array([0.2, 0.3]), 0.5, (0, 1))
    lost = {n for n, v in evaluate(negative, BINARY).items() if math.isnan(v)}
    assert lost == {"roc_auc", "pr_auc", "precision", "recall", "f1", "balanced_accuracy"}
    constant = Scored(np.array([0.1, 0.1, 0.1]), np.array([0.1, 0.2, 0.3]))
    assert math.isnan(evaluate(constant, ["r2"])["r2"])
    assert math.isnan(evaluate(Scored(np.array([0.0, 1.0]), np.array([1.0, 1.0])), ["mape"])["mape"])


def test_a_quotient_beyond_all_numbers_is_undefined_and_no_warning() -> None:
    # Squares of the truth sum to 1e-320, those of the errors to some 1e-3.
    tiny = Scored(np.array([0.0, 0.0, 1e-160]), np.full(3, 0.02))
    assert math.isnan(evaluate(tiny, ["r2"])["r2"])
    assert np.isnan(evaluate_resamples(tiny, "r2", np.ones((2, 3)), np.arange(3))).all()
    # Large and a number still: 1 - 3 * 4e-4 / (2 / 3 * 1e-200).
    large = Scored(np.array([0.0, 0.0, 1e-100]), np.full(3, 0.02))
    assert evaluate(large, ["r2"])["r2"] == pytest.approx(-1.8e197, rel=1e-6)


def test_variance_that_is_only_rounding_is_none() -> None:
    y = np.repeat([0.1, 0.7, 1e3], 7)
    s = Scored(y, y + 0.1)
    one_block_each = np.eye(3) * 3.0
    assert np.isnan(evaluate_resamples(s, "r2", one_block_each, np.repeat([0, 1, 2], 7))).all()
    assert np.isfinite(evaluate_resamples(s, "r2", np.ones((1, 3)), np.repeat([0, 1, 2], 7))).all()


@pytest.mark.parametrize("cells", [800, 1 << 14])  # ten rows at once and some 80 in a tie, or all at once
@pytest.mark.parametrize("levels", [4, 10_000])
def test_many_resamples_with_and_without_ties(
    cells: int, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    s = Scored(rng.integers(0, 2, 300), rng.integers(0, levels, 300) / levels, classes=(0, 1))
    codes, counts = rng.integers(0, 100, 300), rng.integers(0, 3, (80, 100)).astype(float)
    monkeypatch.setattr(module, "CELLS", cells)
    for name in ("roc_auc", "pr_auc"):
        wanted = [evaluate(s, [name], c[codes])[name] for c in counts]
        np.testing.assert_allclose(evaluate_resamples(s, name, counts, codes), wanted, rtol=1e-12)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_no_rows_and_no_weight_are_nan(task: str) -> None:
    s = random_scored(task, 1)
    names = of_task(task)
    assert all(map(math.isnan, evaluate(take(s, []), names).values()))
    assert all(map(math.isnan, evaluate(s, names, np.zeros(40)).values()))


def test_a_class_of_weight_zero_does_not_exist() -> None:
    s = Scored(np.array([0, 1, 1]), np.array([0.1, 0.4, 0.9]), 0.5, (0, 1))
    assert math.isnan(evaluate(s, ["roc_auc"], [0, 1, 1])["roc_auc"])


@pytest.mark.parametrize(
    ("y", "score", "classes", "words"),
    [
        ([0, np.nan], [0.1, 0.2], (0, 1), "truth has 1 null"),
        ([0, 1], [0.1, np.inf], (0, 1), "score has 1 null"),
        ([0, 2], [0.1, 0.2], (0, 1), "indices 0 to 1"),
        ([0.5, 1], [0.1, 0.2], (0, 1), "indices 0 to 1"),
        ([0, 1, 1], [0.1, 0.2], (0, 1), "same rows"),
        (["no", "yes"], [0.1, 0.2], (0, 1), "not made of numbers"),
        ([0, 1], [0.1, 0.2], (0, 1, 2), "3 classes"),
        ([0, 3], [[0.1, 0.2, 0.7]] * 2, (), "indices 0 to 2"),
    ],
)
def test_rows_that_cannot_be_judged(y: Any, score: Any, classes: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Scored(y, score, classes=classes)


def test_wrong_questions() -> None:
    s = Scored(np.array([0, 1]), np.array([0.1, 2.0]), classes=(0, 1))
    with pytest.raises(NotFoundError, match="roc_auc"):
        evaluate(s, ["roc_auk"])
    with pytest.raises(DataError, match=r"not for a binary model(.|\n)*brier"):
        evaluate(s, ["rmse"])
    with pytest.raises(DataError, match="no threshold"):
        evaluate(s, ["f1"])
    with pytest.raises(DataError, match=r"outside \[0, 1\]"):
        evaluate(s, ["log_loss"])
    for weights in ([1.0], [1.0, -1.0], [1.0, np.nan]):
        with pytest.raises(DataError, match="weight"):
            evaluate(s, ["roc_auc"], weights)


def test_custom_metric_with_and_without_weights() -> None:
    s = random_scored("binary", 2)
    counts = np.random.default_rng(0).integers(1, 4, 40)
    for function in (sk.roc_auc_score, lambda y, score: sk.roc_auc_score(y, score)):
        metric = custom("mine", function, "higher")
        assert evaluate(s, [metric], counts)["mine"] == pytest.approx(
            evaluate(s, ["roc_auc"], counts)["roc_auc"]
        )
    label = custom("mine", sk.f1_score, "higher", needs="label")
    assert evaluate(s, [label]) == pytest.approx({"mine": evaluate(s, ["f1"])["f1"]})
    with pytest.raises(DataError, match="no row weights"):
        evaluate(s, [metric], counts / 2)


def test_custom_metric_that_is_wrong() -> None:
    s = random_scored("binary", 2)
    with pytest.raises(SpecError, match="built-in"):
        custom("f1", sk.f1_score, "higher")
    with pytest.raises(UserCodeError, match="'mine' gave None"):
        evaluate(s, [custom("mine", lambda y, score: None, "higher")])
    picky = custom("mine", lambda y, score, weights: 1 / (len(np.unique(y)) - 1), "higher")
    assert evaluate(s, [picky]) == {"mine": 1.0}
    only = np.stack([np.ones(40), s.y == 1])
    np.testing.assert_array_equal(evaluate_resamples(s, picky, only), [1.0, np.nan])
    with pytest.raises(UserCodeError, match="'mine' raised ZeroDivisionError") as caught:
        evaluate(s, [picky], s.y)
    assert caught.value.where.startswith(f"{__file__}:")
    lost = custom("lost", lambda y, score: {}["gone"], "higher")
    with pytest.raises(UserCodeError, match="'lost' raised KeyError"):
        evaluate_resamples(s, lost, only)


def test_registry_is_complete() -> None:
    for task, names in DEFAULTS.items():
        assert all(task in METRICS[n].tasks for n in names)
    assert {n for n, m in METRICS.items() if m.better == "lower"} == {
        "log_loss",
        "brier",
        "rmse",
        "mae",
        "mape",
        "smape",
        "p90_error",
        "ece",
    }
    assert [METRICS["rmse"].sign, METRICS["f1"].sign] == [-1.0, 1.0]
    assert all(m.name == n and m.description and m.undefined for n, m in METRICS.items())
