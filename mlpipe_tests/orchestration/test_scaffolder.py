"""`dg scaffold defs mlpipe.PipelineComponent`: the same proposal as `mlpipe init`, in a project that is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import MlpipeError
from mlpipe.orchestration.scaffolder import PipelineScaffolder, ScaffoldParams
from mlpipe.spec.yaml_file import build_mapping, read


def data(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    x = draw.normal(size=200)
    frame = pd.DataFrame(
        {"x": x, "kind": draw.choice(["a", "b"], 200), "{{ y }}": (x + draw.normal(size=200) > 0)}
    )
    frame.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def scaffolded(folder: Path, **given: str) -> str:
    request = dg.ScaffoldRequest(
        type_name="mlpipe.PipelineComponent",
        target_path=folder / "defs/shop",
        scaffold_format="yaml",
        project_root=folder,
        params=ScaffoldParams(**given),
    )
    PipelineScaffolder().scaffold(request)
    return (folder / "defs/shop/defs.yaml").read_text()


def test_from_data_the_file_holds_the_proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data(tmp_path)
    text = scaffolded(tmp_path, data="rows.csv", label="{{ y }}")
    ((document, _),) = read(text, "defs.yaml")
    attributes = document["attributes"]
    assert attributes["name"] == "shop" and attributes["features"]["columns"] == ["x", "kind"]
    assert attributes["source"]["path"] == "../../rows.csv" and attributes["task"] == "binary"
    assert attributes["label"]["column"] == '{{ "{{ y }}" }}', (
        "a name that looks like a template is handed through one"
    )


def test_without_data_there_is_a_skeleton_that_loads(tmp_path: Path) -> None:
    text = scaffolded(tmp_path)
    ((document, lines),) = read(text, "defs.yaml")
    spec = build_mapping(
        document["attributes"], lines, file="defs.yaml", prefix=("attributes",), base_dir=tmp_path
    )
    assert spec.name == "shop" and document["type"] == "mlpipe.PipelineComponent"


@pytest.mark.parametrize(
    ("given", "said"),
    [({"data": "rows.csv"}, "go together"), ({"data": "rows.csv", "label": "z"}, "no column 'z'")],
)
def test_what_is_asked_wrongly_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    data(tmp_path)
    with pytest.raises(MlpipeError, match=said):
        scaffolded(tmp_path, **given)
    assert not (tmp_path / "defs").exists()


def test_the_command_of_dg(tmp_path: Path) -> None:
    data(tmp_path)
    bin_ = Path(sys.executable).parent
    line = [bin_ / "mlpipe", "init", "first", "--data", "rows.csv", "--label", "{{ y }}"]
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    line = [
        bin_ / "dg",
        "scaffold",
        "defs",
        "mlpipe.PipelineComponent",
        "second",
        "--data",
        "../rows.csv",
        "--label",
        "{{ y }}",
    ]
    done = subprocess.run(line, cwd=tmp_path / "first", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(tmp_path / "first/.venv", ignore_errors=True)
    done = subprocess.run(
        [bin_ / "mlpipe", "check"], cwd=tmp_path / "first", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "first: good" in done.stdout and "second: good" in done.stdout, (
        done.stderr
    )
