"""Who leaves, and why: the one function that the world knows and no model is shown."""

import numpy as np
import pandas as pd

SEGMENTS = ("power", "casual", "free")
SILENCE = np.array([8.0, 13.0, 16.0])
"""Days without a play that mean something, by segment."""
STEEP = np.array([4.8, 2.7, 2.9])
"""How sharply leavers and stayers part, by segment: what lies between is chance."""
REACH = np.array([1.0, 1.1, 1.13])
"""Reasons that it takes to leave, by segment."""


def churn_probability(rows: pd.DataFrame, drifted: np.ndarray | float = 0.0) -> np.ndarray:
    """Probability that a subscriber leaves within 30 days, from what a row shows.

    Parameters
    ----------
    rows
        The columns of `tunekeep.data.snapshots`.
    drifted
        How far the planted concept drift has gone, in [0, 1]; a number, or one a row.

    Returns
    -------
    ndarray
        Shape (n,), in (0, 1).
    """
    segment = pd.Index(SEGMENTS).get_indexer(rows["segment"])
    seen = {c: rows[c].to_numpy() for c in rows.columns}
    rootless = seen["playlist_adds_28d"] < 3
    silent = _soft((seen["days_since_play"] - SILENCE[segment]) / 1.2)
    fallen = seen["hours_28d"] < 0.5 * seen["hours_previous_28d"]
    dearer = seen["price_change"] > 0
    annoyed = (seen["support_tickets_90d"] > 0) & (np.nan_to_num(seen["skips_rate"]) > 0.35)
    unpaid = (seen["failed_payments_90d"] > 0) & (seen["plan"] != "family")
    new = seen["tenure_days"] < 75
    reasons = (
        (1 - 0.7 * drifted) * silent * (0.8 + 0.5 * fallen)
        + 0.9 * (dearer & rootless)
        + 0.7 * (annoyed & (fallen | new))
        + 0.8 * unpaid * rootless
        + 0.5 * (new & rootless)
        + 1.2 * drifted * dearer
    )
    return np.asarray(_soft(STEEP[segment] * (reasons - REACH[segment])))


def _soft(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
