"""The locked test window: trials and backfills do not see it, and each look of a release decision is counted."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import DataError
from mlpipe.stages import evaluate, release, train
from mlpipe.stages.locked import unlocked
from mlpipe_tests.stages.pipelines import DATA, LATER, TRAINING, World, day, days, scheduled, spec_of, written


def test_the_last_rows_in_time_are_under_lock() -> None:
    times = pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-02", "2024-01-04"], utc=True)
    rows = pd.DataFrame({"_time": times, "_row": range(4)})
    assert unlocked(rows, 0.5).tolist() == [False, True, True, False]
    assert unlocked(rows, 0.3).tolist() == [False, True, True, False]  # 1.2 rows, rounded up
    assert np.all(~unlocked(rows.head(1), 0.01))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    spec = spec_of(
        written(folder / "data", days(32)), locked={"share": 0.5}, gates=[ml.gate.at_least("roc_auc", 0.5)]
    )
    made = World(folder / "store")
    made.run_all(DATA, spec, days(32))
    return made, spec


def test_only_a_release_decision_looks_and_each_look_is_counted(world) -> None:
    made, spec = world
    first = made.run_all(TRAINING, spec, [day(28)], **scheduled())["evaluate"][day(28)]
    assert (first.data["looks"], first.data["rows"]) == (1, 240)
    assert [m.value for m in first.metrics if m.name == "looks"] == [1.0]
    hidden = made.run(evaluate.STAGE, spec, [day(28)], backfill=True)[day(28)]
    assert (hidden.data["looks"], hidden.data["rows"]) == (None, 120)
    assert set(made.table(hidden, "scored")["_partition"]) == {day(24), day(25)}
    # A window that shares a day is looked at once more; the same model again is the look that it was.
    second = made.run_all(TRAINING, spec, [day(29)], **scheduled())["evaluate"][day(29)]
    assert second.data["looks"] == 2
    assert made.run(evaluate.STAGE, spec, [day(28)])[day(28)].data["looks"] == 1
    apart = made.run_all(TRAINING, spec, [day(32)], **scheduled())["evaluate"][day(32)]
    assert apart.data["looks"] == 1


def test_a_release_refuses_evidence_that_is_of_another_model(world) -> None:
    made, spec = world
    key = day(30)
    made.run_all((train.STAGE, evaluate.STAGE), spec, [key], **scheduled())
    other = spec.model_copy(update={"min_rows": 60, "threshold": 0.9})
    made.run(train.STAGE, other, [key], **scheduled())
    with pytest.raises(DataError, match="the evaluation is of another model"):
        made.run(release.STAGE, spec, [key], **scheduled())


def test_a_release_refuses_evidence_that_is_older_than_the_model(world) -> None:
    made, spec = world
    key, later = day(31), LATER + timedelta(days=1)
    first = made.run_all((train.STAGE, evaluate.STAGE), spec, [key], **scheduled())["train"][key]
    again = made.run(train.STAGE, spec, [key], as_of=later, **scheduled())[key]
    assert again.output("bundle").id == first.output("bundle").id and again.id != first.id
    with pytest.raises(DataError, match="the evaluation is older than the model"):
        made.run(release.STAGE, spec, [key], as_of=later, **scheduled())
    made.run(evaluate.STAGE, spec, [key], as_of=later, **scheduled())
    assert "version" in made.run(release.STAGE, spec, [key], as_of=later, **scheduled())[key].data
