"""What a training is expected to win, and what a month's budget allows: hand-computed, and for any past."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.worth import REMEMBERED, Budget, Pays, expected_gain, overspent, told_worth

gains = st.floats(0, 1, allow_nan=False)


def test_the_first_fall_is_believed_and_what_trainings_won_corrects_it() -> None:
    assert expected_gain(0.06, []) == 0.06
    # Refused once: half of it. Refused twice: a third.
    assert expected_gain(0.06, [0.0]) == pytest.approx(0.03)
    assert expected_gain(0.06, [0.0, 0.0]) == pytest.approx(0.02)
    assert expected_gain(0.06, [0.09]) == pytest.approx(0.075)
    # A champion that has not fallen may still be beaten, as it was before.
    assert expected_gain(-0.1, [0.02]) == pytest.approx(0.01)
    # Long ago is forgotten.
    assert expected_gain(0.06, [9.0, *[0.0] * REMEMBERED]) == pytest.approx(0.01)


@given(st.floats(-1, 1, allow_nan=False), st.lists(gains, max_size=12))
def test_the_expected_gain_lies_among_what_it_is_the_mean_of(fall: float, won: list[float]) -> None:
    told = [max(fall, 0.0), *won[-REMEMBERED:]]
    assert min(told) - 1e-12 <= expected_gain(fall, won) <= max(told) + 1e-12
    assert expected_gain(fall, [*won, 0.0]) <= expected_gain(fall, won) + max(won, default=0.0)


def test_worth_is_gain_by_predictions_by_value() -> None:
    pays = Pays(value=2.0, training=100.0, review=timedelta(days=10))
    text, value = told_worth(pays, 0.02, [], 300)
    assert value == pytest.approx(0.02 * 3000 * 2)
    assert "win 0.02 of the metric" in text and "on 3,000 predictions" in text
    assert "worth 120, and it costs 100" in text and "no training before tells more" in text
    text, value = told_worth(pays, 0.02, [0.0, 0.01], 300)
    assert value == pytest.approx(0.01 * 3000 * 2) and "the last 2 trainings won 0.005 on average" in text
    assert told_worth(pays, 0.02, [], 0)[1] == 0


def test_a_budget_allows_up_to_its_limits_and_says_which_is_reached() -> None:
    assert overspent(Budget(retrains=2), "2024-03", [5.0]) == ""
    assert (
        overspent(Budget(retrains=2), "2024-03", [5.0, 5.0])
        == "budget: 2 of 2 trainings of 2024-03 were asked for"
    )
    assert (
        overspent(Budget(retrains=0), "2024-03", []) == "budget: 0 of 0 trainings of 2024-03 were asked for"
    )
    assert overspent(Budget(minutes=10.5), "2024-03", [5.0, 5.0]) == ""
    assert (
        overspent(Budget(minutes=10), "2024-03", [5.0, 5.0])
        == "budget: 10 of 10 minutes of training of 2024-03 are spent"
    )
    assert overspent(Budget(), "2024-03", [1e6] * 100) == ""
