"""Alpha spending: the shares by hand, their sum, and how often models that are no better win all the same."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.bootstrap import paired
from mlpipe.core.gates import Evidence, decide, level_of_gate
from mlpipe.core.scored import Scored
from mlpipe.core.spending import level_of, share
from mlpipe.errors import DataError

TRIES = 14


def test_shares_by_hand() -> None:
    assert [share(k) for k in (1, 2, 3, 4)] == [1 / 2, 1 / 6, 1 / 12, 1 / 20]
    assert level_of(0.95, 1) == pytest.approx(0.975, abs=1e-15)
    assert level_of(0.95, 3) == pytest.approx(1 - 0.05 / 12, abs=1e-15)
    assert level_of(0.9, 2) == pytest.approx(1 - 0.1 / 6, abs=1e-15)
    for k in (0, -3):
        with pytest.raises(DataError, match=f"there is no try {k}"):
            share(k)


def test_exactly_the_telescoping_sum() -> None:
    spent = sum((Fraction(1, k * (k + 1)) for k in range(1, 1001)), Fraction(0))
    assert spent == Fraction(1000, 1001)
    assert math.fsum(share(k) for k in range(1, 1001)) == pytest.approx(1000 / 1001, abs=1e-15)


@given(st.floats(0.5, 0.9999), st.integers(1, 500))
def test_levels_rise_and_all_tries_together_keep_alpha(level: float, tries: int) -> None:
    levels = [level_of(level, k) for k in range(1, tries + 1)]
    assert levels == sorted(levels) and level < levels[0] and levels[-1] < 1
    assert math.fsum(1 - x for x in levels) < 1 - level


def share_with_a_false_promotion(
    sequences: int, margin: float | str, *, blocks: int, seed: int, spend: bool = True
) -> float:
    """Share of sequences of `TRIES` challengers, none truly better, in which one passes ``beats_champion``.

    Each try has test days of its own. Both models err by 1 on average; on a day one is better than the other by chance (0.06 of it),
    the same for all rows of the day.
    """
    rng = np.random.default_rng(seed)
    params = {"metric": "mae", "margin": margin}
    rows, days = 5, np.repeat(np.arange(blocks), 5)
    wins = 0
    for _ in range(sequences):
        for k in range(1, TRIES + 1):
            number = k if spend else None
            level = level_of_gate("beats_champion", params, number)
            errors = 1 + np.repeat(0.03 * rng.normal(size=(2, blocks)), rows, axis=1)
            ours, theirs = (Scored(np.zeros(blocks * rows), e) for e in errors)
            seed = int(rng.integers(2**31))
            pair = paired(ours, theirs, "mae", days, level=level, seed=seed)
            evidence = Evidence({}, champion={"mae": pair}, champion_version="1", try_number=number)
            if decide("beats_champion", params, evidence).verdict == "pass":
                wins += 1
                break
    return wins / sequences


def at_most(alpha: float, sequences: int) -> float:
    """Three standard errors above alpha: what chance alone may show."""
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / sequences)


def test_of_fourteen_days_a_model_that_is_no_better_hardly_ever_wins() -> None:
    assert share_with_a_false_promotion(400, 0.0, blocks=14, seed=1) <= at_most(0.05, 400)


def test_without_spending_some_of_fourteen_tries_often_wins() -> None:
    assert share_with_a_false_promotion(25, 0.0, blocks=14, seed=2, spend=False) > 0.3


@pytest.mark.long
@pytest.mark.parametrize(("margin", "blocks"), [(0.0, 14), (0.0, 8), ("0.5%", 14)])
def test_of_many_sequences_no_more_than_alpha_promote_a_model_that_is_no_better(
    margin: float | str, blocks: int
) -> None:
    """A percentile bound would let 0.12 of them pass at margin 0 and 14 days."""
    assert share_with_a_false_promotion(3000, margin, blocks=blocks, seed=3) <= at_most(0.05, 3000)
