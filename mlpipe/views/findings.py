"""What was found while partitions were worked on: that which a person should know before the numbers."""

from collections.abc import Sequence
from typing import Any, Protocol

from mlpipe.errors import SHOWN
from mlpipe.views.table import printable

EACH = 3
"""Findings of one partition that failed; it has others in its record."""
TOLD = {"raw": (), "validated": ("pass",), "features": ("left_out",), "labels": ("left_out",), "model": ()}
"""Assets of which findings are told, and the verdicts with which they are not: what is quarantined stands in a count, and what is left out
was told by whatever it failed in."""


class Step(Protocol):
    """What is heard; see `mlpipe.orchestration.runtime.Progress`."""

    @property
    def asset(self) -> str: ...

    @property
    def partition(self) -> str: ...

    @property
    def verdict(self) -> str: ...

    @property
    def findings(self) -> Sequence[Any]: ...


class Findings:
    """Collects findings by what they say, and the partitions in which each was made."""

    def __init__(self) -> None:
        self._made: dict[str, list[str]] = {}

    def listen(self, step: Step) -> None:
        """A partition is done."""
        name = step.asset.rpartition("/")[2]
        if step.verdict in TOLD.get(name, (step.verdict,)):
            return
        for found in step.findings[:EACH]:
            if step.verdict == "refused" and not found.fix:
                continue  # why there is no model stands among what was judged
            where = f"{found.where}: " if found.where else ""
            fix = f" {found.fix}" if found.fix else ""
            self._made.setdefault(f"{name}, {where}{found.what}.{fix}", []).append(step.partition)

    def text(self) -> str:
        """A line for each of at most ten, the earliest partition first; empty when nothing was found."""
        if not self._made:
            return ""
        lines = ["", "What was found:"]
        for said, keys in list(self._made.items())[:SHOWN]:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            lines.append(f"  - {keys[0]}{more}, {printable(said)}")
        if len(self._made) > SHOWN:
            lines.append(f"  … and {len(self._made) - SHOWN} more")
        return "\n".join(lines) + "\n"
