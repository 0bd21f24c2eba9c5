"""What a training is told as: every hyper-parameter of every step, nested under the names of the steps, defaults included."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlpipe.records.codec import coerce
from mlpipe.spec.pipeline import PipelineSpec

CLASS = "class"
"""Key of an estimator's class, beside its hyper-parameters."""
_PARTS = ("steps", "transformers", "estimators", "transformer_list")
"""Parameters in which scikit-learn keeps named parts as lists of tuples."""


def described(value: Any) -> Any:
    """An estimator as its class and all its hyper-parameters, and so are the estimators among them; other values as they are.

    Named parts (of a pipeline, a column transformer, an ensemble) stand under their names, so that each hyper-parameter has one path.
    An object without `get_params` is its class alone; one whose `get_params` raises says so under ``unreadable``.
    """
    if isinstance(value, Mapping):
        return {str(k): described(v) for k, v in value.items()}
    if hasattr(value, "get_params") and not isinstance(value, type):
        try:
            own = dict(value.get_params(deep=False))
        except (TypeError, AttributeError, ValueError, LookupError, RuntimeError) as error:
            # Code of the user's: a model that was learned is not lost over its description.
            return {CLASS: _name(value), "unreadable": f"get_params raised {type(error).__name__}"}
        return {CLASS: _name(value)} | {
            k: _parts(v) if k in _PARTS and _named(v) else described(v) for k, v in sorted(own.items())
        }
    if isinstance(value, (list, tuple)):
        return [described(v) for v in value]
    return coerce(value)


def _named(value: Any) -> bool:
    """Whether a value is a list of parts, each with a name of its own."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    if not all(isinstance(v, (list, tuple)) and len(v) in (2, 3) and isinstance(v[0], str) for v in value):
        return False
    return len({v[0] for v in value}) == len(value)


def _parts(value: Sequence[Sequence[Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, part, *columns in value:
        told = described(part)
        told = told if isinstance(told, dict) else {CLASS: told}
        out[name] = told | ({"columns": coerce(columns[0])} if columns else {})
    return out


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def declared(spec: PipelineSpec) -> dict[str, Any]:
    """``model`` and ``preprocess`` as they were declared, before anything is fitted."""
    model = spec.model
    preprocess: dict[str, Any] = {"kind": model.preprocess}
    if spec.features.missing:
        preprocess["missing"] = dict(spec.features.missing)
    if model.fit is not None:
        return {"model": {"fit": coerce(model.fit), **described(model.params)}, "preprocess": preprocess}
    from sklearn.base import clone

    estimator = clone(model.estimator).set_params(**model.params)
    return {"model": described(estimator), "preprocess": preprocess}


def learned(spec: PipelineSpec, estimator: Any) -> dict[str, Any]:
    """``model`` and ``preprocess`` as they were fitted, seeds filled in.

    What a `fit` function returned stands under ``model.fitted``, beside the parameters that it was given.

    Parameters
    ----------
    estimator
        What `mlpipe.stages.estimators.fitted` gave.
    """
    told = declared(spec)
    steps = list(getattr(estimator, "steps", ()))
    if spec.features.missing and steps:
        (_, imputer), *steps = steps
        told["preprocess"]["missing"] = described(imputer)
        estimator = steps[0][1] if len(steps) == 1 and steps[0][0] == "model" else _of_steps(steps)
    if spec.model.fit is not None:
        told["model"]["fitted"] = described(estimator)
        return told
    if [name for name, _ in steps] == ["prepare", "model"] and spec.model.preprocess == "auto":
        prepare = described(steps[0][1])
        told["preprocess"] |= {CLASS: prepare[CLASS], **prepare["transformers"]}
        estimator = steps[1][1]
    told["model"] = described(estimator)
    return told


def _of_steps(steps: Sequence[tuple[str, Any]]) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline(list(steps))


def told(spec: PipelineSpec, features: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a training as its record tells them, before anything is fitted.

    Parameters
    ----------
    features
        Names of the features that were met.
    more
        Further parameters, such as a fault that is put in on purpose.
    """
    return {
        **declared(spec),
        "features": list(features),
        "window": spec.training_window,
        "split": spec.split.to_plain(),
        "partitions": spec.partitions.model_dump(mode="json", include={"every", "timezone"}),
        "lead": spec.lead,
        "min_coverage": spec.min_coverage,
        "min_rows": spec.min_rows,
        "task": spec.task,
        "positive": spec.label.positive,
        "threshold": spec.threshold,
        "seed": spec.seed,
        **more,
    }
