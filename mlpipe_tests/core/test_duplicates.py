"""Copies among rows, against a look at every pair."""

import re
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.duplicates import Counts, canonical, copies, counted, rounded

TABLE = pd.DataFrame(
    {
        "size": [1.0, 1.0, 1.0001, 2.0, np.nan, np.nan, 0.0, -0.0],
        "city": ["Ulm", "Ulm", " ulm ", "Ulm", None, None, "Bonn  am Rhein", "bonn am rhein"],
    }
)


def test_rows_that_are_equal_and_rows_that_are_nearly_so() -> None:
    found = copies(TABLE)
    assert found.exact.tolist() == [0, 0, 1, 2, 3, 3, 4, 5]
    assert found.near.tolist() == [0, 0, 0, 1, 2, 2, 3, 3]


def test_what_is_counted() -> None:
    found, parts = copies(TABLE), np.array([0, 1, 0, 0, 0, 0, 2, 1])
    # Rows 0 and 1 straddle train and valid; rows 4 and 5 do not.
    assert counted(found.exact, parts) == Counts(rows=2, share=2 / 8, groups=2, straddling=1)
    # Row 2 repeats rows 0 and 1, row 7 repeats row 6, each in other letters.
    assert counted(found.near, parts, within=found.exact) == Counts(2, 2 / 8, 2, 2)
    nowhere = np.full(8, -1)
    assert counted(found.exact, nowhere).straddling == 0
    assert counted(np.zeros(0, dtype="int64"), np.zeros(0, dtype="int64")) == Counts(0, 0.0, 0, 0)
    assert counted(np.zeros(3, dtype="int64"), np.array([0, 0, -1])).straddling == 0


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        (1234.0, 1230.0),
        (-0.012349, -0.0123),
        (999.6, 1000.0),
        (0.0, 0.0),
        (5.0, 5.0),
        (1e300, 1e300),
        (1e-300, 1e-300),
    ],
)
def test_three_significant_digits(number: float, wanted: float) -> None:
    assert rounded(np.array([number])).tolist() == [pytest.approx(wanted, rel=1e-15)]


def test_what_has_no_digits_stays() -> None:
    assert np.isnan(rounded(np.array([np.nan]))).all() and rounded(np.array([np.inf, -np.inf])).tolist() == [
        np.inf,
        -np.inf,
    ]
    assert canonical(pd.Series(["A  b\t c ", None])).tolist()[0] == "a b c"
    assert canonical(pd.Series([None, None], dtype=object)).isna().all()
    assert canonical(pd.Series([True, None], dtype="boolean")).tolist()[0] == 1.0


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_rounding_is_that_of_python_but_for_ties(numbers: list[float]) -> None:
    for number, made in zip(numbers, rounded(np.array(numbers, dtype="float64")), strict=True):
        digits = f"{abs(number):.16e}"
        tie = re.match(r"\d\.\d\d(4999|5000)", digits)
        assert (
            tie
            or abs(number) < 1e-290
            or abs(number) > 1e300
            or made == pytest.approx(float(f"{number:.2e}"), rel=1e-12)
        )


ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, 0.0, -0.0, 1.0, 1.001, 1.004, 12.0, 12.01, 1200.0, 1201.0, float("inf")]),
        st.sampled_from([None, "", "Ulm", "ulm", "ULM ", "U lm", "u  lm"]),
        st.sampled_from([0.0, 1.0]),
    ),
    max_size=14,
)


def plainly(row: Any) -> Any:
    number, word, label = row
    return (
        None if number is None else number + 0.0 if abs(number) == np.inf else float(f"{number + 0.0:.2e}"),
        None if word is None else " ".join(word.lower().split()),
        label,
    )


@given(ROWS, st.lists(st.integers(-1, 2), min_size=14, max_size=14))
def test_groups_are_those_that_brute_force_finds(rows: list[Any], codes: list[int]) -> None:
    frame = pd.DataFrame(rows, columns=["number", "word", "label"]).astype(
        {"number": "float64", "word": "str", "label": float}
    )
    parts = np.array(codes[: len(rows)], dtype="int64")
    found = copies(frame)
    for i, j in combinations(range(len(rows)), 2):
        assert (found.exact[i] == found.exact[j]) == (rows[i] == rows[j])
        assert (found.near[i] == found.near[j]) == (plainly(rows[i]) == plainly(rows[j]))

    def groups(keys: list[Any]) -> list[set[int]]:
        return [{i for i, k in enumerate(keys) if k == key} for key in dict.fromkeys(keys)]

    def told(found: list[set[int]], versions: list[int]) -> Counts:
        extra = sum(v - 1 for v in versions)
        spread = [len({codes[i] for i in g if codes[i] >= 0}) > 1 for g in found]
        repeated = [v > 1 for v in versions]
        both = sum(a and b for a, b in zip(spread, repeated, strict=True))
        return Counts(extra, extra / len(rows) if rows else 0.0, sum(repeated), both)

    same, alike = groups(rows), groups([plainly(r) for r in rows])
    assert counted(found.exact, parts) == told(same, [len(g) for g in same])
    versions = [len({rows[i] for i in g}) for g in alike]
    assert counted(found.near, parts, within=found.exact) == told(alike, versions)


def test_columns_are_told_apart() -> None:
    swapped = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    assert copies(swapped).exact.tolist() == [0, 1]
    assert copies(pd.DataFrame({"a": []})).exact.tolist() == []


def test_the_cost_grows_with_the_rows() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {f"n{i}": rng.normal(size=100_000) for i in range(10)} | {"word": rng.choice(["a", "B "], 100_000)}
    )
    # Compared pair by pair, these rows would take longer than a test may.
    found = copies(frame)
    assert counted(found.exact, np.zeros(100_000, dtype="int64")).rows == 0
