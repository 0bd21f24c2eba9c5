"""Planted faults: each is refused by the gate that is made for it, by name; and what is read is what the gates decided on."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mlpipe as ml
from mlpipe.errors import NotFoundError
from mlpipe.stages import evaluate, inject, train
from mlpipe.stages.judging.subject import Probed
from mlpipe_tests.stages.burdens import Large, Slow
from mlpipe_tests.stages.pipelines import (
    DATA,
    TRAINING,
    World,
    day,
    days,
    rows,
    save,
    scheduled,
    spec_of,
)

FIRST, LATER_DAY, COUNT = day(18), day(30), 300
BROKEN = 0.3
"""Share of the fixed cases in which the tip tells nothing."""
CITIES = ["Ulm"] * 11 + ["Bonn"] * 6 + ["Kiel"] * 3


def frame(key: str) -> pd.DataFrame:
    """A day in which one row in seven is of Kiel, where the rule is turned round; and a column that tells the truth."""
    made = rows(key, COUNT)
    rng = np.random.default_rng(int(made["user"][0]))
    made["city"] = rng.choice(CITIES, COUNT)
    odds = 2.0 - 0.5 * made["hours"] - 0.2 * made["plays"]
    turned = made["city"] == "Kiel"
    made["churned"] = np.where(turned, odds < 0, odds > 0).astype("int64")
    made.loc[rng.random(COUNT) < 0.1, "churned"] ^= 1
    truth = made["churned"]
    return made.assign(hint=truth + rng.normal(0, 0.05, COUNT), tip=truth + rng.normal(0, 0.5, COUNT))


GATES = [
    ml.gate.beats_champion("f1"),
    ml.gate.no_slice_regresses("roc_auc", by=0.05),
    ml.gate.within("f1", by=0.01),
    ml.gate.robust(),
    ml.gate.no_leakage(),
    ml.gate.lineage_complete(),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Thirty days, a champion, and the specification by which its challengers are judged."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "data").mkdir()
    for key in days(30):
        save(frame(key), folder / "data" / f"{key}.parquet")
    fixed = pd.concat([frame(day(n)) for n in range(40, 46)])
    fixed[fixed["city"] == "Kiel"].to_parquet(folder / "data" / "golden.parquet")
    # What a past bug left behind: on these rows the tip tells nothing.
    bug = np.random.default_rng(7).random(len(fixed)) < BROKEN
    told = fixed["churned"].mean() + np.random.default_rng(8).normal(0, 0.5, len(fixed))
    fixed.assign(tip=np.where(bug, told, fixed["tip"])).to_parquet(folder / "data" / "cases.parquet")
    spec = spec_of(folder / "data", **settings())
    made = World(folder / "store")
    made.run_all(DATA, spec, days(30))
    made.run_all(TRAINING, spec, [FIRST], **scheduled())
    return made, spec


def settings(**changes: Any) -> dict[str, Any]:
    given = {
        "features": ["hours", "plays", "city"],
        "model": HistGradientBoostingClassifier(max_iter=40, early_stopping=False),
        "window": "18d",
        "split": ml.Split(valid="2d", test="8d"),
        "metrics": ["roc_auc", "f1"],
        "slices": {"by": ["city"], "by_itself": False},
        "golden": "golden.parquet",
        "leakage": {"audit": False},
        "gates": GATES,
    }
    return {**given, **changes}


def judged(world: World, spec: Any, **run: Any) -> tuple[Any, dict[str, Any]]:
    """The evaluation of a challenger, and its decisions by kind of gate."""
    made = world.run_all((train.STAGE, evaluate.STAGE), spec, [LATER_DAY], **scheduled(), **run)
    record = made["evaluate"][LATER_DAY]
    return record, {d["kind"]: d for d in record.data["gates"]}


def test_one_slice_worse_while_the_whole_stays_within_noise(world):
    made, spec = world
    record, found = judged(made, spec, inject="shuffled-labels:city=Kiel")
    slices = {s["slice"]: s for s in record.data["judged"]["slices"]["slices"]}
    # The average hides it: what the whole lost is within noise.
    whole = record.data["ladder"]["champion"]
    assert whole["verdict"] == "noise" and whole["low"] < 0 < whole["high"] and abs(whole["lift"]) < 0.02
    assert slices["city=Kiel"]["difference"] < -0.2 and slices["city=Kiel"]["regresses"]
    assert found["no_slice_regresses"]["verdict"] == "fail"
    assert found["no_slice_regresses"]["gate"] == "no_slice_regresses(roc_auc, by=0.05)"
    assert "city=Kiel" in found["no_slice_regresses"]["sentence"]
    # The golden rows are those of Kiel: the fixed set tells what the whole does not.
    assert found["within"]["verdict"] == "fail" and found["within"]["observed"] < -0.02
    assert found["robust"]["verdict"] == found["no_leakage"]["verdict"] == "pass"


def test_better_on_the_judged_rows_and_worse_on_the_fixed_ones(world):
    made, spec = world
    golden = {"file": "cases.parquet", "name": "cases"}
    other = spec_of(spec.base_dir, **settings(features=["hours", "plays", "city", "tip"], golden=golden))
    made.run(DATA[2], other, days(30))
    record, found = judged(made, other)
    made.run(DATA[2], spec, days(30))
    assert found["beats_champion"]["verdict"] == "pass"
    assert found["beats_champion"]["observed"] == pytest.approx(0.05, abs=0.02)
    within, facts = found["within"], record.data["judged"]["golden"]
    assert (
        within["verdict"] == "fail"
        and within["gate"] == "within(f1, 0.01)"
        and "'cases'" in within["sentence"]
    )
    assert within["observed"] == pytest.approx(-0.02, abs=0.01)
    assert within["observed"] == pytest.approx(facts["metrics"]["f1"] - facts["champion"]["f1"])
    assert record.verdict == "fail"


def test_labels_shuffled_for_one_city(world):
    _, found = judged(*world, inject="shuffled-labels:city=Bonn")
    assert found["no_slice_regresses"]["verdict"] == "fail"
    assert "city=Bonn" in found["no_slice_regresses"]["sentence"]


def test_a_model_that_differs_within_noise(world):
    record, found = judged(*world)
    assert found["beats_champion"]["verdict"] == "fail"
    low, high = found["beats_champion"]["interval"]
    assert low < 0 < high
    assert (
        record.data["ladder"]["constant"]["verdict"] == record.data["ladder"]["linear"]["verdict"] == "better"
    )
    others = {k: d["verdict"] for k, d in found.items() if k != "beats_champion"}
    assert set(others.values()) == {"pass"}, others
    assert {"slices", "golden", "robustness", "leakage", "lineage"} <= {a.name for a in record.artifacts}


def test_a_leaky_column(world):
    made, spec = world
    leaky = spec_of(spec.base_dir, **settings(features=["hours", "plays", "city", "hint"]))
    made.run(DATA[2], leaky, days(30))
    _, found = judged(made, leaky)
    assert found["no_leakage"]["verdict"] == "fail" and "hint" in found["no_leakage"]["sentence"]
    made.run(DATA[2], spec, days(30))


def test_a_model_that_crashes_on_a_city_never_seen(world):
    made, spec = world
    fragile = make_pipeline(OneHotEncoder(handle_unknown="error"), LogisticRegression())
    model = {"estimator": fragile, "preprocess": "none"}
    other = spec_of(
        spec.base_dir, **settings(features=["city"], model=model, golden=None, gates=[ml.gate.robust()])
    )
    made.run(DATA[2], other, days(30))
    _, found = judged(made, other)
    made.run(DATA[2], spec, days(30))
    assert found["robust"]["verdict"] == "fail" and "in city" in found["robust"]["sentence"]


def test_budgets_are_kept_by_what_was_measured(world, monkeypatch):
    measured = {"p99_ms": 500.0, "peak_mb": 800.0, "bundle_mb": 1.0}
    monkeypatch.setattr("mlpipe.stages.judging.resources.probe", lambda subject: Probed(measured, measured))
    gates = [ml.gate.fast_enough(200), ml.gate.fits_in_memory(400)]
    made, spec = world
    _, found = judged(made, spec_of(spec.base_dir, **settings(gates=gates)))
    assert found["fast_enough"]["verdict"] == found["fits_in_memory"]["verdict"] == "fail"
    assert (found["fast_enough"]["observed"], found["fits_in_memory"]["limit"]) == (500.0, 400.0)


@pytest.mark.long
def test_half_a_second_an_answer_against_a_budget_of_200_ms(world):
    decision, facts = burdened(world, Slow(), ml.gate.fast_enough(200))
    assert decision["verdict"] == "fail" and decision["gate"] == "fast_enough(200)"
    assert 500 <= decision["observed"] == facts["p99_ms"] < 700 and decision["limit"] == 200


@pytest.mark.long
def test_800_megabytes_against_400(world):
    decision, facts = burdened(world, Large(), ml.gate.fits_in_memory(400))
    assert decision["verdict"] == "fail" and decision["gate"] == "fits_in_memory(400)"
    assert 800 <= decision["observed"] == facts["peak_mb"] < 1000 and decision["limit"] == 400


def burdened(world: tuple[World, Any], model: Any, gate: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What its gate decides about a model, timed and weighed in a process of its own, and the facts."""
    made, spec = world
    asked = {"estimator": model, "trusted": [f"{type(model).__module__}.{type(model).__name__}"]}
    quick = {"calls": 20, "seconds": 0.5}
    record, found = judged(
        made,
        spec_of(
            spec.base_dir, **settings(model=asked, golden=None, slices=[], gates=[gate], resources=quick)
        ),
    )
    return next(iter(found.values())), record.data["judged"]["resources"]


def missed(y: Any, label: Any) -> float:
    """Share of those who leave that were not found."""
    return float(np.mean(np.asarray(label)[np.asarray(y) == 1] == 0))


def test_a_metric_of_ones_own_and_what_errors_cost(world):
    made, spec = world
    own = {"name": "missed", "function": missed, "better": "lower", "needs": "label"}
    gates = [
        ml.gate.at_most("cost", 0.7),
        ml.gate.beats_baseline("cost", margin=0.1),
        ml.gate.within("cost", by=0.5),
        ml.gate.at_most("missed", 0.05),
    ]
    costs = {"false_positive": 1, "false_negative": 5}
    record, found = judged(
        made, spec_of(spec.base_dir, **settings(metrics=["roc_auc", "f1", own], cost=costs, gates=gates))
    )
    assert {k: found[k]["verdict"] for k in ("beats_baseline", "within")} == {
        "beats_baseline": "pass",
        "within": "pass",
    }
    table, bundle = made.table(record, "scored"), made.store.get_bundle(record.data["bundle"])
    y, label = table["y"] == 1, table["score"] >= bundle.threshold
    wanted = {"cost": (5 * (y & ~label) + (~y & label)).mean(), "missed": (~label[y]).mean()}
    told = {d["gate"]: d for d in record.data["gates"]}
    spent, lost = told["at_most(cost, 0.7)"], told["at_most(missed, 0.05)"]
    assert spent["verdict"] == "pass" and spent["observed"] == pytest.approx(wanted["cost"])
    assert lost["verdict"] == "fail" and lost["observed"] == pytest.approx(wanted["missed"])
    # A cost is better when it is lower, on the golden rows too.
    golden = record.data["judged"]["golden"]
    assert golden["difference"]["cost"]["value"] == pytest.approx(
        golden["champion"]["cost"] - golden["metrics"]["cost"]
    )
    assert {"missed", "cost"} <= {m.name for m in record.metrics if m.split == "test"}


def test_groups_that_are_treated_unlike(world):
    made, spec = world
    measures = {
        "demographic_parity_difference": 0.1,
        "demographic_parity_ratio": 0.1,
        "predictive_parity_difference": 0.1,
    }
    gates = [*(ml.gate.fair(name, limit) for name, limit in measures.items()), ml.gate.fair("four_fifths")]
    record, _ = judged(made, spec_of(spec.base_dir, **settings(fairness=["city"], gates=gates)))
    asked, ratio, precise, rule = (d for d in record.data["gates"] if d["kind"] == "fair")
    table, bundle = made.table(record, "scored"), made.store.get_bundle(record.data["bundle"])
    chosen = table["score"] >= bundle.threshold
    heads = made.heads.find("churn/features", days(30))
    made_of = pd.concat(
        [made.store.get_table(h.outputs["features"].id).assign(_partition=k) for k, h in heads.items()]
    )
    city = table.merge(made_of[["_partition", "_row", "city"]], on=["_partition", "_row"], validate="1:1")[
        "city"
    ]
    rates = chosen.groupby(city.to_numpy()).mean()
    assert asked["verdict"] == rule["verdict"] == "fail" and asked["observed"] > 0.5
    assert asked["observed"] == pytest.approx(rates.max() - rates.min())
    assert ratio["verdict"] == "pass" and ratio["observed"] == pytest.approx(rates.min() / rates.max())
    hit = (table["y"][chosen] == 1).groupby(city.to_numpy()[chosen]).mean()
    assert precise["verdict"] == "pass" and precise["observed"] == pytest.approx(hit.max() - hit.min())
    assert record.verdict == "fail" and "by city" in asked["sentence"] and "by city" in rule["sentence"]


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("shuffled", "unknown fault"),
        ("shuffled-labels:city", "says no rows"),
        ("shuffled-labels:town=Ulm", "'town'"),
        ("shuffled-labels:city=Rom", "none is learned from"),
    ],
)
def test_a_fault_says_its_rows(fault: str, what: str) -> None:
    y, learned = np.arange(6.0), np.array([True] * 4 + [False] * 2)
    where = pd.DataFrame({"city": ["Ulm", "Bonn"] * 3})
    with pytest.raises(NotFoundError, match=what):
        inject.injected(fault, y, learned, 3, where)
    out = inject.injected("shuffled-labels:city=Ulm", y, learned, 3, where)
    assert sorted(out) == list(range(6)) and list(out[[1, 3, 4, 5]]) == [1, 3, 4, 5]
