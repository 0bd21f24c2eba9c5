"""Drift between two profiles on one grid: arithmetic on counts, no rows are touched.

Alarms watch the population stability index on about ten bins of the reference, for which limits can be
calibrated; the Kolmogorov-Smirnov and Jensen-Shannon distances are reported beside it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.coarse import coarse_bins, coarsen, grouped
from mlpipe.core.grid import ColumnGrid, Grid
from mlpipe.core.profile import ColumnProfile, Profile
from mlpipe.errors import DataError, did_you_mean

Band = Literal["stable", "moderate", "major", "unknown"]
Floats = NDArray[np.float64]

MODERATE, MAJOR = 0.1, 0.25
EPSILON = 1e-4
LOW_CARDINALITY = 12
"""Numeric columns with at most this many different values raise no alarm by default, as months have."""
FEW_WINDOWS = 20


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column has moved from its reference.

    Attributes
    ----------
    column
        Its name.
    psi
        Population stability index on coarse bins, in [0, inf). NaN when one side has no rows.
    ks
        Kolmogorov-Smirnov distance of the values that are not null, in [0, 1], on the full grid: never above
        that of the raw values, and below it by at most the share of one bin. NaN for categories, or when one
        side has no values.
    js
        Jensen-Shannon distance (base 2) on coarse bins, in [0, 1]. NaN when one side has no rows.
    null_rate_change
        Share of nulls now minus that of the reference, in [-1, 1]. NaN when one side has no rows.
    unseen_rate
        Share of the current rows with a category that the grid does not know, in [0, 1]. 0 for numbers.
    rows_reference, rows_current
        Rows of either side, nulls included.
    band
        Band of the `psi`.
    """

    column: str
    psi: float
    ks: float
    js: float
    null_rate_change: float
    unseen_rate: float
    rows_reference: int
    rows_current: int
    band: Band


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
    return float(_psi(reference, current, epsilon))


def band(value: float) -> Band:
    """Band of a PSI: below 0.1 "stable", from 0.1 "moderate", from 0.25 "major"; NaN is "unknown"."""
    if math.isnan(value):
        return "unknown"
    return "stable" if value < MODERATE else "moderate" if value < MAJOR else "major"


def compare(
    grid: Grid, reference: Profile, current: Profile, columns: Sequence[str] | None = None
) -> dict[str, ColumnDrift]:
    """Drift of a window against a reference, column by column.

    Parameters
    ----------
    grid
        Grid of both profiles.
    reference, current
        For instance the champion's training data and the merged days of a trailing window. A column that one
        of them lacks counts as null in all its rows.
    columns
        Names, all of the grid by default.

    Raises
    ------
    DataError
        A profile is on another version of the grid, or a name is not on the grid.
    """
    _check_versions(grid, [reference, current])
    unknown = [name for name in columns or () if name not in grid.columns]
    if unknown:
        raise DataError(
            f"Not on the grid: {', '.join(unknown)}.", fix=did_you_mean(unknown[0], sorted(grid.columns))
        )
    return {
        name: _compare_column(name, grid.columns[name], reference, current)
        for name in (grid.columns if columns is None else columns)
    }


def calibrate(
    grid: Grid,
    reference: Profile,
    days: Sequence[Profile],
    window: int,
    *,
    floor: float = MODERATE,
    fallback: float = MAJOR,
    quantile: float = 0.95,
    margin: float = 1.5,
) -> dict[str, float]:
    """Limit of the PSI of each column, from how much windows differ within the training period.

    Parameters
    ----------
    grid, reference
        The grid, and the profile of the whole training period.
    days
        Profiles of its days, in order.
    window
        Days of the trailing window that will be watched, at least 1.
    floor
        No limit is lower.
    fallback
        Limit when there are fewer days than the window, or no window with rows.
    quantile
        In [0, 1]. Quantile of the PSI of all windows; below 20 windows their maximum, since a high quantile
        of so few is no more than a guess at it.
    margin
        Factor for what the training period cannot show; at least 1.

    Returns
    -------
    dict
        Column to limit, for all columns of the grid.

    Notes
    -----
    The limit is ``max(floor, margin * (1 + f) / (1 - f) * quantile)``. A window inside the training period is
    a share f of what it is compared with, and so looks closer than a live one: PSI grows with the variance of
    p - q, which is 1/n - 1/N for n of N rows, and 1/n + 1/N for n rows apart. Their ratio is (1 + f) / (1 -
    f); f is taken as window / days, at most 1/2, where the factor is 3. Beyond this, live windows lie later
    than all of training, and season and trend move them further than any window inside: hence the margin of
    one half, a judgement and no derivation.
    """
    if window < 1:
        raise DataError(f"The 'window' parameter of calibrate must be at least 1. Got {window} instead.")
    if not 0.0 <= quantile <= 1.0:
        raise DataError(f"The 'quantile' parameter of calibrate must be in [0, 1]. Got {quantile} instead.")
    _check_versions(grid, [reference, *days])
    if len(days) < window:
        return dict.fromkeys(grid.columns, fallback)
    overlap = min(window / len(days), 0.5)
    factor = margin * (1.0 + overlap) / (1.0 - overlap)
    limits = {}
    for name, column_grid in grid.columns.items():
        parts = [day.column(name, column_grid) for day in days]
        found = _window_psi(column_grid, reference.column(name, column_grid), parts, window)
        found = found[~np.isnan(found)]
        if found.size:
            typical = np.max(found) if found.size < FEW_WINDOWS else np.quantile(found, quantile)
            limits[name] = max(floor, factor * float(typical))
        else:
            limits[name] = fallback
    return limits


def alarms(
    drifts: Mapping[str, ColumnDrift], thresholds: Mapping[str, float], *, exclude: Collection[str] = ()
) -> tuple[str, ...]:
    """Columns whose PSI reaches its limit, the worst first.

    A column without a limit has 0.25; one whose PSI is unknown raises no alarm; those in `exclude` are not
    looked at.
    """
    raised = [
        drift
        for name, drift in drifts.items()
        if name not in exclude and drift.psi >= thresholds.get(name, MAJOR)
    ]
    return tuple(drift.column for drift in sorted(raised, key=lambda drift: (-drift.psi, drift.column)))


def share(
    drifts: Mapping[str, ColumnDrift], thresholds: Mapping[str, float], *, exclude: Collection[str] = ()
) -> float:
    """Share of the watched columns that raise an alarm, in [0, 1]; 0 when none is watched."""
    watched = sum(1 for name, drift in drifts.items() if name not in exclude and not math.isnan(drift.psi))
    return len(alarms(drifts, thresholds, exclude=exclude)) / watched if watched else 0.0


def default_excluded(grid: Grid, reference: Profile, named: Collection[str] = ()) -> dict[str, str]:
    """Columns that raise no alarm unless asked for, with the reason.

    Parameters
    ----------
    grid, reference
        The grid and the profile of the training data.
    named
        Columns that the caller knows to follow the calendar. They need not be on the grid.

    Notes
    -----
    Weekday, month or quarter drift in every window that does not hold whole cycles, and values alone do not
    tell them from a count or a grade. So all numeric columns with one to twelve different values are left
    out; name those that matter in the alarms. Hours and days of the month have more values, but a window of a
    fortnight holds whole days: pass the latter.
    """
    reasons = dict.fromkeys(named, "named as a calendar column")
    for name, column_grid in grid.columns.items():
        distinct = reference.column(name, column_grid).distinct.estimate
        if column_grid.kind == "numeric" and 1 <= distinct <= LOW_CARDINALITY:
            reasons.setdefault(name, f"{distinct} different numbers: cannot be told from a calendar column")
    return reasons


def _psi(reference: Floats, current: Floats, epsilon: float) -> Floats:
    """PSI over the last axis; NaN where one side is empty."""
    with np.errstate(invalid="ignore"):
        p = np.maximum(reference / reference.sum(axis=-1, keepdims=True), epsilon)
        q = np.maximum(current / current.sum(axis=-1, keepdims=True), epsilon)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def _compare_column(name: str, column_grid: ColumnGrid, reference: Profile, current: Profile) -> ColumnDrift:
    then, now = reference.column(name, column_grid), current.column(name, column_grid)
    counts_then, counts_now, _ = coarsen(column_grid, then, now)
    value = psi(counts_then, counts_now)
    comparable = then.rows > 0 and now.rows > 0
    return ColumnDrift(
        column=name,
        psi=value,
        ks=_ks(then, now) if column_grid.kind == "numeric" else math.nan,
        js=_js(counts_then, counts_now) if comparable else math.nan,
        null_rate_change=now.nulls / now.rows - then.nulls / then.rows if comparable else math.nan,
        unseen_rate=now.unseen_rows / now.rows if now.rows else 0.0,
        rows_reference=then.rows,
        rows_current=now.rows,
        band=band(value),
    )


def _ks(reference: ColumnProfile, current: ColumnProfile) -> float:
    def steps(column: ColumnProfile) -> NDArray[Any]:
        return np.cumsum(np.concatenate([column.infinities[:1], column.counts, column.infinities[1:]]))

    then, now = steps(reference), steps(current)
    if not then[-1] or not now[-1]:
        return math.nan
    return float(np.abs(then / then[-1] - now / now[-1]).max())


def _js(reference: NDArray[np.int64], current: NDArray[np.int64]) -> float:
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = 0.0
    for side in (p, q):
        held = side > 0
        divergence += float(np.sum(side[held] * np.log2(side[held] / middle[held]))) / 2
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def _window_psi(
    column_grid: ColumnGrid, reference: ColumnProfile, days: Sequence[ColumnProfile], window: int
) -> Floats:
    """PSI of every run of `window` days against the reference, shape (days - window + 1,)."""
    groups, labels = coarse_bins(column_grid, reference)
    rolling = np.zeros((len(days) + 1, len(labels)))
    for row, day in enumerate(days, start=1):
        rolling[row] = rolling[row - 1] + grouped(groups, day, len(labels))
    whole = grouped(groups, reference, len(labels))
    return _psi(whole.astype(np.float64), rolling[window:] - rolling[:-window], EPSILON)


def _check_versions(grid: Grid, profiles: Sequence[Profile]) -> None:
    found = sorted({part.grid_version for part in profiles} - {grid.version})
    if found:
        raise DataError(
            f"The grid has version {grid.version}, and these profiles have {', '.join(map(str, found))}.",
            fix="Profile the older data again on the newer grid.",
        )
