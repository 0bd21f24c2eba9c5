"""How a query is answered: which rows are looked at, chosen by looking at a few first.

Three ways lead to the best twenty, tried in this order; what the first two cost is bounded, whatever is asked.

1. Few rows meet one of the conditions: an index finds them, and they are tested and sorted.
2. Many rows meet all: those that stand first in the index of the sort key are tested until there are enough. Of equal ones the next key
   leads on.
3. Neither: the values of all rows are compared at once (`mlpipe.index.scan`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlpipe.index.conditions import (
    Bound,
    Joined,
    Leaf,
    Spans,
    Sql,
    bound,
    condition,
    conjuncts,
    driver,
    spans_test,
)
from mlpipe.index.database import Database
from mlpipe.index.fields import Field, field_of
from mlpipe.index.query import Query
from mlpipe.index.scan import NEWEST, Scan, Sort

FEW = 2_000
"""Rows that are found and sorted in a few milliseconds."""
FAR = 4_000
"""Rows that are walked along at most."""
MANY = 100_000
"""Rows that are found by number rather than by looking at all, where all that match are wanted."""

OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True)
class Plan:
    """The statement that gives a query's rows, best first.

    `way` says how they are found: ``filter`` (the selective condition first), ``walk`` (along the sort key) or ``scan`` (all rows).
    """

    statement: Sql
    way: str


def plan(database: Database, query: Query, columns: str, limit: int | None) -> Plan:
    """How to answer a query.

    Parameters
    ----------
    columns
        What to select of each row ``r``.
    limit
        How many rows are wanted, at least one; None: all.

    Raises
    ------
    QueryError
        A key is unknown or ambiguous, or a value is of the wrong kind.
    """
    where = bound(database, query)
    sorts = [Sort(field_of(database, o.key, query.text), o.descending) for o in query.order]
    trained = not any(key.name in ("stage", "asset") for key in query.named())
    making = _Making(database, columns, limit, where, _test(database, where, trained), trained, sorts)
    few = _fewest(database, where)
    if few is not None:
        return Plan(making.listed(few, making.test), "filter")
    if limit is not None:
        walked = making.walked(limit)
        if walked is not None:
            return Plan(making.listed(walked), "walk")
    elif where is None:
        return Plan(making.scanned(), "scan")
    found = Scan(database, trained=trained).found(where, making.test, sorts, limit)
    return Plan(making.scanned() if limit is None and len(found) > MANY else making.listed(found), "scan")


def _test(database: Database, where: Bound | None, trained: bool) -> Sql:
    tests: list[Sql] = [(f"{database.probe}r.trained = 1", [])] if trained else []
    tests += [condition(database, where)] if where is not None else []
    return " and ".join(t for t, _ in tests), [v for _, vs in tests for v in vs]


def _fewest(database: Database, where: Bound | None) -> list[int] | None:
    """The fewest rows among which all matches are; None where each condition is met by more than `FEW`."""
    found: list[tuple[int, Sql]] = []
    for part in conjuncts(where):
        drives = driver(part)
        if drives is not None:
            statement, values = drives
            counted = f"select count(*) from (select 1 from ({statement}) met limit {FEW + 1}) counted"
            number = database.run(counted, values)[0][0]
            if number <= FEW:
                found.append((number, drives))
            if number == 0:
                return []
    if not found:
        return None
    statement, values = min(found, key=lambda pair: pair[0])[1]
    # With the bound of the count, which changes nothing but how Postgres goes about it.
    rows = database.run(f"select row from ({statement}) found limit {FEW + 1}", values)
    return sorted({n for (n,) in rows})


@dataclass(frozen=True)
class _Making:
    """Puts statements together."""

    database: Database
    columns: str
    limit: int | None
    where: Bound | None
    test: Sql
    trained: bool
    sorts: Sequence[Sort]

    def listed(self, rows: Sequence[int], test: Sql = ("", [])) -> Sql:
        """Rows that were found, sorted; those that meet a condition."""
        source, value = self.database.listed(rows)
        return self._statement(f"{source} d cross join record r", "r.n = d.row", [value], test)

    def scanned(self) -> Sql:
        """All rows that meet the condition, sorted."""
        return self._statement("record r", "", [], self.test)

    def walked(self, limit: int) -> list[int] | None:
        """The best rows, found along the index of the first sort key; None where not so many are among the first `FAR`.

        Of rows with the same value all must be looked at, or none. Where those are many, the next key leads along them.
        """
        first = self.sorts[0] if self.sorts else NEWEST
        field, run = first.field, self.database.run
        if field.shared or not field.indexed:
            return None
        table, column, values = "record r", f"r.{field.name}", []
        where = "r.trained = 1" if self.trained and field.name == NEWEST.field.name else "1 = 1"
        if field.key is not None:
            table, where, values = "attribute w", "w.key = ?", [field.key]
            number = run("select 1 from attribute where key = ? and number is not null limit 1", values)
            column = "w.number" if number else "w.text"
        way, beyond = (" desc", ">") if first.descending else ("", "<")
        within, bounds = self._bounds(field, column)
        where, values, order = f"{where} and {within}", [*values, *bounds], f"{column}{way}"
        ends = [
            run(f"select {column} from {table} where {where} order by {order} limit 1 offset {at}", values)
            for at in (FAR, 2 * FAR)
        ]
        if ends[0]:
            where, values = f"{where} and {column} {beyond} ?", [*values, ends[0][0][0]]
        if field.key is not None:
            table, where = f"{table} cross join record r", f"{where} and r.n = w.row"
        made = replace(self, columns="r.n", limit=limit)
        found = [n for (n,) in run(*made._statement(table, where, values, self.test, order))]
        if len(found) < limit and self.sorts and ends[0] and ends[0] == ends[1]:
            equal = self._equal(first, ends[0][0][0]).walked(limit - len(found))
            return None if equal is None else [*found, *equal]
        return found if len(found) == limit else None

    def _bounds(self, field: Field, column: str) -> Sql:
        """Between which values of its first sort key all rows are that have one and meet the condition."""
        for part in conjuncts(self.where):
            leaf = part.parts[0] if isinstance(part, Joined) and part.word == "not" else part
            if isinstance(leaf, Leaf) and leaf.field == field and leaf.drives:
                text = field.kind == "text" or column == "w.text"
                spans = leaf.texts if text else leaf.numbers
                if leaf is part and len(spans) == 1:
                    return spans_test(spans, column)
                if len(spans) == 1 and len(spans[0]) == 1 and spans[0][0][0] in OPPOSITE:
                    sign, value = spans[0][0]
                    return spans_test((((OPPOSITE[sign], value),),), column)
        return f"{column} is not null", []

    def _equal(self, sort: Sort, value: Any) -> "_Making":
        """The same for rows with one value of the first sort key, by the others."""
        same: Spans = ((("=", value),),)
        leaf = Leaf(sort.field, texts=same) if isinstance(value, str) else Leaf(sort.field, numbers=same)
        test, values = condition(self.database, leaf)
        both = " and ".join(t for t in (self.test[0], test) if t)
        return replace(self, test=(both, [*self.test[1], *values]), sorts=self.sorts[1:])

    def _statement(self, source: str, met: str, own: Sequence[Any], test: Sql, first: str = "") -> Sql:
        """Rows of a source that meet two conditions, in order; `first` is the first key's, where an index gives it."""
        joins, keys, terms = self._sorted(first)
        where = " and ".join(t for t in (met, test[0]) if t)
        whole = f" where {where}" if where else ""
        tail = "" if self.limit is None else f" limit {self.limit}"
        statement = f"select {self.columns} from {source}{joins}{whole} order by {', '.join(terms)}{tail}"
        # As they stand in the statement: a source that is a selection comes before the joins, a condition after.
        before = source.count("?")
        return statement, [*own[:before], *keys, *own[before:], *test[1]]

    def _sorted(self, first: str) -> tuple[str, list[Any], list[str]]:
        """Joins, their values, and the terms of the order."""
        joins, values, terms = [], [], [first] if first else []
        for number, sort in enumerate(self.sorts[1 if first else 0 :]):
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
        return "".join(joins), values, [*terms, "r.started desc", "r.id"]
