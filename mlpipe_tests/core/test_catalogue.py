"""Metrics whose name takes a number, ranked lists and costs: by hand, against brute force and scikit-learn, and under resampling."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlpipe.core import metrics as module
from mlpipe.core.catalogue import FAMILIES, METRICS, custom, wrong_name
from mlpipe.core.costs import cost
from mlpipe.core.metrics import Scored, evaluate, evaluate_resamples
from mlpipe.errors import DataError, NotFoundError, SpecError
from mlpipe_tests.core.test_metrics import random_scored, random_weights, take

SEEDS = st.integers(0, 2**32 - 1)
LISTS = ["ndcg", "ndcg@3", "map", "mrr", "hit@2"]


def lists(seed: int, graded: bool = True) -> Scored:
    """Lists of one to some ten rows, in no order, with ties and lists without a relevant row."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 9, 40)
    score = np.round(rng.random(40), int(rng.integers(1, 3)))
    if graded:
        return Scored(rng.integers(0, 4, 40) * rng.integers(0, 2, 40), score, groups=groups)
    return Scored(rng.integers(0, 2, 40), score, 0.5, (0, 1), groups)


def by_list(s: Scored, one: Any) -> float:
    found = [
        one(s.y[s.groups == g], s.score[s.groups == g])
        for g in np.unique(s.groups)
        if s.y[s.groups == g].any()
    ]
    return float(np.mean(found))


def sk_ndcg(y: Any, score: Any, k: int | None = None) -> float:
    return 1.0 if len(y) == 1 else float(sk.ndcg_score([y], [score], k=k))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, graded=st.booleans())
def test_lists_equal_scikit_learn_list_by_list(seed: int, graded: bool) -> None:
    s = lists(seed, graded)
    first = lambda y, score: np.sum(score >= score[y > 0].max())  # noqa: E731
    wanted = {
        "ndcg": by_list(s, sk_ndcg),
        "ndcg@3": by_list(s, lambda y, score: sk_ndcg(y, score, 3)),
        "map": by_list(s, lambda y, score: sk.average_precision_score(y > 0, score)),
        "mrr": by_list(s, lambda y, score: 1 / first(y, score)),
        "hit@2": by_list(s, lambda y, score: first(y, score) <= 2),
    }
    assert evaluate(s, LISTS) == pytest.approx(wanted, rel=1e-12)


def test_lists_by_hand() -> None:
    # List "a": the relevant row is second. List "b": it shares the first score with another. List "c" has none, and is left out.
    s = Scored([0, 1, 1, 0, 0], [0.9, 0.5, 0.7, 0.7, 0.2], 0.5, (0, 1), np.array(["a", "a", "b", "b", "c"]))
    dcg = 1 / math.log2(3)
    assert evaluate(s, ["mrr", "map", "hit@1", "hit@2", "ndcg"]) == pytest.approx(
        {"mrr": 0.5, "map": 0.5, "hit@1": 0.0, "hit@2": 1.0, "ndcg": (dcg + (1 + dcg) / 2) / 2}
    )
    assert math.isnan(evaluate(take(s, [0, 3, 4]), ["map"])["map"])


@pytest.mark.parametrize("name", LISTS)
def test_a_resample_weighs_whole_lists(name: str) -> None:
    s = lists(3)
    values = {g: evaluate(take(s, np.flatnonzero(s.groups == g)), [name])[name] for g in np.unique(s.groups)}
    counts = np.random.default_rng(0).integers(0, 3, (30, 9)).astype(float)
    of_lists = np.array([values.get(g, np.nan) for g in range(9)])
    defined = ~np.isnan(of_lists)
    wanted = counts[:, defined] @ of_lists[defined] / counts[:, defined].sum(axis=1)
    np.testing.assert_allclose(evaluate_resamples(s, name, counts, s.groups), wanted, rtol=1e-12)
    np.testing.assert_allclose(evaluate(s, [name], counts[0][s.groups])[name], wanted[0], rtol=1e-12)


def test_lists_that_cannot_be_judged() -> None:
    with pytest.raises(DataError, match="which rows form a list"):
        evaluate(random_scored("binary", 1), ["ndcg"])
    with pytest.raises(DataError, match="below zero"):
        evaluate(Scored([-1.0, 1.0], [0.1, 0.2], groups=np.array([0, 0])), ["ndcg@5"])
    with pytest.raises(DataError, match="do not fit 2 rows"):
        Scored([0, 1], [0.1, 0.2], 0.5, (0, 1), np.array([1]))


def recall_by_brute_force(s: Scored, w: Any, least: float) -> float:
    best = 0.0
    for cut in np.unique(s.score):
        hit = s.score >= cut
        under = w[hit].sum()
        if under > 0 and w[hit & (s.y == 1)].sum() / under >= least:
            best = max(best, w[hit & (s.y == 1)].sum() / w[s.y == 1].sum())
    return best


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, weighted=st.booleans(), least=st.sampled_from([0.25, 0.5, 0.75, 0.9]))
def test_recall_at_a_precision_is_that_of_brute_force(seed: int, weighted: bool, least: float) -> None:
    s = random_scored("binary", seed)
    w = np.rint(random_weights(seed) * 4) if weighted else np.ones(40)
    got = evaluate(s, [f"recall@precision={least}"], w)[f"recall@precision={least}"]
    assert got == pytest.approx(recall_by_brute_force(s, w, least), abs=1e-12)
    if not weighted:
        precision, recall, _ = sk.precision_recall_curve(s.y, s.score)
        assert got == pytest.approx(max(recall[precision >= least]))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 40))
def test_precision_of_the_first_rows_is_its_mean_over_orders_of_a_tie(seed: int, k: int) -> None:
    s = random_scored("binary", seed)
    rng = np.random.default_rng(seed)
    orders = [np.lexsort((rng.random(40), -s.score))[:k] for _ in range(400)]
    mean = np.mean([s.y[o].mean() for o in orders])
    got = evaluate(s, [f"precision@{k}"])[f"precision@{k}"]
    assert got == pytest.approx(mean, abs=4 * 0.5 / math.sqrt(400 * k) + 1e-12)
    ranked = Scored(s.y, np.random.default_rng(seed).permutation(40) / 40, 0.5, s.classes)
    top = np.argsort(-ranked.score)[:k]
    assert evaluate(ranked, [f"precision@{k}"])[f"precision@{k}"] == pytest.approx(ranked.y[top].mean())


def test_precision_of_more_rows_than_there_are_is_undefined() -> None:
    s = Scored([1, 0, 1], [0.9, 0.5, 0.5], 0.5, (0, 1))
    values = evaluate(s, ["precision@2", "precision@3", "precision@4"])
    assert [values["precision@2"], values["precision@3"]] == pytest.approx([0.75, 2 / 3])
    assert math.isnan(values["precision@4"])
    assert evaluate(s, ["precision@4"], [2, 1, 1])["precision@4"] == 0.75


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, weighted=st.booleans(), at=st.sampled_from([0.1, 0.5, 0.9]))
def test_pinball_loss_equals_scikit_learn(seed: int, weighted: bool, at: float) -> None:
    s, w = random_scored("regression", seed), random_weights(seed) if weighted else None
    wanted = sk.mean_pinball_loss(s.y, s.score, sample_weight=w, alpha=at)
    assert evaluate(s, [f"quantile_loss@{at}"], w)[f"quantile_loss@{at}"] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", ["recall@precision=0.4", "precision@7", "ece@4", "quantile_loss@0.2"])
def test_resamples_equal_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s = random_scored(METRICS[name].tasks[0], 5)
    codes, counts = (
        np.random.default_rng(3).integers(0, 6, 40),
        np.random.default_rng(3).integers(0, 3, (17, 6)) * 1.0,
    )
    counts[0] = 0
    wanted = [evaluate(s, [name], c[codes])[name] for c in counts]
    assert math.isnan(wanted[0]) and np.isfinite(wanted).sum() > 10
    np.testing.assert_allclose(evaluate_resamples(s, name, counts, codes), wanted, rtol=1e-9)
    monkeypatch.setattr(module, "CELLS", 100)  # a few rows at once
    np.testing.assert_allclose(evaluate_resamples(s, name, counts, codes), wanted, rtol=1e-9)


def test_costs_by_hand_and_as_a_sum_over_the_confusion() -> None:
    s = random_scored("binary", 3)
    _, fp, fn, tp = sk.confusion_matrix(s.y, s.labels).ravel()
    flat = cost({"false_positive": 1, "false_negative": 5, "true_positive": -2})
    assert evaluate(s, [flat])["cost"] == pytest.approx((fp + 5 * fn - 2 * tp) / 40)
    named = cost({"no": {"yes": 1}, "yes": {"no": 5, "yes": -2}}, "loss")
    assert evaluate(s, [named])["loss"] == pytest.approx((fp + 5 * fn - 2 * tp) / 40)
    many = random_scored("multiclass", 3)
    costs = {a: {b: i + 2 * j for j, b in enumerate("abc") if b != a} for i, a in enumerate("abc")}
    matrix = np.array([[costs[a].get(b, 0) for b in "abc"] for a in "abc"])
    wanted = np.sum(matrix * sk.confusion_matrix(many.y, many.labels)) / 40
    assert evaluate(many, [cost(costs)])["cost"] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({}, "finite numbers"),
        ({"false_positive": 1}, "each kind of error"),
        ({"false_positive": 1, "false_negative": math.inf}, "finite numbers"),
        ({"false_positiv": 1, "false_negative": 2}, "'false_positive'"),
        ({"no": {"yes": "1"}}, "finite numbers"),
    ],
)
def test_costs_that_are_none(costs: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        cost(costs)


def test_costs_that_do_not_fit_the_classes() -> None:
    with pytest.raises(DataError, match="do not fit 3 classes"):
        evaluate(random_scored("multiclass", 1), [cost({"false_positive": 1, "false_negative": 1})])
    with pytest.raises(DataError, match="predicting 'no' where 'yes'"):
        evaluate(random_scored("binary", 1), [cost({"no": {"yes": 1}})])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("precision@0", "a whole number from 1 after 'precision@'"),
        ("precision@1.5", "a whole number"),
        ("recall@precision=1", "between 0 and 1"),
        ("recall@precision=0", "between 0 and 1"),
        ("ndcg@", "Write ndcg@10"),
        ("ndgc@10", "'ndcg@10'"),
        ("recall@precision", "recall@precision=0.9"),
        ("roc_auk", "'roc_auc'"),
    ],
)
def test_names_that_are_none(name: str, words: str) -> None:
    assert name not in METRICS
    assert words in str(wrong_name(name))
    with pytest.raises(NotFoundError):
        evaluate(random_scored("binary", 1), [name])


def test_every_family_knows_its_example() -> None:
    for family in FAMILIES.values():
        assert wrong_name(family.example) is None and METRICS[family.example].name == family.example
        assert family.example.startswith(family.name) and family.example not in list(METRICS)
    with pytest.raises(SpecError, match="built-in"):
        custom("precision@5", lambda y, s: 0.0, "higher")
