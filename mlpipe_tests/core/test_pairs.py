"""Pairs of blocks: by hand, against counting one by one, and beside the walk down the ranking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core import metrics
from mlpipe.core.metrics import METRICS, Scored, resampler
from mlpipe.core.pairs import wins, worthwhile


def test_by_hand() -> None:
    # Descending: a positive of block 0; a positive of block 1 and a negative of block 0, tied; a negative of block 1.
    found = wins(
        np.array([1.0, 1, 0, 0]), np.array([0.0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 1, 3, 4]), 2
    )
    assert found.tolist() == [[1.0, 1.0], [0.5, 1.0]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 60), blocks=st.integers(1, 6))
def test_of_whole_weights_it_is_the_walk_to_the_last_bit(seed: int, n: int, blocks: int) -> None:
    rng = np.random.default_rng(seed)
    scored = Scored(rng.integers(0, 2, n), np.round(rng.random(n), 1), None, (0, 1))
    codes, drawn = rng.integers(0, blocks, n), rng.integers(0, 4, (50, blocks)).astype(float)
    found = {}
    for paired in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metrics, "worthwhile", lambda *_, paired=paired: paired)
            found[paired] = resampler(scored, METRICS["roc_auc"], codes, blocks)(drawn)
    assert np.array_equal(found[True], found[False], equal_nan=True)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 30))
def test_weighted_rows_are_counted_as_one_by_one(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scored = Scored(rng.integers(0, 2, n), np.round(rng.random(n), 1), None, (0, 1))
    codes, rows, drawn = rng.integers(0, 3, n), rng.random(n), rng.random((7, 3)) + 0.1
    found = resampler(scored, METRICS["roc_auc"], codes, 3, rows)(drawn)
    up, down = np.flatnonzero(scored.y == 1), np.flatnonzero(scored.y == 0)
    s = scored.score
    for weights, value in zip(drawn, found, strict=True):
        w = rows * weights[codes]
        area = sum(w[i] * w[j] * ((s[i] > s[j]) + (s[i] == s[j]) / 2) for i in up for j in down)
        if up.size and down.size:
            assert value == pytest.approx(area / (w[up].sum() * w[down].sum()))
        else:
            assert np.isnan(value)


def test_few_resamples_or_many_blocks_are_walked() -> None:
    assert worthwhile(1000, 30, 13_000) and worthwhile(200, 7, 200)
    assert not worthwhile(1, 30, 13_000) and not worthwhile(1000, 400, 400)
