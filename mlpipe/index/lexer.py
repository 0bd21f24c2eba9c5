"""From the text of a query to its words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlpipe.errors import QueryError
from mlpipe.index.query import Moment
from mlpipe.index.rows import micros

KEYWORDS = (
    "and",
    "or",
    "not",
    "in",
    "like",
    "is",
    "null",
    "order",
    "by",
    "asc",
    "desc",
    "limit",
    "true",
    "false",
)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of the units of a relative time."""
_DATE = r"\d{4}-\d{2}(?:-\d{2}(?:[T](?:\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(?:Z|[+-]\d{2}:?\d{2})?)?)?"
_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<date>{_DATE})(?![\w.:-])
    | (?P<relative>-\d+(?:\.\d+)?[smhdw])(?![\w.])
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<name>[^\W\d][\w/@\-]*)
    | (?P<operator><=|>=|!=|<>|==|=|<|>)
    | (?P<mark>[(),.])
    )""",
    re.VERBOSE,
)
_PART = re.compile(r"""[\w/@\-]+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")


@dataclass(frozen=True)
class Token:
    """A word: what kind it is, as it was written, what it means, and where it stands."""

    kind: str
    text: str
    value: str | float | Moment
    at: int
    end: int


def tokens(query: str, now: datetime) -> Iterator[Token]:
    """The words of a query, the last of kind ``end``.

    Raises
    ------
    QueryError
        A character begins no word; a text is not closed; a date does not exist.
    """
    at = 0
    while True:
        at += len(query[at:]) - len(query[at:].lstrip())
        if at >= len(query):
            yield Token("end", "", "", at, at)
            return
        found = _TOKEN.match(query, at)
        if found is None:
            raise _unreadable(query, at)
        kind, text = str(found.lastgroup), found[found.lastgroup or 0]
        token = (
            _name(query, at, text)
            if kind == "name"
            else Token(kind, text, _meaning(query, at, kind, text, now), at, found.end())
        )
        yield token
        at = token.end


def _name(query: str, at: int, text: str) -> Token:
    """A keyword, or a key with all its parts: after a dot a part may begin with a digit, or stand in quotes."""
    if text.lower() in KEYWORDS:
        return Token("keyword", text.lower(), text.lower(), at, at + len(text))
    parts, end = [text], at + len(text)
    while query[end : end + 1] == ".":
        part = _PART.match(query, end + 1)
        if part is None:
            raise QueryError("expected the next part of the key after '.'", query=query, at=end + 1)
        parts.append(_unquoted(part[0]) if part[0][0] in "\"'" else part[0])
        end = part.end()
    return Token("key", query[at:end], ".".join(parts), at, end)


def _meaning(query: str, at: int, kind: str, text: str, now: datetime) -> str | float | Moment:
    if kind == "number":
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise QueryError("the number is too large", query=query, at=at)
        return value
    if kind == "relative":
        try:
            instant = micros(now - timedelta(seconds=float(text[1:-1]) * UNITS[text[-1]]))
        except OverflowError:
            raise QueryError("the time is before the year 1", query=query, at=at) from None
        return Moment(instant, instant, text)
    if kind == "date":
        try:
            return moment_of(text)
        except ValueError:
            raise QueryError(f"there is no such time as {text}", query=query, at=at) from None
    return _unquoted(text) if kind == "text" else "!=" if text == "<>" else "=" if text == "==" else text


def moment_of(text: str) -> Moment:
    """The time that a text spells; without a zone it is in UTC. A date alone is a whole day, a month alone a whole month.

    Raises
    ------
    ValueError
        It is none.
    """
    if re.fullmatch(r"\d{4}-\d{2}", text):
        first = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return Moment(micros(first), micros(following), text)
    instant = datetime.fromisoformat(text)
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    try:
        start = micros(instant)
        end = micros(instant + timedelta(days=1)) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else start
    except OverflowError:
        raise ValueError(text) from None
    return Moment(start, end, text)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.S)


def _unreadable(query: str, at: int) -> QueryError:
    character = query[at]
    if character in "\"'":
        return QueryError(f"the text is not closed: expected another {character}", query=query, at=at)
    if character.isdigit() or character in "+-":
        return QueryError(
            "expected a number, a date such as 2024-03-01, or a time ago such as -30d", query=query, at=at
        )
    return QueryError(
        f"'{character}' begins nothing that a query knows",
        query=query,
        at=at,
        fix='A key with odd characters stands in quotes: tags."my key".',
    )
