"""A pair of days for each default service level, one just inside its limit and one just outside, in a small pipeline of real stages.

``python -m mlpipe_tests.stages.watching.pairs`` prints the table that stands in docs/service-levels.md.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mlpipe as ml
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import ingest, monitor, predict, validate
from mlpipe_tests.stages.pipelines import (
    DATA,
    LATER,
    TRAINING,
    World,
    day,
    days,
    rows,
    save,
    scheduled,
    spec_of,
)

FIRST, MANY = 30, 2000
"""The first day that is planted, and the rows of a planted day."""
Change = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Pair:
    """Two days of one indicator: how each is made, and what is expected when it is missed."""

    name: str
    inside: Change
    outside: Change
    response: str
    said: str
    hours: tuple[float, float] | None = None
    """Hours from noon of the day, when its newest row was made, to the clock of the run; None: years later."""
    window: int = 1
    """So many days are alike, and watched at once on the last of them."""
    again: tuple[Change, Change] | None = None
    """How the rows come again, inside and outside, once the day was scored."""


def with_(column: str, share: float, value: Any) -> Change:
    """The first rows hold another value."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        first = np.arange(len(frame)) < round(share * len(frame))
        return frame.assign(**{column: frame[column].astype("object").mask(first, value)}).infer_objects()

    return change


def classes(ones: int) -> Change:
    """So many rows of the smaller class."""
    return lambda frame: frame.assign(churned=(np.arange(len(frame)) < ones).astype("int64"))


def longer(share: float, by: float) -> Change:
    """A share of the rows listens longer."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        first = np.arange(len(frame)) < round(share * len(frame))
        return frame.assign(hours=frame["hours"].where(~first, frame["hours"] + by))

    return change


def first(count: int) -> Change:
    """So many rows come: 400 are usual."""
    return lambda frame: frame.head(count)


def tired(share: float) -> Change:
    """In so many rows the label is turned round."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        turned = np.arange(len(frame)) < round(share * len(frame))
        return frame.assign(churned=np.where(turned, 1 - frame["churned"], frame["churned"]))

    return change


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


PAIRS = (
    # A third of the features of these rows is missing: hours.
    Pair(
        "missing_rate", with_("hours", 0.0285, None), with_("hours", 0.0315, None), "warn", "share of values"
    ),
    Pair("valid_rate", with_("plays", 0.0005, -5), with_("plays", 0.0015, -5), "warn", "rows that keep it"),
    Pair("outlier_rate", with_("hours", 0.0195, 900.0), with_("hours", 0.0205, 900.0), "warn", "values"),
    Pair("label_coverage", with_("churned", 0.045, None), with_("churned", 0.055, None), "warn", "ripe rows"),
    Pair("class_ratio", classes(96), classes(95), "warn", "majority to minority"),
    Pair("psi", longer(0.118, 20.0), longer(0.122, 20.0), "retrain", "hours"),
    Pair("score_js", longer(0.105, 6.0), longer(0.17, 6.0), "warn", "score"),
    Pair("age_hours", same, same, "page", "from the newest row", (23.9, 24.1)),
    Pair("volume", first(304), first(296), "warn", "rows that are usual"),
    Pair(
        "labels_overdue",
        with_("churned", 0.045, None),
        with_("churned", 0.055, None),
        "warn",
        "labels that would be there",
        (14.0, 14.0),
    ),
    Pair("performance_fall", tired(0.0052), tired(0.0028), "warn", "widths of the interval", window=2),
    Pair(
        "skew_rate",
        same,
        same,
        "warn",
        "rows that differ",
        again=(with_("hours", 0.0095, 900.0), with_("hours", 0.0105, 900.0)),
    ),
)


def noon(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """The day's rows by noon: what comes later is not there yet."""
    start = pd.Timestamp(key, tz="UTC")
    times = start + (frame["at"] - start) / 2
    times.iloc[-1] = start + pd.Timedelta(hours=12)
    return frame.assign(at=times.dt.floor("s"))


def planted() -> dict[str, tuple[Pair, bool]]:
    """Which day is which."""
    made = [(pair, inside) for pair in PAIRS for inside in (True, False) for _ in range(pair.window)]
    return {day(FIRST + n): each for n, each in enumerate(made)}


def plan() -> dict[str, tuple[Pair, bool]]:
    """The days that are looked at: of days that are alike the last."""
    return {key: each for each, key in {each: key for key, each in planted().items()}.items()}


def declared(folder: Path, window: int = 1, **settings: Any) -> PipelineSpec:
    """The pipeline: days are watched one by one, and two columns say what they hold."""
    columns = {"plays": ml.Column("int", min=0), "hours": ml.Column("float", usual=[0, 500])}
    contract = ml.Contract(columns=columns, floor=0.5)
    source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], contract=contract)
    return spec_of(
        folder / "data", source=source, monitor={"window": window, "grid_window": 5, "skew": True}, **settings
    )


def lived(folder: Path) -> tuple[World, dict[str, dict[str, Record]]]:
    """A model learned from quiet days, and the planted days watched: records of both stages by day."""
    (folder / "data").mkdir(parents=True)
    for key in days(FIRST):
        save(rows(key, 400), folder / "data" / f"{key}.parquet")
    for key, (pair, inside) in planted().items():
        changed = (pair.inside if inside else pair.outside)(noon(rows(key, MANY), key))
        save(changed, folder / "data" / f"{key}.parquet")
    spec = declared(folder)
    world = World(folder / "store")
    every = (*days(FIRST), *planted())
    world.run_all(DATA, spec, every)
    world.run_all(TRAINING, spec, [day(25)], as_of=datetime(2024, 1, 26, 2, tzinfo=UTC), **scheduled())
    found: dict[str, dict[str, Record]] = {"predict": {}, "monitor": {}}
    clocks: dict[tuple[datetime, int], list[str]] = {}
    for key, (pair, inside) in planted().items():
        made = datetime.fromisoformat(key).replace(tzinfo=UTC) + timedelta(hours=12)
        clock = LATER if pair.hours is None else made + timedelta(hours=pair.hours[not inside])
        clocks.setdefault((clock, pair.window), []).append(key)
    for (clock, window), keys in clocks.items():
        found["predict"] |= world.run(predict.STAGE, declared(folder, window), keys, clock)
    came_again(folder, world)
    for (clock, window), keys in clocks.items():
        found["monitor"] |= world.run(monitor.STAGE, declared(folder, window), keys, clock)
    return world, found


def came_again(folder: Path, world: World) -> None:
    """Rows of days that were scored are delivered once more, and some are others now."""
    keys = []
    for key, (pair, inside) in planted().items():
        if pair.again is not None:
            path = folder / "data" / f"{key}.parquet"
            save(pair.again[not inside](pd.read_parquet(path)), path)
            keys.append(key)
    for stage in (ingest.STAGE, validate.STAGE):
        world.run(stage, declared(folder), keys)


def table(found: dict[str, dict[str, Record]]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    yield "| indicator | asked | just inside | just outside | response |"
    yield "|---|---|---|---|---|"
    cells: dict[str, list[tuple[Any, Any, Any]]] = {}
    for key, (pair, _) in plan().items():
        head = found["monitor"][key].data["head"]
        value, state = head["levels"][pair.name]
        cells.setdefault(pair.name, []).append((value, state, head["response"].get(pair.name)))
    for name, ((low, met, _), (high, missed, response)) in cells.items():
        told = f"{response[0]} ({response[1]})" if response else "–"
        yield f"| `{name}` | {response[2] if response else ''} | {low:.5g}: {met} | {high:.5g}: {missed} | {told} |"


ACTING = {
    "missing_rate": {"limit": 0.01, "response": "fall back"},
    "valid_rate": {"limit": 0.999, "response": "block scoring"},
    "outlier_rate": {"limit": 0.02, "response": "fall back"},
}
"""Levels with responses that act, which no default has."""


def baseline(features: Any) -> Any:
    """A rule to fall back to: who hardly listens leaves."""
    return np.where(features["hours"].fillna(0) < 3, 0.8, 0.2)


def answers(world: World, folder: Path) -> Iterator[str]:
    """Lines of a table in Markdown: who answers the days of each indicator whose response acts."""
    yield "| level | fallback | just inside, answered by | just outside, answered by |"
    yield "|---|---|---|---|"
    for (name, level), fallback in zip(ACTING.items(), ("rule", "off", "constant"), strict=True):
        spec = declared(folder, levels={name: level, "fallback": fallback}, baseline=baseline)
        told = {}
        for key, (pair, inside) in plan().items():
            if pair.name == name:
                head = world.run(predict.STAGE, spec, [key])[key].data["head"]
                told[inside] = head.get("served", {}).get("by", "champion")
        yield f"| `{name}`: {level['response']} | {fallback} | {told[True]} | {told[False]} |"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        made, went = lived(Path(name))
        print("\n".join((*table(went), "", *answers(made, Path(name)))))
