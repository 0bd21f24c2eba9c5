"""One of several processes that release models at once: ``python -m mlpipe_tests.ledger.racer URL NAME COUNT``.

It waits for a line on stdin. Then it makes each of its models champion: first by `decide`, and where another model won, by hand,
again and again. Each line that it prints is JSON: ``{"try": kind}`` before an attempt, and after it what it was told.
"""

import json
import sys
from collections.abc import Iterable
from datetime import timedelta
from itertools import count

from mlpipe.errors import LedgerConflictError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.promotion import Candidate, decide, promote
from mlpipe.stores.backend import open_backend
from mlpipe_tests.ledger.chains import day


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)


def judged(ledger: Ledger, name: str) -> Candidate:
    """A model that was judged against the champion of this moment, on data that end after the champion's."""
    champion = ledger.state().champion
    ends = day(0) if champion is None else champion.data_end + timedelta(minutes=1)
    return Candidate(
        name,
        f"eval-{name}",
        ends,
        "manual",
        "human",
        gates_passed=True,
        champion=None if champion is None else champion.number,
    )


def release(ledger: Ledger, actor: str, name: str) -> int | None:
    """Release a model. The number of its version if it lost."""
    model = judged(ledger, name)
    say(**{"try": "decide"})
    try:
        made = decide(
            ledger, model, actor=actor, reason=f"Race of {name}.", now=day(100), min_tenure=timedelta(days=7)
        )
    except LedgerConflictError as lost:
        say(won=False, told=str(lost), entries=[])
        return release(ledger, actor, name)
    entries = [(e.number, e.hash) for e in made.entries]
    say(won=made.promoted, version=made.version.number, told=" ".join(made.reasons), entries=entries)
    return None if made.promoted else made.version.number


def insist(ledger: Ledger, actor: str, version: int) -> bool:
    """Promote a version by hand. False if another was promoted meanwhile."""
    say(**{"try": "promote"})
    try:
        made = promote(ledger, version, actor, f"Race of {version}.", now=day(100), override=True)
    except LedgerConflictError as lost:
        say(won=False, version=version, told=str(lost), entries=[])
        return False
    say(won=True, version=version, told="", entries=[(made.number, made.hash)])
    return True


def race(url: str, name: str, numbers: Iterable[int]) -> None:
    """Make the models champion, one after the other."""
    ledger = Ledger(open_backend(url), "churn")
    # What is imported late or opened once (boto3, a connection) belongs before the start.
    ledger.entries()
    print("ready", flush=True)
    sys.stdin.readline()
    for number in numbers:
        version = release(ledger, name, f"{name}-{number}")
        while version is not None and not insist(ledger, name, version):
            pass


if __name__ == "__main__":
    # Without a count it goes on until it is killed.
    race(sys.argv[1], sys.argv[2], range(int(sys.argv[3])) if len(sys.argv) > 3 else count())
