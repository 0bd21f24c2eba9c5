"""What takes the place of missing values, against scikit-learn's iterative imputer as the oracle."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it makes the import below possible
from sklearn.impute import IterativeImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlpipe.core import impute
from mlpipe.core.impute import chain, filled, middle, outside

NAN = np.nan


def test_the_middle_and_a_place_outside() -> None:
    assert middle(np.array([1.0, NAN, 9.0, 2.0, np.inf])) == 2
    assert outside(np.array([1.0, NAN, 9.0, np.inf])) == -7
    assert outside(np.array([5.0, 5.0])) == 0 and outside(np.array([0.0])) == -1
    assert np.isnan(middle(np.array([NAN]))) and np.isnan(outside(np.array([np.inf])))
    assert outside(np.array([-1.7e308, 1.7e308])) < -1.7e308


@given(arrays("float64", st.integers(1, 20), elements=st.floats(allow_nan=True)))
def test_outside_is_where_nothing_was_seen(values: Any) -> None:
    seen = values[np.isfinite(values)]
    assert not len(seen) or outside(values) < seen.min() or seen.min() == np.finfo("float64").min


def test_one_column_follows_from_another() -> None:
    """By hand: y = 2x + 1 without noise; the ridge draws the slope down by 1 part in 1 + the number of rows."""
    x = np.array([0.0, 1, 2, 3, 4, 10])
    y = np.array([1.0, 3, 5, 7, 9, NAN])
    made = filled(np.column_stack([x, y]), chain(np.column_stack([x, y]), [1]))
    slope = 2 * 5 / 6
    assert chain(np.column_stack([x, y]), [1]).weights[0, 0, 0] == pytest.approx(slope)
    # 5 + slope * (10 - 2) would be 18.3: more than was ever seen.
    assert made[:, 1].tolist() == [1, 3, 5, 7, 9, 9]


def test_the_range_that_was_seen_is_not_left() -> None:
    rows = np.array([[0.0, 0], [1, 1], [2, 2], [NAN, NAN], [100, NAN], [-100, NAN]])
    made = filled(rows, chain(rows, [1]))
    assert made[4, 1] == 2 and made[5, 1] == 0 and 0 < made[3, 1] < 2
    assert np.isnan(made[3, 0]), "what is no target stays missing"


def holed(seed: int, columns: int, targets: list[int], count: int = 200) -> Any:
    rng = np.random.default_rng(seed)
    rows = (
        rng.normal(size=(count, columns))
        @ rng.normal(size=(columns, columns))
        * rng.uniform(0.1, 100, columns)
    )
    for j in targets:
        rows[rng.random(count) < 0.3, j] = NAN
    return rows


@pytest.mark.parametrize(
    ("seed", "columns", "targets"), [(0, 3, [1]), (1, 5, [0, 3]), (2, 4, [0, 1, 2, 3]), (3, 1, [0])]
)
@pytest.mark.filterwarnings("ignore:.IterativeImputer. Early stopping criterion not reached")
def test_it_is_what_scikit_learn_does_on_the_rows_it_learned_from_and_on_others(
    seed: int, columns: int, targets: list[int]
) -> None:
    rows, new = holed(seed, columns, targets), holed(seed + 100, columns, targets)
    if columns == 1:
        # Nothing to follow from: the oracle keeps the median, we take the mean of what is known.
        assert filled(new, chain(rows, [0]))[np.isnan(new)].tolist() == pytest.approx(
            [np.nanmean(rows)] * int(np.isnan(new).sum())
        )
        return
    low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    chained = chain(rows, targets)
    oracle = IterativeImputer(
        estimator=make_pipeline(StandardScaler(), Ridge(alpha=impute.RIDGE)),
        max_iter=len(chained.weights),
        tol=0,
        initial_strategy="median",
        imputation_order="roman",
        min_value=low,
        max_value=high,
    )
    told = oracle.fit_transform(rows)
    assert 1 < len(chained.weights) <= impute.ROUNDS
    np.testing.assert_allclose(filled(rows, chained), told, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(filled(new, chained), oracle.transform(new), rtol=1e-8, atol=1e-8)


def test_a_target_that_was_never_missing_can_be_later() -> None:
    rows = holed(0, 3, [])
    new = rows[:3].copy()
    new[:, 1] = NAN
    told = filled(new, chain(rows, [1]))
    assert np.isfinite(told).all() and np.corrcoef(told[:, 1], rows[:3, 1])[0, 1] > 0.5


@given(arrays("float64", st.tuples(st.integers(1, 12), st.just(3)), elements=st.floats(allow_nan=True)))
def test_whatever_the_numbers_a_hole_is_filled_within_what_was_seen(rows: Any) -> None:
    for j in range(3):
        if not np.isfinite(rows[:, j]).any():
            rows[0, j] = 1.0
    made = filled(rows, chain(rows, [0, 2]))
    known = ~np.isnan(rows)
    np.testing.assert_array_equal(made[known], rows[known])
    for j in (0, 2):
        seen = rows[np.isfinite(rows[:, j]), j]
        assert ((made[~known[:, j], j] >= seen.min()) & (made[~known[:, j], j] <= seen.max())).all()


def test_the_middle_of_numbers_near_the_greatest_is_one_of_them() -> None:
    assert middle(np.array([1.7e308, 1.7e308])) == 1.7e308


def test_no_row_and_many_rows() -> None:
    chained = chain(holed(0, 3, [1]), [1])
    assert filled(np.zeros((0, 3)), chained).shape == (0, 3)
    many = holed(1, 3, [1], 250_001)
    assert np.isfinite(filled(many, chain(many, [1]))).all()
