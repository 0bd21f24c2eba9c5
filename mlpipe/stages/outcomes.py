"""How predictions turned out: scores beside the truth, once labels are ripe."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mlpipe.core.bootstrap import Interval, interval
from mlpipe.core.metrics import Scored, evaluate
from mlpipe.records.codec import Head
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import LABEL, Encoding, met
from mlpipe.stages.frames import stacked
from mlpipe.stages.judging.asked import names_of

RIPE = "ripe"
RESAMPLES = 200
"""A night has no time for more, and what is shown of an interval needs none."""


class Outcomes:
    """Realised metrics of partitions and windows. Each partition's rows are met with their labels once."""

    def __init__(self, spec: PipelineSpec, ctx: Context) -> None:
        self._spec, self._ctx = spec, ctx
        self._rows: dict[tuple[str, str], pd.DataFrame] = {}

    def metrics(
        self, key: str, champion: Champion, predictions: Mapping[str, Head], labels: Mapping[str, Head]
    ) -> tuple[dict[str, float], dict[str, float], int]:
        """Metrics of one partition, and of all given ones together; and how many of them gave rows.

        Only partitions whose labels are ripe count: the labels known first are not those of an ordinary day.
        """
        frames = self._ripe(predictions, labels)
        if not frames:
            return {}, {}, 0
        one = self._evaluate(champion, frames[key]) if key in frames else {}
        return one, self._evaluate(champion, stacked(list(frames.values()))), len(frames)

    def bounds(
        self, name: str, champion: Champion, predictions: Mapping[str, Head], labels: Mapping[str, Head]
    ) -> Interval | None:
        """A metric of all given partitions together with its interval, by resampling whole partitions; None of fewer than two."""
        frames = self._ripe(predictions, labels)
        if len(frames) < 2:
            return None
        scored, known = self._scored(champion, stacked(list(frames.values())))
        blocks = np.repeat(np.arange(len(frames)), [len(f) for f in frames.values()])[known]
        return interval(scored, name, blocks, resamples=RESAMPLES, seed=self._spec.seed)

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

    def _evaluate(self, champion: Champion, rows: pd.DataFrame) -> dict[str, float]:
        return evaluate(self._scored(champion, rows)[0], names_of(self._spec, champion.bundle.task))

    def _scored(self, champion: Champion, rows: pd.DataFrame) -> tuple[Scored, np.ndarray]:
        """Rows whose truth is known, and which these are."""
        bundle = champion.bundle
        y = Encoding(bundle.task, bundle.classes).encode(rows[LABEL])
        known = np.isfinite(y)
        several = [f"score_{i}" for i in range(len(bundle.classes))]
        scores: np.ndarray = rows[several if bundle.task == "multiclass" else "score"].to_numpy()
        return Scored(y[known], scores[known], bundle.threshold, bundle.classes), known
