"""Runs tell their lineage, if somebody asked for it; whether it arrives decides nothing."""

import json
from pathlib import Path

import dagster as dg
import pytest

from mlpipe_tests.orchestration.conftest import FIRST, World, world_at


def test_each_step_tells_what_it_made(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "events.jsonl"
    monkeypatch.setenv("MLPIPE_OPENLINEAGE", file.as_uri())
    run = world_at(tmp_path, on).run("ingest", FIRST)
    complete = [e for e in map(json.loads, file.read_text().splitlines()) if e["eventType"] == "COMPLETE"]
    assert [e["job"]["name"] for e in complete] == [
        "shop.raw",
        "shop.validated",
        "shop.features",
        "shop.labels",
    ]
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in complete} == {run}
    made = {(o["name"], o["facets"]["version"]["datasetVersion"]) for e in complete for o in e["outputs"]}
    read = {(i["name"], i["facets"]["version"]["datasetVersion"]) for e in complete[1:] for i in e["inputs"]}
    assert read and read <= made, "one graph: what was read is what was made"


def test_a_catalogue_that_is_down_fails_nothing_and_is_said(
    tmp_path: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_OPENLINEAGE", "http://127.0.0.1:1")
    world = world_at(tmp_path, on)
    run = world.run("ingest", FIRST)
    assert len(world.events("features")) == 1
    logged = [e.user_message for e in on.all_logs(run) if "lineage was not told" in (e.user_message or "")]
    assert len(logged) == 4


def test_unasked_nothing_is_told(world: World) -> None:
    assert not list(Path(world.on.root_directory).rglob("*.jsonl"))
