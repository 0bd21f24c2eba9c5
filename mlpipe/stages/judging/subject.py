"""What a probe looks at, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.scored import Scored
from mlpipe.records.record import MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stores.bundles import Bundle


@dataclass(frozen=True, eq=False)
class Subject:
    """One model that is judged.

    Attributes
    ----------
    spec, key
        The pipeline, and the partition of the model.
    bundle
        The challenger.
    rows, y
        Judged rows (partition, row, time, keys, features), shape (n, …) with n at least 1, and their truth as numbers, shape (n,).
    scored
        The challenger on these rows.
    blocks
        What is resampled together, shape (n,).
    names
        Metrics; the first is the primary.
    champion, champion_scored, compared
        Production's model, its scores of the compared rows, and which of the judged rows these are: those later than all that it
        learned from. None without a champion, or where the two cannot be compared.
    training
        The train part, read when it is asked for: rows (features, keys, time) and their truth as numbers.
    ctx
        The store, and the clock of the run.
    seed
        Of everything that is drawn.
    model
        Id of the record of the training; empty in a trial.
    """

    spec: PipelineSpec
    key: str
    bundle: Bundle
    rows: pd.DataFrame
    y: np.ndarray
    scored: Scored
    blocks: np.ndarray
    names: tuple[str, ...]
    champion: Bundle | None
    champion_scored: Scored | None
    compared: np.ndarray | None
    training: Callable[[], tuple[pd.DataFrame, np.ndarray]]
    ctx: Context
    seed: int
    model: str = ""


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Attributes
    ----------
    facts
        JSON, small and bounded: what gates read, and the record keeps.
    report
        JSON: the whole, stored as an object.
    metrics
        Numbers that become keys of the record.
    notes
        Sentences for the findings.
    """

    facts: Mapping[str, Any]
    report: Mapping[str, Any]
    metrics: tuple[MetricValue, ...] = ()
    notes: tuple[str, ...] = field(default=())
