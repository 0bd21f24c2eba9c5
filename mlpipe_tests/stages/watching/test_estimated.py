"""Performance before labels are there: estimated from the champion's scores, and compared with the truth once it is known."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.records.codec import HEAD_DATA
from mlpipe.stages import label, monitor
from mlpipe.stages.watching import estimated
from mlpipe.stages.watching.subject import Watch
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Labels come two days late; a model at day 25, days 27 to 30 watched in the night after the last, and the last again later."""
    folder = tmp_path_factory.mktemp("estimated")
    spec = spec_of(
        written(folder / "data", days(31)),
        label=ml.Label("churned", available_after="2d", outcomes=["reason"]),
    )
    world = World(folder / "store")
    world.run_all(DATA, spec, days(31))
    trained = world.run_all(TRAINING, spec, [day(25)], as_of=datetime(2024, 1, 28, tzinfo=UTC), **scheduled())
    night = datetime(2024, 2, 1, 2, tzinfo=UTC)
    world.run(label.STAGE, spec, days(4, first=27), night)
    first = world.run_all(LIVE, spec, days(4, first=27), night)
    later = night + timedelta(days=3)
    world.run(label.STAGE, spec, days(4, first=27), later)
    again = world.run(monitor.STAGE, spec, [day(30)], later)[day(30)]
    return world, spec, trained, first, again


def test_the_estimate_is_that_of_isotonic_probabilities_of_the_judged_rows(watched):
    world, _, trained, first, _ = watched
    judged = world.table(trained["evaluate"][day(25)], "scored")
    scores = world.table(first["predict"][day(30)], "predictions")["score"].to_numpy()
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(judged["score"], judged["y"])
    p = fitted.predict(scores)
    y = np.repeat([1, 0], len(p))
    expected = roc_auc_score(y, np.tile(scores, 2), sample_weight=np.concatenate([p, 1 - p]))
    head = first["monitor"][day(30)].data[HEAD_DATA]
    shift = first["monitor"][day(30)].data["estimated"]["day"].get("shift", 0.0)
    assert head["estimated"] - shift == pytest.approx(expected, abs=1e-12)
    assert head["estimated_low"] <= head["estimated"] <= head["estimated_high"]
    assert head["realised"] is None


def test_its_error_is_told_once_labels_are_there(watched):
    _, _, _, first, again = watched
    before, after = first["monitor"][day(30)].data["estimated"]["day"], again.data["estimated"]["day"]
    assert "error" not in before
    assert after["error"] == pytest.approx(again.data[HEAD_DATA]["realised"] - before["value"], abs=1e-12)
    assert after["held"] == (before["low"] <= after["realised"] <= before["high"])
    assert (after["value"], after["low"], after["high"]) == (before["value"], before["low"], before["high"])


def test_the_judged_rows_are_an_input_and_the_metrics_stand_apart(watched):
    _, _, trained, _, again = watched
    read = next(i for i in again.inputs if i.name == "scored")
    assert read.record == trained["evaluate"][day(25)].id
    found = {m.split: m.value for m in again.metrics if m.name == "roc_auc"}
    assert set(found) == {"realised", "rolling", "estimated", "estimated_window"}
    assert "estimated roc_auc" in again.headline


def test_what_cannot_be_estimated_says_why(watched):
    _, spec, *_ = watched

    class _Bundle:
        task, threshold = "regression", 0.5

    class _Champion:
        bundle, number = _Bundle(), 1

    watch = Watch((day(30),), {}, {}, {}, _Champion(), _Champion(), None, None)
    assert "regression" in estimated.reason(spec, watch)
    _Bundle.task = "binary"
    assert "no day of the window" in estimated.reason(spec, watch)
    brier = spec.model_copy(update={"metrics": ("brier",)})
    assert "brier" in estimated.reason(brier, watch)
