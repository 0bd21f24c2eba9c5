"""Drift of the joint distribution: whether a classifier can tell rows of a window from rows of the reference.

Columns may each keep their distribution while what goes with what changes. No profile of columns sees that; a classifier does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.bootstrap import Interval, interval
from mlpipe.core.grid import (
    FREE,
    category_counts,
    column_positions,
    kind_of,
    new_names,
    numeric_values,
    settled,
    text_lengths,
)
from mlpipe.core.importance import Importance, permutation_importance
from mlpipe.core.metrics import evaluate
from mlpipe.core.scored import Floats, Scored, coded
from mlpipe.errors import DataError

FOLDS = 3
MOST_ROWS = 20_000
"""So many rows of either side are looked at, drawn evenly."""


@dataclass(frozen=True)
class Domain:
    """How well rows of the window are told from rows of the reference.

    Attributes
    ----------
    auc
        ROC AUC on rows that the classifier did not learn from: 0.5 when they cannot be told apart, 1 when each can.
    interval
        Of the AUC, by blocks.
    columns
        What it goes by: how much AUC is lost when a column is shuffled, the greatest first.
    rows_reference, rows_current
        Rows that were looked at.
    """

    auc: float
    interval: Interval
    columns: tuple[Importance, ...]
    rows_reference: int
    rows_current: int

    @property
    def drifts(self) -> bool:
        """Whether the interval lies above 0.5. How much, the AUC tells: with very many rows 0.51 is told from 0.5."""
        return self.interval.low > 0.5


def tell_apart(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    blocks: tuple[ArrayLike, ArrayLike] | None = None,
    repeats: int = 2,
    resamples: int = 500,
    level: float = 0.95,
    seed: int,
) -> Domain:
    """Learn to tell two tables apart, by gradient boosted trees and cross-validation.

    Parameters
    ----------
    reference, current
        Rows of either side, with the same columns, of the same kinds. Nulls are values of their own; categories are numbered by name.
    blocks
        Shapes (rows of the reference,) and (rows of the window,): the day or entity of each row. A block is learned from or judged on,
        never both, and is drawn as a whole for the interval. None: each row is a block, which takes rows for independent.
    repeats
        Shuffles of each column.
    resamples, level
        Of the interval.
    seed
        Of the rows drawn, the folds, the trees and the shuffles.

    Raises
    ------
    DataError
        The columns differ in name or kind, a side has no rows, or fewer than `FOLDS` blocks.

    Notes
    -----
    A. Rabanser, S. Günnemann and Z. Lipton, "Failing loudly: an empirical study of methods for detecting dataset shift", NeurIPS 2019. Days
    that differ only as days do can be told apart too, when they hold what nothing else holds (a date, a running number): leave such
    columns out.
    """
    rng = np.random.default_rng(seed)
    rows, y, block_of = _stacked(reference, current, blocks, rng)
    codes, names = coded(block_of)
    # Blocks are dealt to folds side by side, so that every fold has rows of both.
    fold_of_block = np.empty(len(names), dtype=np.int64)
    side = np.zeros(len(names), dtype=np.int64)
    side[codes] = y
    for which, told in ((0, "reference"), (1, "current table")):
        own = np.flatnonzero(side == which)
        if len(own) < FOLDS:
            raise DataError(
                f"The {told} has {len(own)} blocks, and {FOLDS} are needed.",
                fix="Give more rows, or finer blocks.",
            )
        fold_of_block[rng.permutation(own)] = np.arange(len(own)) % FOLDS
    fold = fold_of_block[codes]
    predict = _Judge(rows, y, fold, seed)
    scored = Scored(y, predict(rows), classes=("reference", "current"))
    bounds = interval(scored, "roc_auc", codes, resamples=resamples, level=level, seed=seed)
    told_by = permutation_importance(
        predict, rows, scored, "roc_auc", codes, repeats=repeats, resamples=resamples, seed=seed
    )
    ordered = tuple(sorted(told_by, key=lambda i: (-i.mean, i.feature)))
    return Domain(
        evaluate(scored, ["roc_auc"])["roc_auc"], bounds, ordered, int((y == 0).sum()), int(y.sum())
    )


class _Judge:
    """Scores rows by the model that did not learn from their fold; several copies of the rows may come one after the other."""

    def __init__(self, rows: pd.DataFrame, y: NDArray[np.int64], fold: NDArray[np.int64], seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        self.fold = fold
        self.models = [
            HistGradientBoostingClassifier(
                max_iter=60, max_depth=4, early_stopping=False, random_state=seed
            ).fit(rows[fold != k].to_numpy(), y[fold != k])
            for k in range(FOLDS)
        ]

    def __call__(self, rows: pd.DataFrame) -> Floats:
        fold, values, out = (
            np.tile(self.fold, len(rows) // len(self.fold)),
            rows.to_numpy(),
            np.zeros(len(rows)),
        )
        for k, model in enumerate(self.models):
            out[fold == k] = model.predict_proba(values[fold == k])[:, 1]
        return out


def _stacked(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    blocks: tuple[ArrayLike, ArrayLike] | None,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.str_]]:
    """Rows of both sides as numbers, the side of each (1 is current), and its block, named apart for the two sides."""
    if list(column_positions(reference)) != list(column_positions(current)):
        odd = sorted(set(map(str, reference)) ^ set(map(str, current)))
        raise DataError(
            f"The two tables have different columns: {', '.join(odd) or 'in another order'}.",
            fix="Give both the same columns in the same order.",
        )
    parts, names = [], []
    for number, side in enumerate((reference, current)):
        given = np.arange(len(side)) if blocks is None else np.asarray(blocks[number])
        if not len(side) or given.shape != (len(side),):
            raise DataError(
                f"Blocks of shape {given.shape} do not fit {len(side)} rows.",
                fix="Give one block a row, and rows on both sides.",
            )
        kept = np.sort(rng.permutation(len(side))[:MOST_ROWS])
        parts.append(side.iloc[kept])
        names.append(np.char.add(f"{number} ", given[kept].astype(str)))
    y = np.repeat([0, 1], [len(part) for part in parts])
    columns = {str(name): _numbers(*(part.iloc[:, i] for part in parts)) for i, name in enumerate(reference)}
    return pd.DataFrame(columns), y, np.concatenate(names)


def _numbers(then: "pd.Series[Any]", now: "pd.Series[Any]") -> Floats:
    then, now = settled(then), settled(now)
    if kind_of(then) == kind_of(now) != "categorical":
        return np.concatenate([numeric_values(then), numeric_values(now)])
    if kind_of(then) != kind_of(now) and then.notna().any() and now.notna().any():
        raise DataError(
            f"The column holds {then.dtype} on one side and {now.dtype} on the other.",
            where=f"column '{then.name}'",
            fix="Cast them to one type.",
        )
    both = pd.concat([then.astype(object), now.astype(object)], ignore_index=True)
    if new_names(category_counts(both)[1]) >= FREE:
        return text_lengths(both)[0]
    codes, _ = pd.factorize(both.where(both.isna(), both.astype(str)), sort=True)
    return np.where(codes < 0, np.nan, codes).astype(np.float64)
