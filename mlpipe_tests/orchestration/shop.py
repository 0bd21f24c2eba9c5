"""A small daily pipeline on generated data, for tests: 80 rows a day, a label that is known a day later."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import mlpipe as ml

START, ROWS = "2024-01-01", 80


def orders(window: Any) -> pd.DataFrame:
    """Orders of the days in a window; each day's depend on its date alone."""
    days = pd.date_range(window.start, window.end, freq="D", inclusive="left")
    return pd.concat([_day(d) for d in days], ignore_index=True)


def _day(day: pd.Timestamp) -> pd.DataFrame:
    draw = np.random.default_rng(int(day.timestamp()) // 86400)
    size, price = draw.normal(size=ROWS), draw.normal(size=ROWS)
    late = (size + 0.5 * draw.normal(size=ROWS) > 0).astype(float)
    return pd.DataFrame(
        {
            "order": np.arange(ROWS) + int(day.timestamp()) // 86400 * 1000,
            "at": day + pd.to_timedelta(np.arange(ROWS) * 10, unit="min"),
            "size": size,
            "price": price,
            "late": late,
        }
    )


def settings(**changes: Any) -> dict[str, Any]:
    """Settings of the pipeline, some of them replaced, those that are None left out."""
    given = {
        "name": "shop",
        "owners": ["team:shop"],
        "description": "Is an order late?",
        "partitions": ml.daily(start=START),
        "source": ml.Load(orders, event_time="at", keys=["order"]),
        "label": ml.Label("late", available_after="1d"),
        "features": ["size", "price"],
        "model": LogisticRegression(),
        "window": "10d",
        "split": ml.Split(valid="2d", test="2d", embargo="1d"),
        "metrics": ["roc_auc", "f1"],
        # Any challenger may take over: these tests are not about who is better.
        "gates": [ml.gate.at_least("roc_auc", 0.6), ml.gate.beats_champion("roc_auc", margin=-1)],
        "bootstrap": 100,
        **changes,
    }
    return {k: v for k, v in given.items() if v is not None}


def shop(**changes: Any) -> ml.Pipeline:
    """The pipeline."""
    return ml.Pipeline(**settings(**changes))
