"""`mlpipe check --smoke`: what it prints, its exit codes, and that it leaves nothing behind."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlpipe.cli import main
from mlpipe.stages.smoke import CHECKS

PROJECT = """\
import os

import mlpipe as ml
from mlpipe_tests.orchestration.shop import orders, shop

fault = os.environ.get("SHOP_FAULT", "")


def load(window):
    if fault == "down":
        raise ConnectionError("no route to the shop")
    if fault == "bug":
        return window.no_such_thing
    return orders(window)


def label(rows):
    return rows["late"] * 0 if fault == "one class" else rows["late"]


short = {
    "source": ml.Load(load, event_time="at", keys=["order"]),
    "partitions": ml.daily(start="2024-01-01", end="2024-01-09"),
    "window": "6d",
    "split": ml.Split(valid="1d", test="2d"),
    "label": ml.Label(label),
}
"""
ONE = PROJECT + "defs = shop(**short).definitions()\n"
TWO = (
    PROJECT
    + """
import dagster as dg

good = {**short, "source": ml.Load(orders, event_time="at", keys=["order"]), "label": "late", "name": "market"}
defs = dg.Definitions.merge(shop(**short).definitions(), shop(**good).definitions())
"""
)


class Told:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Cli = Callable[..., Told]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """`mlpipe …` in this process, in a project of its own."""
    (tmp_path / "definitions.py").write_text(ONE)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLPIPE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def call(*arguments: str) -> Told:
        sys.modules.pop("definitions", None)
        with pytest.raises(SystemExit) as caught:
            main(["check", "-f", "definitions.py", *arguments])
        out, err = capsys.readouterr()
        return Told(int(caught.value.code or 0), out, err)

    yield call
    sys.modules.pop("definitions", None)


def test_a_good_pipeline_is_a_table_and_code_zero_and_nothing_is_written(cli: Cli, tmp_path: Path) -> None:
    told = cli("--smoke", "--rows", "300")
    assert told.code == 0 and told.err == ""
    lines = told.out.splitlines()
    names = [n for n in ("declaration", *CHECKS) if any(x.startswith(f"{n}  ") for x in lines)]
    assert names == ["declaration", *CHECKS]
    assert lines[-1].startswith("shop is good") and "FAILED" not in told.out
    assert "300 of 480 rows" in told.out or "of 480 rows, drawn with the seed" in told.out
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["definitions.py", "home"]


def test_dagster_home_need_not_be_set_and_one_pipeline_may_be_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    told = cli("shop", "--smoke", "--json", "--rows", "300")
    assert told.code == 0 and told.err == "" and told.out.count("\n") == 1
    body = json.loads(told.out)
    assert body["pipeline"] == "shop" and body["passed"] is True
    assert [c["name"] for c in body["checks"]] == ["declaration", *CHECKS]
    assert all(set(c) == {"name", "status", "sentence", "findings", "seconds"} for c in body["checks"])
    assert cli("shp", "--smoke").code == 4


@pytest.mark.parametrize(
    ("fault", "code", "failed", "words"),
    [
        ("down", 5, "sources", "ConnectionError: no route to"),
        ("bug", 6, "sources", "no_such_thing"),
        ("one class", 1, "labels", "and all are 0:"),
    ],
)
def test_what_fails_is_marked_and_has_its_code(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, fault: str, code: int, failed: str, words: str
) -> None:
    monkeypatch.setenv("SHOP_FAULT", fault)
    told = cli("--smoke", "--rows", "200")
    assert told.code == code and told.err == "" and "Traceback" not in told.out
    (line,) = [x for x in told.out.splitlines() if x.startswith(f"{failed} ")]
    assert "FAILED" in line and words in told.out
    assert told.out.splitlines()[-1].startswith(f"shop failed: {failed}")
    told = cli("--smoke", "--rows", "200", "--json")
    assert told.code == code and json.loads(told.out)["passed"] is False


def test_debug_shows_the_traceback_of_what_was_raised(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_FAULT", "bug")
    told = cli("--smoke", "--debug")
    assert told.code == 6 and "AttributeError" in told.err and "in load" in told.err


def test_of_several_pipelines_all_are_tried_and_the_greatest_code_counts(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("definitions.py").write_text(TWO)
    monkeypatch.setenv("SHOP_FAULT", "down")
    told = cli("--smoke", "--json", "--rows", "200")
    bodies = {b["pipeline"]: b["passed"] for b in map(json.loads, told.out.splitlines())}
    assert told.code == 5 and bodies == {"market": True, "shop": False}


def test_a_declaration_that_is_wrong_is_told_as_ever(cli: Cli) -> None:
    Path("definitions.py").write_text("import mlpipe as ml\nml.Pipeline(name='Shop')\n")
    told = cli("--smoke")
    assert told.code == 3 and told.err.startswith("mlpipe: ") and told.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rows", "5"), "--rows needs --smoke"),
        (("--json",), "--json needs --smoke"),
        (("--smoke", "--rows", "0"), "a whole number from 1 on, got '0'"),
        (("--smoke", "--rows", "-5"), "--rows"),
        (("--smoke", "--rows", "two"), "got 'two'"),
    ],
)
def test_a_command_line_that_is_wrong_is_code_two(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    told = cli(*arguments)
    assert told.code == 2 and words in told.err


def test_help_teaches(cli: Cli) -> None:
    flat = " ".join(cli("--help").out.split())
    for words in (
        "mlpipe check flights --smoke",
        "--rows",
        "default: 2000",
        "Nothing is written",
        "Exit code 0",
    ):
        assert words in flat
    assert "what a CI calls" in flat


def test_progress_is_told_to_a_terminal_alone(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("SHOP_FAULT", "down")
    told = cli("--smoke")
    assert told.err.splitlines()[0] == "mlpipe: shop: sources …"


def test_the_projects_own_folder_is_enough(cli: Cli) -> None:
    assert os.environ["MLPIPE_STORE"] and cli().code == 0


UPSTREAM = """\
import dagster as dg
import pandas as pd

import mlpipe as ml
from mlpipe_tests.orchestration.shop import orders, shop


class Window:
    start, end = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-06", tz="UTC")


@dg.asset
def crm() -> pd.DataFrame:
    return orders(Window)


source = ml.Upstream("crm", keys=["order"])
made = shop(source=source, partitions=ml.unpartitioned(), label="late", window=None, split=ml.Split(), blocks=None)
defs = dg.Definitions.merge(made.definitions(), dg.Definitions(assets=[crm]))
"""


def test_rows_of_another_asset_are_read_where_there_is_an_instance(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from mlpipe.orchestration.runs import QUIET

    Path("definitions.py").write_text(UPSTREAM)
    (tmp_path / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    told = cli("--smoke")
    assert told.code == 5 and "asset crm cannot be loaded" in told.out
    from mlpipe.orchestration.locate import definitions_at

    sys.modules.pop("definitions", None)
    defs = definitions_at(tmp_path, "definitions.py")
    with dg.DagsterInstance.get() as on:
        job = defs.resolve_implicit_global_asset_job_def()
        job.execute_in_process(instance=on, asset_selection=[dg.AssetKey("crm")], run_config=QUIET)
        before = on.get_runs_count()
        told = cli("--smoke")
        assert told.code == 0 and "400 rows of rows: all there are" in told.out and told.err == ""
        assert on.get_runs_count() == before and not (tmp_path / "store").exists()
    monkeypatch.delenv("DAGSTER_HOME")
    told = cli("--smoke")
    assert told.code == 0 and told.out.count("not applicable") == len(CHECKS)
    assert "set DAGSTER_HOME" in told.out
