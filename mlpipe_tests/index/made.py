"""Records for the tests of the index, made by hand and by chance."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mlpipe.records.codec import sealed
from mlpipe.records.record import Input, MetricValue, Output, Record

START = datetime(2024, 1, 1, tzinfo=UTC)
STORE = "/nowhere/store"


def record(day: int = 0, stage: str = "train", **fields: Any) -> Record:
    """A record written on a day after `START`."""
    asset = {"train": "model", "evaluate": "evaluation"}.get(stage, stage)
    made: dict[str, Any] = {
        "pipeline": "flights",
        "stage": stage,
        "asset": f"flights/{asset}",
        "partition": (START + timedelta(days=day)).strftime("%Y-%m-%d"),
        "run": f"run-{day}",
        "as_of": START + timedelta(days=day),
        "recorded_at": START + timedelta(days=day, hours=2),
    }
    return sealed(Record(**(made | fields)))


def training(day: int = 0, bundle: str = "", **fields: Any) -> Record:
    """A training that made a bundle."""
    outputs = (Output(name="bundle", id=bundle or f"bundle-{day}", bytes=100),)
    return record(day, outputs=outputs, **fields)


def evaluation(of: Record, day: int = 0, **metrics: float) -> Record:
    """An evaluation of a training's bundle."""
    read = Input(asset=of.asset, partition=of.partition, record=of.id, name="bundle", id=of.outputs[0].id)
    values = tuple(
        MetricValue(name=n, value=v, split="test", low=v - 0.1, high=v + 0.1) for n, v in metrics.items()
    )
    return record(day, "evaluate", inputs=(read,), metrics=values)


def metric(name: str, value: float, split: str = "") -> MetricValue:
    """A metric."""
    return MetricValue(name=name, value=value, split=split)
