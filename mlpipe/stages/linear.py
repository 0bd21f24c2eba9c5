"""The simple model beside the model: a logistic or ridge regression on the same features, as a rung of the ladder that it must climb."""

import warnings
from typing import Any

import numpy as np

from mlpipe.core.threshold import choose
from mlpipe.errors import DataError, UserCodeError
from mlpipe.records.record import Found, Output
from mlpipe.spec.modeling import Model
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.dataset import Encoding
from mlpipe.stages.estimators import Kinds, Part, fitted
from mlpipe.stages.runner import output
from mlpipe.stores.bundles import Bundle
from mlpipe.stores.store import Store

LINEAR = "linear"
"""Name of the output, and of the baseline."""
ROWS = 5000
"""It learns from so many rows, evenly spaced: more tell a linear model little."""
EXAMPLES = 5


def learned_linear(
    spec: PipelineSpec,
    encoding: Encoding,
    train: Part,
    valid: Part,
    kinds: Kinds,
    chosen: np.ndarray,
    where: str,
    store: Store,
) -> tuple[tuple[Output, ...], tuple[Found, ...]]:
    """The linear model as an output, its threshold chosen as the model's own is; or none, and a finding that says why.

    Parameters
    ----------
    train, valid
        The rows that the model learned from and was chosen on.
    kinds
        Features with their kinds.
    chosen
        Truth of the validation rows as numbers, shape (n,).
    where, store
        For errors; and where the bundle is put.
    """
    places = np.unique(np.linspace(0, len(train.y) - 1, min(ROWS, len(train.y))).astype("int64"))
    some = Part(train.X.iloc[places].reset_index(drop=True), train.y[places])
    simple = spec.model_copy(update={"model": Model(estimator=_estimator(encoding.task))})
    try:
        with warnings.catch_warnings():
            # That a baseline could be fitted a little better is no news about the model.
            warnings.simplefilter("ignore")
            estimator, _ = fitted(simple, some, valid, kinds, where)
            bundle = Bundle(
                estimator,
                encoding.task,
                tuple(kinds),
                encoding.classes,
                encoding.classes[-1] if encoding.task == "binary" else None,
                _threshold(spec, encoding, estimator, valid, chosen),
                some.X.head(EXAMPLES),
                {},
            )
            bundle.predict(bundle.input_example)
    except (DataError, UserCodeError) as error:
        return (), (Found(what=f"no linear model stands beside the model: {error.what}", where=LINEAR),)
    return (output(LINEAR, store.put_bundle(bundle)),), ()


def _estimator(task: str) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    return Ridge() if task == "regression" else LogisticRegression(max_iter=200)


def _threshold(
    spec: PipelineSpec, encoding: Encoding, estimator: Any, valid: Part, chosen: np.ndarray
) -> float | None:
    if encoding.task != "binary":
        return None
    scores = np.asarray(estimator.predict_proba(valid.X), dtype="float64")[:, 1]
    return float(choose(chosen, scores, spec.threshold).value)
