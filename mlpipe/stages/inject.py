"""Faults put in on purpose, to see that a worse model is refused. Whatever they touch says so.

A fault is written by its name, and may be kept to the rows of one value: ``shuffled-labels``, ``shuffled-labels:origin=JFK``.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from mlpipe.errors import NotFoundError, did_you_mean


def shuffled_labels(y: np.ndarray, learned: np.ndarray, seed: int) -> np.ndarray:
    """Labels of the rows that are learned and chosen on, in random order: nothing is left to learn. The rows that judge keep theirs."""
    out = y.copy()
    out[learned] = np.random.default_rng(seed).permutation(y[learned])
    return out


FAULTS: Mapping[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "shuffled-labels": shuffled_labels
}


def injected(fault: str, y: np.ndarray, learned: np.ndarray, seed: int, rows: pd.DataFrame) -> np.ndarray:
    """Labels with a fault.

    Parameters
    ----------
    fault
        A name in `FAULTS`, with ``:column=value`` where only the rows that hold this value are touched; empty for none.
    y
        Shape (n,): encoded labels.
    learned
        Shape (n,), boolean: rows that a model learns from or is chosen on.
    seed
        Decides the fault.
    rows
        n rows: the column is looked for among them.

    Raises
    ------
    NotFoundError
        An unknown fault, a column that the rows do not have, or a value that no learned row holds.
    """
    if not fault:
        return y
    check(fault)
    name, _, where = fault.partition(":")
    return FAULTS[name](y, learned & _touched(where, learned, rows), seed)


def _touched(where: str, learned: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    if not where:
        return learned
    column, _, value = where.partition("=")
    if column not in rows:
        known = [str(c) for c in rows.columns if not str(c).startswith("_")]
        raise NotFoundError(
            f"a fault is asked for rows by {column!r}, which they do not have",
            fix=did_you_mean(column, known),
        )
    touched = (rows[column].astype("str") == value).to_numpy()
    if not (touched & learned).any():
        raise NotFoundError(
            f"a fault is asked for rows whose {column} is {value!r}, and none is learned from",
            fix=did_you_mean(value, sorted(set(rows[column].astype("str")))[:100]),
        )
    return np.asarray(touched)


def check(fault: str) -> None:
    """Raise `NotFoundError` for a fault that is unknown, or says its rows otherwise than as ``column=value``."""
    name, mark, where = fault.partition(":")
    if name not in FAULTS:
        raise NotFoundError(f"unknown fault {name!r}", fix=did_you_mean(name, list(FAULTS)))
    column, equals, value = where.partition("=")
    if mark and not (column and equals and value):
        raise NotFoundError(
            f"the fault {fault!r} says no rows", fix=f"Write {name}:column=value, or {name} for all rows."
        )
