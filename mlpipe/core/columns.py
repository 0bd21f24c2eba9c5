"""Columns set by name, whatever the name."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """A frame with some columns set or added; the given one stays as it is.

    `DataFrame.assign` takes the columns as arguments, and so cannot set one that is called ``self``, as a column of somebody's file may be.

    Parameters
    ----------
    columns
        By name: values in the order of the rows, series with the index of `frame`, or one value for all rows.
    """
    out = frame.copy(deep=False)
    for name, values in columns.items():
        out[name] = values
    return out
