"""Values by key, in blocks of `SIZE` rows: what a condition needs of a million rows is read and compared in milliseconds.

A block holds one key's values of the rows ``number * SIZE + 1`` to ``(number + 1) * SIZE``: `places` where they stand within it (nothing:
everywhere), `numbers` as float64 (NaN for a text) and `words` as int32 (0 for a number), each left out where there are none and of length
one where all are equal. Columns of ``record`` have numbers below 0 as keys.

Blocks are a copy. Rows after the last block, and those in ``stale``, which changed since their block was written, are looked at themselves.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlpipe.index.database import Database
from mlpipe.index.packs import Names
from mlpipe.index.rows import FREE
from mlpipe.index.schema import COLUMNS, TEXTS

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Part = tuple[Array, Array | None, Array | None]
    """Places of some values of a key, and those values: numbers or words."""

SIZE = 2048
"""Rows of a block. So many at most have none yet, and are looked at one by one."""
STALE = 512
"""Stale rows from which on their blocks are written anew."""
KEPT = ("trained", "bag", *(c for c in COLUMNS if c not in ("id", "run", "recipe", *FREE)))
"""Columns that have blocks: all but those whose texts are all different."""
CODES = {name: -1 - i for i, name in enumerate(KEPT)}
"""Their keys. The first is there in every block."""


def covered(database: Database) -> int:
    """Number of the last row that has a block."""
    found = database.run("select max(number) from block where key = ?", (CODES[KEPT[0]],))
    return 0 if found[0][0] is None else (int(found[0][0]) + 1) * SIZE


def spoil(database: Database, rows: Iterable[int]) -> None:
    """Note that rows changed, if they have a block. Within `Database.writing` only."""
    end = covered(database)
    changed = [(n,) for n in rows if n <= end]
    if changed:
        database.many("insert into stale (row) values (?) on conflict do nothing", changed)


def settle(database: Database, names: Names) -> None:
    """Write blocks that are full and have none, and those with many stale rows. Within `Database.writing` only."""
    end = covered(database)
    last = database.run("select coalesce(max(n), 0) from record")[0][0]
    if last - end >= SIZE:
        for number in range(end // SIZE, last // SIZE):
            _write(database, names, number)
    stale = [n for (n,) in database.run("select row from stale")]
    if len(stale) > STALE:
        for number in sorted({(n - 1) // SIZE for n in stale}):
            database.run("delete from block where number = ?", (number,))
            _write(database, names, number)
        database.run("delete from stale")


def _write(database: Database, names: Names, number: int) -> None:
    """Write the blocks of one stretch of rows."""
    import numpy as np

    first = number * SIZE + 1
    rows = database.run(
        f"select n, shape, pack, {', '.join(KEPT)} from record where n >= ? and n < ? order by n",
        (first, first + SIZE),
    )
    places = np.array([row[0] - first for row in rows], dtype="<u2")
    values: dict[int, list[Part]] = {CODES[KEPT[0]]: []}
    for at, name in enumerate(KEPT):
        cells = [row[3 + at] for row in rows]
        there = [i for i, cell in enumerate(cells) if cell is not None]
        if name in TEXTS:
            names.take_words({cells[i] for i in there})
            part: Part = (places[there], None, np.array([names.words[cells[i]] for i in there], "<i4"))
        else:
            part = (places[there], np.array([cells[i] for i in there], "<f8"), None)
        if there:
            values.setdefault(CODES[name], []).append(part)
    for key, own, kind, raw in spread(names, [row[1] for row in rows], [row[2] for row in rows]):
        numbers = None if kind == "t" else raw.view("<f8") if kind == "f" else raw.astype("<f8")
        values.setdefault(key, []).append((places[own], numbers, raw.astype("<i4") if kind == "t" else None))
    database.many(
        "insert into block (key, number, places, numbers, words) values (?, ?, ?, ?, ?)",
        [(key, number, *_coded(parts)) for key, parts in values.items()],
    )


def _coded(parts: "Sequence[Part]") -> tuple[bytes | None, bytes | None, bytes | None]:
    """Values of a key within a block, as bytes."""
    import numpy as np

    if not parts:
        return b"", None, None
    places = np.concatenate([p for p, _, _ in parts])
    order = np.argsort(places, kind="stable")
    numbers = words = None
    if any(n is not None for _, n, _ in parts):
        numbers = np.concatenate([np.full(len(p), np.nan) if n is None else n for p, n, _ in parts])[order]
    if any(w is not None for _, _, w in parts):
        words = np.concatenate([np.zeros(len(p), "<i4") if w is None else w for p, _, w in parts])[order]
    return None if len(places) == SIZE else places[order].tobytes(), _short(numbers), _short(words)


def _short(values: "Array | None") -> bytes | None:
    if values is None:
        return None
    return (values[:1] if (values == values[0]).all() else values).tobytes()


def spread(
    names: Names, shapes: Sequence[int], packs: Sequence[bytes]
) -> "Iterator[tuple[int, Any, str, Array]]":
    """Attributes of many rows by key: the key, which of the rows have it, the kind of its values, and those as they are packed.

    A key comes once for each shape that holds it.
    """
    import numpy as np

    for number in set(shapes):
        shape = names.shape(number)
        whole = shapes.count(number) == len(shapes)
        own = range(len(shapes)) if whole else [i for i, n in enumerate(shapes) if n == number]
        data = b"".join(packs if whole else [packs[i] for i in own])
        # Column by column in memory: each is read as a whole.
        block = np.frombuffer(data, dtype="<i8").reshape(len(own), len(shape)).T.copy()
        places: Any = slice(0, len(own)) if whole else np.array(own)
        for row, (key, kind) in enumerate(shape):
            yield key, places, kind, block[row]


class Blocks:
    """Values of keys in all rows that have a block, at one moment. A row's place is its number less one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.end = covered(database)
        self.stale = [n for (n,) in database.run("select row from stale")]

    def live(self, rows: "Array") -> "Array":
        """Which blocks hold any of some rows, given as bools, shape (rows,), or by their places; shape (blocks,), bool."""
        import numpy as np

        if rows.dtype == bool:
            return np.asarray(rows.reshape(-1, SIZE).any(axis=1))
        if len(rows) * 8 > self.end:
            return np.ones(self.end // SIZE, dtype=bool)
        found = np.zeros(self.end // SIZE, dtype=bool)
        found[rows // SIZE] = True
        return found

    def held(self, key: int, live: "Array") -> "tuple[Array, Array]":
        """Numbers (NaN where there is none) and words (0) of a key, in blocks that are `live`; elsewhere nothing.

        Parameters
        ----------
        live
            Which blocks are wanted, shape (blocks,), bool.

        Returns
        -------
        tuple
            Both of shape (rows,), float64 and int32; empty where no row has any.
        """
        import numpy as np

        numbers, words = np.empty(0), np.empty(0, "<i4")
        for number, places, some, other in self._rows(key, live):
            start = number * SIZE
            at: Any = slice(start, start + SIZE)
            if places is not None:
                at = np.frombuffer(places, "<u2").astype(np.int64) + start
            if some is not None:
                if not len(numbers):
                    numbers = np.full(self.end, np.nan)
                numbers[at] = np.frombuffer(some, "<f8")
            if other is not None:
                if not len(words):
                    words = np.zeros(self.end, "<i4")
                words[at] = np.frombuffer(other, "<i4")
        return numbers, words

    def _rows(self, key: int, live: "Array") -> Iterator[Sequence[Any]]:
        wanted = live.nonzero()[0].tolist()
        if not wanted:
            return
        statement = "select number, places, numbers, words from block where key = ?"
        if len(wanted) * 2 < len(live):
            some, value = self.database.listed(wanted)
            yield from self.database.run(
                f"{statement} and number in (select row from {some} d)", (key, value)
            )
            return
        for row in self.database.run(
            f"{statement} and number >= ? and number <= ?", (key, wanted[0], wanted[-1])
        ):
            if live[row[0]]:
                yield row
