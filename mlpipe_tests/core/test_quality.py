"""Types, copies, times and the arithmetic of the five dimensions."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core.quality import (
    Outcome,
    comparable,
    copies,
    dimension_scores,
    dtype_breaks,
    freshness_score,
    instants,
    newest_gap,
    outside,
)

CELLS: list[Any] = [
    1,
    2.0,
    2.5,
    True,
    "a",
    None,
    float("inf"),
    float("nan"),
    Decimal(3),
    datetime(2024, 1, 1),
    date(2024, 1, 1),
]
KEEPS = {
    "int": {0, 1, 8},
    "float": {0, 1, 2, 6, 8},
    "number": {0, 1, 2, 3, 6, 8},
    "string": {4},
    "bool": {3},
    "datetime": {9, 10},
}


@pytest.mark.parametrize("dtype", KEEPS)
def test_each_cell_of_a_mixed_column_is_judged_alone(dtype: str) -> None:
    nulls = {5, 7}
    broken = dtype_breaks(pd.Series(CELLS, dtype=object), dtype)
    assert {i for i, wrong in enumerate(broken) if not wrong} == KEEPS[dtype] | nulls


@pytest.mark.parametrize(
    ("values", "dtype", "broken"),
    [
        (pd.Series([1.0, 2.5, np.nan, np.inf]), "int", [0, 1, 0, 1]),
        (pd.Series([1, 2]), "float", [0, 0]),
        (pd.Series([1, None], dtype="Int64"), "int", [0, 0]),
        (pd.Series([1.5, None], dtype="Float64"), "int", [1, 0]),
        (pd.Series(["5", None]), "int", [1, 0]),
        (pd.Series(["5", None]), "string", [0, 0]),
        (pd.Series([True, False]), "int", [1, 1]),
        (pd.Series([0, 1]), "bool", [1, 1]),
        (pd.Series([np.nan, np.nan]), "string", [0, 0]),
        (pd.Series(pd.date_range("2024", periods=2, tz="Asia/Tokyo")), "datetime", [0, 0]),
        (pd.Series(["2024-01-01"]), "datetime", [1]),
        (pd.Series(["x", None, "y"], dtype="category"), "string", [0, 0, 0]),
        (pd.Series([1, None, "y"], dtype="category"), "int", [0, 0, 1]),
        (pd.Series([timedelta(1)]), "number", [1]),
        (pd.Series([], dtype=object), "int", []),
    ],
)
def test_columns_of_every_pandas_type(values: "pd.Series[Any]", dtype: str, broken: list[int]) -> None:
    assert dtype_breaks(values, dtype).tolist() == [bool(b) for b in broken]


def test_what_has_the_wrong_type_becomes_null_and_the_rest_numbers() -> None:
    values = pd.Series([1, "x", None, Decimal("2.5"), 10**400], dtype=object)
    made = comparable(values, "number", dtype_breaks(values, "number"))
    assert made.dtype == "float64"
    assert made.fillna(-1.0).tolist() == [1.0, -1.0, -1.0, 2.5, float("inf")]


def test_a_column_that_needs_nothing_comes_back_as_it_is() -> None:
    values = pd.Series([1.0, np.nan])
    assert comparable(values, "float", np.zeros(2, dtype=bool)) is values


# -- copies --------------------------------------------------------------------------------------------------


def test_exact_copies_keep_the_first_and_conflicting_ones_keep_none() -> None:
    # key 1: an exact copy. key 2: two that differ. key 3: two alike and one that differs. key 4: alone.
    frame = pd.DataFrame({"k": [1, 1, 2, 2, 3, 3, 3, 4], "v": [5, 5, 6, 7, 8, 8, 9, 1]}, index=[9] * 8)
    drop, surplus = copies(frame, ["k"])
    assert np.flatnonzero(drop).tolist() == [1, 2, 3, 4, 5, 6]
    assert np.flatnonzero(surplus).tolist() == [1, 3, 5, 6]


def test_rows_without_a_key_are_nobody_s_copy_but_half_a_key_counts() -> None:
    frame = pd.DataFrame({"a": [None, None, 1.0, 1.0], "b": [None, None, None, None], "v": [1, 1, 2, 3]})
    assert copies(frame, ["a", "b"])[0].tolist() == [False, False, True, True]


def test_lists_in_a_column_can_be_compared() -> None:
    frame = pd.DataFrame({"k": [[1], [1], [2]], "v": [1, 1, 1]})
    assert copies(frame, ["k"])[0].tolist() == [False, True, False]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("xy"), st.integers(0, 1)), max_size=12))
def test_copies_agree_with_looking_at_every_group(rows: list[tuple[int, str, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b", "v"])
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for i, (a, b, _) in enumerate(rows):
        groups[a, b].append(i)
    drop, surplus = set(), set()
    for members in groups.values():
        surplus |= set(members[1:])
        drop |= set(members) if len({rows[i] for i in members}) > 1 else set(members[1:])
    found = copies(frame, ["a", "b"])
    assert [set(np.flatnonzero(m)) for m in found] == [drop, surplus]


# -- time ----------------------------------------------------------------------------------------------------

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)


def test_a_window_holds_its_start_and_not_its_end() -> None:
    times = pd.Series(
        pd.to_datetime(
            ["2024-01-01", "2024-01-01 23:59:59.999999", "2024-01-02", "2023-12-31", ""], format="ISO8601"
        )
    )
    assert outside(times, START, END, "UTC").tolist() == [False, False, True, True, True]


def test_the_zone_of_times_without_one_decides_and_their_own_wins() -> None:
    midnight = pd.Series(["2024-01-01 00:30", "2024-01-01 00:30+00:00", "2024-01-01T01:30"])
    # Half past midnight in Paris is 23:30 UTC of the day before.
    assert outside(midnight, START, END, "Europe/Paris").tolist() == [True, False, False]


@pytest.mark.parametrize(
    "values",
    [pd.Series([20240101, 1704067200]), pd.Series([True, False]), pd.Series(["soon", 5], dtype=object)],
)
def test_what_is_no_time_is_outside(values: "pd.Series[Any]") -> None:
    assert outside(values, START, END, "UTC").all()


def test_an_hour_that_comes_twice_is_inside_when_either_reading_is() -> None:
    # Paris, 27 October 2024: 02:30 is 00:30 UTC and again 01:30 UTC.
    twice = pd.Series(pd.to_datetime(["2024-10-27 02:30"]))
    for hour in (0, 1):
        begin = datetime(2024, 10, 27, hour, tzinfo=UTC)
        assert not outside(twice, begin, begin + timedelta(hours=1), "Europe/Paris").any()
    assert instants(twice, "Europe/Paris")[0] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)


def test_dates_and_mixed_zones_are_read() -> None:
    cells = pd.Series(
        [date(2024, 1, 1), "2024-01-01T05:00+02:00", pd.Timestamp("2024-01-01 06:00"), None], dtype=object
    )
    hours = [t.hour if t is not pd.NaT else None for t in instants(cells, "UTC")]
    assert hours == [0, 3, 6, None]


def test_no_word_asks_the_clock_of_whoever_reads() -> None:
    for dtype in ("str", object):
        words = pd.Series(["now", "today", " 2024-01-01"], dtype=dtype)
        assert instants(words, "UTC").isna().tolist()[:2] == [True, True]


def test_the_newest_row_before_the_end_makes_it_fresh() -> None:
    times = pd.Series(pd.to_datetime(["2024-01-01 20:00", "2024-01-01 10:00", "2024-01-05 00:00"]))
    assert newest_gap(times, END, "UTC") == timedelta(hours=4)
    assert newest_gap(times[2:], END, "UTC") is None


def test_freshness_is_limit_over_gap() -> None:
    hour = timedelta(hours=1)
    assert freshness_score(2 * hour, 2 * hour) == 1.0
    assert freshness_score(4 * hour, 2 * hour) == 0.5
    assert freshness_score(hour, 0 * hour) == 0.0
    assert freshness_score(None, hour) == 0.0


# -- the score -----------------------------------------------------------------------------------------------


def _rows(dimension: str, *broken: int, counted: list[int] | None = None) -> Outcome:
    mask = np.isin(np.arange(10), broken)
    other = None if counted is None else np.isin(np.arange(10), counted)
    return Outcome("r", ("c",), (dimension,), not mask.any(), mask, other)


def test_a_row_that_breaks_two_rules_of_a_dimension_counts_once() -> None:
    # Rows 0, 1 and 2 of ten break something: 1 - 3/10.
    scores, untested = dimension_scores([_rows("accuracy", 0, 1), _rows("accuracy", 1, 2)], 10)
    assert scores["accuracy"] == pytest.approx(0.7)
    assert untested == ("completeness", "consistency", "timeliness", "uniqueness")
    assert all(scores[d] == 1.0 for d in untested)


def test_completeness_takes_the_worst_column_and_not_the_union() -> None:
    # Nulls in two columns, 2 and 3 of ten rows: 1 - 3/10, not 1 - 5/10.
    scores, _ = dimension_scores([_rows("completeness", 0, 1), _rows("completeness", 5, 6, 7)], 10)
    assert scores["completeness"] == pytest.approx(0.7)


def test_a_rule_about_the_table_caps_its_dimensions() -> None:
    table = Outcome("t", (), ("completeness", "consistency"), False, score=0.25)
    scores, untested = dimension_scores([_rows("completeness", 0), table], 10)
    assert scores["completeness"] == 0.25
    assert scores["consistency"] == 0.25
    assert "consistency" not in untested


def test_of_two_copies_one_is_counted() -> None:
    assert dimension_scores([_rows("uniqueness", 3, 4, counted=[4])], 10)[0]["uniqueness"] == pytest.approx(
        0.9
    )


def test_mended_rows_no_longer_count() -> None:
    outcome = _rows("uniqueness", 3, 4, counted=[4]).without(np.isin(np.arange(10), [3, 4]))
    assert outcome.success
    assert dimension_scores([outcome], 10)[0]["uniqueness"] == 1.0
