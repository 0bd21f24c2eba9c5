"""Trials through run config: one record a variant, found again where nothing changed, and mixed with nothing."""

from typing import Any

import pytest

from mlpipe.errors import SpecError, UserCodeError
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.faces import STAGES
from mlpipe.orchestration.runs import Request, run
from mlpipe.orchestration.runtime import now
from mlpipe.orchestration.trials import Asked, known_features, trials_of
from mlpipe.records.record import Record
from mlpipe_tests.orchestration.conftest import FIRST, LAST, TRAIN_AT, World


def tried(world: World, key: str, **asked: Any) -> list[Record]:
    """Run trials as the launchpad would; their records."""
    spec = world.spec
    name = run(spec, world.defs, world.on, Request("trial", key, key), Asked(**asked).config(spec))
    return trials_of(spec, world.on, world.store, name, key)


def shown_heads(world: World) -> dict[str, Any]:
    heads = DagsterHeads(world.on, "", now().timestamp())
    keys = world.spec.partitions.keys(FIRST, LAST)
    return {n: dict(heads.find(f"shop/{n}", keys)) for n in STAGES}


def test_each_variant_has_a_record_and_nothing_else_is_touched(small: World) -> None:
    small.run("training", TRAIN_AT)
    before, entries = shown_heads(small), small.ledger.entries()
    made = tried(
        small,
        TRAIN_AT,
        sets={"model.C": [0.01, 1.0], "features.exclude": [["price"], []]},
        experiment="sweep",
        hypothesis="less is more",
        tags={"owner": "ana"},
        note="first look",
    )
    assert [r.data["set"] for r in made] == [
        {"model.C": c, "features.exclude": e} for c in (0.01, 1.0) for e in (["price"], [])
    ]
    for record in made:
        assert (record.stage, record.asset, record.partition) == ("trial", "shop/trial", TRAIN_AT)
        assert (record.experiment, record.hypothesis, record.notes) == ("sweep", "less is more", "first look")
        assert record.tags["owner"] == "ana" and not record.reused and record.verdict == "pass"
        assert {m.name for m in record.metrics if m.split == "test"} == {"roc_auc", "f1"}
        assert record.params["model"]["C"] == record.data["set"]["model.C"]
    assert made[0].params["features"] == ["size"] and made[1].params["features"] == ["size", "price"]
    assert len({r.output("bundle").id for r in made}) == 4
    # With nothing changed it is the pipeline's own model, to the bit, judged on the same rows with the same intervals.
    own = before["model"][TRAIN_AT].outputs["bundle"].id
    assert made[3].output("bundle").id == own
    scored = before["evaluation"][TRAIN_AT].outputs["scored"].id
    assert made[3].output("scored").id == scored
    assert shown_heads(small) == before and small.ledger.entries() == entries

    again = tried(small, TRAIN_AT, sets={"C": [1.0, 2.0]})
    assert [(r.reused, r.data["set"]) for r in again] == [(True, {"model.C": 1.0}), (False, {"model.C": 2.0})]
    again = tried(small, TRAIN_AT, sets={"C": [2.0, 3.0]}, experiment="other")
    assert [(r.reused, r.experiment) for r in again] == [(True, "other"), (False, "other")]

    # The next night goes on as if nothing had been tried.
    small.run("training", LAST)
    state, models = small.ledger.state(), shown_heads(small)["model"]
    bundles = [models[k].outputs["bundle"].id for k in (TRAIN_AT, LAST)]
    assert [v.bundle for v in state.versions.values()] == bundles and bundles[0] == own


def test_what_is_wrong_is_said_before_anything_is_learned(small: World) -> None:
    with pytest.raises(SpecError) as caught:
        tried(small, TRAIN_AT, sets={"model.c": [1], "features.exclude": ["prize"], "split.test": ["9d"]})
    text = str(caught.value)
    assert "model.c" in text and "Did you mean 'model.C'" in text
    assert "no feature 'prize'" in text and "Did you mean 'price'" in text
    assert "leave nothing of the window" in text
    assert not small.events("trial")


def test_a_variant_that_fails_does_not_hold_up_the_others(small: World) -> None:
    with pytest.raises(UserCodeError, match="1 of 2 variants failed") as caught:
        # lbfgs knows no l1: the estimator says so only when it learns.
        tried(small, TRAIN_AT, sets={"model.solver": ["liblinear", "lbfgs"], "model.l1_ratio": [1.0]})
    assert "solver=lbfgs" in str(caught.value)
    assert len(small.events("trial")) == 1


def test_features_of_a_function_are_known_from_its_newest_partition(small: World) -> None:
    heads = DagsterHeads(small.on, "", now().timestamp())
    by_function = small.spec.model_copy(
        update={"features": small.spec.features.model_copy(update={"columns": ()})}
    )
    assert known_features(by_function, heads, TRAIN_AT) == ("size", "price")
    assert known_features(by_function, heads, FIRST) == ()
