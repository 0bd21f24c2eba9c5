"""Numbers in ascending order: what `numpy.sort` gives, in a time that does not hang on the processor.

A profile is mostly a sort. On AMD processors of the Zen 4 family the sort that numpy picks takes five times as
long as its older one (it writes through a slow instruction), but not on a hundred numbers, which stay in the
registers. So numbers are first dealt into cells by their size, and then put in order a hundred at a time.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FEW = 16_384
"""Fewer numbers than this are sorted as they are."""
_ROW, _SEAM = 128, 64
"""Numbers sorted at once in registers, and across the seam of two such rows."""
_CELL, _MOST = 4, 1 << 20
"""Numbers in a cell on average, and cells at most."""
_SAMPLE, _OUTER = 1024, 8
_BLOCK = 1 << 16
_NEAR = 16
"""Crowded cells that are no farther apart are dealt again together."""


def ascending(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values in ascending order, as a new array.

    Parameters
    ----------
    values
        Any floats, shape (rows,). NaN come last, as in `numpy.sort`; which of -0.0 and 0.0 comes first is open.

    Notes
    -----
    Cells are of equal width over the range of a sample. Two passes, the second over the seams of the first, put
    right what is near its place; numbers of cells that hold more than that, which a long tail brings about, are
    dealt again by themselves.
    """
    if values.size < FEW:
        return np.sort(values)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(values.sum())
    if finite:
        return _dealt(values)
    known = np.isfinite(values)
    ends = np.sort(values[~known])
    below = int(np.searchsorted(ends, 0.0))
    return np.concatenate([ends[:below], _dealt(values[known]), ends[below:]])


def _dealt(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Finite values in ascending order."""
    count = values.size
    if count < FEW:
        return np.sort(values)
    sample = np.sort(values[:: count // _SAMPLE])
    low, high = sample[_OUTER], sample[-1 - _OUTER]
    cells = min(count // _CELL, _MOST)
    with np.errstate(over="ignore", divide="ignore"):
        scale = (cells - 1) / (high - low)
        if not 0 < scale < np.inf:
            return np.sort(values)
        cell, room = np.empty(count, dtype=np.int32), np.empty(_BLOCK)
        for start in range(0, count, _BLOCK):
            block = values[start : start + _BLOCK]
            place = np.subtract(block, low, out=room[: block.size])
            place *= scale
            cell[start : start + _BLOCK] = np.clip(place, 0, cells - 1, out=place)
    # A sparse row turned into columns is a counting sort that carries the numbers along.
    row = sparse.csr_array((values, cell, np.array([0, count], dtype=np.int32)), shape=(1, cells))
    dealt = row.tocsc()
    _settle(dealt.data, dealt.indptr)
    return dealt.data


def _settle(values: NDArray[np.float64], starts: NDArray[np.int32]) -> None:
    """Puts in order, in place, values that are all in the right cell; cell i begins at `starts[i]`, shape (cells + 1,)."""
    whole = values.size // _ROW * _ROW
    values[: whole - _ROW].reshape(-1, _ROW).sort(axis=1)
    values[whole - _ROW :].sort()
    first = _ROW - _SEAM // 2
    values[first : first + whole - _ROW].reshape(-1, _ROW)[:, :_SEAM].sort(axis=1)
    values[: starts[1]].sort()
    values[starts[-2] :].sort()
    wrong = values[1:] < values[:-1]
    if not wrong.any():
        return
    crowded = np.searchsorted(starts, np.flatnonzero(wrong), side="right") - 1
    gaps = np.flatnonzero(np.diff(crowded) > _NEAR)
    for low, high in zip(crowded[np.append(0, gaps + 1)], crowded[np.append(gaps, -1)], strict=True):
        part = values[starts[low] : starts[high + 1]]
        part[:] = _dealt(part) if part.size < 0.9 * values.size else np.sort(part)
