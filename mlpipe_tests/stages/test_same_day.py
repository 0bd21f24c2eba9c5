"""Trials beside the pipeline's own models: the same rows, the same blocks, and every missing day by name."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mlpipe.core.bootstrap import paired
from mlpipe.core.scored import Scored
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, train
from mlpipe.stages.experiment import trial_stage
from mlpipe.stages.same_day import Own, _mean, compared
from mlpipe.stages.variants import variants
from mlpipe_tests.stages.pipelines import DATA, FEATURES, World, day, days, spec_of, written

KEYS = (day(24), day(30))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> PipelineSpec:
    folder = written(tmp_path_factory.mktemp("rows"), days(30))
    return spec_of(folder, metrics=["roc_auc", "f1", "log_loss"])


@pytest.fixture(scope="module")
def world(spec: PipelineSpec, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("store"))
    made.run_all(DATA, spec, days(30))
    return made


@pytest.fixture(scope="module")
def own(spec: PipelineSpec, world: World) -> dict[str, Own]:
    trained, judged = world.run(train.STAGE, spec, KEYS), world.run(evaluate.STAGE, spec, KEYS)
    return {k: Own(trained[k], judged[k]) for k in KEYS}


@pytest.fixture(scope="module")
def trials(spec: PipelineSpec, world: World, own: dict[str, Own]) -> list[Record]:
    (variant,) = variants(spec, {"features.exclude": [["hours"]]}, FEATURES)
    made = world.run(trial_stage(variant), variant.spec, KEYS)
    return [made[k] for k in KEYS]


def test_the_difference_is_that_of_the_same_rows_by_an_independent_count(
    spec: PipelineSpec, world: World, own: dict[str, Own], trials: list[Record]
) -> None:
    made = compared(spec, trials, own, world.store)
    assert made.metric == "roc_auc" and not made.missing and [d.partition for d in made.days] == list(KEYS)
    for one, trial in zip(made.days, trials, strict=True):
        ours, theirs = (world.table(r, "scored") for r in (trial, own[one.partition].evaluation))
        assert (ours[["_partition", "_row"]] == theirs[["_partition", "_row"]]).all(axis=None)
        assert one.value == pytest.approx(roc_auc_score(ours["y"], ours["score"]))
        assert one.own == pytest.approx(roc_auc_score(theirs["y"], theirs["score"]))
        assert one.difference == pytest.approx(one.value - one.own) and one.difference < 0
        sides = [Scored(ours["y"].to_numpy(), t["score"].to_numpy(), 0.5, (0, 1)) for t in (ours, theirs)]
        known = paired(*sides, "roc_auc", ours["_partition"].to_numpy(), resamples=100, seed=0)
        assert (one.low, one.high) == pytest.approx((known.low, known.high)) and one.rows == len(ours)


def test_metrics_that_are_better_low_are_turned_and_thresholds_are_each_ones_own(
    spec: PipelineSpec, world: World, own: dict[str, Own], trials: list[Record]
) -> None:
    loss, f1 = (compared(spec, trials, own, world.store, m).days[0] for m in ("log_loss", "f1"))
    assert loss.value > loss.own and loss.difference == pytest.approx(loss.own - loss.value)
    told = {m.name: m.value for m in trials[0].metrics if m.split == "test"}
    assert f1.value == pytest.approx(told["f1"]) and loss.value == pytest.approx(told["log_loss"])


def test_the_mean_has_an_interval_where_no_two_are_judged_on_the_same_days(
    spec: PipelineSpec, world: World, own: dict[str, Own], trials: list[Record]
) -> None:
    made = compared(spec, trials, own, world.store)
    a, b = (d.difference for d in made.days)
    # Of two values: half their distance, times the t quantile of one degree of freedom.
    assert made.mean == pytest.approx((a + b) / 2)
    assert made.high - made.mean == pytest.approx(12.7062 * abs(a - b) / 2, rel=1e-4)
    near = [t.model_copy(update={"data": {**t.data, "split": trials[0].data["split"]}}) for t in trials]
    overlapping = _mean(replace(made, low=float("nan"), high=float("nan")), near)
    assert np.isnan(overlapping.low) and "judged on the same days" in overlapping.note


def test_what_is_missing_is_named_with_the_reason(
    spec: PipelineSpec, world: World, own: dict[str, Own], trials: list[Record]
) -> None:
    made = compared(spec, trials, {KEYS[0]: own[KEYS[0]]}, world.store)
    assert list(made.missing) == [KEYS[1]] and f"--train-at {KEYS[1]}" in made.missing[KEYS[1]]
    assert len(made.days) == 1 and made.mean == made.days[0].difference and "of one partition" in made.note
    refused = trials[0].model_copy(update={"outputs": (), "verdict": "refused"})
    assert "not judged: refused" in compared(spec, [refused], own, world.store, "f1").missing[KEYS[0]]
    other = trials[0].model_copy(update={"data": {**trials[0].data, "classes": [0, 2]}})
    assert "different classes" in compared(spec, [other], own, world.store).missing[KEYS[0]]
    assert compared(spec, [], own, world.store).to_dict() == {
        "metric": "",
        "days": [],
        "missing": {},
        "mean": None,
        "low": None,
        "high": None,
        "note": "",
    }


def test_equal_models_differ_by_nothing(spec: PipelineSpec, world: World, own: dict[str, Own]) -> None:
    (variant,) = variants(spec, {})
    made = world.run(trial_stage(variant), variant.spec, KEYS)
    found = compared(spec, list(made.values()), own, world.store)
    assert [(d.difference, d.low, d.high) for d in found.days] == [(0.0, 0.0, 0.0)] * 2
    assert pd.Series([d.value for d in found.days]).equals(pd.Series([d.own for d in found.days]))
