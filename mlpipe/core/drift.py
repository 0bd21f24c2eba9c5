"""Drift between two profiles on one grid: arithmetic on counts, no rows are touched.

Alarms watch the population stability index on about ten bins of the reference, for which limits can be
calibrated; other distances, and what chance alone would make of as many rows, are reported beside it. An
alarm goes by an effect size, never by a p-value alone: over a million rows any shift is significant.

Evidently's PSI differs from this one, for its bins are others: they are chosen anew for each comparison, from
both samples together, so that values far out in a heavy tail stretch equally wide bins until nearly all rows
lie in one, and a shift of all of them is hardly seen. Bins that follow from the reference alone give one
reference one scale, on which days can be compared and limits learned; values beyond it have bins of their own.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlpipe.core.abreast import Abreast, Basis, abreast, basis, measured
from mlpipe.core.coarse import coarse_bins, grouped
from mlpipe.core.distances import MAJOR, MODERATE, Band, Floats, band, psi, stability_index
from mlpipe.core.grid import ColumnGrid, Grid
from mlpipe.core.profile import ColumnProfile, Profile
from mlpipe.errors import DataError, did_you_mean

__all__ = [
    "MAJOR",
    "MODERATE",
    "Band",
    "ColumnDrift",
    "alarms",
    "band",
    "calibrate",
    "check",
    "compare",
    "default_excluded",
    "psi",
    "share",
]

LOW_CARDINALITY = 12
"""Numeric columns with at most this many different values raise no alarm by default, as months have."""
FEW_WINDOWS = 20


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column has moved from its reference: effect sizes, and the chance of as much without drift.

    Formulas and sources stand in `mlpipe.core.distances`. Coarse bins are those of `mlpipe.core.coarse`: nulls,
    infinities and unseen categories have bins of their own there, so their drift is drift.

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
    ks_p
        Chance of as great a `ks` without drift, if rows were independent. NaN where `ks` is.
    js, hellinger
        Jensen-Shannon (base 2) and Hellinger distance on coarse bins, in [0, 1]. NaN when one side has no
        rows.
    kl
        Kullback-Leibler divergence from the reference on coarse bins, in nats, in [0, inf). NaN when one side
        has no rows.
    chi2, chi2_p, cramers_v
        Chi-squared statistic on coarse bins, its p-value if rows were independent, and Cramér's V, its effect
        size, in [0, 1]. NaN when one side has no rows.
    wasserstein
        Area between the distribution functions of the finite values, in units of the column (dates in
        seconds): L. Kantorovich, "On the translocation of masses", 1942. Rows of a bin are taken at their
        mean, so it equals the distance of the raw values wherever one function stays above the other in a
        bin, and is elsewhere off by less than the spread inside that bin, times its share of the rows. NaN for
        categories, or when one side has no finite values.
    wasserstein_sd
        The same in standard deviations of the reference. NaN where that is unknown, or is 0 and the column
        moved.
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
    ks_p: float
    kl: float
    hellinger: float
    chi2: float
    chi2_p: float
    cramers_v: float
    wasserstein: float
    wasserstein_sd: float

    @property
    def p(self) -> float:
        """Chance of as much drift without any: of a number the smaller of both tests, doubled (Bonferroni), else that of chi-squared."""
        tests = [p for p in (self.chi2_p, self.ks_p) if not math.isnan(p)]
        return min(1.0, len(tests) * min(tests)) if tests else math.nan


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
    base = basis(grid, reference, tuple(grid.columns if columns is None else columns))
    return check(base, abreast(base, current))


def check(base: Basis, current: Abreast) -> dict[str, ColumnDrift]:
    """Drift of a window against a prepared reference, as `compare` has it; its cost does not depend on rows or history.

    Parameters
    ----------
    base
        The reference, made once by `mlpipe.core.abreast.basis`.
    current
        The window: days made by `mlpipe.core.abreast.abreast`, once each, and summed by `together`.
    """
    values = measured(base, current)
    by_name = {name: found.tolist() for name, found in vars(values).items()}
    return {
        column: ColumnDrift(
            column=column,
            rows_reference=base.reference.rows,
            rows_current=current.rows,
            band=band(by_name["psi"][i]),
            **{name: found[i] for name, found in by_name.items()},
        )
        for i, column in enumerate(base.columns)
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
    fortnight holds whole days: pass the latter. Moments move on with every day.
    """
    reasons = dict.fromkeys(named, "named as a calendar column")
    for name, column_grid in grid.columns.items():
        distinct = reference.column(name, column_grid).distinct.estimate
        if column_grid.kind == "datetime":
            reasons.setdefault(name, "moments move on with the days: watch an age or a delay")
        if column_grid.kind == "numeric" and 1 <= distinct <= LOW_CARDINALITY:
            reasons.setdefault(name, f"{distinct} different numbers: cannot be told from a calendar column")
    return reasons


def _window_psi(
    column_grid: ColumnGrid, reference: ColumnProfile, days: Sequence[ColumnProfile], window: int
) -> Floats:
    """PSI of every run of `window` days against the reference, shape (days - window + 1,)."""
    groups, labels = coarse_bins(column_grid, reference)
    rolling = np.zeros((len(days) + 1, len(labels)))
    for row, day in enumerate(days, start=1):
        rolling[row] = rolling[row - 1] + grouped(groups, day, len(labels))
    whole = grouped(groups, reference, len(labels))
    return stability_index(whole.astype(np.float64), rolling[window:] - rolling[:-window])


def _check_versions(grid: Grid, profiles: Sequence[Profile]) -> None:
    found = sorted({part.grid_version for part in profiles} - {grid.version})
    if found:
        raise DataError(
            f"The grid has version {grid.version}, and these profiles have {', '.join(map(str, found))}.",
            fix="Profile the older data again on the newer grid.",
        )
