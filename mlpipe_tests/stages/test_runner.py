"""What the runner puts into every record: nothing secret, what is asked of it, what it cost."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from mlpipe.errors import MlpipeError
from mlpipe.records.codec import to_entries
from mlpipe.records.record import Trigger
from mlpipe.stages import ingest, train
from mlpipe.stages.runner import run_stage
from mlpipe_tests.stages.pipelines import DATA, TRAINING, World, day, days, spec_of, written

KEYS = days(6)
SHORT = {"window": "5d", "split": {"valid": "1d", "test": "1d"}}
SECRET = "hunter2-" + "f3a9c1"


def learn(train: Any, valid: Any, params: dict[str, Any], log: Any) -> Any:
    log(0, loss=1.0)
    return LogisticRegression(max_iter=300).fit(train.X, train.y)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("runner"), KEYS)


def test_planted_secrets_enter_no_record_recipe_or_event(data: Path, tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    model = {
        "fit": learn,
        "params": {"password": SECRET, "url": f"postgresql://ann:{SECRET}@db/x", "C": 1},
    }
    spec = spec_of(data, **SHORT, model=model, task="binary", features=["hours", "plays"])
    run = {
        "trigger": Trigger(
            kind="manual", reason=f"see https://ann:{SECRET}@wiki/x", details={"token": SECRET}
        ),
        "note": f"s3://k:{SECRET}@bucket",
        "hypothesis": f"http://a:{SECRET}@b",
        "experiment": "sweep",
        "tags": {"password": SECRET, "owner": "ana"},
    }
    world.run_all(DATA, spec, KEYS, **run)
    records = world.run_all(TRAINING, spec, [KEYS[-1]], **run)
    record = records["train"][KEYS[-1]]
    assert record.verdict == "trained" and record.params["model"]["C"] == 1
    assert record.params["model"]["password"] == "(withheld)" == record.tags["password"]
    assert record.params["model"]["url"] == "postgresql://(withheld)@db/x"
    assert (record.experiment, record.tags["owner"]) == ("sweep", "ana")
    for stage in records.values():
        for made in stage.values():
            assert SECRET not in made.model_dump_json() and SECRET not in str(to_entries(made))
    kept = [
        p for p in (tmp_path / "store").rglob("*") if p.is_file() and p.suffix in (".json", ".zip", ".md")
    ]
    assert len(kept) > 10
    assert not [p for p in kept if SECRET.encode() in p.read_bytes()]


def test_files_that_were_withheld_are_told_where_a_model_is_made(data: Path, tmp_path: Path) -> None:
    world, spec = World(tmp_path), spec_of(data, **SHORT)
    world.run_all(DATA, spec, KEYS)
    ctx = world.context(spec)
    more = {"archive": "code-1", "base": "defs", "withheld": {"a.py": "line 3 seems to hold a private key"}}
    ctx = type(ctx)(**{**vars(ctx), **more})
    (record,) = run_stage(train.STAGE, spec, [KEYS[-1]], ctx)
    told = [f for f in record.findings if f.where == "a.py"]
    assert [f.what for f in told] == [
        "the file is not in the archive of the code: line 3 seems to hold a private key"
    ]
    assert (record.code.base, record.code.withheld) == ("defs", more["withheld"])


def test_a_run_without_what_is_asked_does_no_work(data: Path, tmp_path: Path) -> None:
    asked = {
        "require": {"tags": ["owner"], "names": {"experiment": "[a-z-]+", "tags": {"ticket": r"ML-\d+"}}}
    }
    world, spec = World(tmp_path), spec_of(data, **SHORT, record=asked)
    with pytest.raises(MlpipeError) as error:
        world.run(ingest.STAGE, spec, KEYS, experiment="LR", tags={"ticket": "7"})
    told = [(f.where, f.what) for f in error.value.findings]
    assert told == [
        ("tag owner", "it is required, and not given"),
        ("tag ticket", r"'7' does not match 'ML-\\d+'"),
        ("experiment", "'LR' does not match '[a-z-]+'"),
    ]
    assert "mlpipe/tag/<name>" in error.value.fix and world.stored_records(spec) == []
    assert not world.objects()
    made = world.run(ingest.STAGE, spec, KEYS[:1], tags={"owner": "ana", "ticket": "ML-7"})
    assert made[KEYS[0]].tags == {"owner": "ana", "ticket": "ML-7"}
    declared = spec_of(data, **SHORT, record=asked, tags={"owner": "team"})
    assert world.run(ingest.STAGE, declared, KEYS[:1])[KEYS[0]].tags == {"owner": "team"}


def test_the_cost_of_a_stage_holds_what_it_took_to_look_at_its_inputs(tmp_path: Path) -> None:
    import time

    from mlpipe.stages.runner import Plan, Result, Stage

    def plans(spec: Any, keys: Any, ctx: Any) -> Any:
        for key in keys:
            time.sleep(0.05)
            yield Plan(key, lambda: Result(verdict=str(time.sleep(0.03))), reusable=False)

    world = World(tmp_path)
    records = world.run(Stage("slow", "slow", "1", plans), spec_of(tmp_path), [day(0), day(1)])
    for record in records.values():
        assert 0.08 <= record.cost.wall_s < 0.08 + 1 and record.cost.peak_mib > 10


def test_plots_come_back_when_a_result_is_reused(data: Path, tmp_path: Path) -> None:
    world = World(tmp_path)
    spec = spec_of(data, **SHORT, model={"fit": learn}, task="binary", features=["hours", "plays"])
    world.run_all(DATA, spec, KEYS)
    first, second = (world.run(train.STAGE, spec, [KEYS[-1]], note=n)[KEYS[-1]] for n in ("one", "two"))
    assert second.reused and not first.reused
    assert first.plots == second.plots == {"curves": {"log": {"loss": [[0.0, 1.0]]}}}
    assert first.params == second.params and first.data == second.data
    assert (first.notes, second.notes) == ("one", "two")
