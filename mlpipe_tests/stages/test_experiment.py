"""A trial without Dagster: what it shares with model and evaluation, and what it keeps to itself."""

from pathlib import Path

import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import SpecError, UserCodeError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, release, train
from mlpipe.stages.experiment import trial_stage
from mlpipe.stages.same_day import Own, compared
from mlpipe.stages.variants import variants
from mlpipe_tests.stages.pipelines import DATA, FEATURES, World, day, days, rows, scheduled, spec_of, written

KEY = day(24)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> PipelineSpec:
    return spec_of(written(tmp_path_factory.mktemp("rows"), days(24)))


@pytest.fixture
def world(spec: PipelineSpec, tmp_path: Path) -> World:
    made = World(tmp_path / "store")
    made.run_all(DATA, spec, days(24))
    return made


def test_nothing_changed_gives_the_own_model_whoever_is_champion(spec: PipelineSpec, world: World) -> None:
    own = world.run_all((train.STAGE, evaluate.STAGE, release.STAGE), spec, [KEY], **scheduled())
    (variant,) = variants(spec, {})
    trial = world.run(trial_stage(variant), spec, [KEY])[KEY]
    model, judged = own["train"][KEY], own["evaluate"][KEY]
    assert [o.id for o in trial.outputs] == [o.id for o in (*model.outputs, *judged.outputs)]
    test = {m.name: (m.value, m.low, m.high) for m in judged.metrics if m.split == "test"}
    assert {m.name: (m.value, m.low, m.high) for m in trial.metrics if m.split == "test"} == test
    assert {(i.asset, i.partition, i.id) for i in trial.inputs} == {
        (i.asset, i.partition, i.id) for i in model.inputs
    }
    assert trial.data["judged"]["champion"] is None and "champion" not in {m.split for m in trial.metrics}
    # The heads of the run hold it as a trial, and the model as it was.
    assert world.heads.find("churn/model", [KEY])[KEY].record == model.id
    assert world.heads.find("churn/trial", [KEY])[KEY].record == trial.id


def test_what_cannot_be_learned_is_refused_and_on_record(spec: PipelineSpec, world: World) -> None:
    (variant,) = variants(spec, {"min_rows": [100_000]})
    trial = world.run(trial_stage(variant), variant.spec, [KEY])[KEY]
    assert trial.verdict == "refused" and not trial.outputs and trial.data["set"] == {"min_rows": 100_000}
    assert not world.heads.find("churn/model", [KEY])


def test_a_feature_left_out_is_no_part_of_the_model(spec: PipelineSpec, world: World) -> None:
    (variant,) = variants(spec, {"features.exclude": ["hours"]}, FEATURES)
    trial = world.run(trial_stage(variant), variant.spec, [KEY])[KEY]
    assert world.store.get_bundle(trial.output("bundle").id).feature_names == ("plays", "city")
    assert trial.params["features"] == ["plays", "city"]
    assert any("left out for this trial: hours" in f.what for f in trial.findings)


def test_the_same_again_is_found_and_another_clock_or_value_is_not(spec: PipelineSpec, world: World) -> None:
    one, other = variants(spec, {"C": [0.1, 0.2]})
    assert not world.run(trial_stage(one), one.spec, [KEY])[KEY].reused
    assert world.run(trial_stage(one), one.spec, [KEY])[KEY].reused
    assert not world.run(trial_stage(other), other.spec, [KEY])[KEY].reused


def test_what_a_model_raises_is_told_as_in_a_training(spec: PipelineSpec, world: World) -> None:
    (variant,) = variants(spec, {"model.solver": ["lbfgs"], "model.l1_ratio": [1.0]})
    with pytest.raises(UserCodeError, match="cannot learn from these"):
        world.run(trial_stage(variant), variant.spec, [KEY])


def test_without_partitions_a_trial_is_judged_on_the_same_rows_too(tmp_path: Path) -> None:
    written(tmp_path / "rows", days(1), d0=lambda _: pd.concat([rows(k) for k in days(8)], ignore_index=True))
    source = ml.Parquet(f"{day(0)}.parquet", event_time="at", keys=["user"])
    spec = spec_of(
        tmp_path / "rows", partitions=ml.unpartitioned(), source=source, window=None, split=ml.Split()
    )
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, ["all"])
    own = world.run_all((train.STAGE, evaluate.STAGE), spec, ["all"])
    with pytest.raises(SpecError, match="no parameter of this pipeline"):
        variants(spec, {"window": ["9d"]})
    (same,) = variants(spec, {"C": [1.0]})
    trial = world.run(trial_stage(same), same.spec, ["all"])["all"]
    assert trial.output("bundle").id == own["train"]["all"].output("bundle").id
    made = compared(spec, [trial], {"all": Own(own["train"]["all"], own["evaluate"]["all"])}, world.store)
    assert made.days[0].difference == 0.0 and made.days[0].rows == trial.output("scored").rows
