"""Folds: ways to hold out every part of the rows in turn, or the later ones, without letting the test leak into the training.

A fold is a pair of places in the data, ``(train, test)``, both rising and disjoint. Folds by random choice take an explicit seed; of rows
in another order they are other folds. Duplicates do not straddle a fold that was made by `grouped`, or made good by `apart`,
with their groups (see `mlpipe.core.duplicates.copies`).

References
----------
.. [1] López de Prado, "Advances in Financial Machine Learning", 2018, chapter 7 (purging and embargo).
.. [2] Bergmeir and Benítez, "On the use of cross-validation for time series predictor evaluation", Information Sciences 191, 2012.
.. [3] Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.scored import coded
from mlpipe.core.split import NOTHING
from mlpipe.errors import DataError

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """Places of the rows that train and of those that test, each rising."""

    train: Places
    test: Places


def forward(
    times: Any,
    *,
    start: datetime,
    end: datetime,
    test: timedelta,
    train: timedelta | None = None,
    first: timedelta | None = None,
    embargo: timedelta = NOTHING,
) -> list[Fold]:
    """Folds that go forward in time: each tests a stretch, and trains on what lies before it.

    Parameters
    ----------
    times
        Shape (n,). Times without a zone are read as UTC. Rows with a null time, or outside the window, are in no fold.
    start, end
        The window ``[start, end)``, aware.
    test
        Length of each tested stretch, > 0. Stretches follow one another without a gap and end with the window.
    train
        Length of the training before each: rolling folds. By default everything since `start`: expanding ones.
    first
        What the first fold has at least for its training, by default as much as `train`, or `test`.
    embargo
        Gap left out between training and test, >= 0: as long as a label looks ahead.

    Returns
    -------
    list of Fold
        In order of time. Without an embargo, on equally spaced rows, those of scikit-learn's TimeSeriesSplit.

    Raises
    ------
    DataError
        A naive window, a length that is not positive, or a window that does not hold one fold.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise DataError(
            "the window's times have no time zone",
            fix="Give aware datetimes, such as datetime(…, tzinfo=UTC).",
        )
    least = first if first is not None else train if train is not None else test
    if min(test, least, train or test) <= NOTHING or embargo < NOTHING:
        raise DataError(
            "folds need test, train and first training longer than zero, and no negative embargo",
            fix="Give positive lengths.",
        )
    count = (end - start - least - embargo) // test
    if count < 1:
        raise DataError(
            f"a window of {end - start} does not hold a training of {least}, an embargo of {embargo} and a test of {test}",
            where=f"window {start.isoformat()} to {end.isoformat()}",
            fix="Lengthen the window, or shorten them.",
        )
    instants = pd.DatetimeIndex(pd.to_datetime(times, utc=True))
    found = []
    for k in range(count, 0, -1):
        begin = end - k * test
        until = begin - embargo
        since = start if train is None else max(start, until - train)
        found.append(Fold(_within(instants, since, until), _within(instants, begin, begin + test)))
    return found


def _within(instants: pd.DatetimeIndex, start: datetime, end: datetime) -> Places:
    return np.flatnonzero(np.asarray((instants >= pd.Timestamp(start)) & (instants < pd.Timestamp(end))))


def grouped(groups: ArrayLike, folds: int) -> list[Fold]:
    """Folds of which none cuts a group: the largest group goes to the smallest fold, as in scikit-learn's GroupKFold.

    Parameters
    ----------
    groups
        Shape (n,), of any type that sorts: the entity, or the group of copies, of each row.
    folds
        From 2 to the number of groups.
    """
    codes, names = coded(groups)
    _enough(folds, len(names), "groups")
    sizes = np.bincount(codes, minlength=len(names))
    load, fold_of = np.zeros(folds, dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for group in np.argsort(sizes, kind="stable")[::-1]:
        fold_of[group] = np.argmin(load)
        load[fold_of[group]] += sizes[group]
    return _of(fold_of[codes], folds)


def stratified(strata: ArrayLike, folds: int, *, seed: int) -> list[Fold]:
    """Folds with the same share of each stratum: numbers of rows of a stratum differ by at most one between folds, and so do whole folds.

    Parameters
    ----------
    strata
        Shape (n,), of any type that sorts: the class, or bins of a number.
    folds
        From 2 to n.
    seed
        Decides which rows of a stratum go where.
    """
    codes, _ = coded(strata)
    _enough(folds, len(codes), "rows")
    rng = np.random.default_rng(seed)
    # Rows by stratum are dealt out like cards, on from where the last stratum ended: so no fold gets all the odd ones.
    order = np.lexsort((rng.permutation(len(codes)), codes))
    fold_of = np.empty(len(codes), dtype=np.int64)
    fold_of[order] = np.arange(len(codes)) % folds
    return _of(fold_of, folds)


def purged(starts: Any, ends: Any, folds: int, *, embargo: timedelta = NOTHING) -> list[Fold]:
    """Folds of stretches of time, of which each trains on all rows, earlier and later, whose labels do not overlap the test [1]_.

    Parameters
    ----------
    starts, ends
        Shape (n,), without nulls: a row's prediction is made at its start, and its label is known at its end, which is no earlier. Times
        without a zone are read as UTC.
    folds
        From 2 to n. The test of each is a stretch of rows in order of their starts; rows that start at once are not parted, so there may be
        fewer folds.
    embargo
        Rows that start less than this after the last label of the test do not train either.

    Raises
    ------
    DataError
        A null, a label known before its prediction, or too few different starts.
    """
    begin, until = (pd.DatetimeIndex(pd.to_datetime(x, utc=True)) for x in (starts, ends))
    if len(begin) != len(until) or begin.hasnans or until.hasnans or bool((until < begin).any()):
        raise DataError(
            "starts and ends of labels are null, or some end lies before its start",
            fix="Give each row the time of its prediction and the time from which its label is known.",
        )
    instants, codes = np.unique(begin.to_numpy(), return_inverse=True)
    _enough(folds, len(instants), "different times")
    counts = np.cumsum(np.bincount(codes, minlength=len(instants)))
    # A fold begins with the first instant that starts at or after its even share of the rows.
    fold_of_instant = np.minimum((counts - 1) * folds // counts[-1], folds - 1)
    fold_of = np.unique(fold_of_instant, return_inverse=True)[1][codes]
    found = []
    for k in range(int(fold_of.max()) + 1):
        test = fold_of == k
        first, last = begin[test].min(), until[test].max()
        apart = np.asarray((until <= first) | (begin >= last + pd.Timedelta(embargo)))
        found.append(Fold(np.flatnonzero(apart & ~test), np.flatnonzero(test)))
    return found


def apart(fold: Fold, groups: ArrayLike) -> Fold:
    """The fold without the training rows that share a group with a tested one: entities, or copies, no longer straddle it.

    Parameters
    ----------
    groups
        Shape (n,): the group of each row of the data.
    """
    codes, _ = coded(groups)
    return Fold(fold.train[~np.isin(codes[fold.train], codes[fold.test])], fold.test)


def mean_interval(
    values: ArrayLike, train: ArrayLike, test: ArrayLike, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean of a measure over folds, and its t interval, wider than the plain one because the trainings of folds share rows [3]_.

    The variance of the mean is ``s**2 * (1 / k + tested / trained)``, with k - 1 degrees of freedom.

    Parameters
    ----------
    values
        Shape (k,): the measure on each fold; NaN where it is undefined, and then the fold counts for nothing.
    train, test
        Shape (k,): rows that each fold learned from and tested, > 0. The ratio of their sums stands for all folds.
    level
        In (0, 1).

    Returns
    -------
    tuple of float
        Mean, lower and upper end; the mean is NaN without a value, the ends with fewer than two.
    """
    found = np.asarray(values, dtype="float64")
    some = np.isfinite(found)
    if not some.any():
        return float("nan"), float("nan"), float("nan")
    mean, k = float(found[some].mean()), int(some.sum())
    if k < 2:
        return mean, float("nan"), float("nan")
    # scipy takes long to import, and folds are declared more often than they are judged.
    from scipy.special import stdtrit

    ratio = np.asarray(test, dtype="float64")[some].sum() / np.asarray(train, dtype="float64")[some].sum()
    half = float(stdtrit(k - 1, (1 + level) / 2) * np.sqrt(found[some].var(ddof=1) * (1 / k + ratio)))
    return mean, mean - half, mean + half


def _enough(folds: int, there: int, what: str) -> None:
    if not 2 <= folds <= there:
        raise DataError(f"{folds} folds of {there} {what} cannot be made", fix=f"Ask for 2 to {there} folds.")


def _of(fold_of: Places, folds: int) -> list[Fold]:
    return [Fold(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k)) for k in range(folds)]
