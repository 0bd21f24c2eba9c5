"""Whether a curve falls."""

from collections.abc import Sequence

import numpy as np

FEWEST = 3


def fall(values: Sequence[float]) -> tuple[bool, str]:
    """Whether the last third of a curve fails to lie below its first, and one clause about it.

    Parameters
    ----------
    values
        By step. The mean of the last third is compared with that of the first: single steps go up and down.

    Returns
    -------
    bad : bool
        True when a value is not finite, and when the curve does not fall. Fewer than three values tell nothing, and are not bad.
    clause : str
        Without a subject, such as "falls from 0.69 to 0.42 in 100 steps".
    """
    points = np.asarray(values, dtype="float64")
    broken = np.flatnonzero(~np.isfinite(points))
    if len(broken):
        return True, f"is not finite from value {broken[0] + 1} of {len(points)} on"
    if len(points) < FEWEST:
        return False, f"has {len(points)} value{'' if len(points) == 1 else 's'}, too few to tell"
    third = len(points) // 3
    first, last = points[:third].mean(), points[-third:].mean()
    if last < first:
        return False, f"falls from {first:.4g} to {last:.4g} in {len(points)} steps"
    how = "stays at" if last == first else "rises from"
    return True, f"{how} {first:.4g}" + (
        "" if last == first else f" to {last:.4g}"
    ) + f" in {len(points)} steps"
