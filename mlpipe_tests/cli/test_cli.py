"""The command line: what it prints, where, and with which exit code."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.cli import EXIT_CODES, main
from mlpipe_tests.house import ROOT
from mlpipe_tests.orchestration.conftest import NO_TELEMETRY

PROJECT = """\
import os

import mlpipe as ml
from mlpipe_tests.orchestration.shop import orders, shop


def load(window):
    if os.environ.get("SHOP_FAULT") == "down":
        raise ConnectionError("no route to the shop")
    if os.environ.get("SHOP_FAULT") == "bug":
        return window.no_such_thing
    return orders(window)


strict = [ml.gate.at_least("roc_auc", 0.6 if not os.environ.get("SHOP_STRICT") else 0.9999)]
strict += [ml.gate.beats_champion("roc_auc", margin=-1)]
source = ml.Load(load, event_time="at", keys=["order"])
short = {"window": "6d", "split": ml.Split(valid="1d", test="2d"), "retries": {"times": 1, "delay": "0.1s"}, "blocks": "order"}
defs = shop(source=source, gates=strict, **short).definitions()
"""
SLOW = """
def features(frames, history):
    import time

    time.sleep(0.5)
    return frames["rows"][["size"]]

"""
RANGE = ("--from", "2024-01-01", "--to", "2024-01-08")


class Told:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Cli = Callable[..., Told]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which two versions were trained in a subprocess; for copying only."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "definitions.py").write_text(PROJECT)
    (folder / "home").mkdir()
    (folder / "home/dagster.yaml").write_text(NO_TELEMETRY)
    arguments = [
        "run",
        "shop",
        *RANGE,
        "--train-at",
        "2024-01-07",
        "--train-at",
        "2024-01-08",
        "--reason",
        "to begin",
    ]
    done = command(folder, *arguments)
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    (folder / "errors").write_text(done.stderr)
    return folder


def environment(folder: Path) -> dict[str, str]:
    import os

    return {**os.environ, "DAGSTER_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`mlpipe …` in a process of its own."""
    line = [sys.executable, "-m", "mlpipe", *arguments]
    return subprocess.run(
        line, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def cli(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    """`mlpipe …` in this process, in a copy of the project."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home"))
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*arguments: str) -> Told:
        sys.modules.pop("definitions", None)
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        out, err = capsys.readouterr()
        return Told(int(caught.value.code or 0), out, err)

    yield call
    sys.modules.pop("definitions", None)


def one_paragraph(told: Told, code: int, *words: str) -> None:
    """The error is a paragraph on the error stream, with its code, and no traceback."""
    assert told.code == code, told.err
    text = told.err[told.err.index("mlpipe: ") :]
    assert all(w in text for w in words), text
    assert "Traceback" not in told.err and len(text.strip().splitlines()) <= 4, text
    assert told.out == ""


# -- run --------------------------------------------------------------------------------------------------------------


def test_a_run_tells_what_was_made_judged_decided_and_watched(made: Path) -> None:
    out, err = (made / "printed").read_text(), (made / "errors").read_text()
    assert "8, 2024-01-01 to 2024-01-08" in out and "Judged for 2024-01-08" in out
    assert "shop@1" in out and "shop@2" in out and "Traceback" not in err
    assert "ingest: 2024-01-01 to 2024-01-08" in err and "training: 2024-01-07" in err
    assert "Warning" not in err


def test_the_run_is_an_ordinary_dagster_run_with_its_reason(cli: Cli, tmp_path: Path) -> None:
    with dg.DagsterInstance.get() as on:
        runs = on.get_runs()
        key = dg.AssetKey(["shop", "production"])
        moves = len(on.fetch_materializations(key, limit=10).records)
    assert {r.job_name for r in runs} == {"shop_ingest", "shop_training", "shop_daily"}
    assert all(r.tags["mlpipe/reason"] == "to begin" and r.tags["mlpipe/trigger"] == "manual" for r in runs)
    told = cli("history", "shop", "--json")
    kinds = [json.loads(line)["kind"] for line in told.out.splitlines()]
    assert moves == len([k for k in kinds if k == "promote"]) >= 1


def test_a_source_that_is_down_is_told_by_its_own_name(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_FAULT", "down")
    one_paragraph(cli("run", "shop", "--from", "2024-01-09"), 5, "no route to the shop", "source rows")


def test_a_function_of_the_users_that_raises_is_told_with_its_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_FAULT", "bug")
    line = PROJECT.splitlines().index("        return window.no_such_thing") + 1
    one_paragraph(cli("run", "shop", "--from", "2024-01-09"), 6, "AttributeError", f"definitions.py:{line}")
    with pytest.raises(Exception, match="no_such_thing"):
        main(["run", "shop", "--from", "2024-01-09", "--debug"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "shp", "--from", "2024-01-01"), 4, ["no pipeline 'shp'", "Did you mean 'shop'?"]),
        (("run", "shop", "--from", "2024-1-1"), 4, ["unknown partition '2024-1-1'"]),
        (("run", "shop", "--from", "2023-12-31"), 4, ["unknown partition '2023-12-31'"]),
        (("run", "shop", "--from", "2024-01-02", "--to", "2024-01-01"), 1, ["is before --from"]),
        (("run", "shop", "--from", "2024-01-01", "--train-at", "x"), 4, ["unknown partition 'x'"]),
        (("run", "shop", "--from", "2199-01-01"), 4, ["has not ended yet", "The newest that has is"]),
        (("run", "shop", "--from", "2024-01-01", "--as-of", "2024-01-05"), 1, ["--as-of", "has no zone"]),
        (("check", "shp"), 4, ["Did you mean 'shop'?"]),
        (("check", "-f", "absent.py"), 4, ["there is no file absent.py"]),
        (("check", "-f", "no.such.module"), 4, ["there is no module no.such.module"]),
        (("promote", "shop", "9", "--reason", "x"), 1, ["9"]),
        (("rollback", "shop", "--to", "9", "--reason", "x"), 1, ["9"]),
        (("history", "shp"), 4, ["Did you mean 'shop'?"]),
        (("store", "verify", "--store", "nowhere"), 4, ["there is no store at nowhere"]),
        (("store", "du", "--store", "nowhere"), 4, ["there is no store at nowhere"]),
    ],
)
def test_what_is_asked_wrongly_is_a_paragraph_with_its_own_code(
    cli: Cli, arguments: tuple[str, ...], code: int, words: list[str]
) -> None:
    one_paragraph(cli(*arguments), code, *words)


@pytest.mark.parametrize(
    "arguments", [(), ("ru",), ("promote", "shop", "one", "--reason", "x"), ("rollback", "shop"), ("store",)]
)
def test_a_command_line_that_is_wrong_is_code_two(cli: Cli, arguments: tuple[str, ...]) -> None:
    told = cli(*arguments)
    assert told.code == 2 and "usage: mlpipe" in told.err


@pytest.mark.parametrize(
    ("home", "words"),
    [
        ("", ["DAGSTER_HOME is not set", "export DAGSTER_HOME"]),
        ("/no/where", ["there is no folder /no/where"]),
    ],
)
def test_without_dagster_home_a_run_does_not_start(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, home: str, words: list[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    one_paragraph(cli("run", "shop", "--from", "2024-01-01"), 1, *words)


def test_outside_of_a_project_and_in_a_broken_one(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "project/definitions.py"
    file.write_text("x = 1\nraise OSError('disk')\n")
    for arguments in (("check",), ("run", "shop", "--from", "2024-01-01"), ("history", "shop")):
        one_paragraph(cli(*arguments), 6, f"{file}:2", "OSError: disk")
    file.write_text("import mlpipe as ml\nml.Pipeline(name='Shop')\n")
    assert cli("check").code == 3
    monkeypatch.chdir(tmp_path)
    one_paragraph(cli("check"), 4, "there is no Dagster project here")


def test_an_error_that_nobody_foresaw_is_a_paragraph_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr("mlpipe.cli.command.opened", broken)
    one_paragraph(cli("history", "shop"), 1, "KeyError", "no such thing", "--debug")


def test_a_disk_that_refuses_says_which_file_and_what_to_do(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise PermissionError(13, "Permission denied", "/srv/store")

    monkeypatch.setattr("mlpipe.cli.command.opened", broken)
    one_paragraph(cli("history", "shop"), 8, "/srv/store: ", "Permission denied", "This user may not write")


def test_check_says_that_all_is_good_and_what_is_off(cli: Cli) -> None:
    told = cli("check")
    assert (
        told.code == 0
        and told.out.startswith("shop: good. 1 source")
        and "schedule and sensors are off" in told.out
    )
    assert told.err == ""


# -- decisions --------------------------------------------------------------------------------------------------------


def test_a_rollback_and_a_promotion_by_hand_are_recorded_shown_once_and_told(cli: Cli) -> None:
    before = cli("history", "shop").out
    assert "shop@2 is in production" in before
    told = cli("rollback", "shop", "--reason", "complaints")
    assert told.code == 0 and "shop@2 was in production; shop@1 is again." in told.out
    # What was rolled back is not promoted again without an override.
    one_paragraph(cli("promote", "shop", "2", "--reason", "again"), 1, "--override", "rolled back")
    told = cli("promote", "shop", "2", "--reason", "was right", "--override")
    assert told.code == 0 and "shop@2 is now." in told.out
    history = cli("history", "shop").out
    assert "complaints" in history and "override" in history and "shop@2 is in production" in history
    with dg.DagsterInstance.get() as on:
        events = on.fetch_materializations(dg.AssetKey(["shop", "production"]), limit=10).records
    assert [e.asset_materialization.metadata["model/version"].value for e in events] == [2, 1, 2, 1]


def test_a_version_whose_gates_failed_needs_an_override(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_STRICT", "yes")
    assert cli("run", "shop", "--from", "2024-01-09", "--train-at", "2024-01-09").code == 0
    one_paragraph(cli("promote", "shop", "3", "--reason", "I like it"), 1, "roc_auc", "--override")
    assert "shop@2 is in production" in cli("history", "shop").out
    assert cli("promote", "shop", "3", "--reason", "I like it", "--override").code == 0
    assert "shop@3 is in production" in cli("history", "shop").out


def test_a_damaged_bundle_is_no_way_back_and_nothing_is_recorded(cli: Cli, tmp_path: Path) -> None:
    from mlpipe.stores.store import Store

    entries = [json.loads(line) for line in cli("history", "shop", "--json").out.splitlines()]
    store = tmp_path / "project/home/mlpipe"
    bundle = Store.open(str(store)).backend
    path = next(p for p, _ in bundle.list("objects") if entries[0]["bundle"] in p)
    file = next(store.rglob(Path(path).name))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(bytes(data))
    one_paragraph(cli("rollback", "shop", "--reason", "complaints"), 8)
    after = [json.loads(line) for line in cli("history", "shop", "--json").out.splitlines()]
    assert after == entries
    told = cli("store", "verify")
    assert told.code == 1 and "problems." in told.out and entries[0]["bundle"] in told.out


def test_a_decision_stands_when_dagster_cannot_show_it_and_is_shown_later(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = sys.modules["os"].environ["DAGSTER_HOME"]
    store = f"{home}/mlpipe"
    with monkeypatch.context() as away:
        away.setenv("DAGSTER_HOME", "")
        away.setenv("MLPIPE_STORE", store)
        told = cli("rollback", "shop", "--reason", "complaints")
    assert told.code == 0 and "shop@1 is again" in told.out
    assert "the decision is recorded, but Dagster does not show it yet" in told.err
    cli("promote", "shop", "2", "--reason", "was right", "--override")
    with dg.DagsterInstance.get() as on:
        events = on.fetch_materializations(dg.AssetKey(["shop", "production"]), limit=10).records
    assert [e.asset_materialization.metadata["model/version"].value for e in events] == [2, 1, 2, 1]


# -- store and help ---------------------------------------------------------------------------------------------------


def test_the_store_is_verified_and_measured(cli: Cli) -> None:
    told = cli("store", "verify")
    assert told.code == 0 and told.out.rstrip().endswith("1 ledger chains: nothing is wrong.")
    told = cli("store", "du")
    assert told.code == 0 and "bundle" in told.out and told.out.splitlines()[-1].startswith("all")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            (),
            [
                "run",
                "check",
                "promote",
                "rollback",
                "history",
                "store",
                "exit codes",
                "7 somebody else decided first",
            ],
        ),
        (("run",), ["--train-at", "--as-of", "examples:", "all the data there is", "--debug"]),
        (("check",), ["what is wrong"]),
        (("promote",), ["--override", "gates must have passed"]),
        (("rollback",), ["default: the previous champion", "loaded and proved"]),
        (("history",), ["--json"]),
        (("store", "verify"), ["$MLPIPE_STORE"]),
        (("store", "du"), ["--store"]),
    ],
)
def test_help_teaches(cli: Cli, arguments: tuple[str, ...], words: list[str]) -> None:
    told = cli(*arguments, "--help")
    flat = " ".join(told.out.split())
    assert told.code == 0 and all(w in flat for w in words), told.out


def test_every_kind_of_error_has_a_code_of_its_own_and_the_narrower_comes_first() -> None:
    codes = [code for _, code, _ in EXIT_CODES]
    assert len(set(codes)) == len(codes) and not {0, 2} & set(codes)
    kinds = [kind for kind, _, _ in EXIT_CODES]
    for i, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[i + 1 :])


def test_a_reader_that_has_seen_enough_is_no_error(made: Path) -> None:
    line = f"{sys.executable} -m mlpipe history shop | head -1"
    done = subprocess.run(
        line,
        shell=True,
        cwd=made,
        env=environment(made),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.startswith("#") and done.stderr == ""


def test_an_interrupted_run_keeps_what_it_finished(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "home").mkdir()
    (folder / "home/dagster.yaml").write_text(NO_TELEMETRY)
    slow = PROJECT.replace("shop(source", "shop(features=features, source").replace(
        "\nstrict", f"\n{SLOW}\nstrict"
    )
    (folder / "definitions.py").write_text(slow)
    line = [sys.executable, "-m", "mlpipe", "run", "shop", "--from", "2024-01-01", "--to", "2024-01-04"]
    process = subprocess.Popen(line, cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for text in process.stderr:
        if "shop/features 2/4" in text:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert (
        process.wait(60) == 130 and "interrupted; what was recorded stays" in rest and "Traceback" not in rest
    )
    process.stderr.close()
    with dg.DagsterInstance.from_config(str(folder / "home")) as on:
        events = on.fetch_materializations(dg.AssetKey(["shop", "features"]), limit=100).records
        assert {r.status for r in on.get_runs()} <= {
            dg.DagsterRunStatus.CANCELED,
            dg.DagsterRunStatus.FAILURE,
        }
    assert 2 <= len({e.partition_key for e in events}) < 4
