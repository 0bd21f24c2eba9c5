"""What docs/ci.md says about a user's CI, done."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mlpipe.cli import EXIT_CODES
from mlpipe.errors import MlpipeError, NotFoundError, SourceError, SpecError
from mlpipe.stages.sample import MOST_PARTITIONS, ROWS
from mlpipe.stages.smoke import CHECKS
from mlpipe_tests.house import ROOT

PAGE = (ROOT / "docs/ci.md").read_text()


def fenced(language: str) -> str:
    """The first block of a language on the page."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, flags=re.M | re.S)
    assert found, f"docs/ci.md holds no block of {language}"
    return found[1]


@pytest.mark.long  # `cli/test_checking` has the same on a small pipeline
def test_the_three_lines_work_on_the_flights_and_leave_nothing_behind(tmp_path: Path) -> None:
    lines = fenced("sh").strip().splitlines()
    assert len(lines) == 3 and lines[-1] == "mlpipe check --smoke"
    project = tmp_path / "flights"
    shutil.copytree(ROOT / "examples/flights", project, ignore=shutil.ignore_patterns("__pycache__"))
    # All of it is installed: pip looks, and downloads nothing.
    (project / "requirements.txt").write_text("mlpipe[demo]\n")
    before = sorted(p for p in project.rglob("*"))
    (tmp_path / "tmp").mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("DAGSTER_HOME", "MLPIPE_STORE")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {
        **kept,
        "PATH": path,
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_NO_INDEX": "1",
    }
    start = time.perf_counter()
    done = subprocess.run(
        ["bash", "-e", "-c", fenced("sh")],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    took = time.perf_counter() - start
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "flights: good." in done.stdout and "flights is good" in done.stdout and "FAILED" not in done.stdout
    )
    assert "Traceback" not in done.stderr and "rror" not in done.stderr, done.stderr
    assert sorted(p for p in project.rglob("*")) == before
    assert not list((tmp_path / "tmp").glob("mlpipe*"))
    # Half a minute on two idle cores; the machine of a test has other work.
    assert took < 180, f"{took:.0f} s"


def test_the_steps_of_the_workflow_are_the_three_lines() -> None:
    workflow = yaml.safe_load(fenced("yaml"))
    steps = workflow["jobs"]["pipeline"]["steps"]
    assert [s["run"] for s in steps if "run" in s] == fenced("sh").strip().splitlines()


def test_the_page_names_every_check_and_the_codes_as_they_are() -> None:
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", PAGE, flags=re.M))
    named = list(rows)[1 : list(rows).index("exit code")]
    assert [n for n in named if set(n) != {"-"}] == ["declaration", *CHECKS]
    codes = {kind: (str(code), text) for kind, code, text in EXIT_CODES}
    for kind in (SpecError, NotFoundError, SourceError):
        code, text = codes[kind]
        assert rows[code] == text
    assert codes[MlpipeError][0] == "1" and rows["1"] == "a check failed"
    assert f"{ROWS:,} rows" in PAGE and MOST_PARTITIONS == 40 and "some forty partitions" in PAGE
