"""A source that is flaky costs retries, which Dagster shows with their reason, and nothing else."""

import errno
import io
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import dagster as dg
import pandas as pd
import pytest
import sqlalchemy as sa

import mlpipe as ml
from mlpipe.errors import MlpipeError, SourceError, TransientError
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.faces import STAGES
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.stores.verify import verify
from mlpipe_tests.house import ROOT
from mlpipe_tests.orchestration.conftest import FIRST, LAST, NEXT, NO_TELEMETRY, TRAIN_AT, World, world_at
from mlpipe_tests.orchestration.shop import orders

RETRIES = {"times": 3, "delay": "0.01s"}
AS_OF = "2024-02-01T00:00:00+00:00"
KEYS = [f"2024-01-{d:02}" for d in range(1, 14)]


class Source:
    """Gives the shop's orders; before that raises what is left in its list of faults, one a call."""

    def __init__(self, *faults: Exception, slow: float = 0.0) -> None:
        self.faults, self.slow, self.calls = list(faults), slow, 0

    def __call__(self, window: Any) -> pd.DataFrame:
        self.calls += 1
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Late):
                time.sleep(fault.seconds)
            else:
                raise fault
        time.sleep(self.slow)
        return orders(window)


class Late(Exception):
    """No fault that is raised: the source takes so many seconds for its answer."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def busy(status: int, **headers: str) -> HTTPError:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return HTTPError("http://shop/orders", status, "Busy", message, io.BytesIO())


def world_of(folder: Path, on: dg.DagsterInstance, source: Any, **changes: Any) -> World:
    load = ml.Load(source, event_time="at", keys=["order"], **changes)
    return world_at(folder, on, source=load, retries=RETRIES)


def retries(world: World, run_id: str) -> list[str]:
    """Why Dagster tried again, one text a retry."""
    found = []
    for entry in world.on.all_logs(run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY):
        event = entry.dagster_event
        assert event is not None and event.step_retry_data.error is not None
        found.append(event.step_retry_data.error.to_string())
    return found


def records(world: World, asset: str) -> dict[str, Record]:
    """What Dagster's newest events name, by partition."""
    heads = DagsterHeads(world.on, "", time.time()).find(f"shop/{asset}", KEYS)
    return {k: from_bytes(world.store.get_record("shop", h.record)) for k, h in heads.items()}


RUN_OWN = {"id", "run", "recorded_at", "cost", "inputs", "artifacts"}
"""Fields of a record that tell which run made it, or name other records; their contents are compared below."""


def told(world: World) -> dict[tuple[str, str], Any]:
    """All that a run is to give, by asset and partition: contents, data versions, recipes, metrics, verdicts."""
    found: dict[tuple[str, str], Any] = {}
    for asset in STAGES:
        for key, record in records(world, asset).items():
            body = record.model_dump(mode="json", exclude=RUN_OWN)
            body["code"].pop("fingerprints")
            for name in ("model_record", "evaluation"):
                body["data"].pop(name, None)  # names a record
            for gate in body["data"].get("gates", ()):
                gate.pop("evidence")  # so does this
            version = world.version(asset, key)
            if asset == "release":
                body["outputs"], version = len(body["outputs"]), ""  # its card names records too
            read = sorted((i.asset, i.partition, i.name, i.id) for i in record.inputs)
            found[asset, key] = (body, read, version)
    return found


def lifecycle(world: World) -> list[str]:
    """Twelve days at once, a training, and a day as the night brings it; the ids of the runs."""
    return [
        world.run("ingest", FIRST, LAST, as_of=AS_OF),
        world.run("training", TRAIN_AT, as_of=AS_OF, trigger="schedule"),
        world.run("daily", NEXT, as_of=AS_OF),
    ]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same lifecycle with a source that answers at once."""
    folder = tmp_path_factory.mktemp("calm")
    (folder / "dagster.yaml").write_text(NO_TELEMETRY)
    with dg.DagsterInstance.from_config(str(folder)) as on:
        world = world_of(folder, on, Source())
        lifecycle(world)
        yield world


def objects(world: World) -> list[str]:
    return sorted(path for path, _ in world.store.backend.list("objects"))


def test_a_flaky_source_gives_what_a_calm_one_gives(
    calm: World, tmp_path: Path, on: dg.DagsterInstance
) -> None:
    source = Source(ConnectionError("no route"), busy(503))
    world = world_of(tmp_path, on, source)
    first, training, _ = lifecycle(world)
    assert source.calls == 4 and len(retries(world, first)) == 2 and not retries(world, training)
    expected, made = told(calm), told(world)
    assert made.keys() == expected.keys() and len(made) > 50
    for place, body in expected.items():
        assert made[place] == body, place
    metrics = [r.metrics for r in records(world, "evaluation").values()]
    assert metrics and metrics == [r.metrics for r in records(calm, "evaluation").values()]
    tables = [o for o in objects(world) if "/table/" in o or "/bundle/" in o]
    assert tables and tables == [o for o in objects(calm) if "/table/" in o or "/bundle/" in o]
    assert len(objects(world)) == len(objects(calm)) and not verify(world.store).problems
    for asset in STAGES:
        told_once = [e.partition_key for e in world.events(asset)]
        assert len(told_once) == len(set(told_once)) == len(records(calm, asset)), asset


FAULTS: dict[str, Callable[[], Exception]] = {
    "ConnectionError": lambda: ConnectionError("no route"),
    "TimeoutError": lambda: TimeoutError("no answer"),
    "OSError": lambda: OSError(errno.ENETUNREACH, "network is unreachable"),
    "HTTP Error 503": lambda: busy(503),
    "HTTP Error 429": lambda: busy(429, Retry_After="0"),
    "OperationalError": lambda: sa.exc.OperationalError("select", {}, Exception("connection closed")),
    "database is locked": lambda: sqlite3.OperationalError("database is locked"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_kind_of_fault_is_tried_again_and_told(
    name: str, calm: World, tmp_path: Path, on: dg.DagsterInstance
) -> None:
    world = world_of(tmp_path, on, Source(FAULTS[name](), FAULTS[name]()))
    run_id = world.run("ingest", FIRST, as_of=AS_OF)
    why = retries(world, run_id)
    assert len(why) == 2 and all(name in text and "source rows" in text for text in why)
    assert world.version("raw", FIRST) == calm.version("raw", FIRST)
    assert len(world.events("raw")) == len(world.events("labels")) == 1
    run = on.get_run_by_id(run_id)
    assert run is not None and run.status is dg.DagsterRunStatus.SUCCESS


def test_a_source_that_says_when_to_come_again_is_left_alone_until_then(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    world = world_of(tmp_path, on, Source(busy(429, Retry_After="1"), ConnectionError("no route")))
    run_id = world.run("ingest", FIRST)
    entries = on.all_logs(run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    waits = [e.dagster_event.step_retry_data.seconds_to_wait for e in entries if e.dagster_event is not None]
    assert waits[0] >= 1 > waits[1]
    assert "it asked to be left alone for 1 s" in retries(world, run_id)[0]


def test_a_late_answer_within_the_limit_is_no_fault_and_one_beyond_it_is_tried_again(
    calm: World, tmp_path: Path, on: dg.DagsterInstance
) -> None:
    source = Source(Late(0.7), Late(0.7), slow=0.05)
    world = world_of(tmp_path, on, source, timeout="0.5s")
    run_id = world.run("ingest", FIRST, as_of=AS_OF)
    why = retries(world, run_id)
    assert len(why) >= 2 and all("took longer than 0.5 s" in text and "'timeout'" in text for text in why)
    assert source.calls == len(why) + 1
    assert world.version("raw", FIRST) == calm.version("raw", FIRST)


def test_a_source_that_never_answers_is_named_after_the_retries_with_what_to_do(
    tmp_path: Path, on: dg.DagsterInstance
) -> None:
    source = Source(*[ConnectionError("no route") for _ in range(9)])
    world = world_of(tmp_path, on, source)
    with pytest.raises(TransientError) as error:
        world.run("ingest", FIRST, LAST)
    text = str(error.value)
    assert source.calls == 1 + RETRIES["times"]
    assert "pipeline shop, source rows" in text and "ConnectionError: no route" in text
    assert "'retries'" in text and "see whether the source answers" in text
    assert not world.events("raw") and not [o for o in objects(world) if "/table/" in o]
    source.faults.clear()
    world.run("ingest", FIRST, LAST)
    assert len(world.events("raw")) == 12


class Share:
    """A folder of one file a day, on a remote disk that loses a file for some looks."""

    def __init__(self, folder: Path, lost: str, looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        for key in KEYS[:4]:
            orders(Days(key)).to_parquet(folder / f"{key}.parquet")
        self.folder, self.looks, real = folder, looks, Path.exists

        def exists(path: Path, *args: Any, **more: Any) -> bool:
            if path.name == f"{lost}.parquet" and self.looks:
                self.looks -= 1
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            return real(path, *args, **more)

        monkeypatch.setattr(Path, "exists", exists)

    def world(self, folder: Path, on: dg.DagsterInstance) -> World:
        path = str(self.folder / "{partition}.parquet")
        return world_at(folder, on, source=ml.Parquet(path, event_time="at", keys=["order"]), retries=RETRIES)


class Days:
    """The window of one day."""

    def __init__(self, key: str) -> None:
        self.start = pd.Timestamp(key, tz="UTC")
        self.end = self.start + pd.Timedelta(days=1)


def test_a_file_that_comes_back_costs_retries_and_each_day_has_one_event(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Share(tmp_path / "share", KEYS[1], 2, monkeypatch).world(tmp_path, on)
    run_id = world.run("ingest", KEYS[0], KEYS[3])
    why = retries(world, run_id)
    assert len(why) == 2 and all(os.strerror(errno.ESTALE) in text and KEYS[1] in text for text in why)
    assert sorted(str(e.partition_key) for e in world.events("raw")) == KEYS[:4]


def test_a_file_that_never_comes_back_does_not_cost_its_neighbours(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Share(tmp_path / "share", KEYS[1], 99, monkeypatch)
    (share.folder / f"{KEYS[2]}.parquet").unlink()
    world = share.world(tmp_path, on)
    with pytest.raises(TransientError, match="2 of 4 partitions failed") as error:
        world.run("ingest", KEYS[0], KEYS[3])
    assert error.value.partitions == tuple(KEYS[1:3]) and error.value.step == "raw"
    assert [k in f.where for k, f in zip(KEYS[1:3], error.value.findings, strict=True)] == [True, True]
    assert share.looks == 99 - 1 - RETRIES["times"]
    assert sorted(str(e.partition_key) for e in world.events("raw")) == [KEYS[0], KEYS[3]]


def test_a_fault_that_will_not_pass_is_not_tried_again(tmp_path: Path, on: dg.DagsterInstance) -> None:
    for number, fault in enumerate((busy(404), PermissionError(errno.EACCES, "denied"))):
        (tmp_path / str(number)).mkdir()
        source = Source(fault)
        with pytest.raises(MlpipeError) as error:
            world_of(tmp_path / str(number), on, source).run("ingest", FIRST)
        assert source.calls == 1 and not isinstance(error.value, SourceError)


PROJECT = """\
from pathlib import Path

import mlpipe as ml
from mlpipe_tests.orchestration.shop import orders, shop

def load(window):
    faults = Path("faults")
    left = int(faults.read_text())
    if left:
        faults.write_text(str(left - 1))
        raise ConnectionError("no route to the shop")
    return orders(window)

source = ml.Load(load, event_time="at", keys=["order"])
retries = {"times": 3, "delay": "0.01s"}
defs = shop(source=source, retries=retries, window="6d", split=ml.Split(valid="1d", test="2d")).definitions()
"""


def finished(folder: Path, faults: int) -> tuple[dict[tuple[str, str, str], str], int]:
    """A project whose source fails so often, run in a process of its own: the content id of every output, and the retries."""
    (folder / "home").mkdir(parents=True)
    (folder / "home/dagster.yaml").write_text(NO_TELEMETRY)
    (folder / "definitions.py").write_text(PROJECT)
    (folder / "faults").write_text(str(faults))
    env = {**os.environ, "DAGSTER_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    line = [
        sys.executable,
        "-m",
        "mlpipe",
        "run",
        "shop",
        "--from",
        KEYS[0],
        "--to",
        KEYS[7],
        "--train-at",
        KEYS[6],
    ]
    done = subprocess.run(line, cwd=folder, env=env, text=True, capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    with dg.DagsterInstance.from_config(str(folder / "home")) as on:
        heads = DagsterHeads(on, "", time.time())
        found = {n: heads.find(f"shop/{n}", KEYS) for n in STAGES if n != "release"}
        again = [
            e
            for r in on.get_runs()
            for e in on.all_logs(r.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
        ]
        for asset in STAGES:
            events = on.fetch_materializations(dg.AssetKey(["shop", asset]), limit=100).records
            assert len(events) == len({e.partition_key for e in events}), asset
    made = {
        (n, k, o.name): o.id for n, by in found.items() for k, h in by.items() for o in h.outputs.values()
    }
    return made, len(again)


@pytest.mark.long
def test_in_a_process_of_its_own_a_flaky_source_changes_nothing(tmp_path: Path) -> None:
    expected, none = finished(tmp_path / "calm", 0)
    made, again = finished(tmp_path / "flaky", 2)
    assert (none, again) == (0, 2)
    assert made == expected and ("model", KEYS[6], "bundle") in made
