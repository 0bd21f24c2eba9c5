"""Columns set by name."""

import pandas as pd

from mlpipe.core.columns import with_columns


def test_any_name_may_be_set_and_the_given_frame_stays() -> None:
    frame = pd.DataFrame({"self": [1, 2], "a": [3, 4]}, index=[7, 9])
    made = with_columns(frame, {"self": [5.5, 6.5], "new": pd.Series([8, 9], index=[9, 7]), "one": "x"})
    assert made.to_dict("list") == {"self": [5.5, 6.5], "a": [3, 4], "new": [9, 8], "one": ["x", "x"]}
    assert list(made.index) == [7, 9]
    assert frame.to_dict("list") == {"self": [1, 2], "a": [3, 4]}
