"""Missing values of declared features, filled by the reason why they are missing: the first step of a model, stored with it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from mlpipe.core.columns import with_columns
from mlpipe.core.impute import Chained, chain, filled, middle, outside
from mlpipe.errors import DataError, did_you_mean
from mlpipe.spec.pipeline import PipelineSpec

Kinds = Sequence[tuple[str, str]]
OWN = "(missing)"
"""Category of text that is missing for a reason of its own."""
LISTED = 40
"""Columns that a record tells about, at most."""


# scikit-learn has no annotations, so its classes are Any.
class Imputer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fills declared columns, and adds a column ``<name> missing`` (1 or 0) for each.

    ============ ==================================================== =================================
    mechanism    numbers                                              text
    ============ ==================================================== =================================
    ``mcar``     median                                               most frequent word
    ``mar``      chained regressions on all other numeric features    –
    ``mnar``     a constant below all that was seen                   a category of its own
    ============ ==================================================== =================================

    A column without any value in the rows it learns from is left as it is, and gets no indicator.

    Parameters
    ----------
    mechanisms
        ``mcar``, ``mar`` or ``mnar`` of each declared column.
    kinds
        Name and type (``float64`` or ``str``) of each feature, in their order.
    """

    def __init__(self, mechanisms: dict[str, str], kinds: tuple[tuple[str, str], ...]) -> None:
        self.mechanisms = mechanisms
        self.kinds = kinds

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Imputer":
        """Learn what takes the place of missing values from some rows, and from nothing else."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        kinds = dict(self.kinds)
        self.filled_ = [c for c in self.mechanisms if _known(X[c], kinds[c])]
        self.values_ = {c: _value(X[c], kinds[c], self.mechanisms[c]) for c in self.filled_}
        targets = [c for c in self.filled_ if self.mechanisms[c] == "mar"]
        self.numbers_ = [n for n, k in self.kinds if k == "float64" and _known(X[n], k)] if targets else []
        chained = (
            chain(_matrix(X, self.numbers_), [self.numbers_.index(c) for c in targets]) if targets else None
        )
        self.chained_ = {} if chained is None else dict(vars(chained))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The same rows and columns, filled, and an indicator a column behind them."""
        given = pd.DataFrame(X)
        made: dict[str, Any] = {}
        if self.chained_:
            chained = Chained(**self.chained_)
            matrix = filled(_matrix(given, self.numbers_), chained)
            made |= {self.numbers_[j]: matrix[:, j] for j in chained.targets}
        for name, value in self.values_.items():
            if value is not None:
                made[name] = given[name].where(given[name].notna(), value)
        made |= {indicator(c): given[c].isna().astype("float64") for c in self.filled_}
        return with_columns(given, made)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the columns that come out."""
        return np.array([*self.feature_names_in_, *map(indicator, self.filled_)], dtype=object)


def indicator(name: str) -> str:
    """Name of the column that says whether a feature was missing."""
    return f"{name} missing"


def _known(column: "pd.Series[Any]", kind: str) -> bool:
    return bool(column.notna().any() if kind == "str" else np.isfinite(column).any())


def _value(column: "pd.Series[Any]", kind: str, mechanism: str) -> float | str | None:
    """What takes the place of a missing value; None where a regression tells."""
    if kind == "str":
        if mechanism == "mnar":
            return OWN
        counts = column.value_counts()
        return str(min(counts.index[counts == counts.iloc[0]]))
    numbers = column.to_numpy(dtype="float64")
    return {"mcar": middle, "mnar": outside}[mechanism](numbers) if mechanism != "mar" else None


def _matrix(X: pd.DataFrame, names: Sequence[str]) -> Any:
    return X[list(names)].to_numpy(dtype="float64")


def imputer_of(spec: PipelineSpec, kinds: Kinds) -> Imputer | None:
    """The imputer that a pipeline declares, not fitted yet; None when it declares none.

    Raises
    ------
    DataError
        A declared column is no feature or is text that a regression should tell, or a feature has the name of an indicator.
    """
    missing, known = spec.features.missing, dict(kinds)
    if not missing:
        return None
    where = f"pipeline {spec.name}, features.missing"
    for name, mechanism in missing.items():
        if name not in known:
            raise DataError(f"{name!r} is no feature", where=where, fix=did_you_mean(name, list(known)))
        if mechanism == "mar" and known[name] == "str":
            raise DataError(
                f"{name!r} is text, and 'mar' predicts numbers",
                where=where,
                fix="Declare mcar (the most frequent word) or mnar (a category of its own).",
            )
        if indicator(name) in known:
            text = f"{indicator(name)!r} is the name of the indicator of {name!r}, and of a feature"
            raise DataError(text, where=where, fix="Give the feature another name.")
    return Imputer(dict(missing), tuple(kinds))


def told(imputer: Imputer, X: pd.DataFrame) -> dict[str, Any]:
    """What an imputer learned from some rows, for the record: mechanism, what fills a hole, and the share of nulls, by column."""
    listed: Mapping[str, str] = dict(list(imputer.mechanisms.items())[:LISTED])
    made: dict[str, Any] = {}
    for name, mechanism in listed.items():
        made[name] = {"mechanism": mechanism, "nulls": round(float(X[name].isna().mean()), 6)}
        value = imputer.values_.get(name)
        if name not in imputer.filled_:
            made[name]["filled"] = "nothing: it has no value in the training rows"
        elif mechanism == "mar":
            made[name]["filled"] = f"regression on {len(imputer.numbers_) - 1} features"
        else:
            made[name]["value"] = value if isinstance(value, str) else round(float(value or 0.0), 6)
    more = len(imputer.mechanisms) - len(listed)
    return made | ({"further": more} if more else {})
