"""Point-in-time joins against loops over rows."""

import itertools
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core.asof import asof_join, windowed_mean
from mlpipe.errors import DataError

ZERO = pd.Timestamp("2024-01-01", tz="UTC")


def at(hours: object) -> pd.Series:
    """Times so many hours after the start of 2024; None is null."""
    return pd.Series(ZERO + pd.to_timedelta(pd.Series(hours, dtype="float64"), unit="h"))


def test_by_hand() -> None:
    left = pd.DataFrame({"t": at([5, 1, 5, 9]), "k": ["a", "a", "b", "a"]}).set_axis([7, 7, 3, 1])
    right = pd.DataFrame(
        {
            "t": at([5, 2, 2, 6, 4]),
            "seen": at([6, 2, 3, 6, 4]),
            "k": ["a", "a", "a", "a", "c"],
            "v": [50, 20, 21, 60, 40],
        }
    )
    found = asof_join(left, right, left_time="t", right_time="t", by=["k"], tolerance=None, prefix="r_")
    assert found.columns.tolist() == ["t", "k", "r_t", "r_seen", "r_v"]
    assert found.index.tolist() == [7, 7, 3, 1]
    assert found["r_v"].tolist()[::3] == [50.0, 60.0] and found["r_v"].isna().tolist() == [
        False,
        True,
        True,
        False,
    ]
    known = asof_join(
        left, right, left_time="t", right_time="t", by=["k"], tolerance=None, prefix="r_", known_at="seen"
    )
    assert known["r_v"].tolist()[::3] == [21.0, 60.0]  # the row of five o'clock became known at six
    aged = asof_join(
        left,
        right,
        left_time="t",
        right_time="t",
        by=["k"],
        tolerance=pd.Timedelta("3h"),
        prefix="r_",
        known_at="seen",
    )
    assert aged["r_v"].tolist()[::3] == [21.0, 60.0]  # both are exactly three hours old
    young = asof_join(
        left, right, left_time="t", right_time="t", by=["k"], tolerance=pd.Timedelta("2.99h"), prefix="r_"
    )
    assert young["r_v"].tolist()[0] == 50.0 and young["r_v"].isna().tolist()[3]


def mostly(common: list[Any], nulls: float = 0.06) -> Any:
    """A draw from few values, so that keys and times meet often, and now and then a null."""

    def draw(rng: np.random.Generator) -> Any:
        return None if rng.random() < nulls else common[int(rng.integers(len(common)))]

    return draw


def rows_of(*draws: Any, most: int) -> st.SearchStrategy[list[Any]]:
    def rows(size: int, seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [tuple(draw(rng) for draw in draws) for _ in range(size)]

    return st.builds(rows, st.integers(0, most), st.integers(0, 2**32 - 1))


hour, key = mostly(list(range(9))), mostly(["a", "a", "b"])
left_rows = rows_of(hour, key, mostly([0, 0, 1], nulls=0), most=20)
right_rows = rows_of(hour, mostly([0, 0, 1, 2, 4]), key, mostly([0, 0, 1], nulls=0), most=30)
units = st.sampled_from(["s", "ms", "us", "ns"])


def tables(
    lefts: list[Any], rights: list[Any], units: tuple[str, str] = ("us", "us")
) -> tuple[pd.DataFrame, pd.DataFrame]:
    left = pd.DataFrame(lefts, columns=["h", "k", "n"]).assign(t=lambda f: at(f["h"]).dt.as_unit(units[0]))
    right = pd.DataFrame(rights, columns=["h", "delay", "k", "n"])
    right["t"] = at(right["h"]).dt.as_unit(units[1])
    right["seen"] = right["t"] + pd.to_timedelta(pd.to_numeric(right["delay"]), unit="h")
    right["v"] = np.arange(len(right))
    return left, right.astype({"k": "str", "n": "int64"})


def brute_force(
    left: pd.DataFrame, right: pd.DataFrame, tolerance: pd.Timedelta | None, known: bool
) -> list[Any]:
    answer: list[Any] = []
    events: list[dict[Any, Any]] = right.to_dict("records")
    for one in left.to_dict("records"):
        best: dict[Any, Any] | None = None
        for other in events:
            fits = other["k"] == one["k"] and other["n"] == one["n"] and other["t"] <= one["t"]
            fits = fits and (not known or other["seen"] <= one["t"])
            fits = fits and (tolerance is None or one["t"] - other["t"] <= tolerance)
            if fits and (best is None or other["t"] >= best["t"]):
                best = other
        answer.append(None if best is None else best["v"])
    return answer


@given(left_rows, right_rows, st.one_of(st.none(), st.integers(0, 4)), st.booleans(), st.tuples(units, units))
@settings(max_examples=40, deadline=None)
def test_the_join_equals_brute_force(
    lefts: list[Any], rights: list[Any], age: int | None, known: bool, unit: tuple[str, str]
) -> None:
    left, right = tables(lefts, rights, unit)
    tolerance = None if age is None else pd.Timedelta(hours=age)
    found = asof_join(
        left,
        right,
        left_time="t",
        right_time="t",
        by=["k", "n"],
        tolerance=tolerance,
        prefix="r_",
        known_at="seen" if known else None,
    )
    values = [None if pd.isna(v) else v for v in found["r_v"]]
    assert values == brute_force(left, right, tolerance, known)
    matched = found["r_v"].notna()
    latest = found["r_seen"] if known else found["r_t"]
    assert (latest[matched] <= found["t"][matched]).all()
    pd.testing.assert_frame_equal(found[left.columns], left)


@given(left_rows, right_rows, st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_right_table_decides_ties_only(
    lefts: list[Any], rights: list[Any], random: Random
) -> None:
    left, right = tables(lefts, rights)
    right = right.drop_duplicates(["k", "n", "t"])
    options: dict[str, Any] = {
        "left_time": "t",
        "right_time": "t",
        "by": ["k", "n"],
        "tolerance": None,
        "prefix": "r_",
        "known_at": "seen",
    }
    shuffled = right.iloc[random.sample(range(len(right)), len(right))]
    pd.testing.assert_frame_equal(asof_join(left, right, **options), asof_join(left, shuffled, **options))


def test_it_agrees_with_merge_asof_at_scale() -> None:
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"t": at(rng.uniform(0, 1e4, 20_000)), "k": rng.integers(0, 50, 20_000)})
    right = pd.DataFrame({"t": at(rng.uniform(0, 1e4, 30_000)), "k": rng.integers(0, 50, 30_000)})
    right["v"] = rng.normal(size=30_000)
    age = pd.Timedelta("5h")
    found = asof_join(left, right, left_time="t", right_time="t", by=["k"], tolerance=age, prefix="r_")
    expected = pd.merge_asof(
        left.reset_index().sort_values("t"), right.sort_values("t"), on="t", by="k", tolerance=age
    ).sort_values("index")
    np.testing.assert_array_equal(found["r_v"], expected["v"])
    assert 0.1 < found["r_v"].isna().mean() < 0.9


def test_types_do_not_depend_on_the_data() -> None:
    right = pd.DataFrame(
        {
            "t": at([1, 1]),
            "k": [1, 2],
            "i": [1, 2],
            "id": [2**53 + 1, 2],
            "u": np.array([2**64 - 1, 0], dtype=np.uint64),
            "b": [True, False],
            "f": np.array([1, 2], dtype=np.float32),
            "s": ["x", "y"],
            "c": pd.Categorical(["x", "y"]),
        }
    )
    expected = {
        "i": "float64",
        "id": "Int64",
        "u": "UInt64",
        "b": "boolean",
        "f": "float32",
        "s": "str",
        "c": "category",
    }
    for wanted in ([1, 2], [1, 9], [9, 9]):
        left = pd.DataFrame({"k": wanted, "t": at([2, 2])})
        found = asof_join(left, right, left_time="t", right_time="t", by=["k"], tolerance=None, prefix="r_")
        assert {name: str(found[f"r_{name}"].dtype) for name in expected} == expected
        assert found["r_i"].notna().tolist() == [key in (1, 2) for key in wanted]
    empty = asof_join(
        left, right.head(0), left_time="t", right_time="t", by=["k"], tolerance=None, prefix="r_"
    )
    assert len(empty) == 2 and empty["r_i"].isna().all()


def test_left_times_may_be_an_array_and_keys_none() -> None:
    left = pd.DataFrame({"a": [1, 2]}, index=["x", "x"])
    right = pd.DataFrame({"t": at([1, 3]).dt.tz_localize(None), "v": [10, 30]})
    times = np.array(["2024-01-01T02", "2024-01-01T05"], dtype="datetime64[s]")
    found = asof_join(left, right, left_time=times, right_time="t", by=[], tolerance=None, prefix="r_")
    assert found["r_v"].tolist() == [10, 30] and found.columns.tolist() == ["a", "r_t", "r_v"]


def test_zones_are_one_line_of_time() -> None:
    left = pd.DataFrame({"t": at([5]).dt.tz_convert("America/New_York")})
    right = pd.DataFrame({"t": at([4, 6]).dt.tz_convert("Asia/Tokyo"), "v": [4, 6]})
    found = asof_join(left, right, left_time="t", right_time="t", by=[], tolerance=None, prefix="r_")
    assert found["r_v"].tolist() == [4]


def test_keys_match_across_types() -> None:
    left = pd.DataFrame({"t": at([5, 5, 5]), "k": pd.array([1, None, 3], dtype="Int64")})
    for other in (
        pd.Series([1, 2, 3], dtype="float64"),
        pd.Series([1, 2, 3], dtype=object),
        pd.Categorical([1, 2, 3]),
    ):
        right = pd.DataFrame({"t": at([1, 1, 1]), "k": other, "v": [1, 2, 3]})
        found = asof_join(left, right, left_time="t", right_time="t", by=["k"], tolerance=None, prefix="r_")
        assert found["r_v"].fillna(0).tolist() == [1, 0, 3]


def test_mistakes_are_named() -> None:
    left, right = tables([(1, "a", 0)], [(1, 0, "a", 0)])
    options: dict[str, Any] = {
        "left_time": "t",
        "right_time": "t",
        "by": ["k"],
        "tolerance": None,
        "prefix": "r_",
    }
    changes: list[tuple[dict[str, Any], str]] = [
        ({"by": ["kk"]}, "no column 'kk'"),
        ({"left_time": "tt"}, "left table has no column 'tt'"),
        ({"known_at": "saw"}, "no column 'saw'"),
        ({"tolerance": pd.Timedelta("-1s")}, "tolerance"),
        ({"prefix": ""}, "already has h, n, t"),
        ({"left_time": "n"}, "no times but int64"),
        ({"left_time": np.array(["2024-01-01"] * 2, dtype="datetime64[s]")}, "2 left times"),
        ({"left_time": np.array(["2024-01-01"], dtype="datetime64[s]")}, "tz_localize"),
    ]
    for change, words in changes:
        with pytest.raises(DataError, match=words):
            asof_join(left, right, **(options | change))
    with pytest.raises(DataError, match="key 'k'"):
        asof_join(left.assign(k=[1]), right, **options)
    far = left.assign(t=np.array(["9999-01-01"], dtype="datetime64[s]")).assign(
        t=lambda f: f["t"].dt.tz_localize("UTC")
    )
    with pytest.raises(DataError, match="do not fit"):
        asof_join(far, right.assign(t=right["t"].dt.as_unit("ns")), **options)


events = rows_of(hour, mostly([-2, 0, 0, 1, 3]), key, mostly([0.1, -2.7, 1e3, 3.3e-4, 7.0]), most=40)
queries = rows_of(hour, key, most=12)


def event_arrays(rows: list[Any]) -> tuple[pd.Series, pd.Series, pd.Series, pd.Series]:
    frame = pd.DataFrame(rows, columns=["h", "delay", "k", "v"])
    known = at(frame["h"]) + pd.to_timedelta(pd.to_numeric(frame["delay"]), unit="h")
    return at(frame["h"]), known, pd.to_numeric(frame["v"]).astype("float64"), frame["k"].astype("str")


@given(events, queries, st.integers(1, 5), units)
@settings(max_examples=40, deadline=None)
def test_the_windowed_mean_equals_brute_force(
    rows: list[Any], asked: list[Any], width: int, unit: str
) -> None:
    time, known, value, key = event_arrays(rows)
    when = at([hour for hour, _ in asked]).dt.as_unit(unit)
    window = pd.Timedelta(hours=width)
    who = pd.Series([name for _, name in asked], dtype="str")
    mean, count = windowed_mean(time, known, value, key, when, who, window)
    for place, (now, name) in enumerate(zip(when, who, strict=True)):
        met = [
            v
            for t, k, v, n in zip(time, known, value, key, strict=True)
            if n == name and t <= now and k <= now and max(t, k) > now - window and not pd.isna(v)
        ]
        assert count[place] == len(met)
        np.testing.assert_allclose(mean[place], np.mean(met) if met else np.nan, rtol=1e-9, atol=1e-10)


@given(events, queries, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_events_changes_no_bit(rows: list[Any], asked: list[Any], random: Random) -> None:
    when, who = at([hour for hour, _ in asked]), pd.Series([name for _, name in asked], dtype="str")
    time, known, value, key = event_arrays(rows)
    base = windowed_mean(time, known, value, key, when, who, pd.Timedelta("3h"))
    time, known, value, key = event_arrays(random.sample(rows, len(rows)))
    other = windowed_mean(time, known, value, key, when, who, pd.Timedelta("3h"))
    np.testing.assert_array_equal(base, other)


def test_the_order_of_equal_times_changes_no_bit() -> None:
    found = {
        float(
            windowed_mean(at([0] * 5), None, values, np.zeros(5), at([1]), np.zeros(1), pd.Timedelta("2h"))[
                0
            ][0]
        )
        for values in itertools.permutations([1e40, -1e40, 0.1, 1e30, -1e30])
    }
    assert len(found) == 1


def test_the_window_is_half_open() -> None:
    time = at([0, 1, 2])
    mean, count = windowed_mean(
        time, None, [1.0, 10.0, 100.0], np.zeros(3), at([2, 3]), np.zeros(2), pd.Timedelta("2h")
    )
    assert mean.tolist() == [55.0, 100.0] and count.tolist() == [2, 1]


def test_a_window_finer_than_the_unit_of_time() -> None:
    time = at([0]).dt.as_unit("s")
    asked = at([0.5, 1.0]).dt.as_unit("s")
    for window, expected in [
        ("30min", [0, 0]),
        ("1800.1s", [1, 0]),
        ("3599.9s", [1, 0]),
        ("3600.1s", [1, 1]),
    ]:
        _, count = windowed_mean(time, None, [1.0], np.zeros(1), asked, np.zeros(2), pd.Timedelta(window))
        assert count.tolist() == expected


def test_nulls_never_match_nulls() -> None:
    nothing, some = at([None]), at([1])
    for time, known, name, when, who in [
        (nothing, some, "a", some, "a"),
        (some, nothing, "a", some, "a"),
        (some, some, None, some, None),
        (some, some, "a", nothing, "a"),
        (nothing, nothing, "a", nothing, "a"),
    ]:
        names, whom = pd.Series([name, "b"], dtype="str"), pd.Series([who, "c"], dtype="str")
        twice = [pd.concat([times, at([9])]).reset_index(drop=True) for times in (time, known, when)]
        mean, count = windowed_mean(twice[0], twice[1], [1.0, 2.0], names, twice[2], whom, pd.Timedelta("9h"))
        assert count.tolist() == [0, 0] and np.isnan(mean).all()
        left = pd.DataFrame({"t": twice[2], "k": whom})
        right = pd.DataFrame({"t": twice[0], "seen": twice[1], "k": names, "v": [1.0, 2.0]})
        found = asof_join(
            left, right, left_time="t", right_time="t", by=["k"], tolerance=None, prefix="r_", known_at="seen"
        )
        assert found["r_v"].isna().all()


def test_other_keys_leave_no_trace() -> None:
    value = [1e18, 0.1, 0.2, -3e17, 0.3]
    key, asked = np.array(list("abbcd")), np.array(list("abcd"))
    mean, _ = windowed_mean(at([0, 1, 2, 0, 1]), None, value, key, at([3] * 4), asked, pd.Timedelta("9h"))
    np.testing.assert_allclose(mean, [1e18, 0.15, -3e17, 0.3], rtol=1e-15)


def test_infinities_stay_in_their_windows() -> None:
    value = [np.inf, 1.0, -np.inf, 2.0]
    mean, _ = windowed_mean(
        at([0, 1, 2, 3]), None, value, np.zeros(4), at([0, 1, 2, 3, 4]), np.zeros(5), pd.Timedelta("2h")
    )
    np.testing.assert_array_equal(mean, [np.inf, np.inf, -np.inf, -np.inf, 2.0])
    both, _ = windowed_mean(
        at([0, 0]), None, [np.inf, -np.inf], np.zeros(2), at([0]), np.zeros(1), pd.Timedelta("1h")
    )
    assert np.isnan(both).all()


def test_a_huge_window_holds_everything() -> None:
    old = pd.Series(np.array(["1700-01-01", "1750-01-01"], dtype="datetime64[ns]"))
    asked = pd.Series(np.array(["1800-01-01"], dtype="datetime64[ns]"))
    mean, count = windowed_mean(old, None, [1.0, 3.0], np.zeros(2), asked, np.zeros(1), pd.Timedelta.max)
    assert (mean.tolist(), count.tolist()) == ([2.0], [2])


def test_several_keys() -> None:
    by = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"]})
    asked = pd.DataFrame({"b": ["y", "x"], "a": [1, 2]})
    mean, count = windowed_mean(
        at([0, 0, 0]), None, [1.0, 2.0, 3.0], by, at([1, 1]), asked, pd.Timedelta("2h")
    )
    assert mean.tolist() == [2.0, 3.0] and count.tolist() == [1, 1]


def test_windowed_mean_names_mistakes() -> None:
    good: list[Any] = [at([0]), at([0]), [1.0], np.zeros(1), at([1]), np.zeros(1), pd.Timedelta("1h")]
    for place, bad, words in [
        (2, [1.0, 2.0], "Lengths differ"),
        (5, np.zeros(2), "Lengths differ"),
        (4, at([1]).dt.tz_localize(None), "tz_localize"),
        (5, np.array(["a"]), "can never match"),
        (6, pd.Timedelta(0), "greater than 0"),
        (0, pd.Series(["2024-01-01"]), "pd.to_datetime"),
    ]:
        arguments = list(itertools.chain(good[:place], [bad], good[place + 1 :]))
        with pytest.raises(DataError, match=words):
            windowed_mean(*arguments)
