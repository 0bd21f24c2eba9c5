"""Why a prediction came out as it did: the model, the features at that time, and where they lie among those that it learned from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mlpipe.errors import NotFoundError
from mlpipe.index.distributions import feature_tables
from mlpipe.index.lineage import prediction_of
from mlpipe.index.origins import Origin, origin_of
from mlpipe.index.shelf import Shelf
from mlpipe.records.record import Record

ROW, ID = "_row", "prediction_id"
EDGE = 0.01
"""Values below this share of what was learned from, or above all but it, are at the edge."""


@dataclass(frozen=True)
class Placed:
    """A feature's value, and where it lies in what the model learned from.

    Attributes
    ----------
    share
        Of a number: the share of values that are smaller, equal ones counted half; of a category the share of rows that have it, of
        nothing the share of rows without a value. None where the model knew no such feature, or only nulls.
    low, middle, high
        Smallest, median and largest number; None for a category.
    told
        In words, such as ``larger than all that it learned from``; empty where there is nothing to say.
    """

    name: str
    value: Any
    share: float | None
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    told: str = ""


@dataclass(frozen=True)
class Why:
    """A prediction: its row, the record that holds it, the model and its evaluation, features in place, and what all was made from."""

    prediction: str
    row: dict[str, Any]
    record: Record
    model: Record
    version: str
    features: tuple[Placed, ...]
    learned: Origin
    origin: Origin


def why(shelf: Shelf, prediction: str) -> Why:
    """Explain a prediction from what is on record.

    Raises
    ------
    NotFoundError
        There is no such prediction, or what it was made from is not in the store.
    """
    record, number = prediction_of(shelf, prediction)
    made = shelf.store.get_table(record.output("predictions").id)
    rows = made[made[ID] == prediction]
    if rows.empty:
        raise NotFoundError(
            f"the predictions of {record.partition} have no row {number}",
            where=record.id,
            fix=f"They have {len(made)} rows.",
        )
    features = next(i for i in record.inputs if i.name == "features")
    champion = next(i for i in record.inputs if i.name == "champion")
    model = shelf.read(record.pipeline, champion.record)
    held = shelf.store.get_table(features.id)
    values = held[held[ROW] == number].iloc[0]
    learned = origin_of(shelf, model)
    names = [str(n) for n in model.params.get("features") or learned.features if n in held]
    return Why(
        prediction,
        {str(k): plain(v) for k, v in rows.iloc[0].items() if not str(k).startswith("_")},
        record,
        model,
        f"{record.pipeline}@{champion.partition}",
        tuple(_placed(shelf, learned, names, values)),
        learned,
        origin_of(shelf, record),
    )


def _placed(shelf: Shelf, learned: Origin, names: list[str], values: "pd.Series[Any]") -> Iterator[Placed]:
    frames = [shelf.store.get_table(table) for table in feature_tables(learned)]
    for name in names:
        known = [f[name] if name in f else pd.Series([None] * len(f), dtype="object") for f in frames]
        yield place(
            name, values[name], pd.concat(known, ignore_index=True) if known else pd.Series(dtype="object")
        )


def place(name: str, value: Any, known: "pd.Series[Any]") -> Placed:
    """Where a value lies among those that were learned from, shape (rows,)."""
    present = known.dropna()
    if value is None or pd.isna(value):
        share = float(known.isna().mean()) if len(known) else None
        return Placed(
            name, None, share, told="no value" + ("; all that it learned from had one" if share == 0 else "")
        )
    number = isinstance(value, (int, float)) or hasattr(value, "__float__")
    if not len(present):
        return Placed(name, plain(value), None, told="it learned from no value of this")
    if not number or isinstance(value, bool):
        share = float((present.astype(str) == str(value)).sum() / len(known))
        return Placed(
            name,
            plain(value),
            share,
            told="it learned from no such value" if share == 0 else "rare" if share < EDGE else "",
        )
    numbers = pd.to_numeric(present, errors="coerce").dropna().astype("float64")
    if not len(numbers):
        return Placed(name, plain(value), None, told="it learned from no number of this")
    at = float(value)
    share = float(((numbers < at).sum() + (numbers == at).sum() / 2) / len(numbers))
    ends = float(numbers.min()), float(numbers.median()), float(numbers.max())
    return Placed(name, plain(value), share, *ends, told=_told(at, share, ends))


def _told(value: float, share: float, ends: tuple[float, float, float]) -> str:
    if value > ends[2]:
        return "larger than all that it learned from"
    if value < ends[0]:
        return "smaller than all that it learned from"
    return "very large" if share > 1 - EDGE else "very small" if share < EDGE else ""


def plain(value: Any) -> Any:
    """A cell as a plain value: times as text, nothing as None."""
    if pd.isna(value):
        return None
    return (
        value.isoformat()
        if isinstance(value, pd.Timestamp)
        else value.item()
        if hasattr(value, "item")
        else value
    )
