"""Two models compared within the blocks that rows belong to: a second look at the area under the ROC curve.

The area over all rows sets each positive row against each negative one, most of them of another block: of another day, with another
weather. What moves whole days hides what happens to a small part of the rows. The area over the pairs of rows of one block leaves it out
[1]_; blocks count by their pairs, so it is ``sum(rightly ranked pairs) / sum(pairs)`` over the blocks.

The difference of two models is tested by a t test over blocks. Its standard error is the jackknife's, which leaves out a block at a time
and so stays honest where one block has most pairs; degrees of freedom are those of as many equal blocks as the unequal ones are worth [2]_.
Of equally good models 5% look worse at 5%, and 0.3% at 0.3% (3,000 simulations of 14 blocks of 10 to 80 rows, good and bad days for each).
With the plain standard error of a ratio and B - 1 degrees of freedom 7% and 1.1% do; of blocks as unequal as a log-normal 19% and 8%.

References
----------
.. [1] Janes and Pepe, "Adjusting for covariate effects on classification accuracy using the covariate-adjusted receiver operating
   characteristic curve", Biometrika 96(2), 2009.
.. [2] Kish, "Survey Sampling", 1965, section 11.7: ``sum(w)**2 / sum(w**2)``.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlpipe.core.scored import Floats, Scored

FEWEST_BLOCKS = 5
"""Of fewer blocks no comparison is made: their spread says next to nothing."""


@dataclass(frozen=True)
class Within:
    """Difference of two models within blocks, a minus b, with its two-sided t interval and the p-value of an a that is no worse."""

    difference: float
    low: float
    high: float
    p_worse: float


def within(a: Scored, b: Scored, codes: NDArray[np.int64], level: float) -> Within | None:
    """Compare two binary models by the area under the ROC curve within blocks.

    Parameters
    ----------
    a, b
        n rows: the same truth in the same order.
    codes
        Shape (n,): the block 0..B-1 of each row.
    level
        Of the interval, in (0, 1).

    Returns
    -------
    Within
        None where the blocks with rows of both classes are fewer than `FEWEST_BLOCKS`, or are worth fewer equal ones.
    """
    pairs, ours = ranked_rightly(a, codes)
    _, theirs = ranked_rightly(b, codes)
    kept = pairs > 0
    weight, gain = pairs[kept], (ours - theirs)[kept]
    worth = float(weight.sum() ** 2 / np.sum(weight**2)) if len(weight) else 0.0
    # The worth of equal blocks is their number, but for rounding.
    if worth < FEWEST_BLOCKS - 1e-9:
        return None
    difference = float(gain.sum() / weight.sum())
    without = (gain.sum() - gain) / (weight.sum() - weight)
    error = math.sqrt((len(weight) - 1) / len(weight) * float(np.sum((without - difference) ** 2)))
    # scipy is slow to import, and whoever only writes or reads a specification compares nothing.
    from scipy.special import stdtrit

    side = float(stdtrit(worth - 1, (1 + level) / 2)) * error
    return Within(difference, difference - side, difference + side, p_worse(difference, error, worth - 1))


def p_worse(difference: float, error: float, freedom: float) -> float:
    """One-sided p-value of a model that is no worse, of a difference (negative is worse) with its standard error."""
    from scipy.special import stdtr

    # Without any spread a difference is certain, and no difference is none.
    return float(stdtr(freedom, difference / error)) if error > 0 else float(difference >= 0)


def ranked_rightly(scored: Scored, codes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Pairs of a positive and a negative row in each block, shape (B,), and how many of them are ranked rightly; a tie is half a pair."""
    order = np.lexsort((scored.score, codes))
    block, score, positive = codes[order], scored.score[order], scored.y[order] == 1
    first = np.flatnonzero(np.append(True, (np.diff(block) != 0) | (np.diff(score) != 0)))
    above, level = (np.add.reduceat(x.astype(np.float64), first) for x in (positive, ~positive))
    block = block[first]
    positives, negatives = (np.bincount(block, x).astype(np.float64) for x in (above, level))
    below = np.cumsum(level) - level / 2 - (np.cumsum(negatives) - negatives)[block]
    return positives * negatives, np.bincount(block, above * below).astype(np.float64)
