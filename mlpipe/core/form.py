"""The declared form of a column: what its cells are, and in which spellings they come. Words and checks; no data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

KINDS = ("number", "bool", "time", "text")
EPOCHS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
"""Formats of times that are numbers since 1970 in UTC: how many of each make a second."""
WORDS = ("iso", *EPOCHS)
"""Formats of times that are words."""
DECIMALS = (".", ",")
THOUSANDS = (",", ".", " ", "'", "_")
CASES = ("lower", "upper")
TRUTHY, FALSY = ("true", "yes", "y", "t", "on", "1"), ("false", "no", "n", "f", "off", "0")
"""Spellings of yes and no where none are declared. Capitals make no difference."""
_DIRECTIVES = "YymdHIpMSfzZjbBaAGuVwUW%"
_SAMPLE = datetime(2001, 2, 3, 4, 5, 6, 789, UTC)


@dataclass(frozen=True)
class Form:
    """What a cell of a column is, and how it is spelled.

    Attributes
    ----------
    to
        One of `KINDS`.
    null
        Spellings, and numbers, that stand for no value.
    decimal, thousands
        Marks in numbers; no mark between thousands is ``""``.
    marks
        What may stand before or behind a number and means nothing: ``"$"``, ``"EUR"``, ``"%"``.
    truthy, falsy
        Spellings of yes and no.
    formats
        Words of `WORDS` and formats of `strptime`, tried in turn on each time.
    case
        ``"lower"``, ``"upper"``, or ``""`` for text as it comes.
    strip
        Whether blanks around a text are taken off.
    map
        Spellings of a text, and what each is called. A name of its own stands for itself.
    """

    to: str
    null: tuple[str | int | float, ...] = ()
    decimal: str = "."
    thousands: str = ""
    marks: tuple[str, ...] = ()
    truthy: tuple[str, ...] = TRUTHY
    falsy: tuple[str, ...] = FALSY
    formats: tuple[str, ...] = ("iso",)
    case: str = ""
    strip: bool = True
    map: Mapping[str, str] = field(default_factory=dict)


def cased(text: str, case: str) -> str:
    """A text in the case of a form."""
    return {"lower": text.lower, "upper": text.upper}.get(case, lambda: text)()


def format_error(form: str) -> str:
    """What is wrong with a format of times that is no word of `WORDS`, as a sentence; empty when nothing is."""
    if "%" not in form:
        return f"{form!r} is neither a known format nor one of strptime"
    rest = form
    while "%" in rest:
        _, _, rest = rest.partition("%")
        if rest[:1] not in _DIRECTIVES or not rest:
            return f"{form!r} has the unknown directive '%{rest[:1]}'"
        rest = rest[1:]
    if not any(year in form for year in ("%Y", "%y", "%G")):
        return f"{form!r} has no year (%Y or %y)"
    try:
        datetime.strptime(_SAMPLE.strftime(form), form)
    except (ValueError, re.error) as error:
        return f"{form!r} is no format: {error}"
    return ""
