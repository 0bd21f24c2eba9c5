"""The base of every node of a specification, and the value types that they share."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from mlpipe.errors import MlpipeError

KeyPath = tuple[str | int, ...]
"""Where a value stands: the keys and positions that lead to it."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LISTED = 60
LONGEST = timedelta(days=36525)
"""No duration may be longer: a century, so that no date computed from one leaves the range of dates."""


class Node(BaseModel):
    """A frozen part of a specification. An unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, strict=False)


class Wrong(ValueError):
    """Several mistakes found by one validator, each with its path below the node that is validated."""

    def __init__(self, *mistakes: tuple[KeyPath, str]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(text for _, text in mistakes))


def choices(name: str, known: Sequence[str]) -> str:
    """Sentences with names close to a wrong one and with all valid ones; too many to read are left out."""
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    return (hint + (f"Valid: {', '.join(known)}." if 0 < len(known) <= _LISTED else "")).rstrip()


def shown(value: object) -> str:
    """Value as it would be written, in at most 80 characters."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4,300 digits has no text
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "…"


def parse_duration(value: object) -> timedelta:
    """Length of time from text such as ``"30d"``, ``"90m"``, ``"1d 12h"``; units s, m, h, d, w.

    Raises
    ------
    ValueError
        When the text is no duration, or the duration is negative or longer than a century.
    """
    if isinstance(value, timedelta):
        length = value
    else:
        parts = value.split() if isinstance(value, str) else []
        matches = [re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)([smhdw])", part, re.ASCII) for part in parts]
        if not matches or not all(matches):
            raise ValueError(
                f"{shown(value)} is no duration; write a number and a unit (s, m, h, d, w), such as '30d' or '1d 12h'"
            )
        seconds = sum(float(m[1]) * _UNITS[m[2]] for m in matches if m)
        length = timedelta(seconds=min(seconds, LONGEST.total_seconds() + 1))
    if length < timedelta(0):
        raise ValueError("a duration must not be negative")
    if length > LONGEST:
        raise ValueError(f"a duration must not be longer than a century, got {shown(value)}")
    return length


def duration_text(value: timedelta) -> str:
    """Shortest text that `parse_duration` reads back, such as ``"1d 12h"``."""
    left, parts = value // timedelta(seconds=1), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if left // size:
            parts.append(f"{left // size}{unit}")
            left %= size
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    if left or fraction:
        parts.append(f"{left}{fraction}s")
    return " ".join(parts) or "0s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_text)]


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{shown(value)} is no valid name; use small letters, digits and '_', a letter first, at most 64"
        )
    return value


Name = Annotated[str, AfterValidator(_name)]


def checked_name(value: str) -> str:
    """A pipeline's name that was typed, unchanged.

    Raises
    ------
    MlpipeError
        It is none; saying what one looks like.
    """
    try:
        return _name(value)
    except ValueError as error:
        raise MlpipeError(str(error)) from None


def one_of(kind: str, known: Callable[[], tuple[str, ...]]) -> Any:
    """Validator: the value must be one of `known()`; the error lists them, and close names first."""

    def check(value: str) -> str:
        if value not in known():
            raise ValueError(f"unknown {kind} {value!r}. {choices(value, known())}")
        return value

    return AfterValidator(check)


def once(text: Callable[[str], str], *inside: str) -> Any:
    """Validator of a list: each name, under ``name`` or the value itself, stands once; `text` says what is wrong, `inside` where."""

    def check(values: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [getattr(value, "name", value) for value in values]
        twice: list[tuple[KeyPath, str]] = [
            ((i, *inside), text(name)) for i, name in enumerate(names) if name in names[:i]
        ]
        if twice:
            raise Wrong(*twice)
        return values

    return AfterValidator(check)


def listed(value: object) -> object:
    """A lone value stands for a list of one."""
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,)


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"must be a number, got {shown(value)}")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
Float = Annotated[float, BeforeValidator(_no_bool)]
"""A number; true and false are none."""
Int = Annotated[int, BeforeValidator(_no_bool)]


def unknown_names(given: Mapping[str, Any], known: Sequence[str], owner: str) -> list[tuple[KeyPath, str]]:
    """Mistakes of parameters that their owner does not have."""
    return [
        ((name,), f"{owner} has no parameter {name!r}. {choices(str(name), known)}")
        for name in given
        if name not in known
    ]
