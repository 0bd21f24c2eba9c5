"""The area under the ROC curve as a quadratic form of the weights of blocks.

Where each row weighs as often as its block was drawn, a pair of a positive of block i with a negative of block j weighs w_i w_j. So the
weight of all pairs that are ranked rightly is ``w' A w``, where A counts them once, and a thousand resamples are two products of
matrices in place of a thousand walks down the ranking. Of whole weights all sums are whole or halves, so both ways give the same
numbers, to the last bit.
"""

import numpy as np
from numpy.typing import NDArray

from mlpipe.core.scored import Floats

STEPS = 48
"""A step down the ranking costs about as much as so many multiplications of a product of matrices; measured."""


def worthwhile(resamples: int, blocks: int, rows: int) -> bool:
    """Whether counting the pairs of blocks first is cheaper than walking down the ranking of the rows for every resample."""
    return 2 * blocks < resamples and blocks * blocks < STEPS * rows


def wins(
    positives: Floats, negatives: Floats, codes: NDArray[np.int64], cuts: NDArray[np.intp], blocks: int
) -> Floats:
    """Pairs of a positive of block i above a negative of block j, those of one score counted half; shape (blocks, blocks).

    Parameters
    ----------
    positives, negatives
        Weight of each row, or of each group of rows of one score and block, in descending order of scores; shape (n,).
    codes
        Block of each, shape (n,).
    cuts
        First row of each score, with n last.
    """
    sizes = np.diff(cuts)
    start, end = np.repeat(cuts[:-1], sizes), np.repeat(cuts[1:], sizes)
    out = np.empty((blocks, blocks))
    for block in range(blocks):
        above = np.append(0.0, np.cumsum(np.where(codes == block, positives, 0.0)))
        out[block] = np.bincount(codes, weights=negatives * (above[start] + above[end]) / 2, minlength=blocks)
    return out
