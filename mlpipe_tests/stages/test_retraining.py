"""What the policy is told, which days a night does again, and how the past compares with hindsight."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, roc_auc_score

import mlpipe as ml
from mlpipe.core.metrics import METRICS, Scored
from mlpipe.core.policy import Policy, decide
from mlpipe.core.worth import Budget, Pays
from mlpipe.errors import NotFoundError
from mlpipe.ledger.entry import Draft
from mlpipe.stages import feature, ingest, inject, label, monitor, predict, refresh, validate
from mlpipe.stages.hindsight import metric_of, pooled, seen
from mlpipe.stages.retraining import attempts_of, facts_of, policy_of
from mlpipe_tests.stages.pipelines import (
    DATA,
    LIVE,
    TRAINING,
    World,
    day,
    days,
    rows,
    save,
    scheduled,
    spec_of,
    written,
)

NIGHT = timedelta(hours=2)
AUC = METRICS["roc_auc"]


def shifted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(hours=frame["hours"] * 3 + 10)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Any]:
    """Thirty days, of which the last three are shifted; a model of the twentieth, judged at 0.9 or so."""
    folder = tmp_path_factory.mktemp("watched")
    spec = spec_of(written(folder / "data", days(30), **{f"d{n}": shifted for n in range(27, 30)}))
    world = World(folder / "store")
    world.run_all(DATA, spec, days(30))
    world.run_all(TRAINING, spec, [day(20)], **scheduled())
    world.run_all(LIVE, spec, days(10, first=20))
    return world, spec


@pytest.fixture
def world(watched: tuple[World, Any], tmp_path: Path) -> tuple[World, Any]:
    """A copy of it for a test of its own."""
    return watched[0].copied(tmp_path / "store"), watched[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """Thirty days as they are, and a world that has taken them in."""
    folder = tmp_path_factory.mktemp("data")
    raw, world = written(folder / "raw", days(30)), World(folder / "store")
    world.run_all(DATA, spec_of(raw), days(30))
    return raw, world


def told(world: World, spec: Any, policy: Policy, key: str, **more: Any) -> Any:
    ledger = world.context(spec).ledger
    return facts_of(spec, policy, key, world.heads, ledger.state(), ledger.entries(), world.store, **more)


def test_facts_are_what_the_records_say(world: tuple[World, Any]) -> None:
    made, spec = world
    facts = told(made, spec, Policy(), day(29))
    assert [o.key for o in facts.observations] == list(days(10, first=20))
    assert facts.observations[-1].end == datetime(2024, 1, 31, tzinfo=UTC)
    assert {o.version for o in facts.observations} == {facts.champion} == {1}
    # The last column of the drift table is what the observation says, to the digit.
    record = made.run(monitor.STAGE, spec, [day(29)])[day(29)]
    table = made.table(record, "drift").set_index("feature")
    psi, limit = facts.observations[-1].columns["hours"]
    assert psi == table.loc["hours", "psi"] and limit == table.loc["hours", "threshold"] and psi > limit
    version = made.context(spec).ledger.state().versions[1]
    assert facts.expected == version.details["metrics"]["roc_auc"] and facts.sign == 1.0
    assert facts.trained_until == spec.partitions.window(day(20)).start
    # Sixteen of the twenty days of a window make 80 %.
    assert facts.needed == 16 and facts.good == 20
    assert decide(replace(Policy(), min_new_data=timedelta(0)), facts).details["column"] == "hours"


def test_the_declared_policy_is_the_one_that_is_asked() -> None:
    declared = ml.Retrain(every="week", drift=0.3, cool_down="2d", performance=0.1)
    spec = spec_of(Path("."), retrain=declared)
    expected = Policy("week", 0.3, cool_down=timedelta(days=2), performance=0.1)
    assert policy_of(spec.retrain) == expected
    assert policy_of(spec_of(Path(".")).retrain) == Policy()
    assert policy_of(spec_of(Path("."), retrain=None).retrain) is None
    worth = ml.Retrain(
        pays={"value": 0.5, "training": 20, "review": "7d"}, budget={"retrains": 4, "minutes": 90}
    )
    expected = Policy(pays=Pays(0.5, 20.0, timedelta(days=7)), budget=Budget(4, 90.0))
    assert policy_of(spec_of(Path("."), retrain=worth).retrain) == expected


def test_claims_are_attempts_and_other_names_are_none(world: tuple[World, Any]) -> None:
    made, spec = world
    ledger = made.context(spec).ledger
    common = {"actor": "a", "role": "sensor", "reason": "r", "effective_at": datetime(2024, 2, 1, tzinfo=UTC)}
    names = ["drift:1:2024-01-28:1", "inject:shuffled-labels:2024-01-28", "somebody's own claim"]
    for name in names:
        ledger.claim(name, "run", logical_date=day(28), **common)
    (found,) = attempts_of(spec, ledger.entries())
    assert found[0].name == names[0] and found[0].cause == "drift" and found[1] == day(28)
    assert found[0].end == datetime(2024, 1, 30, tzinfo=UTC)
    facts = told(made, spec, Policy(), day(29), failed=[names[0]])
    assert facts.attempts[0].failed and facts.trained_until == spec.partitions.window(day(20)).start
    facts = told(made, spec, Policy(), day(29))
    assert facts.trained_until == spec.partitions.window(day(28)).start
    assert Draft(kind="claim", **common).kind == "claim"


def test_corrected_data_is_noticed_and_ripening_labels_are_not(tmp_path: Path) -> None:
    folder = written(tmp_path / "data", days(25))
    spec = spec_of(folder, label=ml.Label("churned", available_after="2d", outcomes=["reason"]))
    made = World(tmp_path / "store")
    # Ingested as each night would have: the newest labels are not known yet.
    now = spec.partitions.window(day(19)).end + NIGHT
    made.run_all(DATA, spec, days(20), as_of=now)
    made.run_all(TRAINING, spec, [day(19)], as_of=now, **scheduled())
    assert made.heads.find("churn/labels", [day(18)])[day(18)].verdict == "unripe"
    policy = Policy(on_new_data=True)
    later = spec.partitions.window(day(24)).end + NIGHT
    made.run_all(DATA, spec, days(5, first=20), as_of=later)
    made.run(label.STAGE, spec, days(20), as_of=later)
    made.run_all(LIVE, spec, [day(24)], as_of=later)
    assert told(made, spec, policy, day(24)).corrected == ()
    save(rows(day(5)).assign(plays=1), folder / f"{day(5)}.parquet")
    for stage in (ingest.STAGE, validate.STAGE, feature.STAGE):
        made.run(stage, spec, [day(5)], as_of=later)
    facts = told(made, spec, policy, day(24))
    assert facts.corrected == (day(5),) and facts.correction
    assert told(made, spec, Policy(), day(24)).corrected == (), "nobody asked"


# -- which days a night does again ---------------------------------------------------------------------------------


def test_a_night_does_again_exactly_the_days_whose_labels_ripened(tmp_path: Path) -> None:
    spec = spec_of(
        written(tmp_path / "data", days(30)),
        label=ml.Label("churned", available_after="3d", outcomes=["reason"]),
        min_coverage=0.5,
    )
    made = World(tmp_path / "store")
    start = spec.partitions.window(day(21)).end + NIGHT
    made.run_all(DATA, spec, days(22), as_of=start)
    made.run_all(TRAINING, spec, [day(20)], as_of=start, **scheduled())
    made.run_all(LIVE, spec, days(2, first=20), as_of=start)
    done: list[tuple[str, ...]] = []
    for n in range(22, 30):
        night = spec.partitions.window(day(n)).end + NIGHT
        ctx = made.context(spec, night)
        made.run_all((ingest.STAGE, validate.STAGE, feature.STAGE), spec, [day(n)], as_of=night)
        stale = refresh.again(spec, "labels", day(n), ctx)
        # Two hours into the night: D - 3 is known altogether, D - 2 begins to be; D - 1 is not known at all, older ones are ripe.
        assert tuple(stale) == days(2, first=n - 3)
        made.run(label.STAGE, spec, [*stale, day(n)], as_of=night)
        made.run(predict.STAGE, spec, [day(n)], as_of=night)
        touched = refresh.again(spec, "monitor", day(n), made.context(spec, night))
        done.append(tuple(touched))
        records = made.run(monitor.STAGE, spec, [*touched, day(n)], as_of=night)
        assert all(
            records[k].metrics and "realised" in {m.split for m in records[k].metrics} for k in touched
        )
        assert refresh.again(spec, "monitor", day(n), made.context(spec, night)) == {}, "once is enough"
    # The day D - 3 ripens in the night of D; days before the champion were never watched.
    assert done == [(), *[(day(n - 3),) for n in range(23, 30)]]
    assert refresh.again(spec, "features", day(29), made.context(spec)) == {}


def test_a_day_is_judged_by_the_version_that_predicted_it(data: tuple[Path, World], tmp_path: Path) -> None:
    """Labels ripen after the champion changed: the old version's day stays the old version's."""
    spec = spec_of(
        data[0],
        min_tenure="0s",
        gates=[ml.gate.beats_champion("roc_auc", margin=-1)],
    )
    made = data[1].copied(tmp_path / "store")
    early, late = (datetime(2024, 1, n, tzinfo=UTC) for n in (22, 29))
    made.run_all(TRAINING, spec, [day(20)], as_of=early, **scheduled())
    made.run_all(LIVE, spec, [day(21)], as_of=early)
    made.run_all(TRAINING, spec, [day(27)], as_of=late, **scheduled())
    assert made.context(spec).ledger.state().champion.number == 2
    again = made.run(monitor.STAGE, spec, [day(21)])[day(21)]
    assert again.data["version"] == 1
    assert made.run(predict.STAGE, spec, [day(28)])[day(28)].data["version"] == 2
    assert made.run(monitor.STAGE, spec, [day(28)])[day(28)].data["version"] == 2


# -- hindsight ------------------------------------------------------------------------------------------------------


def test_hindsight_scores_the_same_rows_by_the_live_and_by_the_first_champion(
    data: tuple[Path, World], tmp_path: Path
) -> None:
    spec = spec_of(
        data[0],
        min_tenure="0s",
        gates=[ml.gate.beats_champion("roc_auc", margin=-1)],
    )
    made = data[1].copied(tmp_path / "store")
    early, late = (datetime(2024, 1, n, tzinfo=UTC) for n in (22, 27))
    made.run_all(TRAINING, spec, [day(20)], as_of=early, **scheduled())
    made.run_all(LIVE, spec, days(4, first=21), as_of=early)
    made.run_all(TRAINING, spec, [day(25)], as_of=late, **scheduled())
    made.run_all(LIVE, spec, days(4, first=26), as_of=late)
    ctx = made.context(spec)
    both = {s.key: s for s in seen(spec, days(30), ctx)}
    assert list(both) == [*days(4, first=21), *days(4, first=26)]
    for key, one in both.items():
        heads = made.heads.find("churn/features", [key])
        features = made.store.get_table(heads[key].outputs["features"].id)
        truth = made.store.get_table(made.heads.find("churn/labels", [key])[key].outputs["labels"].id)
        frame = features.merge(truth[["_row", "churned"]], on="_row")
        for version, scored in ((1, one.fixed), (1 if key < day(25) else 2, one.live)):
            bundle = made.store.get_bundle(ctx.ledger.state().versions[version].bundle)
            expected = roc_auc_score(frame["churned"], bundle.predict(frame))
            assert metric_of(scored, AUC) == pytest.approx(expected, abs=1e-12)
    parts = [s.live for s in both.values()]
    truth_all = np.concatenate([p.y for p in parts])
    assert pooled(parts, AUC) == pytest.approx(
        roc_auc_score(truth_all, np.concatenate([p.score for p in parts])), abs=1e-12
    )
    # Each part with the threshold of its own model.
    labels = np.concatenate([p.score >= p.threshold for p in parts])
    assert pooled(parts, METRICS["f1"]) == pytest.approx(f1_score(truth_all, labels), abs=1e-12)
    assert pooled([], AUC) is None
    one_class = Scored(np.ones(3), np.full(3, 0.5), 0.5, (0, 1))
    assert metric_of(one_class, AUC) is None


# -- faults put in on purpose ----------------------------------------------------------------------------------------


def test_shuffled_labels_leave_the_judging_rows_alone() -> None:
    y = np.arange(10.0)
    learned = np.arange(10) < 7
    out = inject.injected("shuffled-labels", y, learned, 3, pd.DataFrame())
    assert (
        sorted(out[:7]) == list(range(7)) and list(out[7:]) == [7, 8, 9] and list(out[:7]) != list(range(7))
    )
    assert inject.injected("", y, learned, 3, pd.DataFrame()) is y
    with pytest.raises(NotFoundError, match="unknown fault 'shuffled'"):
        inject.injected("shuffled", y, learned, 3, pd.DataFrame())


def test_a_model_with_a_fault_is_worse_says_so_and_is_no_reuse_of_the_good_one(
    world: tuple[World, Any],
) -> None:
    made, spec = world
    good = made.run_all(TRAINING, spec, [day(24)], **scheduled())
    bad = made.run_all(TRAINING, spec, [day(24)], inject="shuffled-labels", **scheduled())
    train = bad["train"][day(24)]
    assert train.recipe != good["train"][day(24)].recipe and train.data["inject"] == "shuffled-labels"
    assert "put in on purpose: shuffled-labels" in train.findings[-1].what
    value = {
        name: next(
            m.value for m in run["evaluate"][day(24)].metrics if m.split == "test" and m.name == "roc_auc"
        )
        for name, run in (("good", good), ("bad", bad))
    }
    assert value["bad"] < value["good"] - 0.1
    assert bad["register"][day(24)].verdict == "refused"
