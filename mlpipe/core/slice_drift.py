"""Drift of one value, such as the score, on slices of the rows: each slice beside the same slice of a reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.abreast import abreast, basis, measured
from mlpipe.core.alarming import Reading, adjusted
from mlpipe.core.grid import ColumnGrid, Grid
from mlpipe.core.profile import ColumnProfile, Profile, merge
from mlpipe.core.slicing import Cut, cells, cut_as

Floats = NDArray[np.float64]
CALM = 0.05
"""What chance gives more often than this, looked at alone, is no drift of a slice."""


@dataclass(frozen=True)
class SliceDrift:
    """How far a value has moved on one slice: PSI and Jensen-Shannon distance on coarse bins, and the p-value, adjusted for all slices.

    p is that of chi-squared, and of a number also that of Kolmogorov and Smirnov, the smaller one doubled (Bonferroni); it is adjusted
    over the slices by Benjamini and Hochberg. `chance` is about the PSI that as many rows have without any drift: of few rows it is no
    small number. Formulas stand in `mlpipe.core.distances`.
    """

    slice: str
    rows_reference: int
    rows: int
    psi: float
    js: float
    chance: float
    p: float
    p_adjusted: float


def profiles(
    frame: pd.DataFrame, cuts: Sequence[Sequence[Cut]], column: ColumnGrid, values: Floats
) -> Profile:
    """Profile with a column a slice, which holds the value on the rows of the slice; those of parts add up (`merge`).

    Parameters
    ----------
    frame
        The columns that are cut, shape (n, ...).
    cuts
        The sets of columns whose intersections are the slices, as the reference was cut.
    column
        Bins of the value; classes are the categories of a categorical one, in their order.
    values
        Shape (n,): numbers, or places of classes. What is not finite is left out.
    """
    known = np.isfinite(values)
    numeric = column.edges is not None
    places = np.searchsorted(column.edges, values, side="right") if column.edges is not None else values
    found: dict[str, ColumnProfile] = {}
    for parts in cuts:
        for cell in cells([cut_as(frame[part.column], part) for part in parts]):
            rows = cell.rows[known[cell.rows]]
            at = places[rows].astype(np.int64)
            counts = np.bincount(at, minlength=column.size)
            weights = np.bincount(at, weights=values[rows], minlength=column.size)
            sums = weights.astype(np.float64) if numeric else np.zeros(0)
            found[cell.name] = ColumnProfile(column.kind, counts, sums, len(rows), 0)
    return Profile(1, found, len(frame))


def together(parts: Sequence[Profile]) -> Profile:
    """Profile of all parts; a slice that a part lacks has no rows there, rather than empty ones."""
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns = {}
    for name in names:
        held = [
            Profile(1, {name: part.columns[name]}, part.columns[name].rows)
            for part in parts
            if name in part.columns
        ]
        columns[name] = merge(held).columns[name]
    return Profile(1, columns, sum(part.rows for part in parts))


def slice_drift(
    column: ColumnGrid, reference: Profile, current: Profile, *, min_support: int
) -> tuple[SliceDrift, ...]:
    """Drift of each slice that has `min_support` rows or more on either side, the greatest first."""
    rows: Mapping[str, tuple[int, int]] = {
        name: (reference.columns[name].rows, now.rows)
        for name, now in current.columns.items()
        if name in reference.columns and min(now.rows, reference.columns[name].rows) >= min_support
    }
    if not rows:
        return ()
    base = basis(Grid(1, dict.fromkeys(rows, column)), reference, tuple(rows))
    found = measured(base, abreast(base, current))
    bins = np.count_nonzero(base.counted, axis=1)
    tests = np.vstack([found.chi2_p, found.ks_p])
    number = np.count_nonzero(np.isfinite(tests), axis=0)
    p = np.minimum(1.0, number * np.nanmin(tests, axis=0))
    q = adjusted(dict(zip(rows, p.tolist(), strict=True)))
    drifts = [
        SliceDrift(
            name,
            *rows[name],
            psi=float(found.psi[i]),
            js=float(found.js[i]),
            chance=float(bins[i] - 1) * sum(1.0 / n for n in rows[name]),
            p=float(p[i]),
            p_adjusted=q[name],
        )
        for i, name in enumerate(rows)
    ]
    return tuple(sorted(drifts, key=lambda d: (-d.psi, d.slice)))


def readings(drifts: Sequence[SliceDrift]) -> dict[str, Reading]:
    """What alarms are raised on and closed by (`mlpipe.core.alarming`), by slice: the PSI beyond what chance gives, and the p-value.

    Where p is above `CALM` there is no effect, however great the PSI: that of few rows is, and an alarm would never close.
    """
    return {d.slice: Reading(max(0.0, d.psi - d.chance) if d.p <= CALM else 0.0, d.p) for d in drifts}
