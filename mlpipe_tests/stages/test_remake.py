"""Records made again without Dagster: identical, or what differed; the store is only read."""

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from mlpipe.errors import DataError, NotFoundError, StoreError
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, monitor, predict, release, train
from mlpipe.stages.experiment import trial_stage
from mlpipe.stages.remake import remake
from mlpipe.stages.variants import variants
from mlpipe.stores.agreement import overall
from mlpipe_tests.stages.pipelines import DATA, FEATURES, World, day, days, scheduled, spec_of, written

KEY, NEXT = day(24), day(26)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> PipelineSpec:
    return spec_of(written(tmp_path_factory.mktemp("rows"), days(28)))


@pytest.fixture(scope="module")
def world(spec: PipelineSpec, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A champion, and a challenger that was compared with it; for reading only."""
    made = World(tmp_path_factory.mktemp("store"))
    made.run_all(DATA, spec, days(28))
    for key in (KEY, NEXT):
        made.run_all((train.STAGE, evaluate.STAGE, release.STAGE), spec, [key], **scheduled())
        made.run_all((predict.STAGE, monitor.STAGE), spec, [key])
    (variant,) = variants(spec, {"C": [0.1], "features.exclude": ["city"]}, FEATURES)
    made.run(trial_stage(variant), variant.spec, [KEY])
    return made


def records(world: World, stage: str) -> list[Record]:
    every = (from_bytes(data) for _, data in world.store.records("churn"))
    return sorted((r for r in every if r.stage == stage), key=lambda r: r.partition)


@pytest.mark.parametrize(
    "stage", ["validate", "feature", "label", "train", "evaluate", "predict", "monitor", "trial"]
)
def test_every_stage_comes_out_identical_and_leaves_no_trace(
    spec: PipelineSpec, world: World, stage: str, tmp_path: Path
) -> None:
    before = sorted(world.store.backend.list())
    record = records(world, stage)[-1]
    made = remake(spec, record, world.store, tmp_path)
    assert overall(made.agreements) == "identical" and made.outputs and not made.differences
    assert not made.again.reused and made.read == len({i.id for i in record.inputs if i.id})
    assert sorted(world.store.backend.list()) == before and list(tmp_path.rglob("rec-*.json"))


def test_the_champion_is_the_one_that_was_known_then(
    spec: PipelineSpec, world: World, tmp_path: Path
) -> None:
    first, second = records(world, "evaluate")
    assert first.data["champion"] is None and second.data["champion"] == 1
    for number, record in enumerate((first, second)):
        made = remake(spec, record, world.store, tmp_path / str(number))
        assert (
            made.again.data["champion"] == record.data["champion"]
            and made.again.data["gates"] == record.data["gates"]
        )


def test_a_training_is_judged_again_with_the_new_model(
    spec: PipelineSpec, world: World, tmp_path: Path
) -> None:
    training, evaluation = records(world, "train")[0], records(world, "evaluate")[0]
    made = remake(spec, training, world.store, tmp_path / "a", evaluation=evaluation)
    assert {"bundle", "scored"} <= {a.name for a in made.outputs} and overall(made.agreements) == "identical"
    # Another model than the record's: it says how far, number by number, and which parameter did it.
    other = spec.model_copy(
        update={"model": spec.model.model_copy(update={"estimator": LogisticRegression(C=1e-3)})}
    )
    made = remake(other, training, world.store, tmp_path / "b", evaluation=evaluation)
    assert overall(made.agreements) == "different"
    found = {a.name: a for a in (*made.outputs, *made.metrics)}
    assert "example rows differ by at most" in found["bundle"].note and found["scored"].verdict == "different"
    assert found["test.f1"].verdict == "different" and "by " in found["test.f1"].note
    assert [(d.name, d.then, d.now) for d in made.differences] == [("model.C", "1.0", "0.001")]
    # Within a wide tolerance the same numbers are equal.
    near = spec.model_copy(
        update={"model": spec.model.model_copy(update={"estimator": LogisticRegression(C=1.0001)})}
    )
    made = remake(near, training, world.store, tmp_path / "c", evaluation=evaluation, tolerance=0.05)
    assert overall(made.agreements) == "equal"


def test_what_is_not_there_or_not_what_it_was_is_named(
    spec: PipelineSpec, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = records(world, "train")[0]
    read = training.inputs[3]
    lost = training.model_copy(
        update={"inputs": (read.model_copy(update={"id": "table-" + "0" * 40}), *training.inputs)}
    )
    with pytest.raises(NotFoundError, match="is not in the store") as caught:
        remake(spec, lost, world.store, tmp_path / "a")
    assert f"{read.asset} {read.partition}" in caught.value.where
    lost = training.model_copy(update={"inputs": (read.model_copy(update={"record": "rec-" + "0" * 40}),)})
    with pytest.raises(NotFoundError, match="was made from the record"):
        remake(spec, lost, world.store, tmp_path / "b")
    whole = type(world.store.backend).read

    def tampered(backend: object, path: str) -> bytes:
        data: bytes = whole(backend, path)  # type: ignore[arg-type]
        return data[:-1] if read.id in path else data

    monkeypatch.setattr(type(world.store.backend), "read", tampered)
    with pytest.raises(StoreError, match="is not what it was") as damaged:
        remake(spec, training, world.store, tmp_path / "c")
    assert f"{read.asset} {read.partition}" in damaged.value.where


def test_decisions_and_rows_from_outside_are_not_made_again(
    spec: PipelineSpec, world: World, tmp_path: Path
) -> None:
    for stage, why in (("ingest", "a source outside"), ("register", "it is a decision")):
        with pytest.raises(DataError, match=why):
            remake(spec, records(world, stage)[0], world.store, tmp_path)
