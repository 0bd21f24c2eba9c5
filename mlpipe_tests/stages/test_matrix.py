"""The model-by-day matrix: equal to scoring by brute force, filled once, and honest about days that a model learned from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mlpipe.core.metrics import METRICS
from mlpipe.errors import NotFoundError
from mlpipe.ledger.chain import Ledger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.decay import survey
from mlpipe.stages.matrix import Matrix
from mlpipe.stages.past import Past
from mlpipe.stores.local import LocalBackend
from mlpipe.stores.overlay import Overlay
from mlpipe.stores.store import Store
from mlpipe_tests.stages.candidates import FIRST, LAST, TRAINED, TURN
from mlpipe_tests.stages.pipelines import FEATURES, World, day, days, rows


@pytest.fixture(scope="module")
def past(candidates: tuple[PipelineSpec, World]) -> Past:
    spec, world = candidates
    return Past(spec, world.store, Ledger(world.store.backend, spec.name))


@pytest.fixture(scope="module")
def matrix(past: Past) -> Matrix:
    """Every cell."""
    made = Matrix(past, days(LAST))
    made.fill((m.bundle, k) for m in past.models() for k in made.days)
    assert made.days == days(LAST) and len(past.models()) == len(TRAINED) and not made.unfit
    return made


def truth(n: int) -> np.ndarray:
    y = rows(day(n))["churned"].to_numpy()
    return 1 - y if n >= TURN else y


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_any_stretch_of_any_model_equals_scoring_by_brute_force(
    past: Past, matrix: Matrix, data: st.DataObject
) -> None:
    model = data.draw(st.sampled_from(past.models()))
    chosen = data.draw(st.lists(st.integers(0, LAST - 1), min_size=1, max_size=6, unique=True))
    bundle = past.store.get_bundle(model.bundle)
    scores = np.concatenate([bundle.predict(rows(day(n))[FEATURES]) for n in chosen])
    y = np.concatenate([truth(n) for n in chosen])
    found = matrix.value(model.bundle, [day(n) for n in chosen], METRICS["roc_auc"])
    assert found.value == pytest.approx(roc_auc_score(y, scores), abs=1e-9)
    assert (found.rows, found.days) == (len(y), len(chosen))


def test_a_new_day_costs_one_column_and_a_new_model_one_row(past: Past, tmp_path: Path) -> None:
    empty = Store(Overlay(past.store.backend, LocalBackend(tmp_path), hidden=("recipes",)))
    apart = Past(past.spec, empty, past.ledger)
    models = [m.bundle for m in past.models()]
    told: list[tuple[int, int]] = []

    def fill(some: int, until: int) -> int:
        grown = Matrix(apart, days(until))
        pairs = [(m, k) for m in models[:some] for k in grown.days]
        return grown.fill(pairs, lambda done, total: told.append((done, total)))

    assert fill(1, 3) == 3 and told == [(3, 3)]
    assert fill(2, 3) == 3 and fill(2, 4) == 2
    told.clear()
    before = sorted(empty.backend.list())
    assert fill(2, 4) == 0 and not told and sorted(empty.backend.list()) == before


def test_a_day_that_a_model_cannot_score_is_told_and_tried_again(past: Past, matrix: Matrix) -> None:
    assert matrix.scored("bundle-" + "0" * 40, day(3)) is None
    lacking = Matrix(past, days(2))
    model = replace(
        past.store.get_bundle(past.models()[0].bundle), features=(("hours", "float64"), ("age", "float64"))
    )
    assert lacking._score("bundle-x", model, list(days(2))) == 0
    assert lacking.unfit["bundle-x", day(0)] == "the model needs the feature 'age', which the day has not"


def test_the_survey_tells_days_that_a_model_learned_from_apart(past: Past, matrix: Matrix) -> None:
    found = survey(past, days(LAST), by="day")
    assert found["made"] == 0 and found["metric"] == "roc_auc" and found["columns"] == list(days(LAST))
    assert [m["name"] for m in found["models"]] == ["@1", "@2", "@3", "@4"]
    for line, n in zip(found["grid"], TRAINED, strict=True):
        assert [c["seen"] for c in line] == [k < day(n) for k in days(LAST)]
    # The first model is good until the world turns, and worse than chance from then on.
    first = [c["value"] for c in found["grid"][0]]
    assert min(first[FIRST:TURN]) > 0.85 and max(first[TURN:]) < 0.2
    by_month = survey(past, days(LAST))
    assert by_month["columns"] == ["2024-01", "2024-02"] and [c["days"] for c in by_month["grid"][0]] == [
        15,
        3,
    ]
    assert by_month["grid"][3][0]["seen"] and by_month["grid"][3][0]["days"] == 31
    ages = by_month["decay"][0]
    assert [a["age"] for a in ages] == [0] and ages[0]["days"] == LAST - FIRST
    assert by_month["by_age"] == [{"age": 0, "models": 4, "change": 0.0, "worst": 0.0}]


def test_another_metric_and_another_stretch(past: Past, matrix: Matrix) -> None:
    found = survey(past, past.keys(day(20), day(24)), metric="log_loss", by="day")
    assert found["better"] == "lower" and found["days"] == [day(20), day(24), 5] and found["made"] == 0
    with pytest.raises(NotFoundError, match="roc_auk"):
        survey(past, days(LAST), metric="roc_auk")
    with pytest.raises(NotFoundError, match="no partition of this stretch"):
        survey(past, ())
