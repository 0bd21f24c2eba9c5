"""A small project of a package with functions of its own, that has run: what `mlpipe reproduce` is shown."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.orchestration.locate import pipeline_of
from mlpipe.orchestration.runs import instance, plan, run
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stores.store import Store

FIRST, LAST, TRAIN_AT = "2024-01-01", "2024-01-12", "2024-01-11"
PYPROJECT = """\
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "pastshop"
"""
SOURCE = '''\
"""Orders of a day; each depends on its date alone."""

import numpy as np
import pandas as pd


def orders(window):
    days = pd.date_range(window.start, window.end, freq="D", inclusive="left")
    return pd.concat([_day(d) for d in days], ignore_index=True)


def _day(day):
    draw = np.random.default_rng(int(day.timestamp()) // 86400)
    size, price = draw.normal(size=80), draw.normal(size=80)
    return pd.DataFrame(
        {
            "order": np.arange(80) + int(day.timestamp()) // 86400 * 1000,
            "at": day + pd.to_timedelta(np.arange(80) * 10, unit="min"),
            "size": size,
            "price": price,
            "late": (size + 0.5 * draw.normal(size=80) > 0).astype(float),
        }
    )
'''
FEATURES = '''\
"""What is known of an order."""


def made(frames, history):
    rows = frames["rows"]
    return rows[["size", "price"]].assign(ratio=rows["size"] * FACTOR)


FACTOR = 2.0
'''
PIPELINE = '''\
"""Will an order be late?"""

import mlpipe as ml
from sklearn.linear_model import LogisticRegression

from pastshop.features import made
from pastshop.source import orders


def learned(train, valid, params, log):
    """A regression that logs how well it does."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=params["C"])).fit(train.X, train.y)
    log(1, score=model.score(valid.X, valid.y))
    return model


pastshop = ml.Pipeline(
    name="pastshop",
    partitions=ml.daily(start="2024-01-01"),
    source=ml.Load(orders, event_time="at", keys=["order"]),
    label=ml.Label("late", available_after="1d"),
    features=made,
    model={"fit": learned, "params": {"C": 1.0}},
    task="binary",
    window="10d",
    split=ml.Split(valid="2d", test="2d", embargo="1d"),
    metrics=["roc_auc", "f1"],
    gates=[ml.gate.at_least("roc_auc", 0.6)],
    bootstrap=100,
)
'''
DEFINITIONS = '''\
"""The code location."""

from pastshop.pipeline import pastshop

defs = pastshop.definitions()
'''


@dataclass(frozen=True)
class Past:
    """A project's folder and the store that it left."""

    folder: Path
    store_folder: Path

    @property
    def store(self) -> Store:
        return Store.open(self.store_folder, create=False)

    def records(self, stage: str) -> list[Record]:
        """Records of a stage, by partition."""
        every = (from_bytes(data) for _, data in self.store.records("pastshop"))
        return sorted((r for r in every if r.stage == stage), key=lambda r: r.partition)

    def copied(self, to: Path) -> "Past":
        """The store alone, copied to an empty folder."""
        shutil.copytree(self.store_folder, to)
        return Past(self.folder, to)


def written(folder: Path, patch: pytest.MonkeyPatch) -> tuple[PipelineSpec, dg.Definitions]:
    """Write the project and a Dagster home for it; what the project declares."""
    package, home = folder / "project/pastshop", folder / "home"
    package.mkdir(parents=True)
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "project/pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text("")
    for name, text in (
        ("source", SOURCE),
        ("features", FEATURES),
        ("pipeline", PIPELINE),
        ("definitions", DEFINITIONS),
    ):
        (package / f"{name}.py").write_text(text)
    patch.setenv("DAGSTER_HOME", str(home))
    patch.delenv("MLPIPE_STORE", raising=False)
    patch.setattr(sys, "path", [*sys.path])
    return pipeline_of("pastshop", folder / "project")


def lived(folder: Path, patch: pytest.MonkeyPatch) -> Past:
    """Write the project, ingest twelve days, train and release a model."""
    spec, defs = written(folder, patch)
    with instance() as on:
        for request in plan(spec, FIRST, LAST, [TRAIN_AT]):
            run(spec, defs, on, request)
    return Past(folder / "project", folder / "home/mlpipe")
