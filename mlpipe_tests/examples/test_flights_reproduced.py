"""Models of the flights, made again from a copied store in a folder that never ran them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = "run flights --from 2013-01-01 --to 2013-04-08 --train-at 2013-04-01 --train-at 2013-04-08"


def mlpipe(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "MLPIPE", "OMP", "FLIGHTS"))}
    return subprocess.run(
        [sys.executable, "-m", "mlpipe", *line.split()],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_models_of_the_flights_come_out_identical_in_an_empty_folder(tmp_path: Path) -> None:
    home, empty = tmp_path / "home", tmp_path / "empty"
    home.mkdir()
    empty.mkdir()
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    made = mlpipe(RUN, ROOT / "examples/flights", DAGSTER_HOME=str(home), OMP_NUM_THREADS="1")
    assert made.returncode == 0, made.stderr
    shutil.move(home / "mlpipe", tmp_path / "copy")
    shutil.rmtree(home)
    for version in ("flights@1", "flights@2"):
        done = mlpipe(f"reproduce {version} --store {tmp_path / 'copy'} --json", empty)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        # The thread variable was set when it ran; it is set again, and nothing else differs.
        assert answer["verdict"] == "identical" and answer["differences"] == []
        assert answer["read"] > 150 and {"bundle", "scored"} <= {a["name"] for a in answer["outputs"]}
    assert not list(empty.iterdir())
