"""Every kept model on every labelled day: cells made once and kept, and any metric over any days from them.

A cell is a table of the day's rows: the truth, and the model's scores. It is named by a recipe (features, labels and model by content), so
that a new day costs one column, a new model one row, and corrected labels the cells of their own day.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.metrics import Metric, Scored
from mlpipe.errors import DataError
from mlpipe.records.codec import Head, digest
from mlpipe.records.record import Trigger
from mlpipe.spec.calendar import DISTANT_FUTURE
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.dataset import LABEL, Encoding, met
from mlpipe.stages.frames import ROW, stacked
from mlpipe.stages.hindsight import metric_of
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.past import Kept, Past
from mlpipe.stores.bundles import Bundle

VERSION = "1"
"""Of the layout of a cell; raised when its table changes."""
AT_ONCE = 200_000
"""Rows that a model scores at once."""
TRUTH = "y"
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Value:
    """A metric over some days. `value` is None where it is undefined or no day has a cell; `seen`: the model learned from these days."""

    value: float | None
    rows: int
    days: int
    seen: bool = False


class Matrix:
    """Cells of a pipeline's models and days.

    One thread. Cells that exist are read from the store when they are asked for; `fill` makes those that do not.

    Parameters
    ----------
    past
        What was recorded.
    keys
        Partitions to look at; days are those of them that have features and ripe labels.
    """

    def __init__(self, past: Past, keys: Sequence[str]) -> None:
        self.past, self.spec, self.store = past, past.spec, past.store
        features, labels = past.heads("feature"), past.heads("label")
        self._heads: dict[str, tuple[Head, Head]] = {}
        for key in keys:
            pair = features.get(key), labels.get(key)
            if pair[0] is None or pair[1] is None or pair[1].verdict != RIPE:
                continue
            if "features" in pair[0].outputs and "labels" in pair[1].outputs:
                self._heads[key] = pair[0], pair[1]
        run = Run("matrix", DISTANT_FUTURE, Trigger())
        self._ctx = Context(self.store, past.ledger, MemoryHeads(), run, lambda: DISTANT_FUTURE)
        self._cells: dict[tuple[str, str], dict[str, Any]] = {}
        self.unfit: dict[tuple[str, str], str] = {}

    @property
    def days(self) -> tuple[str, ...]:
        """Partitions with features and ripe labels, in order."""
        return tuple(self._heads)

    def fill(self, pairs: Iterable[tuple[str, str]], tell: Tell = lambda done, total: None) -> int:
        """Make the cells that are missing.

        Parameters
        ----------
        pairs
            Bundle and day of each cell; days that are not in `days` are passed over.
        tell
            Hears how many of how many cells that were missing are done.

        Returns
        -------
        int
            How many were made. A day that a model cannot score is told in `unfit`, and tried again the next time.
        """
        missing: dict[str, list[str]] = {}
        for bundle, key in dict.fromkeys(pairs):
            if key in self._heads and self._recalled(bundle, key) is None and (bundle, key) not in self.unfit:
                missing.setdefault(bundle, []).append(key)
        total, done, made = sum(map(len, missing.values())), 0, 0
        for bundle, keys in missing.items():
            model = self._model(bundle)
            for some in self._portions(keys):
                made += self._score(bundle, model, some)
                done += len(some)
                tell(done, total)
        return made

    def scored(self, bundle: str, key: str) -> Scored | None:
        """The truth of a day and a model's scores of it; None where there is no cell, or no row has a label that the model knows."""
        cell = self._recalled(bundle, key)
        if cell is None or not cell["rows"]:
            return None
        table = self.store.get_table(cell["table"])
        classes = tuple(cell["classes"])
        columns: Any = (
            [f"score_{i}" for i in range(len(classes))] if cell["task"] == "multiclass" else "score"
        )
        return Scored(table[TRUTH].to_numpy(), table[columns].to_numpy(), cell["threshold"], classes)

    def value(self, bundle: str, keys: Sequence[str], metric: Metric, *, seen: bool = False) -> Value:
        """A metric of one model over the rows of some days together."""
        parts = [s for s in (self.scored(bundle, k) for k in keys) if s is not None]
        if not parts:
            return Value(None, 0, 0, seen)
        return Value(metric_of(joined(parts), metric), sum(len(p.y) for p in parts), len(parts), seen)

    def primary(self, models: Sequence[Kept]) -> Metric | None:
        """The metric that the pipeline's models are chosen by; None when there is no model."""
        return self.spec.measures.primary(self._model(models[-1].bundle).task) if models else None

    def _recipe(self, bundle: str, key: str) -> str:
        features, labels = self._heads[key]
        same = (features.data or {}).get("raw") == (labels.data or {}).get("raw")
        return "recipe-" + digest(
            {
                "stage": "matrix",
                "version": VERSION,
                "bundle": bundle,
                "features": features.outputs["features"].id,
                "labels": labels.outputs["labels"].id,
                "met": [ROW] if same else list(self.spec.sources[self.spec.primary].keys),
                "label": self.spec.label.name,
            }
        )

    def _recalled(self, bundle: str, key: str) -> dict[str, Any] | None:
        if key not in self._heads:
            return None
        if (bundle, key) not in self._cells:
            found = self.store.recall(self._recipe(bundle, key))
            if found is None or not self.store.exists(found["table"]):
                return None
            self._cells[bundle, key] = found
        return self._cells[bundle, key]

    def _model(self, bundle: str) -> Bundle:
        return self.store.get_bundle(bundle, trusted=self.spec.model.trusted)

    def _portions(self, keys: Sequence[str]) -> Iterable[list[str]]:
        """Days that are scored together: few enough rows at once."""
        some: list[str] = []
        rows = 0
        for key in keys:
            some.append(key)
            rows += self._heads[key][0].outputs["features"].rows or 0
            if rows >= AT_ONCE:
                yield some
                some, rows = [], 0
        if some:
            yield some

    def _score(self, bundle: str, model: Bundle, keys: Sequence[str]) -> int:
        """Score some days with one model, and keep the cells."""
        encoding, frames = Encoding(model.task, model.classes), {}
        for key in keys:
            features, labels = self._heads[key]
            rows = met(self.spec, features, "features", labels, self._ctx)
            lacks = [] if rows is None else [n for n in model.feature_names if n not in rows]
            if rows is None:
                self.unfit[bundle, key] = "its labels were made from other rows than its features"
            elif lacks:
                self.unfit[bundle, key] = f"the model needs the feature {lacks[0]!r}, which the day has not"
            else:
                y = encoding.encode(rows[LABEL])
                known = np.isfinite(y)
                frames[key] = rows[known].assign(**{TRUTH: y[known]})
        if not frames:
            return 0
        together = stacked([f for f in frames.values() if len(f)])
        try:
            scores = model.predict(together) if len(together) else np.empty(0)
        except DataError as error:
            # One day of many may be what it cannot take: then each is asked alone.
            if len(frames) > 1:
                return sum(self._score(bundle, model, [key]) for key in frames)
            self.unfit[bundle, next(iter(frames))] = error.what
            return 0
        start = 0
        with self.store.writing_behind():
            for key, frame in frames.items():
                part = scores[start : start + len(frame)]
                start += len(frame)
                self._keep(bundle, model, key, frame, part)
        return len(frames)

    def _keep(self, bundle: str, model: Bundle, key: str, frame: pd.DataFrame, scores: np.ndarray) -> None:
        columns = {ROW: frame[ROW].to_numpy(), TRUTH: frame[TRUTH].to_numpy(dtype="float64")}
        if scores.ndim == 2:
            columns |= {f"score_{i}": scores[:, i] for i in range(scores.shape[1])}
        else:
            columns["score"] = scores.astype("float64")
        put = self.store.put_table(pd.DataFrame(columns))
        cell = {
            "table": put.id,
            "rows": len(frame),
            "task": model.task,
            "classes": list(model.classes),
            "threshold": model.threshold,
        }
        self.store.note(self._recipe(bundle, key), cell)
        self._cells[bundle, key] = cell


def joined(parts: Sequence[Scored]) -> Scored:
    """The rows of several days of one model, below one another."""
    first = parts[0]
    y, score = np.concatenate([p.y for p in parts]), np.concatenate([p.score for p in parts])
    return Scored(y, score, first.threshold, first.classes)
