"""The shop on data that drifts: prices rise from the eighteenth day on, and what makes an order late turns round."""

import sys
from typing import Any

import numpy as np
import pandas as pd

import mlpipe as ml
from mlpipe_tests.orchestration.shop import shop

FIRST, LAST, TURN = "2024-01-13", "2024-01-30", pd.Timestamp("2024-01-18", tz="UTC")
ROWS = 60


def orders(window: Any) -> pd.DataFrame:
    """Orders of the days in a window; each day's depend on its date alone."""
    days = pd.date_range(window.start, window.end, freq="D", inclusive="left")
    return pd.concat([_day(d) for d in days], ignore_index=True)


def _day(day: pd.Timestamp) -> pd.DataFrame:
    number = int(day.timestamp()) // 86400
    draw = np.random.default_rng(number)
    size, price = draw.normal(size=ROWS), draw.normal(size=ROWS)
    turned = day >= TURN
    cause = price if turned else size
    return pd.DataFrame(
        {
            "order": np.arange(ROWS) + number * 1000,
            "at": day + pd.to_timedelta(np.arange(ROWS) * 20, unit="min"),
            "size": size,
            "price": price + 3 * turned,
            "late": (cause + 0.5 * draw.normal(size=ROWS) > 0).astype(float),
        }
    )


def settings(**changes: Any) -> dict[str, Any]:
    """A policy for small worlds: every new champion is asked about after four days."""
    return {
        "source": ml.Load(orders, event_time="at", keys=["order"]),
        "retrain": {"every": "never", "drift": 0.5, "cool_down": "4d", "min_new_data": "1d"},
        "monitor": {"window": 3, "grid_window": 5},
        "window": "10d",
        "split": ml.Split(valid="2d", test="3d"),
        "min_tenure": "1d",
        "gates": [ml.gate.at_least("roc_auc", 0.55), ml.gate.beats_champion("roc_auc")],
        **changes,
    }


def drifting(**changes: Any) -> ml.Pipeline:
    """The pipeline."""
    return shop(**settings(**changes))


PROJECT = "from mlpipe_tests.orchestration.drifting import drifting\n\ndefs = drifting().definitions()\n"


def command(target: str, *more: str, first: str = FIRST, last: str = LAST) -> list[str]:
    """The replay as a command."""
    replay = ["replay", "shop", "-f", target, "--from", first, "--to", last, *more]
    return [sys.executable, "-m", "mlpipe", *replay]
