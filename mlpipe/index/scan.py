"""Which rows meet a condition, and which of them come first, found by comparing the values of all rows at once (`mlpipe.index.blocks`).

What it takes grows with the number of rows and of the keys that a query names, and not with what they hold.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlpipe.index.blocks import CODES, Blocks
from mlpipe.index.conditions import (
    ANY,
    Bound,
    Joined,
    Leaf,
    Spans,
    Sql,
    attribute_test,
    column_test,
    parts_of,
    text_test,
)
from mlpipe.index.database import Database
from mlpipe.index.fields import Field
from mlpipe.index.schema import TIMES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SOME = 20_000
"""Rows or words that are looked up one by one faster than all are gone through."""
TIED = 500
"""Rows that are sorted at once."""
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Sort:
    """One key of the order."""

    field: Field
    descending: bool


NEWEST = Sort(Field("started", "time"), descending=True)
"""What decides between rows that are equal otherwise; where they still are, their ids do."""


class Scan:
    """All rows of an index at one moment.

    Parameters
    ----------
    trained
        Whether only trainings count.
    """

    def __init__(self, database: Database, *, trained: bool) -> None:
        self.database = database
        self.trained = trained
        self.blocks = Blocks(database)

    def found(self, where: Bound | None, test: Sql, sorts: list[Sort], limit: int | None) -> list[int]:
        """Numbers of rows that meet a condition, in no order: with a limit at least those that come first.

        Parameters
        ----------
        test
            The whole condition on a row ``r``, for rows that have no block.
        """
        rows = self._unblocked(test)
        if not self.blocks.end:
            return rows
        met = self._met(where, self._all())
        if limit is not None:
            return rows + [int(n) + 1 for n in self._first(met.nonzero()[0], sorts, limit)]
        return rows + [int(n) + 1 for n in met.nonzero()[0]]

    def _unblocked(self, test: Sql) -> list[int]:
        stale, value = self.database.listed(self.blocks.stale)
        whole = f" and {test[0]}" if test[0] else ""
        rows = self.database.run(
            f"select r.n from record r where r.n > ?{whole}", [self.blocks.end, *test[1]]
        )
        if self.blocks.stale:
            statement = f"select r.n from {stale} d cross join record r where r.n = d.row and r.n <= ?{whole}"
            rows += self.database.run(statement, [value, self.blocks.end, *test[1]])
        return [n for (n,) in rows]

    def _all(self) -> "Array":
        import numpy as np

        whole = np.ones(self.blocks.end, dtype=bool)
        numbers, _ = self.blocks.held(CODES["trained"], self.blocks.live(whole))
        rows = numbers == 1 if self.trained else numbers >= 0
        rows[np.array(self.blocks.stale, dtype=np.int64) - 1] = False
        return rows

    # -- conditions ------------------------------------------------------------------------------------------------

    def _met(self, node: Bound | None, among: "Array") -> "Array":
        """Which of some rows meet a condition, shape (rows,), bool."""
        if node is None or not among.any():
            return among
        if isinstance(node, Leaf):
            return among & self._leaf(node, among)
        if node.word == "and":
            for part in sorted(parts_of(node), key=_cost):
                among = self._met(part, among)
            return among
        if node.word == "not":
            return among & ~self._met(node.parts[0], among)
        met = self._met(node.parts[0], among)
        for part in node.parts[1:]:
            met = met | self._met(part, among & ~met)
        return met

    def _leaf(self, leaf: Leaf, among: "Array") -> "Array":
        field = leaf.field
        if field.shared:
            return self._of_bags(leaf, among)
        if not _blocked(field):
            return self._of_rows(leaf, among)
        numbers, words = self._held(field, self.blocks.live(among))
        return self._test(leaf, numbers, words, len(among))

    def _test(self, leaf: Leaf, numbers: "Array", words: "Array", count: int) -> "Array":
        import numpy as np

        met = np.zeros(count, dtype=bool)
        if len(numbers) and leaf.field.kind != "text":
            met |= _within(ANY if leaf.missing else leaf.numbers, numbers)
        if len(words):
            met |= self._known(leaf, words)[words]
        return ~met if leaf.missing else met

    def _held(self, field: Field, live: "Array") -> "tuple[Array, Array]":
        return self.blocks.held(CODES[field.name] if field.key is None else field.key, live)

    def _known(self, leaf: Leaf, words: "Array") -> "Array":
        """Which of the words up to the highest are texts that meet a condition, shape (words,)."""
        import numpy as np

        seen = np.zeros(int(words.max()) + 1, dtype=bool)
        seen[words] = True
        seen[0] = False
        if leaf.missing or (leaf.texts == ANY and leaf.pattern is None):
            return seen
        test, values = text_test(self.database, leaf, "w.text") if leaf.texts else ("1 = 0", [])
        there = seen.nonzero()[0].tolist()
        if len(there) <= SOME:
            some, value = self.database.listed(there)
            statement, bound = f"{some} d cross join word w where w.id = d.row and {test}", [value, *values]
        else:
            statement, bound = f"word w where {test}", values
        ids = np.array(
            [n for (n,) in self.database.run(f"select w.id from {statement}", bound)], dtype=np.int64
        )
        known = np.zeros(len(seen), dtype=bool)
        known[ids[ids < len(seen)]] = True
        return known

    def _of_bags(self, leaf: Leaf, among: "Array") -> "Array":
        """A condition about what is shared: which bags meet it."""
        import numpy as np

        numbers, _ = self.blocks.held(CODES["bag"], self.blocks.live(among))
        bags = np.nan_to_num(numbers).astype(np.int64)
        test, values = attribute_test(self.database, leaf)
        statement = f"select bag from shared where key = ? and {test}"
        found = self.database.run(statement, [leaf.field.key, *values])
        met = np.zeros(max(int(bags.max()), *(b for (b,) in found), 0) + 1, dtype=bool)
        met[[b for (b,) in found]] = True
        return ~met[bags] if leaf.missing else met[bags]

    def _of_rows(self, leaf: Leaf, among: "Array") -> "Array":
        """A condition about a column that has no blocks, asked of the rows themselves."""
        import numpy as np

        test, values = column_test(self.database, leaf, f"r.{leaf.field.name}")
        if (few := among.nonzero()[0] + 1).size <= SOME:
            some, value = self.database.listed(few.tolist())
            statement, bound = f"{some} d cross join record r where r.n = d.row and {test}", [value, *values]
        else:
            statement, bound = f"record r where r.n <= ? and {test}", [len(among), *values]
        met = np.zeros(len(among), dtype=bool)
        met[[n - 1 for (n,) in self.database.run(f"select r.n from {statement}", bound)]] = True
        return met

    # -- order -----------------------------------------------------------------------------------------------------

    def _first(self, rows: "Array", sorts: list[Sort], limit: int) -> "Array":
        """Those of some rows among which the first are: by each key the better ones, and the next key decides between equal ones."""
        import numpy as np

        better = []
        for sort in [*sorts, NEWEST]:
            if not (sort.field.shared or _blocked(sort.field)):
                break
            ranks = self._ranks(sort, rows) if len(rows) > limit + TIED else []
            while ranks and len(rows) > limit + TIED:
                by, *ranks = ranks
                last = np.partition(by, limit - 1)[limit - 1]
                better.append(rows[by < last])
                limit -= len(better[-1])
                tied = by == last
                rows, ranks = rows[tied], [r[tied] for r in ranks]
        return np.concatenate([*better, rows])

    def _ranks(self, sort: Sort, rows: "Array") -> "list[Array]":
        """What to sort rows by, the lowest first: numbers, texts and what is missing; and the values."""
        import numpy as np

        live = self.blocks.live(rows)
        if sort.field.shared:
            bags, _ = self.blocks.held(CODES["bag"], live)
            numbers, words, ranked = self._shared(sort.field, np.nan_to_num(bags[rows]).astype(np.int64))
        else:
            numbers, words = (held[rows] if len(held) else held for held in self._held(sort.field, live))
            ranked = self._ranked(words)
        if not len(words) and len(numbers) and not np.isnan(numbers).any():
            return [-numbers if sort.descending else numbers]
        if not len(numbers) and len(words) and words.all():
            return [-ranked[words] if sort.descending else ranked[words]]
        groups, values = np.full(len(rows), 2, dtype=np.int8), np.zeros(len(rows))
        if len(numbers):
            there = ~np.isnan(numbers)
            groups[there], values[there] = 0, numbers[there]
        if len(words):
            groups[words > 0] = 1
            values[words > 0] = ranked[words[words > 0]]
        return [groups, -values if sort.descending else values]

    def _ranked(self, words: "Array") -> "Array":
        """Places of words in the order of their texts, shape (highest word + 1,)."""
        import numpy as np

        ranked = np.zeros(int(words.max(initial=0)) + 1)
        ranked[words] = 1
        some, value = self.database.listed(ranked.nonzero()[0].tolist())
        statement = f"select w.id from {some} d cross join word w where w.id = d.row order by w.text"
        ids = [n for (n,) in self.database.run(statement, (value,))]
        ranked[ids] = np.arange(len(ids))
        return ranked

    def _shared(self, field: Field, bags: "Array") -> "tuple[Array, Array, Array]":
        """What is shared, as if each row held it itself; bags stand for their texts."""
        import numpy as np

        held = self.database.run("select bag, number, text from shared where key = ?", (field.key,))
        size = max(int(bags.max(initial=0)), *(row[0] for row in held), 0) + 1
        numbers, words, ranked = np.full(size, np.nan), np.zeros(size, dtype=np.int64), np.zeros(size)
        order = {text: i for i, text in enumerate(sorted({row[2] for row in held if row[2] is not None}))}
        for bag, number, text in held:
            if text is None:
                numbers[bag] = number
            else:
                words[bag], ranked[bag] = bag, order[text]
        return numbers[bags], words[bags], ranked


def _blocked(field: Field) -> bool:
    return field.key is not None or field.name in CODES


def _cost(node: Bound) -> int:
    """What is looked at first: times, for rows lie in blocks by time; last what has no blocks."""
    if isinstance(node, Joined):
        return 2
    if node.field.shared or _blocked(node.field):
        return 0 if node.field.name in TIMES else 1
    return 3


def _within(spans: Spans, numbers: "Array") -> "Array":
    """Which numbers lie in some spans, shape (rows,), bool; NaN lies in none."""
    import numpy as np

    points = [span[0][1] for span in spans if len(span) == 1 and span[0][0] == "="]
    met: Array = np.isin(numbers, points)
    for span in spans:
        if not span:
            met |= ~np.isnan(numbers)
        elif span[0][0] != "=":
            one = _COMPARE[span[0][0]](numbers, span[0][1])
            for sign, value in span[1:]:
                one &= _COMPARE[sign](numbers, value)
            met |= one
    return met
