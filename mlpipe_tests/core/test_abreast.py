"""Columns side by side: against scipy on raw rows, and that a window abreast is the window merged."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from mlpipe.core.abreast import abreast, basis, together
from mlpipe.core.drift import MAJOR, alarms, check, compare
from mlpipe.core.grid import ColumnGrid, Grid, build
from mlpipe.core.profile import merge, profile

HAND = Grid(1, {"x": ColumnGrid("numeric", edges=np.array([0.0, 10.0, 20.0]))})


def drift_of(a: Any, b: Any, grid: Grid | None = None) -> Any:
    frames = [pd.DataFrame({"x": a}), pd.DataFrame({"x": b})]
    grid = grid or build(frames[0])
    return compare(grid, *(profile(frame, grid) for frame in frames))["x"]


def test_wasserstein_by_hand() -> None:
    # Means 2 and 4 in one bin, all rows of both: the distance is 2, although no count differs.
    found = drift_of([1.0, 3.0], [3.0, 5.0], HAND)
    assert (
        found.wasserstein == 2.0
        and found.ks == 0.0
        and found.wasserstein_sd == pytest.approx(2 / math.sqrt(2))
    )
    # Half of the rows go from 2 to 12.
    assert drift_of([2.0, 2.0], [2.0, 12.0], HAND).wasserstein == 5.0
    # In one bin to the left, in the next to the right: 1 * 1/2 + 3 * 1/2.
    assert drift_of([5.0, 15.0], [4.0, 18.0], HAND).wasserstein == 2.0
    # Nulls and infinities are no values.
    assert drift_of([2.0, np.nan, np.inf], [2.0, 12.0, np.nan], HAND).wasserstein == 5.0
    assert math.isnan(drift_of([np.nan], [1.0], HAND).wasserstein)


@pytest.mark.parametrize("seed", range(3))
def test_ks_and_wasserstein_against_scipy_on_raw_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 50_000
    base = pd.DataFrame({"n": rng.normal(size=n), "l": rng.lognormal(0, 2, n), "h": rng.integers(0, 24, n)})
    base["e"] = rng.exponential(3, n)
    now = pd.DataFrame(
        {
            "n": rng.normal(0.2, 1.2, n // 2),
            "l": rng.lognormal(0.3, 2.1, n // 2),
            "h": rng.integers(2, 24, n // 2),
            "e": rng.exponential(3.3, n // 2),
        }
    )
    grid = build(base)
    drifts = compare(grid, profile(base, grid), profile(now, grid))
    for name, found in drifts.items():
        exact = ks_2samp(base[name], now[name], method="asymp")
        assert exact.statistic - 0.002 <= found.ks <= exact.statistic + 1e-12
        assert found.ks_p >= exact.pvalue / 1.5
        assert found.wasserstein == pytest.approx(wasserstein_distance(base[name], now[name]), rel=0.01)
        assert found.wasserstein_sd == pytest.approx(found.wasserstein / base[name].std(), rel=1e-9)


values = st.lists(
    st.one_of(st.none(), st.integers(-5, 5).map(float), st.sampled_from([math.inf, -math.inf])), max_size=12
)


@given(values, st.lists(values, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_window_abreast_is_the_window_merged(first: list[Any], days: list[list[Any]]) -> None:
    # With a bin for each value the profile knows the rows, and scipy's distance on them is exact.
    frames = [
        pd.DataFrame({"x": pd.Series(v, dtype=float), "c": pd.Series([str(i) for i in v], dtype="str")})
        for v in (first, *days)
    ]
    grid = build(pd.DataFrame({"x": np.arange(-5.0, 6.0), "c": [str(i) for i in range(11)]}))
    reference, *parts = (profile(frame, grid) for frame in frames)
    base = basis(grid, reference, ("x", "c"))
    found = check(base, together([abreast(base, part) for part in parts]))
    merged = compare(grid, reference, merge(parts))
    assert {n: repr(d) for n, d in found.items()} == {n: repr(d) for n, d in merged.items()}
    now = pd.concat(frames[1:])["x"].dropna()
    then = frames[0]["x"].dropna()
    if len(then) and len(now):
        with np.errstate(
            divide="ignore"
        ):  # Of two single rows scipy divides by zero for the p-value, which is not asked for.
            theirs = ks_2samp(then, now, method="asymp").statistic
        assert found["x"].ks == pytest.approx(theirs)
    then, now = then[np.isfinite(then)], now[np.isfinite(now)]
    if len(then) and len(now):
        assert found["x"].wasserstein == pytest.approx(wasserstein_distance(then, now), abs=1e-12)


def test_a_tiny_shift_over_very_many_rows_is_no_alarm() -> None:
    rng = np.random.default_rng(0)
    found = drift_of(rng.normal(size=1_000_000), rng.normal(0.01, 1.0, 1_000_000))
    assert found.p < 1e-6 and found.ks_p < 1e-6
    assert found.psi < 0.001 and found.cramers_v < 0.01 and found.wasserstein_sd < 0.02
    assert alarms({"x": found}, {"x": MAJOR}) == ()


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (np.arange(400.0), np.where(np.arange(400) % 4, np.arange(400.0), np.nan)),
        (np.array(list("aabb") * 100), np.array(list("aabn") * 100)),
        (np.array(list("aabb") * 100, dtype=object), np.array([*"aab", None] * 100, dtype=object)),
        (np.arange(400) % 2 == 0, np.arange(400) % 8 == 0),
        (
            pd.date_range("2024-01-01", periods=400, freq="h"),
            pd.date_range("2024-01-04", periods=400, freq="h"),
        ),
        (pd.to_timedelta(np.arange(400), unit="s"), pd.to_timedelta(np.arange(400) + 100, unit="s")),
    ],
    ids=["new nulls", "unseen category", "null category", "boolean", "datetime", "duration"],
)
def test_drift_of_every_kind_is_seen(then: Any, now: Any) -> None:
    found = drift_of(then, now)
    assert found.band == "major" and found.p < 1e-6 and found.js > 0.1 and found.hellinger > 0.1


def test_dates_are_measured_in_seconds() -> None:
    days = pd.date_range("2024-01-01", periods=100, freq="D")
    assert drift_of(days, days + pd.Timedelta("1D")).wasserstein == pytest.approx(86400)


def test_a_column_that_one_side_lacks_is_null() -> None:
    grid = build(pd.DataFrame({"x": [1.0, 2.0]}))
    reference = profile(pd.DataFrame({"x": [1.0, 2.0]}), grid)
    base = basis(grid, reference, ("x",))
    assert abreast(base, profile(pd.DataFrame({"y": [1, 2, 3]}), grid)).counts[-1] == 3
    assert check(basis(grid, reference, ()), abreast(basis(grid, reference, ()), reference)) == {}
