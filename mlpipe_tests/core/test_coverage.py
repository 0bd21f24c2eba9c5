"""How often intervals hold what they say they hold, and what peeking every day does to a test."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from mlpipe.core.bootstrap import interval, paired
from mlpipe.core.metrics import Scored
from mlpipe.core.spending import level_of

SHIFT = 1.0
"""Scores of positive rows are normal around this, those of the others around 0; all with a variance of one."""


def truth(name: str, positive: float = 0.5) -> float:
    """The metric of infinitely many rows, predicted positive from SHIFT / 2 on."""
    right = float(ndtr(SHIFT / 2))
    if name == "roc_auc":
        return float(ndtr(SHIFT / math.sqrt(2)))
    if name == "f1":
        chosen = positive * right + (1 - positive) * (1 - right)
        return 2 * positive * right / (positive + chosen)
    return {"accuracy": right, "recall": right, "mae": math.sqrt(2 / math.pi)}[name]


def drawn(name: str, rng: np.random.Generator, blocks: int, size: int, positive: float) -> tuple[Scored, Any]:
    """Rows in blocks; errors of a regression are those of their block, so that rows of a block count as one."""
    n = blocks * size
    of = np.repeat(np.arange(blocks), size)
    if name == "mae":
        return Scored(np.zeros(n), rng.normal(size=blocks)[of]), of
    y = rng.random(n) < positive
    return Scored(y, rng.normal(size=n) + SHIFT * y, SHIFT / 2, (0, 1)), of


def coverage(
    name: str,
    runs: int,
    *,
    blocks: int,
    size: int = 1,
    positive: float = 0.5,
    method: Any = "percentile",
    seed: int = 0,
) -> float:
    """Share of runs in which the 95% interval holds the truth; an interval that cannot be had does not."""
    rng = np.random.default_rng(seed)
    wanted, hits = truth(name, positive), 0
    for run in range(runs):
        scored, of = drawn(name, rng, blocks, size, positive)
        got = interval(scored, name, of, resamples=1000, method=method, seed=run)
        hits += got.low <= wanted <= got.high
    return hits / runs


def within(share: float, runs: int, points: float = 0.015) -> bool:
    """Whether a share is that near to 0.95, save for three standard errors of the simulation beyond the 2,000 that are asked for."""
    return abs(share - 0.95) <= points + 3 * math.sqrt(0.95 * 0.05) * max(
        0.0, 1 / math.sqrt(runs) - 1 / math.sqrt(2000)
    )


@pytest.mark.parametrize("name", ["roc_auc", "f1"])
def test_intervals_cover(name: str) -> None:
    assert within(coverage(name, 150, blocks=300, seed=1), 150)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("name", ["roc_auc", "f1", "accuracy", "recall"])
def test_intervals_cover_in_two_thousand_simulations(name: str, method: str) -> None:
    assert within(coverage(name, 2000, blocks=300, method=method, seed=2), 2000)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_of_few_blocks_percentile_intervals_cover_less_as_the_docstring_says() -> None:
    eight, fourteen = (coverage("mae", 2000, blocks=b, size=3, seed=3) for b in (8, 14))
    assert 0.80 < eight < fourteen < 0.935


def ever_different(runs: int, spend: bool, seed: int) -> float:
    """Share of runs in which the interval of two equally good models leaves zero out on any of 14 days, each day's of all rows so far.

    Each day has 30 rows, each a block of its own; the errors of both models are alike and independent.
    """
    rng = np.random.default_rng(seed)
    passed = 0
    for run in range(runs):
        ours, theirs = (Scored(np.zeros(420), rng.normal(size=420)) for _ in range(2))
        for day in range(1, 15):
            n = 30 * day
            level = level_of(0.95, day) if spend else 0.95
            one, other = (Scored(s.y[:n], s.score[:n]) for s in (ours, theirs))
            pair = paired(one, other, "mae", np.arange(n), resamples=200, level=level, seed=run)
            if not pair.low <= 0 <= pair.high:
                passed += 1
                break
    return passed / runs


def test_daily_peeking_errs_often_unless_alpha_is_spent() -> None:
    assert ever_different(100, False, 1) > 0.12
    assert ever_different(100, True, 1) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_daily_peeking_in_many_simulations() -> None:
    naive, ours = (ever_different(1500, spend, 2) for spend in (False, True))
    assert 0.20 < naive < 0.30
    assert ours <= 0.05
