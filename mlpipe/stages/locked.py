"""The locked test window: the last rows kept for judging, which only release decisions look at; and how often that happened."""

from datetime import datetime
from math import ceil

import numpy as np
import pandas as pd

from mlpipe.ledger.fold import State
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.frames import ROW, TIME
from mlpipe.stages.splits import judging


def unlocked(rows: pd.DataFrame, share: float) -> np.ndarray:
    """Which judged rows are not under lock, shape (n,): all but the last `share` of them in time, rounded up."""
    shown = np.ones(len(rows), dtype=bool)
    order = np.lexsort((rows[ROW].to_numpy(), rows[TIME].to_numpy()))
    shown[order[len(rows) - ceil(share * len(rows)) :]] = False
    return shown


def looks(spec: PipelineSpec, key: str, bundle: str, state: State, *, as_of: datetime) -> int:
    """How often the locked window of a partition was looked at, this time included.

    Each other model that was registered by `as_of` for a window that shares a partition with this one, and before the model itself, was a
    look. The same model evaluated again is the look that it was. Without partitions there is one window, and every model looks at it.
    """
    mine, before = _window(spec, key), set()
    for version in state.versions.values():
        if version.bundle == bundle:
            break
        theirs = str(version.details.get("partition", ""))
        if version.registered_at <= as_of and theirs and mine & _window(spec, theirs):
            before.add(version.bundle)
    return len(before) + 1


def _window(spec: PipelineSpec, key: str) -> set[str]:
    """Partitions in which locked rows may lie: the last of those that judge."""
    keys = judging(spec, spec.partitions.before(key, spec.training_window))
    share = spec.locked.share if spec.locked is not None else 0.0
    return set(keys[len(keys) - ceil(share * len(keys)) :]) if spec.partitions.every != "none" else set(keys)
