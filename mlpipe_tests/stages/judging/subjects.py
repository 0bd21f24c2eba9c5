"""Subjects of probes: a fitted model on small rows, without a store where none is needed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.scored import Scored
from mlpipe.spec.measures import Measures
from mlpipe.spec.probing import Explain, Leakage, Resources, Robustness
from mlpipe.stages.judging.subject import Subject
from mlpipe_tests.stores.models import people


def settings(**changes: Any) -> Any:
    """What probes read of a pipeline."""
    given: dict[str, Any] = {
        "name": "churn",
        "base_dir": Path(),
        "behaviour": (),
        "robustness": Robustness(),
        "resources": Resources(),
        "leakage": Leakage(audit=False),
        "golden": None,
        "explain": Explain(),
        "bootstrap": 100,
        "partitions": SimpleNamespace(every="none"),
        "label": SimpleNamespace(name="left"),
        "model": SimpleNamespace(trusted=()),
        "measures": Measures((), (), None),
    }
    return SimpleNamespace(**{**given, **changes})


def subject_of(bundle: Any, frame: pd.DataFrame | None = None, y: Any = None, **changes: Any) -> Subject:
    """A subject with a bundle on some rows; `spec` takes what differs from `settings`, `training` other rows than the judged."""
    rows, truth = people() if frame is None else (frame, y)
    rows = rows.reset_index(drop=True)
    truth = np.asarray(truth, dtype="float64" if bundle.task == "regression" else "int64")
    spec = settings(**changes.pop("spec", {}))
    times = pd.date_range("2024-01-01", periods=len(rows), freq="h", tz="UTC")
    judged = rows.assign(_partition=times.strftime("%Y-%m-%d"), _row=np.arange(len(rows)), _time=times)
    train = changes.pop("training", (judged, truth))
    given: dict[str, Any] = {
        "spec": spec,
        "key": "2024-02-01",
        "bundle": bundle,
        "rows": judged,
        "y": truth,
        "scored": Scored(truth, bundle.predict(rows), bundle.threshold, bundle.classes),
        "blocks": judged["_partition"].to_numpy(),
        "names": ("rmse",) if bundle.task == "regression" else ("roc_auc", "f1"),
        "champion": None,
        "champion_scored": None,
        "compared": None,
        "training": lambda: train,
        "ctx": SimpleNamespace(measured={}),
        "seed": 0,
    }
    return Subject(**{**given, **changes})


class Says:
    """A binary model that answers as a function of the frame says."""

    classes_ = np.array([0, 1])

    def __init__(self, function: Any) -> None:
        self.function = function

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        p = np.asarray(self.function(frame), dtype="float64")
        return np.stack([1 - p, p], axis=1)
