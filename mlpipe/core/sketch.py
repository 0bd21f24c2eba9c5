"""Small mergeable summaries: distinct values by minimum hashes, frequent values by Misra-Gries, and moments.

They forget the rows and keep a bound on what they forgot. Merging the summaries of two parts keeps the bounds
that one summary of the whole has, in any order of merging.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xxhash
from numpy.typing import NDArray

HASHES = 256
"""Hashes kept to count distinct values: exact below this, a relative standard error of 6.3 % from here on."""
FREQUENT = 64
"""Names kept to tell the frequent ones: no count is off by more than rows / 65."""
UNSEEN = 20
"""Names kept of categories that the grid does not list: no count is off by more than unseen rows / 21."""

Hashes = NDArray[np.uint64]
_BLOCK = 1 << 16
"""Numbers hashed at once: what stays in the cache between two steps is three times as fast."""
_ALL, _SHIFT = np.uint64(2**64 - 1), np.uint64(33)
_FACTORS = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


def hash_numbers(values: NDArray[np.float64]) -> Hashes:
    """64-bit hashes of floats, shape (values,). One to one, so different numbers never collide.

    Notes
    -----
    The finaliser of MurmurHash3 (A. Appleby, `fmix64`) on the bits of each value. Zero must come with one
    sign.
    """
    return _lowest(values, _ALL)


def _lowest(values: NDArray[np.float64], bound: np.uint64) -> Hashes:
    """Hashes of floats, shape (values,), of which those above the bound may be left out."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    room, other = np.empty(_BLOCK, dtype=np.uint64), np.empty(_BLOCK, dtype=np.uint64)
    bound |= _ALL >> _SHIFT
    kept = [_no_hashes()]
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        mixed, shifted = room[: block.size], other[: block.size]
        np.bitwise_xor(block, np.right_shift(block, _SHIFT, out=shifted), out=mixed)
        mixed *= _FACTORS[0]
        mixed ^= np.right_shift(mixed, _SHIFT, out=shifted)
        mixed *= _FACTORS[1]
        # The last step leaves the upper bits as they are, and is spared those that are too large by them.
        low = mixed[mixed <= bound]
        kept.append(low ^ (low >> _SHIFT))
    return np.concatenate(kept)


def hash_names(names: Iterable[str]) -> Hashes:
    """64-bit hashes of strings (XXH64 of UTF-8), shape (names,): the same on every machine."""
    digest = xxhash.xxh64_intdigest
    return np.array([digest(name.encode("utf-8", "surrogatepass")) for name in names], dtype=np.uint64)


def _no_hashes() -> Hashes:
    return np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class Distinct:
    """How many different values there are, from the `HASHES` smallest hashes of all of them.

    Attributes
    ----------
    smallest
        The smallest hashes, ascending and unique, shape (at most `HASHES`,).

    Notes
    -----
    With k hashes kept the estimate is (k - 1) / u, where u in (0, 1] is the largest hash kept; it is
    unbiased, with a relative standard error of 1 / sqrt(k - 2) [1]_.

    .. [1] K. Beyer et al., "On synopses for distinct-value estimation under multiset operations", SIGMOD
    2007.
    """

    smallest: Hashes = field(default_factory=_no_hashes)

    @property
    def estimate(self) -> int:
        """Number of different values, nulls left out: exact below `HASHES`, else estimated."""
        kept = self.smallest.size
        if kept < HASHES:
            return int(kept)
        return round((kept - 1) / ((float(self.smallest[-1]) + 1.0) / 2.0**64))


def distinct_of(hashes: Hashes) -> Distinct:
    """Summary of values given by their hashes, shape (values,), in any order, repeats allowed."""
    return Distinct(_different(hashes)[:HASHES])


def distinct_numbers(values: NDArray[np.float64]) -> Distinct:
    """Summary of floats, shape (values,), in any order, repeats allowed; zero must come with one sign."""
    if values.size > 16 * HASHES:
        # Hashes are uniform: this few of them nearly always hold the smallest, and sorting them is cheap.
        found = distinct_of(_lowest(values, np.uint64(2**64 // values.size * 4 * HASHES)))
        if found.smallest.size == HASHES:
            return found
    return distinct_of(hash_numbers(values))


def _different(hashes: Hashes) -> Hashes:
    """Different hashes, ascending. For so few, sorting is quicker than the hash table of `numpy.unique`."""
    ordered = np.sort(hashes)
    first = np.ones(ordered.size, dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def merge_distinct(parts: Sequence[Distinct]) -> Distinct:
    """Summary of the union of what the parts summarise: the same as of all values at once."""
    return Distinct(_different(np.concatenate([_no_hashes(), *(part.smallest for part in parts)]))[:HASHES])


@dataclass(frozen=True)
class Frequent:
    """Names and how often they occur, at least.

    Attributes
    ----------
    counts
        Name to count, most frequent first, then by name. The true count lies in [count, count + error].
    error
        At most rows / (capacity + 1). Zero as long as no more names than the capacity occurred.

    Notes
    -----
    A summary of Misra and Gries: whatever falls off the end is subtracted from all, which is what makes the
    bound survive any number of merges (P. Agarwal et al., "Mergeable summaries", PODS 2012).
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    error: int = 0

    def head(self, limit: int = 20) -> dict[str, int]:
        """The most frequent names, at most `limit` of them, with their lowest possible counts."""
        return dict(list(self.counts.items())[:limit])


def frequent_of(
    values: Sequence[str] | NDArray[np.float64],
    counts: NDArray[np.int64],
    name: Callable[[int], str],
    capacity: int = FREQUENT,
) -> Frequent:
    """Summary of distinct values with their exact counts.

    Parameters
    ----------
    values, counts
        Different values and how often each occurs, both of shape (values,).
    name
        Gives the name of the value at a position; called for the kept ones only.
    capacity
        Names kept at most.
    """
    if len(values) != counts.size:
        raise ValueError(f"{len(values)} values but {counts.size} counts")
    cut = 0
    if counts.size > capacity:
        cut = int(np.partition(counts, counts.size - capacity - 1)[counts.size - capacity - 1])
    return Frequent(_ranked({name(int(i)): int(counts[i]) - cut for i in np.flatnonzero(counts > cut)}), cut)


def merge_frequent(parts: Sequence[Frequent], capacity: int = FREQUENT) -> Frequent:
    """Summary of the parts together; its error is the sum of theirs plus what this merge had to cut."""
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.counts.items():
            total[name] = total.get(name, 0) + count
    cut = sorted(total.values(), reverse=True)[capacity] if len(total) > capacity else 0
    kept = {name: count - cut for name, count in total.items() if count > cut}
    return Frequent(_ranked(kept), sum(part.error for part in parts) + cut)


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class Moments:
    """Moments of the finite values of a numeric column.

    Attributes
    ----------
    n
        Number of finite values.
    mean, m2
        Their mean and the sum of their squared distances from it. NaN and 0 when n is 0.
    minimum, maximum
        NaN when n is 0.
    """

    n: int = 0
    mean: float = math.nan
    m2: float = 0.0
    minimum: float = math.nan
    maximum: float = math.nan

    @property
    def variance(self) -> float:
        """Sample variance (divided by n - 1); NaN below two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan


def moments_of(ordered: NDArray[np.float64]) -> Moments:
    """Moments of finite values in ascending order, shape (values,)."""
    if not ordered.size:
        return Moments()
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.mean(ordered))
        gaps = ordered - mean
        m2 = float(np.sum(np.square(gaps, out=gaps)))  # no BLAS: its kernels differ in the last bits
    return Moments(int(ordered.size), mean, m2, float(ordered[0]), float(ordered[-1]))


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Moments of all values together.

    Notes
    -----
    The update of T. Chan, G. Golub and R. LeVeque ("Updating formulae and a pairwise algorithm for computing
    sample variances", 1979) for many parts at once. Differences from one of the means, not the means, are
    averaged, so that nothing cancels when the mean is large beside the spread.
    """
    filled = [part for part in parts if part.n]
    if not filled:
        return Moments()
    n = sum(part.n for part in filled)
    weights = np.array([part.n for part in filled], dtype=np.float64)
    means = np.array([part.mean for part in filled])
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(means[0] + np.sum(weights * (means - means[0])) / n)
        between = float(np.sum(weights * (means - mean) ** 2))
    m2 = math.fsum(part.m2 for part in filled) + between
    return Moments(n, mean, m2, min(part.minimum for part in filled), max(part.maximum for part in filled))
