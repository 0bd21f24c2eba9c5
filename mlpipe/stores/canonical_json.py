"""One spelling for one JSON value, so that equal values are equal bytes."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpipe.errors import StoreError


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and without spaces.

    Parameters
    ----------
    value
        None, bool, int, float, str, and mappings (with text as keys), lists and tuples of them. Numpy scalars and
        arrays count as what they hold. NaN and infinities become null.

    Raises
    ------
    StoreError
        Anything else stands somewhere in `value`: nothing is spelled by guessing.
    """
    return json.dumps(
        _plain(value, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def parse_json(data: bytes, where: str) -> Any:
    """The value of stored JSON.

    Raises
    ------
    StoreError
        The bytes are no JSON; `where` is named.
    """
    try:
        return json.loads(data)
    except ValueError as error:  # also UnicodeDecodeError
        raise StoreError(
            f"Stored JSON is damaged: {error}.", where=where, fix="Restore the file from a backup."
        ) from error


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    what = "a mapping whose keys are not all text" if isinstance(value, Mapping) else type(value).__name__
    raise StoreError(
        f"JSON cannot hold {what}.", where=where, fix="Turn it into text, numbers, lists or mappings first."
    )
