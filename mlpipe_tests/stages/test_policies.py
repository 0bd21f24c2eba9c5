"""Policies side by side: every number against a brute-force one, and the same when tried again."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.core.policy import Policy
from mlpipe.core.worth import Budget
from mlpipe.errors import DataError
from mlpipe.ledger.chain import Ledger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.matrix import Matrix
from mlpipe.stages.past import Past
from mlpipe.stages.policies import STANDARD, tried
from mlpipe_tests.stages.candidates import spec_at, turned
from mlpipe_tests.stages.pipelines import DATA, LATER, World, day, days, written

FIRST, TURN, LAST = 14, 15, 26
OWN = {"every": "never", "drift": None, "performance": 0.05, "cool_down": "5d", "min_new_data": "1d"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelineSpec, World]:
    folder = tmp_path_factory.mktemp("policies")
    rows = written(folder / "rows", days(LAST), **{f"d{n}": turned for n in range(TURN, LAST)})
    spec = spec_at(rows, split=ml.Split(valid="1d", test="4d"), retrain=OWN)
    made = World(folder / "store")
    made.run_all(DATA, spec, days(LAST))
    return spec, made


def past_of(world: tuple[PipelineSpec, World]) -> Past:
    spec, made = world
    return Past(spec, made.store, Ledger(made.store.backend, spec.name))


def found(world: tuple[PipelineSpec, World], *only: str, **more: Any) -> dict[str, Any]:
    spec, made = world
    keys = days(LAST - FIRST, first=FIRST)
    return tried(past_of(world), made.context(spec, LATER), keys, only=only, **more)


def test_every_number_is_what_brute_force_says(world: tuple[PipelineSpec, World]) -> None:
    told = found(world, "never", "performance", "declared")
    never, performance, declared = told["policies"]
    assert [never["retrains"], performance["retrains"]] == [1, 3] and never["promoted"] == 1
    assert performance["causes"] == {"first": 1, "performance": 2} and performance["promoted"] == 2
    # The pipeline's own policy is that one: the same life, under a name of its own.
    assert declared["chain"] != performance["chain"]
    assert [a["reason"] for a in declared["asked"]] == [a["reason"] for a in performance["asked"]]
    spec, made = world
    matrix = Matrix(past_of(world), days(LAST - FIRST, first=FIRST))
    chain = Ledger(made.store.backend, spec.name, deployment=performance["chain"])
    born = [
        (v.bundle, chain.entries()[v.entries[0] - 1].effective_at) for v in chain.state().versions.values()
    ]
    y, score, missed, auc = [], [], [], []
    for at in performance["timeline"]:
        moment = spec.partitions.window(at["day"]).end + timedelta(hours=2)
        champion = chain.state(as_of=moment).champion
        assert champion is not None and at["version"] == champion.number
        day_of = {b: matrix.scored(b, at["day"]) for b, since in born if since < moment}
        every = {b: roc_auc_score(s.y, s.score) for b, s in day_of.items() if s is not None}
        mine = day_of[champion.bundle]
        assert mine is not None and at["value"] == pytest.approx(every[champion.bundle])
        y.append(mine.y), score.append(mine.score)
        auc.append(every[champion.bundle])
        missed.append(max(every.values()) - every[champion.bundle])
    assert told["days"] == len(auc) == LAST - FIRST - 1, "the first day was before any model"
    assert performance["value"] == pytest.approx(roc_auc_score(np.concatenate(y), np.concatenate(score)))
    assert performance["mean"] == pytest.approx(np.mean(auc))
    assert performance["regret_model"] == pytest.approx(np.mean(missed)) and performance["regret_model"] > 0
    assert told["hindsight"] == pytest.approx(np.mean(auc) + np.mean(missed))
    assert told["ranked"][0] in ("performance", "declared") and performance["regret_policy"] == 0
    assert never["regret_policy"] == pytest.approx(performance["value"] - never["value"])
    assert never["against"]["difference"] == pytest.approx(-never["regret_policy"])


def test_tried_again_the_figures_are_the_same(world: tuple[PipelineSpec, World]) -> None:
    heard: list[tuple[str, int]] = []
    once = found(world, "performance", "cost-aware")
    # Cells that somebody else had made, of models before they existed, count for nothing.
    matrix = Matrix(past_of(world), [day(n) for n in range(FIRST, LAST)])
    chains = (Ledger(world[1].store.backend, "churn", deployment=p["chain"]) for p in once["policies"])
    bundles = {v.bundle for chain in chains for v in chain.state().versions.values()}
    assert matrix.fill((b, k) for b in bundles for k in matrix.days)
    again = found(
        world, "performance", "cost-aware", hear=lambda name, done, total, text: heard.append((name, done))
    )
    assert once == again
    nights = LAST - FIRST
    assert heard == [(n, nights) for n in ("performance", "never", "cost-aware")], (
        "only the last night was done again"
    )
    told = once["policies"][1]["assumes"]
    assert (
        told.startswith("a training costs what 0.009") and "worth on the 1,680 predictions of 28 days" in told
    )
    # What it assumes does not hang on which others are tried.
    (alone,) = found(world, "cost-aware")["policies"]
    shared = ("assumes", "chain", "asked", "value", "timeline")
    assert [alone[n] for n in shared] == [once["policies"][1][n] for n in shared]


def test_a_budget_and_further_policies(world: tuple[PipelineSpec, World]) -> None:
    one = Policy(
        every="day",
        drift=None,
        cool_down=timedelta(0),
        min_new_data=timedelta(days=1),
        budget=Budget(retrains=1),
    )
    told = found(world, "tight", more={"tight": one, "unused": Policy()})
    (tight,) = told["policies"]
    assert tight["retrains"] == 1, "the first model is in the month's budget, and none comes after it"
    assert [p["name"] for p in told["policies"]] == ["tight"] and "declared" in STANDARD
    with pytest.raises(DataError, match="no policy is called 'weakly'") as wrong:
        found(world, "weakly")
    assert "weekly" in wrong.value.fix and replace(one, every="week") != one


def test_where_no_policy_ever_had_a_model_it_says_why(
    world: tuple[PipelineSpec, World], tmp_path: Path
) -> None:
    spec, made = world
    never = spec.model_copy(update={"min_rows": 10_000})
    with pytest.raises(DataError, match="no policy had a model in production") as told:
        found((never, made), "never")
    assert "Begin later" in told.value.fix


def test_where_there_is_nothing_to_live_through_it_says_so(
    world: tuple[PipelineSpec, World], tmp_path: Path
) -> None:
    spec, made = world
    with pytest.raises(DataError, match="no partition lies in this stretch") as told:
        tried(past_of(world), made.context(spec, LATER), ())
    assert "mlpipe run churn" in told.value.fix
    whole = spec_at(tmp_path, partitions={"every": "none"}, window=None, split=ml.Split(), retrain=None)
    with pytest.raises(DataError, match="has no partitions"):
        tried(past_of((whole, made)), made.context(whole, LATER), ("all",))
