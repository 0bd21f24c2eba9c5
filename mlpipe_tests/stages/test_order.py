"""The order of days decides nothing: ascending, descending, shuffled, again, and on a copy of the store."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import monitor, predict, release, train
from mlpipe.stages.context import MemoryHeads
from mlpipe_tests.stages.pipelines import (
    DATA,
    LIVE,
    TRAINING,
    World,
    day,
    days,
    ids,
    scheduled,
    spec_of,
    written,
)

KEYS = days(12)
TRAINED = [day(9), day(10)]


def recent(frames: dict[str, pd.DataFrame], history: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Features that look back, at rows and at labels."""
    frame, past = frames["rows"], history["rows"]
    rate = history["labels"]["churned"].astype("float64").mean()
    return frame[["hours", "city"]].assign(
        plays=frame["plays"], recent=past["hours"].mean(), rate=rate, weather=frame["weather.rain"]
    )


def pipeline(folder: Path) -> PipelineSpec:
    return spec_of(
        folder,
        sources={
            "rows": ml.Parquet("rows/{partition}.parquet", event_time="at", keys=["user"]),
            "weather": ml.Load(
                weather, event_time="seen", keys=["city", "seen"], join={"on": ["city"], "tolerance": "2d"}
            ),
        },
        label=ml.Label("churned", outcomes=["reason"], available_after="1d"),
        features={"function": recent, "look_back": "3d"},
        window="6d",
        split=ml.Split(valid="1d", test="2d"),
        # The second model shall take over from the first a day later, whichever is better: that day alone has no days to resample.
        gates=[ml.gate.beats_champion("roc_auc", margin=-1)],
        blocks="user",
        min_tenure="0s",
    )


def weather(window: object) -> pd.DataFrame:
    seen = pd.date_range("2023-12-30", "2024-03-01", freq="7h", tz="UTC")
    frame = pd.DataFrame([{"seen": t, "city": c} for t in seen for c in ("Ulm", "Bonn", "Kiel")])
    # One day has a null among whole numbers: read together, all come as floats.
    frame["rain"] = frame["seen"].dt.dayofyear.where(frame["seen"].dt.dayofyear != 7)
    frame = frame[(frame["seen"] >= window.start) & (frame["seen"] < window.end)]
    return frame.assign(rain=frame["rain"].astype("int64")) if frame["rain"].notna().all() else frame


def gone_through(world: World, spec: PipelineSpec, order: Sequence[str]) -> dict[str, dict[str, Record]]:
    made = world.run_all(DATA, spec, order)
    made |= {s.name: {} for s in TRAINING}
    # One after the other: a release changes whom the next evaluation is compared with.
    for key in TRAINED:
        for stage in TRAINING:
            made[stage.name] |= world.run(stage, spec, [key], **scheduled())
    live = [k for k in order if k >= TRAINED[0]]
    for stage in LIVE:
        made[stage.name] = world.run(stage, spec, live)
    return made


@pytest.fixture(scope="module")
def forward(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[World, PipelineSpec, dict[str, dict[str, Record]]]:
    folder = tmp_path_factory.mktemp("order")
    written(folder / "rows", KEYS)
    spec, world = pipeline(folder), World(folder / "store")
    return world, spec, gone_through(world, spec, KEYS)


def all_ids(made: dict[str, dict[str, Record]]) -> dict[str, object]:
    # The card names the records of its evaluation and training, which carry clocks.
    return {stage: ids(records) for stage, records in made.items() if stage != "register"}


def test_everything_was_made(forward: tuple[World, PipelineSpec, dict[str, dict[str, Record]]]) -> None:
    _, _, made = forward
    assert {s: {r.verdict for r in records.values()} for s, records in made.items()} == {
        "ingest": {""},
        "validate": {"pass"},
        "feature": {"pass"},
        "label": {"ripe"},
        "train": {"trained"},
        "evaluate": {"pass"},
        "register": {"promoted"},
        "predict": {"pass"},
        "monitor": {"stable"},
    }
    assert all("profile" in {o.name for o in r.outputs} for r in made["feature"].values())


@pytest.mark.parametrize("order", ["descending", "shuffled", "single"])
def test_every_order_gives_the_same_ids(
    order: str, forward: tuple[World, PipelineSpec, dict[str, dict[str, Record]]], tmp_path: Path
) -> None:
    _, spec, made = forward
    keys = list(reversed(KEYS)) if order != "shuffled" else random.Random(4).sample(KEYS, len(KEYS))
    world = World(tmp_path / "store")
    if order == "single":
        again = {s.name: {k: r for n in keys for k, r in world.run(s, spec, [n]).items()} for s in DATA}
    else:
        again = gone_through(world, spec, keys)
    expected = all_ids(made)
    for stage in set(again) - {"register", "monitor"}:
        assert ids(again[stage]) == expected[stage], stage
    if order != "single":
        # Alarms and levels are carried on from day to day: once the days have been watched in order, they are as if never otherwise.
        watched = world.run(monitor.STAGE, spec, KEYS[9:])
        assert ids(watched) == expected["monitor"]
        assert told(watched) == told(made["monitor"])


def told(records: dict[str, Record]) -> dict[str, object]:
    """What the heads of some days say."""
    return {k: r.data["head"] for k, r in records.items()}


def test_watching_again_in_order_changes_nothing(
    forward: tuple[World, PipelineSpec, dict[str, dict[str, Record]]],
) -> None:
    world, spec, made = forward
    again = world.run(monitor.STAGE, spec, KEYS[9:])
    assert told(again) == told(made["monitor"]) and ids(again) == ids(made["monitor"])
    assert all(r.reused for r in again.values())


@pytest.mark.parametrize("where", ["here", "copy"])
def test_the_same_range_twice_makes_no_object(
    where: str, forward: tuple[World, PipelineSpec, dict[str, dict[str, Record]]], tmp_path: Path
) -> None:
    world, spec, made = forward
    shutil.copytree(world.folder, tmp_path / "store")
    again = World(tmp_path / "store")
    again.heads = MemoryHeads.of_store(again.store, spec.name) if where == "copy" else MemoryHeads()
    before = again.objects()
    second = {s.name: again.run(s, spec, KEYS) for s in DATA}
    second |= {s.name: again.run(s, spec, TRAINED) for s in (train.STAGE,)}
    second |= {s.name: again.run(s, spec, KEYS[9:]) for s in (predict.STAGE,)}
    for stage, records in second.items():
        if stage != "predict":
            assert ids(records) == all_ids(made)[stage], stage
        assert stage == "ingest" or all(r.reused for r in records.values()), stage
    assert again.objects() == before


def test_day_by_day_through_all_stages_gives_the_same_features(
    forward: tuple[World, PipelineSpec, dict[str, dict[str, Record]]], tmp_path: Path
) -> None:
    _, spec, made = forward
    world = World(tmp_path / "store")
    for key in KEYS[:7]:
        records = world.run_all(DATA, spec, [key])
        for stage, name in (("ingest", "rows"), ("validate", "rows/kept"), ("feature", "features")):
            assert records[stage][key].output(name).id == made[stage][key].output(name).id, (stage, key)
        assert ("profile" in {o.name for o in records["feature"][key].outputs}) == (key >= day(4))


def test_the_same_release_twice_decides_nothing_new(
    forward: tuple[World, PipelineSpec, dict[str, dict[str, Record]]],
) -> None:
    world, spec, made = forward
    entries = world.context(spec).ledger.entries()
    world.run(release.STAGE, spec, [TRAINED[1]], **scheduled())
    assert world.context(spec).ledger.entries() == entries
    assert made["register"][TRAINED[1]].data["version"] == 2


def test_a_monitor_without_a_grid_of_its_first_days_makes_one(tmp_path: Path) -> None:
    keys = days(8, first=6)
    written(tmp_path, keys)
    spec, world = spec_of(tmp_path, window="6d", split=ml.Split(valid="1d", test="2d")), World(tmp_path / "s")
    made = world.run_all(DATA, spec, keys)
    assert not any("profile" in {o.name for o in r.outputs} for r in made["feature"].values())
    world.run_all(TRAINING, spec, [day(12)], **scheduled())
    world.run(predict.STAGE, spec, keys[-2:])
    assert {r.verdict for r in world.run(monitor.STAGE, spec, keys[-2:]).values()} <= {"stable", "drift"}
