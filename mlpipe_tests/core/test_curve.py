"""Whether a curve falls and what it says about the learning, by hand."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlpipe.core.curve import better_of, fall, held_out, judge, thinned


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


STEPS = list(range(100))


def decay(tau: float) -> list[float]:
    return [math.exp(-s / tau) for s in STEPS]


@pytest.mark.parametrize(
    ("values", "better", "held", "kind", "since"),
    [
        # Three values: means of a tenth are single values. 1 to 0.5 is the whole fall, 0.5 to 0.9 a rise of 80% of it.
        ([1.0, 0.5, 0.9], "lower", True, "overfits", 1),
        ([1.0, 0.5, 0.9], "lower", False, "diverged", 1),
        # A training loss that trembles by less than half of its fall has not diverged, and is as near to its best as it gets at step 1.
        ([1.0, 0.5, 0.6], "lower", False, "converged", 1),
        ([1.0, 0.5, 0.0], "lower", False, "improving", None),
        ([1.0, 0.5, 0.5], "lower", False, "converged", 1),
        ([0.5, 0.5, 0.5], "lower", False, "flat", 0),
        ([0.2, 0.4, 0.3], "higher", True, "overfits", 1),
        ([0.2, 0.4, 0.6], "higher", True, "improving", None),
        ([1.0, math.nan, 0.5], "lower", False, "diverged", 1),
        ([1.0, 0.5], "lower", False, "short", None),
        ([], "lower", False, "short", None),
        # Of exp(-s/50) the last tenth still falls by 3% of the whole, of exp(-s/10) by nothing.
        (decay(50), "lower", False, "improving", None),
    ],
)
def test_a_curve_is_judged(
    values: list[float], better: Any, held: bool, kind: str, since: float | None
) -> None:
    found = judge(range(len(values)), values, better, held)
    assert (found.kind, found.since) == (kind, since)


def test_a_curve_that_has_settled_says_since_when_and_one_that_turns_where() -> None:
    settled = judge(STEPS, decay(10), "lower")
    # exp(-s/10) is within 2% of its end from step 39 on; a mean of ten steps lies a little above its middle.
    assert settled.kind == "converged" and settled.since is not None and 36 <= settled.since <= 46
    turning = judge(STEPS, [(s - 40) ** 2 / 1600 for s in STEPS], "lower", True)
    assert turning.kind == "overfits" and turning.since is not None and abs(turning.since - 40) <= 2
    assert (turning.best, turning.best_step) == (0.0, 40.0) and "best 0 at step 40" in turning.clause


@example(87006, 0.05)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.001, 0.01, 0.05]))
def test_noise_alone_does_not_make_a_curve_overfit(seed: int, noise: float) -> None:
    noisy = np.array(decay(10)) + np.random.default_rng(seed).normal(0, noise, 100)
    assert judge(STEPS, noisy.tolist(), "lower", True).kind in ("converged", "improving")


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=300),
    st.floats(0.01, 100),
    st.integers(-100, 100),
    st.booleans(),
)
def test_a_judgement_depends_on_neither_the_sign_nor_the_steps(
    values: list[float], scale: float, shift: int, held: bool
) -> None:
    one = judge(range(len(values)), values, "lower", held)
    other = judge([s + shift for s in range(len(values))], [-v for v in values], "higher", held)
    assert other.kind == one.kind
    assert other.since == (None if one.since is None else one.since + shift)
    assert one.best == min(values)


@given(st.lists(st.floats(), max_size=500), st.integers(4, 80))
def test_a_thinned_curve_keeps_its_ends_and_extremes(values: list[float], most: int) -> None:
    points = thinned(range(len(values)), values, most)
    assert len(points) <= max(most, 0) and [s for s, _ in points] == sorted({s for s, _ in points})
    for step, value in points:
        there = values[int(step)]
        assert value == there or (value is None and not math.isfinite(there))
    if values:
        assert points[0][0] == 0 and points[-1][0] == len(values) - 1
        known = [v for v in values if math.isfinite(v)]
        kept = [v for _, v in points if v is not None]
        if len(known) == len(values):
            assert (min(kept), max(kept)) == (min(known), max(known))


def test_names_tell_which_way_is_better_and_what_was_held_out() -> None:
    assert [better_of(n) for n in ("valid_loss", "roc_auc", "LR", "train log-loss", "closeness")] == [
        "lower",
        "higher",
        "",
        "lower",
        "",
    ]
    assert [held_out(n) for n in ("valid_loss", "val.f1", "train_loss", "evaluate")] == [
        True,
        True,
        False,
        False,
    ]
