"""Changes of cells, and answers that came out otherwise."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.behaviour import Change, answers, changed, moved, parse_change, wrong_way
from mlpipe.errors import DataError


def became(values, given, seed=0, dtype=None):
    column, mask = changed(
        pd.Series(values, name="x", dtype=dtype), parse_change(given), np.random.default_rng(seed)
    )
    return [None if pd.isna(v) else v for v in column], mask.tolist()


@pytest.mark.parametrize(
    ("given", "after", "mask"),
    [
        ("+30", [31.0, 32.0, None], [True, True, False]),
        ("-0.5", [0.5, 1.5, None], [True, True, False]),
        ("*2", [2.0, 4.0, None], [True, True, False]),
        ("/2", [0.5, 1.0, None], [True, True, False]),
        ("+0", [1.0, 2.0, None], [False, False, False]),
        (2, [2.0, 2.0, 2.0], [True, False, True]),
        (None, [None, None, None], [True, True, False]),
        ({"swap": [1, 2]}, [2.0, 1.0, None], [True, True, False]),
        ({"swap": {1: 5}}, [5.0, 2.0, None], [True, False, False]),
        ({"scale": 3}, [3.0, 6.0, None], [True, True, False]),
    ],
)
def test_numbers_become(given, after, mask):
    assert became([1.0, 2.0, np.nan], given) == (after, mask)


@pytest.mark.parametrize(
    ("given", "after", "mask"),
    [
        ("JFK", ["JFK", "JFK", "JFK"], [True, True, True]),
        (None, [None, None, None], [True, True, False]),
        ({"add": " please"}, ["Late again please", "LATE please", None], [True, True, False]),
        ({"case": "upper"}, ["LATE AGAIN", "LATE", None], [True, False, False]),
        ({"synonyms": {"late": ["delayed"]}}, ["Delayed again", "DELAYED", None], [True, True, False]),
        ({"synonyms": {"lat": ["x"]}}, ["Late again", "LATE", None], [False, False, False]),
        ({"synonyms": {"ate": ["x"]}}, ["Late again", "LATE", None], [False, False, False]),
        ({"names": ["Late", "Ana"]}, ["Ana again", "LATE", None], [True, False, False]),
        ({"swap": ["LATE", "EARLY"]}, ["Late again", "EARLY", None], [False, True, False]),
    ],
)
def test_text_becomes(given, after, mask):
    assert became(["Late again", "LATE", None], given, dtype="str") == (after, mask)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=5), st.integers(1, 20), st.integers(0, 99))
def test_typos_exchange_neighbours_and_lose_no_letter(texts, count, seed):
    change = parse_change({"typo": count})
    after, mask = changed(pd.Series(texts, dtype=object), change, np.random.default_rng(seed))
    again, _ = changed(pd.Series(texts, dtype=object), change, np.random.default_rng(seed))
    assert after.equals(again)
    for old, new, differs in zip(texts, after, mask, strict=True):
        assert sorted(old) == sorted(new) and differs == (old != new)
        assert count > 1 or sum(a != b for a, b in zip(old, new, strict=True)) in (0, 2)


@pytest.mark.parametrize(
    "given",
    [
        {"typo": 0},
        {"typo": True},
        {"case": "loud"},
        {"swap": [1, 1]},
        {"swap": [1]},
        {"names": ["Ana"]},
        {"synonyms": {}},
    ]
    + [
        {"add": ""},
        {"scale": "x"},
        {"rotate": 1},
        {},
        {"add": 1, "scale": 2},
        "/0",
        [1],
        {"synonyms": {"a": [1]}},
    ],
)
def test_what_is_no_change_is_refused(given):
    with pytest.raises(ValueError, match=r"."):
        parse_change(given)


@pytest.mark.parametrize(
    ("values", "change"),
    [
        ([1.0], Change("typo", 1)),
        ([1.0], Change("set", "a")),
        ([1.0], Change("add", "a")),
        ([1.0], Change("swap", {"a": "b"})),
        (["a"], Change("scale", 2.0)),
        (["a"], Change("add", 2.0)),
    ],
)
def test_a_change_must_suit_the_column(values, change):
    with pytest.raises(DataError, match="the feature holds"):
        changed(pd.Series(values, name="x"), change, np.random.default_rng(0))


def test_answers_and_moves_by_hand():
    before, after = np.array([0.2, 0.5, 0.9]), np.array([0.3, 0.5, 0.7])
    assert answers(before, None).tolist() == [False, True, True]
    assert answers(before, 0.6).tolist() == [False, False, True]
    assert answers(np.array([[0.2, 0.5, 0.3]]), None).tolist() == [1]
    assert moved(before, after, 0.1).tolist() == [False, False, True]
    assert wrong_way(before, after, "up", 0.0).tolist() == [False, False, True]
    assert wrong_way(before, after, "up", 0.2).tolist() == [False, False, False]
    assert wrong_way(before, after, "down", 0.05).tolist() == [True, False, False]
    assert wrong_way(before, after, "same", 0.0).tolist() == [True, False, True]
    two = np.array([[0.5, 0.5]])
    assert moved(two, two + [[0.2, -0.2]], 0.1).tolist() == [True]
