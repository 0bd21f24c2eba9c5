"""The service levels of a watched day, for people: states, budgets, responses. Read from the record of the monitor alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Record
from mlpipe.views.table import printable, table

LETTERS = {"m": "·", "x": "x", "?": " "}
Row = Mapping[str, Any]


def to_dict(record: Record, rows: Sequence[Row]) -> dict[str, Any]:
    """Everything for a program; numbers that are not known are null."""
    head = record.data.get(HEAD_DATA) or {}
    plain = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in rows
    ]
    return {
        "pipeline": record.pipeline,
        "partition": record.partition,
        "record": record.id,
        "version": head.get("version"),
        "levels": plain,
        "response": head.get("response") or {},
        "exhausted": head.get("exhausted") or [],
        "served": head.get("served"),
        "days": record.data.get("levels_days"),
    }


def as_text(record: Record, rows: Sequence[Row]) -> str:
    """A table of the indicators, those to worry about first, with their days as a strip; and what follows from it.

    Parameters
    ----------
    record
        Of the monitor.
    rows
        Of its table ``levels``; none where it has no levels.
    """
    head = record.data.get(HEAD_DATA) or {}
    if not rows:
        why = f"the monitor says '{record.verdict}'" if record.verdict in ("no_champion", "no_data") else ""
        why = why or "it was made before there were service levels, or all are switched off"
        return f"{record.pipeline} {record.partition}: no service level was asked; {why}."
    days = record.data.get("levels_days") or {"from": "", "to": "", "states": {}}
    shown = [r for r in rows if ":" not in r["indicator"] or r["state"] == "missed"]
    order = {"missed": 0, "unknown": 2}
    lines = [_line(r, days["states"]) for r in sorted(shown, key=lambda r: order.get(str(r["state"]), 1))]
    missed = sum(r["state"] == "missed" for r in rows if ":" not in r["indicator"])
    asked = sum(":" not in r["indicator"] for r in rows)
    title = f"{record.pipeline}@{head.get('version')} on {record.partition}: {missed} of {asked} service levels missed."
    body = table(["indicator", "value", "asked", "state", "response", "budget", "days"], lines)
    legend = f"Days {days['from']} to {days['to']}: · met, x missed, blank unknown. Budget: days that missed, of those that may."
    return "\n".join([title, "", body, "", legend, *_consequences(head)])


def _line(row: Row, strips: Mapping[str, str]) -> list[str]:
    name, state = str(row["indicator"]), str(row["state"])
    strip = "".join(LETTERS.get(c, c) for c in strips.get(name, ""))
    return [
        f"  {name.partition(':')[2]}" if ":" in name else name,
        "–" if not math.isfinite(float(row["value"])) else f"{float(row['value']):.4g}",
        str(row["asked"]),
        state if state != "unknown" else f"unknown: {row['why']}" if row["why"] else "unknown",
        f"{row['response']} ({row['severity']})" if state == "missed" and ":" not in name else "",
        "" if ":" in name else _budget(row),
        strip,
    ]


def _budget(row: Row) -> str:
    if not row["known_days"]:
        return "no day known"
    used = f"{int(row['missed_days'])} of {float(row['allowed_days']):.3g}"
    over = int(row["missed_days"]) > float(row["allowed_days"]) + 1e-9
    return f"{used} in {int(row['known_days'])} days{': used up' if over else ''}"


def _consequences(head: Mapping[str, Any]) -> list[str]:
    """What was done, and what stands: sentences."""
    served = head.get("served") or {}
    found = []
    if served:
        who = {"nobody": "Nobody", "champion": "The champion itself"}.get(served["by"], f"The {served['by']}")
        found.append(f"{who} answered: {', '.join(served['for'])} asks for '{served['response']}'.")
    if head.get("exhausted"):
        found.append(f"Error budget used up: {', '.join(head['exhausted'])}.")
    return [printable(line) for line in found]
