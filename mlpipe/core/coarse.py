"""Few bins that suit a reference, out of the many of the grid.

On a thousand bins every two samples differ; on about ten the population stability index has limits that
people know. The bins follow from the reference alone, so that one reference gives one scale for every window
held against it.
"""

import numpy as np
from numpy.typing import NDArray

from mlpipe.core.grid import ColumnGrid
from mlpipe.core.profile import ColumnProfile
from mlpipe.errors import DataError

BINS = 10


def coarsen(
    column_grid: ColumnGrid, reference: ColumnProfile, current: ColumnProfile, bins: int = BINS
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """Counts of two profiles on few bins that suit the reference.

    Parameters
    ----------
    column_grid
        Bins on which both stand.
    reference, current
        Only the reference decides the bins.
    bins
        Numeric bins of about equal shares of the reference's values, at least 2; a value that repeats often
        may fill several. For categories: those below a share of 1 / (10 * bins) go into "other".

    Returns
    -------
    tuple
        Counts of the reference, counts of the current profile, and labels, of one length. Bins of their own
        have: values below and above all of the reference's, minus and plus infinity; other and unseen
        categories; nulls.
    """
    groups, labels = coarse_bins(column_grid, reference, bins)
    return grouped(groups, reference, len(labels)), grouped(groups, current, len(labels)), labels


def coarse_bins(
    column_grid: ColumnGrid, reference: ColumnProfile, bins: int = BINS
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Coarse bin of every bin of the grid, then of minus infinity, plus infinity and null; and their labels.

    Parameters and errors are those of `coarsen`. The labels have the order of the coarse bins.
    """
    if bins < 2:
        raise DataError(f"The 'bins' parameter of coarsen must be at least 2. Got {bins} instead.")
    if reference.counts.size != column_grid.size:
        raise DataError(
            f"The profile has {reference.counts.size} bins and its grid {column_grid.size}.",
            fix="Profile the data again on this grid.",
        )
    if column_grid.edges is not None:
        groups, labels = _numeric_bins(column_grid.edges, reference.counts, bins)
        after = len(labels)
        return np.append(groups, [after, after + 1, after + 2]), (*labels, "-inf", "+inf", "null")
    names = column_grid.categories or ()
    kept = reference.counts[: len(names)] * (10 * bins) >= max(1, int(reference.counts.sum()))
    other = int(kept.sum())
    groups = np.where(kept, np.cumsum(kept) - 1, other)
    labels = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    # Categories have no infinities: their two places, always 0, are counted to the nulls.
    tail = [other, other + 1, other + 2, other + 2, other + 2]
    return np.append(groups, tail).astype(np.intp), (*labels, "other", "unseen", "null")


def grouped(groups: NDArray[np.intp], column: ColumnProfile, size: int) -> NDArray[np.int64]:
    """Counts on coarse bins, shape (size,), from the coarse bin of each entry as `coarse_bins` gives them."""
    return np.bincount(groups, weights=_vector(column), minlength=size).astype(np.int64)


def _vector(column: ColumnProfile) -> NDArray[np.int64]:
    """All rows of a column: by bin, then minus infinity, plus infinity, null."""
    return np.concatenate([column.counts, [*column.infinities, column.nulls]])


def _numeric_bins(
    edges: NDArray[np.float64], counts: NDArray[np.int64], bins: int
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    filled = np.flatnonzero(counts)
    if not filled.size:
        return np.zeros(counts.size, dtype=np.intp), ("value",)
    mass = counts[filled]
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    _, group = np.unique(np.floor(middle * bins), return_inverse=True)
    # A bin that is empty in the reference goes with the filled one below it, or counts as outside of all.
    everywhere = group[np.maximum(np.searchsorted(filled, np.arange(counts.size), side="right") - 1, 0)]
    first, last = int(filled[0]), int(filled[-1])
    starts = filled[np.unique(group, return_index=True)[1]]
    marks = [f"{edges[start - 1]:.6g}" if start else "-inf" for start in starts]
    marks.append(f"{edges[last]:.6g}" if last < edges.size else "inf")
    labels = [f"[{left}, {right})" for left, right in zip(marks, marks[1:], strict=False)]
    groups = everywhere.astype(np.intp)
    if first:
        groups = groups + 1
        groups[:first] = 0
        labels.insert(0, f"below {marks[0]}")
    if last < edges.size:
        groups[last + 1 :] = len(labels)
        labels.append(f"above {marks[-1]}")
    return groups, tuple(labels)
