"""One valid pipeline through both doors, and the findings of one that is not."""

import inspect
from pathlib import Path
from typing import Any

from sklearn.linear_model import LogisticRegression

import mlpipe as ml
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.yaml_file import build_mapping, read

FILE = "defs.yaml"
YAML = """\
name: churn
owner: team:growth
partitions: {every: day, start: 2024-01-01, timezone: Europe/Berlin}
source:
  type: parquet
  path: data/{partition}.parquet
  event_time: ts
  keys: [user]
  contract:
    columns:
      hours: {dtype: number, min: 0}
label: {column: churned, available_after: 30d}
features: [hours, adds]
model:
  class: sklearn.linear_model.LogisticRegression
  params: {C: 0.5}
split: {valid: 10d, test: 10d, embargo: 1d}
metrics: [f1, roc_auc]
gates:
  - at_least: {metric: f1, value: 0.6}
  - beats_champion: {metric: f1}
retrain: {every: week, drift: 0.25}
problem: {decision: whom to call}
"""


def settings(**changes: Any) -> dict[str, Any]:
    """Settings of the pipeline in Python; a change to None takes a setting out."""
    given = {
        "name": "churn",
        "owner": "team:growth",
        "partitions": ml.daily(start="2024-01-01", timezone="Europe/Berlin"),
        "source": ml.Parquet(
            "data/{partition}.parquet",
            event_time="ts",
            keys=["user"],
            contract=ml.Contract(columns={"hours": ml.Column("number", min=0)}),
        ),
        "label": ml.Label("churned", available_after="30d"),
        "features": ["hours", "adds"],
        "model": LogisticRegression(C=0.5),
        "split": ml.Split(valid="10d", test="10d", embargo="1d"),
        "metrics": ["f1", "roc_auc"],
        "gates": [ml.gate.at_least("f1", 0.6), ml.gate.beats_champion("f1")],
        "retrain": ml.Retrain(every="week", drift=0.25),
        "problem": {"decision": "whom to call"},
        **changes,
    }
    return {key: value for key, value in given.items() if value is not None}


def declared(**changes: Any) -> PipelineSpec:
    """Specification of the pipeline with some settings changed."""
    return ml.Pipeline(**settings(**changes)).spec


def loaded(text: str, folder: Path = Path("."), deployment: str | None = None) -> PipelineSpec:
    """Specification of the one document of a YAML text."""
    ((document, lines),) = read(text, FILE)
    return build_mapping(document, lines, file=FILE, base_dir=folder, deployment=deployment)


def here(offset: int = 0) -> int:
    """Line of the call, plus an offset."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno + offset
