"""Every kind of partition through all stages: hours, weeks, months, and none."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge

import mlpipe as ml
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe_tests.stages.pipelines import DATA, LATER, LIVE, TRAINING, World, rows, scheduled, spec_of

STAGES = {"hour": ml.hourly, "week": ml.weekly, "month": ml.monthly}


def everything(count: int, each: int = 20) -> pd.DataFrame:
    """Rows of some days from 1 January 2024, a Monday."""
    keys = [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(count)]
    return pd.concat([rows(k, each) for k in keys], ignore_index=True)


def through(
    world: World, spec: PipelineSpec, keys: tuple[str, ...], key: str
) -> dict[str, dict[str, Record]]:
    """All stages: data of all partitions, a model for one of them, and what follows it live."""
    made = world.run_all(DATA, spec, keys)
    made |= world.run_all(TRAINING, spec, [key], **scheduled())
    live = keys[keys.index(key) - 1 :]
    return made | world.run_all(LIVE, spec, live)


@pytest.mark.parametrize(
    ("every", "zone", "start", "length", "key", "settings"),
    [
        ("hour", "Europe/Berlin", "2024-03-30-20:00", 18, "2024-03-31-10:00", {"window": 11}),
        ("week", "UTC", "2024-01-07", 72, "2024-03-03", {"window": "49d"}),
        (
            "week",
            "America/New_York",
            "2024-01-07",
            86,
            "2024-03-17",
            {"window": "63d", "split": ml.Split(valid="7d", test="14d")},
        ),
        ("month", "Europe/Berlin", "2024-01-01", 270, "2024-08-01", {"window": 7}),
    ],
)
def test_hours_weeks_and_months(
    tmp_path: Path, every: str, zone: str, start: str, length: int, key: str, settings: dict[str, Any]
) -> None:
    frame = everything(length, 60 if every == "hour" else 20)
    if every == "hour":
        frame = frame.assign(
            at=pd.Timestamp("2024-03-30 19:00", tz="UTC") + (frame["at"] - frame["at"].min()) / 30
        )
        frame["user"] = range(len(frame))
    frame.to_parquet(tmp_path / "all.parquet")
    first = datetime.strptime(start, "%Y-%m-%d-%H:%M").isoformat() if every == "hour" else start
    spec = spec_of(
        tmp_path,
        partitions=STAGES[every](start=first, timezone=zone),
        source=ml.Parquet("all.parquet", event_time="at", keys=["user"]),
        min_rows=10,
        **{"split": ml.Split(), **settings},
    )
    world = World(tmp_path / "s")
    until = frame["at"].max().to_pydatetime()
    keys = spec.partitions.complete_until(until)
    assert keys[0] == start
    made = through(world, spec, keys, key)
    raw = sum(r.output("rows").rows for r in made["ingest"].values())
    window = spec.partitions.bounds(keys)
    assert raw == ((frame["at"] >= window.start) & (frame["at"] < window.end)).sum()
    record = made["train"][key]
    assert record.verdict == "trained" and record.data["left_out"] == {}
    assert record.data["data_end"] == spec.partitions.window(key).start.isoformat()
    # No partition is judged in part: each bound of the split is a bound of partitions.
    edges = {spec.partitions.window(k).start.isoformat() for k in keys}
    assert {b for bounds in record.data["split"].values() for b in bounds} <= edges
    assert made["register"][key].verdict == "promoted"
    assert len(world.table(made["predict"][key], "predictions")) == made["ingest"][key].output("rows").rows
    assert made["monitor"][key].verdict in ("stable", "drift")


def csv(folder: Path, kind: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    data = {"cancer": load_breast_cancer, "diabetes": load_diabetes}[kind](as_frame=True)
    names = [n.replace(" ", "_") for n in data.data.columns][:8]
    frame = data.frame.set_axis([c.replace(" ", "_") for c in data.frame.columns], axis=1).reset_index(
        names="id"
    )
    frame.to_csv(folder / "data.csv", index=False)
    settings = {
        "partitions": ml.unpartitioned(),
        "source": ml.CSV("data.csv", keys=["id"]),
        "label": ml.Label("target"),
        "features": names,
        "split": ml.Split(),
        "window": None,
        "name": kind,
    }
    return frame, settings


@pytest.mark.parametrize(
    ("kind", "model", "primary", "least"),
    [
        ("cancer", LogisticRegression(max_iter=200), "roc_auc", 0.95),
        ("diabetes", Ridge(), "mae", 0.0),
    ],
)
def test_without_partitions(tmp_path: Path, kind: str, model: Any, primary: str, least: float) -> None:
    frame, settings = csv(tmp_path, kind)
    spec, world = spec_of(tmp_path, model=model, **settings), World(tmp_path / "s")
    made = through(world, spec, ("all",), "all")
    records = {stage: r["all"] for stage, r in made.items()}
    assert records["ingest"].output("rows").rows == len(frame) and records["label"].verdict == "ripe"
    counts = records["train"].data["rows"]
    assert sum(counts.values()) == len(frame) and 0.1 < counts["test"] / len(frame) < 0.2
    metrics = {(m.split, m.name): m for m in records["evaluate"].metrics}
    found, constant = metrics["test", primary], metrics["constant", primary]
    assert found.value > least and found.value != constant.value
    # One partition is no block: the rows are resampled, and the interval has a width.
    assert found.low is not None and found.high is not None and found.low < found.value < found.high
    assert records["register"].verdict == "promoted"
    assert len(world.table(records["predict"], "predictions")) == len(frame)
    assert records["monitor"].verdict == "stable"
    again = world.run_all(DATA[1:], spec, ["all"])
    assert all(r["all"].reused for r in again.values())


def test_without_partitions_times_decide_the_split_and_corrected_data_replaces(tmp_path: Path) -> None:
    frame = everything(10)
    frame.to_parquet(tmp_path / "all.parquet")
    settings = {"partitions": ml.unpartitioned(), "window": None, "split": ml.Split()}
    source = ml.Parquet("all.parquet", event_time="at", keys=["user"])
    spec, world = spec_of(tmp_path, source=source, **settings), World(tmp_path / "s")
    made = through(world, spec, ("all",), "all")
    judged = world.table(made["evaluate"]["all"], "scored")
    assert len(judged) == 30 and judged["_time"].min() == frame["at"].nlargest(30).min()
    corrected = frame.assign(hours=np.where(frame["user"] % 7 == 0, frame["hours"] + 1, frame["hours"]))
    corrected.to_parquet(tmp_path / "all.parquet")
    world.run_all(DATA, spec, ["all"])
    second = world.run_all(TRAINING, spec, ["all"], LATER + timedelta(days=1), **scheduled())
    assert second["register"]["all"].data["version"] == 2
