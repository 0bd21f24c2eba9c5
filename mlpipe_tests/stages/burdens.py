"""Models that learn as others do, and answer slowly or take much memory: in whatever process they answer."""

import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression


class Slow(LogisticRegression):  # type: ignore[misc]
    """Half a second for an answer, however many rows it is asked about."""

    def predict_proba(self, X: pd.DataFrame) -> Any:
        time.sleep(0.5)
        return super().predict_proba(X)


class Large(LogisticRegression):  # type: ignore[misc]
    """Touches 800 MB, of 10^6 bytes each, for an answer, and lets go of them."""

    def predict_proba(self, X: pd.DataFrame) -> Any:
        held = np.ones(100_000_000)
        return super().predict_proba(X) * held[0]
