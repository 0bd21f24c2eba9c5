"""Faults planted into the flights: each is refused by the gate that is made for it, by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlpipe.orchestration.locate import pipeline_of
from mlpipe.spec.judging import Gate
from mlpipe.stages import evaluate, feature, label, release, train
from mlpipe_tests.corpus.drive import working_in
from mlpipe_tests.stages.pipelines import DATA, TRAINING, World, scheduled

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
FLIGHTS = Path(__file__).resolve().parents[2] / "examples/flights"
START, CHAMPION, CHALLENGER = "2013-01-01", "2013-04-01", "2013-04-21"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Any]]:
    """A champion of the first of April, and the days on which a challenger is judged beside it."""
    with working_in(FLIGHTS):
        spec, _ = pipeline_of("flights", FLIGHTS)
        world = World(tmp_path_factory.mktemp("flights") / "store")
        world.run_all(DATA, spec, spec.partitions.keys(START, CHALLENGER))
        world.run_all(TRAINING[:2], spec, [CHAMPION], **scheduled())
        assert world.run(release.STAGE, spec, [CHAMPION], **scheduled())[CHAMPION].verdict == "promoted"
        yield world, spec


def judged(world: World, spec: Any, gate: str, **run: Any) -> tuple[dict[str, Any], Any]:
    """What a gate decides about a challenger of a pipeline that declares it, and the record."""
    asked = spec.model_copy(update={"gates": (*spec.gates, Gate(kind=gate))})
    made = world.run_all((train.STAGE, evaluate.STAGE), asked, [CHALLENGER], **scheduled(), **run)
    record = made["evaluate"][CHALLENGER]
    assert record.verdict == "fail"
    return next(d for d in record.data["gates"] if d["kind"] == gate), record


def test_a_model_that_crashes_on_a_carrier_never_seen(lived: tuple[World, Any]) -> None:
    world, spec = lived
    coded = ColumnTransformer([("codes", OneHotEncoder(handle_unknown="error"), ["carrier"])])
    model = spec.model.model_copy(
        update={"estimator": make_pipeline(coded, LogisticRegression()), "params": {}, "preprocess": "none"}
    )
    decision, _ = judged(world, spec.model_copy(update={"model": model}), "robust")
    assert decision["verdict"] == "fail" and "in carrier" in decision["sentence"]


def test_a_leaky_column(lived: tuple[World, Any]) -> None:
    world, spec = lived
    honest, outcomes = spec.features.function, spec.label.outcomes
    kept = tuple(o for o in outcomes if o != "arr_delay")

    def leaky(frames: dict[str, pd.DataFrame], history: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """The features, and the delay at arrival, which nobody declared to be an outcome."""
        return honest(frames, history).assign(delay=frames["flights"]["arr_delay"])

    other = spec.model_copy(
        update={
            "features": spec.features.model_copy(update={"function": leaky}),
            "label": spec.label.model_copy(update={"outcomes": kept}),
        }
    )
    world.run_all((feature.STAGE, label.STAGE), other, spec.partitions.keys(START, CHALLENGER))
    decision, _ = judged(world, other, "no_leakage")
    assert decision["verdict"] == "fail" and "delay (alone 1)" in decision["sentence"]
