"""The main job on real data: six months of continuous training, lived through night by night, on the flights that left New York in 2013.

Everything is an ordinary Dagster run; afterwards `make ui` shows it. One day is spoilt on purpose, to show what validation does, and one
model is made worse on purpose, to show what the gates do.
"""

import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BAD_DAY = "2013-05-20"
FIRST, LAST = "2013-04-01", "2013-09-30"
FAULT = "shuffled-labels@2013-07-15"


def main() -> int:
    """Run the demo; 0 when the past was lived through."""
    os.chdir(HERE)
    os.environ.setdefault("FLIGHTS_BAD_DAY", BAD_DAY)
    from mlpipe.cli import main as mlpipe

    started = time.perf_counter()
    print(
        f"April to September 2013, night by night, with the default policy: every month, and when features drift.\n"
        f"On purpose, {os.environ['FLIGHTS_BAD_DAY']} is spoilt (FLIGHTS_BAD_DAY), and a model is made worse: {FAULT}.\n"
    )
    ledger = os.environ.get("MLPIPE_DEPLOYMENT", "dev")  # the deployment's own, so that the UI has it
    arguments = ["replay", "flights", "--from", FIRST, "--to", LAST, "--ledger", ledger, "--inject", FAULT]
    try:
        mlpipe(arguments)
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
