"""Drift: by hand, against scipy, and what alarms do with it."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from mlpipe.core.coarse import coarsen
from mlpipe.core.drift import alarms, band, calibrate, compare, default_excluded, psi, share
from mlpipe.core.grid import ColumnGrid, Grid, build
from mlpipe.core.profile import Profile, merge, profile
from mlpipe.errors import DataError

counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=30).filter(
    lambda pairs: any(a for a, _ in pairs) and any(b for _, b in pairs)
)


def tables(*columns: object, name: str = "x") -> tuple[Grid, list[Profile]]:
    """A grid of the first column, and profiles of all."""
    frames = [pd.DataFrame({name: values}) for values in columns]
    grid = build(frames[0])
    return grid, [profile(frame, grid) for frame in frames]


def test_psi_by_hand() -> None:
    # 0.5 against 0.25 and 0.5 against 0.75: 0.25 ln 2 - 0.25 ln(2/3) = 0.25 ln 3.
    assert psi([50, 50], [25, 75]) == pytest.approx(0.25 * math.log(3))
    # An empty bin is priced as 1e-4; one empty on both sides is free.
    price = (0.5 - 1e-4) * math.log(0.5 / 1e-4) + 0.5 * math.log(2)
    assert psi([1, 1, 0], [0, 2, 0]) == pytest.approx(price)
    assert psi([1, 1], [0, 2], epsilon=0.01) == pytest.approx(0.49 * math.log(50) + 0.5 * math.log(2))


@given(counts)
@settings(max_examples=100, deadline=None)
def test_psi_properties(pairs: list[tuple[int, int]]) -> None:
    one, other = zip(*pairs, strict=True)
    assert psi(one, one) == 0.0
    assert psi(one, other) == pytest.approx(psi(other, one), rel=1e-12)
    assert psi(one, other) >= 0.0
    assert psi(one, [3 * n for n in other]) == pytest.approx(psi(one, other), rel=1e-9, abs=1e-12)


def test_psi_of_nothing_is_unknown_and_nonsense_is_refused() -> None:
    assert math.isnan(psi([0, 0], [1, 2])) and band(math.nan) == "unknown"
    for bad in (([1], [1, 2]), ([1, -1], [1, 2]), ([[1]], [[1]])):
        with pytest.raises(DataError):
            psi(*bad)
    with pytest.raises(DataError, match="epsilon"):
        psi([1], [1], epsilon=0.0)


def test_bands_are_exact_at_their_limits() -> None:
    below = np.nextafter
    values = [0.0, below(0.1, 0), 0.1, below(0.25, 0), 0.25, math.inf]
    assert [band(value) for value in values] == ["stable", "stable", "moderate", "moderate", "major", "major"]


def test_coarse_bins_by_hand() -> None:
    column_grid = ColumnGrid("numeric", edges=np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    grid = Grid(1, {"x": column_grid})
    reference = profile(pd.DataFrame({"x": [0.5, 0.5, 1.5, 1.5, 3.5, 3.5]}), grid).columns["x"]
    current = profile(
        pd.DataFrame({"x": [-9, 0.5, 2.5, 3.5, 99, np.nan, np.inf, np.inf, -np.inf]}), grid
    ).columns["x"]
    then, now, labels = coarsen(column_grid, reference, current, bins=2)
    assert labels == ("below 0", "[0, 1)", "[1, 4)", "above 4", "-inf", "+inf", "null")
    assert then.tolist() == [0, 2, 4, 0, 0, 0, 0]
    assert now.tolist() == [1, 1, 2, 1, 1, 2, 1]


def test_coarse_categories_by_hand() -> None:
    column_grid = ColumnGrid("categorical", categories=("a", "b", "mid", "rare", "none"))
    grid = Grid(1, {"x": column_grid})
    reference = profile(
        pd.DataFrame({"x": ["a"] * 60 + ["b"] * 36 + ["mid"] * 2 + ["rare"] + ["new"] + [None] * 5}), grid
    )
    current = profile(pd.DataFrame({"x": ["a", "none", "rare", "new", None]}), grid)
    then, now, labels = coarsen(column_grid, reference.columns["x"], current.columns["x"], bins=5)
    assert labels == ("a", "b", "mid", "other", "unseen", "null")
    assert then.tolist() == [60, 36, 2, 1, 1, 5] and now.tolist() == [1, 0, 0, 2, 1, 1]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200), st.integers(2, 20))
@settings(max_examples=60, deadline=None)
def test_coarse_bins_keep_every_row_and_are_about_equal(values: list[float], bins: int) -> None:
    grid, (found,) = tables(values)
    then, now, labels = coarsen(grid.columns["x"], found.columns["x"], found.columns["x"], bins)
    assert then.tolist() == now.tolist() and then.sum() == len(values) and len(labels) == then.size
    heaviest = max(values.count(v) for v in values)
    assert then.max() <= len(values) / bins + heaviest
    assert (then[1:-4] > 0).all()


def test_ks_and_js_against_scipy() -> None:
    rng = np.random.default_rng(0)
    for a, b in [
        (rng.normal(size=100_000), rng.normal(0.1, 1.2, 100_000)),
        (rng.lognormal(0, 2, 100_000), rng.lognormal(0.2, 2.2, 50_000)),
        (rng.integers(0, 24, 100_000).astype(float), rng.integers(2, 24, 50_000).astype(float)),
    ]:
        grid, (one, other) = tables(a, b)
        found = compare(grid, one, other)["x"]
        exact = ks_2samp(a, b).statistic
        assert exact - 0.002 <= found.ks <= exact + 1e-12
        then, now, _ = coarsen(grid.columns["x"], one.columns["x"], other.columns["x"])
        assert found.js == pytest.approx(jensenshannon(then, now, base=2))
        assert found.psi == psi(then, now) and found.band == band(found.psi)


def test_psi_finds_what_has_moved() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=50_000)
    same, shifted, tail = rng.normal(size=50_000), rng.normal(1.0, 1.0, 50_000), base.copy()
    tail[:1_500] = 50.0
    grid, (reference, *others) = tables(base, same, shifted, tail)
    bands = [compare(grid, reference, other)["x"].band for other in others]
    assert bands == ["stable", "major", "moderate"]


def test_drift_of_nulls_and_unseen_categories() -> None:
    grid, (reference, current) = tables(list("aabb") * 100, ["a"] * 200 + ["new"] * 100 + [None] * 100)
    found = compare(grid, reference, current)["x"]
    assert found.unseen_rate == 0.25 and found.null_rate_change == 0.25 and math.isnan(found.ks)
    assert (found.rows_reference, found.rows_current, found.band) == (400, 400, "major")


@pytest.mark.parametrize("values", [[np.nan] * 5, [3.0] * 5, [np.inf, -np.inf], [None, "a"], [True, False]])
def test_odd_columns_do_not_drift_from_themselves(values: list[Any]) -> None:
    grid, (found,) = tables(values)
    drift = compare(grid, found, found)["x"]
    assert (drift.psi, drift.js, drift.null_rate_change, drift.band) == (0.0, 0.0, 0.0, "stable")
    assert drift.ks == 0.0 or math.isnan(drift.ks)


def test_a_constant_that_moves_is_major() -> None:
    grid, (reference, current) = tables([3.0] * 50, [3.0001] * 50)
    assert compare(grid, reference, current)["x"].band == "major"


def test_a_column_that_vanishes_counts_as_null() -> None:
    grid, (reference,) = tables([1.0, 2.0, 3.0] * 20)
    gone = profile(pd.DataFrame({"other": [1] * 10}), grid)
    drift = compare(grid, reference, gone)["x"]
    assert drift.null_rate_change == 1.0 and drift.band == "major" and math.isnan(drift.ks)


def test_an_empty_day_is_unknown() -> None:
    grid, (reference, empty) = tables([1.0, 2.0], [])
    drift = compare(grid, reference, empty)["x"]
    assert drift.band == "unknown" and math.isnan(drift.psi) and math.isnan(drift.js)
    assert alarms({"x": drift}, {"x": 0.0}) == () and share({"x": drift}, {}) == 0.0


def test_compare_names_mistakes() -> None:
    grid, (found,) = tables([1.0, 2.0], name="hours")
    with pytest.raises(DataError, match="Did you mean 'hours'"):
        compare(grid, found, found, ["hour"])
    with pytest.raises(DataError, match=r"version 2.*have 1"):
        compare(Grid(2, grid.columns), found, found)
    with pytest.raises(DataError, match="bins"):
        compare(Grid(1, {"hours": ColumnGrid("numeric", edges=np.array([0.0]))}), found, found)
    assert compare(grid, found, found, []) == {}


def days_of(frames: list[pd.DataFrame]) -> tuple[Grid, Profile, list[Profile]]:
    grid = build(pd.concat(frames))
    days = [profile(frame, grid) for frame in frames]
    return grid, merge(days), days


def test_calibration_agrees_with_merging_every_window() -> None:
    rng = np.random.default_rng(2)
    frames = [
        pd.DataFrame(
            {"x": rng.normal(np.sin(day), 1, 80), "c": rng.choice(list("abc"), 80, p=[0.2, 0.3, 0.5])}
        )
        for day in range(30)
    ]
    grid, reference, days = days_of(frames)
    for window, quantile in [(3, 0.95), (14, 0.95), (5, 0.5), (24, 0.95)]:
        limits = calibrate(grid, reference, days, window, floor=0.0, quantile=quantile)
        starts = range(len(days) - window + 1)
        drifts = [compare(grid, reference, merge(days[start : start + window])) for start in starts]
        f = min(window / 30, 0.5)
        for name in grid.columns:
            found = [drift[name].psi for drift in drifts]
            typical = np.quantile(found, quantile) if len(found) >= 20 else max(found)
            assert limits[name] == pytest.approx(1.5 * (1 + f) / (1 - f) * typical)


def test_calibration_has_a_floor_and_a_fallback() -> None:
    rng = np.random.default_rng(3)
    grid, reference, days = days_of([pd.DataFrame({"x": rng.normal(size=2_000)}) for _ in range(10)])
    assert calibrate(grid, reference, days, 3) == {"x": 0.1}
    assert calibrate(grid, reference, days, 11) == {"x": 0.25}
    assert calibrate(grid, reference, [profile(pd.DataFrame({"x": []}), grid)] * 5, 2) == {"x": 0.25}
    for bad in ({"window": 0}, {"window": 1, "quantile": 2.0}):
        with pytest.raises(DataError):
            calibrate(grid, reference, days, **bad)


def test_calibrated_limits_let_steady_data_pass_and_catch_a_shift() -> None:
    rng = np.random.default_rng(4)

    def week_day(day: int, shift: float = 0.0) -> pd.DataFrame:
        return pd.DataFrame({"x": rng.normal(shift + 0.5 * (day % 7 >= 5), 1, 200)})

    grid, reference, days = days_of([week_day(day) for day in range(90)])
    limits = calibrate(grid, reference, days, 3)
    live = [profile(week_day(day), grid) for day in range(90, 180)]
    raised = [
        alarms(compare(grid, reference, merge(live[start : start + 3])), limits)
        for start in range(len(live) - 2)
    ]
    assert sum(map(bool, raised)) <= 2
    moved = merge([profile(week_day(day, shift=0.8), grid) for day in range(180, 183)])
    assert alarms(compare(grid, reference, moved), limits) == ("x",)


def test_alarms_and_share() -> None:
    rng = np.random.default_rng(6)
    base = pd.DataFrame({name: rng.normal(size=5_000) for name in "abcd"})
    grid = build(base)
    drifts = compare(grid, profile(base, grid), profile(base + [0.0, 0.5, 1.0, 2.0], grid))
    limits = dict.fromkeys("abc", 0.1)
    assert alarms(drifts, limits) == ("d", "c", "b")
    assert alarms(drifts, limits, exclude=("d",)) == ("c", "b")
    assert alarms(drifts, {"b": drifts["b"].psi, "c": 9.0, "d": np.nextafter(drifts["d"].psi, 99)}) == ("b",)
    assert share(drifts, limits) == 0.75 and share(drifts, limits, exclude=("a", "d")) == 1.0
    assert share(drifts, limits, exclude=tuple("abcd")) == 0.0


def test_default_excluded() -> None:
    frame = pd.DataFrame(
        {
            "month": np.arange(600) % 12,
            "thirteen": np.arange(600) % 13,
            "amount": np.arange(600.0),
            "flag": np.arange(600) % 2 == 0,
            "null": np.nan,
        }
    )
    grid = build(frame)
    found = default_excluded(grid, profile(frame, grid), named=["amount", "elsewhere"])
    assert set(found) == {"month", "amount", "elsewhere"}
    assert found["month"].startswith("12 different") and "named" in found["amount"]
