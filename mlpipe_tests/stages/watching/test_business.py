"""What predictions were worth, by the user's own functions: row by row the same, by day, with limits; and challengers in shadow."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.errors import SpecError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.promotion import stage
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, label, monitor, predict, release, train
from mlpipe.stages.dataset import met
from mlpipe.stages.remake import remake
from mlpipe.stages.watching import shadow
from mlpipe.stores.agreement import overall
from mlpipe_tests.stages.pipelines import DATA, World, day, days, scheduled, spec_of, written


def profit(predictions: pd.DataFrame, labels: pd.DataFrame) -> dict[str, float]:
    """Calls to those who are told to leave cost 1 each, and keep half of those who would have left: 10 each."""
    called = predictions["predicted"]
    return {
        "calls": float(called.sum()),
        "net": float(5 * (called & (labels["churned"] == 1)).sum() - called.sum()),
    }


def played(features: pd.DataFrame, predictions: pd.DataFrame) -> float:
    """Plays of those with a score above one half: rows are the same in both frames."""
    return float(features.loc[predictions["score"] > 0.5, "plays"].sum())


def broken(labels: pd.DataFrame) -> float:
    raise ValueError("no prices today")


BUSINESS = {"profit": profit, "played": played, "broken": broken}
Watched = tuple[World, PipelineSpec]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A champion of day 20, a challenger of day 24 on staging, and days 21 to 30 scored; labels are ripe two days later."""
    folder = tmp_path_factory.mktemp("business")
    spec = spec_of(
        written(folder / "data", days(31)),
        label=ml.Label("churned", available_after="2d", outcomes=["reason"]),
        window="15d",
        monitor={"window": 4, "grid_window": 5, "business": BUSINESS, "shadow": "staging"},
        levels={"business": {"profit.net": {"at_least": 1e6}, "played": {"at_least": 0}}},
    )
    world = World(folder / "store")
    world.run_all(DATA, spec, days(31))
    for n, C in ((20, 1.0), (24, 1e-4)):
        tried = spec.model_copy(
            update={"model": spec.model.model_copy(update={"estimator": LogisticRegression(C=C)})}
        )
        for step in (train.STAGE, evaluate.STAGE, release.STAGE):
            world.run(step, tried, [day(n)], datetime(2024, 1, n + 4, tzinfo=UTC), **scheduled())
    chain = Ledger(world.store.backend, "churn")
    stage(chain, 2, "test", "in shadow", now=datetime(2024, 1, 28, 1, tzinfo=UTC))
    world.run(predict.STAGE, spec, days(10, first=21))
    return world, spec


def watch(watched: Watched, n: int, **changes: Any) -> Record:
    world, spec = watched
    changed = spec.model_copy(update={"monitor": spec.monitor.model_copy(update=changes)})
    return world.run(monitor.STAGE, changed, [day(n)])[day(n)]


def test_numbers_are_those_of_the_rows_with_predictions_and_truth(watched: Watched) -> None:
    world, _ = watched
    record = watch(watched, 27)
    heads = {
        n: world.heads.find(f"churn/{n}", [day(27)])[day(27)] for n in ("features", "predictions", "labels")
    }
    tables = {n: world.store.get_table(h.outputs[n].id) for n, h in heads.items()}
    rows = tables["features"].merge(tables["predictions"], on="_row").merge(tables["labels"], on="_row")
    told = record.data["head"]["business"]
    assert told["profit.calls"] == rows["predicted"].sum()
    assert told["profit.net"] == (rows["predicted"] * (5 * rows["churned"] - 1)).sum()
    assert told["played"] == rows.loc[rows["score"] > 0.5, "plays"].sum()
    assert {m.name for m in record.metrics if m.split == "business"} == {
        "profit.calls",
        "profit.net",
        "played",
    }


def test_a_function_that_fails_is_unknown_and_says_why(watched: Watched) -> None:
    record = watch(watched, 27)
    assert record.data["head"]["business"]["broken"] is None
    assert "ValueError: no prices today" in record.data["business_unknown"]["broken"]


def test_limits_are_levels(watched: Watched) -> None:
    head = watch(watched, 27).data["head"]
    assert head["levels"]["business.profit.net"] == [head["business"]["profit.net"], "missed"]
    assert head["levels"]["business.played"][1] == "met"


def test_before_labels_are_ripe_only_what_needs_none_is_known(watched: Watched) -> None:
    world, spec = watched
    night = datetime(2024, 2, 1, 2, tzinfo=UTC)
    world.run(label.STAGE, spec, [day(30)], night)
    told = world.run(monitor.STAGE, spec, [day(30)], night)[day(30)]
    assert (
        told.data["head"]["business"]["profit"] is None
        and told.data["head"]["business"]["played"] is not None
    )
    assert told.data["business_unknown"]["profit"] == "the day's labels are not ripe yet"


def test_a_challenger_in_shadow_stands_beside_the_champion_on_the_same_days(
    watched: Watched, tmp_path: Path
) -> None:
    world, spec = watched
    record = watch(watched, 28)
    (told,) = record.data["shadow"].values()
    assert told["days"] == 4 and record.data["head"]["shadow"] == {"2": told["value"]}
    version = Ledger(world.store.backend, "churn").state().versions[2]
    bundle = world.store.get_bundle(version.bundle)
    scores, truth = [], []
    for key in days(4, first=25):
        heads = {n: world.heads.find(f"churn/{n}", [key])[key] for n in ("features", "labels")}
        rows = world.store.get_table(heads["features"].outputs["features"].id)
        both = rows.merge(
            world.store.get_table(heads["labels"].outputs["labels"].id)[["_row", "churned"]], on="_row"
        )
        scores += list(bundle.predict(both[list(bundle.feature_names)]))
        truth += list(both["churned"])
    assert told["value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    rolling = next(m.value for m in record.metrics if (m.split, m.name) == ("rolling", "roc_auc"))
    assert told["champion"] == rolling
    assert overall(remake(spec, record, world.store, tmp_path).agreements) == "identical"
    # Of days that it was judged on, nothing is told.
    early = watch(watched, 26).data["shadow"]["2"]
    assert early["days"] == 3, "the first of the four days is the last that it learned from"
    assert watch(watched, 28, shadow=None).data["shadow"] == "not tested"


def test_a_challenger_that_cannot_answer_costs_no_night(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, spec = watched

    def without_plays(*given: Any) -> pd.DataFrame:
        rows = met(*given)
        assert rows is not None
        return rows.drop(columns="plays")

    monkeypatch.setattr(shadow, "met", without_plays)
    asked = spec.model_copy(update={"monitor": spec.monitor.model_copy(update={"window": 3})})
    told = world.run(monitor.STAGE, asked, [day(28)])[day(28)]
    (found,) = [f for f in told.findings if f.where == "shadow churn@2"]
    assert "version 2 needs the feature 'plays', which is no longer made" in found.what
    assert told.data["head"]["shadow"] == {"2": None} and told.data["head"]["rolling"] is not None


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Did you mean 'profit'"):
        spec_of(
            tmp_path, monitor={"business": {"profit": profit}}, levels={"business": {"profi": {"above": 1}}}
        )
    with pytest.raises(
        SpecError, match=r"monitor\.business\.profit\.function: its parameter 'prices' names nothing"
    ):
        spec_of(tmp_path, monitor={"business": {"profit": lambda prices: 1.0}})
    with pytest.raises(SpecError, match="needs declared slices"):
        spec_of(tmp_path, monitor={"slices": True})
    asked = {"profit": {"above": 1, "response": "block scoring"}}
    with pytest.raises(SpecError, match="known only after the day was scored"):
        spec_of(tmp_path, monitor={"business": {"profit": profit}}, levels={"business": asked})
