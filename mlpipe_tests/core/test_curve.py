"""Whether a curve falls, by hand."""

import math

import pytest

from mlpipe.core.curve import fall


@pytest.mark.parametrize(
    ("values", "bad", "clause"),
    [
        ([9, 6, 3], False, "falls from 9 to 3 in 3 steps"),
        # Thirds of seven values have two: (5 + 7) / 2 = 6 and (2 + 4) / 2 = 3; what lies between does not count.
        ([5, 7, 99, 0, 99, 2, 4], False, "falls from 6 to 3 in 7 steps"),
        ([3, 6, 9], True, "rises from 3 to 9 in 3 steps"),
        ([2, 1, 2], True, "stays at 2 in 3 steps"),
        ([9, math.nan, 3], True, "is not finite from value 2 of 3 on"),
        ([9, 3, math.inf], True, "is not finite from value 3 of 3 on"),
        ([9, 3], False, "has 2 values, too few to tell"),
        ([3], False, "has 1 value, too few to tell"),
        ([], False, "has 0 values, too few to tell"),
    ],
)
def test_the_last_third_lies_below_the_first(values: list[float], bad: bool, clause: str) -> None:
    assert fall(values) == (bad, clause)
