"""Tables of TOML files."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlpipe.errors import NotFoundError


def table_of(file: Path, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """A table of a TOML file; empty when there is none.

    Raises
    ------
    NotFoundError
        When the file is no TOML.
    """
    if not file.is_file():
        return {}
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NotFoundError(
            f"this is no valid TOML: {error}", where=str(file), fix="Mend the line."
        ) from None
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}
