"""Evidently's report of one monitored day: raw rows that the champion learned from beside raw rows of the window.

For people who want to see every distribution; alarms are raised on profiles (`mlpipe.core.drift`), whose bins do not move with what they
are compared with. Evidently is no part of mlpipe: it comes with the extra ``evidently``, and is imported when a report is asked for.
"""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.distances import MODERATE
from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.records.codec import HEAD_DATA, from_bytes
from mlpipe.records.record import Input, Record
from mlpipe.stages.frames import RESERVED, stacked
from mlpipe.stores.store import Store

MOST_ROWS = 20_000
"""Rows of each side, by default: enough for the shapes of distributions, and a page that a browser opens."""
EXTRA = "evidently"


@dataclass(frozen=True)
class Sides:
    """What is compared: rows of the reference and of the window in the same columns, and of how many each is a sample."""

    reference: pd.DataFrame
    current: pd.DataFrame
    reference_rows: int
    current_rows: int


def moderate(monitor: Record) -> bool:
    """Whether drift of the day is moderate or worse: an alarm, or a PSI of a watched column from 0.1 on."""
    worst = (monitor.data.get(HEAD_DATA) or {}).get("worst_psi")
    return monitor.verdict == "drift" or (worst is not None and worst >= MODERATE)


def sides(store: Store, monitor: Record, most: int = MOST_ROWS, seed: int = 0) -> Sides:
    """Rows of both sides, by the provenance of the day's record.

    Parameters
    ----------
    monitor
        Record of the monitor.
    most
        Rows of each side; of more a sample is taken, from each partition its share.
    seed
        Of the sample: the same rows come again.

    Raises
    ------
    NotFoundError
        Nothing was compared on that day.
    """
    champion = next((i for i in monitor.inputs if i.name == "champion"), None)
    window = [i for i in monitor.inputs if i.name == "features"]
    where = f"{monitor.asset} {monitor.partition}"
    if champion is None or not window:
        raise NotFoundError(
            f"nothing was compared: the verdict is '{monitor.verdict}'",
            where=where,
            fix="Name another partition: --on.",
        )
    model = from_bytes(store.get_record(monitor.pipeline, champion.record), champion.record)
    learned = [i for i in model.inputs if i.name == "features"]
    rng = np.random.default_rng(seed)
    reference, current = (_sampled(store, inputs, most, rng) for inputs in (learned, window))
    watched = [m.name for m in monitor.metrics if m.split == "psi"]
    columns = [c for c in watched or current if c in reference and c in current and c not in RESERVED]
    return Sides(reference[columns], current[columns], _rows(learned), _rows(window))


def _rows(inputs: Iterable[Input]) -> int:
    return sum(i.rows or 0 for i in inputs)


def _sampled(store: Store, inputs: Sequence[Input], most: int, rng: np.random.Generator) -> pd.DataFrame:
    share = min(1.0, most / max(_rows(inputs), 1))
    frames = []
    for each in inputs:
        frame = store.get_table(each.id)
        count = min(len(frame), int(np.ceil(len(frame) * share)))
        frames.append(frame.iloc[np.sort(rng.choice(len(frame), count, replace=False))])
    return stacked(frames)


def installed() -> None:
    """Make sure that Evidently is there.

    Raises
    ------
    MlpipeError
        It is not; naming the extra that brings it.
    """
    if find_spec("evidently") is None:
        raise MlpipeError(
            "Evidently is not installed, so it can make no report",
            fix=f"Install the extra: pip install 'mlpipe[{EXTRA}]'. Without it: mlpipe drift, mlpipe show.",
        )


def html(given: Sides) -> str:
    """Evidently's page about drift: self-contained, some megabytes. Columns that `empty` names are left out.

    Raises
    ------
    MlpipeError
        Evidently is not installed, or can make nothing of the rows.
    """
    installed()
    # It counts its users over the network unless it is told not to.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    columns = [c for c in map(str, given.current) if c not in empty(given)]
    if not columns:
        raise MlpipeError(
            "there is no column that has values on both sides", fix="Look at the day itself: mlpipe show."
        )
    numbers = [c for c in columns if _is_number(given.reference[c]) and _is_number(given.current[c])]
    shown = _harmless(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        schema = DataDefinition(
            numerical_columns=[shown[c] for c in numbers],
            categorical_columns=[shown[c] for c in columns if c not in numbers],
        )
        try:
            made = [
                Dataset.from_pandas(_plain(frame, shown, numbers), data_definition=schema)
                for frame in (given.current, given.reference)
            ]
            return str(Report([DataDriftPreset()]).run(*made).get_html_str(as_iframe=False))
        # Evidently raises whatever its statistics raise.
        except Exception as error:
            raise MlpipeError(
                f"Evidently cannot make its report: {type(error).__name__}: {error}",
                fix="mlpipe drift shows the same day without it.",
            ) from error


def empty(given: Sides) -> list[str]:
    """Columns without a value on one side, of which Evidently makes nothing; that is drift of the worst kind, so it has to be said."""
    both = [(str(c), given.current[c], given.reference[c]) for c in given.current]
    return [name for name, now, then in both if not (now.notna().any() and then.notna().any())]


def _is_number(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


def _text(value: object) -> str:
    """Evidently writes names and values into a script as they are; no text may end it and begin another."""
    return str(value).replace("<", "‹").replace(">", "›")


def _harmless(columns: Sequence[str]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for column in columns:
        name = _text(column)
        while name in shown.values():
            name += "_"
        shown[column] = name
    return shown


def _plain(frame: pd.DataFrame, shown: Mapping[str, str], numbers: Sequence[str]) -> pd.DataFrame:
    """Types that Evidently counts with: floats, and text."""
    return pd.DataFrame(
        {
            name: frame[c].astype("float64")
            if c in numbers
            else frame[c].astype(object).map(_text, na_action="ignore")
            for c, name in shown.items()
        }
    )
