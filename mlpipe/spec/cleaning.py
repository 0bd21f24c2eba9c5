"""What the cells of a column mean, declared: the form into which each is brought before anything else looks at it."""

import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mlpipe.core.form import CASES, DECIMALS, FALSY, THOUSANDS, TRUTHY, WORDS, Form, cased, format_error
from mlpipe.spec.nodes import KeyPath, Node, Wrong, choices, listed, shown

Kind = Literal["number", "bool", "time", "text"]
OPTIONS: dict[str, tuple[str, ...]] = {
    "number": ("null", "decimal", "thousands", "marks"),
    "bool": ("null", "truthy", "falsy"),
    "time": ("null", "formats"),
    "text": ("null", "strip", "case", "map"),
}
"""Options that each kind of form has."""


def _spelling(value: object) -> str:
    """A spelling as text; a number as it would be written."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"must be a spelling in quotes, got {shown(value)}")
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)


def _spellings(value: object) -> object:
    given = listed(value)
    return tuple(map(_spelling, given)) if isinstance(given, tuple) else given


def _nulls(value: object) -> object:
    given = listed(value)
    for item in given if isinstance(given, tuple) else ():
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise ValueError(f"must be spellings in quotes, or numbers; got {shown(item)}")
    return given


def _formats(value: object) -> object:
    given = listed(value)
    for item in given if isinstance(given, tuple) else ():
        if isinstance(item, str) and item not in WORDS and (wrong := format_error(item)):
            raise ValueError(f"{wrong}. {choices(item, WORDS)} Or a format of strptime, such as '%d.%m.%Y'.")
    if given == ():
        raise ValueError("must name at least one format")
    return given


def _mapping(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"must map spellings to what they are called, got {shown(value)}")
    return {_spelling(k): _spelling(v) for k, v in value.items()}


def _mark(known: tuple[str, ...], none: bool = False) -> Callable[[object], object]:
    def check(value: object) -> object:
        if none and value in (None, "", "none"):
            return ""
        if value not in known:
            text = ", ".join(repr(k) for k in known)
            raise ValueError(f"must be one of {text}{' or none' if none else ''}, got {shown(value)}")
        return value

    return check


def _marks(value: object) -> object:
    given = listed(value)
    for item in given if isinstance(given, tuple) else ():
        if not isinstance(item, str) or not item.strip() or any(c.isdigit() or c in "+-.," for c in item):
            raise ValueError(
                f"must be words or signs without digits, '+', '-', '.' and ','; got {shown(item)}"
            )
    return tuple(m.strip() for m in given) if isinstance(given, tuple) else given


Spellings = Annotated[tuple[str, ...], BeforeValidator(_spellings)]


class Clean(Node):
    """Form of one column. A cell that is there but cannot be read in this form breaks the contract, and its row is quarantined.

    Raw keeps the cells as they came; only the event time is read when rows are cut into partitions.
    """

    to: Kind
    null: Annotated[tuple[str | int | float, ...], BeforeValidator(_nulls)] = Field(
        default=(), description="spellings and numbers that mean nothing, such as 'NA', '?' or -999"
    )
    decimal: Annotated[str, BeforeValidator(_mark(DECIMALS))] = Field(
        default=".", description="number: the decimal mark"
    )
    thousands: Annotated[str, BeforeValidator(_mark(THOUSANDS, none=True))] = Field(
        default="", description="number: what separates thousands"
    )
    marks: Annotated[tuple[str, ...], BeforeValidator(_marks)] = Field(
        default=(),
        description="number: what may stand around it and means nothing, such as '$', 'EUR' or '%'",
    )
    truthy: Spellings = Field(default=TRUTHY, description="bool: spellings of yes, in any case")
    falsy: Spellings = Field(default=FALSY, description="bool: spellings of no, in any case")
    formats: Annotated[tuple[str, ...], BeforeValidator(_formats)] = Field(
        default=("iso",),
        description="time: what is tried in turn: iso, epoch_s, epoch_ms, epoch_us, epoch_ns, or formats of strptime",
    )
    case: Annotated[str, BeforeValidator(_mark(CASES, none=True))] = Field(
        default="", description="text: lower or upper"
    )
    strip: bool = Field(default=True, description="text: whether blanks around it are taken off")
    map: Annotated[dict[str, str], BeforeValidator(_mapping)] = Field(
        default={}, description="text: spellings, and what each is called"
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        known = OPTIONS[self.to]
        wrong: list[tuple[KeyPath, str]] = [
            ((name,), f"{name!r} says nothing about a {self.to}. Valid: {', '.join(known)}.")
            for name in sorted(self.model_fields_set - {"to"} - {*known})
        ]
        if self.decimal == self.thousands:
            wrong.append((("thousands",), f"{self.thousands!r} is the decimal mark too"))
        wrong += self._words_problems() if not wrong else []
        if wrong:
            raise Wrong(*wrong)
        return self

    def _words_problems(self) -> list[tuple[KeyPath, str]]:
        given = self.model_fields_set & {"truthy", "falsy"}
        if len(given) == 1:
            other = "falsy" if "truthy" in given else "truthy"
            return [((), f"{given.pop()!r} without {other!r}: give both, or neither")]
        both = {w.strip().lower() for w in self.truthy} & {w.strip().lower() for w in self.falsy}
        if both:
            return [(("falsy",), f"{min(both)!r} stands in 'truthy' too; capitals make no difference")]
        empty = [n for n in ("truthy", "falsy") if not getattr(self, n)]
        if empty:
            return [((empty[0],), "must name at least one spelling")]
        return [(("map", k), text) for k, text in self._map_problems()]

    def _map_problems(self) -> list[tuple[str, str]]:
        """Spellings that lead to two names, and names that are spellings of another: what they mean would depend on the order."""
        found: dict[str, str] = {}
        wrong = []
        for spelling, name in self.map.items():
            key = cased(spelling, self.case)
            if found.setdefault(key, name) != name:
                wrong.append((spelling, f"is called {found[key]!r} and {name!r}; case makes no difference"))
        for spelling, name in self.map.items():
            other = found.get(cased(name, self.case), name)
            if other != name:
                wrong.append((spelling, f"leads to {name!r}, which is itself called {other!r}"))
        return wrong

    @property
    def by_spelling(self) -> bool:
        """Whether a reader that guesses types would lose how the cells are spelled: 007 is no 7, and 1.234 may be a thousand and more."""
        return self.to in ("text", "time") or self.decimal != "." or bool(self.thousands)

    @property
    def form(self) -> Form:
        """The form as core works with it."""
        return Form(**self.model_dump())


def usual_range(value: object) -> object:
    """Validator of a range in which values usually lie: two numbers, of which one may be null."""
    if value is None:
        return None
    ends = tuple(value) if isinstance(value, (list, tuple)) else ()
    numbers = [e for e in ends if e is not None]
    if len(ends) != 2 or not numbers:
        raise ValueError(f"must be two numbers [low, high], of which one may be null; got {shown(value)}")
    for number in numbers:
        if (
            isinstance(number, bool)
            or not isinstance(number, (int, float))
            or not abs(number) <= sys.float_info.max
        ):
            raise ValueError(f"must be two numbers [low, high], got {shown(value)}")
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise ValueError(f"low {numbers[0]:g} is above high {numbers[1]:g}")
    return tuple(None if e is None else float(e) for e in ends)


Usual = Annotated[Any, BeforeValidator(usual_range)]
"""Two numbers, of which one may be null; or nothing."""
