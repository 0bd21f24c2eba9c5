"""What an impact would launch, and that launching it makes exactly that again."""

from typing import Any

import mlpipe as ml
from mlpipe.index.impact import impact
from mlpipe.index.shelf import open_shelf
from mlpipe.index.staleness import stale
from mlpipe.orchestration.around import run_around
from mlpipe.orchestration.rebuilding import rebuild_plan, told
from mlpipe.orchestration.runs import Request, run
from mlpipe_tests.orchestration.conftest import LAST, TRAIN_AT, World
from mlpipe_tests.orchestration.shop import orders, shop
from mlpipe_tests.stages.pipelines import day
from mlpipe_tests.views.story import LAST as STORY_LAST
from mlpipe_tests.views.story import SECOND, story


def test_data_come_first_then_the_model_in_production_then_what_it_predicts() -> None:
    with open_shelf(story().store) as shelf:
        found = rebuild_plan(story().spec, impact(shelf, day(30)))
    assert [(r.job, r.first, r.last, r.assets) for r in found] == [
        ("ingest", day(30), day(30), ("validated", "features", "labels")),
        ("training", day(SECOND), day(SECOND), ()),
        ("daily", day(30), day(30), ("predictions", "monitor")),
        # The windows of two more monitors hold the day, and alarms are carried on from each to the next.
        ("daily", day(31), day(SECOND - 1), ("monitor",)),
        ("daily", day(SECOND), day(STORY_LAST - 1), ("predictions", "monitor")),
    ]
    assert told(found[0]) == f"validated, features, labels of {day(30)}"
    assert told(found[1]) == f"model, evaluation, release of {day(SECOND)}"
    assert all("rows of" in r.reason for r in found)


def test_a_model_that_is_no_longer_in_production_is_left_as_it_is() -> None:
    with open_shelf(story().store) as shelf:
        found = rebuild_plan(story().spec, impact(shelf, day(10)))
    assert "training" not in {r.job for r in found}


def test_a_rebuild_leaves_nothing_stale(small: World) -> None:
    """A day's rows are corrected: what was made from it is made again, and nothing else."""
    small.run("training", TRAIN_AT)
    small.run("daily", LAST)

    def corrected(window: Any) -> Any:
        rows = orders(window)
        return rows.assign(price=rows["price"].where(rows["at"].dt.day != 9, 0.25))

    made = shop(store=str(small.store.url), source=ml.Load(corrected, event_time="at", keys=["order"]))
    run(
        made.spec,
        defs := made.definitions(),
        small.on,
        Request("ingest", "2024-01-09", "2024-01-09", ("raw",)),
    )
    with open_shelf(str(small.store.url)) as shelf:
        assert {s.node.partition for s in stale(shelf, ["shop"])} == {"2024-01-09"}
        plan = rebuild_plan(made.spec, impact(shelf, "2024-01-09"), "corrected")
        before = {r: shelf.newest("shop/features", r).id for r in ("2024-01-08", "2024-01-09")}
    assert [(r.job, r.first) for r in plan] == [
        ("ingest", "2024-01-09"),
        ("training", TRAIN_AT),
        ("daily", LAST),
    ]
    for request in plan:
        assert run_around(made.spec, defs, small.on, request) == []
    with open_shelf(str(small.store.url)) as shelf:
        after = {r: shelf.newest("shop/features", r).id for r in before}
        assert after["2024-01-08"] == before["2024-01-08"] and after["2024-01-09"] != before["2024-01-09"]
        assert shelf.newest("shop/features", "2024-01-09").trigger.reason == "corrected"
        assert stale(shelf, ["shop"]) == []
