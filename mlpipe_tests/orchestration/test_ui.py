"""Dagster's UI on a small project, in a real browser: the graph, a partition's record, and a run that a click launches."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ASSETS = [
    "raw",
    "validated",
    "features",
    "labels",
    "model",
    "evaluation",
    "release",
    "production",
    "predictions",
    "monitor",
]
FIRST, LAST, FREE = "2024-01-01", "2024-01-03", "2024-01-04"
"""Days that are made before the UI starts, and the one that is made by a click."""
START, PATIENCE = 45, 40
"""Seconds until the UI must answer, and until a page or a run must be done."""

DEFINITIONS = '''
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import mlpipe as ml


def visits(window):
    """Fifty visits a day; each day depends on its date alone."""
    days = pd.date_range(window.start, window.end, freq="D", inclusive="left")
    return pd.concat([day(d) for d in days], ignore_index=True)


def day(date):
    pages = np.random.default_rng(date.dayofyear).normal(size=50)
    at = date + pd.to_timedelta(np.arange(50), unit="min")
    return pd.DataFrame({"visit": np.arange(50) + date.dayofyear * 100, "at": at, "pages": pages, "buys": (pages > 0) * 1.0})


defs = ml.Pipeline(
    name="tiny",
    partitions=ml.daily(start="2024-01-01", end="2024-02-01"),
    source=ml.Load(visits, event_time="at", keys=["visit"]),
    label=ml.Label("buys", available_after="1d"),
    features=["pages"],
    model=LogisticRegression(),
    window="10d",
).definitions()
'''
WORKSPACE = """
load_from:
  - python_module: {module_name: definitions, working_directory: ., location_name: tiny}
"""
PROJECT = """
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "definitions"
code_location_name = "tiny"
code_location_target_module = "definitions"
"""
INSTANCE = "telemetry: {enabled: false}\nnux: {enabled: false}\n"


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[str]:
    """Address of a UI on a project that has made three days."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE)
    for name, text in (
        ("definitions.py", DEFINITIONS),
        ("workspace.yaml", WORKSPACE),
        ("pyproject.toml", PROJECT),
    ):
        (project / name).write_text(text)
    env = {**os.environ, "DAGSTER_HOME": str(home), "OMP_NUM_THREADS": "1"}
    # A store that somebody's shell names is not this test's.
    env.pop("MLPIPE_STORE", None)
    made = [sys.executable, "-m", "mlpipe", "run", "tiny", "--from", FIRST, "--to", LAST]
    ran = subprocess.run(made, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "dg"), "dev", "--workspace", "workspace.yaml"]
    with (tmp_path / "ui.log").open("w") as log:
        served = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=project,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait(lambda: serves(address) or served.poll() is not None, START, "the UI answers")
            assert served.poll() is None, (tmp_path / "ui.log").read_text()
            yield address
        finally:
            stop(served)
    assert "Traceback" not in (tmp_path / "ui.log").read_text()


def stop(served: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started: first asked, then told."""
    for sign, patience in ((signal.SIGINT, 8), (signal.SIGTERM, 4)):
        with suppress(ProcessLookupError):
            os.killpg(served.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            served.wait(patience)
            break
    # The daemon and the code server may outlive the one that started them.
    with suppress(ProcessLookupError):
        os.killpg(served.pid, signal.SIGKILL)
    served.wait(5)


def wait(done: Any, seconds: float, what: str) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.3)


def serves(address: str) -> bool:
    """Whether the UI answers."""
    try:
        with urllib.request.urlopen(f"{address}/server_info", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def ask(address: str, query: str) -> Any:
    """Answer of Dagster's GraphQL."""
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["data"]


def launched(address: str) -> list[tuple[str, str]]:
    """Partition and status of every run that a click started."""
    answer = ask(address, "{runsOrError {... on Runs {results {status tags {key value}}}}}")
    runs = [
        (r["status"], {t["key"]: t["value"] for t in r["tags"]}) for r in answer["runsOrError"]["results"]
    ]
    return [(tags.get("dagster/partition", ""), status) for status, tags in runs if "dagster/from_ui" in tags]


@pytest.fixture
def page(ui: str) -> Iterator[Any]:
    """A page of a browser."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        opened = play.chromium.launch(executable_path=browser, args=flags)
        shown = opened.new_page(viewport={"width": 1500, "height": 1400}, base_url=ui)
        shown.set_default_timeout(PATIENCE * 1000)
        yield shown
        opened.close()


@pytest.mark.long
@pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed")
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason=f"no browser of {', '.join(BROWSERS)}")
def test_the_ui_shows_the_graph_and_the_record_and_launches_a_partition_by_a_click(
    ui: str, page: Any
) -> None:
    page.goto("/asset-groups")
    for asset in ASSETS:
        page.get_by_text(asset, exact=True).first.wait_for()

    page.goto(f"/assets/tiny/validated?view=partitions&partition={LAST}")
    page.get_by_text("metric/quality/score", exact=True).wait_for()
    shown = page.locator("body").inner_text()
    assert "50 of 50" in shown and "metric/quality/completeness" in shown and "dagster/row_count" in shown

    page.goto(f"/assets/tiny/raw?view=partitions&partition={FREE}")
    page.get_by_text("Missing (28)", exact=True).wait_for()
    assert page.get_by_text("dagster/row_count", exact=True).count() == 0
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("1 partition", exact=True).wait_for()
    page.get_by_role("button", name="Launch 1 run").click()
    wait(lambda: launched(ui)[:1] == [(FREE, "SUCCESS")], PATIENCE, f"the run of {FREE} succeeds")
    page.reload()
    page.get_by_text("Materialized", exact=True).first.wait_for()
    page.get_by_text("dagster/row_count", exact=True).wait_for()
    page.goto("/runs")
    page.get_by_text(f"partition: {FREE}").first.wait_for()
    page.get_by_text("mlpipe/trigger: manual").first.wait_for()
