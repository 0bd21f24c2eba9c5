"""An alert: one thing that happened, in plain words, as a frozen value."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from mlpipe.ledger.rule import PROMOTING
from mlpipe.spec.alerts import Severity

State = Literal["news", "firing", "resolved"]
MARKS: Mapping[Severity, str] = {"info": "🟢", "warning": "🟠", "error": "🔴", "critical": "🚨"}
RUNBOOKS = {
    "drift": "drift",
    "skew": "data",
    "level": "data",
    "invalid": "data",
    "failed": "data",
    "performance": "performance",
    "retrain": "performance",
    "promoted": "performance",
    "refused": "performance",
    "rolled_back": "performance",
    "acknowledged": "performance",
}
"""The runbook of each kind: the name of a page in ``docs/runbooks``."""
RUNBOOK_URL = "MLPIPE_RUNBOOK_URL"
"""Environment variable with the address of the folder of runbooks; without it, alerts name the page within the project."""
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
        ``info`` for news, ``warning`` for what should be looked at, ``error`` for what is broken, ``critical`` for what somebody must
        be called for.
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
    state
        ``news`` of something that is done with; ``firing`` for a condition that holds, ``resolved`` once it no longer does.
    key
        Which condition: the same for what fires and what resolves it. Empty for news.
    episode
        What fires again under the same key is told again only when this is another: another champion drifts, a level got worse.
    runbook
        Page that tells what to do: an address, or its path within the project.
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
    state: State = "news"
    key: str = ""
    episode: str = ""
    runbook: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def mark(self) -> str:
        """A sign that shows the severity at a glance; another once it is resolved."""
        return "✅" if self.state == "resolved" else MARKS[self.severity]

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


def runbook(kind: str) -> str:
    """Where it is written what to do about a kind of alert."""
    base = os.environ.get(RUNBOOK_URL, "").strip().rstrip("/") or "docs/runbooks"
    return f"{base}/{RUNBOOKS[kind]}.md"


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
