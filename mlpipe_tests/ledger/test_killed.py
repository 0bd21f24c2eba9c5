"""Writers that are killed in the middle of appends leave whole entries or none, and lose nothing that they reported."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from mlpipe.stores.backend import open_backend
from mlpipe_tests.ledger.racing import Process, check_winner_named, go, racing, survey, told
from mlpipe_tests.ledger.test_race import bucket, server  # noqa: F401 (fixtures)

SEED = random.SystemRandom().randrange(2**32)
AT_ONCE = 4
SIZES = [
    pytest.param(5, id="short"),
    pytest.param(100, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]


def killed(process: Process) -> str:
    """End a writer with ``kill -9``; what it had printed."""
    process.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == -9, err
    return out


def in_the_middle(printed: str) -> bool:
    """Whether a writer died between the call of an append and its return. Its first call was read before."""
    whole = [line for line in printed.splitlines(True) if line.endswith("\n")]
    return not whole or "try" in json.loads(whole[-1])


def kill(url: str, times: int) -> None:
    """Kill writers that race each other until so many died in the middle of an append."""
    draw, cut, batch = random.Random(SEED), 0, 0
    heard: list[tuple[str, dict[str, Any]]] = []
    print(f"the moments are drawn from seed {SEED}")
    # On a busy machine many die before they have done anything: then there is nothing to lose, and it goes on.
    while cut < times or not any(h["entries"] for _, h in heard):
        batch += 1
        names = [f"batch{batch}-writer{n}" for n in range(AT_ONCE)]
        with racing(url, dict.fromkeys(names)) as processes:
            go(processes.values())
            for process in processes.values():
                assert process.stdout is not None
                process.stdout.readline()
            for name, process in processes.items():
                time.sleep(draw.uniform(0, 0.05))
                out = killed(process)
                cut += in_the_middle(out)
                heard += [(name, h) for h in told(out)]
        assert batch < times + 20, "they are never killed in the middle, or never get anywhere"
    entries = survey(url)
    by_number = {e.number: e.hash for e in entries}
    reported = [pair for _, h in heard for pair in h["entries"]]
    assert reported and all(by_number.get(number) == digest for number, digest in reported)
    for name, attempt in heard:
        if not attempt["won"]:
            check_winner_named(attempt, name, entries)
    left = open_backend(url).temporary()
    assert left <= batch * AT_ONCE
    print(
        f"{cut} of {batch * AT_ONCE} writers killed in the middle of an append: {len(entries)} entries, "
        f"{len(reported)} of them reported before, {left} temporary files left"
    )


@pytest.mark.parametrize("times", SIZES)
def test_in_a_folder_a_killed_writer_tears_nothing(tmp_path: Path, times: int) -> None:
    kill(str(tmp_path), times)


@pytest.mark.parametrize("times", SIZES)
def test_on_s3_a_killed_writer_tears_nothing(bucket: str, times: int) -> None:  # noqa: F811
    kill(bucket, times)
