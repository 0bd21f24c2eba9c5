"""Distances of histograms: by hand, against scipy, and what must hold of any two."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, entropy, kstwobign
from scipy.stats.contingency import association

from mlpipe.core.distances import (
    chi_squared,
    hellinger,
    jensen_shannon,
    kolmogorov_p,
    kullback_leibler,
    psi,
    stability_index,
)

counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=30).filter(
    lambda pairs: any(a for a, _ in pairs) and any(b for _, b in pairs)
)


def sides(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    one, other = np.array(pairs, dtype=float).T
    return one, other


def test_by_hand() -> None:
    even, tilted = np.array([50.0, 50.0]), np.array([25.0, 75.0])
    assert kullback_leibler(even, tilted) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    # Bins of their own on both sides: as far apart as can be.
    apart = np.array([10.0, 0.0]), np.array([0.0, 30.0])
    assert jensen_shannon(*apart) == hellinger(*apart) == chi_squared(*apart).cramers_v == 1.0
    assert hellinger(even, tilted) == pytest.approx(math.sqrt(1 - math.sqrt(0.125) - math.sqrt(0.375)))
    # 2 x 2 table (50 50 / 25 75): 200 (50 * 75 - 50 * 25)^2 / (100 * 100 * 75 * 125).
    found = chi_squared(even, tilted)
    assert found.statistic == pytest.approx(200 * 2500**2 / (1e4 * 75 * 125))
    assert found.cramers_v == pytest.approx(math.sqrt(found.statistic / 200))


@given(counts)
@settings(max_examples=60, deadline=None)
def test_against_scipy(pairs: list[tuple[int, int]]) -> None:
    one, other = sides(pairs)
    assert jensen_shannon(one, other) == pytest.approx(jensenshannon(one, other, base=2), abs=1e-7)
    held = (one + other) > 0
    table = np.array([one[held], other[held]])
    if held.sum() > 1:
        found, exact = chi_squared(one, other), chi2_contingency(table, correction=False)
        assert (found.statistic, found.p) == pytest.approx(
            (exact.statistic, exact.pvalue), rel=1e-8, abs=1e-12
        )
        v = association(table.astype(int), method="cramer")
        assert found.cramers_v == pytest.approx(v, rel=1e-8, abs=1e-9)
    full = one + 1.0, other + 1.0
    assert kullback_leibler(*full, epsilon=1e-9) == pytest.approx(entropy(full[1], full[0]), abs=1e-12)


@given(counts)
@settings(max_examples=60, deadline=None)
def test_properties(pairs: list[tuple[int, int]]) -> None:
    one, other = sides(pairs)
    there, back = kullback_leibler(one, other), kullback_leibler(other, one)
    assert there >= -1e-15 and there + back == pytest.approx(psi(one, other), rel=1e-9, abs=1e-12)
    for measure in (stability_index, kullback_leibler, jensen_shannon, hellinger):
        assert measure(one, one) == 0.0
        padded = measure(np.append(one, [0.0, 0.0]), np.append(other, [0.0, 0.0]))
        assert padded == pytest.approx(measure(one, other), rel=1e-12, abs=1e-12)
    assert 0 <= hellinger(one, other) <= 1 and 0 <= jensen_shannon(one, other) <= 1
    # Both bound each other: Hellinger's square is at most JS's square, which is at most twice as much (in bits).
    h2, js2 = hellinger(one, other) ** 2, jensen_shannon(one, other) ** 2
    assert h2 <= js2 + 1e-9 <= 2 * h2 / math.log(2) + 1e-8
    wide = chi_squared(np.append(one, 0.0), np.append(other, 0.0))
    assert [float(x) for x in wide] == pytest.approx([float(x) for x in chi_squared(one, other)], rel=1e-9)
    test = chi_squared(one, one)
    assert (test.statistic, test.p, test.cramers_v) == (0.0, 1.0, 0.0)


def test_raised_shares_do_not_push_the_divergence_below_zero() -> None:
    # Three bins that were empty are priced at 1e-4, which is just what they hold now: what is left is ln 0.9997 on the first.
    found = kullback_leibler(np.array([1e4, 0, 0, 0]), np.array([9997.0, 1, 1, 1]))
    assert found == pytest.approx(0.9997 * math.log(0.9997) + 0.0003, rel=1e-9) and found > 0


def test_many_at_once_are_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 9, (2, 5, 7)).astype(float)
    for measure in (
        stability_index,
        kullback_leibler,
        jensen_shannon,
        hellinger,
        lambda a, b: chi_squared(a, b).p,
    ):
        assert measure(one, other).tolist() == [measure(a, b).item() for a, b in zip(one, other, strict=True)]


def test_nothing_is_unknown() -> None:
    nothing, some = np.zeros(3), np.array([1.0, 2.0, 3.0])
    for measure in (stability_index, kullback_leibler, jensen_shannon, hellinger):
        assert math.isnan(measure(nothing, some)) and math.isnan(measure(some, nothing))
    assert all(math.isnan(x) for x in chi_squared(nothing, some))


def test_a_tiny_shift_over_a_million_rows_is_significant_and_small() -> None:
    found = chi_squared(np.array([500_000.0, 500_000.0]), np.array([498_000.0, 502_000.0]))
    assert found.p < 0.005 and found.cramers_v < 0.005


def test_kolmogorov_by_its_limit_distribution() -> None:
    p = kolmogorov_p(np.array([0.03, np.nan]), np.array([2000.0, 5.0]), np.array([3000.0, 5.0]))
    assert p[0] == pytest.approx(kstwobign.sf(0.03 * math.sqrt(1200.0))) and math.isnan(p[1])
