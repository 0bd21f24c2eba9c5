"""Which columns are features, and why the others are not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.scaffold.cells import Cells
from mlpipe.scaffold.target import Target

ENOUGH = 30
"""Rows that a suspicion needs, at least."""
PERFECT = 0.995
"""A single column that ranks, names or follows the label this well is no feature but the label itself, or what came after it."""
FILLED = 0.98
"""Likewise, for whether a column is filled at all."""
LONG, WORDS = 60, 4
"""Text longer than this, or of more words, is free text where nearly every row has another."""
NEARLY_ALL = 0.9
IDENTIFIERS = re.compile(
    r"(^|[_\W])(id|uuid|guid|key|nr|no|number|index|idx|pk|code|hash|token)($|[_\W])|Id$|ID$|^Unnamed: \d+$"
)
RESERVED = frozenset({"_row", "_time", "_known_at", "_partition", "_label"})
"""Names that mlpipe gives to columns of its own."""


@dataclass(frozen=True)
class Roles:
    """Features in their order; why each other column is none; and the forms that make some numbers categories."""

    features: tuple[str, ...]
    left_out: dict[str, str]
    categories: tuple[str, ...]
    notes: tuple[str, ...] = ()


def roles_of(
    cells: Mapping[str, Cells], target: Target, taken: Mapping[str, str], moment: "pd.Series[Any] | None"
) -> Roles:
    """Sort columns into features and others.

    Parameters
    ----------
    cells
        Every column, by name.
    taken
        Columns that have another task, with what it is.
    moment
        Moment of prediction of each row, where it is known: times after it are called so.
    """
    left_out: dict[str, str] = dict(taken)
    suspects: dict[str, str] = {}
    features: list[str] = []
    categories: list[str] = []
    for name, column in cells.items():
        if name in taken:
            continue
        why = _unfit(column, moment) or _identifier(column)
        if why:
            left_out[name] = why
            continue
        leak = leaks(column, target)
        if leak:
            suspects[name] = f"it looks like the future: {leak}"
            continue
        features.append(name)
        if column.kind == "number" and _is_code(column):
            categories.append(name)
    if features or not suspects:
        return Roles(tuple(features), left_out | suspects, tuple(categories))
    note = f"All that could be learned from looks like the future ({', '.join(suspects)}); look at it before you trust the result."
    return Roles(tuple(suspects), left_out, (), (note,))


def _unfit(column: Cells, moment: "pd.Series[Any] | None") -> str:
    if column.name in RESERVED:
        return "its name is one that mlpipe gives to a column of its own"
    if column.kind == "nothing":
        return "it holds no value at all"
    if column.kind == "list":
        return "it holds lists or records; spread them over columns"
    if column.kind == "time":
        if moment is not None:
            later = (column.values > moment).mean() / max(1 - column.nulls, 1e-9)
            if later > 0.05:
                return f"it looks like the future: a time after the moment of prediction in {later:.0%} of its rows"
        return "it holds a time, which no model takes; a features function may count days from it"
    if column.distinct == 1 and column.nulls == 0:
        return "it is constant: the same in every row"
    return ""


def _identifier(column: Cells) -> str:
    filled = column.values.dropna()
    share = column.distinct / max(len(filled), 1)
    if column.kind == "number":
        whole = bool((filled % 1 == 0).all())
        if not whole or len(filled) < ENOUGH:
            return ""
        if share > NEARLY_ALL and IDENTIFIERS.search(column.name):
            return "it is an identifier: a number by name, another in nearly every row"
        steps = np.diff(np.sort(filled.to_numpy()))
        if share == 1.0 and (steps == 1).all():
            return "it is an identifier: a running number"
        return ""
    if column.kind != "text":
        return ""
    length, words = filled.str.len().mean(), filled.str.count(r"\S+").mean()
    if share > 0.5 and (length > LONG or words > WORDS):
        return "it is free text; a features function may make numbers of it"
    if len(filled) >= ENOUGH and share > NEARLY_ALL:
        return "it is an identifier: another word in nearly every row"
    if len(filled) >= ENOUGH and share > 0.5:
        return f"it is nearly an identifier: {column.distinct:,} different words in {len(filled):,} rows"
    return ""


def _is_code(column: Cells) -> bool:
    """Whether whole numbers name things: few of them, and a name that says so."""
    filled = column.values.dropna()
    return (
        bool(IDENTIFIERS.search(column.name))
        and bool((filled % 1 == 0).all())
        and column.distinct <= 0.2 * len(filled)
    )


# -- the future ---------------------------------------------------------------------------------------------------


def leaks(column: Cells, target: Target) -> str:
    """Why a column looks like what is known only with the label, or after it; empty when it does not.

    It ranks, names or follows the label almost without a mistake, or is filled almost only for some of its classes.
    """
    known = target.values.notna()
    values, truth = column.values[known], target.values[known]
    filled = values.notna()
    if len(truth) < ENOUGH:
        return ""
    if target.task != "regression":
        why = _by_filling(filled, truth)
        if why:
            return why
    values, truth = values[filled], truth[filled]
    if len(truth) < ENOUGH or truth.nunique() < 2:
        return ""
    if target.task == "regression":
        return _follows(values, truth, column.kind)
    counts = truth.value_counts()
    if len(counts) == 2 and counts.min() >= 5 and column.kind in ("number", "bool"):
        area = _area(values, truth == counts.index[1])
        if max(area, 1 - area) >= PERFECT:
            return f"alone it ranks the classes with an AUC of {max(area, 1 - area):.3f}"
    return _names(values, truth)


def _by_filling(filled: "pd.Series[Any]", truth: "pd.Series[Any]") -> str:
    if not 0.02 < filled.mean() < 0.98:
        return ""
    rates = filled.groupby(truth).mean()
    counts = truth.value_counts()
    rates = rates[counts[rates.index] >= 5]
    if len(rates) < 2 or not (
        ((rates >= FILLED) | (rates <= 1 - FILLED)).all() and rates.max() - rates.min() > 0.9
    ):
        return ""
    only = ", ".join(map(repr, rates.index[rates > 0.5][:3]))
    return f"it is filled only where the label is {only}"


def _names(values: "pd.Series[Any]", truth: "pd.Series[Any]") -> str:
    """Whether each value of a column stands with one class alone."""
    classes, distinct = truth.nunique(), values.nunique()
    base = truth.value_counts(normalize=True).iloc[0]
    if distinct > max(5 * classes, 10) or distinct > len(values) / 5 or base > 0.95:
        return ""
    table = pd.crosstab(values, truth)
    right = float(table.max(axis=1).sum() / len(values))
    covered = table.idxmax(axis=1).nunique()
    if right >= PERFECT and covered == classes:
        return f"its values name the label in {right:.1%} of the rows"
    return ""


def _follows(values: "pd.Series[Any]", truth: "pd.Series[Any]", kind: str) -> str:
    numbers = truth.astype("float64")
    if kind in ("number", "bool"):
        if values.nunique() < 3:
            return ""
        strength = abs(float(values.astype("float64").rank().corr(numbers.rank())))
        return f"its order follows the label's (rank correlation {strength:.4f})" if strength >= 0.999 else ""
    if values.nunique() > len(values) / 5:
        return ""
    spread = numbers.groupby(values).transform("mean")
    explained = float(spread.var() / numbers.var()) if numbers.var() else 0.0
    return f"it explains {explained:.1%} of the label" if explained >= 0.999 else ""


def _area(scores: "pd.Series[Any]", truth: "pd.Series[bool]") -> float:
    """Area under the ROC curve, by ranks (Mann and Whitney)."""
    ranks = scores.astype("float64").rank()
    positive = int(truth.sum())
    negative = len(truth) - positive
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))
