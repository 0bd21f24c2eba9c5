"""The demo itself, six months of the flights, killed twenty times at random: it comes to what it comes to undisturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlpipe.views.lived import Replay
from mlpipe.views.replay import from_json

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20
LINE = [sys.executable, "examples/flights/demo.py"]


def surroundings(home: Path) -> dict[str, str]:
    home.mkdir()
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    return {**os.environ, "DAGSTER_HOME": str(home), "OMP_NUM_THREADS": "1"}


def lived(env: dict[str, str]) -> Replay:
    """What the demo comes to, run to its end; without the seconds that it took."""
    done = subprocess.run(LINE, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    file = Path(env["DAGSTER_HOME"]) / "replays/flights/dev/replay.json"
    return replace(from_json(file.read_text()), seconds=None)


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_the_demo_killed_twenty_times_comes_to_the_same(tmp_path: Path) -> None:
    undisturbed = lived(surroundings(tmp_path / "one"))
    env = surroundings(tmp_path / "two")
    chance = random.Random(20)
    for _ in range(KILLS):
        demo = subprocess.Popen(
            LINE,
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(5, 35))
        os.killpg(demo.pid, signal.SIGKILL)
        demo.wait()
    assert lived(env) == undisturbed
    assert [a.outcome for a in undisturbed.attempts].count("promoted") >= 1
