"""Split of a training window in time: the last part judges, the one before it chooses, the rest trains."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.errors import DataError

Window = tuple[datetime, datetime]
NOTHING = timedelta(0)

PARTS = MappingProxyType({"": 0, "train": 1, "valid": 2, "test": 3})
"""Codes that `assign` gives; 0 is a row in an embargo or outside the window."""


@dataclass(frozen=True)
class Split:
    """Half-open windows ``[start, end)``, in UTC, in this order, with at least the embargo between two of them."""

    train: Window
    valid: Window
    test: Window


def temporal(
    start: datetime, end: datetime, *, valid: timedelta, test: timedelta, embargo: timedelta
) -> Split:
    """Cut a window from its end: test, embargo, valid, embargo, and what is left trains.

    Parameters
    ----------
    start, end
        The window ``[start, end)``, aware.
    valid, test
        Lengths of the two parts, >= 0. A part of length zero is empty, and then it has no embargo before it.
    embargo
        Gap left out before valid and before test, >= 0: as long as a label may look ahead, so that no row that trains knows the
        outcome of a row that judges.

    Returns
    -------
    Split
        An empty part starts and ends where the next one's embargo starts.

    Raises
    ------
    DataError
        A naive time, a negative length, or a window that leaves nothing to train on.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise DataError(
            "the window's times have no time zone",
            fix="Give aware datetimes, such as datetime(…, tzinfo=UTC).",
        )
    if min(valid, test, embargo) < NOTHING:
        raise DataError("valid, test and embargo cannot be negative", fix="Give lengths of at least zero.")
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    needed = valid + test + embargo * ((valid > NOTHING) + (test > NOTHING))
    if start + needed >= end:
        raise DataError(
            f"a window of {max(end - start, NOTHING)} leaves nothing to train on: "
            f"valid ({valid}), test ({test}) and their embargo ({embargo} each) take {needed}",
            where=f"window {start.isoformat()} to {end.isoformat()}",
            fix="Lengthen the window, or shorten valid, test or embargo.",
        )
    test_start = end - test
    valid_end = test_start - embargo * (test > NOTHING)
    valid_start = valid_end - valid
    train_end = valid_start - embargo * (valid > NOTHING)
    return Split(train=(start, train_end), valid=(valid_start, valid_end), test=(test_start, end))


def assign(times: Any, split: Split) -> NDArray[np.int8]:
    """Part of each row.

    Parameters
    ----------
    times
        Shape (n,): a pandas series or index, or an array of datetimes. Times without a zone are read as UTC.
    split
        From `temporal`.

    Returns
    -------
    array
        Shape (n,), codes of `PARTS`: 1 train, 2 valid, 3 test, 0 for a null time, an embargo, or outside the window.
    """
    instants = pd.DatetimeIndex(pd.to_datetime(times, utc=True))
    codes = np.zeros(len(instants), dtype=np.int8)
    for name in ("train", "valid", "test"):
        first, end = (pd.Timestamp(t) for t in getattr(split, name))
        codes[np.asarray((instants >= first) & (instants < end))] = PARTS[name]
    return codes
