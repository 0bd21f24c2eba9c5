"""The base of every node of a specification, and the value types that they share."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from mlpipe.errors import did_you_mean

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Node(BaseModel):
    """A frozen part of a specification. An unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, strict=False)


def parse_duration(value: object) -> timedelta:
    """Length of time from text such as ``"30d"``, ``"90m"``, ``"1d 12h"``; units s, m, h, d, w.

    Raises
    ------
    ValueError
        When the text is no duration, or is negative.
    """
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise ValueError("a duration must not be negative")
        return value
    parts = str(value).split()
    matches = [re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", part) for part in parts]
    if not matches or not all(matches):
        raise ValueError(
            f"{value!r} is no duration; write a number and a unit (s, m, h, d, w), such as '30d' or '1d 12h'"
        )
    return timedelta(seconds=sum(float(m[1]) * _UNITS[m[2]] for m in matches if m))


def duration_text(value: timedelta) -> str:
    """Shortest text that `parse_duration` reads back, such as ``"1d 12h"``."""
    left, parts = int(value.total_seconds()), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left // size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts) or "0s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_text)]


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is no valid name; use small letters, digits and '_', a letter first, at most 64"
        )
    return value


Name = Annotated[str, AfterValidator(_name)]


def one_of(kind: str, known: Callable[[], tuple[str, ...]]) -> Any:
    """Validator: the value must be one of `known()`; the error lists close names."""

    def check(value: str) -> str:
        if value not in known():
            raise ValueError(f"unknown {kind} {value!r}. {did_you_mean(value, known())}")
        return value

    return AfterValidator(check)


def listed(value: object) -> object:
    """A lone value stands for a list of one."""
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
