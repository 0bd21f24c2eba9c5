"""When labels usually come, and how many are late: shares of rows by the time until their label was known."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ripening:
    """How labels came once.

    Attributes
    ----------
    rows
        Rows that were waited for, with those that never got a label; > 0.
    hours
        Whole hours from the end of the partition until a label was known, rounded up, ascending; negative before that end.
    labels
        Labels that were known after so many hours, not counting those before; as long as `hours`.
    """

    rows: int
    hours: tuple[int, ...]
    labels: tuple[int, ...]

    def known(self, hours: float) -> float:
        """Share of rows whose label was known so many hours after the end of their partition, in [0, 1]."""
        upto = bisect_right(self.hours, hours)
        return sum(self.labels[:upto]) / self.rows


def ripening(rows: int, hours: Iterable[float]) -> Ripening:
    """How labels came: `hours` from the end of each label's partition until it was known; `rows` > 0 with and without a label."""
    counts = sorted(Counter(math.ceil(h) for h in hours).items())
    return Ripening(rows, tuple(h for h, _ in counts), tuple(n for _, n in counts))


def overdue(usual: Ripening, due: Sequence[tuple[float, int, int]]) -> tuple[float, float]:
    """Share of labels that are late, of those that would usually be there.

    Parameters
    ----------
    usual
        How labels came once.
    due
        By partition: hours since its end, its rows, and how many of them have a label.

    Returns
    -------
    tuple
        The share, in [0, 1], and the number of labels that would be there; the share is nan when that is none. What one partition has more
        than usual makes up for what another has less.
    """
    expected = math.fsum(rows * usual.known(hours) for hours, rows, _ in due)
    if expected <= 0:
        return math.nan, 0.0
    return max(0.0, expected - sum(labels for *_, labels in due)) / expected, expected
