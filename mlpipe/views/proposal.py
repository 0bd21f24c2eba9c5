"""What `mlpipe init` concluded, for people."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from mlpipe.views.table import printable, table

SHOWN = 15
"""Columns that are left out are named up to here, the rest counted."""


def proposed(told: Mapping[str, Any], guesses: Sequence[str], file: str) -> str:
    """The conclusions as a table, what was left out and guessed, and what to do next."""
    time = (
        "none: one partition"
        if told["every"] == "none"
        else f"one partition a {told['every']}, from {told['start']}"
    )
    rows = [
        ["rows", f"{told['rows']:,}, {told['format']}"],
        [
            "label",
            f"{told['label']}: {told['task']}"
            + (f", positive is {told['positive']!r}" if told["positive"] else ""),
        ],
        ["time", f"{told['time'] or '–'} ({time})"],
        ["features", f"{len(told['features'])}: {_names(told['features'])}"],
        ["model", f"{told['model'].rpartition('.')[2]}, judged by {told['metrics'][0]}"],
    ]
    parts = [table(["proposed", told["name"]], rows)]
    left = [(n, w) for n, w in told["left_out"].items() if n not in (told["label"], told["time"])]
    if left:
        lines = [printable(f"  {n}: {w}") for n, w in left[:SHOWN]]
        more = [f"  and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
        parts.append("\n".join(["Left out:", *lines, *more]))
    if guesses:
        parts.append(
            "\n".join(
                [
                    "Noticed and guessed:",
                    *(
                        fill(printable(g), 116, initial_indent="  - ", subsequent_indent="    ")
                        for g in guesses
                    ),
                ]
            )
        )
    name = told["name"]
    parts.append(
        f"Written: {file}\nNext:  mlpipe check {name} --smoke   then  mlpipe run {name}   and  mlpipe replay {name}"
    )
    return "\n\n".join(parts)


def _names(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 90 else text[:87] + " …"
