"""Faults put in on purpose, to see that a worse model is refused. Whatever they touch says so."""

from collections.abc import Callable, Mapping

import numpy as np

from mlpipe.errors import NotFoundError, did_you_mean


def shuffled_labels(y: np.ndarray, learned: np.ndarray, seed: int) -> np.ndarray:
    """Labels of the rows that are learned and chosen on, in random order: nothing is left to learn. The rows that judge keep theirs."""
    out = y.copy()
    out[learned] = np.random.default_rng(seed).permutation(y[learned])
    return out


FAULTS: Mapping[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "shuffled-labels": shuffled_labels
}


def injected(fault: str, y: np.ndarray, learned: np.ndarray, seed: int) -> np.ndarray:
    """Labels with a fault.

    Parameters
    ----------
    fault
        A name in `FAULTS`; empty for none.
    y
        Shape (n,): encoded labels.
    learned
        Shape (n,), boolean: rows that a model learns from or is chosen on.
    seed
        Decides the fault.

    Raises
    ------
    NotFoundError
        An unknown fault.
    """
    if not fault:
        return y
    check(fault)
    return FAULTS[fault](y, learned, seed)


def check(fault: str) -> None:
    """Raise `NotFoundError` for an unknown fault."""
    if fault not in FAULTS:
        raise NotFoundError(f"unknown fault {fault!r}", fix=did_you_mean(fault, list(FAULTS)))
