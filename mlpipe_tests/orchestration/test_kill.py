"""A run that is killed at any moment leaves garbage at most, never damage, and ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.ledger.verify import verify_all
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.faces import STAGES
from mlpipe.stores.store import Store
from mlpipe.stores.verify import verify
from mlpipe_tests.house import ROOT
from mlpipe_tests.orchestration.conftest import NO_TELEMETRY

PROJECT = """\
import mlpipe as ml
from mlpipe_tests.orchestration.shop import shop

defs = shop(window="6d", split=ml.Split(valid="1d", test="2d")).definitions()
"""
KEYS = [f"2024-01-0{day}" for day in range(1, 9)]
ARGUMENTS = ("run", "shop", "--from", KEYS[0], "--to", KEYS[-1], "--train-at", KEYS[6])
SEED = random.SystemRandom().randrange(2**32)


def project(folder: Path) -> Path:
    """A fresh project with a home of its own."""
    (folder / "home").mkdir(parents=True)
    (folder / "home/dagster.yaml").write_text(NO_TELEMETRY)
    (folder / "definitions.py").write_text(PROJECT)
    return folder


def started(folder: Path) -> "subprocess.Popen[str]":
    env = {**os.environ, "DAGSTER_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "mlpipe", *ARGUMENTS]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=folder, env=env, text=True, start_new_session=True, **pipes)


def working(process: "subprocess.Popen[str]") -> float:
    """Wait until the first run begins; the moment at which it did."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("ingest:"):
            return time.monotonic()
    raise AssertionError("it ended before it began")


def completed(folder: Path) -> float:
    """Run to the end; how long the work took."""
    process = started(folder)
    begun = working(process)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return time.monotonic() - begun


def killed(folder: Path, after: float) -> None:
    """Start, and kill without warning after so many seconds of work."""
    process = started(folder)
    working(process)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def damage(folder: Path) -> list[str]:
    """What verification finds."""
    url = folder / "home/mlpipe"
    if not url.exists():
        return []
    store = Store.open(str(url), create=False)
    return [str(p) for p in (*verify(store).problems, *verify_all(store.backend)[1])]


def contents(folder: Path) -> dict[tuple[str, str, str], str]:
    """Content id of every output that Dagster's newest events name.

    Without the release, whose card tells the clock, and without profiles, which are made where the grid is known: for a partition that
    is ingested again after a training, at once.
    """
    with dg.DagsterInstance.from_config(str(folder / "home")) as on:
        heads = DagsterHeads(on, "", time.time())
        found = {n: heads.find(f"shop/{n}", KEYS) for n in STAGES if n != "release"}
    return {
        (n, k, o.name): o.id
        for n, by_key in found.items()
        for k, h in by_key.items()
        for o in h.outputs.values()
        if o.name != "profile"
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, dict[tuple[str, str, str], str]]:
    """How long a run takes that nobody disturbs, and what it makes."""
    folder = project(tmp_path_factory.mktemp("undisturbed") / "project")
    took = completed(folder)
    assert damage(folder) == []
    made = contents(folder)
    assert len({n for n, _, _ in made}) == len(STAGES) - 1 and ("model", KEYS[6], "bundle") in made
    return took, made


def survives(folder: Path, took: float, kills: int, draw: random.Random) -> dict[tuple[str, str, str], str]:
    for _ in range(kills):
        after = draw.uniform(0, took)
        print(f"killed after {after:.2f} of {took:.2f} s")
        killed(folder, after)
        assert damage(folder) == []
    completed(folder)
    assert damage(folder) == []
    return contents(folder)


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_killed_on_the_way_it_ends_as_if_nothing_had_happened(
    undisturbed: tuple[float, dict[tuple[str, str, str], str]], tmp_path: Path, kills: int
) -> None:
    print(f"seed {SEED}")
    took, made = undisturbed
    assert survives(project(tmp_path / "project"), took, kills, random.Random(SEED)) == made


@pytest.mark.long
@pytest.mark.parametrize("number", range(10))
def test_killed_once_at_any_moment_it_ends_as_if_nothing_had_happened(
    undisturbed: tuple[float, dict[tuple[str, str, str], str]], tmp_path: Path, number: int
) -> None:
    print(f"seed {SEED + number}")
    took, made = undisturbed
    assert survives(project(tmp_path / "project"), took, 1, random.Random(SEED + number)) == made
