"""The page on experiments: its commands are run, in order, on a small project, and what the page says comes out, comes out."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from mlpipe.cli import main
from mlpipe.cli.reproducing import DIFFERENT
from mlpipe.orchestration.locate import pipeline_of
from mlpipe.orchestration.runs import Request, instance, run
from mlpipe.orchestration.trials import trials_of
from mlpipe.stages.variants import PLAIN, SPLIT
from mlpipe_tests.house import ROOT
from mlpipe_tests.orchestration.past import TRAIN_AT, Past, lived

PAGE = (ROOT / "docs/experiments.md").read_text()
COMMANDS = re.findall(r"^ {4,6}(mlpipe .*)$", PAGE, flags=re.M)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with pytest.MonkeyPatch.context() as patch:
        made = lived(tmp_path_factory.mktemp("page"), patch)
        patch.chdir(made.folder)
        yield made


def said(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code and what a command of the page prints, in this process."""
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(command.replace("shop", "pastshop"))[1:])
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.replace("pastshop", "shop"), err.replace("pastshop", "shop")


def test_the_commands_of_the_page(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    told = {}
    for command in COMMANDS:
        code, out, err = said(command, capsys)
        assert code == 0, f"{command}\n{out}\n{err}"
        told[command] = out
    sweep, listed, again, asked, days, once, sample = told.values()
    shown = re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.M | re.S)
    head, _, columns = shown[0].strip().splitlines()
    assert sweep.startswith(head) and columns in sweep
    values = [float(line.split()[1]) for line in sweep.splitlines() if re.match(r"(0.01|1|100) ", line)]
    assert len(values) == 3 and values == sorted(values, reverse=True)
    assert "6 variants" in listed and "features.exclude=[size,ratio], threshold=0.5" in listed
    assert "1 had been tried before, and was found again" in again and again.count("found again") == 2
    assert asked.count("strength") >= 3
    assert "Missing: 2024-01-12" in days and "--train-at 2024-01-12" in days
    assert once.startswith(shown[1].strip()) and "IDENTICAL" in sample


def test_the_run_config_of_the_page(past: Past) -> None:
    found = re.search(r"^```yaml\n(.*?)^```", PAGE, flags=re.M | re.S)
    assert found
    config = yaml.safe_load(found[1].replace("shop", "pastshop"))
    spec, defs = pipeline_of("pastshop", past.folder)
    with instance() as on:
        name = run(spec, defs, on, Request("trial", TRAIN_AT, TRAIN_AT), config)
        made = trials_of(spec, on, past.store, name, TRAIN_AT)
    assert [r.data["set"] for r in made] == [{"model.C": c, "window": "9d"} for c in (0.1, 0.2)]
    assert {(r.experiment, r.hypothesis, r.notes, r.tags["owner"]) for r in made} == {
        ("strength", "a shorter window does as well", "seen in the launchpad", "ana")
    }


def test_the_page_names_everything_that_may_be_changed_and_every_exit_code() -> None:
    for name in (*PLAIN, *(f"split.{n}" for n in SPLIT), "features.exclude", "preprocess.kind"):
        assert f"`{name}`" in PAGE
    assert f"{DIFFERENT} different" in PAGE


@pytest.mark.long
def test_from_the_shell_as_one_object(past: Past) -> None:
    line = "try pastshop --partition 2024-01-11 --set C=5,7 --experiment shell --json"
    done = subprocess.run(
        [sys.executable, "-m", "mlpipe", *line.split()],
        cwd=past.folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["metric"] == "roc_auc" and answer["experiment"] == "shell"
    assert sorted(v["set"]["model.C"] for v in answer["variants"]) == [5, 7]
    for variant in answer["variants"]:
        (record,) = variant["records"]
        assert len(variant["comparison"]["days"]) == 1 and record["metrics"]["roc_auc"][0] > 0.6
    assert "1 of 2: Trial:" in done.stderr


def test_a_wrong_name_is_a_mistake_in_a_declaration(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said("mlpipe try shop --partition 2024-01-11 --set model.D=1", capsys)
    assert code == 3 and "no parameter of this pipeline" in err
    for line, what in (
        ("--partition 2024-01-12..2024-01-11 --set C=1", "holds no partition"),
        ("--partition 2023-01-12 --set C=1", "unknown partition"),
        ("--set C=1", "no partition is named"),
        ("--partition 2024-01-11 --set C=1 --set C=2", "given twice"),
        ("--partition 2024-01-11 --set C=1 --tag owner", "is no tag"),
    ):
        code, _, err = said(f"mlpipe try shop {line}", capsys)
        assert code in (3, 4) and what in err, err
