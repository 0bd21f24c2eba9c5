"""A Dagster instance on real SQLite files, and one pipeline that has run: a range, a training, a range after it, a single day."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.ledger.chain import Ledger
from mlpipe.orchestration.runs import Request, plan, run
from mlpipe.orchestration.runtime import ledger_of, open_store, store_url
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stores.store import Store
from mlpipe_tests.orchestration.shop import shop

FIRST, LAST, TRAIN_AT, NEXT = "2024-01-01", "2024-01-12", "2024-01-11", "2024-01-13"
NO_TELEMETRY = "telemetry: {enabled: false}\n"


@dataclass(frozen=True)
class World:
    """A pipeline and where it runs."""

    spec: PipelineSpec
    defs: dg.Definitions
    on: dg.DagsterInstance

    @property
    def store(self) -> Store:
        return open_store(store_url(self.spec))

    @property
    def ledger(self) -> Ledger:
        return ledger_of(self.spec, self.store)

    def events(self, asset: str) -> list[dg.EventLogRecord]:
        """Materializations of an asset, newest first."""
        key = dg.AssetKey([self.spec.name, asset])
        return list(self.on.fetch_materializations(key, limit=1000).records)

    def version(self, asset: str, partition: str) -> str:
        """Data version of an asset's partition, as the newest event tells it."""
        event = next(e for e in self.events(asset) if e.partition_key == partition)
        assert event.asset_materialization is not None
        return str((event.asset_materialization.tags or {})["dagster/data_version"])

    def run(self, job: str, first: str, last: str | None = None, **more: str) -> str:
        """Run a job; its run id."""
        return run(self.spec, self.defs, self.on, Request(job, first, last or first, **more))


def world_at(folder: Path, on: dg.DagsterInstance, **changes: object) -> World:
    """The shop with its store in a folder."""
    made = shop(store=str(folder / "store"), **changes)
    return World(made.spec, made.definitions(), on)


@pytest.fixture
def on(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance of the test's own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/dagster.yaml").write_text(NO_TELEMETRY)
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME of the test's own."""
    folder = tmp_path / "home"
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(NO_TELEMETRY)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which twelve days were ingested; for copying only."""
    folder = tmp_path_factory.mktemp("ingested")
    (folder / "dagster.yaml").write_text(NO_TELEMETRY)
    with dg.DagsterInstance.from_config(str(folder)) as on:
        world_at(folder, on).run("ingest", FIRST, LAST)
    return folder


@pytest.fixture
def small(ingested: Path, tmp_path: Path) -> Iterator[World]:
    """Twelve days of labels, no training yet; the test's own."""
    shutil.copytree(ingested, tmp_path / "small")
    with dg.DagsterInstance.from_config(str(tmp_path / "small")) as on:
        yield world_at(tmp_path / "small", on)


@pytest.fixture(scope="session")
def world(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What has run. For reading only."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(ingested, folder, dirs_exist_ok=True)
    with dg.DagsterInstance.from_config(str(folder)) as on:
        made = world_at(folder, on)
        for request in plan(made.spec, FIRST, LAST, [TRAIN_AT])[1:]:
            run(made.spec, made.defs, on, request)
        made.run("daily", NEXT)
        yield made
