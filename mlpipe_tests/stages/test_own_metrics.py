"""Pipelines that are judged by a metric of their own, or by what errors cost: night by night, by brute force."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pytest

import mlpipe as ml
from mlpipe.core.metrics import Metric
from mlpipe.core.policy import Policy
from mlpipe.errors import NotFoundError, UserCodeError
from mlpipe.ledger.chain import Ledger
from mlpipe.records.codec import HEAD_DATA
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, monitor
from mlpipe.stages.consequences import production
from mlpipe.stages.context import Context, MemoryHeads
from mlpipe.stages.decay import survey
from mlpipe.stages.lives import Life, Recorded
from mlpipe.stages.matrix import Matrix
from mlpipe.stages.past import Past
from mlpipe.stages.runner import run_stage
from mlpipe_tests.stages.candidates import spec_at, turned
from mlpipe_tests.stages.pipelines import DATA, LATER, World, day, days, written

FIRST, TURN, LAST = 5, 6, 13
COOL = 6
COSTS = {"false_positive": 1, "false_negative": 5}


def saved(y: np.ndarray, label: np.ndarray) -> float:
    """A right answer gains one, a wrong one loses one; a mean over customers."""
    return float(np.mean(np.where(y == label, 1.0, -1.0)))


def wasted(y: np.ndarray, score: np.ndarray) -> float:
    """Certainty about the wrong class; undefined where nobody left."""
    return float(np.mean(np.abs(score - y))) if y.any() else float("nan")


def by_hand(y: np.ndarray, score: np.ndarray, threshold: float) -> dict[str, float]:
    """Each metric of some rows, row by row."""
    gains, costs, off = [], [], []
    for true, value in zip(y, score, strict=True):
        label = value >= threshold
        gains.append(1.0 if label == bool(true) else -1.0)
        costs.append(1.0 if label and not true else 5.0 if true and not label else 0.0)
        off.append(abs(value - true))
    return {"saved": np.mean(gains), "cost": np.mean(costs), "wasted": np.mean(off)}


SAVED = {"name": "saved", "function": saved, "better": "higher", "needs": "label"}
WASTED = {"name": "wasted", "function": wasted, "better": "lower"}
CASES: dict[str, dict[str, Any]] = {
    "wasted": {"metrics": [WASTED, "roc_auc", SAVED]},
    "cost": {"metrics": ["cost", "roc_auc"], "own_metrics": [SAVED, WASTED]},
    "saved": {"metrics": [SAVED, "roc_auc"], "own_metrics": [WASTED]},
}


@dataclass
class Lived:
    """A life under a policy that asks when the primary metric falls."""

    metric: Metric
    spec: PipelineSpec
    world: World
    life: Life

    @cached_property
    def past(self) -> Past:
        """What the life made, and the facts that it found."""
        ledger = Ledger(self.world.store.backend, self.spec.name, deployment=self.life.chain)
        return Past(self.spec, self.world.store, ledger)

    def head(self, key: str) -> Mapping[str, Any]:
        """What a night's monitor tells."""
        return self.life.heads.find(f"{self.spec.name}/monitor", [key])[key].data or {}

    def outcomes(self, key: str) -> tuple[np.ndarray, np.ndarray, float]:
        """Truth and scores of a day, and the threshold of the model that gave them."""
        predicted, truth = (self.past.newest(stage)[key] for stage in ("predict", "label"))
        rows = self.world.table(predicted, "predictions").merge(
            self.world.table(truth, "labels"), on="_row", suffixes=("", "_label")
        )
        version = self.life.ledger.state().versions[int(predicted.data["version"])]
        bundle = self.world.store.get_bundle(version.bundle)
        assert bundle.threshold is not None
        return rows["churned"].to_numpy(), rows["score"].to_numpy(), bundle.threshold


@pytest.fixture(
    scope="module", params=["wasted", *(pytest.param(n, marks=pytest.mark.long) for n in ("cost", "saved"))]
)
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Days of which from the seventh on who stayed leaves."""
    folder = tmp_path_factory.mktemp(request.param)
    changes: dict[str, Any] = {f"d{n}": turned for n in range(TURN, LAST)}
    rows = written(folder / "rows", days(LAST), **changes)
    spec = spec_at(
        rows,
        window="5d",
        split=ml.Split(valid="1d", test="2d"),
        # Two days are judged: no one could be sure of much.
        gates=[
            ml.gate.beats_champion(request.param, level=0.8),
            ml.gate.beats_baseline(request.param, level=0.8),
        ],
        retrain=None,
        cost=COSTS,
        **CASES[request.param],
    )
    world = World(folder / "store")
    world.run_all(DATA, spec, days(LAST))
    policy = Policy(
        every="never",
        drift=None,
        performance=0.3,
        cool_down=timedelta(days=COOL),
        min_new_data=timedelta(days=1),
    )
    past = Past(spec, world.store, Ledger(world.store.backend, spec.name))
    life = Life(
        Recorded(spec, past), "eager", policy, days(LAST - FIRST, first=FIRST), world.context(spec, LATER)
    )
    life.live()
    return Lived(spec.measures.of(request.param), spec, world, life)


def test_a_fall_of_the_metric_has_a_better_model_trained_and_promoted(lived: Lived) -> None:
    first, *others = lived.life.asked()
    assert (first.key, first.cause, first.outcome) == (day(FIRST), "first", "promoted")
    assert others and {a.cause for a in others} == {"performance"}
    assert "promoted" in {a.outcome for a in others}
    assert not lived.life.failed
    # It asks once it may, for the window is worse by the limit: gains are fewer, and costs are more.
    fallen = -1 if lived.metric.better == "higher" else 1
    limit, told = lived.life.policy.performance, lived.head(day(FIRST + COOL))
    promised = lived.life.ledger.state().versions[1].details["metrics"][lived.metric.name]
    assert limit is not None and others[0].key == day(FIRST + COOL)
    assert fallen * (told["rolling"] - promised) >= limit


def test_each_night_tells_what_brute_force_finds(lived: Lived) -> None:
    name, own, intervals = lived.metric.name, lived.spec.measures.own, 0
    assert set(own) == {"saved", "wasted", "cost"}
    for n in range(FIRST + 1, LAST):
        record, head = lived.past.newest("monitor")[day(n)], lived.head(day(n))
        values = {(m.split, m.name): m for m in record.metrics}
        told = by_hand(*lived.outcomes(day(n)))
        for own_name in own:
            assert values["realised", own_name].value == pytest.approx(told[own_name], abs=1e-12)
            assert values["realised", own_name].better == lived.spec.measures.of(own_name).better
        assert head["primary"] == name and head["realised"] == pytest.approx(told[name], abs=1e-12)
        window = [lived.outcomes(k) for k in days(3, first=n - 2) if k > day(FIRST)]
        if len({threshold for _, _, threshold in window}) == 1:
            y, score = (np.concatenate([w[i] for w in window]) for i in (0, 1))
            whole = by_hand(y, score, window[0][2])[name]
            assert head["rolling"] == pytest.approx(whole, abs=1e-12) == values["rolling", name].value
            if len(window) > 1:
                assert head["rolling_low"] <= whole <= head["rolling_high"]
                intervals += 1
        if name == "cost":
            # What errors cost follows from scores; what a function of one's own makes of them does not.
            estimate = record.data["estimated"]["day"]
            assert record.data["estimated"]["metric"] == "cost" and 0 <= estimate["value"] <= 5
            assert estimate["error"] == pytest.approx(told[name] - estimate["value"], abs=1e-9)
            continue
        assert record.data["estimated"]["why"].startswith(
            f"not estimated: {name} is the primary metric, and one of your own"
        )
    assert intervals > 2


def test_evaluation_release_and_hindsight_go_by_it(lived: Lived) -> None:
    name, sign = lived.metric.name, lived.metric.sign
    made = lived.past.newest("evaluate")
    last = made[max(made)]
    assert last.data["primary"] == name and last.headline.startswith(f"{name} **")
    (gate,) = (g for g in last.data["gates"] if g["kind"] == "beats_champion")
    values = {(m.split, m.name): m for m in last.metrics}
    ours, theirs = (values[s, name].value for s in ("test", "constant"))
    assert gate["gate"].startswith(f"beats_champion({name}") and gate["observed"] is not None
    assert last.data["lift"]["constant"] == pytest.approx(sign * (ours - theirs))
    assert last.data["ladder"]["constant"]["lift"] == pytest.approx(sign * (ours - theirs))
    assert all(name in v.details["metrics"] for v in lived.life.ledger.state().versions.values())
    keys = days(3, first=LAST - 3)
    found = survey(lived.past, keys, by="day")
    assert (found["metric"], found["better"]) == (name, lived.metric.better)
    served = lived.past.newest("predict")[keys[-1]].data["version"]
    row = found["grid"][[m["version"] for m in found["models"]].index(served)]
    assert row[-1]["value"] == pytest.approx(by_hand(*lived.outcomes(keys[-1]))[name], abs=1e-12)


def test_two_pasts_are_compared_by_it(lived: Lived) -> None:
    """Each day with the threshold of whoever answered it, in the metric's own direction."""
    keys = days(LAST - FIRST - 1, first=FIRST + 1)
    matrix, models = Matrix(lived.past, keys), lived.past.models()
    primary = matrix.primary(models)
    assert primary is not None and primary.name == lived.metric.name
    matrix.fill((m.bundle, k) for m in models for k in keys)
    first, served = models[0].bundle, {k: lived.past.newest("predict")[k].data["version"] for k in keys}
    by_number = {m.version: m.bundle for m in models}
    both = {k: (matrix.scored(first, k), matrix.scored(by_number[served[k]], k)) for k in keys}
    found = production(both, lived.metric, 100, 0)
    for side, name in ((0, "then"), (1, "now")):
        parts = [pair[side] for pair in both.values()]
        told = [by_hand(p.y, p.score, p.threshold or 0.0)[lived.metric.name] * len(p.y) for p in parts if p]
        assert found[name] == pytest.approx(sum(told) / found["rows"], abs=1e-9)
    assert found["difference"] == pytest.approx(lived.metric.sign * (found["now"] - found["then"]))
    assert found["difference"] > 0
    with pytest.raises(NotFoundError, match="unknown metric 'costs'"):
        survey(lived.past, keys, metric="costs")


def broken(y: np.ndarray, score: np.ndarray) -> float:
    raise LookupError("no price list")


def undefined(y: np.ndarray, score: np.ndarray) -> float:
    return float("nan")


def under(lived: Lived, function: Any, n: int = LAST - 1) -> tuple[PipelineSpec, Context]:
    """The pipeline with another function in the place of its own metrics', and what its stages touch."""
    own = tuple(m.model_copy(update={"function": function}) for m in lived.spec.own_metrics)
    spec = lived.spec.model_copy(update={"own_metrics": own})
    context = lived.world.context(spec, lived.life.moment(day(n)))
    copied = MemoryHeads()
    for asset in ("raw", "validated", "features", "labels", "model", "predictions", "monitor"):
        for head in lived.life.heads.find(f"{spec.name}/{asset}", days(LAST)).values():
            copied.add(head)
    return spec, replace(context, ledger=lived.life.ledger, heads=copied)


def test_one_that_raises_is_named_and_hides_nothing_else(lived: Lived) -> None:
    key = day(FIRST + 2)
    before = lived.past.newest("monitor")[key]
    spec, context = under(lived, broken)
    (record,) = run_stage(monitor.STAGE, spec, [key], context)
    assert not record.reused, "its code is part of the recipe"
    told = [f for f in record.findings if f.where.startswith("metric ")]
    assert {f.where.partition(",")[0] for f in told} == {"metric saved", "metric wasted"}
    assert all("raised LookupError: no price list" in f.what and __file__ in f.where for f in told)
    mine = {m.name: m for m in record.metrics if m.split == "realised"}
    assert "saved" not in mine and mine["cost"].value == pytest.approx(by_hand(*lived.outcomes(key))["cost"])
    assert mine["roc_auc"] in before.metrics and record.data["thresholds"] == before.data["thresholds"]
    with pytest.raises(UserCodeError, match="raised LookupError: no price list") as caught:
        list(run_stage(evaluate.STAGE, spec, [day(FIRST + COOL)], context))
    assert f"partition {day(FIRST + COOL)}" in caught.value.where and __file__ in caught.value.where


def test_one_that_is_undefined_is_none_and_no_number(lived: Lived) -> None:
    spec, context = under(lived, undefined)
    (record,) = run_stage(monitor.STAGE, spec, [day(FIRST + 2)], context)
    assert not {"saved", "wasted"} & {m.name for m in record.metrics if m.split in ("realised", "rolling")}
    if lived.metric.name != "cost":
        head = record.data[HEAD_DATA]
        assert (head["realised"], head["rolling"], head["rolling_low"]) == (None, None, None)
        assert f"{lived.metric.name} undefined this partition" in record.headline
        spec, context = under(lived, undefined, FIRST + COOL)
        (judged,) = run_stage(evaluate.STAGE, spec, [day(FIRST + COOL)], context)
        gates = {g["gate"].partition("(")[0]: g["verdict"] for g in judged.data["gates"]}
        assert judged.verdict == "fail" and gates == {"beats_champion": "error", "beats_baseline": "error"}
        assert judged.data["lift"]["constant"] is None and "undefined" in judged.headline
