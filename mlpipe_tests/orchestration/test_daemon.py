"""A real daemon: data arrives day by day, and each attempt at a better model is trained exactly once, whatever happens to the daemon."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.orchestration.automation import UNDER_WAY
from mlpipe.orchestration.locate import pipeline_of
from mlpipe.orchestration.runs import Request, run
from mlpipe.orchestration.runtime import ATTEMPT_TAG, JOB_TAG, ledger_of, open_store, store_url
from mlpipe.stages.retraining import attempts_of
from mlpipe_tests.house import ROOT

POLL = 2
PATIENCE = 180
DRIFTING = """
import mlpipe as ml
from mlpipe.orchestration import automation
from mlpipe_tests.orchestration.drifting import drifting

automation.POLL = 2
automation.CRONS["day"] = "0 2 29 2 *"  # The test brings the days.
defs = drifting(automation="on").definitions()
"""
FLIGHTS = """
import sys

sys.path.insert(0, "EXAMPLE")

from flights.pipeline import pipeline
from mlpipe.orchestration import automation
from mlpipe.orchestration.definitions import definitions_of

automation.POLL = 2
automation.CRONS["day"] = "0 2 29 2 *"
defs = definitions_of(pipeline.spec.model_copy(update={"automation": "on"}))
"""
WORKSPACE = "load_from:\n  - python_file: {relative_path: project.py, location_name: project}\n"


@dataclass
class Daemon:
    """The daemon of a folder, started, killed and started again."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    kills: int = field(default=0)

    def start(self) -> None:
        with (self.folder / "daemon.log").open("a") as log:
            self.process = subprocess.Popen(
                [_program("dagster-daemon"), "run", "-w", "workspace.yaml"],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self) -> None:
        """As a machine that loses power: the daemon, its code servers and what they run."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.kills += 1

    def forget(self, sensor: str) -> None:
        """Delete a sensor's cursor."""
        subprocess.run(
            [_program("dagster"), "sensor", "cursor", sensor, "--delete", "-w", "workspace.yaml"],
            cwd=self.folder,
            check=True,
            capture_output=True,
        )


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@contextmanager
def daemon_of(folder: Path) -> Iterator[Daemon]:
    daemon = Daemon(folder)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()


def lived(
    folder: Path,
    project: str,
    name: str,
    before: Sequence[Request],
    days: Sequence[str],
    kills: Sequence[int],
) -> Counter[str]:
    """Bring the days, one by one, to a pipeline with a champion; how often each attempt was trained."""
    shutil.copy(ROOT / "dagster.yaml", folder / "dagster.yaml")
    (folder / "project.py").write_text(project)
    (folder / "workspace.yaml").write_text(WORKSPACE)
    spec, defs = pipeline_of(name, folder, str(folder / "project.py"))
    with dg.DagsterInstance.get() as on:
        for request in before:
            run(spec, defs, on, request)
        trainings = dg.RunsFilter(tags={JOB_TAG: "training"}, statuses=UNDER_WAY)
        chance = random.Random(len(days))
        with daemon_of(folder) as daemon:
            for day in days:
                run(spec, defs, on, Request("daily", day, day))
                time.sleep(2 * POLL + 1)
                if days.index(day) in kills:
                    # Sometimes while a training is under way, sometimes between.
                    time.sleep(chance.uniform(0, 4))
                    daemon.kill()
                    _end(on, trainings)
                    daemon.start()
                    daemon.forget(f"{name}_retrain")
                _wait(lambda: not on.get_runs(trainings), "a training ends", folder)
            time.sleep(4 * POLL)
            _wait(lambda: not on.get_runs(trainings), "the last training ends", folder)
        assert daemon.kills == len(kills) + 1
        ledger = ledger_of(spec, open_store(store_url(spec)))
        claims = [a for a, _ in attempts_of(spec, ledger.entries())]
        assert len({a.name for a in claims}) == len(claims)
        assert ledger.verify() == []
        key = dg.AssetKey([name, "model"])
        runs = {r.run_id: r for r in on.get_runs(dg.RunsFilter(tags={JOB_TAG: "training"}))}
        made = [e.run_id for e in on.fetch_materializations(key, limit=1000).records]
        trained = Counter(runs[i].tags[ATTEMPT_TAG] for i in made if ATTEMPT_TAG in runs[i].tags)
        assert set(trained) <= {a.name for a in claims}
        return trained


def _end(on: dg.DagsterInstance, trainings: dg.RunsFilter) -> None:
    """What run monitoring does for runs whose process is gone, without its minutes of patience."""
    for killed in on.get_runs(trainings):
        if killed.status != dg.DagsterRunStatus.QUEUED:
            on.report_run_failed(killed)


def _wait(done: Callable[[], bool], what: str, folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, (
            f"{what}: not within {PATIENCE} s\n{(folder / 'daemon.log').read_text()[-4000:]}"
        )
        time.sleep(0.5)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("count", "attempts"), [(3, 1), pytest.param(6, 2, marks=pytest.mark.long)])
def test_days_that_drift_are_answered_by_one_training_an_attempt(
    home: Path, count: int, attempts: int
) -> None:
    before = [Request("ingest", "2024-01-01", "2024-01-16"), Request("training", "2024-01-13", "2024-01-13")]
    before += [Request("daily", "2024-01-16", "2024-01-16", ("predictions", "monitor"))]
    # Prices rise on the eighteenth; the cool-down of four days is over on the twenty-second.
    days = [f"2024-01-{n}" for n in range(17, 17 + count)]
    trained = lived(home, DRIFTING, "shop", before, days, kills=[1])
    firsts = [name for name in trained if name.startswith("drift:1:2024-01-18:")]
    assert len(firsts) == len(trained) >= attempts
    assert all(times == 1 for times in trained.values()), trained


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thirty_days_of_flights_and_five_kills(home: Path) -> None:
    project = FLIGHTS.replace("EXAMPLE", str(ROOT / "examples/flights"))
    before = [Request("ingest", "2013-01-01", "2013-04-01"), Request("training", "2013-04-01", "2013-04-01")]
    days = [f"2013-04-{n:02d}" for n in range(2, 31)] + ["2013-05-01"]
    trained = lived(home, project, "flights", before, days, kills=[3, 12, 13, 20, 27])
    assert trained, "drift was never answered"
    assert all(count == 1 for count in trained.values()), trained
