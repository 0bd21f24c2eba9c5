"""Rows as they are read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mlpipe.index.database import Database
from mlpipe.index.packs import Names
from mlpipe.index.rows import PRIMARY
from mlpipe.index.schema import COLUMNS, FLAGS, PACKED, TIMES

SELECTED = (*COLUMNS, "store", "event", "bag", "shape", "pack")
READ = ", ".join(f"r.{name}" for name in SELECTED)
"""What is selected of a row ``r`` to read it whole."""


@dataclass(frozen=True)
class Row:
    """One record, as the index knows it.

    `values` holds everything by its key: columns, and what the record holds, with dots; nothing for what is missing. `store` is the
    address of the store in which the whole record lies.
    """

    id: str
    store: str
    values: Mapping[str, Any]

    @property
    def pipeline(self) -> str:
        """Its pipeline."""
        return str(self.values["pipeline"])

    def get(self, key: str, default: Any = None) -> Any:
        """What it holds under a key."""
        return self.values.get(key, default)


@dataclass(frozen=True)
class Answer:
    """What a query found.

    Parameters
    ----------
    rows
        The records, best first, each as everything that the index knows of it by key.
    keys
        Keys worth showing, in order: those that the query names first.
    as_of
        The moment up to which the index is known to hold everything: its last sync. Never synced: its last row.
    total
        How many records match; at least so many, where `more` says that the limit left some out.
    more
        Whether more match.
    newer
        How many records steps have written since the last sync.
    way
        How they were found: ``filter``, ``walk`` or ``scan``.
    """

    rows: list[dict[str, Any]]
    keys: tuple[str, ...]
    as_of: datetime
    total: int
    more: bool = False
    newer: int = 0
    way: str = ""


def rows_of(names: Names, selected: Sequence[tuple[Any, ...]]) -> list[Row]:
    """Rows from what was selected by `READ`."""
    width = len(COLUMNS)
    packs = names.unpack([(row[width + 3], row[width + 4]) for row in selected])
    bags = bags_of(names.database, names, {row[width + 2] for row in selected})
    found = []
    for row, held in zip(selected, packs, strict=True):
        # What stands in the pack too is taken from the columns: times are times there.
        rest = {key: value for key, value in held.items() if key not in PACKED}
        values = {name: value for name, value in zip(COLUMNS, row[:width], strict=True) if value is not None}
        values |= {name: bool(values[name]) for name in FLAGS if name in values}
        values |= {name: moment(values[name]) for name in TIMES if name in values}
        values |= {**rest, **bags[row[width + 2]]}
        found.append(Row(str(row[0]), str(row[width]), values))
    return found


def bags_of(database: Database, names: Names, numbers: set[int]) -> dict[int, dict[str, Any]]:
    """What is shared by many rows, by the number of its bag."""
    wanted = sorted(numbers)
    packs = []
    for i in range(0, len(wanted), 500):
        some = wanted[i : i + 500]
        marks = ", ".join("?" * len(some))
        packs += database.run(f"select id, shape, pack from bag where id in ({marks})", some)
    held = names.unpack([(shape, pack) for _, shape, pack in packs])
    return {number: values for (number, _, _), values in zip(packs, held, strict=True)}


def moment(micros: int) -> datetime:
    """The time of microseconds since 1970, in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


LISTED = ("id", "pipeline", "partition", "stage", "started", "verdict", "version", "release_stage", "deleted")


def shown_keys(asked: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Keys worth a column: the id, those that were asked for, and of the others those that say something different of the rows."""
    others = [key for key in LISTED[1:] if key not in asked and _differs(key, rows)]
    first = rows[0] if rows else {}
    metrics = [
        key
        for key in first
        if key.startswith("metrics.") and key.count(".") == 1 and not key.startswith("metrics.rows_")
    ]
    # What a model is judged by comes before what else is known of it. A trial is judged in its own record.
    primary = first.get(PRIMARY) or first.get("data.judged.primary")
    metrics = sorted(metrics, key=lambda key: key != f"metrics.{primary}")[:3]
    known = ["id", *others[:4], *asked, *metrics, *others[4:]]
    return tuple(dict.fromkeys(known))


def _differs(key: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    if key in ("partition", "started", "verdict"):
        return True
    return len({row.get(key) for row in rows}) > 1
