"""The language of queries: one parser for the command line, Python and whatever else asks.

    metrics.f1 > 0.8 and (params.lr < 1e-3 or params.optimizer in ("adam", "adamw")) order by metrics.f1 desc limit 20

In short, with ``[ ]`` for what may be left out and ``{ }`` for what may come again::

    query      = [either] ["order" "by" key ["asc" | "desc"] {"," key ["asc" | "desc"]}] ["limit" number]
    either     = both {"or" both}
    both       = one {"and" one}
    one        = "not" one | "(" either ")" | key test
    test       = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | ["not"] "in" "(" value {"," value} ")"
               | ["not"] "like" text | "is" ["not"] "null"
"""

from datetime import UTC, datetime

from mlpipe.errors import QueryError
from mlpipe.index.lexer import Token, tokens
from mlpipe.index.query import (
    All,
    Comparison,
    Key,
    Literal,
    Missing,
    Moment,
    Node,
    Not,
    Order,
    Query,
    Some,
    Within,
)

LONGEST = 20_000
"""Characters of a query."""
DEEPEST = 100
"""Parentheses within one another."""
VALUES = ("text", "number", "date", "relative")


def parse(text: str, now: datetime | None = None) -> Query:
    """The query that a text spells. `now` is what relative times such as ``-30d`` count from; default: the clock's.

    Raises
    ------
    QueryError
        With a caret under the place, and what was expected there.
    """
    if len(text) > LONGEST:
        raise QueryError(f"a query has at most {LONGEST} characters", query=text, at=LONGEST)
    return _Parser(text, now or datetime.now(UTC)).query()


class _Parser:
    """Recursive descent; each method reads one rule of the grammar."""

    def __init__(self, text: str, now: datetime) -> None:
        self.text = text
        self.words = list(tokens(text, now))
        self.place = 0
        self.depth = 0

    @property
    def word(self) -> Token:
        return self.words[self.place]

    def query(self) -> Query:
        where = None if self._is("order", "limit") or self.word.kind == "end" else self._either()
        order: list[Order] = []
        if self._take("order"):
            self._need("by")
            order.append(self._order())
            while self._take(","):
                order.append(self._order())
        limit = self._limit() if self._take("limit") else None
        if self.word.kind != "end":
            options = (
                "'and', 'or', 'order by', 'limit' or the end" if not order else "',', 'limit' or the end"
            )
            raise self._wrong("the end" if limit is not None else options)
        return Query(self.text, where, tuple(order), limit)

    def _either(self) -> Node:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _both(self) -> Node:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise QueryError(
                f"more than {DEEPEST} conditions within one another", query=self.text, at=self.word.at
            )
        try:
            if self._take("not"):
                return Not(self._one())
            if self._take("("):
                inner = self._either()
                self._need(")", "'and', 'or' or ')'")
                return inner
            return self._test(self._key("a key, 'not' or '('"))
        finally:
            self.depth -= 1

    def _test(self, key: Key) -> Node:
        word = self.word
        if word.kind == "operator":
            self.place += 1
            return Comparison(key, str(word.value), self._value(str(word.value)))
        if self._take("is"):
            negated = self._take("not")
            self._need("null")
            return Missing(key, negated)
        negated = self._take("not")
        if self._take("in"):
            self._need("(")
            literals = [self._value("in")]
            while self._take(","):
                literals.append(self._value("in"))
            self._need(")", "',' or ')'")
            return Within(key, tuple(literals), negated)
        if self._take("like"):
            if self.word.kind != "text":
                raise self._wrong('a text with % for anything and _ for one character, such as "adam%"')
            return Comparison(key, "like", self._value("like"), negated)
        raise self._wrong("'in' or 'like'" if negated else "=, !=, <, <=, >, >=, in, like or is")

    def _key(self, expected: str) -> Key:
        word = self.word
        if word.kind not in ("key", "text"):
            fix = "The key stands on the left: metrics.f1 > 0.8." if word.kind in VALUES else ""
            raise self._wrong(expected, fix)
        self.place += 1
        return Key(str(word.value), word.at, word.end)

    def _value(self, operator: str) -> Literal:
        word = self.word
        if word.kind in VALUES:
            self.place += 1
            return Literal(word.value, word.at)
        if self._is("true", "false"):
            self.place += 1
            return Literal(word.value == "true", word.at)
        fix = ""
        if word.kind == "key":
            fix = f'Text stands in quotes: "{word.text}".'
        elif word.text == "null":
            fix = "Write 'is null' or 'is not null'."
        raise self._wrong(
            f"a value after '{operator}': a number, a text in quotes, a date, true or false", fix
        )

    def _order(self) -> Order:
        key = self._key("a key to order by")
        descending = self._take("desc")
        if not descending:
            self._take("asc")
        return Order(key, descending)

    def _limit(self) -> int:
        word = self.word
        if word.kind != "number" or not isinstance(word.value, float) or word.value < 1 or word.value % 1:
            raise self._wrong("a whole number from 1 on")
        self.place += 1
        return int(word.value)

    def _is(self, *texts: str) -> bool:
        return self.word.kind in ("keyword", "mark") and self.word.text in texts

    def _take(self, text: str) -> bool:
        found = self._is(text)
        self.place += found
        return found

    def _need(self, text: str, expected: str = "") -> None:
        if not self._take(text):
            raise self._wrong(expected or f"'{text}'")

    def _wrong(self, expected: str, fix: str = "") -> QueryError:
        word = self.word
        found = "the query ends" if word.kind == "end" else f"found {word.text[:40]}"
        return QueryError(f"expected {expected}; {found}", query=self.text, at=word.at, fix=fix)


__all__ = ["Moment", "QueryError", "parse"]
