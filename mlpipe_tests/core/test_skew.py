"""Skew between serving and training, by hand; and that order and rounding are no skew."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipe.core.skew import Skewed, skew

NAMES = ["hours", "city", "late"]


def served() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "hours": [1.0, 2.0, np.nan, 4.0],
            "city": ["Ulm", None, "Kiel", "Kiel"],
            "late": 0.5,
        }
    )


def test_by_hand() -> None:
    again = served().assign(hours=[1.0, 2.5, np.nan, np.nan], city=["Ulm", "Bonn", "Kiel", "Kiel"])
    found = skew(served(), again.iloc[::-1], NAMES, ["id"])
    assert found.columns == (Skewed("hours", 2, 0.5, 0.5), Skewed("city", 1, 0.25, None))
    assert (found.rows, found.alone) == (4, 0)
    assert found.differing == 2, "row 2 differs in both, row 4 in its hours"


def test_rows_of_one_path_alone_and_features_that_are_gone() -> None:
    again = served().drop(columns="late").iloc[1:]
    found = skew(served(), again, NAMES, ["id"])
    assert found.columns == (Skewed("late", 3, 1.0, None),) and (found.rows, found.alone) == (3, 1)
    assert found.differing == 3
    twice = pd.concat([served(), served().head(1)])
    assert skew(twice, served(), NAMES, ["id"]).rows == 3, "a key that stands twice names no row"
    assert skew(served().head(0), served(), NAMES, ["id"]).rows == 0


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_the_last_bits_and_the_order_are_no_skew(values: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": range(len(values)), "x": values})
    near = frame.assign(x=frame["x"] * (1 + rng.uniform(-1e-12, 1e-12, len(values))))
    assert skew(frame, near.sample(frac=1, random_state=seed), ["x"], ["id"]).columns == ()
    far = frame.assign(x=frame["x"] + 1.0 + frame["x"].abs() / 1000)
    assert skew(frame, far, ["x"], ["id"]).columns[0].rows == len(values)
