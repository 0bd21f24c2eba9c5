"""Labels that are late, by hand and by property."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.ripening import overdue, ripening


def test_by_hand() -> None:
    # Of ten rows eight got a label: two before the day ended, four within a day, two within three.
    usual = ripening(10, [-0.5, -0.2, 3, 20, 23.5, 24, 71.1, 72])
    assert usual.hours == (0, 3, 20, 24, 72) and usual.labels == (2, 1, 1, 2, 2)
    assert [usual.known(h) for h in (-1, 0, 24, 71, 72, 999)] == [0, 0.2, 0.6, 0.6, 0.8, 0.8]
    # A day ago 100 rows, of which 60 labels would be there and 30 are; three days ago 80 of 100, and all are.
    assert overdue(usual, [(24.0, 100, 30), (72.0, 100, 80)]) == (pytest.approx(30 / 140), 140.0)
    # More than usual is not late.
    assert overdue(usual, [(24.0, 100, 90)]) == (0.0, 60.0)
    share, expected = overdue(usual, [])
    assert math.isnan(share) and expected == 0.0


@given(st.lists(st.floats(-50, 500), max_size=60), st.integers(60, 90), st.floats(-60, 600))
def test_what_was_known_is_what_was_counted(hours: list[float], rows: int, at: float) -> None:
    whole = np.ceil(hours)
    assert ripening(rows, hours).known(at) == pytest.approx((whole <= at).sum() / rows)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_days_like_those_that_were_learned_from_are_never_late(hours: list[float]) -> None:
    usual = ripening(len(hours), hours)
    due = [(at, len(hours), math.ceil(len(hours) * usual.known(at))) for at in (0.0, 30.0, 100.0)]
    assert overdue(usual, due)[0] == pytest.approx(0.0) or math.isnan(overdue(usual, due)[0])
