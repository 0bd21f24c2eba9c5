"""Progress where there is no terminal: few lines, on the error stream."""

from dataclasses import dataclass

import pytest

from mlpipe.views.progress import bars


@dataclass
class Asked:
    job: str
    first: str
    last: str
    assets: tuple[str, ...] = ()


@dataclass
class Step:
    asset: str
    done: int
    total: int
    text: str = ""


def test_a_run_and_four_lines_a_step_go_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    with bars() as (tell, listen):
        tell(Asked("ingest", "a", "b"), "")
        for done in range(1, 101):
            listen(Step("shop/raw", done, 100))
        tell(Asked("ingest", "a", "b"), "run-id")
        tell(Asked("daily", "c", "c", ("predictions", "monitor")), "")
    out, err = capsys.readouterr()
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    assert out == "" and lines[0] == "ingest: a to b" and lines[-1] == "predictions, monitor: c"
    assert [line.split()[1] for line in lines[1:-1]] == ["25/100", "50/100", "75/100", "100/100"]
