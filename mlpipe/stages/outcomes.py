"""How predictions turned out: scores beside the truth, once labels are ripe."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlpipe.core.bootstrap import Interval, interval
from mlpipe.core.metrics import Scored, evaluate
from mlpipe.errors import DataError, MlpipeError, UserCodeError
from mlpipe.records.codec import Head
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import LABEL, Encoding, met
from mlpipe.stages.deadline import deadline
from mlpipe.stages.frames import stacked

RIPE = "ripe"
RESAMPLES = 200
"""A night has no time for more, and what is shown of an interval needs none."""


class Realised(NamedTuple):
    """Metrics of one partition and of the window, by name, as far as they are defined; how many partitions gave rows; and what failed.

    `ripe` says whether the partition itself gave rows, `failed` why one of the pipeline's own metrics has no value.
    """

    day: dict[str, float]
    window: dict[str, float]
    days: int
    ripe: bool = False
    failed: Mapping[str, MlpipeError] = MappingProxyType({})


class Outcomes:
    """Realised metrics of partitions and windows. Each partition's rows are met with their labels once."""

    def __init__(self, spec: PipelineSpec, ctx: Context) -> None:
        self._spec, self._ctx = spec, ctx
        self._rows: dict[tuple[str, str], pd.DataFrame] = {}

    def metrics(
        self, key: str, champion: Champion, predictions: Mapping[str, Head], labels: Mapping[str, Head]
    ) -> Realised:
        """Metrics of one partition, and of all given ones together.

        Only partitions whose labels are ripe count: the labels known first are not those of an ordinary day. A metric of the user's own
        that fails has no value, and hides nothing that others say.
        """
        frames = self._ripe(predictions, labels)
        if not frames:
            return Realised({}, {}, 0)
        failed: dict[str, MlpipeError] = {}
        window = self._evaluate(champion, stacked(list(frames.values())), failed)
        one = self._evaluate(champion, frames[key], failed) if key in frames else {}
        return Realised(one, window, len(frames), key in frames, failed)

    def of(self, version: Champion, days: Mapping[str, pd.DataFrame]) -> dict[str, float]:
        """Metrics of a version over partitions that it scored: scores as in predictions, beside `LABEL`."""
        return self._evaluate(version, stacked(list(days.values())), {})

    def bounds(
        self, name: str, champion: Champion, predictions: Mapping[str, Head], labels: Mapping[str, Head]
    ) -> Interval | None:
        """Interval of a metric of all given partitions together, by resampling whole partitions.

        None of fewer than two partitions, and of a metric of the user's own that fails.
        """
        frames = self._ripe(predictions, labels)
        if len(frames) < 2:
            return None
        scored, known = self._scored(champion, stacked(list(frames.values())))
        blocks = np.repeat(np.arange(len(frames)), [len(f) for f in frames.values()])[known]
        try:
            with self._limited(name):
                metric = self._spec.measures.of(name)
                return interval(scored, metric, blocks, resamples=RESAMPLES, seed=self._spec.seed)
        except (DataError, UserCodeError):
            if name in self._spec.measures.own:
                return None
            raise

    def _ripe(self, predictions: Mapping[str, Head], labels: Mapping[str, Head]) -> dict[str, pd.DataFrame]:
        frames = {}
        for day, head in predictions.items():
            label = labels.get(day)
            if label is not None and label.verdict == RIPE:
                rows = self._met(head, label)
                if len(rows):
                    frames[day] = rows
        return frames

    def _met(self, predictions: Head, labels: Head) -> pd.DataFrame:
        name = (predictions.outputs["predictions"].id, labels.outputs["labels"].id)
        if name not in self._rows:
            rows = met(self._spec, predictions, "predictions", labels, self._ctx)
            columns = (
                [c for c in rows.columns if c == LABEL or c.startswith("score")] if rows is not None else []
            )
            self._rows[name] = rows[columns] if rows is not None else pd.DataFrame()
        return self._rows[name]

    def _evaluate(
        self, champion: Champion, rows: pd.DataFrame, failed: dict[str, MlpipeError]
    ) -> dict[str, float]:
        scored, measures = self._scored(champion, rows)[0], self._spec.measures
        found = {}
        for name in measures.told(champion.bundle.task):
            try:
                with self._limited(name):
                    value = evaluate(scored, [measures.of(name)])[name]
            except (DataError, UserCodeError) as error:
                if name not in measures.own:
                    raise
                failed.setdefault(name, error)
                continue
            if math.isfinite(value):
                found[name] = value
        return found

    def _limited(self, name: str) -> AbstractContextManager[None]:
        """A metric of the user's own has its time."""
        own = name in self._spec.measures.own
        return deadline(self._spec.timeout if own else None, f"the metric {name!r}")

    def _scored(self, champion: Champion, rows: pd.DataFrame) -> tuple[Scored, np.ndarray]:
        """Rows whose truth is known, and which these are."""
        bundle = champion.bundle
        y = Encoding(bundle.task, bundle.classes).encode(rows[LABEL])
        known = np.isfinite(y)
        several = [f"score_{i}" for i in range(len(bundle.classes))]
        scores: np.ndarray = rows[several if bundle.task == "multiclass" else "score"].to_numpy()
        return Scored(y[known], scores[known], bundle.threshold, bundle.classes), known
