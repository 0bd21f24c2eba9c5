"""Alpha spending: how sure the k-th try must be, so that all tries together are as sure as one was asked to be.

Each new challenger of a champion is another try. At 5% each, one worse model in twenty wins, and of a year of weekly tries some worse
model nearly always does. So the k-th try gets the share ``1 / (k (k + 1))`` of alpha. The shares sum to one over all tries, and by
Bonferroni's inequality the chance that any worse challenger ever passes is at most alpha, however the tries depend on each other and
however many there will be [1]_ [2]_. The price is power: a late try needs stronger evidence.

References
----------
.. [1] Foster and Stine, "Alpha-investing: a procedure for sequential control of expected false discoveries", Journal of the Royal
   Statistical Society B 70(2), 2008 (alpha spending for a sequence of tests without a known end).
.. [2] Tian and Ramdas, "Online control of the familywise error rate", Statistical Methods in Medical Research 30(4), 2021
   (arXiv:1910.04900; alpha spending as the online form of Bonferroni's method).
"""

from mlpipe.errors import DataError


def share(k: int) -> float:
    """Share of alpha for the k-th try, in (0, 1/2]: ``1 / (k (k + 1))``; the first k shares sum to ``k / (k + 1)``.

    Raises
    ------
    DataError
        A try below 1.
    """
    if k < 1:
        raise DataError(f"there is no try {k}", fix="Tries count from 1.")
    return 1 / (k * (k + 1))


def level_of(level: float, k: int) -> float:
    """Level at which the k-th try is tested when all tries together have `level`, in (0, 1). Raises as `share` does."""
    return 1 - (1 - level) * share(k)
