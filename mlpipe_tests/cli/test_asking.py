import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mlpipe as ml
from mlpipe.cli import main
from mlpipe.errors import QueryError
from mlpipe.index.index import Index
from mlpipe_tests.corpus.drive import working_in
from mlpipe_tests.index.made import STORE, metric, record, training


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index with four trainings and something that is none."""
    monkeypatch.setenv("MLPIPE_INDEX", str(tmp_path / "index.sqlite"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    with Index.open(str(tmp_path / "index.sqlite"), create=True) as index:
        made = [
            training(
                d,
                params={"lr": 10.0**-d, "kind": ("tree", "line")[d % 2]},
                metrics=(metric("f1", 0.5 + d / 10),),
                tags={"owner": "ana"},
            )
            for d in range(4)
        ]
        index.add([*made, record(5, "raw", verdict="passed")], STORE)


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    assert ended.value.code == code, err
    return out if code == 0 else err


def test_a_table_shows_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    lines = asked(
        capsys, "runs", "metrics.f1 > 0.55 and params.lr < 0.5 order by metrics.f1 desc limit 2"
    ).splitlines()
    assert lines[0].split() == ["id", "partition", "started", "verdict", "f1", "lr"]
    assert [line.split()[-2:] for line in lines[2:4]] == [["0.8", "0.001"], ["0.7", "0.01"]]
    assert lines[-1].startswith("2 records; more match: --limit shows them. As of 2024-01-06 02:00:00 UTC")


def test_nothing_found_says_so_and_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "runs", "metrics.f1 > 2").startswith("Nothing matches.")


def test_json_and_csv_hold_everything_and_what_was_named(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(asked(capsys, "runs", "params.lr = 0.1", "--json"))
    assert (
        told["rows"][0]["tags.owner"] == "ana" and told["rows"][0]["started"] == "2024-01-02T02:00:00+00:00"
    )
    text = asked(capsys, "runs", "--csv", "--keys", "params.lr,tags.owner", "--limit", "0")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(r["params.lr"]) for r in rows] == [0.001, 0.01, 0.1, 1.0]
    assert list(rows[0]) == ["id", "params.lr", "tags.owner"]


def test_a_wrong_query_shows_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    told = asked(capsys, "runs", "params.lr < and", code=1)
    assert told.splitlines()[1:3] == ["  params.lr < and", "              ^"]


def test_without_an_index_it_says_how_one_is_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_INDEX", "nowhere.sqlite")
    assert "Make it: mlpipe index rebuild" in asked(capsys, "runs", code=4)


def test_status_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(asked(capsys, "index", "status", "--json"))
    assert (told["records"], told["stores"], told["synced"]) == (5, [STORE], None)
    assert asked(capsys, "index", "keys", "params").split() == ["params.kind", "params.lr"]
    assert "no key begins with" in asked(capsys, "index", "keys", "parms", code=1)


def test_a_frame_holds_every_row_with_its_types() -> None:
    frame = ml.runs("order by params.lr", keys=["headline", "size"])
    assert frame["params.lr"].tolist() == [0.001, 0.01, 0.1, 1.0]
    assert frame["params.kind"].tolist() == ["line", "tree", "line", "tree"]
    assert frame["metrics.f1"].tolist() == [0.8, 0.7, 0.6, 0.5]
    assert frame["size"].tolist() == [100.0] * 4 and frame["headline"].isna().all()
    assert str(frame["started"].dtype).startswith("datetime64") and frame.attrs["as_of"].startswith(
        "2024-01-06"
    )
    assert len(ml.runs('params.kind = "tree"')) == 2 and len(ml.runs("metrics.f1 > 2")) == 0


def test_a_frame_of_rows_that_hold_different_things(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [{"x": 1}, {"x": 2.5}, {"x": "text"}, {"y": True}]
    with Index.open(str(tmp_path / "index.sqlite")) as index:
        index.add([training(10 + i, params=p) for i, p in enumerate(odd)], STORE)
    frame = ml.runs("as_of >= 2024-01-11 order by as_of")
    assert frame["params.x"].tolist()[:3] == [1, 2.5, "text"] and frame["params.x"].isna().tolist()[3]
    assert frame["params.y"].tolist() == [None, None, None, True]


def test_errors_of_frames() -> None:
    with pytest.raises(QueryError, match=r"no record has the key 'params\.l'"):
        ml.runs("params.l = 1")


def test_what_a_stranger_wrote_does_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Index.open(str(tmp_path / "index.sqlite")) as index:
        index.add([training(9, tags={"bad\x1b[2J": "worse\x1b[2J"}, verdict="\x1b]0;title")], STORE)
    shown = asked(capsys, "runs", "--keys", "verdict,tags.bad\x1b[2J") + asked(
        capsys, "index", "keys", "tags"
    )
    assert "bad" in shown and "worse" in shown and "\x1b" not in shown


def test_a_cold_command_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['mlpipe', 'runs', 'params.lr < 1 order by metrics.f1']\n"
        "from mlpipe.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'pydantic', 'dagster', 'sqlalchemy', 'numpy', 'pyarrow', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=dict(os.environ))


def test_in_the_folder_of_a_project_its_own_index_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAGSTER_HOME", "MLPIPE_INDEX"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    (tmp_path / "pyproject.toml").write_text('[tool.mlpipe]\ndagster_home = "here"\n')
    with Index.open(f"sqlite:///{tmp_path}/here/mlpipe_index/index.sqlite", create=True) as index:
        index.add([training(7)], STORE)
    with working_in(tmp_path):
        assert "1 record" in asked(capsys, "runs")
        assert "sqlite" in asked(capsys, "index", "status")
