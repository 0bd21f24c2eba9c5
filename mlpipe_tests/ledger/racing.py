"""Start racers, and check what they made and were told."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import fold
from mlpipe.stores.backend import open_backend

ROOT = Path(__file__).parents[2]
MOVES = ("promote", "override", "rollback")
WINNERS = (
    re.compile(r"version (?P<version>\d+) by (?P<actor>\S+) \(entry (?P<entry>\d+)\)"),
    re.compile(
        r"Meanwhile (?P<actor>\S+) made version (?P<version>\d+) the champion \(\w+, entry (?P<entry>\d+),"
    ),
    re.compile(r"Entry (?P<entry>\d+) came first: \w+ version (?P<version>\d+) by (?P<actor>\S+) "),
)
"""How the winner of a race is named: where a release is refused, where a hand comes second, where a place was never won."""

Process = subprocess.Popen[str]


@contextmanager
def racing(url: str, shares: Mapping[str, int | None]) -> Iterator[dict[str, Process]]:
    """Racers by name, each behind the starting line with its number of models; None: until it is killed. None outlives the block."""
    line = [sys.executable, "-m", "mlpipe_tests.ledger.racer", url]
    racers: dict[str, Process] = {}
    try:
        for name, share in shares.items():
            own = [*line, name] if share is None else [*line, name, str(share)]
            racers[name] = subprocess.Popen(own, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, cwd=ROOT)
        for racer in racers.values():
            assert racer.stdout is not None
            if racer.stdout.readline() != "ready\n":
                raise AssertionError(racer.communicate()[1])
        yield racers
    finally:
        for racer in racers.values():
            racer.kill()
            racer.communicate()


def go(racers: Iterable[Process]) -> None:
    """Start the race."""
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()


def told(printed: str) -> list[dict[str, Any]]:
    """What a racer was told, attempt by attempt. An attempt that it did not survive is left out, and so is half a line."""
    return [
        heard
        for line in printed.splitlines(True)
        if line.endswith("\n") and "won" in (heard := json.loads(line))
    ]


def survey(url: str) -> tuple[Entry, ...]:
    """The entries of a chain that is unbroken and in which production was never double."""
    ledger = Ledger(open_backend(url), "churn")
    assert ledger.verify() == []
    entries = ledger.entries()
    champion: int | None = None
    seen: set[int] = set()
    for entry in entries:
        if entry.kind not in MOVES:
            continue
        assert entry.to_version is not None and entry.to_version == entry.version
        assert entry.from_version == champion, f"entry {entry.number} does not name the champion before it"
        assert entry.to_version not in seen, f"version {entry.to_version} was promoted twice"
        champion = entry.to_version
        seen.add(champion)
    # The same by the fold: after any entry from the first promotion on, one version is in production and no more.
    first = next((e.number for e in entries if e.kind in MOVES), len(entries) + 1)
    for cut in {*range(1, len(entries), max(1, len(entries) // 200)), first - 1, first, len(entries)}:
        if cut > len(entries):
            continue
        stages = [v.stage for v in fold(entries[:cut]).versions.values()]
        assert stages.count("production") == (cut >= first)
    return entries


def check_winner_named(heard: dict[str, Any], loser: str, entries: Sequence[Entry]) -> None:
    """A loser was told which version of whom won, and that is true."""
    found = next((m for pattern in WINNERS if (m := pattern.search(heard["told"]))), None)
    assert found is not None, heard
    winner = entries[int(found["entry"]) - 1]
    assert (winner.actor, winner.version) == (found["actor"], int(found["version"])), heard
    assert winner.actor != loser, heard
