"""A query's tree as conditions of SQL, with every value bound.

A condition about a missing value is false, and ``not`` turns it round: two values, never three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlpipe.errors import QueryError
from mlpipe.index.database import Database
from mlpipe.index.fields import Field, field_of
from mlpipe.index.lexer import moment_of
from mlpipe.index.query import All, Literal, Missing, Moment, Node, Not, Query, Some, Within

Sql = tuple[str, list[Any]]


@dataclass(frozen=True)
class Leaf:
    """A condition about one key. `cell` is the condition on its value, with ``{n}`` and ``{t}`` for the number and the text.

    `drives`: the rows that meet it are found in an index, without looking at records.
    """

    field: Field
    cell: str
    values: tuple[Any, ...]
    drives: bool
    missing: bool = False
    """Whether it asks for rows without a value; then `cell` says nothing."""


@dataclass(frozen=True)
class Joined:
    """Several conditions: all of them, some, or (with one part) its opposite."""

    word: str
    parts: "tuple[Leaf | Joined, ...]"


Bound = Leaf | Joined


def bound(database: Database, query: Query) -> Bound | None:
    """The condition of a query, its keys looked up and its values checked; None where it has none.

    Raises
    ------
    QueryError
        A key is unknown or ambiguous, or a value is not of its column's kind.
    """
    return None if query.where is None else _bound(database, query.where, query.text)


def _bound(database: Database, node: Node, text: str) -> Bound:
    if isinstance(node, All):
        return Joined("and", tuple(_bound(database, p, text) for p in node.parts))
    if isinstance(node, Some):
        return Joined("or", tuple(_bound(database, p, text) for p in node.parts))
    if isinstance(node, Not):
        return Joined("not", (_bound(database, node.part, text),))
    field = field_of(database, node.key, text)
    if isinstance(node, Missing):
        return Leaf(field, "", (), drives=False, missing=not node.negated)
    if isinstance(node, Within):
        tests = [_test(database, field, "=", x, text) for x in node.literals]
        cells, values = " or ".join(c for c, _ in tests), tuple(v for _, vs in tests for v in vs)
        return _leaf(field, f"({cells})", values, negated=node.negated)
    cell, compared = _test(database, field, node.operator, node.literal, text)
    return _leaf(field, cell, tuple(compared), negated=node.negated)


def _leaf(field: Field, cell: str, values: tuple[Any, ...], *, negated: bool) -> Leaf:
    if not negated:
        return Leaf(field, cell, values, drives=field.indexed)
    # Of an attribute one of number and text is null, and a condition on it neither true nor false.
    return Leaf(field, f"not coalesce({cell}, false)", values, drives=field.indexed)


def _test(database: Database, field: Field, operator: str, literal: Literal, text: str) -> Sql:
    value = literal.value
    if field.kind == "any":
        return _of_attribute(database, operator, value)
    wrong = _mismatch(field, operator, literal)
    if wrong:
        raise QueryError(wrong, query=text, at=literal.at)
    if field.kind == "time":
        return _of_time(operator, value if isinstance(value, Moment) else moment_of(str(value)))
    if field.kind == "text":
        return _of_text(database, operator, value.spelled if isinstance(value, Moment) else str(value))
    return f"{{n}} {_sign(operator)} ?", [int(value) if isinstance(value, bool) else value]


def _of_attribute(database: Database, operator: str, value: bool | float | str | Moment) -> Sql:
    """An attribute holds what it holds: a value of another kind is different, and neither more nor less."""
    if isinstance(value, bool | float):
        test, values = f"{{n}} {_sign(operator)} ?", [float(value)]
    else:
        test, values = _of_text(database, operator, value.spelled if isinstance(value, Moment) else value)
    other = "{t}" if isinstance(value, bool | float) else "{n}"
    return (f"({other} is not null or {test})", values) if operator == "!=" else (test, values)


def _of_text(database: Database, operator: str, value: str) -> Sql:
    value = value.replace("\0", "\ufffd")
    if operator != "like":
        return f"{{t}} {_sign(operator)} ?", [value]
    test, pattern = database.like("{t}", value)
    start = value.replace("_", "%").partition("%")[0]
    if not start:
        return test, [pattern]
    # An index finds the texts that begin so.
    return f"({{t}} >= ? and {{t}} < ? and {test})", [start, start + "\U0010ffff", pattern]


def _of_time(operator: str, moment: Moment) -> Sql:
    start, end = moment.start, moment.end
    if not moment.whole:
        return f"{{n}} {_sign(operator)} ?", [start]
    tests: dict[str, Sql] = {
        "=": ("({n} >= ? and {n} < ?)", [start, end]),
        "!=": ("({n} < ? or {n} >= ?)", [start, end]),
        "<": ("{n} < ?", [start]),
        "<=": ("{n} < ?", [end]),
        ">": ("{n} >= ?", [end]),
        ">=": ("{n} >= ?", [start]),
    }
    return tests[operator]


def _sign(operator: str) -> str:
    return "<>" if operator == "!=" else operator


def _mismatch(field: Field, operator: str, literal: Literal) -> str:
    """Why a value cannot be compared with a column; empty when it can."""
    value = literal.value
    if field.kind == "flag":
        good = isinstance(value, bool) and operator in ("=", "!=")
        return "" if good else f"'{field.name}' is true or false: compare it by = or !="
    if operator == "like" and field.kind != "text":
        return f"'{field.name}' is no text, and 'like' compares texts"
    if field.kind == "number":
        good = isinstance(value, float)
        return "" if good else f"'{field.name}' is a number: expected one"
    if field.kind == "time":
        if isinstance(value, Moment):
            return ""
        try:
            moment_of(value if isinstance(value, str) else "")
        except ValueError:
            return f"'{field.name}' is a time: expected a date such as 2024-03-01, or a time ago such as -30d"
        return ""
    good = isinstance(value, str | Moment)
    return "" if good else f"'{field.name}' is a text: expected one, in quotes"


def condition(database: Database, node: Bound) -> Sql:
    """The condition on a row ``r`` of ``record``, in a form that never decides how rows are found."""
    if isinstance(node, Joined):
        parts = [condition(database, p) for p in node.parts]
        values = [v for _, vs in parts for v in vs]
        if node.word == "not":
            return f"not {parts[0][0]}", values
        return "(" + f" {node.word} ".join(s for s, _ in parts) + ")", values
    field = node.field
    if field.key is None:
        column = f"{database.probe}r.{field.name}"
        if not node.cell:
            return f"({column} is {'' if node.missing else 'not '}null)", []
        cell = node.cell.format(n=column, t=column)
        return f"({column} is not null and {cell})", list(node.values)
    table, row, owner = ("shared", "bag", "r.bag") if field.shared else ("attribute", "row", "r.n")
    cell = f" and {node.cell.format(n='a.number', t='a.text')}" if node.cell else ""
    found = f"exists (select 1 from {table} a where a.key = ? and a.{row} = {owner}{cell})"
    return f"not {found}" if node.missing else found, [field.key, *node.values]


def driver(database: Database, node: Bound) -> Sql | None:
    """A selection of the numbers ``row`` of rows among which all that meet a condition are; None where no index finds them."""
    if isinstance(node, Leaf):
        return _leaf_driver(node)
    if node.word == "or":
        parts = [driver(database, p) for p in node.parts]
        if any(p is None for p in parts):
            return None
        found = [p for p in parts if p is not None]
        return " union ".join(s for s, _ in found), [v for _, vs in found for v in vs]
    return None


def _leaf_driver(leaf: Leaf) -> Sql | None:
    field = leaf.field
    if not leaf.drives:
        return None
    if field.key is None:
        cell = leaf.cell.format(n=field.name, t=field.name)
        return f"select n as row from record where {field.name} is not null and {cell}", list(leaf.values)
    cell = leaf.cell.format(n="number", t="text")
    if field.shared:
        bags = f"select bag from shared where key = ? and {cell}"
        return f"select n as row from record where bag in ({bags})", [field.key, *leaf.values]
    return f"select row from attribute where key = ? and {cell}", [field.key, *leaf.values]


def conjuncts(node: Bound | None) -> Sequence[Bound]:
    """Conditions that must all hold; those on the value of one key, such as both ends of a range, as one."""
    found: list[Bound] = []
    ranges: dict[Field, list[Leaf]] = {}
    for part in _parts(node):
        if isinstance(part, Leaf) and part.drives:
            ranges.setdefault(part.field, []).append(part)
        else:
            found.append(part)
    for field, leaves in ranges.items():
        values = tuple(v for leaf in leaves for v in leaf.values)
        found.append(Leaf(field, " and ".join(leaf.cell for leaf in leaves), values, drives=True))
    return found


def _parts(node: Bound | None) -> list[Bound]:
    if isinstance(node, Joined) and node.word == "and":
        return [c for part in node.parts for c in _parts(part)]
    return [] if node is None else [node]
