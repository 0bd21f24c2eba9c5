"""One of several processes that release models at once: ``python racer.py FOLDER NAME COUNT``."""

import sys
from datetime import timedelta

from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.promotion import Candidate, decide
from mlpipe.stores.backend import open_backend
from mlpipe_tests.ledger.chains import day


def race(folder: str, name: str, count: int) -> None:
    """Wait for the starting line on stdin, then release `count` models, each with later data."""
    ledger = Ledger(open_backend(folder), "churn")
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(count):
        model = Candidate(f"{name}-{number}", "e", day(number), "manual", "human", gates_passed=True)
        decision = decide(
            ledger, model, actor=name, reason="Race.", now=day(100), min_tenure=timedelta(days=7)
        )
        print(decision.version.number, decision.promoted, flush=True)


if __name__ == "__main__":
    race(sys.argv[1], sys.argv[2], int(sys.argv[3]))
