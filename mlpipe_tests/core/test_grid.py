"""Bins: where the edges lie, and that nothing but the values decides them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mlpipe.core import grid as grid_module
from mlpipe.core.grid import ColumnGrid, Grid, build
from mlpipe.errors import DataError, StoreError


def edges_of(values: object, **options: int) -> np.ndarray:
    column = build(pd.DataFrame({"x": values}), **options).columns["x"]
    assert column.edges is not None
    return column.edges


def bins_of(edges: np.ndarray, values: list[float]) -> list[int]:
    return [int(i) for i in np.searchsorted(edges, values, side="right")]


def test_quantile_edges_by_hand() -> None:
    # Eight values, four bins: cuts after every second value, midway between neighbours; the first and the last pair are halved.
    edges = edges_of([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0], bins=4)
    inside = edges[(edges >= 1.0) & (edges <= 128.0)]
    assert inside.tolist() == [1.0, 1.5, 3.0, 12.0, 48.0, 96.0]
    assert edges[edges > 128.0][0] == np.nextafter(128.0, np.inf)


def test_tails_double() -> None:
    edges = edges_of([0.0, 1.0, 2.0, 3.0, 4.0])
    above = edges[edges > 4.1] - 4.0
    assert above.tolist() == [4.0 * 2.0**k for k in range(-5, 25)]
    below = -edges[edges < -0.1][::-1]
    assert below.tolist() == above.tolist()
    far = bins_of(edges, [5.0, 50.0, 5e3, 5e6, -5.0, -50.0])
    assert len(set(far)) == 6


def test_every_value_of_a_low_cardinality_column_has_its_own_bin() -> None:
    hours = list(range(24)) * 3
    edges = edges_of(hours)
    assert len(set(bins_of(edges, list(range(24))))) == 24
    assert bins_of(edges, [6.9999999])[0] == bins_of(edges, [7.0])[0]
    assert not set(bins_of(edges, [24.0, -1.0])) & set(bins_of(edges, list(range(24))))


def test_a_heavy_value_stands_alone() -> None:
    rng = np.random.default_rng(0)
    edges = edges_of(np.concatenate([np.zeros(4_000), rng.uniform(-1, 1, 6_000)]), bins=100)
    place = bins_of(edges, [0.0])[0]
    assert edges[place] - edges[place - 1] < 1e-3
    assert np.sum(edges < 1) < 100 + 40


def test_bins_hold_equal_shares() -> None:
    values = np.random.default_rng(1).lognormal(0, 2, 102_400)
    counts = np.bincount(np.searchsorted(edges_of(values), values, side="right"))
    filled = counts[counts > 0]
    assert filled[7:-7].size == 1022 and filled[7:-7].min() >= 99 and filled.max() <= 101
    # The outermost hundred rows on either side: 50, 25, ... down to about one.
    for outer in (filled[:7][::-1], filled[-7:]):
        assert outer.sum() == pytest.approx(100, abs=1) and outer.tolist() == pytest.approx(
            [50, 25, 13, 6, 3, 2, 1], abs=1
        )


def test_row_order_and_nulls_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"n": rng.normal(size=5_000), "c": rng.choice(list("abc"), 5_000)})
    noisy = pd.concat([frame, pd.DataFrame({"n": [np.nan, np.inf, -np.inf], "c": [None, None, None]})])
    assert build(noisy.sample(frac=1, random_state=3)).to_bytes() == build(frame).to_bytes()


@pytest.mark.parametrize("values", [[7.0] * 3, [0.0], [-1e-300], [1e308, -1e308], [5e-324, 0.0], [2.0**60]])
def test_odd_columns_have_ascending_finite_edges_around_their_values(values: list[float]) -> None:
    edges = edges_of(values)
    assert np.isfinite(edges).all() and (np.diff(edges) > 0).all()
    assert edges[0] <= min(values) and edges[-1] > max(values)
    assert len(set(bins_of(edges, sorted(set(values))))) == len(set(values))
    assert len(set(bins_of(edges, [max(values), np.nextafter(max(values), np.inf)]))) == 2


@pytest.mark.parametrize("dtype", ["float64", "Int64", "datetime64[us, UTC]"])
def test_a_column_of_nulls_has_a_grid(dtype: str) -> None:
    edges = edges_of(pd.Series([None, None], dtype=dtype))
    assert edges.size > 10 and (np.diff(edges) > 0).all()


def test_the_tails_of_a_constant_have_its_own_scale() -> None:
    edges = edges_of([1e6])
    assert edges[edges > 1e6 + 1.0].tolist() == [1e6 + 1e6 * 2.0**k for k in range(-8, 25)]
    assert 1.0 in edges_of([0.0])


def test_kinds() -> None:
    frame = pd.DataFrame(
        {
            "int": [1, 2],
            "nullable": pd.array([1, None], dtype="Int64"),
            "bool": [True, True],
            "bool_or_null": pd.Series([True, None], dtype=object),
            "text": ["a", "b"],
            "number_object": pd.Series([1, None], dtype=object),
            "category": pd.Categorical([3, 4]),
            "day": pd.to_datetime(["1970-01-02", "1970-01-03"]).tz_localize("Europe/Rome").as_unit("s"),
            "lasting": pd.to_timedelta([1, 2], unit="s"),
            "nulls": pd.Series([None, None], dtype=object),
            "decimal": [Decimal("1.5"), None],
            "date": [date(2024, 1, 1), None],
            "python_time": pd.Series([datetime(2024, 1, 1, tzinfo=UTC), None], dtype=object),
            "python_delta": pd.Series([timedelta(1), None], dtype=object),
            "na": pd.Series([1, pd.NA], dtype=object),
            "arrow_time": pd.Series([datetime(2024, 1, 1), None], dtype="timestamp[us][pyarrow]"),
            "arrow_date": pd.Series([date(2024, 1, 1), None], dtype="date32[pyarrow]"),
            "arrow_int": pd.Series([1, None], dtype="int32[pyarrow]"),
            "arrow_bool": pd.Series([True, None], dtype="bool[pyarrow]"),
        }
    )
    grid = build(frame)
    kinds = {name: column.kind for name, column in grid.columns.items()}
    told = dict.fromkeys(("text", "category", "nulls"), "categorical")
    told |= dict.fromkeys(("bool", "bool_or_null", "arrow_bool"), "boolean")
    told |= dict.fromkeys(("day", "date", "python_time", "arrow_time", "arrow_date"), "datetime")
    assert kinds == {name: told.get(name, "numeric") for name in frame.columns}
    assert grid.columns["bool"].categories == ("False", "True")
    assert grid.columns["bool_or_null"].categories == ("False", "True"), (
        "a value that did not come yet is no news"
    )
    assert grid.columns["category"].categories == ("3", "4")
    day = grid.columns["day"].edges
    assert day is not None and 86_400.0 - 3_600.0 in day


def test_categories_most_frequent_first_and_the_rest_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_module, "CATEGORIES", 2)
    monkeypatch.setattr(grid_module, "REMEMBERED", 2)
    frame = pd.DataFrame({"c": list("bbbaaccd")})
    column = build(frame).columns["c"]
    assert column.categories == ("b", "a") and column.others.size == 2 and not column.open_ended
    assert column.size == 4
    more = build(pd.DataFrame({"c": list("bbbaaccdef")})).columns["c"]
    assert more.categories == ("b", "a") and more.others.size == 0 and more.open_ended


def test_text_that_hardly_repeats_is_counted_by_its_length() -> None:
    # 40 different notes and 20 times the same: 40 of 60 rows have a text that occurs once, so of further rows two in three will be new.
    notes = [f"note {'x' * (i % 5)}{i:02d}" for i in range(40)] + ["same as ever"] * 20
    column = build(pd.DataFrame({"n": notes})).columns["n"]
    assert column.kind == "text" and column.categories is None and column.edges is not None
    places = bins_of(column.edges, [7.0, 8.0, 9.0, 10.0, 11.0, 12.0])
    assert len(set(places)) == 6, "each length has its own bin"
    assert build(pd.DataFrame({"n": pd.Categorical(notes)})).columns["n"].kind == "categorical"


def test_where_new_names_keep_coming_none_is_odd() -> None:
    # 30 names that occur once: 3% of a thousand rows. One fewer, and nothing follows.
    names = [f"n{i}" for i in range(30)] + ["a"] * 970
    assert build(pd.DataFrame({"c": names})).columns["c"].open_ended
    few = build(pd.DataFrame({"c": names[1:]})).columns["c"]
    assert (few.kind, few.open_ended) == ("categorical", False)


def test_the_share_of_new_names_is_foretold() -> None:
    # Simulated: how many of the next rows have a name that the first 2,000 had not.
    rng = np.random.default_rng(5)
    names = rng.zipf(1.6, 4_000).astype(str)
    found, counts = np.unique(names[:2_000], return_counts=True)
    new = np.mean(~np.isin(names[2_000:], found))
    assert grid_module.new_names(counts) == pytest.approx(new, abs=0.03)


def test_bytes_round_trip() -> None:
    frame = pd.DataFrame({"x": [0.1, 0.2, 1e300], "b": [True, False, True]})
    frame["c"] = pd.Series(["ä", "\ud800", '"'], dtype=object)
    grid = build(frame, version=3)
    again = Grid.from_bytes(grid.to_bytes())
    assert again == grid and again.version == 3 and hash(again) == hash(grid)
    assert again.columns["x"].edges is not None and grid.columns["x"].edges is not None
    assert again.columns["x"].edges.tolist() == grid.columns["x"].edges.tolist()
    assert again.columns["c"].categories == grid.columns["c"].categories
    assert Grid(1, {}) != Grid(2, {})


def test_column_order_does_not_change_the_bytes() -> None:
    columns = {
        "a": ColumnGrid("categorical", categories=("x",)),
        "b": ColumnGrid("categorical", categories=()),
    }
    assert Grid(1, columns).to_bytes() == Grid(1, dict(reversed(list(columns.items())))).to_bytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no", "not a grid"),
        (b"{}", "not a grid"),
        (b'{"format":9}', "format 9"),
        (b'{"format":1}', "damaged"),
    ],
)
def test_bad_bytes_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        Grid.from_bytes(data)


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match="named a"):
        build(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="column 'd'"):
        build(pd.DataFrame({"d": [{"a": 1}, {"a": 2}]}))
    with pytest.raises(DataError, match="at least 2"):
        build(pd.DataFrame({"a": [1]}), bins=1)
