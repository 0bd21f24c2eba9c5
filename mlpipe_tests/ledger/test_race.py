"""Eight processes release ten models each into one folder at once."""

import subprocess
import sys
from pathlib import Path

from mlpipe.ledger.chain import Ledger
from mlpipe.stores.backend import open_backend

RACERS, MODELS = 8, 10
ROOT = Path(__file__).parents[2]


def test_eight_processes_make_one_unbroken_chain(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "mlpipe_tests.ledger.racer", str(tmp_path), f"racer{n}", str(MODELS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for n in range(RACERS)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [line.split() for racer in racers for line in racer.communicate(timeout=60)[0].splitlines()]
    assert [racer.returncode for racer in racers] == [0] * RACERS

    ledger = Ledger(open_backend(tmp_path), "churn")
    assert ledger.verify() == []
    entries, state = ledger.entries(), ledger.state()
    assert len(entries) == 2 * RACERS * MODELS
    assert len(state.versions) == RACERS * MODELS
    assert len({entry.actor for entry in entries[:40]}) > 1, "they did not run at once"
    # Only the first of each day's eight may win: the others' data do not end later than the champion's.
    assert 1 <= len(state.history) <= MODELS
    ends = [state.versions[m.to_version].data_end for m in state.history]
    assert ends == sorted(set(ends))
    assert sorted(int(number) for number, _ in told) == list(state.versions)
    promoted = {int(number) for number, won in told if won == "True"}
    assert promoted == {move.to_version for move in state.history}
