"""What watching makes of planted faults: the table of the example is what its command prints."""

import os
import re
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

from mlpipe_tests.house import ROOT

PLACE = ROOT / "examples/tunekeep"
ROWS = re.search(r"<!-- planted -->\n(.*?)<!-- /planted -->", (PLACE / "README.md").read_text(), re.S)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PLACE))
    return import_module("planted")


def shown() -> dict[str, str]:
    """Rows of the README's table by the name of the world."""
    assert ROWS is not None
    return {line.split("|")[1].strip(): line for line in ROWS[1].splitlines()[2:] if line.startswith("|")}


def test_each_world_has_a_row(planted: ModuleType) -> None:
    assert list(shown()) == list(planted.WORLDS)


def test_a_row_counts_days_from_the_plant_to_the_day_on_which_it_was_known(planted: ModuleType) -> None:
    seen = {
        "first": ("2025-01-22", "2025-01-21", "data bug", "hours_28d", "2025-01-15", []),
        "kinds": {"data bug": 9, "covariate drift": 2},
        "left_out": 0,
        "asked": ["2025-01-22 drift: refused"],
    }
    assert planted.line("rows_lost", seen) == (
        "| rows_lost | 2025-01-22 | 7 | data bug in hours_28d, later covariate drift | 2025-01-22 drift: refused |"
    )
    nothing = {"first": None, "kinds": {}, "left_out": 0, "asked": []}
    assert planted.line("quiet", nothing) == "| quiet | no | – | – | – |"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_table_is_what_the_command_prints() -> None:
    done = subprocess.run(
        [sys.executable, "planted.py"],
        cwd=PLACE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[2:] == list(shown().values())
