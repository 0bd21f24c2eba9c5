"""Rows of the index for people and machines: a table, CSV, JSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlpipe.views.table import printable, table

WIDEST = 40
"""Characters of a cell; of what is longer, the beginning is shown."""
ID = 12
"""Characters of an id that tell it from all others."""


def as_table(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], footer: str) -> str:
    """A row for each record, and a line on what was left out and as of when this is."""
    if not rows:
        return footer
    shown = [[cell(key, row.get(key)) for key in keys] for row in rows]
    heads = _heads(keys)
    return f"{table(heads, shown)}\n\n{footer}"


def _heads(keys: Sequence[str]) -> list[str]:
    """Keys as short as they stay different: without the parts that most begin with."""
    short = [printable(key).removeprefix("metrics.") for key in keys]
    last = [key.rpartition(".")[2] if key.startswith(("params.", "tags.")) else key for key in short]
    return [b if last.count(b) == 1 else a for a, b in zip(short, last, strict=True)]


def cell(key: str, value: Any) -> str:
    """A value as short text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    text = str(value)
    if key == "id":
        return text.removeprefix("rec-")[:ID]
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def footer(count: int, more: bool, as_of: datetime, newer: int) -> str:
    """What was left out, and as of when the answer is."""
    found = "Nothing matches" if count == 0 else "1 record" if count == 1 else f"{count} records"
    rest = "; more match: --limit shows them" if more else ""
    since = "" if not newer else f", and {newer if newer < 1000 else 'more than 999'} recorded since"
    return f"{found}{rest}. {dated(as_of, since)}"


def dated(as_of: datetime, since: str = "") -> str:
    """As of when an answer is, in a sentence."""
    return f"As of {as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC{since}."


def as_csv(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """A head of keys and a line for each record; numbers in full, times as ISO text, nothing for what is missing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(keys)
    for row in rows:
        writer.writerow([_plain(row.get(key)) for key in keys])
    return out.getvalue().rstrip("\n")


def as_json(
    rows: Sequence[Mapping[str, Any]], as_of: datetime, more: bool, keys: Sequence[str] | None = None
) -> str:
    """One object: ``as_of``, ``more``, and ``rows`` with everything that is known of each, or only some keys."""
    told = [
        {key: _plain(value) for key, value in row.items()}
        if keys is None
        else {key: _plain(row.get(key)) for key in keys}
        for row in rows
    ]
    return json.dumps({"as_of": as_of.isoformat(), "more": more, "rows": told}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
