"""What errors cost, as a metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlpipe.core.catalogue import Metric
from mlpipe.core.formulas import mean_cost
from mlpipe.core.scored import Floats, Scored
from mlpipe.errors import DataError, SpecError, did_you_mean

_ERRORS = frozenset({"false_positive", "false_negative"})
_OUTCOMES = _ERRORS | {"true_positive", "true_negative"}


def cost(costs: Mapping[Any, Any], name: str = "cost") -> Metric:
    """Mean cost of a row, of labels; lower is better.

    Parameters
    ----------
    costs
        Of a binary model ``{"false_positive": 1, "false_negative": 5}``, with ``true_positive`` and ``true_negative`` where being right
        costs or earns too; or of any classifier ``{true class: {predicted class: cost}}``, classes by their text. What is not named costs
        nothing when it is right, and must be named when it is wrong. A gain is a cost below zero.
    name
        Name of the metric.

    Raises
    ------
    SpecError
        A cost that is no finite number, or unknown names. A class without its costs is a DataError when a model is judged.
    """
    nested = all(isinstance(row, Mapping) for row in costs.values())
    unknown = [] if nested else sorted(map(str, set(costs) - _OUTCOMES))
    if unknown:
        raise SpecError(f"costs name '{unknown[0]}'.", fix=did_you_mean(unknown[0], sorted(_OUTCOMES)))
    numbers = [c for row in costs.values() for c in row.values()] if nested else list(costs.values())
    if not numbers or not all(map(_is_number, numbers)) or not (nested or set(costs) >= _ERRORS):
        raise SpecError(
            f"costs must be finite numbers, one for each kind of error, got {dict(costs)!r}",
            fix='Write {"false_positive": 1, "false_negative": 5}, or {true class: {predicted class: cost}}.',
        )

    def of_rows(s: Scored) -> Floats:
        found: Floats = _matrix(costs, s.classes, nested)[s.y, s.labels]
        return found

    return Metric(
        name,
        ("binary", "multiclass"),
        "lower",
        "label",
        "mean cost of a row",
        "there are no rows",
        mean_cost(of_rows),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _matrix(costs: Mapping[Any, Any], classes: Sequence[Any], nested: bool) -> Floats:
    """Costs by true class (outer) and predicted class (inner)."""
    if not nested:
        if len(classes) != 2:
            raise DataError(
                f"costs of false positives do not fit {len(classes)} classes",
                fix="Write {true class: {predicted class: cost}}.",
            )
        names = (("true_negative", "false_positive"), ("false_negative", "true_positive"))
        return np.array([[costs.get(n, 0.0) for n in row] for row in names], dtype=np.float64)
    given = {str(t): {str(p): c for p, c in row.items()} for t, row in costs.items()}
    out = np.zeros((len(classes), len(classes)))
    for i, true in enumerate(map(str, classes)):
        for j, predicted in enumerate(map(str, classes)):
            named = given.get(true, {}).get(predicted)
            if named is None and i != j:
                raise DataError(
                    f"there is no cost of predicting '{predicted}' where '{true}' is true",
                    fix=f"Give the costs {{true class: {{predicted class: cost}}}} of all classes: {', '.join(map(str, classes))}.",
                )
            out[i, j] = named or 0.0
    return out
