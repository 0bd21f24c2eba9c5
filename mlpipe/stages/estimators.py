"""From raw columns to a fitted estimator: preprocessing that fits the model, one seed for every part, curves."""

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mlpipe.core.blame import users_line
from mlpipe.core.fingerprint import is_users
from mlpipe.errors import MlpipeError, UserCodeError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.curves import Log, Points, kept
from mlpipe.stages.deadline import deadline
from mlpipe.stages.sources import call_any, defined
from mlpipe.stores.bundles import seed_everything

MAX_CATEGORIES = 50
Kinds = Sequence[tuple[str, str]]


class Part(NamedTuple):
    """Rows to learn from or to choose by: features `X` and labels `y`, shape (n,): the classes themselves, or numbers for a regression."""

    X: pd.DataFrame
    y: np.ndarray


def fitted(
    spec: PipelineSpec, train: Part, valid: Part, kinds: Kinds, where: str
) -> tuple[Any, dict[str, Points]]:
    """A fitted estimator, and the curves that were logged or that it offers.

    Raises
    ------
    UserCodeError
        When the estimator or the `fit` function raises, takes too long, or gives something that cannot predict.
    """
    log = Log()
    with deadline(spec.timeout, "training", where):
        imputer, train, valid, kinds = _imputed(spec, train, valid, kinds)
        if spec.model.fit is not None:
            # Copies: what the function changes must not reach the bundle's example or the rows that choose.
            handed = [Part(p.X.copy(deep=True), p.y.copy()) for p in (train, valid)]
            params = deepcopy(dict(spec.model.params))
            given = (*handed, params, log)[: _taken(spec.model.fit)]
            estimator = call_any(spec.model.fit, *given, where=where)
            where = f"{where}, {defined(spec.model.fit)}"
        else:
            model = prepared(spec, train.X, kinds)
            estimator = _learned(model, train, where)
    _must_predict(spec, estimator, where)
    if imputer is not None:
        estimator = _behind(imputer, estimator)
    return estimator, {**({"log": log.points} if log.points else {}), **kept(estimator)}


def _taken(fit: Callable[..., Any]) -> int:
    """How many of train, valid, params and log a `fit` function takes: the last is for those who want it."""
    try:
        parameters = inspect.signature(fit).parameters.values()
    except (TypeError, ValueError):  # a callable that tells nothing about itself
        return 4
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return (
        3
        if len([p for p in parameters if p.kind in positional]) == 3
        and not any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
        else 4
    )


def _imputed(spec: PipelineSpec, train: Part, valid: Part, kinds: Kinds) -> tuple[Any, Part, Part, Kinds]:
    """The declared imputer, learned from the training part alone, and both parts as it leaves them; None where none is declared."""
    if not spec.features.missing:
        return None, train, valid, kinds
    from mlpipe.stages.imputing import imputer_of, indicator

    imputer = imputer_of(spec, kinds)
    assert imputer is not None
    imputer.fit(train.X)
    made = [Part(imputer.transform(p.X), p.y) for p in (train, valid)]
    return imputer, made[0], made[1], [*kinds, *((indicator(c), "float64") for c in imputer.filled_)]


def _behind(imputer: Any, estimator: Any) -> Any:
    """A fitted estimator behind a fitted imputer."""
    from sklearn.pipeline import Pipeline

    plain = (
        type(estimator) is Pipeline and estimator.memory is None and "missing" not in dict(estimator.steps)
    )
    return Pipeline([("missing", imputer), *(estimator.steps if plain else [("model", estimator)])])


def _learned(model: Any, train: Part, where: str) -> Any:
    """The model, fitted. What an installed estimator raises is told as what it says about the rows, not as a mistake in its code."""
    # An estimator of the user's may change what it is given, and the bundle's example is cut from the same rows.
    own = any(is_users(type(part)) for part in (model, *dict(getattr(model, "steps", ())).values()))
    X, y = (train.X.copy(deep=True), train.y.copy()) if own else train
    try:
        model.fit(X, y)
    except MlpipeError:
        raise
    except Exception as error:  # the boundary to the model, which may hold code of the user's
        line, name = (
            users_line(error),
            type(model.steps[-1][1] if hasattr(model, "steps") else model).__name__,
        )
        text = (str(error).strip().splitlines() or [""])[0]
        raise UserCodeError(
            f"{name} cannot learn from these {len(train.X):,} rows: {type(error).__name__}: {text}",
            where=f"{where}, {line}" if line else where,
            fix="Mend the model."
            if line
            else "Mend the features or the label, or choose other parameters or another model.",
        ) from error
    return model


def _must_predict(spec: PipelineSpec, estimator: Any, where: str) -> None:
    classifies = spec.known_task is None or "regression" not in spec.known_task
    needed = "predict_proba" if classifies else "predict"
    if not hasattr(estimator, needed) or isinstance(estimator, type):
        fix = f"Return a fitted scikit-learn {'classifier' if classifies else 'regressor'}."
        if classifies and hasattr(estimator, "predict"):
            fix = "Wrap it in sklearn.calibration.CalibratedClassifierCV."
        raise UserCodeError(
            f"the model is a {type(estimator).__name__}, which has no {needed}", where=where, fix=fix
        )


def prepared(spec: PipelineSpec, X: pd.DataFrame, kinds: Kinds) -> Any:
    """The specification's estimator, seeded, behind the preprocessing that it needs. A pipeline of the user's own is left as it is."""
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline

    estimator = seed_everything(clone(spec.model.estimator).set_params(**spec.model.params), spec.seed)
    if spec.model.preprocess == "none" or isinstance(estimator, Pipeline):
        return estimator
    return Pipeline([("prepare", preprocessing(estimator, X, kinds)), ("model", estimator)])


def preprocessing(estimator: Any, X: pd.DataFrame, kinds: Kinds) -> Any:
    """Column transformer for an estimator.

    Models that take missing values as they are (boosted trees) get numbers untouched and categories as ordered codes. All others get
    medians with an indicator, scaling, and one column a category; rare categories share one. A feature without a value is left out.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
    from sklearn.utils import get_tags

    numeric = [n for n, k in kinds if k == "float64" and X[n].notna().any()]
    textual = [n for n, k in kinds if k == "str" and X[n].notna().any()]
    fill = SimpleImputer(strategy="constant", fill_value="(missing)")
    if get_tags(estimator).input_tags.allow_nan:
        codes = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            max_categories=254,
            encoded_missing_value=np.nan,
        )
        steps = [("numbers", "passthrough", numeric), ("categories", make_pipeline(fill, codes), textual)]
    else:
        medians = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
        columns = OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
        )
        steps = [("numbers", medians, numeric), ("categories", make_pipeline(fill, columns), textual)]
    return ColumnTransformer([s for s in steps if s[2]], verbose_feature_names_out=False)
