"""Threshold rules: by hand, and against trying every cut."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core.metrics import Scored, evaluate
from mlpipe.core.threshold import RULES, UNKNOWN, Rule, choose, validate_rule
from mlpipe.errors import DataError, SpecError

Y = np.array([0, 0, 1, 0, 1, 1])
SCORE = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8])
COST: dict[str, Any] = {"cost": {"false_positive": 1, "false_negative": 5}}


def values(y: Any, score: Any, cut: float, w: Any = None) -> dict[str, float]:
    names = ["precision", "recall", "f1", "balanced_accuracy"]
    return evaluate(Scored(np.asarray(y), np.asarray(score), cut, (0, 1)), names, w)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (0.35, 0.35),
        ("max_f1", 0.25),  # tp 3, fp 1: 6/7, above 4/5 at 0.5
        ("max_balanced_accuracy", 0.5),  # (2/3 + 1) / 2, as good as (1 + 2/3) / 2 at 0.25: the higher cut
        ({"precision_at_least": 0.9}, 0.5),
        ({"precision_at_least": 0.75}, 0.25),
        ({"recall_at_least": 0.6}, 0.5),
        ({"recall_at_least": 1}, 0.25),
        (COST, 0.25),
        ({"cost": {"false_positive": 5, "false_negative": 1}}, 0.5),
    ],
)
def test_by_hand(rule: Rule, value: float) -> None:
    chosen = choose(Y, SCORE, rule)
    assert chosen.value == pytest.approx(value) and chosen.note == "" and chosen.rule == rule


def test_what_is_achieved() -> None:
    achieved = choose(Y, SCORE, COST).achieved
    assert achieved == pytest.approx(
        {
            "precision": 3 / 4,
            "recall": 1,
            "f1": 6 / 7,
            "balanced_accuracy": (1 + 2 / 3) / 2,
            "predicted_positive": 4 / 6,
            "cost": 1 / 6,
        }
    )
    assert achieved == {**choose(Y, SCORE, 0.25).achieved, "cost": achieved["cost"]}


def random_rows(seed: int, weighted: bool) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 15))
    y = np.append([0, 1], rng.integers(0, 2, n - 2))
    w = np.append([1, 1], rng.integers(0, 4, n - 2)) * 0.25 if weighted else None
    return y, np.round(rng.random(n), int(rng.integers(1, 3))), w


def best_by_trying(y: Any, score: Any, rule: Any, w: Any) -> tuple[float, ...]:
    """Best objective over every set of rows that a threshold can single out."""
    row = np.ones(len(y)) if w is None else w
    found: list[tuple[float, ...]] = []
    for cut in [*np.unique(score), 2.0]:
        v = {k: -1.0 if math.isnan(x) else x for k, x in values(y, score, float(cut), w).items()}
        hit = score >= cut
        if isinstance(rule, str):
            found.append((v[rule.removeprefix("max_")],))
        elif "cost" in rule:
            wrong = 1.0 * row[hit & (y == 0)].sum() + 5.0 * row[~hit & (y == 1)].sum()
            found.append((-wrong / row.sum(),))
        else:
            (name, least), kind = next(iter(rule.items())), next(iter(rule)).removesuffix("_at_least")
            other = "recall" if name == "precision_at_least" else "precision"
            met = v[kind] >= least and v["precision"] >= 0
            found.append((float(met), v[other] if met else v[kind], v[kind] if met else v[other]))
    return max(found)


RULE = st.one_of(
    st.sampled_from(["max_f1", "max_balanced_accuracy", COST]),
    st.builds(lambda x: {"precision_at_least": x}, st.sampled_from([0.0, 0.3, 0.5, 0.75, 0.9, 1.0])),
    st.builds(lambda x: {"recall_at_least": x}, st.sampled_from([0.0, 0.3, 0.5, 0.75, 0.9, 1.0])),
)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rule=RULE, weighted=st.booleans())
def test_equal_to_trying_every_cut(seed: int, rule: Any, weighted: bool) -> None:
    y, score, w = random_rows(seed, weighted)
    chosen = choose(y, score, rule, w)
    got = chosen.achieved
    again = values(y, score, chosen.value, w)
    assert again == pytest.approx({k: got[k] for k in again}, nan_ok=True)
    best = best_by_trying(y, score, rule, w)
    if isinstance(rule, str):
        assert got[rule.removeprefix("max_")] == pytest.approx(best[0])
    elif "cost" in rule:
        assert got["cost"] == pytest.approx(-best[0])
    else:
        kinds = ["recall", "precision"] if "precision_at_least" in rule else ["precision", "recall"]
        kinds = kinds if best[0] else kinds[::-1]
        assert [got[k] for k in kinds] == pytest.approx(best[1:])
        assert (chosen.note == "") == bool(best[0])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rule=RULE)
def test_the_value_stands_midway_between_scores(seed: int, rule: Any) -> None:
    y, score, _ = random_rows(seed, False)
    value = choose(y, score, rule).value
    distinct = np.unique(score)
    middles = (distinct[1:] + distinct[:-1]) / 2
    assert np.isclose(middles, value).any() or value <= distinct[0] or value > max(1.0, distinct[-1])


def test_a_score_on_a_fixed_threshold_is_positive() -> None:
    assert choose([0, 1], [0.2, 0.5], 0.5).achieved["recall"] == 1


def test_rows_of_weight_zero_do_not_exist() -> None:
    assert choose([0, 0, 1], [0.2, 0.5, 0.6], "max_f1", [1, 0, 1]).value == pytest.approx(0.4)
    assert choose([1, 0], [0.2, 0.8], "max_f1", [0, 1]).note.startswith("No row is positive")


def test_adjacent_scores_are_told_apart() -> None:
    low, high = 0.5, float(np.nextafter(0.5, 1))
    chosen = choose([0, 1], [low, high], "max_f1")
    assert chosen.value == high and chosen.achieved["f1"] == 1


def test_all_or_none_may_be_best() -> None:
    dear = {"cost": {"false_positive": 100, "false_negative": 1}}
    none = choose([1, 0], [0.5, 1.0], dear)
    assert none.achieved["predicted_positive"] == 0 and none.value > 1
    assert choose([1, 0], [0.5, 1.0], {"recall_at_least": 1.0}).value == 0.0


def test_a_rule_out_of_reach_is_told() -> None:
    chosen = choose([0, 1, 1, 0], [0.9, 0.8, 0.7, 0.1], {"precision_at_least": 0.9})
    assert chosen.value == pytest.approx(0.4) and chosen.achieved["precision"] == pytest.approx(2 / 3)
    assert chosen.note == "A precision of at least 0.9 is out of reach; the highest, 0.6667, was taken."


@pytest.mark.parametrize(
    ("y", "rule", "note"),
    [
        ([], "max_f1", "no rows"),
        ([], COST, "no rows"),
        ([0, 0], "max_f1", "No row is positive"),
        ([0, 0], {"recall_at_least": 0.5}, "No row is positive"),
        ([1, 1], "max_balanced_accuracy", "No row is negative"),
    ],
)
def test_rows_without_an_answer(y: list[int], rule: Rule, note: str) -> None:
    chosen = choose(y, [0.2, 0.8][: len(y)], rule)
    assert chosen.value == UNKNOWN and note in chosen.note and "0.5" in chosen.note
    assert json.loads(json.dumps(chosen.value)) == UNKNOWN


def test_one_class_is_enough_where_it_answers() -> None:
    assert choose([1, 1], [0.2, 0.8], "max_f1").achieved["f1"] == 1
    assert choose([0, 0], [0.2, 0.8], COST).achieved["cost"] == 0


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("max_f2", "Did you mean 'max_f1'"),
        ("precision_at_least", r"needs its value.*0\.9"),
        ("number", "needs its value"),
        (1.5, r"in \[0, 1\]"),
        (float("nan"), r"in \[0, 1\]"),
        (True, "no threshold rule"),
        (None, "no threshold rule.*max_f1"),
        ({"precision_atleast": 0.9}, "Did you mean 'precision_at_least'"),
        ({"max_f1": 1}, "Write 'max_f1'"),
        ({"precision_at_least": "high"}, "number in"),
        ({"recall_at_least": 1.1}, "number in"),
        ({"recall_at_least": True}, "number in"),
        ({"recall_at_least": 0.5, "precision_at_least": 0.5}, "exactly one"),
        ({}, "exactly one"),
        ({"cost": 3}, "needs false_positive and false_negative"),
        ({"cost": {"false_positiv": 1, "false_negative": 1}}, "Did you mean 'false_positive'"),
        ({"cost": {"false_positive": 0, "false_negative": 0}}, "not both zero"),
        ({"cost": {"false_positive": -1, "false_negative": 1}}, ">= 0"),
        ({1: 2}, "no threshold rule '1'"),
    ],
)
def test_wrong_rules_say_what_is_wrong(rule: Any, words: str) -> None:
    problem = validate_rule(rule)
    assert problem is not None
    with pytest.raises(SpecError, match=words):
        choose(Y, SCORE, rule)


def test_right_rules_and_their_help() -> None:
    for rule in (0, 1, 0.35, "max_f1", "max_balanced_accuracy", {"precision_at_least": 1}, COST):
        assert validate_rule(rule) is None
    assert list(RULES) == [
        "number",
        "max_f1",
        "max_balanced_accuracy",
        "precision_at_least",
        "recall_at_least",
        "cost",
    ]


def test_wrong_rows() -> None:
    with pytest.raises(DataError, match="indices 0 to 1"):
        choose([0, 2], [0.1, 0.2], "max_f1")
    with pytest.raises(DataError, match="weights"):
        choose([0, 1], [0.1, 0.2], "max_f1", [1.0])
