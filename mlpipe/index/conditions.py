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


Span = tuple[tuple[str, Any], ...]
"""Comparisons that hold together, such as ``((">=", 1), ("<", 5))``; none at all: any value."""
Spans = tuple[Span, ...]
"""Stretches of values, one of which a value lies in; none at all: no value."""
ANY: Spans = ((),)


@dataclass(frozen=True)
class Leaf:
    """A condition about one key: in which spans of numbers, or of texts, its value lies.

    `pattern` is what such a text must be like besides; with `opposite` what it must not be like. `missing`: it asks for rows without a
    value instead.
    """

    field: Field
    numbers: Spans = ()
    texts: Spans = ()
    pattern: str | None = None
    opposite: bool = False
    missing: bool = False

    @property
    def drives(self) -> bool:
        """Whether the rows that meet it are a few stretches of an index."""
        return self.field.indexed and not self.missing and () not in (*self.numbers, *self.texts)


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
        return Leaf(field, ANY, ANY) if node.negated else Leaf(field, missing=True)
    if isinstance(node, Within):
        values = [_value(field, "=", x, text) for x in node.literals]
        return _within(field, values, "!=" if node.negated else "=")
    value = _value(field, node.operator, node.literal, text)
    if node.operator == "like":
        return _like(field, str(value), node.negated)
    if node.operator in ("=", "!="):
        return _within(field, [value], node.operator)
    if isinstance(value, Moment):
        return Leaf(
            field, numbers=(((_AFTER_WHOLE.get(node.operator, node.operator), _end(node.operator, value)),),)
        )
    spans: Spans = (((node.operator, value),),)
    return Leaf(field, texts=spans) if isinstance(value, str) else Leaf(field, numbers=spans)


_AFTER_WHOLE = {"<=": "<", ">": ">="}
"""Compared with a stretch of time ``[start, end)``: up to its end is before what follows it."""


def _end(operator: str, moment: Moment) -> int:
    return moment.end if operator in _AFTER_WHOLE else moment.start


def _within(field: Field, values: Sequence[float | str | Moment], operator: str) -> Leaf:
    """Equal to one of some values, or (``!=``) to none: a value of another kind is different."""
    texts = sorted({v for v in values if isinstance(v, str)})
    points = sorted({v for v in values if not isinstance(v, str | Moment)})
    # An instant is the microsecond that it is.
    times = sorted((v.start, max(v.end, v.start + 1)) for v in values if isinstance(v, Moment))
    if operator == "=":
        numbers: Spans = tuple((("=", v),) for v in points) + tuple(((">=", a), ("<", b)) for a, b in times)
        return Leaf(field, numbers, tuple((("=", v),) for v in texts))
    apart = _beside(times, ">=") if times else _beside([(v, v) for v in points], ">")
    return Leaf(field, apart, _beside([(v, v) for v in texts], ">"))


def _beside(taken: Sequence[tuple[Any, Any]], after: str) -> Spans:
    """The spans between, before and after others, which are sorted; `after` compares with an end that is the first beside it."""
    if not taken:
        return ANY
    spans: list[Span] = [(("<", taken[0][0]),)]
    end = taken[0][1]
    for low, high in taken[1:]:
        if low > end:
            spans.append(((after, end), ("<", low)))
        end = max(end, high)
    return (*spans, ((after, end),))


def _like(field: Field, pattern: str, negated: bool) -> Leaf:
    if negated:
        return Leaf(field, ANY, ANY, pattern=pattern, opposite=True)
    # An index finds the texts that begin so.
    start = pattern.replace("_", "%").partition("%")[0]
    return Leaf(field, (), (((">=", start), ("<", start + "\U0010ffff")),) if start else ANY, pattern=pattern)


def _value(field: Field, operator: str, literal: Literal, text: str) -> float | str | Moment:
    """A literal as the field's values are: numbers, texts, or a stretch of time."""
    value = literal.value
    if field.kind != "any":
        wrong = _mismatch(field, operator, literal)
        if wrong:
            raise QueryError(wrong, query=text, at=literal.at)
        if field.kind == "time":
            moment = value if isinstance(value, Moment) else moment_of(str(value))
            return moment if moment.whole or operator in ("=", "!=") else moment.start
        if field.kind != "text":
            return int(value) if isinstance(value, bool) else value
    if isinstance(value, bool | float):
        return float(value)
    return (value.spelled if isinstance(value, Moment) else value).replace("\0", "\ufffd")


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
        return column_test(database, node, f"{database.probe}r.{field.name}")
    table, row, owner = ("shared", "bag", "r.bag") if field.shared else ("attribute", "row", "r.n")
    cell, values = attribute_test(database, node, "a.")
    # With an offset it stays what it is, and is never turned into a join that begins with all that meet it.
    found = (
        f"exists (select 1 from {table} a where a.key = ? and a.{row} = {owner} and {cell} limit 1 offset 0)"
    )
    return f"not {found}" if node.missing else found, [field.key, *values]


def column_test(database: Database, leaf: Leaf, column: str) -> Sql:
    """Whether a column of ``record`` meets a condition: true or false, never null."""
    if leaf.missing:
        return f"({column} is null)", []
    test, values = (
        text_test(database, leaf, column) if leaf.field.kind == "text" else spans_test(leaf.numbers, column)
    )
    return f"({column} is not null and {test})", values


def attribute_test(database: Database, leaf: Leaf, prefix: str = "") -> Sql:
    """Whether what an attribute holds meets a condition; asked for rows without it, whether it holds anything."""
    if leaf.missing:
        return "1 = 1", []
    tests = []
    if leaf.numbers:
        tests.append(spans_test(leaf.numbers, f"{prefix}number"))
    if leaf.texts:
        tests.append(text_test(database, leaf, f"{prefix}text"))
    return "(" + " or ".join(t for t, _ in tests) + ")", [v for _, vs in tests for v in vs]


def text_test(database: Database, leaf: Leaf, column: str) -> Sql:
    """Whether a text meets a condition."""
    test, values = spans_test(leaf.texts, column)
    if leaf.pattern is not None:
        like, pattern = database.like(column, leaf.pattern)
        return (f"({test} and {'not ' if leaf.opposite else ''}{like})", [*values, pattern])
    return test, values


def spans_test(spans: Spans, column: str) -> Sql:
    """Whether a column's value lies in some spans."""
    points = [span[0][1] for span in spans if len(span) == 1 and span[0][0] == "="]
    tests = [f"{column} in ({', '.join('?' * len(points))})"] if points else []
    values = list(points)
    for span in spans:
        if not span:
            tests.append(f"{column} is not null")
        elif span[0][0] != "=" or len(span) > 1:
            tests.append("(" + " and ".join(f"{column} {operator} ?" for operator, _ in span) + ")")
            values += [value for _, value in span]
    return "(" + " or ".join(tests) + ")", values


def driver(node: Bound) -> Sql | None:
    """A selection of the numbers ``row`` of rows among which all that meet a condition are; None where no index finds them."""
    if isinstance(node, Leaf):
        return _leaf_driver(node) if node.drives else None
    parts = [driver(p) for p in node.parts] if node.word == "or" else [None]
    found = [p for p in parts if p is not None]
    if len(found) < len(parts):
        return None
    return " union all ".join(s for s, _ in found), [v for _, vs in found for v in vs]


def _leaf_driver(leaf: Leaf) -> Sql:
    """One selection for each span, so that each is a stretch of an index."""
    field = leaf.field
    column = field.key is None
    found: list[Sql] = []
    for name, spans in (("number", leaf.numbers), ("text", leaf.texts)):
        points = tuple(s for s in spans if len(s) == 1 and s[0][0] == "=")
        for some in (points, *((s,) for s in spans if s not in points)):
            if not some or (column and (name == "text") != (field.kind == "text")):
                continue
            test, values = spans_test(some, field.name if column else name)
            if column:
                found.append((f"select n as row from record where {test}", values))
            elif field.shared:
                bags = f"select bag from shared where key = ? and {test}"
                found.append((f"select n as row from record where bag in ({bags})", [field.key, *values]))
            else:
                found.append((f"select row from attribute where key = ? and {test}", [field.key, *values]))
    return (
        " union all ".join(s for s, _ in found) or "select 0 as row where 1 = 0",
        [v for _, vs in found for v in vs],
    )


def conjuncts(node: Bound | None) -> Sequence[Bound]:
    """Conditions that must all hold; those on the value of one key, such as both ends of a range, as one that no fewer rows meet."""
    found: list[Bound] = []
    ranges: dict[Field, Leaf] = {}
    for part in parts_of(node):
        if isinstance(part, Leaf) and part.drives:
            ranges[part.field] = _both(ranges.get(part.field, Leaf(part.field, ANY, ANY)), part)
        else:
            found.append(part)
    return [*found, *ranges.values()]


def _both(one: Leaf, other: Leaf) -> Leaf:
    return Leaf(
        one.field,
        tuple((*a, *b) for a in one.numbers for b in other.numbers),
        tuple((*a, *b) for a in one.texts for b in other.texts),
    )


def parts_of(node: Bound | None) -> list[Bound]:
    """Conditions that must all hold."""
    if isinstance(node, Joined) and node.word == "and":
        return [c for part in node.parts for c in parts_of(part)]
    return [] if node is None else [node]
