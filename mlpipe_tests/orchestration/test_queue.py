"""The queue of the shipped instance: backfills and trainings leave room for the nightly run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
import yaml

from mlpipe_tests.house import ROOT

BACKFILLS, TRAININGS, RUNS = 3, 1, 5
PARTITIONS = 12
PATIENCE = 120
"""Seconds until something must have happened. On a busy machine each run takes several to start."""

DEFINITIONS = '''
import os
import time
from pathlib import Path

import dagster as dg

HERE = Path(os.environ["QUEUE_FOLDER"])


@dg.op
def hold(context: dg.OpExecutionContext):
    """Shows that it runs, and ends when it may."""
    (HERE / f"started-{context.run.job_name}-{context.run.run_id}").touch()
    until = time.monotonic() + 300
    while not (HERE / "release").exists() and time.monotonic() < until:
        time.sleep(0.1)


@dg.op
def score():
    """A short night."""


days = dg.StaticPartitionsDefinition([f"day-{n:02d}" for n in range(PARTITIONS)])


@dg.job(partitions_def=days, executor_def=dg.in_process_executor)
def history():
    hold()


@dg.job(executor_def=dg.in_process_executor, tags={"mlpipe/job": "training"})
def training():
    hold()


@dg.job(executor_def=dg.in_process_executor, tags={"mlpipe/job": "daily"})
def nightly():
    score()


@dg.sensor(jobs=[training, nightly], minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def clock(context):
    """Starts what the test asks for, as a schedule would."""
    for name in ("training-1", "training-2", "nightly"):
        if (HERE / f"ask-{name}").exists():
            night = {"dagster/priority": "10"} if name == "nightly" else {}
            yield dg.RunRequest(run_key=name, job_name=name.split("-")[0], tags=night)


defs = dg.Definitions(jobs=[history, training, nightly], sensors=[clock])
'''
WORKSPACE = "load_from:\n  - python_file: {relative_path: definitions.py, location_name: queue}\n"


def shipped() -> dict[str, object]:
    return dict(yaml.safe_load((ROOT / "dagster.yaml").read_text()))


def test_the_instance_reads_the_limits_that_we_say(tmp_path: Path) -> None:
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as on:
        config = on.get_concurrency_config()
        queue = config.run_queue_config
        assert queue is not None and queue.max_concurrent_runs == RUNS
        assert [dict(limit) for limit in queue.tag_concurrency_limits] == [
            {"key": "dagster/backfill", "limit": BACKFILLS},
            {"key": "mlpipe/job", "value": "training", "limit": TRAININGS},
            {"key": "mlpipe/nightly", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
        ]
        assert queue.should_block_op_concurrency_limited_runs
        assert config.pool_config.default_pool_limit == 1
    assert RUNS - BACKFILLS - TRAININGS >= 1, "no slot is left for the night"


def test_the_deployment_says_the_same() -> None:
    values = yaml.safe_load((ROOT / "deploy/values.yaml").read_text())["concurrency"]
    ours = shipped()["concurrency"]
    assert isinstance(ours, dict) and values["enabled"] is True
    assert values["runs"]["maxConcurrentRuns"] == ours["runs"]["max_concurrent_runs"]
    assert values["runs"]["tagConcurrencyLimits"] == ours["runs"]["tag_concurrency_limits"]
    assert values["pools"] == {
        "defaultLimit": ours["pools"]["default_limit"],
        "granularity": ours["pools"]["granularity"],
    }


def test_the_training_job_bears_the_tag_that_is_limited() -> None:
    from mlpipe.orchestration.jobs import jobs_of
    from mlpipe_tests.orchestration.shop import shop

    tags = {j.name: j.tags.get("mlpipe/job") for j in jobs_of(shop().spec)}
    assert tags["shop_training"] == "training"


# -- with a real daemon ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a project whose backfill waits, and a daemon that runs on an instance as it is shipped."""
    (tmp_path / "home").mkdir()
    shutil.copy(ROOT / "dagster.yaml", tmp_path / "home")
    (tmp_path / "definitions.py").write_text(DEFINITIONS.replace("PARTITIONS", str(PARTITIONS)))
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUEUE_FOLDER", str(tmp_path))
    backfill = ["job", "backfill", "-w", "workspace.yaml", "-j", "history", "--all", "all", "--noprompt"]
    asked = subprocess.run(
        [command("dagster"), *backfill],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    with (tmp_path / "daemon.log").open("w") as log:
        daemon = subprocess.Popen(
            [command("dagster-daemon"), "run", "-w", "workspace.yaml"],
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield tmp_path
        finally:
            # The runs first: they belong to the code server, and end by themselves.
            (tmp_path / "release").touch()
            stop(daemon)


def command(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def stop(daemon: "subprocess.Popen[bytes]") -> None:
    """End the daemon, and what it started: first asked, then told."""
    for sign, patience in ((signal.SIGINT, 20), (signal.SIGTERM, 5)):
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(patience)
            break
    with suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait(5)


def wait(done: Callable[[], bool], what: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, f"{what}: not within {PATIENCE} s\n{log.read_text()[-4000:]}"
        time.sleep(0.3)


@pytest.mark.long
@pytest.mark.timeout(6 * PATIENCE)
def test_a_night_starts_while_a_backfill_waits(folder: Path) -> None:
    log = folder / "daemon.log"

    def started(job: str) -> int:
        return len(list(folder.glob(f"started-{job}-*")))

    with dg.DagsterInstance.from_config(str(folder / "home")) as on:

        def having(job: str, *statuses: dg.DagsterRunStatus) -> int:
            return len(on.get_run_records(dg.RunsFilter(job_name=job, statuses=list(statuses))))

        queued, good = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.SUCCESS
        assert having("history") == PARTITIONS
        for n in (1, 2):
            (folder / f"ask-training-{n}").touch()
        wait(
            lambda: (
                started("history") == BACKFILLS
                and started("training") == TRAININGS
                and having("training", queued) == 1
            ),
            "as many start as may",
            log,
        )
        (folder / "ask-nightly").touch()
        wait(lambda: having("nightly", good) == 1, "the night starts and ends", log)
        # All the while the others have waited, and nobody has let them.
        assert having("history", queued) == PARTITIONS - BACKFILLS and started("history") == BACKFILLS
        assert having("training", queued) == 1 and started("training") == TRAININGS
        (folder / "release").touch()
        wait(
            lambda: having("history", good) == PARTITIONS and having("training", good) == 2,
            "the backfill ends",
            log,
        )
        records = on.get_run_records(dg.RunsFilter(job_name="history"))
        assert all("dagster/backfill" in r.dagster_run.tags for r in records)
        assert most_at_once(records) <= BACKFILLS
        assert most_at_once(on.get_run_records(dg.RunsFilter(job_name="training"))) == TRAININGS


def most_at_once(records: "list[dg.RunRecord]") -> int:
    """The most runs that were under way at one moment."""
    moments = [(r.start_time, 1) for r in records] + [(r.end_time, -1) for r in records]
    at_once, most = 0, 0
    # At the same instant an end comes first.
    for _, change in sorted(moments):
        at_once += change
        most = max(most, at_once)
    return most
