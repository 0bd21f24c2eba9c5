"""A past with candidates: the world turns round, a better model is promoted, somebody rolls it back, and a last one is judged."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

import mlpipe as ml
from mlpipe.ledger import promotion
from mlpipe.ledger.chain import Ledger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import monitor, predict
from mlpipe_tests.stages.pipelines import DATA, TRAINING, World, day, days, scheduled, spec_of, written

FIRST, TURN, LAST = 16, 18, 34
TRAINED = (16, 28, 31, 33)
BY_HAND = 30
MONITORED = (20, 33)


def moment(n: int, hour: int) -> datetime:
    return datetime(2024, 1, 1, hour, tzinfo=UTC) + timedelta(days=n)


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    """Who stayed leaves, and who left stays."""
    return frame.assign(churned=1 - frame["churned"])


def spec_at(folder: Path, **settings: Any) -> PipelineSpec:
    return spec_of(
        folder,
        **{
            "window": "10d",
            "split": ml.Split(valid="2d", test="2d"),
            "min_tenure": "1d",
            "gates": [ml.gate.at_least("roc_auc", 0.55), ml.gate.beats_champion("roc_auc")],
            **settings,
        },
    )


def lived(folder: Path) -> tuple[PipelineSpec, World]:
    """The past, night by night: predictions at two, a training at three, the rollback of the better model at noon."""
    changes: dict[str, Any] = {f"d{n}": turned for n in range(TURN, LAST)}
    spec = spec_at(written(folder / "rows", days(LAST), **changes))
    world = World(folder / "store")
    world.run_all(DATA, spec, days(LAST))
    for n in range(FIRST, LAST):
        if n in TRAINED:
            world.run_all(TRAINING, spec, [day(n)], as_of=moment(n, 3), **scheduled())
        if n == BY_HAND:
            chain = Ledger(world.store.backend, spec.name)
            why, when = "customers complain", moment(n, 12)
            promotion.rollback(chain, None, "ana", why, now=when, prove=lambda version: None)
            promotion.acknowledge(chain, "ana", "looked at it", now=moment(n, 13))
        world.run(predict.STAGE, spec, [day(n)], as_of=moment(n + 1, 2))
        if n in MONITORED:
            world.run(monitor.STAGE, spec, [day(n)], as_of=moment(n + 1, 2))
    return spec, world
