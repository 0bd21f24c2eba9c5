"""Drift of a watched day: measures, new nulls and unseen categories, and alarms that take more than one odd day."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpipe.core.drift import psi
from mlpipe.records.codec import Head, from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.judging import Slices
from mlpipe.spec.modeling import Retrain
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import monitor, predict
from mlpipe.stages.context import MemoryHeads
from mlpipe.stages.watching.history import false_alarm_rate
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written

Watched = tuple[World, PipelineSpec, dict[int, Record]]


def shifted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(hours=frame["hours"] * 3 + 10)


def nulled(frame: pd.DataFrame) -> pd.DataFrame:
    """A fifth of the plays are gone, and nothing else."""
    return frame.assign(plays=frame["plays"].where(np.arange(len(frame)) % 5 > 0))


def moved(frame: pd.DataFrame) -> pd.DataFrame:
    """A tenth of the rows come from a city that was never seen."""
    return frame.assign(city=frame["city"].where(np.arange(len(frame)) % 10 > 0, "Jena"))


def of_ulm(frame: pd.DataFrame) -> pd.DataFrame:
    """Everybody in Ulm hardly listens, and leaves."""
    return frame.assign(hours=frame["hours"].where(frame["city"] != "Ulm", 0.1))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A window of one day: an odd day 26; shifted days 28 to 30; nulls on 33; a new city on 34; Ulm on 35 and 36."""
    folder = tmp_path_factory.mktemp("drift")
    changes: dict[str, Any] = dict.fromkeys(["d26", "d28", "d29", "d30"], shifted)
    changes |= {"d33": nulled, "d34": moved, "d35": of_ulm, "d36": of_ulm}
    data = written(folder / "data", days(40), **changes)
    spec = spec_of(data, monitor={"window": 1, "grid_window": 5, "alarms": {"days": 2, "of": 2}})
    world = World(folder / "store")
    world.run_all(DATA, spec, days(40))
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    live = {}
    for n in range(25, 36):
        live[n] = world.run_all(LIVE, spec, [day(n)])["monitor"][day(n)]
    return world, spec, live


def head(record: Record) -> dict[str, Any]:
    return dict(record.data["head"])


def test_one_odd_day_is_over_its_limit_and_opens_no_alarm(watched: Watched) -> None:
    _, _, live = watched
    assert "hours" in head(live[26])["alarms"] and live[26].verdict == "stable"
    assert "hours" not in head(live[26])["drifted"] and "hours over its limit" in live[26].headline


def test_two_days_open_an_alarm_and_two_calm_ones_close_it(watched: Watched) -> None:
    _, _, live = watched
    up = [n for n in range(25, 36) if "hours" in head(live[n])["drifted"]]
    assert up == [29, 30, 31] == [n for n in range(25, 36) if live[n].verdict == "drift"]
    assert "**1** of" in live[29].headline and "features drift (hours)" in live[29].headline


def test_new_nulls_and_unseen_categories_are_over_and_named(watched: Watched) -> None:
    _, _, live = watched
    assert "plays" in head(live[33])["alarms"]
    assert any("nulls are up by 20.0%" in f.what and f.where == "feature plays" for f in live[33].findings)
    assert any("10.0% of the rows have a category never seen" in f.what for f in live[34].findings)


def test_the_table_has_effects_beside_their_significance(watched: Watched) -> None:
    world, _, live = watched
    table = world.table(live[29], "drift").set_index("feature")
    hours: Any = table.loc["hours"]
    city: Any = table.loc["city"]
    assert hours["persists"] and hours["ks"] > 0.5 and hours["p"] < 1e-9
    assert hours["p"] <= hours["p_adjusted"]
    assert math.isnan(city["ks"]) and 0 <= city["cramers_v"] <= 1
    assert set(head(live[29])["measures"]) <= set(table.index)


def test_days_done_in_one_run_stand_as_days_done_one_by_one(watched: Watched) -> None:
    world, spec, live = watched
    again = world.run(monitor.STAGE, spec, [day(n) for n in range(26, 32)])
    assert [head(again[day(n)])["drifted"] for n in range(26, 32)] == [
        head(live[n])["drifted"] for n in range(26, 32)
    ]


def test_heads_keep_calibrated_limits_for_other_policies_that_are_tried(watched: Watched) -> None:
    world, spec, live = watched
    fixed = spec.model_copy(update={"retrain": Retrain(drift=0.5)})
    told = head(world.run(monitor.STAGE, fixed, [day(30)])[day(30)])["psi"]
    assert told == head(live[30])["psi"]


def test_label_drift_is_that_of_the_classes(watched: Watched) -> None:
    world, _, live = watched
    found = {m.name: m.value for m in live[29].metrics if m.split == "drift"}
    model = next(i.record for i in live[29].inputs if i.name == "champion")
    trained = from_bytes(world.store.get_record("churn", model))
    then = [world.store.get_table(i.id)["churned"] for i in trained.inputs if i.name == "labels" and i.id]
    now = world.heads.find("churn/labels", [day(29)])[day(29)].outputs["labels"].id
    counts = [
        np.bincount(pd.concat(then), minlength=2),
        np.bincount(world.store.get_table(now)["churned"], minlength=2),
    ]
    assert head(live[29])["label_psi"] == pytest.approx(psi(*counts), rel=1e-9) == found["label_psi"]
    assert found["label_psi"] > head(live[25])["label_psi"]


def test_a_classifier_sees_the_shift_on_request_only(watched: Watched) -> None:
    world, spec, live = watched
    assert live[30].data["domain"] == "not tested"
    asked = spec.model_copy(update={"monitor": spec.monitor.model_copy(update={"domain": True, "window": 3})})
    told = world.run(monitor.STAGE, asked, [day(30)])[day(30)].data["domain"]
    assert told["auc"] > 0.85 and next(iter(told["columns"])) == "hours"


def test_alarms_of_recorded_days_are_counted_by_the_quarter(watched: Watched) -> None:
    world, spec, _ = watched
    keys = [day(n) for n in range(20, 36)]
    every = false_alarm_rate(spec, world.heads, keys)
    assert every.days == 11 and every.per_quarter == pytest.approx(every.alarms * 91 / 11)
    assert every.alarms >= 1 and every.low < every.per_quarter < every.high
    calm = [k for k in keys if k != day(29)]
    assert false_alarm_rate(spec, world.heads, keys, calm).alarms == every.alarms - 1


def test_alarms_of_slices_are_counted_too_and_overlapping_ones_make_one(watched: Watched) -> None:
    _, spec, _ = watched
    nights = [
        ([], ["Ulm"]),
        ([], ["Ulm"]),
        ([], []),
        (["hours"], []),
        (["hours"], ["Ulm"]),
        ([], None),
        ([], []),
    ]
    heads = MemoryHeads(
        [
            Head(f"{spec.name}/monitor", day(n), "", {}, data={"drifted": columns, "slices_drifted": slices})
            for n, (columns, slices) in enumerate(nights, start=20)
        ]
    )
    found = false_alarm_rate(spec, heads, days(7, first=20))
    assert (found.alarms, found.days) == (2, 7)


def sliced(spec: PipelineSpec, min_support: int = 12) -> PipelineSpec:
    """Looks at scores by city."""
    return spec.model_copy(
        update={
            "slices": Slices(by=(("city",),), min_support=min_support),
            "monitor": spec.monitor.model_copy(update={"slices": True}),
        }
    )


def test_declared_slices_are_compared_and_the_one_that_moved_is_named(watched: Watched) -> None:
    world, spec, live = watched
    assert live[35].data["slices"] == "not tested" and "slices" not in [o.name for o in live[35].outputs]
    told = world.run(monitor.STAGE, sliced(spec), [day(27), day(35)])
    assert head(told[day(35)])["slices_over"] == ["city=Ulm"] and head(told[day(27)])["slices_over"] == []
    assert any(f.where == "slices" and "city=Ulm (PSI" in f.what for f in told[day(35)].findings)
    table = world.table(told[day(35)], "slices").set_index("slice")
    judged = next(i for i in told[day(35)].inputs if i.name == "scored")
    assert table["rows_reference"].sum() == judged.rows == 240 and table["rows"].sum() == 60
    ulm: Any = table.loc["city=Ulm"]
    assert ulm["score_psi"] == head(told[day(35)])["slice_psi"] and ulm["p_adjusted"] < 1e-3


def test_a_slice_by_a_column_that_is_not_there_costs_no_night(watched: Watched) -> None:
    world, spec, _ = watched
    asked = {"slices": Slices(by=(("town",),)), "monitor": spec.monitor.model_copy(update={"slices": True})}
    told = world.run(monitor.STAGE, spec.model_copy(update=asked), [day(27)])[day(27)]
    (found,) = [f for f in told.findings if f.where == "slices"]
    assert "there is no column 'town' among keys and features" in found.what and head(told)["psi"]


def test_a_slice_alarms_after_as_many_days_as_a_column_and_persists(watched: Watched) -> None:
    world, spec, _ = watched
    asked, later = sliced(spec), [day(n) for n in range(34, 40)]
    world.run(predict.STAGE, spec, later)
    told = world.run(monitor.STAGE, asked, later)
    heads = {n: head(told[day(n)]) for n in range(34, 40)}
    assert [heads[n]["slices_over"] for n in heads] == [[], ["city=Ulm"], ["city=Ulm"], [], [], []]
    assert [n for n in heads if heads[n]["slices_drifted"]] == [36, 37, 38]
    # Day 37 is neither over nor calm: what is seen on 22 rows is a matter of chance in one case of 200.
    marks = [heads[n]["slice_marks"].get("city=Ulm", "") for n in heads]
    assert marks == ["", "x", "", "o", "o-", ""] and heads[39]["slice_marks"] == {}
    assert "scores on city=Ulm over its limit, which may pass" in told[day(35)].headline
    assert "scores drift on **1** of 3 slices (city=Ulm)" in told[day(36)].headline
    table = world.table(told[day(37)], "slices").set_index("slice")
    assert table["persists"].to_dict() == {"city=Ulm": True, "city=Bonn": False, "city=Kiel": False}
    assert not table["alarm"].any()
    again = world.run(monitor.STAGE, asked, [day(37)])[day(37)]
    assert again.reused and head(again) == heads[37]


def test_where_no_slice_is_compared_alarms_stand_and_one_of_too_few_rows_has_none(watched: Watched) -> None:
    world, spec, _ = watched
    world.run(predict.STAGE, spec, days(4, first=34))
    up = [
        head(world.run(monitor.STAGE, sliced(spec), days(3, first=34))[day(36)])["slices_drifted"],
        # On day 37 no city has 1,000 rows; Bonn alone has 23.
        *(
            head(world.run(monitor.STAGE, sliced(spec, few), [day(37)])[day(37)])["slices_drifted"]
            for few in (1000, 23)
        ),
    ]
    assert up == [["city=Ulm"], ["city=Ulm"], []]
