"""Threshold of a binary model: the score from which a row is predicted positive, chosen by a rule on labelled rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.formulas import ratio
from mlpipe.core.scored import Floats, Scored, finite_numbers
from mlpipe.errors import DataError, SpecError, did_you_mean

Rule = float | str | Mapping[str, Any]

RULES: Mapping[str, str] = MappingProxyType(
    {
        "number": "0.35: this very threshold, in [0, 1]",
        "max_f1": "'max_f1': the best harmonic mean of precision and recall",
        "max_balanced_accuracy": "'max_balanced_accuracy': the best mean of the two classes' recalls (Youden's J)",
        "precision_at_least": "{'precision_at_least': 0.9}: most recall among cuts with this precision",
        "recall_at_least": "{'recall_at_least': 0.8}: most precision among cuts with this recall",
        "cost": "{'cost': {'false_positive': 1, 'false_negative': 5}}: the least cost of errors",
    }
)
"""Kinds of rule, each with an example and what it finds."""

UNKNOWN = 0.5
"""Threshold when the rows cannot tell one, as with one class alone."""


@dataclass(frozen=True)
class Threshold:
    """Predict positive iff ``score >= value``.

    `achieved` holds, on the rows it was chosen on, precision, recall, f1, balanced_accuracy, predicted_positive (share of rows), and
    cost (mean over rows) under a cost rule; nan where undefined. `note` says when the rule could not be met.
    """

    value: float
    rule: Rule
    achieved: Mapping[str, float]
    note: str = ""


def validate_rule(rule: object) -> str | None:
    """What is wrong with a rule, in one sentence with the fix; None when it is right."""
    if isinstance(rule, bool) or not isinstance(rule, (int, float, str, Mapping)):
        return f"{rule!r} is no threshold rule. Valid: {'; '.join(RULES.values())}."
    if isinstance(rule, (int, float)):
        return None if 0 <= rule <= 1 else f"a threshold must lie in [0, 1], got {rule!r}."
    if isinstance(rule, str):
        if rule in ("max_f1", "max_balanced_accuracy"):
            return None
        if rule in RULES:
            return f"rule '{rule}' needs its value. Write {RULES[rule]}."
        return f"unknown threshold rule '{rule}'. {did_you_mean(rule, list(RULES))}"
    if len(rule) != 1:
        return f"a threshold rule has exactly one name, got {sorted(map(str, rule))}."
    ((name, value),) = rule.items()
    if name not in ("precision_at_least", "recall_at_least", "cost"):
        plain = f" Write {RULES[name]}." if name in RULES else ""
        return (
            f"no threshold rule '{name}' with a value.{plain or ' ' + did_you_mean(str(name), list(RULES))}"
        )
    if name == "cost":
        return _wrong_cost(value)
    return (
        None
        if _number(value) and 0 <= value <= 1
        else f"rule '{name}' needs a number in [0, 1], got {value!r}."
    )


def _wrong_cost(value: object) -> str | None:
    names = ("false_positive", "false_negative")
    if not isinstance(value, Mapping) or set(value) != set(names):
        unknown = [str(n) for n in value if n not in names] if isinstance(value, Mapping) else []
        hint = f" {did_you_mean(unknown[0], names)}" if unknown else ""
        return f"rule 'cost' needs {' and '.join(names)}, each a number.{hint}"
    if not all(_number(v) and v >= 0 for v in value.values()) or not any(value.values()):
        return f"the costs of errors must be numbers >= 0, not both zero, got {dict(value)!r}."
    return None


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def choose(y: ArrayLike, score: ArrayLike, rule: Rule, weights: ArrayLike | None = None) -> Threshold:
    """Best threshold of all that tell rows apart; of equally good ones the highest.

    Parameters
    ----------
    y, score
        Truth (0 or 1) and probability of class 1, shape (n,), n >= 0, without nulls.
    rule
        See `RULES`.
    weights
        Row weights, shape (n,), >= 0; None counts each row once.

    Returns
    -------
    Threshold
        A chosen value lies midway between two scores that occur, so that rounding does not move rows across it. When the rows hold
        no answer (no positive row, or one class alone) the value is 0.5; when a precision or recall cannot be reached, the cut
        closest to it; `note` says so.

    Raises
    ------
    SpecError
        The rule is not valid.
    DataError
        Shapes that do not fit, nulls, or other classes than 0 and 1.
    """
    wrong = validate_rule(rule)
    if wrong:
        raise SpecError(wrong)
    scored = Scored(np.asarray(y), np.asarray(score), classes=(0, 1))
    row = np.ones(len(scored.y)) if weights is None else finite_numbers(weights, "the row weight")
    if row.shape != scored.y.shape or np.any(row < 0):
        raise DataError("row weights do not fit the rows, or are negative", fix="Give one weight >= 0 a row.")
    positive = scored.y == 1
    if isinstance(rule, (int, float)):
        return _fixed(float(rule), rule, scored.score, positive, row, "")
    values, tp, fp = _cuts(scored.score, positive, row)
    total = float(tp[-1]), float(fp[-1])
    rates = _rates(tp, fp, *total, rule)
    wanted, note = _preference(rates, *total, rule)
    if not wanted:
        note = f"{note} The threshold is {UNKNOWN}."
        return _fixed(UNKNOWN, rule, scored.score, positive, row, note)
    # Sorted by the last key first, and stable: among equals the first cut stays, which is the highest.
    best = int(np.lexsort([-np.nan_to_num(w, nan=-np.inf) for w in reversed(wanted)])[0])
    return Threshold(
        float(values[best]), rule, {name: float(rate[best]) for name, rate in rates.items()}, note
    )


def _cuts(score: Floats, positive: NDArray[np.bool_], row: Floats) -> tuple[Floats, Floats, Floats]:
    """Thresholds from high (no row positive) to low (all rows), and the weights of true and false positives at each."""
    kept = row > 0
    score, positive, row = score[kept], positive[kept], row[kept]
    distinct, place = np.unique(-score, return_inverse=True)
    distinct = -distinct
    tp = np.bincount(place, weights=row * positive, minlength=len(distinct))
    fp = np.bincount(place, weights=row * ~positive, minlength=len(distinct))
    if not len(distinct):
        return np.array([UNKNOWN]), np.zeros(1), np.zeros(1)
    upper, lower = distinct[:-1], distinct[1:]
    middle = lower + (upper - lower) / 2
    middle = np.where(middle > lower, middle, upper)
    none, every = np.nextafter(max(distinct[0], 1.0), np.inf), min(distinct[-1], 0.0)
    counts = np.concatenate([np.zeros((2, 1)), np.cumsum([tp, fp], axis=1)], axis=1)
    return np.array([none, *middle, every]), counts[0], counts[1]


def _rates(tp: Floats, fp: Floats, positives: float, negatives: float, rule: Rule) -> dict[str, Floats]:
    under = np.full(len(tp), positives), np.full(len(tp), negatives)
    recall = ratio(tp, under[0])
    rates = {
        "precision": ratio(tp, tp + fp),
        "recall": recall,
        "f1": ratio(2 * tp, tp + fp + positives),
        "balanced_accuracy": (recall + ratio(negatives - fp, under[1])) / 2,
        "predicted_positive": ratio(tp + fp, under[0] + under[1]),
    }
    if isinstance(rule, Mapping) and "cost" in rule:
        costs = rule["cost"]
        total = costs["false_positive"] * fp + costs["false_negative"] * (positives - tp)
        rates["cost"] = ratio(total, under[0] + under[1])
    return rates


def _preference(
    rates: Mapping[str, Floats], positives: float, negatives: float, rule: str | Mapping[str, Any]
) -> tuple[list[Floats], str]:
    """What to maximise, most important first; nothing when the rows hold no answer; and what there is to say."""
    name, value = (rule, None) if isinstance(rule, str) else next(iter(rule.items()))
    if not positives + negatives:
        return [], "There are no rows to choose on."
    if name == "cost":
        return [-rates["cost"]], ""
    if not positives:
        return [], "No row is positive."
    if name == "max_balanced_accuracy" and not negatives:
        return [], "No row is negative."
    if value is None:
        return [rates[name.removeprefix("max_")]], ""
    kind = name.removesuffix("_at_least")
    other = "recall" if kind == "precision" else "precision"
    met = rates[kind] >= value
    if met.any():
        return [met.astype(np.float64), rates[other], rates[kind]], ""
    highest = float(np.nanmax(rates[kind]))
    note = f"A {kind} of at least {value} is out of reach; the highest, {highest:.4g}, was taken."
    return [rates[kind], rates[other]], note


def _fixed(
    value: float, rule: Rule, score: Floats, positive: NDArray[np.bool_], row: Floats, note: str
) -> Threshold:
    hit = score >= value
    tp, fp = row[hit & positive].sum(keepdims=True), row[hit & ~positive].sum(keepdims=True)
    rates = _rates(tp, fp, float(row[positive].sum()), float(row[~positive].sum()), rule)
    return Threshold(value, rule, {name: float(rate[0]) for name, rate in rates.items()}, note)
