"""The main job on real data: a year of flights ingested, a model learned, judged and released, and the weeks after it watched.

Everything is an ordinary Dagster run; afterwards `make ui` shows it. One day is spoilt on purpose, to show what validation does.
"""

import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BAD_DAY = "2013-02-20"
FIRST, LAST, TRAIN_AT, WATCH_TO = "2013-01-01", "2013-12-31", "2013-04-01", "2013-06-02"


def main() -> int:
    """Run the demo; 0 when a model is in production at the end."""
    os.chdir(HERE)
    os.environ.setdefault("FLIGHTS_BAD_DAY", BAD_DAY)
    from mlpipe.cli import main as mlpipe

    started = time.perf_counter()
    spoilt = os.environ["FLIGHTS_BAD_DAY"]
    print(
        f"A year of flights from New York; {spoilt} is spoilt on purpose (FLIGHTS_BAD_DAY), and must be left out.\n"
    )
    arguments = [
        "run",
        "flights",
        "--from",
        FIRST,
        "--to",
        LAST,
        "--train-at",
        TRAIN_AT,
        "--watch-to",
        WATCH_TO,
    ]
    try:
        mlpipe([*arguments, "--reason", "make demo"])
    except SystemExit as end:
        if end.code:
            return int(end.code)
    took = time.perf_counter() - started
    print(f"\nDone in {took:.0f} s. Look at it: make ui, then http://127.0.0.1:3000/asset-groups")
    print(
        "Who decided what, and how to go back: cd examples/flights, then mlpipe history flights; mlpipe rollback --help"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
