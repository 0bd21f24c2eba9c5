"""A proposal as settings: what the data itself is like raises no alarm."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.scaffold.look import Looked
from mlpipe.scaffold.proposal import Asked, propose
from mlpipe.scaffold.settings import settings_of


def made(missing: float, positives: float) -> dict[str, Any]:
    """Settings for 40 days of 100 rows: one of two features misses a share of its values, and few rows are positive."""
    rng = np.random.default_rng(0)
    count = 4_000
    frame = pd.DataFrame(
        {
            "seen_at": pd.date_range("2025-01-01", periods=count, freq="864s", tz="UTC").astype(str),
            "size": rng.gamma(2, 3, count).round(2),
            "speed": np.where(rng.random(count) < missing, np.nan, rng.normal(50, 9, count).round(1)),
            "late": (rng.random(count) < positives).astype(int),
        }
    )
    looked = Looked(frame, count, {"type": "csv", "path": "rows.csv"}, "csv", "rows.csv", ())
    return settings_of(
        propose(Asked("shop", "late", time="seen_at"), looked, datetime(2026, 1, 1, tzinfo=UTC)), {}
    )


def test_data_that_meets_the_defaults_keeps_them() -> None:
    assert "levels" not in made(0.0, 0.3) and "levels" not in made(0.01, 0.1)


def test_what_is_missing_anyway_has_a_limit_of_its_own() -> None:
    levels = made(0.3, 0.3)["levels"]
    assert set(levels) == {"missing_rate"}
    # 14.55% of the values, half as much again, a hundredth, and three standard errors of 100 rows: 0.334.
    assert levels["missing_rate"].value == 0.34
    assert "of the features' values are missing here" in levels["missing_rate"].why[0]


def test_a_rare_class_has_a_limit_of_its_own() -> None:
    levels = made(0.0, 0.02)["levels"]
    assert set(levels) == {"class_ratio"} and 100 < levels["class_ratio"].value < 250
    assert "The rarest class has one row to" in levels["class_ratio"].why[0]
