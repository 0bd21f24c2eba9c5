"""The day on which drift began: by hand, and found wherever a step is put."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core.onset import onset

REFERENCE, OLD, NEW = [50, 50], [5, 5], [1, 9]


def test_the_step_is_found() -> None:
    assert onset([OLD, OLD, OLD, NEW, NEW], REFERENCE, 2) == 3


def test_a_day_without_rows_says_nothing() -> None:
    assert onset([OLD, OLD, [0, 0], NEW, NEW], REFERENCE, 2) == 3


def test_drift_older_than_the_days_has_no_beginning() -> None:
    assert onset([NEW, NEW, NEW, NEW], REFERENCE, 2) is None


def test_without_drift_or_days_there_is_none() -> None:
    assert onset([OLD, OLD, OLD], REFERENCE, 2) is None
    assert onset([OLD], REFERENCE, 1) is None
    assert onset([[0, 0], [0, 0]], REFERENCE, 1) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 25), st.integers(0, 2**20))
def test_it_is_found_wherever_it_lies(day: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = [[0.25, 0.25, 0.25, 0.25]] * day + [[0.1, 0.2, 0.3, 0.4]] * (30 - day)
    counts = [rng.multinomial(2000, p) for p in shares]
    assert onset(counts, [1000] * 4, 5) == day
