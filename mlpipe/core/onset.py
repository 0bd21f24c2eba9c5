"""On which day the drift of a column began."""

import numpy as np
from numpy.typing import ArrayLike

HALF = 0.5
"""A step of at least half of the whole drift, between the days before and the days after, is a beginning."""


def onset(days: ArrayLike, reference: ArrayLike, recent: int) -> int | None:
    """Number of the day from which on a column looks as it does now.

    Each day is one number: how far its shares by bin have gone from those of the reference in the direction of what they are now, 0 where
    they are as they were, about 1 where they are as now. One step through these numbers is chosen that leaves the least squares (a change
    of mean [1]_); days weigh by their rows.

    Parameters
    ----------
    days
        Counts by day and bin, shape (days, bins), in order. Days without rows say nothing.
    reference
        Counts by bin of what they are compared with, shape (bins,).
    recent
        The last so many days are "now", at least 1.

    Returns
    -------
    int or None
        Number of the first day after the step, from 0. None when no step is as high as half of the drift: it began before the first day,
        it grew day by day, or there is none.

    References
    ----------
    .. [1] D. V. Hinkley, "Inference about the change-point in a sequence of random variables", Biometrika 57(1), 1970.
    """
    counts = np.asarray(days, dtype=np.float64)
    then = np.asarray(reference, dtype=np.float64)
    rows = counts.sum(axis=1)
    known = np.flatnonzero(rows > 0)
    if len(known) < 2 or then.sum() <= 0:
        return None
    now = counts[-recent:].sum(axis=0)
    if now.sum() <= 0:
        now = counts[known[-1]]
    away = now / now.sum() - then / then.sum()
    size = float(away @ away)
    if size <= 0:
        return None
    weights = rows[known]
    gone = (counts[known] / weights[:, None] - then / then.sum()) @ away / size
    before, below = np.cumsum(weights)[:-1], np.cumsum(weights * gone)[:-1]
    after, above = weights.sum() - before, (weights * gone).sum() - below
    step = above / after - below / before
    # The squares that a step saves are its height squared, times before * after / (before + after).
    best = int(np.argmax(step * np.abs(step) * before * after))
    return int(known[best + 1]) if step[best] >= HALF else None
