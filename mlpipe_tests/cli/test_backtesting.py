"""The past under another rule, as commands: what is printed, written and refused."""

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpipe.cli import backtesting, main
from mlpipe.ledger.chain import Ledger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe_tests.house import ROOT
from mlpipe_tests.orchestration.conftest import NO_TELEMETRY
from mlpipe_tests.orchestration.drifting import FIRST as FIRST_DAY
from mlpipe_tests.orchestration.drifting import LAST as LAST_DAY
from mlpipe_tests.orchestration.drifting import PROJECT
from mlpipe_tests.stages.candidates import FIRST
from mlpipe_tests.stages.pipelines import World, day

STRICT = "gates:\n  - at_least: {metric: roc_auc, value: 0.55}\n  - beats_champion: {metric: roc_auc, margin: 0.9}\n"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    candidates: tuple[PipelineSpec, World],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Call:
    """`mlpipe …` on the past with candidates, in an empty folder: code, output and complaints."""
    spec, world = candidates
    monkeypatch.chdir(tmp_path)
    chain = Ledger(world.store.backend, spec.name)
    monkeypatch.setattr(backtesting, "chosen", lambda args: (spec, world.store, chain))

    def made(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return made


def as_json(call: Call, *arguments: str) -> Any:
    code, out, _ = call(*arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_the_matrix_as_a_table_numbers_and_a_heat_map(call: Call, tmp_path: Path) -> None:
    code, out, err = call("matrix", "churn", "--html", "heat.html")
    assert code == 0 and not err.strip()
    assert "4 models on 34 labelled days" in out and "By months of age" in out
    row = next(line for line in out.splitlines() if line.startswith("@4"))
    assert row.split()[2].startswith("(") and not row.split()[3].startswith("("), (
        "what it learned from is in brackets"
    )
    page = (tmp_path / "heat.html").read_text()
    drawn = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert sum(e.tag.endswith("rect") for e in drawn.iter()) == 4 * 2
    code, out, _ = call(
        "matrix", "churn", "--csv", "--by", "day", "--from", day(20), "--to", day(22), "--metric", "f1"
    )
    lines = out.strip().splitlines()
    assert code == 0 and len(lines) == 1 + 4 * 3 and lines[1].startswith("@1,1,2024-01-17,bundle-")
    assert as_json(call, "matrix", "churn")["metric"] == "roc_auc"


def test_gates_in_force_and_stricter_ones(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("backtest", "gates", "churn")
    assert code == 0 and "0 decisions otherwise, 4 the same gate by gate" in out and ": the same." in out
    (tmp_path / "stricter.yaml").write_text(STRICT)
    arguments = ("backtest", "gates", "churn", "--policy", "stricter.yaml", "--from", day(FIRST))
    code, out, _ = call(*arguments, "--html", "gates.html", "--svg", "gates.svg")
    assert code == 0 and "of 4 candidates 2 promoted then, 1 under this policy" in out and "worse by" in out
    row = next(line for line in out.splitlines() if line.startswith("@2"))
    assert "refused *" in row and "beats_champion(roc_auc, margin=0.9)" in row
    assert "By hand, not possible under this policy: rollback by ana on 2024-01-31." in out
    drawn = ET.fromstring((tmp_path / "gates.svg").read_text())
    assert sum(e.text == "▲" for e in drawn.iter()) == 3 and sum(e.text == "×" for e in drawn.iter()) == 5
    assert "more than 0.9 is asked: fails." in (tmp_path / "gates.html").read_text()
    found = as_json(call, *arguments)
    assert [c["now"]["verdict"] for c in found["cases"]] == ["promoted", "refused", "refused", "refused"]


def test_a_contract_on_the_past(call: Call, tmp_path: Path) -> None:
    (tmp_path / "tighter.yaml").write_text("columns:\n  hours: {max: 14}\nfloor: 0.93\n")
    found = as_json(call, "backtest", "checks", "churn", "--contract", "tighter.yaml")
    code, out, _ = call("backtest", "checks", "churn", "--contract", "tighter.yaml")
    rate = found["false_alarms"]
    assert code == 0 and f"fails {rate['failed']} of {rate['days']} fine day" in out and "hours" in out
    assert (
        f"Of 34 days that passed then, whatever was seen later, it fails {found['passed']['failed']} (" in out
    )
    code, out, _ = call("backtest", "checks", "churn", "--to", day(3))
    assert code == 0 and "this contract fails 0 of 0 fine days, 2024-01-01 to 2024-01-04." in out


@pytest.mark.parametrize(
    ("what", "text", "told"),
    [
        (
            "gates",
            "gates:\n  - at_leest: {metric: f1, value: 1}\n",
            "rule.yaml:2, key gates.0.at_leest: unknown gate",
        ),
        ("gates", "bootstrap: 200\nwindow: 3d\n", "rule.yaml:2, key window: 'window' decides nothing"),
        (
            "checks",
            "columns:\n  hours: {maxx: 1}\n",
            "rule.yaml:2, key columns.hours.maxx: unknown key 'maxx'",
        ),
        (
            "checks",
            "sources:\n  rows: {path: a}\n",
            "rule.yaml:2, key sources.rows: a source has the key 'contract'",
        ),
        ("checks", "sources:\n  row: {contract: {}}\n", "key sources.row: unknown source 'row'"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(
    call: Call, tmp_path: Path, what: str, text: str, told: str
) -> None:
    (tmp_path / "rule.yaml").write_text(text)
    option = "--policy" if what == "gates" else "--contract"
    code, out, err = call("backtest", what, "churn", option, "rule.yaml")
    assert code == 3 and not out and told in err


def test_what_is_not_there_is_said(call: Call) -> None:
    assert call("backtest", "gates", "churn", "--policy", "no.yaml")[0] == 4
    code, _, err = call("matrix", "churn", "--from", "2024-01-41")
    assert code == 4 and "unknown partition '2024-01-41'" in err


def test_policies_on_the_past(
    call: Call, tmp_path: Path, candidates: tuple[PipelineSpec, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_STORE", candidates[1].store.url)
    (tmp_path / "calm.yaml").write_text("every: never\ndrift: null\nbudget: {retrains: 1}\n")
    stretch = ("--from", day(28), "--to", day(32), "--only", "never", "--only", "calm")
    arguments = ("backtest", "policy", "churn", "--policy", "calm=calm.yaml", *stretch)
    code, out, err = call(*arguments, "--html", "p.html", "--svg", "p.svg")
    assert code == 0 and "churn: 2 policies lived through 5 nights, 2024-01-29 to 2024-02-02" in out
    assert "never, 1 of 5: first:0:2024-01-29:1: @1 promoted" in err
    ET.fromstring((tmp_path / "p.svg").read_text())
    assert (
        "first:0:" not in (tmp_path / "p.html").read_text()
        and "no model is in production yet" in (tmp_path / "p.html").read_text()
    )
    found = as_json(call, *arguments)
    assert [p["retrains"] for p in found["policies"]] == [1, 1] and found["days"] == 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("calm", "--policy 'calm' is no NAME=FILE"),
        ("../up=calm.yaml", "is no NAME=FILE with a name of a-z, 0-9 and -"),
        ("weekly=calm.yaml", "the name 'weekly' is one of mlpipe's own policies"),
        ("calm=none.yaml", "none.yaml: the policy cannot be read"),
        ("calm=bad.yaml", "bad.yaml:2, key pays.valu: unknown key 'valu'. Did you mean 'value'?"),
        ("calm=empty.yaml", "a budget needs 'retrains', 'minutes' or both"),
    ],
)
def test_a_policy_that_is_none_is_told(call: Call, tmp_path: Path, given: str, told: str) -> None:
    (tmp_path / "bad.yaml").write_text("every: never\npays: {valu: 1, training: 3}\n")
    (tmp_path / "empty.yaml").write_text("budget: {}\n")
    code, out, err = call("backtest", "policy", "churn", "--policy", given)
    assert code != 0 and told in err and not out


@pytest.mark.long
def test_killed_and_started_again_a_policy_comes_to_the_same(tmp_path: Path) -> None:
    found = []
    for name, dies in (("killed", True), ("whole", False)):
        home = tmp_path / name
        home.mkdir()
        (home / "dagster.yaml").write_text(NO_TELEMETRY)
        (home / "definitions.py").write_text(PROJECT)
        env = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "MLPIPE_STORE": str(home / "store"),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        line = [sys.executable, "-m", "mlpipe"]
        target = ["shop", "-f", "definitions.py"]
        ingested = [*line, "run", *target, "--from", "2024-01-01", "--to", LAST_DAY]
        subprocess.run(ingested, env=env, cwd=home, check=True, capture_output=True)
        tried = [*line, "backtest", "policy", *target, "--from", FIRST_DAY, "--only", "drift", "--json"]
        if dies:
            with subprocess.Popen(tried, env=env, cwd=home, stderr=subprocess.PIPE, text=True) as process:
                assert process.stderr is not None
                for said in process.stderr:
                    if "drift:1:2024-01-18:1: @2" in said:
                        process.send_signal(signal.SIGKILL)
        told = subprocess.run(tried, env=env, cwd=home, check=True, capture_output=True, text=True)
        assert ("drift, 1 of" in told.stderr) != dies, "it went on where it was"
        made = json.loads(told.stdout)
        for policy in made["policies"]:
            del policy["seconds"]
            for asked in policy["asked"]:
                del asked["seconds"]
        found.append(made)
    assert found[0] == found[1] and found[0]["policies"][0]["retrains"] > 2
