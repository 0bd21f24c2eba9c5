"""Four ways to tell who will leave, from the plainest up; and when each of them learns, chooses and is judged."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

FEATURES = (
    "segment",
    "plan",
    "country",
    "age_band",
    "device",
    "tenure_days",
    "days_since_play",
    "hours_28d",
    "hours_previous_28d",
    "skips_rate",
    "playlist_adds_28d",
    "support_tickets_90d",
    "failed_payments_90d",
    "price_change",
)
THREE = ("days_since_play", "tenure_days", "price_change")
"""What the logistic model is shown."""


def rule(rows: pd.DataFrame) -> pd.Series:
    """What everyone knows: whoever has not played for 14 days is on the way out."""
    return (rows["days_since_play"] >= 14).astype("float64")


LOGISTIC = LogisticRegression()
FOREST = RandomForestClassifier(n_estimators=100, max_depth=6, min_samples_leaf=50, n_jobs=1, random_state=0)
BOOSTING = HistGradientBoostingClassifier(
    max_iter=300,
    learning_rate=0.03,
    max_leaf_nodes=31,
    min_samples_leaf=40,
    l2_regularization=1.0,
    early_stopping=False,
    random_state=0,
)
"""Tuned: of 18 settings of the first three, the lowest log loss on the month that chooses the threshold."""
