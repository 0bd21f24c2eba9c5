"""The flights' months under their own gates once more: every decision comes out as it was; stricter gates keep out what they say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLIGHTS = ROOT / "examples/flights"
LINE = [sys.executable, "-m", "mlpipe"]
AGAIN = """
import sys
from pathlib import Path
from mlpipe.orchestration.locate import pipeline_of
from mlpipe.orchestration.runtime import ledger_of, open_store, store_url
from mlpipe.stages.counterfactual import Counterfactual
from mlpipe.stages.past import Past

spec, _ = pipeline_of("flights", Path.cwd())
store = open_store(store_url(spec))
past = Past(spec, store, ledger_of(spec, store))
for case in Counterfactual(past, spec, Path(sys.argv[1]), fresh=True).decide(past.keys()):
    print(case.registered.version, case.same, case.then.verdict, case.now.verdict)
"""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_gates_of_the_flights_decide_as_they_did_and_stricter_ones_keep_more_out(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    env = {**os.environ, "DAGSTER_HOME": str(home), "OMP_NUM_THREADS": "1"}

    def told(*line: str) -> str:
        done = subprocess.run(line, cwd=FLIGHTS, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    told(*LINE, "replay", "flights", "--from", "2013-04-01", "--to", "2013-09-30", "--ledger", "dev")
    again = [line.split() for line in told(sys.executable, "-c", AGAIN, str(tmp_path / "made")).splitlines()]
    assert len(again) > 5 and {line[1] for line in again} == {"True"}, again
    verdicts = [line[2] for line in again]
    assert "promoted" in verdicts and "refused" in verdicts
    # The policy that was in force, lived through by the stages alone: the trainings and promotions of the replay.
    stretch = ("--from", "2013-04-01", "--to", "2013-09-30")
    lived = json.loads(told(*LINE, "backtest", "policy", "flights", *stretch, "--only", "declared", "--json"))
    (own,) = lived["policies"]
    assert [a["outcome"] for a in own["asked"]] == verdicts and own["promoted"] == verdicts.count("promoted")
    strict = tmp_path / "strict.yaml"
    strict.write_text("gates:\n  - beats_champion: {metric: roc_auc, margin: 0.5}\n")
    found = json.loads(told(*LINE, "backtest", "gates", "flights", "--policy", str(strict), "--json"))
    assert [c["now"]["verdict"] for c in found["cases"]] == ["promoted"] + ["refused"] * (len(again) - 1)
    for case in found["cases"][1:]:
        assert "beats_champion(roc_auc, margin=0.5)" in case["now"]["failed"] and case["now"]["champion"] == 1
    production = found["production"]
    assert production["days"] > 100 and production["rows"] > 10_000
