"""How much of some numbers a column tells: of a model's scores, what it goes by; of its mistakes, who they happen to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.core.alarming import adjusted
from mlpipe.core.leakage import binned
from mlpipe.core.scored import Floats

SCORE_BINS = 20
ENDS = 0.1
"""So many rows, as a share, of either end of the scores are those that the model is surest of."""
SURE = 3.0
"""Standard errors beyond which mistakes at an end of the scores are more than chance."""


@dataclass(frozen=True)
class Told:
    """What one column tells of some numbers.

    Attributes
    ----------
    share
        Of their variance, between bins of the column, corrected for chance (epsilon squared [1]_), in [0, 1].
    p
        Chance of as much without any difference between bins (F test, one-way), adjusted for the number of columns.
    where, mean
        The bin that tells most, in words, and the mean of the numbers in it.

    References
    ----------
    .. [1] T. L. Kelley, "An unbiased correlation ratio measure", PNAS 21(9), 1935.
    """

    share: float
    p: float
    where: str
    mean: float


def told_by(values: Floats, columns: "Mapping[str, pd.Series[Any]]") -> dict[str, Told]:
    """What each column tells of some numbers.

    Parameters
    ----------
    values
        Shape (n,), finite.
    columns
        By name, each of shape (n,): numbers are binned by quantiles, texts by name; all nulls are a bin of their own.

    Returns
    -------
    dict
        By column. A column with one bin, numbers that are all equal, and fewer rows than bins tell nothing.
    """
    found = {name: _told(values, column) for name, column in columns.items()}
    p = adjusted({name: t.p for name, t in found.items()})
    return {name: Told(t.share, p[name], t.where, t.mean) for name, t in found.items()}


def _told(values: Floats, column: "pd.Series[Any]") -> Told:
    codes = np.unique(binned(column), return_inverse=True)[1]
    counts = np.bincount(codes)
    n, groups = len(values), len(counts)
    off = values - values.mean() if n else values
    total = float(off @ off)
    if groups < 2 or n <= groups or total <= 1e-12 * n:
        return Told(0.0, 1.0, "", 0.0)
    from scipy.special import fdtrc

    means = np.bincount(codes, off) / counts
    between = counts * means**2
    within = max(total - float(between.sum()), 0.0)
    share = 1 - (within / (n - groups)) / (total / (n - 1))
    ratio = (float(between.sum()) / (groups - 1)) / (within / (n - groups)) if within > 0 else np.inf
    top = int(np.argmax(between))
    rows = codes == top
    return Told(
        min(max(share, 0.0), 1.0),
        float(fdtrc(groups - 1, n - groups, ratio)),
        _words(column[rows]),
        float(values[rows].mean()),
    )


def _words(cells: "pd.Series[Any]") -> str:
    """The values of a bin: one value, or the least and the greatest."""
    known = cells.dropna()
    if not len(known):
        return "missing"
    if not pd.api.types.is_numeric_dtype(known):
        return str(known.iloc[0])
    low, high = float(known.min()), float(known.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def unforeseen(y: Floats, score: Floats) -> Floats:
    """What of the truth the score leaves open: y minus its mean among rows with about the same score, shape (n,).

    So a model that is merely off, by as much for everyone with one score, leaves nothing that a column could tell.
    """
    codes = _score_bins(score)
    return np.asarray(y - (np.bincount(codes, y) / np.maximum(np.bincount(codes), 1))[codes])


def _score_bins(score: Floats) -> NDArray[np.intp]:
    edges = np.unique(np.quantile(score, np.linspace(0, 1, SCORE_BINS + 1)[1:-1])) if len(score) else score
    return np.searchsorted(edges, score, side="right")


def flipped(y: Floats, score: Floats) -> float | None:
    """Share of labels that look as if they were recorded wrongly, whoever they belong to; None where they do not.

    A label that is flipped with chance r is positive with chance p + r (1 - 2 p). So among rows that the model is surest of, at *both*
    ends, as many labels speak against it: ``(mean(y) - mean(p)) / (1 - 2 mean(p))`` is r at either end. A change of what follows from
    what shows at one end, or unequally.

    Parameters
    ----------
    y, score
        Shape (n,): 0 or 1, and the probability that the model gave.

    Returns
    -------
    float or None
        The mean of both ends, where each is more than chance by three standard errors and neither is more than 2.5 times the other.
    """
    count = int(len(y) * ENDS)
    if count < 20:
        return None
    order = np.argsort(score, kind="stable")
    shares = []
    for end in (order[:count], order[-count:]):
        p, seen = float(score[end].mean()), float(y[end].mean())
        # An end in the middle is none: the model is not sure of these rows.
        if abs(1 - 2 * p) < 0.2:
            return None
        error = np.sqrt(max(float((score[end] * (1 - score[end])).mean()), 1 / count) / count)
        if abs(seen - p) < SURE * error:
            return None
        shares.append((seen - p) / (1 - 2 * p))
    low, high = sorted(shares)
    return (low + high) / 2 if low > 0 and high <= 2.5 * low else None
