"""A contract tried on the past: the false-alarm rate is what a count by hand gives."""

from pathlib import Path

import pytest
from scipy.stats import beta

from mlpipe.ledger.chain import Ledger
from mlpipe.spec.modeling import Retrain
from mlpipe.spec.overlaid import contracted_by
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.past import Past
from mlpipe.stages.rechecked import rechecked
from mlpipe_tests.stages.candidates import LAST, MONITORED
from mlpipe_tests.stages.pipelines import World, day, days, rows

MOST, FLOOR = 14.0, 0.93


@pytest.fixture(scope="module")
def past(candidates: tuple[PipelineSpec, World]) -> Past:
    spec, world = candidates
    return Past(spec, world.store, Ledger(world.store.backend, spec.name))


def tightened(past: Past, folder: Path) -> PipelineSpec:
    file = folder / "tighter.yaml"
    file.write_text(f"columns:\n  hours: {{max: {MOST:g}}}\nfloor: {FLOOR}\n")
    return contracted_by(past.spec, file)


def test_a_planted_tightening_reports_the_rate_that_a_count_by_hand_gives(past: Past, tmp_path: Path) -> None:
    before = sorted(past.store.backend.list())
    found = rechecked(past, tightened(past, tmp_path), days(LAST), tmp_path / "made")
    fails = {day(n) for n in range(LAST) if (rows(day(n))["hours"] <= MOST).mean() < FLOOR}
    assert 3 < len(fails) < LAST - 3, "the example must have both"
    assert {d["day"] for d in found["days"] if d["now"] == "fail"} == fails
    monitored = {r.partition: r.verdict for r in past.newest("monitor").values()}
    fine = {k for k, verdict in monitored.items() if verdict == "stable"}
    drifted = {k for k, verdict in monitored.items() if verdict == "drift"}
    assert set(monitored) == {day(n) for n in MONITORED}
    rate = found["false_alarms"]
    assert (rate["days"], rate["failed"]) == (len(fine), len(fine & fails)) and rate["days"]
    assert rate["rate"] == len(fine & fails) / len(fine)
    k, n = rate["failed"], rate["days"]
    low, high = beta.ppf(0.025, k, n - k + 1) if k else 0.0, beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    assert (rate["low"], rate["high"]) == pytest.approx((low, high))
    assert found["not_fine"]["days"] == len(drifted)
    assert found["not_judged"]["failed"] == len(fails - fine - drifted)
    assert (found["passed"]["days"], found["passed"]["failed"]) == (LAST, len(fails))
    (rule,) = found["rules"]
    assert "hours" in rule["rule"] and (rule["days"], rule["fine_days"]) == (len(fails), len(fine & fails))
    assert sorted(past.store.backend.list()) == before, "the store is only read"


def test_the_contract_that_was_in_force_fails_no_day_that_it_passed(past: Past, tmp_path: Path) -> None:
    found = rechecked(past, past.spec, days(LAST), tmp_path)
    assert all(d["now"] == d["then"] == "pass" for d in found["days"]) and found["validated"] == LAST
    assert found["false_alarms"]["failed"] == 0 and found["rules"] == []
    nothing = rechecked(past, past.spec, (), tmp_path)
    assert nothing["validated"] == 0 and nothing["false_alarms"]["rate"] is None


def test_a_day_of_drift_or_of_a_fallen_metric_was_not_fine(past: Past, tmp_path: Path) -> None:
    drifting, falling = day(MONITORED[1]), day(MONITORED[0])
    spec = past.spec.model_copy(update={"retrain": Retrain(performance=0.05)})
    other = Past(spec, past.store, past.ledger)
    seen = other.newest("monitor")
    alarm = {
        "verdict": "drift",
        "data": {**seen[drifting].data, "head": {**seen[drifting].data["head"], "drifted": ["hours"]}},
    }
    other.records[seen[drifting].id] = seen[drifting].model_copy(update=alarm)
    found = {d["day"]: d for d in rechecked(other, spec, days(LAST), tmp_path)["days"]}
    assert (found[drifting]["standing"], found[drifting]["why"]) == ("not_fine", "drift of hours")
    # The world turned round before the day, and its window of three days tells.
    fall = other.state.versions[1].details["metrics"]["roc_auc"] - seen[falling].data["head"]["rolling"]
    assert fall > 0.05 and found[falling]["standing"] == "not_fine"
    assert found[falling]["why"] == f"roc_auc had fallen by {fall:.3g}"
    # Where the policy names no decline, none is seen.
    silent = rechecked(past, past.spec, [falling], tmp_path / "b")["days"]
    assert [d["standing"] for d in silent] == ["fine"]
