"""The cause in the record of a watched day: found when an alarm opens, carried on while it lasts, and gone with it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import label, monitor, rootcause
from mlpipe.stages.watching import causes
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


def shifted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(hours=frame["hours"] * 3 + 10)


Watched = tuple[World, PipelineSpec, dict[int, Record], list[str]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Longer hours on days 29 to 31; which days were looked into is noted."""
    folder = tmp_path_factory.mktemp("causes")
    spec = spec_of(
        written(folder / "data", days(34), **{f"d{n}": shifted for n in (29, 30, 31)}),
        monitor={"window": 1, "grid_window": 5},
        levels={"performance_fall": None},
    )
    world = World(folder / "store")
    world.run_all(DATA, spec, days(34))
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    looked: list[str] = []

    def noted(spec: PipelineSpec, key: str, data: Any, ctx: Any) -> Any:
        looked.append(key)
        return rootcause.explained(spec, key, data, ctx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(causes, "explained", noted)
        live = {n: world.run_all(LIVE, spec, [day(n)])["monitor"][day(n)] for n in range(27, 34)}
    return world, spec, live, looked


def head(record: Record) -> dict[str, Any]:
    return dict(record.data["head"])


def test_the_cause_stands_in_the_record_and_is_looked_for_once(watched: Watched) -> None:
    _, _, live, looked = watched
    up = [n for n in range(27, 34) if head(live[n])["drifted"]]
    assert up == [30, 31, 32] and looked == [day(30)]
    cause = head(live[30])["cause"]
    assert (cause["kind"], cause["column"], cause["since"]) == ("covariate drift", "hours", day(29))
    assert [head(live[n])["cause"] for n in (31, 32)] == [cause, cause]
    assert f"likely **covariate drift** of hours since {day(29)}" in live[31].headline
    assert head(live[29])["cause"] is None and head(live[33])["cause"] is None
    # The whole of it is kept where it was found.
    assert live[30].data["cause"]["ranking"][0][0] == "hours" and "cause" not in live[31].data


def test_a_rerun_is_reused_until_what_a_cause_is_found_in_changes(watched: Watched) -> None:
    world, spec, live, _ = watched
    again = world.run(monitor.STAGE, spec, [day(30)])[day(30)]
    assert again.reused and head(again) == head(live[30])
    before = causes.read(spec, day(30), world.context(spec))
    assert causes.read(spec, day(30), world.context(spec)) == before
    assert causes.read(spec, day(31), world.context(spec)) != before


def late(folder: Path) -> PipelineSpec:
    """Labels in a file of their own, that may come up to ten days late."""
    return spec_of(
        folder,
        sources={
            "rows": ml.Parquet("rows/{partition}.parquet", event_time="at", keys=["user"]),
            "truth": ml.Parquet("truth/{partition}.parquet", event_time="told", keys=["user"]),
        },
        label=ml.Label("churned", source="truth", available_after="1d", horizon="10d", outcomes=["reason"]),
        monitor={"window": 2, "grid_window": 5},
        window="12d",
        split=ml.Split(valid="3d", test="3d"),
    )


def test_labels_that_come_later_than_usual_are_told_and_named(tmp_path: Path) -> None:
    told: dict[str, list[pd.DataFrame]] = {}
    for n in range(30):
        frame = rows(day(n))
        # From day 26 on half of the truth is told eight days later.
        for half, wait in ((0, 0), (1, 8 if n >= 26 else 0)):
            part = frame[frame["user"] % 2 == half]
            truth = part[["user", "churned"]].assign(told=part["at"] + timedelta(days=wait))
            told.setdefault(day(n + wait), []).append(truth)
        for kind in ("rows", "truth"):
            (tmp_path / kind).mkdir(exist_ok=True)
        save(frame.drop(columns="churned"), tmp_path / "rows" / f"{day(n)}.parquet")
    for n in range(30):
        save(pd.concat(told[day(n)]), tmp_path / "truth" / f"{day(n)}.parquet")
    spec, world = late(tmp_path), World(tmp_path / "store")
    world.run_all(DATA[:3], spec, days(30))
    night = {n: datetime.fromisoformat(day(n + 1)).replace(hour=2, tzinfo=UTC) for n in range(20, 30)}
    world.run(label.STAGE, spec, days(21), night[20])
    world.run_all(TRAINING, spec, [day(20)], night[20], **scheduled())
    found = {}
    for n in range(25, 30):
        world.run(label.STAGE, spec, days(n), night[n])
        found[n] = head(world.run_all(LIVE, spec, [day(n)], night[n])["monitor"][day(n)])
    states = {n: found[n]["levels"]["labels_overdue"] for n in found}
    # In the night after day 27 the labels of days 25 and 26 are due, and in the next one those of 26 and 27.
    assert states == {
        25: [0.0, "met"],
        26: [0.0, "met"],
        27: [pytest.approx(0.25), "missed"],
        28: [pytest.approx(0.5), "missed"],
        29: [pytest.approx(0.5), "missed"],
    }
    assert found[26]["cause"] is None and found[27]["cause"]["kind"] == "label delay"
    assert found[29]["cause"] == found[27]["cause"]
