"""The page on tunekeep: its commands are run in order, and what the page shows of them comes out, line by line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlpipe_tests.house import ROOT

PAGE = (ROOT / "docs/tunekeep.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^```sh\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", PAGE, flags=re.M | re.S)
"""Commands of the page, and what is shown beneath them."""
LEFT_OUT = "…"


def lines(text: str) -> list[str]:
    """Lines as their words: columns are laid out by the widest of their cells."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def told(shown: str, came: str) -> bool:
    """Whether a line of the page is a line that came; the page may leave its end out."""
    return came.startswith(shown.removesuffix(LEFT_OUT)) if shown.endswith(LEFT_OUT) else shown == came


def test_a_page_without_commands_proves_nothing() -> None:
    assert len(STEPS) >= 6 and sum(bool(shown) for _, shown in STEPS) >= 5


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_commands_of_the_page_say_what_the_page_shows(tmp_path: Path) -> None:
    home, project = tmp_path / "home", tmp_path / "tunekeep"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    shutil.copytree(ROOT / "examples/tunekeep", project, ignore=shutil.ignore_patterns("__pycache__"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "MLPIPE", "TUNEKEEP"))}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    surroundings = {**kept, "DAGSTER_HOME": str(home), "OMP_NUM_THREADS": "1", "PATH": path}
    for commands, shown in STEPS:
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=project,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        missing = [line for line in lines(shown) if not any(told(line, of) for of in lines(done.stdout))]
        assert not missing, f"{commands}\nshown and not said:\n{missing}\nsaid:\n{done.stdout}"
        exported = re.findall(r"^export (\w+)=(\S+)$", commands, flags=re.M)
        surroundings |= dict(exported)
