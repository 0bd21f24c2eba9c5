"""Summaries against what they summarise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlpipe.core.sketch import (
    HASHES,
    Frequent,
    Moments,
    distinct_numbers,
    frequent_of,
    hash_names,
    hash_numbers,
    merge_distinct,
    merge_frequent,
    merge_moments,
    moments_of,
)


def summary(names: list[str], capacity: int) -> Frequent:
    values, counts = np.unique(names, return_counts=True)
    return frequent_of(list(values), counts.astype(np.int64), lambda i: str(values[i]), capacity)


def test_hashes_stand_for_ever() -> None:
    # By hand from the finaliser's definition, in Python integers.
    def finalise(bits: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            bits = (bits ^ (bits >> 33)) * factor % 2**64
        return bits ^ (bits >> 33)

    values = np.array([1.0, -2.5, 1e300])
    assert hash_numbers(values).tolist() == [finalise(int(b)) for b in values.view(np.uint64)]
    # Published test vectors of XXH64.
    assert hash_names(["", "a"]).tolist() == [0xEF46DB3751D8E999, 0xD24EC4F1A98C6E5B]


def test_distinct_is_exact_below_the_limit() -> None:
    values = np.repeat(np.arange(HASHES - 1.0), 3)
    assert distinct_numbers(values).estimate == HASHES - 1


@pytest.mark.parametrize("n", [300, 5_000, 200_000])
def test_distinct_is_near_beyond_the_limit(n: int) -> None:
    # 1 / sqrt(254) is 6.3 %; four of these.
    assert distinct_numbers(np.arange(float(n))).estimate == pytest.approx(n, rel=0.25)


def test_distinct_estimates_are_unbiased() -> None:
    starts = np.arange(60) * 10_000.0
    estimates = [distinct_numbers(start + np.arange(2_000.0)).estimate for start in starts]
    assert np.mean(estimates) == pytest.approx(2_000, rel=4 * 0.063 / np.sqrt(60))
    assert np.std(estimates) / 2_000 == pytest.approx(0.063, abs=0.025)


@given(st.lists(st.lists(st.integers(0, 2_000), max_size=600), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_distinct_merges_to_the_whole(parts: list[list[int]]) -> None:
    merged = merge_distinct([distinct_numbers(np.array(part, float)) for part in parts])
    whole = distinct_numbers(np.array([value for part in parts for value in part], float))
    assert merged.smallest.tolist() == whole.smallest.tolist()


def with_hashes(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The numbers that have these hashes: the finaliser backwards."""
    bits = hashes ^ (hashes >> np.uint64(33))
    for factor in (0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD):
        bits = bits * np.uint64(pow(factor, -1, 2**64))
        bits ^= bits >> np.uint64(33)
    return bits.view(np.float64)


@pytest.mark.parametrize("count", [2_000, 50_000, 150_000])
def test_large_inputs_take_the_short_way_to_the_same_hashes(count: int) -> None:
    even = hash_numbers(np.arange(float(count)))
    assert with_hashes(even).tolist() == list(range(count))
    clustered = even | np.uint64(2**63)  # the short way finds but a hundred here, and must not be content
    clustered[:100] = np.arange(100)
    edge = np.uint64(2**64 // count * 4 * HASHES)
    crowded = (
        np.arange(count, dtype=np.uint64) + edge - np.uint64(HASHES)
    )  # on both sides of what is looked at
    for hashes in (even, clustered, crowded):
        assert distinct_numbers(with_hashes(hashes)).smallest.tolist() == np.sort(hashes)[:HASHES].tolist()


def test_frequent_by_hand() -> None:
    # a 5, b 3, c 2: two places, so 2 is subtracted from all.
    assert summary(list("aaaaabbbcc"), 2) == Frequent({"a": 3, "b": 1}, 2)
    assert merge_frequent([Frequent({"a": 3}), Frequent({"b": 5, "a": 1}, 1)], 2) == Frequent(
        {"b": 5, "a": 4}, 1
    )
    assert Frequent({"a": 3, "b": 1}).head(1) == {"a": 3}


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=60), min_size=1, max_size=5), st.integers(1, 12)
)
@settings(max_examples=80, deadline=None)
def test_frequent_keeps_its_bounds(parts: list[list[str]], capacity: int) -> None:
    merged = merge_frequent([summary(part, capacity) for part in parts], capacity)
    names = [name for part in parts for name in part]
    assert merged.error <= len(names) / (capacity + 1)
    assert len(merged.counts) <= capacity
    for name in set(names):
        assert 0 <= names.count(name) - merged.counts.get(name, 0) <= merged.error
    if len(set(names)) <= capacity:
        assert merged == Frequent({name: names.count(name) for name in merged.counts}, 0)
        assert set(merged.counts) == set(names)


numbers = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.lists(st.lists(numbers, max_size=20), min_size=1, max_size=6), st.sampled_from([0.0, 1e9]))
@settings(max_examples=80, deadline=None)
def test_moments_merge_to_the_whole(parts: list[list[float]], shift: float) -> None:
    arrays = [np.sort(np.array(part, float) + shift) for part in parts]
    merged, whole = (
        merge_moments([moments_of(a) for a in arrays]),
        moments_of(np.sort(np.concatenate(arrays))),
    )
    assert merged.n == whole.n
    np.testing.assert_allclose(
        [merged.mean, merged.minimum, merged.maximum], [whole.mean, whole.minimum, whole.maximum], rtol=1e-12
    )
    assert merged.m2 == pytest.approx(
        whole.m2, rel=1e-9, abs=1e-12 * whole.n * (abs(shift) + 1e6) ** 2 * 1e-3
    )


def test_moments_agree_with_numpy() -> None:
    values = np.random.default_rng(0).normal(1e6, 1.0, 90_000)
    merged = merge_moments([moments_of(np.sort(part)) for part in np.split(values, 90)])
    assert merged.mean == pytest.approx(values.mean(), rel=1e-12)
    assert merged.variance == pytest.approx(values.var(ddof=1), rel=1e-12)


def test_moments_of_nothing() -> None:
    assert merge_moments([Moments(), Moments()]).n == 0
    assert np.isnan(Moments().mean) and np.isnan(Moments().variance)
