"""Rows against a contract: rules and dimensions by hand, and Great Expectations against brute force."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.errors import DataError, SpecError, UserCodeError
from mlpipe.spec.calendar import Window
from mlpipe.spec.sources import Column, Contract, Expectation
from mlpipe.stages.contract import Checked, check, holding
from mlpipe.stages.repairing import Repaired, repair

# Short forms, such as a list or "2h", are read at load, which the types of the fields do not say.
terms: Callable[..., Contract] = Contract
col: Callable[..., Column] = Column

DAY = Window(start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2024, 1, 2, tzinfo=UTC))


def _check(frame: pd.DataFrame, contract: Contract, **settings: Any) -> Checked:
    plain: dict[str, Any] = {"keys": (), "event_time": None, "window": DAY, "timezone": "UTC"}
    return check(frame, "rows", contract, **(plain | settings))


def _column(values: Any, *, floor: float = 0.95, **wants: Any) -> Checked:
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    return _check(pd.DataFrame({"x": series}), terms(columns={"x": col(**wants)}, floor=floor))


def _broken(checked: Checked) -> list[int]:
    return np.flatnonzero(~checked.kept).tolist()


# -- each rule by hand ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "wants", "rule", "broken"),
    [
        ([0.0, -0.1, 120.0, 120.5, np.inf, None], {"min": 0, "max": 120}, "x between 0 and 120", [1, 3, 4]),
        ([3, 2], {"min": 3}, "x at least 3", [1]),
        (["a", "b", "c", None], {"allowed": ["a", "b"]}, "x in {a, b}", [2]),
        (["UA1", "U", None], {"pattern": r"^[A-Z]{2}\d$"}, "x matches ^[A-Z]{2}\\d$", [1]),
        ([1.0, None], {"nullable": 0}, "x not null", [1]),
        (pd.Series([1, "2", None, 4], dtype=object), {"dtype": "int"}, "x is int", [1]),
        (pd.Series([True, "no"], dtype=object), {"dtype": "bool"}, "x is bool", [1]),
        (
            pd.Series([datetime(2024, 1, 1), "soon"], dtype=object),
            {"dtype": "datetime"},
            "x is datetime",
            [1],
        ),
        (pd.Series([1, None, 9], dtype="Int64"), {"dtype": "int", "max": 5}, "x at most 5", [2]),
        (pd.Series(["u", None, "v"], dtype="category"), {"allowed": ["u"]}, "x in {u}", [2]),
        (pd.Series([True, False]), {"allowed": [True]}, "x in {True}", [1]),
        (pd.Series(["a", 5, None], dtype=object), {"pattern": "^[a-z]$"}, "x matches ^[a-z]$", [1]),
    ],
)
def test_a_rule_finds_its_rows(values: Any, wants: dict[str, Any], rule: str, broken: list[int]) -> None:
    checked = _column(values, **wants)
    assert _broken(checked) == broken
    assert set(checked.quarantine["rule"]) == {rule}
    assert checked.quarantine["row"].tolist() == broken


def test_text_among_numbers_is_one_finding_and_the_bounds_still_hold_for_the_rest() -> None:
    checked = _column(pd.Series([1, "x", 500, None], dtype=object), min=0, max=120)
    lines = checked.quarantine
    assert lines.to_dict("list") == {
        "row": [1, 2],
        "rule": ["x is number", "x between 0 and 120"],
        "column": ["x", "x"],
        "value": ["x", "500"],
    }
    assert lines["row"].dtype == np.int64
    # One of four rows breaks the type, another one the range.
    assert (checked.dimensions["consistency"], checked.dimensions["accuracy"]) == (0.75, 0.75)


def test_a_row_that_breaks_two_rules_has_two_lines_and_long_values_are_cut() -> None:
    checked = _column(["x" * 500, "a"], allowed=["a"], pattern="^a")
    assert checked.quarantine["row"].tolist() == [0, 0]
    assert checked.quarantine["value"].str.len().tolist() == [200, 200]
    assert checked.dimensions["accuracy"] == 0.5


def test_positions_count_rows_whatever_the_index_says() -> None:
    frame = pd.DataFrame({"x": [1, 9, 9]}, index=["b", "b", "a"])
    assert _broken(_check(frame, terms(columns={"x": col(max=5)}))) == [1, 2]
    assert frame.index.tolist() == ["b", "b", "a"]


def test_copies() -> None:
    # Key 1 twice the same, key 2 twice different, key 3 alone: rows 1 and 3 are surplus: 1 - 2/5.
    frame = pd.DataFrame({"k": [1, 1, 2, 2, 3], "v": [5, 5, 6, 7, 8]})
    checked = _check(frame, terms(), keys=["k"])
    assert _broken(checked) == [1, 2, 3]
    assert checked.dimensions["uniqueness"] == pytest.approx(0.6)
    both = _check(frame, terms(unique=["k", "v"]), keys=["k"])
    assert (_broken(both), both.dimensions["uniqueness"]) == ([1], 0.8)


# -- each dimension, worked out ------------------------------------------------------------------------------


def test_completeness_is_what_is_null_beyond_the_allowance() -> None:
    # 4 of 10 null, 1 of 10 allowed: 1 - (0.4 - 0.1). All rows stay; the partition fails.
    checked = _column([1.0] * 6 + [None] * 4, nullable=0.1, floor=0.0)
    assert checked.dimensions["completeness"] == pytest.approx(0.7)
    assert (bool(checked.kept.all()), checked.verdict) == (True, "fail")
    assert "40.00% of the values break it, 10.00% may" in checked.findings[0].what
    assert _column([1.0] * 9 + [None], nullable=0.1).verdict == "pass"


@pytest.mark.parametrize(
    ("contract", "score"),
    [(terms(min_rows=4), 0.75), (terms(max_rows=2), 2 / 3), (terms(min_rows=3, max_rows=3), 1.0)],
)
def test_completeness_counts_rows(contract: Contract, score: float) -> None:
    # Three rows: 3 of 4 wanted, 2 allowed of 3, or just right.
    checked = _check(pd.DataFrame({"x": [1, 2, 3]}), contract)
    assert checked.dimensions["completeness"] == pytest.approx(score)
    assert checked.verdict == ("pass" if score == 1.0 else "fail")


def test_a_missing_column_is_told_once_and_costs_two_dimensions() -> None:
    contract = terms(columns={"gone": col(dtype="int", min=0, nullable=0)}, floor=0.0)
    checked = _check(pd.DataFrame({"x": [1]}), contract)
    assert (checked.dimensions["completeness"], checked.dimensions["consistency"]) == (0.0, 0.0)
    assert [f.what for f in checked.findings] == ["'gone exists' is broken: the column is missing"]
    assert checked.verdict == "fail"
    assert [r["success"] for r in checked.rules] == [False] * 4


def test_accuracy_and_the_floor() -> None:
    # One of twenty: 0.95 is not under the floor of 0.95; two of twenty are.
    one = _column([0.0] * 19 + [9.0], max=5)
    assert one.score == pytest.approx(0.95)
    assert one.verdict == "pass"
    assert _column([0.0] * 18 + [9.0] * 2, max=5).verdict == "fail"
    assert _column([0.0] * 18 + [9.0] * 2, max=5, floor=0.9).verdict == "pass"


def test_the_score_is_the_worst_dimension() -> None:
    frame = pd.DataFrame({"a": [1.0, None, 3.0, 4.0], "b": [1, 2, 9, 9]})
    checked = _check(frame, terms(columns={"a": col(nullable=0), "b": col(dtype="int", max=5)}))
    # Completeness 1 - 1/4, accuracy 1 - 2/4.
    assert checked.dimensions == {
        "completeness": 0.75,
        "accuracy": 0.5,
        "consistency": 1.0,
        "timeliness": 1.0,
        "uniqueness": 1.0,
    }
    assert checked.score == 0.5
    assert checked.untested == ("timeliness", "uniqueness")


def test_timeliness_is_the_share_inside_the_window_and_how_fresh_the_newest_is() -> None:
    times = pd.to_datetime(["2024-01-01 02:00", "2024-01-01 18:00", "2024-01-02 00:00", ""])
    frame = pd.DataFrame({"t": times})
    checked = _check(frame, terms(), event_time="t")
    # Two of four are inside [1 January, 2 January).
    assert (_broken(checked), checked.dimensions["timeliness"]) == ([2, 3], 0.5)
    # The newest of them is 6 h old at midnight; 2 h are allowed, so freshness is 2/6 and a hard failure.
    stale = _check(frame[:2], terms(freshness="2h", floor=0.0), event_time="t")
    assert stale.dimensions["timeliness"] == pytest.approx(1 / 3)
    assert (stale.verdict, bool(stale.kept.all())) == ("fail", True)
    assert "6h old" in stale.findings[0].what
    assert _check(frame[:2], terms(freshness="6h"), event_time="t").verdict == "pass"
    assert "timeliness" in _check(frame, terms(), event_time="t", window=None).untested


def test_the_zone_of_the_source_places_its_times() -> None:
    frame = pd.DataFrame({"t": ["2024-01-01 00:30"]})
    assert _check(frame, terms(), event_time="t", timezone="Europe/Paris").dimensions["timeliness"] == 0.0
    assert _check(frame, terms(), event_time="t", timezone="America/New_York").dimensions["timeliness"] == 1.0


# -- what must neither raise nor pass ------------------------------------------------------------------------


def _own(kind: str, **kwargs: Any) -> Contract:
    return terms(expectations=[Expectation(type=f"expect_{kind}", kwargs=kwargs)], floor=0.0)


@pytest.mark.parametrize(
    ("contract", "note"),
    [
        (_own("column_values_to_be_between", column="mixed", min_value=0), "same type"),
        (_own("column_mean_to_be_between", column="mixed", min_value=0), "cannot be decided"),
        (_own("column_values_to_be_between", column="gone", min_value=0), "missing"),
        (_own("column_values_to_be_between", column="at", min_value=0), "Invalid comparison"),
        (_own("column_pair_values_to_be_equal", column_A="x", column_B="gone"), "missing: gone"),
    ],
)
def test_a_rule_that_cannot_be_decided_is_an_inconsistency(contract: Contract, note: str) -> None:
    frame = pd.DataFrame(
        {
            "mixed": pd.Series([1, "a"], dtype=object),
            "x": [1, 2],
            "at": pd.date_range("2024", periods=2, tz="UTC"),
        }
    )
    checked = _check(frame, contract)
    assert (checked.dimensions["consistency"], checked.verdict) == (0.0, "fail")
    assert note in checked.rules[0]["note"]
    assert len(checked.findings) == 1


def test_missing_keys_and_event_times_are_findings() -> None:
    checked = _check(pd.DataFrame({"x": [1]}), terms(), keys=["id"], event_time="t")
    assert [f.rule for f in checked.findings] == ["id unique", "t inside the partition"]
    assert (checked.dimensions["consistency"], checked.dimensions["timeliness"], checked.verdict) == (
        0.0,
        0.0,
        "fail",
    )


def test_a_rule_that_had_nothing_to_test_says_so() -> None:
    checked = _column(pd.Series([None, None], dtype=object), dtype="float", min=0)
    assert checked.verdict == "pass"
    assert [f.what for f in checked.findings] == ["'x at least 0' had nothing to test: all values are null"]


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(), pd.DataFrame({"x": []}), pd.DataFrame({"x": pd.Series([], dtype="str")})]
)
def test_an_empty_partition_is_empty_and_fails_only_when_rows_were_wanted(frame: pd.DataFrame) -> None:
    columns = {"x": col(dtype="int", min=0, nullable=0.5, unique=True)}
    own = [Expectation(type="expect_column_mean_to_be_between", kwargs={"column": "x", "min_value": 0})]
    empty = _check(
        frame, terms(columns=columns, expectations=own, freshness="1h"), keys=["x"], event_time="x"
    )
    assert (empty.verdict, empty.score, empty.findings, len(empty.quarantine)) == ("empty", 1.0, (), 0)
    wanted = _check(frame, terms(columns=columns, min_rows=1))
    assert (wanted.verdict, wanted.dimensions["completeness"]) == ("fail", 0.0)
    assert _check(pd.DataFrame({"y": []}), terms(columns=columns)).verdict == "fail"


def test_a_frame_in_which_everything_is_wrong() -> None:
    frame = pd.DataFrame(
        {
            "id": [1, 1, None, None],
            "temp": pd.Series(["hot", [1], {"a": 1}, None], dtype=object),
            "code": pd.Series([np.inf, b"x", (1, 2), float("nan")], dtype=object),
            "t": pd.Series(["never", 5, None, "2024-01-02"], dtype=object),
        },
        index=[0, 0, 0, 0],
    )
    columns = {
        "id": col(dtype="int", nullable=0, unique=True),
        "temp": col(dtype="float", min=0, max=1, nullable=0),
        "code": col(dtype="string", allowed=["a"], pattern="^a$"),
        "t": col(dtype="datetime", nullable=0.1),
    }
    checked = _check(frame, terms(columns=columns, min_rows=8, freshness="1h"), keys=["id"], event_time="t")
    assert not checked.kept.any()
    assert checked.verdict == "fail"
    # Completeness: 2 of 4 ids are null, and 4 of 8 rows came. Timeliness: all times are outside. Uniqueness:
    # one of the two ids that are there is surplus, of 4 rows.
    assert checked.dimensions["completeness"] == 0.5
    assert (
        checked.dimensions["timeliness"],
        checked.dimensions["consistency"],
        checked.dimensions["uniqueness"],
    ) == (0.0, 0.0, 0.75)
    assert json.loads(json.dumps(checked.to_dict(), allow_nan=False))["kept"] == 0


def test_two_columns_of_one_name_and_freshness_without_time_are_mistakes() -> None:
    with pytest.raises(DataError, match="two columns are named 'x'"):
        _check(pd.DataFrame([[1, 2]], columns=["x", "x"]), terms())
    with pytest.raises(SpecError, match="event_time"):
        _check(pd.DataFrame({"x": [1]}), terms(freshness="1h"))


# -- own expectations ----------------------------------------------------------------------------------------


def test_own_expectations_quarantine_rows_or_fail_the_table() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 30.0, None], "b": [2.0, 1.0, 40.0, 1.0]})
    pair = _check(
        frame,
        _own(
            "column_pair_values_a_to_be_greater_than_b",
            column_A="b",
            column_B="a",
            ignore_row_if="either_value_is_missing",
        ),
    )
    assert (_broken(pair), pair.dimensions["consistency"]) == ([1], 0.75)
    mean = _check(frame, _own("column_mean_to_be_between", column="a", max_value=5))
    assert (bool(mean.kept.all()), mean.dimensions["consistency"], mean.verdict) == (True, 0.0, "fail")
    # One of three values is over 5; a tenth may be: 1 - (1/3 - 1/10), and no row is left out.
    mostly = _check(frame, _own("column_values_to_be_between", column="a", max_value=5, mostly=0.9))
    assert (bool(mostly.kept.all()), mostly.verdict) == (True, "fail")
    assert mostly.dimensions["accuracy"] == pytest.approx(1 - (1 / 3 - 0.1))


@pytest.mark.filterwarnings("ignore:.*(condition_parser|row_condition):DeprecationWarning")
def test_an_own_expectation_may_look_at_some_rows_only() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 30.0, None], "b": [2.0, 1.0, 40.0, 1.0]})
    kwargs = {"column": "a", "max_value": 1, "row_condition": "b < 10", "condition_parser": "pandas"}
    assert _broken(_check(frame, _own("column_values_to_be_between", **kwargs))) == [1]


def test_a_user_suite_file_decides_too(tmp_path: Path) -> None:
    entry = {
        "expectation_type": "expect_column_value_lengths_to_equal",
        "kwargs": {"column": "o", "value": 3},
    }
    (tmp_path / "suite.json").write_text(
        json.dumps({"expectation_suite_name": "theirs", "expectations": [entry]})
    )
    frame = pd.DataFrame({"o": ["JFK", "NEWARK"]})
    checked = _check(frame, terms(suite="suite.json"), base_dir=tmp_path)
    assert (_broken(checked), checked.dimensions["accuracy"]) == ([1], 0.5)
    assert checked.findings[0].examples == ("NEWARK (row 1)",)


def test_findings_are_sentences_with_different_examples_and_keys() -> None:
    frame = pd.DataFrame({"id": [7, 8, 9, 10, 11], "x": [99, 99, 98, 97, 96]})
    (finding,) = _check(frame, terms(columns={"x": col(max=5)}), keys=["id"]).findings
    assert finding.what == "5 of 5 rows break 'x at most 5': 99 (id=7); 98 (id=9); 97 (id=10)"
    assert (finding.rows, finding.rule) == (5, "x at most 5")


# -- oracle --------------------------------------------------------------------------------------------------

ROW = st.tuples(
    st.integers(0, 2),
    st.one_of(st.none(), st.floats(-2, 2), st.just(float("inf")), st.sampled_from(["x", "1", b"z"])),
    st.one_of(st.none(), st.sampled_from(["a", "b", "bb", ""])),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=9))
def test_kept_rows_agree_with_brute_force(rows: list[tuple[int, Any, str | None]]) -> None:
    frame = pd.DataFrame(
        {
            "k": [r[0] for r in rows],
            "x": pd.Series([r[1] for r in rows], dtype=object),
            "s": pd.Series([r[2] for r in rows], dtype="str"),
        }
    )
    columns = {
        "x": col(dtype="float", min=-1, max=1, nullable=0),
        "s": col(allowed=["a", "bb", ""], pattern="^.?b?$", nullable=0.5),
    }
    checked = _check(frame, terms(columns=columns), keys=["k"])

    def good(i: int) -> bool:
        k, x, s = rows[i]
        number = isinstance(x, float) and -1 <= x <= 1
        text = s is None or (s in ("a", "bb", "") and re.search("^.?b?$", s) is not None)
        same = [j for j, r in enumerate(rows) if r[0] == k]
        alone = all(rows[j] == rows[i] and type(rows[j][1]) is type(x) for j in same) and same[0] == i
        return number and text and alone

    assert checked.kept.tolist() == [good(i) for i in range(len(rows))]
    n, nulls = len(rows), sum(r[2] is None for r in rows)
    lost = max(sum(r[1] is None for r in rows) / n, nulls / n - 0.5, 0.0)
    assert checked.dimensions["completeness"] == pytest.approx(1 - lost)
    assert checked.dimensions["consistency"] == pytest.approx(
        1 - sum(isinstance(r[1], (str, bytes)) for r in rows) / n
    )
    assert checked.dimensions["uniqueness"] == pytest.approx(len({r[0] for r in rows}) / n)


@settings(max_examples=15, deadline=None)
@given(st.lists(ROW, min_size=2, max_size=8), st.data())
def test_the_order_of_rows_changes_no_score(
    rows: list[tuple[int, Any, str | None]], data: st.DataObject
) -> None:
    frame = pd.DataFrame(rows, columns=["k", "x", "s"]).astype({"x": object})
    contract = terms(columns={"x": col(dtype="float", min=-1), "s": col(pattern="a")}, unique=["k", "s"])
    order = data.draw(st.permutations(range(len(rows))))
    assert _check(frame, contract).dimensions == _check(frame.iloc[order], contract).dimensions


# -- repair --------------------------------------------------------------------------------------------------


def _repair(
    frame: pd.DataFrame, function: Callable[..., Any] | None, **wants: Any
) -> tuple[Checked, Repaired]:
    contract = terms(columns={"x": col(dtype="float", **wants)}, repair=function)
    plain: dict[str, Any] = {"keys": ("k",), "event_time": None, "window": None, "timezone": "UTC"}
    checked = check(frame, "rows", contract, **plain)
    return checked, repair(frame, checked, "rows", contract, **plain)


FRAME = pd.DataFrame({"k": [1, 2, 3, 4], "x": [0.5, 50.0, 7.0, 900.0]}, index=[5, 5, 5, 5])


def test_rows_that_now_keep_the_contract_come_back() -> None:
    given: list[list[int]] = []

    def percent(rows: pd.DataFrame) -> pd.DataFrame:
        given.append(rows.index.tolist())
        rows["x"] = rows["x"] / 100
        return rows.iloc[::-1]

    checked, mended = _repair(FRAME, percent, max=1)
    assert given == [[1, 2, 3]]
    assert mended.rows.to_dict("list") == {"k": [2, 3], "x": [0.5, 0.07]}
    assert mended.positions.tolist() == [1, 2]
    assert mended.positions.dtype == np.int64
    assert FRAME["x"].tolist() == [0.5, 50.0, 7.0, 900.0]
    # Before three of four rows broke the range, afterwards one.
    assert (checked.dimensions["accuracy"], mended.checked.dimensions["accuracy"]) == (0.25, 0.75)
    assert mended.checked.quarantine["row"].tolist() == [3]
    assert (mended.checked.kept.tolist(), mended.checked.repaired) == ([True, False, False, False], 2)


def test_a_mended_row_never_drives_out_a_kept_one() -> None:
    # Row 1 takes the key of row 2, which was kept, but not its value; row 3 becomes a copy of row 0.
    frame = pd.DataFrame({"k": [1, 9, 3, 8], "x": [0.5, 50.0, 0.7, 900.0]})

    def collide(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"k": [3, 1], "x": [0.1, 0.5]}, index=rows.index)

    _, mended = _repair(frame, collide, max=1)
    assert len(mended.rows) == 0
    assert mended.checked.quarantine["row"].tolist() == [1, 3]


def test_a_conflict_is_settled_by_leaving_one_out() -> None:
    frame = pd.DataFrame({"k": [1, 1, 2], "x": [0.1, 0.2, 0.3]})
    checked, mended = _repair(frame, lambda rows: rows.iloc[[1]])
    assert (_broken(checked), mended.positions.tolist(), mended.rows["x"].tolist()) == ([0, 1], [1], [0.2])


def test_nothing_to_repair_with_or_nothing_to_repair() -> None:
    for function, frame in (
        (None, FRAME),
        (lambda rows: 1 / 0, FRAME[:1]),
        (lambda rows: rows.iloc[:0], FRAME),
    ):
        checked, mended = _repair(frame, function, max=1)
        assert len(mended.rows) == len(mended.positions) == 0
        assert list(mended.rows.columns) == ["k", "x"]
        assert mended.checked.verdict == checked.verdict


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda rows: None, "NoneType came"),
        (lambda rows: rows.drop(columns="x"), "columns differ: x"),
        (lambda rows: rows.assign(y=1), "columns differ: y"),
        (lambda rows: rows.reset_index(drop=True), "index is not that of the rows"),
        (lambda rows: pd.concat([rows, rows]), "index is not that of the rows"),
        (lambda rows: rows["nothing"], "KeyError"),
    ],
)
def test_what_a_repair_returns_is_checked(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(UserCodeError, match=words):
        _repair(FRAME, function, max=1)


def test_rules_that_hold_in_all_partitions_are_told_from_those_that_do_not():
    contract = terms(columns={"x": col(dtype="int", min=0, max=10), "c": col(allowed=["a", "b"])})
    good = pd.DataFrame({"x": [1, 2], "c": ["a", "b"], "k": [1, 2]})
    bad = pd.DataFrame({"x": [3, 99], "c": ["a", "b"], "k": [1, 2]})
    held = holding([good, bad], "rows", contract, keys=["k"])
    assert any(name.startswith("c in") for name in held)
    assert not any(name.startswith("x ") and "10" in name for name in held)
    # The key repeats among partitions, never within one: it has to be asked in each.
    assert not any("k" in name.split() and "unique" in name for name in held)
    # A column of another type among the partitions tells nothing about all of them.
    other = good.assign(c=[1, 2])
    assert not any(name.startswith("c in") for name in holding([good, other], "rows", contract, keys=["k"]))


@given(st.lists(st.lists(st.integers(-2, 12), min_size=1, max_size=6), min_size=2, max_size=4))
@settings(max_examples=15, deadline=None)
def test_what_is_known_to_hold_changes_no_verdict(days):
    contract = terms(columns={"x": col(dtype="int", min=0, max=10)})
    frames = [pd.DataFrame({"x": values, "k": range(len(values))}) for values in days]
    given_ = {"keys": ["k"], "event_time": None, "window": None, "timezone": "UTC"}
    held = holding(frames, "rows", contract, keys=["k"])
    for frame in frames:
        alone = check(frame, "rows", contract, **given_)
        told = check(frame, "rows", contract, **given_, holds=held)
        assert alone.to_dict() == told.to_dict()
        assert alone.kept.tolist() == told.kept.tolist()
