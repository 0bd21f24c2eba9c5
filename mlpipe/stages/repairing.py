"""The repair of rows that break their contract."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.errors import UserCodeError
from mlpipe.spec.calendar import Window
from mlpipe.spec.sources import Contract
from mlpipe.stages.cleaning import Formed
from mlpipe.stages.contract import Checked, check
from mlpipe.stages.deadline import deadline
from mlpipe.stages.sources import call_any, defined
from mlpipe.stages.verdict import judged

__all__ = ["Repaired", "repair"]


@dataclass(frozen=True, eq=False)
class Repaired:
    """Quarantined rows that keep the contract now.

    Attributes
    ----------
    rows
        The mended rows, with the columns of the frame and the index 0 … k-1.
    positions
        Shape (k,), int64: where in the frame each stood.
    checked
        The check as it stands with them: `kept` still is a mask on the frame as it came.
    """

    rows: pd.DataFrame
    positions: NDArray[np.int64]
    checked: Checked


def repair(
    frame: pd.DataFrame | Formed,
    checked: Checked,
    source_name: str,
    contract: Contract,
    *,
    keys: Sequence[str],
    event_time: str | None,
    window: Window | None,
    timezone: str,
    base_dir: Path | None = None,
    form: Callable[[pd.DataFrame], Formed] = lambda rows: Formed(rows, rows),
    limit: timedelta | None = None,
) -> Repaired:
    """Let the contract's `repair` mend quarantined rows, and bring back those that then keep every rule.

    The function gets a copy of the rows, whose index is their position; cells that cannot be read in their form are as they came. It may
    leave rows out. What it returns is brought into its form and checked together with the rows that were kept, and a mended row never
    drives out a kept one: of two that share a key the mended one stays quarantined. Rules about the table keep the outcome that they had.

    Parameters
    ----------
    frame, checked
        The frame that was checked, and what came of it; the other parameters as `check` had them.
    form
        Brings rows into the form that their source declares.
    limit
        Longest time that the function may take.

    Raises
    ------
    UserCodeError
        When the function raises, takes too long, or returns anything but a frame with the same columns and an index out of
        the one it was given.
    """
    frame = (frame.shown if isinstance(frame, Formed) else frame).reset_index(drop=True)
    held = np.flatnonzero(~checked.kept)
    if contract.repair is None or not len(held):
        return Repaired(frame.iloc[:0], np.zeros(0, dtype=np.int64), checked)
    mended = _mended(
        frame.iloc[held].copy(), contract.repair, f"source {source_name}, contract, repair", limit
    )
    kept = frame.loc[checked.kept]
    both = pd.concat([kept, mended]) if len(kept) and len(mended) else mended if len(mended) else kept
    settings: dict[str, Any] = {
        "keys": keys,
        "event_time": event_time,
        "window": window,
        "timezone": timezone,
        "base_dir": base_dir,
    }
    again = form(both)
    good = np.zeros(len(both), dtype=bool)
    if len(mended):
        good[len(kept) :] = check(again, source_name, contract, **settings).kept[len(kept) :]
    rows = again.frame.loc[good]
    positions = rows.index.to_numpy(dtype=np.int64)
    back = np.zeros(len(frame), dtype=bool)
    back[positions] = True
    after = judged(frame, tuple(o.without(back) for o in checked.outcomes), contract, keys)
    after = replace(after, kept=checked.kept, repaired=len(rows))
    return Repaired(rows.reset_index(drop=True), positions, after)


def _mended(rows: pd.DataFrame, function: Any, where: str, limit: timedelta | None) -> pd.DataFrame:
    given, columns = set(rows.index), list(rows.columns)
    with deadline(limit, "the repair", f"{where}, {defined(function)}"):
        made = call_any(function, rows, where=where)
    where = f"{where}, {defined(function)}"
    if not isinstance(made, pd.DataFrame):
        raise UserCodeError(
            f"a DataFrame was expected, {type(made).__name__} came",
            where=where,
            fix="Return the rows that you mended.",
        )
    if set(made.columns) != set(columns) or not made.columns.is_unique:
        odd = sorted(map(str, set(made.columns) ^ set(columns))) or ["a column twice"]
        raise UserCodeError(
            f"the columns differ: {', '.join(odd)}",
            where=where,
            fix="Return the columns that the rows came with.",
        )
    if not made.index.is_unique or not set(made.index) <= given:
        raise UserCodeError(
            "the index is not that of the rows",
            where=where,
            fix="Keep the index: it says which row each one is.",
        )
    return made[columns].sort_index()
