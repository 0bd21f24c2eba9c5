"""Numbers in ascending order, against `numpy.sort`."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlpipe.core import ordering
from mlpipe.core.ordering import FEW, ascending

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

SHAPES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(5, 2, n),
    "rising": lambda rng, n: np.arange(n) * 0.5,
    "falling": lambda rng, n: np.arange(n, 0, -1.0),
    "one value": lambda rng, n: np.full(n, 3.0),
    "two values": lambda rng, n: rng.integers(0, 2, n) * 1.0,
    "counts": lambda rng, n: rng.poisson(5, n) * 1.0,
    "half zero": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.lognormal(0, 2, n)),
    "long tail": lambda rng, n: rng.pareto(0.3, n),
    "both tails": lambda rng, n: rng.standard_cauchy(n) ** 3,
    "two far heaps": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, 1e6) + rng.normal(0, 1e-3, n),
    "heap in a plain": lambda rng, n: np.where(
        rng.random(n) < 0.9, rng.normal(0, 1e-9, n), rng.random(n) - 0.5
    ),
    "all sizes": lambda rng, n: rng.choice([-1.0, 1.0], n) * 10 ** rng.uniform(-300, 300, n),
    "largest": lambda rng, n: rng.choice([-1.0, 1.0], n) * rng.uniform(1.6e308, 1.79e308, n),
    "smallest": lambda rng, n: rng.integers(-9, 9, n) * 5e-324,
    "nulls": lambda rng, n: np.where(rng.random(n) < 0.3, np.nan, rng.normal(0, 1, n)),
    "hardly a number": lambda rng, n: np.where(rng.random(n) < 0.9, np.nan, rng.normal(0, 1, n)),
    "all null": lambda rng, n: np.full(n, np.nan),
    "infinities": lambda rng, n: rng.choice([-np.inf, np.inf, np.nan, -0.0, 0.0, 1.0], n),
}


@pytest.mark.parametrize("count", [FEW - 1, FEW, FEW + 1, 70_001, 200_064])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_comes_out_as_numpy_sorts_it(shape: str, count: int) -> None:
    values = SHAPES[shape](np.random.default_rng(count), count)
    before = values.copy()
    found = ascending(values)
    np.testing.assert_array_equal(found, np.sort(values))
    np.testing.assert_array_equal(values, before)
    found[:1] = 7.0
    np.testing.assert_array_equal(values, before)


@given(
    st.lists(st.floats(), min_size=1, max_size=60),
    st.integers(FEW, FEW + 2_000),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e-12, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_any_few_values_over_and_over(some: list[float], count: int, seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        values = rng.choice(np.array(some), count) * (1 + spread * rng.normal(size=count))
    np.testing.assert_array_equal(ascending(values), np.sort(values))


def test_no_column_of_another_table_is_needed_whole() -> None:
    # Every third number of a larger table, and one that may not be written to.
    wide = np.random.default_rng(1).normal(size=(50_000, 3))
    wide.flags.writeable = False
    np.testing.assert_array_equal(ascending(wide[:, 1]), np.sort(wide[:, 1]))


def test_numbers_spread_evenly_are_dealt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    settle = ordering._settle
    monkeypatch.setattr(ordering, "_settle", lambda *given: sizes.append(given[0].size) or settle(*given))
    for shape in ("normal", "counts", "rising", "two values"):
        ascending(SHAPES[shape](np.random.default_rng(0), 100_000))
    assert sizes == [100_000] * 4
