"""How far two histograms on the same bins lie apart: effect sizes, and beside them what chance alone would make of as many rows.

All functions work over the last axis, so that many columns are measured at once; bins that are empty on both sides change nothing, which
is what lets histograms of different lengths be padded with zeros. A p-value says only that something moved, and over a million rows
something always has: alarms go by effect sizes.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.errors import DataError

Band = Literal["stable", "moderate", "major", "unknown"]
Floats = NDArray[np.float64]

MODERATE, MAJOR = 0.1, 0.25
EPSILON = 1e-4


class ChiSquared(NamedTuple):
    """Test of two histograms: the statistic, the chance of one at least as great without drift, and Cramér's V, each of shape (...)."""

    statistic: Floats
    p: Floats
    cramers_v: Floats


def psi(reference_counts: ArrayLike, current_counts: ArrayLike, *, epsilon: float = EPSILON) -> float:
    """Population stability index of two histograms on the same bins.

    Parameters
    ----------
    reference_counts, current_counts
        Non-negative counts, shape (bins,) both.
    epsilon
        In (0, 1). Shares below it are raised to it, so that a bin which is empty on one side has a finite
        price; a bin empty on both sides costs nothing. Shares are not scaled back to one: the largest excess
        is `bins * epsilon`.

    Returns
    -------
    float
        Sum over bins of ``(p - q) * ln(p / q)``, with the shares p of the reference and q of the current
        counts. At least 0, 0 for equal shares, the same in both directions. NaN when one side counts nothing.

    Raises
    ------
    DataError
        The shapes differ, a count is negative, or epsilon is out of range.

    Notes
    -----
    Without any drift, n and m independent rows on B bins give about (B - 1)(1/n + 1/m) [2]_: with ten bins
    and 100 rows "moderate" is noise.

    References
    ----------
    .. [1] N. Siddiqi, "Credit Risk Scorecards", Wiley 2006 (formula and the bands 0.1 and 0.25).
    .. [2] B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index", J. Risk Model
    Validation 2020.
    """
    reference, current = np.asarray(reference_counts, np.float64), np.asarray(current_counts, np.float64)
    if reference.shape != current.shape or reference.ndim != 1:
        raise DataError(f"psi needs two histograms of one shape. Got {reference.shape} and {current.shape}.")
    if (reference < 0).any() or (current < 0).any():
        raise DataError("psi needs counts, and some of these are negative.")
    if not 0.0 < epsilon < 1.0:
        raise DataError(f"The 'epsilon' parameter of psi must be in (0, 1). Got {epsilon} instead.")
    return float(stability_index(reference, current, epsilon))


def band(value: float) -> Band:
    """Band of a PSI: below 0.1 "stable", from 0.1 "moderate", from 0.25 "major"; NaN is "unknown"."""
    if math.isnan(value):
        return "unknown"
    return "stable" if value < MODERATE else "moderate" if value < MAJOR else "major"


def stability_index(reference: Floats, current: Floats, epsilon: float = EPSILON) -> Floats:
    """PSI as `psi` has it, of counts of shape (..., bins); NaN where one side is empty."""
    p, q = _raised(reference, epsilon), _raised(current, epsilon)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def kullback_leibler(reference: Floats, current: Floats, epsilon: float = EPSILON) -> Floats:
    """Kullback-Leibler divergence of the current counts from the reference, in nats, shape (...).

    Parameters
    ----------
    reference, current
        Non-negative counts, shape (..., bins).
    epsilon
        Shares below it are raised to it, as for the PSI: without it one bin that is new would make the divergence infinite.

    Returns
    -------
    ndarray
        Sum over bins of ``q ln(q / p) - q + p``, with the shares p of the reference and q of the current counts. Where shares add up to
        one the last two terms vanish and this is the divergence of [1]_; with raised shares they keep it from falling below 0, and the two
        directions adding up to the PSI. At least 0. NaN where one side counts nothing.

    References
    ----------
    .. [1] S. Kullback, R. Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22(1), 1951.
    """
    p, q = _raised(reference, epsilon), _raised(current, epsilon)
    return np.asarray((q * np.log(q / p) - q + p).sum(axis=-1))


def jensen_shannon(reference: Floats, current: Floats) -> Floats:
    """Jensen-Shannon distance (base 2) of counts of shape (..., bins), in [0, 1]; NaN where one side counts nothing.

    The root of half the divergences, in bits, of both shares from their mean (J. Lin, "Divergence measures based on the Shannon
    entropy", IEEE Trans. Information Theory 37(1), 1991). A bin that is empty on one side needs no special price.
    """
    p, q = _shares(reference), _shares(current)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(side > 0, side * np.log2(side / middle), side) for side in (p, q)]
    return np.asarray(np.sqrt(np.clip((parts[0] + parts[1]).sum(axis=-1) / 2, 0.0, 1.0)))


def hellinger(reference: Floats, current: Floats) -> Floats:
    """Hellinger distance of counts of shape (..., bins), in [0, 1]; NaN where one side counts nothing.

    ``sqrt(sum((sqrt(p) - sqrt(q))^2) / 2)`` over the shares p and q (A. van der Vaart, "Asymptotic Statistics", 1998, chapter 14). A bin
    that is empty on one side needs no special price.
    """
    gaps = np.sqrt(_shares(reference)) - np.sqrt(_shares(current))
    return np.asarray(np.sqrt(np.clip((gaps**2).sum(axis=-1) / 2, 0.0, 1.0)))


def chi_squared(reference: Floats, current: Floats) -> ChiSquared:
    """Pearson's test that two histograms come from one distribution, with Cramér's V as its effect size.

    Parameters
    ----------
    reference, current
        Counts of independent rows, shape (..., bins).

    Returns
    -------
    ChiSquared
        The statistic of the table of two rows and as many columns as there are bins with any count, B; its p-value from the chi-squared
        distribution with B - 1 degrees of freedom (good when few expected counts are below five); and V = ``sqrt(statistic / rows)``, in
        [0, 1], with the rows of both sides: 1 when the sides share no bin, and smaller than for equal sides when one has far more rows.
        With one bin the statistic is 0, p is 1. NaN where one side counts nothing.

    Notes
    -----
    Rows of one day are alike, so p comes out too small. It tells chance from drift; how much drift, V tells.

    References
    ----------
    .. [1] K. Pearson, "On the criterion that a given system of deviations …", Philosophical Magazine 50, 1900.
    .. [2] H. Cramér, "Mathematical Methods of Statistics", 1946, chapter 21.
    """
    # scipy is slow to import, and whoever only writes or reads a specification compares nothing.
    from scipy.special import chdtrc

    n, m = reference.sum(axis=-1, keepdims=True), current.sum(axis=-1, keepdims=True)
    both = reference + current
    with np.errstate(divide="ignore", invalid="ignore"):
        # The two rows of the table share their deviation; written so, nothing cancels and equal shares give exactly zero.
        deviation = reference * m - current * n
        terms = np.where(both > 0, deviation**2 / (both * n * m), 0.0)
        total = (n + m)[..., 0]
        statistic = np.where((n > 0)[..., 0] & (m > 0)[..., 0], terms.sum(axis=-1), np.nan)
        v = np.sqrt(np.clip(statistic / total, 0.0, 1.0))
    freedom = (both > 0).sum(axis=-1) - 1
    p = np.where(
        freedom > 0, chdtrc(np.maximum(freedom, 1), statistic), np.where(np.isnan(statistic), np.nan, 1.0)
    )
    return ChiSquared(np.asarray(statistic), np.asarray(p), np.asarray(v))


def kolmogorov_p(distance: Floats, reference_rows: Floats, current_rows: Floats) -> Floats:
    """Chance of a Kolmogorov-Smirnov distance at least as great without drift, shape (...).

    The limit distribution at ``distance * sqrt(n m / (n + m))`` for n and m independent rows of a continuous column (N. Smirnov, "Table for
    estimating the goodness of fit of empirical distributions", Annals of Mathematical Statistics 19(2), 1948). Ties, and distances taken
    on bins, make it too great. NaN where the distance is.
    """
    from scipy.special import kolmogorov

    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.sqrt(reference_rows * current_rows / (reference_rows + current_rows))
        return np.asarray(kolmogorov(distance * size))


def _shares(counts: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=-1, keepdims=True))


def _raised(counts: Floats, epsilon: float) -> Floats:
    return np.asarray(np.maximum(_shares(counts), epsilon))
