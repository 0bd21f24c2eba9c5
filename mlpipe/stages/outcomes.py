"""How predictions turned out: scores beside the truth, once labels are ripe."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mlpipe.core.metrics import Scored, evaluate
from mlpipe.records.codec import Head
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import LABEL, Encoding, met
from mlpipe.stages.frames import stacked
from mlpipe.stages.judging.asked import names_of

RIPE = "ripe"


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
        frames = {}
        for day, head in predictions.items():
            label = labels.get(day)
            if label is not None and label.verdict == RIPE:
                rows = self._met(head, label)
                if len(rows):
                    frames[day] = rows
        if not frames:
            return {}, {}, 0
        one = self._evaluate(champion, frames[key]) if key in frames else {}
        return one, self._evaluate(champion, stacked(list(frames.values()))), len(frames)

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
        bundle = champion.bundle
        y = Encoding(bundle.task, bundle.classes).encode(rows[LABEL])
        known = np.isfinite(y)
        several = [f"score_{i}" for i in range(len(bundle.classes))]
        scores: np.ndarray = rows[several if bundle.task == "multiclass" else "score"].to_numpy()
        names = list(names_of(self._spec, bundle.task))
        return evaluate(Scored(y[known], scores[known], bundle.threshold, bundle.classes), names)
