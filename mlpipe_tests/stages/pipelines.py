"""Small synthetic pipelines on files, and a world to run them in: a store, a ledger and a clock, without Dagster."""

import shutil
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import mlpipe as ml
from mlpipe.ledger.chain import Ledger
from mlpipe.records.record import Record, Trigger
from mlpipe.spec.build import build
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, feature, ingest, label, monitor, predict, release, train, validate
from mlpipe.stages.context import Context, Heads, MemoryHeads, Run
from mlpipe.stages.runner import Stage, run_stage
from mlpipe.stores.store import Store

START = date(2024, 1, 1)
ROWS, DAYS = 60, 40
DATA = (ingest.STAGE, validate.STAGE, feature.STAGE, label.STAGE)
TRAINING = (train.STAGE, evaluate.STAGE, release.STAGE)
LIVE = (predict.STAGE, monitor.STAGE)
FEATURES = ["hours", "plays", "city"]
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def day(n: int) -> str:
    """Key of the n-th day, from 0."""
    return (START + timedelta(days=n)).isoformat()


def days(count: int, first: int = 0) -> tuple[str, ...]:
    return tuple(day(n) for n in range(first, first + count))


def rows(key: str, count: int = ROWS) -> pd.DataFrame:
    """A day's rows: few hours and few plays make a user leave, so that a model has something to learn. The same for a key, always."""
    number = date.fromisoformat(key).toordinal()
    rng = np.random.default_rng(number)
    hours = rng.gamma(2.0, 3.0, count).round(3)
    plays = rng.poisson(5, count)
    odds = 2.0 - 0.5 * hours - 0.2 * plays + rng.logistic(0, 0.5, count)
    start = pd.Timestamp(key, tz="UTC")
    return pd.DataFrame(
        {
            "user": number * 1000 + np.arange(count),
            "at": start + pd.to_timedelta(rng.integers(0, 86_400, count), unit="s"),
            "hours": hours,
            "plays": plays,
            "city": rng.choice(["Ulm", "Bonn", "Kiel"], count),
            "reason": np.where(odds > 0, "left", "stays"),
            "churned": (odds > 0).astype("int64"),
        }
    )


def written(folder: Path, keys: Sequence[str], suffix: str = "parquet", **changes: Any) -> Path:
    """Folder with a file a day; `changes` maps a key (``d`` and the day's number) to a function of its frame."""
    folder.mkdir(parents=True, exist_ok=True)
    for key in keys:
        change = changes.get(f"d{(date.fromisoformat(key) - START).days}")
        save(rows(key) if change is None else change(rows(key)), folder / f"{key}.{suffix}")
    return folder


def save(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)


def spec_of(folder: Path, **settings: Any) -> PipelineSpec:
    """A daily churn pipeline on the Parquet files of a folder, with some settings of its own."""
    given: dict[str, Any] = {
        "name": "churn",
        "partitions": ml.daily(start=START.isoformat()),
        "source": ml.Parquet("{partition}.parquet", event_time="at", keys=["user"]),
        "label": ml.Label("churned", outcomes=["reason"]),
        "features": FEATURES,
        "model": LogisticRegression(),
        "window": "20d",
        "split": ml.Split(valid="4d", test="4d"),
        "monitor": {"window": 3, "grid_window": 5},
        "bootstrap": 100,
    }
    if "sources" in settings:
        del given["source"]
    return build({**given, **settings}, where="pipeline.py:1", base_dir=folder)


@dataclass
class World:
    """Where a pipeline runs; `run` gives the records of a stage."""

    folder: Path
    heads: Heads = field(default_factory=MemoryHeads)
    runs: int = 0

    def __post_init__(self) -> None:
        self.store = Store.open(self.folder)

    def copied(self, folder: Path) -> "World":
        """The same world in another folder, to go on from here."""
        shutil.copytree(self.folder, folder)
        return World(folder, deepcopy(self.heads), self.runs)

    def context(self, spec: PipelineSpec, as_of: datetime = LATER, **run: Any) -> Context:
        self.runs += 1
        clock = [as_of]

        def now() -> datetime:
            clock[0] += timedelta(milliseconds=1)
            return clock[0]

        ledger = Ledger(self.store.backend, spec.name)
        return Context(self.store, ledger, self.heads, Run(f"run{self.runs}", as_of, **run), now)

    def run(
        self, stage: Stage, spec: PipelineSpec, keys: Sequence[str], as_of: datetime = LATER, **run: Any
    ) -> dict[str, Record]:
        context = self.context(spec, as_of, **run)
        return {r.partition: r for r in run_stage(stage, spec, keys, context)}

    def run_all(
        self,
        stages: Sequence[Stage],
        spec: PipelineSpec,
        keys: Sequence[str],
        as_of: datetime = LATER,
        **run: Any,
    ) -> dict[str, dict[str, Record]]:
        return {s.name: self.run(s, spec, keys, as_of, **run) for s in stages}

    def table(self, record: Record, name: str) -> pd.DataFrame:
        return self.store.get_table(record.output(name).id)

    def objects(self) -> set[str]:
        return {path for path, _ in self.store.backend.list("objects")}

    def stored_records(self, spec: PipelineSpec) -> list[str]:
        return self.store.record_ids(spec.name)


def ids(records: dict[str, Record]) -> dict[str, dict[str, str]]:
    """Content ids of the outputs of some records, by partition and name."""
    return {
        k: {o.name: o.id for o in (*r.outputs, *r.artifacts, *r.curves)} for k, r in sorted(records.items())
    }


def scheduled() -> dict[str, Any]:
    """A run that may promote."""
    return {"trigger": Trigger(kind="schedule", reason="nightly"), "actor": "test"}
