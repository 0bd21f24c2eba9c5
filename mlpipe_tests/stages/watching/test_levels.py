"""Service levels of watched days: a pair of days for each default, and budgets, floors and functions of one's own by hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.core.sla import DEFAULTS
from mlpipe.records.codec import head_of
from mlpipe.stages import label, monitor
from mlpipe.stages.indicators import budgets, frozen, history
from mlpipe.stages.retraining import facts_of, policy_of
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written
from mlpipe_tests.stages.watching.pairs import PAIRS, Pair, answers, lived, plan, table

DOC = Path(__file__).parents[3] / "docs" / "service-levels.md"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pairs")
    return folder, *lived(folder)


def test_every_default_has_its_pair() -> None:
    assert {p.name for p in PAIRS} == set(DEFAULTS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
def test_a_day_just_inside_meets_and_one_just_outside_misses(planted: Any, pair: Pair) -> None:
    *_, found = planted
    inside, outside = (found["monitor"][k] for k, (p, _) in plan().items() if p is pair)
    limit = float(outside.data["head"]["response"][pair.name][2].split()[1])
    for record, state in ((inside, "met"), (outside, "missed")):
        value, told = record.data["head"]["levels"][pair.name]
        assert told == state and abs(value - limit) < 0.12 * limit
        told_of = [f for f in record.findings if f.what.startswith(f"{pair.name} is ")]
        assert len(told_of) == (state == "missed")
    assert outside.data["head"]["response"][pair.name][0] == pair.response
    assert pair.name not in inside.data["head"]["response"]
    assert f"**{pair.name}** ({pair.response})" in outside.headline
    # A level changes no verdict of the monitor, and no default keeps a day from being scored.
    assert {r.verdict for r in found["predict"].values()} == {"pass"}


def test_the_page_has_what_was_seen(planted: Any) -> None:
    folder, world, found = planted
    text = DOC.read_text()
    for line in (*table(found), *answers(world, folder)):
        cells = [c.split(": ")[-1] if ": m" in c else c.strip(" |") for c in line.split(" | ")]
        assert all(cell in text for cell in cells), line


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Thirty-six days and a model of day 25; labels come two days late."""
    folder = tmp_path_factory.mktemp("levels")
    shifted = {f"d{n}": lambda frame: frame.assign(hours=frame["hours"] * 3 + 10) for n in (31, 32)}
    written(folder / "data", days(36), d34=lambda frame: frame.head(0), **shifted)
    made = World(folder / "store")
    spec = given(made)
    made.run_all(DATA, spec, days(36))
    made.run_all(TRAINING, spec, [day(25)], as_of=datetime(2024, 1, 28, tzinfo=UTC), **scheduled())
    return made


def given(world: World, levels: Any = None) -> Any:
    return spec_of(
        world.folder.parent / "data",
        label=ml.Label("churned", available_after="2d", outcomes=["reason"]),
        monitor={"window": 1, "grid_window": 5},
        levels=levels or {},
    )


def watched(world: World, spec: Any, keys: Any, clock: datetime | None = None) -> dict[str, Any]:
    """What the heads of some days say."""
    more = {} if clock is None else {"as_of": clock}
    records = world.run_all(LIVE, spec, keys, **more)["monitor"]
    return {k: r.data["head"] for k, r in records.items()}


def test_budgets_count_known_days_and_are_used_up_after_more_misses_than_may(world: World) -> None:
    spec = given(world, {"budget": {"target": 0.7, "window": "4d"}, "freeze_promotions": True})
    heads = watched(world, spec, days(7, first=27))
    # Of four days 1.2 may miss: the first shifted day is within the budget, the second is beyond it.
    assert [heads[day(n)]["levels"]["psi"][1] for n in (30, 31, 32)] == ["met", "missed", "missed"]
    assert "psi" not in heads[day(31)]["exhausted"] and "psi" in heads[day(32)]["exhausted"]
    ctx = world.context(spec)
    seen = [(d.key, d.states) for d in history(spec, days(7, first=27), ctx)]
    left = budgets(spec, seen, ["psi"])["psi"]
    assert (left.days, left.missed) == (4, 2) and left.allowed == pytest.approx(1.2)
    assert (
        "psi is used up (2 of 4 known days missed it, 1.2 may)"
        in frozen(spec, datetime(2024, 2, 3, 2, tzinfo=UTC), ctx)[0]
    )
    # Two more good days, and the shifted ones begin to leave the window.
    assert frozen(given(world), datetime(2024, 2, 3, 2, tzinfo=UTC), ctx) == []


def test_what_labels_tell_is_unknown_until_they_are_ripe_and_then_a_miss_asks_to_retrain(
    world: World,
) -> None:
    spec = given(world, {"performance": 0.999})
    night = datetime(2024, 1, 30, 2, tzinfo=UTC)
    world.run(label.STAGE, spec, [day(28)], night)
    early = watched(world, spec, [day(28)], night)[day(28)]
    assert (
        early["levels"]["performance"] == [None, "unknown"] and early["levels"]["class_ratio"][1] == "unknown"
    )
    assert early["levels"]["age_hours"][1] == "met"
    later = datetime(2024, 2, 2, 2, tzinfo=UTC)
    world.run(label.STAGE, spec, [day(28)], later)
    head = watched(world, spec, [day(28)], later)[day(28)]
    made = world.heads.find("churn/predictions", [day(28)])[day(28)]
    truth = world.store.get_table(world.heads.find("churn/labels", [day(28)])[day(28)].outputs["labels"].id)
    both = world.store.get_table(made.outputs["predictions"].id).merge(truth, on="_row")
    assert head["levels"]["performance"] == [
        pytest.approx(roc_auc_score(both["churned"], both["score"])),
        "missed",
    ]
    assert head["response"]["performance"] == ["retrain", "critical", ">= 0.999"]
    # What was told when the day was the newest stays, though another one is now.
    assert head["levels"]["age_hours"] == early["levels"]["age_hours"]
    ctx = world.context(spec)
    policy = policy_of(spec.retrain)
    assert policy is not None
    facts = facts_of(spec, policy, day(28), ctx.heads, ctx.ledger.state(), ctx.ledger.entries(), world.store)
    assert facts.observations[-1].levels == {"performance": (head["levels"]["performance"][0], True)}


def test_functions_of_ones_own_see_predictions_and_labels(world: World) -> None:
    def answered(predictions: Any) -> float:
        return len(predictions)

    def both(predictions: Any, labels: Any) -> float:
        return float(len(predictions.merge(labels, on="user")))

    own = {
        "answered": {"function": answered, "at_most": 10, "response": "page"},
        "both": {"function": both, "at_least": 1, "severity": "critical"},
    }
    spec = given(world, {"own": own})
    head = watched(world, spec, [day(29)])[day(29)]
    assert head["levels"]["answered"] == [60.0, "missed"] and head["response"]["answered"][0] == "page"
    assert head["levels"]["both"] == [60.0, "met"]


def test_a_day_without_rows_has_levels_and_the_age_of_the_rows_before_it(world: World) -> None:
    spec = spec_of(
        world.folder.parent / "data",
        label=ml.Label("churned", available_after="2d", outcomes=["reason"]),
        monitor={"window": 3, "grid_window": 5},
        levels={"rows": 1},
    )
    head = watched(world, spec, days(2, first=33), datetime(2024, 2, 5, 2, tzinfo=UTC))[day(34)]
    assert head["levels"]["rows"] == [0.0, "missed"] and head["response"]["rows"][0] == "page"
    # The newest row is of the last minutes of the third; the clock stands at two in the night to the fifth.
    value, state = head["levels"]["age_hours"]
    assert state == "missed" and 26 < value < 27


def test_a_level_that_is_switched_off_is_not_asked(world: World) -> None:
    every = [*DEFAULTS, "performance", "rows"]
    head = watched(world, given(world, dict.fromkeys(every)), [day(30)])[day(30)]
    assert head["levels"] == {} and head["response"] == {}


def test_a_named_limit_holds_on_few_rows_where_a_default_says_nothing(world: World) -> None:
    head = watched(world, given(world), [day(30)])[day(30)]
    value, state = head["levels"]["score_js"]
    assert value > 0.1 and state == "unknown" and "score_js" not in head["response"]
    record = world.run(monitor.STAGE, given(world), [day(30)])[day(30)]
    assert "chance alone gives as much" in record.data["levels_unknown"]["score_js"]
    named = watched(world, given(world, {"score_js": 0.1}), [day(30)])[day(30)]
    assert named["levels"]["score_js"] == [value, "missed"]


def test_a_rerun_is_the_same_and_reused(world: World) -> None:
    spec = given(world)
    first = world.run(monitor.STAGE, spec, [day(30)])[day(30)]
    again = world.run(monitor.STAGE, spec, [day(30)])[day(30)]
    assert again.reused and again.outputs == first.outputs
    assert head_of(again).data == head_of(first).data
