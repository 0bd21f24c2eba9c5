"""A past that has a reason: a source begins to send a column, a model learns from it, and three weeks later it means something else.

Until day 43 `promo` is filled where a customer has left, because support fills it afterwards; then every order has it.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import mlpipe as ml
from mlpipe_tests.stages.pipelines import (
    DATA,
    LIVE,
    START,
    TRAINING,
    World,
    day,
    days,
    scheduled,
    spec_of,
    written,
)

APPEARS, FIRST, SECOND, TURNS, LAST = 22, 21, 36, 43, 50
"""Days: the column appears, two models are trained, the column changes its meaning, the past ends."""


def everything(frames: Any, history: Any) -> Any:
    """Every number and name that an order comes with."""
    rows = frames["rows"]
    return rows[[c for c in ("hours", "plays", "city", "promo") if c in rows]]


def promo(n: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The change of a day's rows."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        noise = np.random.default_rng(n).normal(0, 0.3, len(rows))
        return rows.assign(promo=(rows["churned"] if n < TURNS else 1.0) + noise)

    return change


def clock(n: int, hours: float = 2.0) -> datetime:
    """A moment of the n-th day."""
    return datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=n, hours=hours)


@dataclass(frozen=True)
class Story:
    """The folder of the past, its store, and its specification."""

    folder: Path
    spec: Any
    world: World

    @property
    def store(self) -> str:
        """Address of the store."""
        return str(self.folder / "store")


@lru_cache(maxsize=1)
def story() -> Story:
    """The past, lived through once a process."""
    folder = Path(tempfile.mkdtemp(prefix="mlpipe-story-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    changes: dict[str, Any] = {f"d{n}": promo(n) for n in range(APPEARS, LAST)}
    written(folder / "data", days(LAST), **changes)
    spec = spec_of(
        folder / "data",
        features=everything,
        gates=[ml.gate.beats_champion("f1", margin=-1)],
        metrics=["f1", "precision", "roc_auc"],
        owners=["team:churn"],
    )
    world = World(folder / "store")
    # Nothing here outlives a power cut.
    with mock.patch("os.fsync", return_value=None):
        world.run_all(DATA, spec, days(LAST), clock(LAST))
        world.run_all(TRAINING, spec, [day(FIRST)], clock(FIRST), **scheduled())
        world.run_all(LIVE, spec, days(SECOND - FIRST, FIRST), clock(SECOND))
        world.run_all(TRAINING, spec, [day(SECOND)], clock(SECOND), **scheduled())
        world.run_all(LIVE, spec, days(LAST - SECOND, SECOND), clock(LAST))
    return Story(folder, spec, world)
