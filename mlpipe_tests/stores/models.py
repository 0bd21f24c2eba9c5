"""Small data and fitted models for the tests of bundles and stores."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mlpipe.stores.bundles import Bundle, seed_everything


def people(rows: int = 300) -> tuple[pd.DataFrame, pd.Series]:
    """Numbers with nulls, whole numbers, text; and a binary label."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, rows),
            "visits": random.integers(0, 9, rows),
            "plan": random.choice(["basic", "plus", "pro"], rows),
            "city": random.choice(["Bonn", "Köln"], rows),
        }
    )
    label = ((frame["age"] / 40 + frame["visits"] / 8 + (frame["plan"] == "pro")) > 1.7).astype("int64")
    frame.loc[::11, "age"] = np.nan
    return frame, label


def pipeline(model: Any) -> Any:
    """The usual preprocessing before a model, everything seeded."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    rare = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = [
        ("numbers", numbers, ["age", "visits"]),
        ("plan", OneHotEncoder(handle_unknown="ignore"), ["plan"]),
        ("city", rare, ["city"]),
    ]
    return seed_everything(make_pipeline(ColumnTransformer(columns), model), 7)


def fitted(model: Any) -> Any:
    """That pipeline, fitted on one thread."""
    with threadpool_limits(limits=1):
        return pipeline(model).fit(*people())


def bundle_of(estimator: Any, frame: pd.DataFrame, **changes: Any) -> Bundle:
    """A binary bundle of a fitted estimator."""
    given: dict[str, Any] = {
        "estimator": estimator,
        "task": "binary",
        "features": tuple((name, str(dtype)) for name, dtype in frame.dtypes.items()),
        "classes": (0, 1),
        "positive": 1,
        "threshold": 0.5,
        "input_example": frame.head(5),
    }
    return Bundle(**{**given, **changes})


@cache
def boosted() -> Bundle:
    """A fitted pipeline with histogram gradient boosting. Not to be changed."""
    return bundle_of(fitted(HistGradientBoostingClassifier(max_iter=8)), people()[0])


@cache
def logistic() -> Bundle:
    """A fitted pipeline with logistic regression. Not to be changed."""
    return bundle_of(fitted(LogisticRegression()), people()[0])
