"""One case from `init` to `replay` in a process of its own: ``python -m mlpipe_tests.corpus.walk DATA NAME`` in its folder.

A process a case, so that no module of one project is seen by the next; and no process a command, for starting takes two seconds.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from mlpipe_tests.corpus.case import Case
from mlpipe_tests.corpus.drive import Told, surroundings, told

ROOT = Path(__file__).resolve().parents[2]


def walked(case: Case, data: str, folder: Path) -> dict[str, Told]:
    """What each command left behind, by its name; the first that fails is the last."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, data, case.name],
        cwd=folder,
        env={**surroundings(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, last = done.stdout.splitlines()
    # What went to the streams of the process itself was seen by a user too.
    return {name: Told(t["code"], t["out"], t["err"] + done.stderr) for name, t in json.loads(last).items()}


def _walk(case: Case, data: str) -> dict[str, Told]:
    steps: dict[str, Told] = {}
    for arguments in (
        (*case.arguments(data), "--json"),
        ("check", case.name),
        ("run", case.name),
        ("replay", case.name),
    ):
        steps[arguments[0]] = told(*arguments)
        if steps[arguments[0]].code:
            break
    return steps


if __name__ == "__main__":
    from mlpipe_tests.corpus.cases import ALL

    walked_through = _walk(next(c for c in ALL if c.name == sys.argv[2]), sys.argv[1])
    print(json.dumps({name: dataclasses.asdict(t) for name, t in walked_through.items()}))
