"""Values outside the range in which they usually lie."""

from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.quality import BoolArray, comparable, dtype_breaks


def outliers(values: "pd.Series[Any]", low: float | None, high: float | None) -> BoolArray:
    """Numbers below `low` or above `high`.

    Parameters
    ----------
    values
        Shape (n,). Nulls, and cells that are no numbers, are no outliers; infinities are.
    low, high
        Bounds, which are usual themselves. None leaves a side open.

    Returns
    -------
    Shape (n,).
    """
    numbers = comparable(values, "float", dtype_breaks(values, "number")).to_numpy(
        dtype="float64", na_value=np.nan
    )
    below = numbers < low if low is not None else np.zeros(len(numbers), dtype=bool)
    above = numbers > high if high is not None else np.zeros(len(numbers), dtype=bool)
    return np.asarray(below | above, dtype=bool)
