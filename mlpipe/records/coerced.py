"""JSON values of what people put into parameters and facts."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

_PLAIN = frozenset({bool, int})


def coerce(value: Any) -> Any:
    """JSON value of anything that may stand in parameters: numpy scalars, dates, classes, functions, estimators.

    Unknown objects become their type's name, never their `repr` (which may hold an address or a secret).
    """
    # What nearly all of a record is made of comes first: a night coerces some ten thousand values.
    kind = type(value)
    if kind is dict:
        return {k if type(k) is str else str(k): coerce(v) for k, v in value.items()}
    if kind is list or kind is tuple:
        return [coerce(v) for v in value]
    if value is None or kind in _PLAIN or (kind is str and value.isascii()):
        return value
    if isinstance(value, Enum):
        return coerce(value.value)
    if isinstance(value, str):
        # Half of a surrogate pair has no UTF-8; it would fail when the record is written, after the work.
        return str(value).encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, (date, time, PurePath, Decimal)):
        return str(value)
    if isinstance(value, timedelta):
        # Every digit: these strings stand in recipes.
        whole, rest = divmod(value, timedelta(seconds=1))
        return f"{whole + rest / timedelta(seconds=1):.6f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, re.Pattern):
        return value.pattern
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes {hashlib.blake2b(value, digest_size=20).hexdigest()}"
    if isinstance(value, Mapping):
        return {str(k): coerce(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((coerce(v) for v in value), key=str)
    if isinstance(value, Sequence):
        return [coerce(v) for v in value]
    if isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return coerce(value.item())
    if hasattr(value, "tolist"):
        return coerce(value.tolist())
    if hasattr(value, "get_params"):
        return {
            "class": f"{type(value).__module__}.{type(value).__qualname__}",
            **coerce(value.get_params(deep=False)),
        }
    if callable(value):
        return (
            f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', type(value).__qualname__)}"
        )
    return f"{type(value).__module__}.{type(value).__qualname__}"
