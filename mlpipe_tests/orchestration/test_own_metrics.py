"""A metric of one's own as the one that decides, through Dagster: its number stands where people look."""

from pathlib import Path

import numpy as np

import mlpipe as ml
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe_tests.orchestration.conftest import LAST, TRAIN_AT, World, world_at


def wasted(y: np.ndarray, score: np.ndarray) -> float:
    """Certainty about the wrong class."""
    return float(np.mean(np.abs(score - y)))


def test_it_is_judged_by_promoted_by_and_watched(small: World) -> None:
    world = world_at(
        Path(small.spec.store or "").parent,
        small.on,
        metrics=[{"name": "wasted", "function": wasted, "better": "lower"}, "cost"],
        cost={"false_positive": 1, "false_negative": 5},
        gates=[ml.gate.at_most("wasted", 0.45), ml.gate.at_most("cost", 2.5)],
    )
    world.run("training", TRAIN_AT)
    champion = world.ledger.state().champion
    assert champion is not None and set(champion.details["metrics"]) == {"wasted", "cost"}
    kinds = [g["gate"].partition("(")[0] for g in champion.details["gates"]]
    assert kinds == ["at_most", "at_most", "beats_baseline"]
    world.run("daily", LAST)
    for asset, key, split in (("evaluation", TRAIN_AT, "test"), ("monitor", LAST, "realised")):
        record = record_at(world, asset, key)
        told = {m.name: m for m in record.metrics if m.split == split}
        assert list(told) == ["wasted", "cost"] and {m.better for m in told.values()} == {"lower"}
        assert 0 < told["wasted"].value < 0.45
        assert any(name.endswith("wasted") for name in record.code.fingerprints)
        # What the asset's page plots and tells.
        event = next(e for e in world.events(asset) if e.partition_key == key)
        assert event.asset_materialization is not None
        shown = event.asset_materialization.metadata
        assert any("wasted" in name or "wasted" in str(value.value) for name, value in shown.items())


def record_at(world: World, asset: str, key: str) -> Record:
    """The record at a partition."""
    every = (from_bytes(data) for _, data in world.store.records("shop"))
    return next(r for r in every if (r.asset, r.partition) == (f"shop/{asset}", key))
