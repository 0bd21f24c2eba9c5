"""Slack: what there is to tell as a message of blocks, by an incoming webhook.

The form and its limits: Slack, "Block Kit reference" (https://docs.slack.dev/reference/block-kit): at most 50 blocks a message, 3,000
characters a section, 150 a header.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mlpipe.notify.alert import Alert
from mlpipe.notify.post import Poster

MOST_BLOCKS, SECTION, HEADER, ELEMENT = 50, 3000, 150, 2000
"""Limits of Slack, the last of a line of context."""
SAFE = "!#$%'()*+,/:;=?@[]~-._&"
"""Characters of an address that may stay as they are within ``<address|words>``."""


class Slack(Poster):
    """Delivers to the incoming webhook in an environment variable."""

    def deliver(self, alerts: Sequence[Alert], patience: float) -> None:
        """POST one message; see `message`. Raises as `Poster.post`."""
        self.post(message(alerts), patience)


def message(alerts: Sequence[Alert]) -> dict[str, Any]:
    """One message: a header for several, then two blocks an alert. ``text`` is what notifications and screen readers say.

    What does not fit into `MOST_BLOCKS` is counted in the last one.
    """
    text = alerts[0].title if len(alerts) == 1 else _heading(alerts)
    blocks: list[dict[str, Any]] = []
    if len(alerts) > 1:
        blocks.append({"type": "header", "text": {"type": "plain_text", "text": _cut(text, HEADER)}})
    room = (MOST_BLOCKS - len(blocks) - 1) // 2
    for alert in alerts[:room]:
        blocks += [_section(_words(alert)), _context(_notes(alert))]
    if len(alerts) > room:
        blocks.append(_context(f"… and {len(alerts) - room} more"))
    return {"text": escaped(text, SECTION), "blocks": blocks}


def escaped(text: str, most: int | None = None) -> str:
    """Text in which Slack finds no command, such as ``<!channel>`` or ``<address|words>``; at most so long, no escape cut in two."""
    parts = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    whole = [parts.get(c, c) for c in text]
    if most is None or sum(map(len, whole)) <= most:
        return "".join(whole)
    kept, length = [], 1
    for part in whole:
        length += len(part)
        if length > most:
            break
        kept.append(part)
    return "".join(kept) + "…"


def _heading(alerts: Sequence[Alert]) -> str:
    resolved = sum(a.state == "resolved" for a in alerts)
    over = f", {resolved} resolved" if resolved else ""
    names = dict.fromkeys(a.pipeline for a in alerts)
    return f"{len(alerts)} alerts of {', '.join(names)}{over}"


def _words(alert: Alert) -> str:
    title = escaped(alert.title, SECTION // 2)
    head = f"{alert.mark} *{title}*\n"
    return head + escaped(alert.text, SECTION - len(head))


def _notes(alert: Alert) -> str:
    """Where and how grave it is, with links to the asset and to what can be done."""
    severity = "resolved" if alert.state == "resolved" else alert.severity
    notes = [escaped(n) for n in (alert.pipeline, alert.deployment, alert.partition, severity) if n]
    notes += [_link(alert.link, "Open in Dagster")] if alert.link.startswith("http") else []
    if alert.runbook:
        web = alert.runbook.startswith("http")
        notes.append(_link(alert.runbook, "Runbook") if web else f"Runbook: {escaped(alert.runbook)}")
    return " · ".join(notes)[:ELEMENT]


def _link(address: str, words: str) -> str:
    return f"<{escaped(quote(address, safe=SAFE))}|{words}>"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
