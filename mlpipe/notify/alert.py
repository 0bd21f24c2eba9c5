"""An alert: one thing that happened, in plain words, as a frozen value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from mlpipe.ledger.rule import PROMOTING

Severity = Literal["info", "warning", "error"]
LIVE = PROMOTING
"""Triggers of what is live. A replay, a backfill and an experiment are not: they live through a past, and nobody is woken for it."""
LONGEST = 700
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One thing that happened.

    Parameters
    ----------
    id
        The same whenever the same thing is told again: a receiver drops what it has seen.
    kind
        One of `mlpipe.spec.alerts.KINDS`.
    severity
        ``info`` for news, ``warning`` for what should be looked at, ``error`` for what is broken.
    pipeline, deployment, partition
        What it is about; the partition is empty when it is about none.
    title, text
        Plain words on one line each, with numbers. At most `LONGEST` characters.
    happened_at
        Wall clock, aware.
    run, link
        Id of the Dagster run and page of Dagster's UI; empty when there is none.
    live
        False for what a replay, a backfill or an experiment did.
    fields
        The numbers and names of the text once more, as JSON values.
    """

    id: str
    kind: str
    severity: Severity
    pipeline: str
    deployment: str
    partition: str
    title: str
    text: str
    happened_at: datetime
    run: str = ""
    link: str = ""
    live: bool = True
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; the time in UTC."""
        plain = dict(vars(self))
        return {
            **plain,
            "happened_at": self.happened_at.astimezone(UTC).isoformat(),
            "fields": dict(self.fields),
        }


def is_live(trigger: str | None, experiment: str = "") -> bool:
    """Whether a materialization or decision with this trigger is live."""
    return not experiment and (trigger or "manual") in LIVE


def one_line(text: str, limit: int = LONGEST) -> str:
    """Text on one line, without the user and password of addresses, cut to a length.

    Reasons, column names and messages of errors are written by strangers: a line break would forge a line of the log.
    """
    plain = "".join(c if c.isprintable() else " " for c in _LOGIN.sub("…@", text))
    line = " ".join(plain.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def sentence(text: str) -> str:
    """Text on one line that ends with a full stop; empty stays empty."""
    line = one_line(text)
    return line if not line or line[-1] in ".!?…" else f"{line}."


def number(value: float) -> str:
    """Number as people read it, with four significant digits."""
    return f"{value:.4g}"
