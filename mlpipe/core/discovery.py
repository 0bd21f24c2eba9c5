"""The worst slices, found by looking at all of one and two columns, without crying wolf.

Of each slice the mean loss of its rows is compared with that of all other rows, by a t statistic whose spread is that of whole blocks
(rows of one day are alike [2]_). Of the slices that are worse by a standardised effect of at least `EFFECT` those are told for which
Benjamini and Hochberg's method keeps the expected share of false discoveries at most at `rate` [3]_; where no slice is truly worse, the
chance that any is told is at most that. The idea of searching slices by effect size and test is Slice Finder's [1]_.

References
----------
.. [1] Chung, Kraska, Polyzotis, Tae and Whang, "Slice Finder: automated data slicing for model validation", ICDE 2019.
.. [2] Cameron and Miller, "A Practitioner's Guide to Cluster-Robust Inference", Journal of Human Resources 50(2), 2015.
.. [3] Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57(1), 1995.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.formulas import ratio
from mlpipe.core.scored import Floats, Scored, coded, finite_numbers
from mlpipe.core.slicing import Cut, crossed, cuts, labels_of
from mlpipe.errors import DataError

EFFECT = 0.15
"""Least difference of mean losses that is worth telling, in standard deviations of the loss."""
FEWEST_BLOCKS = 8
"""Slices with rows in fewer blocks are not tested."""
MOST_BLOCKS = 500
"""More blocks than this are put together, so that cost does not grow with their number."""
MOST_COLUMNS = 30
MOST_CELLS = 2_000
"""Pairs of columns with more combinations than this are left out."""


@dataclass(frozen=True)
class Suspect:
    """A slice that is worse than the rest.

    Attributes
    ----------
    slice, columns, rows
        Name, labels by column, and its rows.
    loss, rest
        Mean loss in it and elsewhere.
    effect
        Their difference in standard deviations of the loss.
    p, q
        One-sided p-value, and the same adjusted for all slices that were looked at.
    """

    slice: str
    columns: Mapping[str, str]
    rows: int
    loss: float
    rest: float
    effect: float
    p: float
    q: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def losses(scored: Scored) -> Floats:
    """Loss of each row, shape (n,): squared error of probabilities (summed over classes), absolute error of a regression.

    Squared errors are bounded, so that a single surprising row does not make a slice.
    """
    if scored.task == "regression":
        off: Floats = np.abs(scored.score - scored.y)
        return off
    if scored.task == "binary":
        squared: Floats = (scored.score - scored.y) ** 2
        return squared
    truth = np.arange(scored.score.shape[1]) == scored.y[:, None]
    total: Floats = np.sum((scored.score - truth) ** 2, axis=1)
    return total


def worst(
    frame: pd.DataFrame,
    columns: Sequence[str],
    loss: ArrayLike,
    blocks: ArrayLike,
    *,
    min_support: int = 50,
    rate: float = 0.05,
    most: int = 10,
) -> tuple[Suspect, ...]:
    """Slices of one or two columns whose rows have a greater loss than the others, the greatest difference first.

    Parameters
    ----------
    frame
        n rows.
    columns
        The columns to look at, the first `MOST_COLUMNS` of them.
    loss
        Shape (n,), finite: of `losses`, or any other that is high where the model is bad, such as the loss less the champion's.
    blocks
        Shape (n,): the day or entity of each row.
    min_support
        Fewest rows of a slice.
    rate
        Level of false discoveries, in (0, 1).
    most
        At most so many are told. A pair is told only beside or without its single columns when it is half as bad again as they are.

    Raises
    ------
    DataError
        An unknown column, or losses and blocks that do not fit the rows.
    """
    values = finite_numbers(loss, "the loss")
    codes, names = coded(blocks)
    if not len(frame) == len(values) == len(codes):
        raise DataError(
            f"{len(values)} losses and {len(codes)} blocks do not fit {len(frame)} rows",
            fix="Give one of each a row.",
        )
    if not len(values) or not values.std() > 0:
        return ()
    count = min(len(names), MOST_BLOCKS)
    parts = list(cuts(frame, columns[:MOST_COLUMNS]).values())
    looked = list(_looked_at(parts, values, codes % count, count, min_support))
    if not looked:
        return ()
    # scipy.stats takes a second to import.
    from scipy.stats import false_discovery_control

    q = false_discovery_control([s.p for s in looked])
    found = [_with(s, float(x)) for s, x in zip(looked, q, strict=True) if x <= rate and s.effect >= EFFECT]
    return _told(found, most)


def _with(suspect: Suspect, q: float) -> Suspect:
    return Suspect(**{**asdict(suspect), "q": q})


def _told(found: Sequence[Suspect], most: int) -> tuple[Suspect, ...]:
    """The worst first; a pair that is bad only because one of its columns is stays out."""
    single = {tuple(s.columns.items()): s.effect for s in found if len(s.columns) == 1}
    kept = [
        s
        for s in found
        if len(s.columns) == 1
        or s.effect >= 1.5 * max((single.get((item,), 0.0) for item in s.columns.items()), default=0.0)
    ]
    return tuple(sorted(kept, key=lambda s: (-s.effect, s.slice))[:most])


def _looked_at(
    parts: Sequence[Cut], values: Floats, codes: NDArray[np.int64], count: int, min_support: int
) -> Iterator[Suspect]:
    """All slices of one and two columns that can be tested, with q still to be had."""
    for chosen in (*((p,) for p in parts), *itertools.combinations(parts, 2)):
        crossing, size = crossed(chosen)
        if size > MOST_CELLS:
            continue
        yield from _tested(chosen, crossing, size, values, codes, count, min_support)


def _tested(
    parts: Sequence[Cut],
    crossing: NDArray[np.int64],
    size: int,
    values: Floats,
    codes: NDArray[np.int64],
    count: int,
    min_support: int,
) -> Iterator[Suspect]:
    from scipy.special import stdtr

    flat = crossing * count + codes
    rows = np.bincount(flat, minlength=size * count).reshape(size, count).astype(np.float64)
    sums = np.bincount(flat, weights=values, minlength=size * count).reshape(size, count)
    n, total, whole = rows.sum(axis=1), rows.sum(axis=0), sums.sum(axis=0)
    own = (rows > 0).sum(axis=1)
    kept = np.flatnonzero((n >= min_support) & (len(values) - n >= min_support) & (own >= FEWEST_BLOCKS))
    rows, sums, n, own = rows[kept], sums[kept], n[kept], own[kept]
    rest_rows, rest_sums, m = total - rows, whole - sums, len(values) - n
    inside, outside = ratio(sums.sum(axis=1), n), ratio(rest_sums.sum(axis=1), m)
    # What each block adds to the difference of the two means, to first order.
    parts_of = (sums - inside[:, None] * rows) / n[:, None] - (rest_sums - outside[:, None] * rest_rows) / m[
        :, None
    ]
    error = np.sqrt(own / (own - 1) * np.sum(parts_of**2, axis=1))
    t = ratio(inside - outside, error)
    p = np.where(error > 0, stdtr(own - 1, -np.nan_to_num(t)), np.where(inside > outside, 0.0, 1.0))
    for i, code in enumerate(kept):
        columns = labels_of(parts, int(code))
        name = ", ".join(f"{c}={v}" for c, v in columns.items())
        effect = float((inside[i] - outside[i]) / values.std())
        yield Suspect(name, columns, int(n[i]), float(inside[i]), float(outside[i]), effect, float(p[i]), 1.0)
