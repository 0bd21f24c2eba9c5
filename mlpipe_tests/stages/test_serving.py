"""Who answers on a day: the champion, what stands in for it, or nobody; and when the champion is back."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

import mlpipe as ml
from mlpipe.errors import DataError
from mlpipe.ledger.promotion import promote
from mlpipe.stages import monitor, predict
from mlpipe.stages.hindsight import seen
from mlpipe_tests.stages.pipelines import DATA, LATER, TRAINING, World, day, days, scheduled, spec_of, written

HOLED, FEW, BROKEN, SHIFTED = 30, 31, 32, 35
"""Days without hours in a third of their rows, with few rows, that fail validation, and on which all listen far longer."""


def holed(frame: Any) -> Any:
    return frame.assign(hours=frame["hours"].where(np.arange(len(frame)) % 3 > 0))


def rule(features: Any) -> Any:
    return np.where(features["plays"] < 3, 0.9, 0.1)


def share_of_ulm(features: Any) -> float:
    return float((features["city"] == "Ulm").mean())


def failing(features: Any) -> float:
    raise ValueError("no such shop")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Forty days, two champions one after the other."""
    folder = tmp_path_factory.mktemp("serving")
    changes = {
        f"d{HOLED}": holed,
        f"d{FEW}": lambda frame: frame.head(20),
        f"d{BROKEN}": lambda frame: frame.assign(city=None),
        f"d{SHIFTED}": lambda frame: frame.assign(hours=frame["hours"] * 3 + 10),
    }
    written(folder / "data", days(38), **changes)
    made = World(folder / "store")
    spec = given(made)
    made.run_all(DATA, spec, days(38))
    for n in (24, 28):
        made.run_all(TRAINING, spec, [day(n)], datetime(2024, 2, n - 23, tzinfo=UTC), **scheduled())
    ledger = made.context(spec).ledger
    if ledger.state().champion.number != 2:
        promote(ledger, 2, "ana", "To have two.", now=datetime(2024, 2, 5, 1, tzinfo=UTC), override=True)
    return made


def given(world: World, levels: Any = None, **settings: Any) -> Any:
    contract = ml.Contract(columns={"city": ml.Column("string", nullable=0)})
    source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], contract=contract)
    more = {"window": 1, "grid_window": 5}
    return spec_of(
        world.folder.parent / "data",
        source=source,
        monitor=more,
        levels=levels or {},
        baseline=rule,
        **settings,
    )


def scored(world: World, n: int, levels: Any) -> Any:
    return world.run(predict.STAGE, given(world, levels), [day(n)])[day(n)]


FALLS = {"limit": 0.01, "response": "fall back"}


def test_the_champion_answers_a_good_day_and_any_day_at_the_defaults(world: World) -> None:
    for n, levels in (
        (29, {"missing_rate": FALLS, "rows": {"limit": 50, "response": "block scoring"}}),
        (HOLED, {}),
    ):
        record = scored(world, n, levels)
        assert record.verdict == "pass" and "served" not in record.data["head"]
        assert set(world.table(record, "predictions")["version"]) == {2}
    assert record.data["head"]["levels"]["missing_rate"] == [pytest.approx(1 / 9, abs=0.01), "missed"]
    assert [f.where for f in record.findings] == ["level missing_rate"]


def test_scoring_is_blocked_for_the_day_that_misses_and_no_other(world: World) -> None:
    levels = {"rows": {"limit": 50, "response": "block scoring"}}
    record = scored(world, FEW, levels)
    assert record.verdict == "blocked" and record.outputs == ()
    head = record.data["head"]
    assert head["served"] == {"by": "nobody", "response": "block scoring", "for": ["rows"]}
    assert head["levels"]["rows"] == [20.0, "missed"] and "rows asks for 'block scoring'" in record.headline
    watched = world.run(monitor.STAGE, given(world, levels), [day(FEW)])[day(FEW)]
    assert watched.data["head"]["response"]["rows"] == ["block scoring", "critical", ">= 50"]
    assert scored(world, FEW + 4, levels).verdict == "pass"


def test_what_was_not_the_champions_answer_is_not_compared_in_hindsight(world: World) -> None:
    levels = {
        "rows": {"limit": 50, "response": "block scoring"},
        "missing_rate": FALLS,
        "fallback": "constant",
    }
    spec, keys = given(world, levels), [day(HOLED), day(FEW), day(FEW + 4)]
    found = world.run(predict.STAGE, spec, keys)
    assert [found[k].verdict for k in keys] == ["pass", "blocked", "pass"]
    assert [s.key for s in seen(spec, keys, world.context(spec))] == [day(FEW + 4)]


@pytest.mark.parametrize(
    ("fallback", "by", "version"),
    [("previous", "previous", 1), ("rule", "rule", 0), ("constant", "constant", 0), (0.25, "constant", 0)],
)
def test_what_stands_in_answers_and_is_on_record(world: World, fallback: Any, by: str, version: int) -> None:
    record = scored(world, HOLED, {"missing_rate": FALLS, "fallback": fallback})
    table = world.table(record, "predictions")
    features = world.store.get_table(record.inputs[0].id)
    assert record.verdict == "pass" and record.data["head"]["version"] == 2
    assert record.data["head"]["served"] == {"by": by, "response": "fall back", "for": ["missing_rate"]}
    assert set(table["version"]) == {version} and set(table["served_by"]) == {by}
    champion = world.table(scored(world, HOLED, {}), "predictions")
    assert not set(table["prediction_id"]) & set(champion["prediction_id"])
    scores = table["score"].to_numpy()
    if by == "rule":
        assert (scores == rule(features)).all()
    elif by == "constant":
        assert len(set(scores)) == 1 and (fallback != 0.25 or scores[0] == 0.25)
    else:
        assert scores.std() > 0 and not np.allclose(scores, champion["score"])


def test_off_answers_nothing(world: World) -> None:
    record = scored(world, HOLED, {"missing_rate": FALLS, "fallback": "off"})
    assert record.verdict == "blocked" and record.data["head"]["served"]["by"] == "nobody"


def test_a_fallback_that_cannot_be_leaves_the_champion_and_says_so(world: World) -> None:
    spec = given(world, {"missing_rate": FALLS})
    # Between the two promotions there was only one champion.
    early = world.run(predict.STAGE, spec, [day(HOLED)], datetime(2024, 2, 2, tzinfo=UTC))[day(HOLED)]
    assert early.verdict == "pass" and early.data["head"]["served"]["by"] == "champion"
    assert "there was no champion before it" in " ".join(f.what for f in early.findings)
    with pytest.raises(DataError, match="is no probability"):
        scored(world, 29, {"missing_rate": FALLS, "fallback": 3})


def test_a_champion_whose_days_miss_is_replaced_until_they_are_met(world: World) -> None:
    spec = given(world, {"psi": {"limit": 1.0, "response": "fall back"}, "fallback": "rule"})
    # The day before is a good one, whatever was watched earlier.
    world.run(predict.STAGE, spec, [day(SHIFTED - 1)])
    before = world.run(monitor.STAGE, spec, [day(SHIFTED - 1)])[day(SHIFTED - 1)]
    assert before.data["head"]["levels"]["psi"][1] == "met"
    served = {}
    for n in range(SHIFTED, SHIFTED + 3):
        record = world.run(predict.STAGE, spec, [day(n)])[day(n)]
        served[n] = record.data["head"].get("served", {}).get("by", "champion")
        watched = world.run(monitor.STAGE, spec, [day(n)])[day(n)]
        state = watched.data["head"]["levels"]["psi"][1]
        assert state == ("missed" if n == SHIFTED else "met")
        if n == SHIFTED + 1:
            assert record.data["head"]["served"]["since"] == {"psi": day(SHIFTED)}
            assert "was missed on" in record.findings[-1].what
    # The drift of a day is known after it was scored: the next one is answered by the rule, and the one after it by the champion again.
    assert served == {SHIFTED: "champion", SHIFTED + 1: "rule", SHIFTED + 2: "champion"}


def test_what_is_unknown_keeps_what_stands(world: World) -> None:
    spec = given(world, {"performance": {"limit": 0.999, "response": "fall back"}, "fallback": "constant"})
    for n in range(29, 32):
        record = world.run(predict.STAGE, spec, [day(n)])[day(n)]
        watched = world.run(monitor.STAGE, spec, [day(n)])[day(n)].data["head"]
        answered = record.data["head"].get("served", {}).get("by", "champion")
        # While another answers nothing new is learned of the champion; its miss stands.
        assert (answered, watched["levels"]["performance"][1]) == (
            ("champion", "missed") if n == 29 else ("constant", "unknown")
        )


def test_a_day_that_is_left_out_has_its_levels_too(world: World) -> None:
    record = scored(world, BROKEN, {"rows": 50})
    assert record.verdict == "left_out"
    assert record.data["head"]["levels"]["rows"] == [0.0, "missed"]
    assert record.data["head"]["levels"]["missing_rate"] == [None, "unknown"]


def test_functions_of_ones_own_are_asked_and_a_failing_one_costs_no_predictions(world: World) -> None:
    own = {
        "ulm": {"function": share_of_ulm, "above": 0.9, "response": "block scoring"},
        "shops": {"function": failing, "below": 1.0, "response": "block scoring"},
    }
    record = scored(world, 29, {"own": own})
    levels = record.data["head"]["levels"]
    assert (
        record.verdict == "blocked" and levels["ulm"][1] == "missed" and levels["shops"] == [None, "unknown"]
    )
    assert "ValueError: no such shop" in record.data["head"]["unknown"]["shops"]
    assert scored(world, 29, {"own": {"shops": own["shops"]}}).verdict == "pass"


def test_the_same_day_again_gives_the_same(world: World) -> None:
    levels = {"missing_rate": FALLS, "fallback": "rule"}
    first, again = (
        scored(world, HOLED, levels),
        world.run(predict.STAGE, given(world, levels), [day(HOLED)], LATER)[day(HOLED)],
    )
    assert again.reused and again.outputs == first.outputs
