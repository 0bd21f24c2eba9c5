"""Values outside their usual range."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.outliers import outliers


@pytest.mark.parametrize(
    ("values", "dtype", "found"),
    [
        ([0, 1, 5, 6, -1], "int64", [3, 4]),
        ([0.0, 5.0, 5.1, None, np.inf, -np.inf], "float64", [2, 4, 5]),
        ([1, None, 9], "Int64", [2]),
        ([True, False], "bool", []),
        ([Decimal("7.5"), "9", None, "x"], object, [0]),
        ([None, None], object, []),
        ([], "float64", []),
    ],
)
def test_bounds_are_usual_and_what_is_no_number_is_none(
    values: list[Any], dtype: Any, found: list[int]
) -> None:
    assert np.flatnonzero(outliers(pd.Series(values, dtype=dtype), 0, 5)).tolist() == found


def test_a_side_may_be_open() -> None:
    values = pd.Series([-10.0, 0.0, 10.0])
    assert outliers(values, None, 5).tolist() == [False, False, True]
    assert outliers(values, -5, None).tolist() == [True, False, False]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False))), st.floats(-10, 0), st.floats(0, 10))
def test_they_are_those_that_a_look_at_each_finds(
    values: list[float | None], low: float, high: float
) -> None:
    told = [v is not None and not low <= v <= high for v in values]
    assert outliers(pd.Series(values, dtype="float64"), low, high).tolist() == told
