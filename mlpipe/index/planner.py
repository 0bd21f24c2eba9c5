"""How a query is answered: which rows are looked at, in which order, chosen by counting a little first.

Two ways lead to the best twenty. One walks along the sort key's index from the best down and looks at each row's other values: at once
there when many rows match, and a walk along everything when none does. The other finds all rows that meet the most selective condition
and sorts them: at once there when they are few. Counts stop at `FEW`, and a sample of rows says how far a walk would lead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlpipe.index.conditions import Bound, Sql, bound, condition, conjuncts, driver
from mlpipe.index.database import Database
from mlpipe.index.fields import Field, field_of
from mlpipe.index.query import Query
from mlpipe.index.schema import TIMES

FEW = 2_000
"""Rows that are found and sorted in a millisecond or two."""
MANY = 50_000
"""Rows that are still found and sorted faster than a walk that a sample says leads nowhere."""
SAMPLE = 256
NEWEST = "r.started desc, r.id"
"""What decides between rows that are equal otherwise."""


@dataclass(frozen=True)
class Plan:
    """The statements that give a query's rows one after another, best first, and what was found out about it.

    `way` says how: ``filter`` (the selective condition first), ``walk`` (along the sort key) or ``scan`` (all rows).
    """

    statements: tuple[Sql, ...]
    way: str
    base: Bound | None


@dataclass(frozen=True)
class Sort:
    """One key of the order."""

    field: Field
    descending: bool


def plan(database: Database, query: Query, columns: str, limit: int | None) -> Plan:
    """How to answer a query.

    Parameters
    ----------
    columns
        What to select of each row ``r``.
    limit
        How many rows are wanted; None: all. A few more cost nothing.

    Raises
    ------
    QueryError
        A key is unknown or ambiguous, or a value is of the wrong kind.
    """
    where = bound(database, query)
    sorts = [Sort(field_of(database, o.key, query.text), o.descending) for o in query.order]
    trained = not any(key.name in ("stage", "asset") for key in query.named())
    test, values = condition(database, where) if where is not None else ("", [])
    if trained:
        test = f"{database.probe}r.trained = 1" + (f" and {test}" if test else "")
    making = _Making(database, columns, limit, (test, values), trained, sorts)
    few = _fewest(database, where, FEW)
    if few is not None:
        return Plan((making.filtered(few),), "filter", where)
    if limit is None:
        return Plan((making.scanned(),), "scan", where)
    if where is not None and _far(database, (test, values), sorts):
        few = _fewest(database, where, MANY)
        if few is not None:
            return Plan((making.filtered(few),), "filter", where)
    if sorts and not sorts[0].field.indexed or (sorts and sorts[0].field.shared):
        return Plan((making.scanned(),), "scan", where)
    return Plan(tuple(making.walked()), "walk", where)


def _fewest(database: Database, where: Bound | None, most: int) -> Sql | None:
    """The selection of the fewest rows among which all matches are; None where each has more than `most`."""
    found: list[tuple[int, Sql]] = []
    for part in conjuncts(where):
        drives = driver(database, part)
        if drives is not None:
            statement, values = drives
            counted = f"select count(*) from (select 1 from ({statement}) met limit {most + 1}) counted"
            number = database.run(counted, values)[0][0]
            if number <= most:
                found.append((number, drives))
            if number == 0:
                break
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _far(database: Database, test: Sql, sorts: list[Sort]) -> bool:
    """Whether a walk would lead far, by a sample of rows, evenly spread.

    So it is where none of them meets the condition; and along the time, in whose order rows are mostly written, where the first that does
    lies far off.
    """
    last = database.run("select coalesce(max(n), 0) from record")[0][0]
    if last <= SAMPLE:
        return False
    rows = [1 + i * (last - 1) // (SAMPLE - 1) for i in range(SAMPLE)]
    statement = f"select r.n from record r where r.n in ({', '.join('?' * SAMPLE)}) and {test[0]}"
    found = [n for (n,) in database.run(statement, [*rows, *test[1]])]
    if not found:
        return True
    if sorts and sorts[0].field.name not in TIMES:
        return False
    first: int = min(found) if sorts and not sorts[0].descending else last - max(found)
    return first > MANY


@dataclass(frozen=True)
class _Making:
    """Puts statements together."""

    database: Database
    columns: str
    limit: int | None
    test: Sql
    trained: bool
    sorts: list[Sort]

    def filtered(self, few: Sql) -> Sql:
        """Rows of a selection that meet the condition, sorted."""
        joins, values, terms = self._sorted(0)
        source = f"(select distinct row from ({few[0]}) found) d cross join record r"
        return self._statement(source, joins, "r.n = d.row", terms, [*few[1], *values])

    def scanned(self) -> Sql:
        """All rows that meet the condition, sorted."""
        joins, values, terms = self._sorted(0)
        if not self.sorts:
            return self._newest()
        return self._statement("record r", joins, "", terms, values)

    def walked(self) -> Iterator[Sql]:
        """Rows along the index of the first sort key: those with a number, then those with a text, then those without."""
        if not self.sorts:
            yield self._newest()
            return
        first, (joins, values, terms) = self.sorts[0], self._sorted(1)
        way = " desc" if first.descending else ""
        field = first.field
        if field.key is None:
            column = f"r.{field.name}"
            yield self._statement(
                "record r", joins, f"{column} is not null", [f"{column}{way}", *terms], values
            )
            yield self._statement("record r", joins, f"{self.database.probe}{column} is null", terms, values)
            return
        for column in ("number", "text"):
            source = "attribute w cross join record r"
            test = f"w.key = ? and w.{column} is not null and r.n = w.row"
            yield self._statement(source, joins, test, [f"w.{column}{way}", *terms], values, [field.key])
        missing = "not exists (select 1 from attribute w where w.key = ? and w.row = r.n)"
        yield self._statement("record r", joins, missing, terms, values, [field.key])

    def _newest(self) -> Sql:
        where = self.test[0]
        if self.trained:
            # Without the mark that keeps an index from being used: this one is sorted by time.
            where = where.replace(f"{self.database.probe}r.trained", "r.trained", 1)
        tail = "" if self.limit is None else f" limit {self.limit}"
        whole = f" where {where}" if where else ""
        return f"select {self.columns} from record r{whole} order by {NEWEST}{tail}", list(self.test[1])

    def _sorted(self, skip: int) -> tuple[str, list[Any], list[str]]:
        """Joins, their values, and the terms of the order from the sort key number `skip` on."""
        joins, values, terms = [], [], []
        for number, sort in enumerate(self.sorts[skip:]):
            way = " desc" if sort.descending else ""
            field, name = sort.field, f"s{number}"
            if field.key is None:
                column = f"{self.database.probe}r.{field.name}"
                terms += [f"({column} is null)", f"{column}{way}"]
                continue
            table, row, owner = ("shared", "bag", "r.bag") if field.shared else ("attribute", "row", "r.n")
            joins.append(f" left join {table} {name} on {name}.key = ? and {name}.{row} = {owner}")
            values.append(field.key)
            for column in (f"{name}.number", f"{name}.text"):
                terms += [f"({column} is null)", f"{column}{way}"]
        return "".join(joins), values, [*terms, NEWEST]

    def _statement(
        self,
        source: str,
        joins: str,
        test: str,
        terms: list[str],
        values: list[Any],
        own: list[Any] | None = None,
    ) -> Sql:
        where = " and ".join(t for t in (test, self.test[0]) if t)
        whole = f" where {where}" if where else ""
        tail = "" if self.limit is None else f" limit {self.limit}"
        statement = f"select {self.columns} from {source}{joins}{whole} order by {', '.join(terms)}{tail}"
        return statement, [*values, *(own or []), *self.test[1]]
