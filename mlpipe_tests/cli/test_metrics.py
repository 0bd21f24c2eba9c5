"""`mlpipe metrics` as it is typed, and the runbooks that say what to type."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from mlpipe.cli import main, parser
from mlpipe_tests.notify.receiver import receiver
from mlpipe_tests.views.story import story

COMING: tuple[str, ...] = ()
"""Commands that the pages name and that are being built; to be emptied with them."""
RUNBOOKS = sorted((Path(__file__).parents[2] / "docs/runbooks").glob("*.md"))


def ended(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as end:
        main([*args, "--store", story().store])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_metrics_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ended(capsys, "metrics", "show", "churn")
    assert code == 0 and not err
    assert 'mlpipe_champion_version{pipeline="churn",deployment="dev"} 2\n' in out
    assert 'mlpipe_psi{pipeline="churn",deployment="dev",column="hours"} 0.04128' in out
    assert ended(capsys, "metrics", "show")[1] == out, "the store has one pipeline"


def test_a_pipeline_that_is_not_there_is_told_before_anything_is_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verb in (["show"], ["serve"], ["push", "--to", "http://127.0.0.1:9"]):
        code, out, err = ended(capsys, "metrics", verb[0], "chrn", *verb[1:])
        assert code == 4 and not out and "pipeline 'chrn' has no records" in err and "churn" in err


def test_metrics_are_pushed(capsys: pytest.CaptureFixture[str]) -> None:
    with receiver() as there:
        code, out, _ = ended(capsys, "metrics", "push", "churn", "--to", f"http://127.0.0.1:{there.port}")
        assert code == 0 and re.fullmatch(r"Pushed \d+ samples as job 'mlpipe'\.\n", out)
        assert there.got[0][1] == "/metrics/job/mlpipe" and b"mlpipe_champion_version" in there.got[0][3]


def test_metrics_are_served_until_ctrl_c() -> None:
    command = [
        sys.executable,
        "-m",
        "mlpipe",
        "metrics",
        "serve",
        "churn",
        "--port",
        "0",
        "--store",
        story().store,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None and served.stderr is not None
        url = served.stdout.readline().split()[1]
        with urlopen(url, timeout=30) as answer:
            assert b"mlpipe_champion_version" in answer.read()
        served.send_signal(signal.SIGINT)
        assert served.wait(30) == 0 and served.stderr.read() == ""


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda p: p.stem)
def test_every_command_of_a_runbook_is_one(page: Path) -> None:
    """As the command line takes it apart; what it would find there is another question."""
    text = page.read_text()
    typed = [line.partition("#")[0] for line in text.splitlines() if line.startswith("mlpipe ")]
    typed += [c for c in re.findall(r"`(mlpipe [^`]*)`", text) if c.count(" ") > 1]
    assert len(typed) > 3
    for command in typed:
        if command.split()[1] in COMING:
            continue
        words = re.findall(r'"[^"]*"|\S+', command)[1:]
        parser().parse_args([w.strip('"') or "x" for w in words])
