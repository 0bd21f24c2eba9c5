"""Labelled rows of a window: features and labels of its good partitions, met row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.errors import DataError
from mlpipe.records.codec import Head
from mlpipe.records.record import Input
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.frames import DAY, KNOWN, LABEL, ROW, stacked
from mlpipe.stages.held import Held
from mlpipe.stores.store import Store

__all__ = [
    "DAY",
    "LABEL",
    "Dataset",
    "Encoding",
    "collect",
    "comparable",
    "encoding_of",
    "kinds_of",
    "met",
    "model_frame",
    "plain",
]


@dataclass(frozen=True)
class Dataset:
    """Rows with known labels, the features among their columns, and which partitions they came from.

    `rows` holds `DAY`, `ROW`, `TIME`, the keys, the features, and the label in `label`. `left_out` says why a partition gave none.
    """

    rows: pd.DataFrame
    names: tuple[str, ...]
    label: str
    inputs: tuple[Input, ...]
    used: tuple[str, ...]
    left_out: dict[str, str]

    @property
    def coverage(self) -> float:
        """Share of the window's partitions that gave rows, in [0, 1]."""
        asked = len(self.used) + len(self.left_out)
        return len(self.used) / asked if asked else 0.0


def collect(spec: PipelineSpec, keys: Sequence[str], ctx: Context, known: bool = False) -> Dataset:
    """Labelled rows of some partitions, as known at the run's clock; on request with `KNOWN`, from when on each label was."""
    features = ctx.heads.find(f"{spec.name}/features", keys)
    labels = ctx.heads.find(f"{spec.name}/labels", keys)
    frames: list[pd.DataFrame] = []
    inputs: list[Input] = []
    left_out: dict[str, str] = {}
    names: dict[str, None] = {}
    used: list[str] = []
    for key in keys:
        why = _unusable(features.get(key), labels.get(key))
        rows = None if why else met(spec, features[key], "features", labels[key], ctx, known)
        if rows is None or not len(rows):
            left_out[key] = why or (
                "its labels were made from other rows than its features"
                if rows is None
                else "no label is known"
            )
            continue
        frames.append(rows.assign(**{DAY: key}))
        inputs += [features[key].read("features"), labels[key].read("labels")]
        names |= dict.fromkeys((features[key].data or {})["features"])
        used.append(key)
    rows = stacked(frames)
    return Dataset(rows, tuple(names), LABEL, tuple(inputs), tuple(used), left_out)


def _unusable(features: Head | None, labels: Head | None) -> str:
    for name, head in (("features", features), ("labels", labels)):
        if head is None:
            return f"its {name} were never materialized"
        if name not in head.outputs:
            return "validation failed it"
    return ""


def met(
    spec: PipelineSpec, rows: Head, name: str, labels: Head, ctx: Context, known: bool = False
) -> pd.DataFrame | None:
    """Rows of a table with their labels: by row where both come from the same raw table, else by key; None when neither is possible.

    Only labels that were known at the run's clock; on request with `KNOWN`, from when on each was.
    """
    same = (rows.data or {}).get("raw") == (labels.data or {}).get("raw")
    keys = (ROW,) if same else tuple(spec.sources[spec.primary].keys)
    ids = rows.outputs[name].id, labels.outputs["labels"].id
    asked = (*ids, keys, spec.label.name)
    pair = _MET.get((ctx.store.url, *asked), partial(_meet, ctx.store, *asked))
    return None if pair is None else pair.known(pd.Timestamp(ctx.run.as_of), known)


_KNOWN = "_label_known"


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Rows with their labels, when each label was known, and from when on all are; None where one never is."""

    rows: pd.DataFrame
    times: pd.Series
    whole_from: pd.Timestamp | None

    def known(self, instant: pd.Timestamp, since: bool) -> pd.DataFrame:
        """Rows whose label was known by then, as a frame of the caller's own; on request with the moment `since` when it was."""
        rows = self.rows.assign(**{KNOWN: self.times}) if since else self.rows
        if not len(self.rows) or (self.whole_from is not None and self.whole_from <= instant):
            return rows.copy(deep=False)
        return rows[self.times <= instant].reset_index(drop=True)


def _meet(store: Store, left_id: str, right_id: str, keys: Sequence[str], label: str) -> _Labelled | None:
    left, right = store.get_table(left_id), store.get_table(right_id)
    on = [k for k in keys if k in left and k in right]
    if not on:
        return None
    truth = right[on].assign(**{LABEL: right[label], _KNOWN: right[KNOWN]}).dropna(subset=on)
    both = left.merge(truth, on=on, how="inner", sort=False)
    times = both.pop(_KNOWN)
    return _Labelled(both, times, times.max() if times.notna().all() else None)


def _bytes_of(made: _Labelled | None) -> int:
    return 0 if made is None else int(made.rows.memory_usage(deep=True).sum())


_MET: Held[_Labelled | None] = Held(256 * 2**20, _bytes_of)
"""A training shares most of its window with the one before it, and the nights of a window meet the same days again and again."""


def kinds_of(rows: pd.DataFrame, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Each feature as ``float64`` (numbers, booleans, all null) or ``str`` (text), as a model sees it.

    Raises
    ------
    DataError
        For a feature of times, or of numbers and text mixed.
    """
    kinds = []
    for name in names:
        column = rows[name]
        if pd.api.types.is_numeric_dtype(column):
            kinds.append((name, "float64"))
            continue
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind not in ("string", "empty", *_NUMBERS) and not _countable(column):
            raise DataError(
                f"feature {name!r} holds {kind} values, which no model takes",
                where=f"feature {name}",
                fix="Make it numbers (such as days since a date) or text in every partition.",
            )
        kinds.append((name, "str" if kind == "string" else "float64"))
    return tuple(kinds)


_NUMBERS = ("boolean", "decimal", "integer", "floating", "mixed-integer-float")


def _countable(column: pd.Series) -> bool:
    """Whether a column of mixed types holds nothing but numbers and booleans."""
    return bool(column.dropna().map(lambda v: isinstance(v, (bool, int, float, np.number, np.bool_))).all())


def model_frame(rows: pd.DataFrame, kinds: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Features with the types that a model sees; a feature that no row has is null."""
    columns = {}
    for name, kind in kinds:
        column = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
        if kind == "float64":
            # By value, not by parsing: text is no number, and an object column may hold booleans, decimals and nulls.
            columns[name] = pd.Series(column.to_numpy(dtype="float64", na_value=np.nan), index=rows.index)
        else:
            columns[name] = column.astype("str").where(column.notna())
    return pd.DataFrame(columns, index=rows.index)


def comparable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Numbers and text as they are; all else as text: cells that can be told to be equal."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "string":
        return column
    return column.map(str, na_action="ignore").astype("str").where(column.notna())


@dataclass(frozen=True)
class Encoding:
    """How labels become numbers: the task, and for classes their order (the positive class of a binary label last)."""

    task: str
    classes: tuple[object, ...] = ()

    def encode(self, labels: pd.Series) -> np.ndarray:
        """Numbers of labels: 0 or 1, the index of the class, or the value; NaN for a class that was not learned."""
        if self.task == "regression":
            return labels.astype("float64").to_numpy()
        index = {c: i for i, c in enumerate(self.classes)}
        codes, values = pd.factorize(labels, use_na_sentinel=True)
        numbers = np.array([*(index.get(plain(v), np.nan) for v in values), np.nan], dtype="float64")
        return numbers[codes]

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """Labels of numbers, as an estimator learns them: its own `classes_` must be those of the bundle."""
        if self.task == "regression":
            return numbers
        labels: np.ndarray = np.asarray(self.classes)[numbers.astype("int64")]
        return labels


def plain(value: object) -> object:
    """A label as a JSON value: numpy scalars opened, whole floats as integers."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def encoding_of(spec: PipelineSpec, labels: pd.Series) -> Encoding:
    """Task and classes from the specification and the labels that are known.

    Raises
    ------
    DataError
        When the labels do not go together with the task or with `positive`.
    """
    possible = spec.known_task or ("binary", "multiclass", "regression")
    where = f"pipeline {spec.name}, label {spec.label.name}"
    if possible == ("regression",):
        if not pd.api.types.is_numeric_dtype(labels) and not _countable(labels) and not _decimal(labels):
            raise DataError(
                f"a regression needs numbers as labels, got {labels.iloc[0]!r}",
                where=where,
                fix="Mend the label, or choose a classifier.",
            )
        return Encoding("regression")
    values = sorted({plain(v) for v in labels.unique()}, key=lambda v: (str(type(v)), v))
    if len({isinstance(v, str) for v in values}) > 1:
        raise DataError(
            f"the labels mix text and numbers: {', '.join(repr(v) for v in (values[0], values[-1]))}",
            where=where,
            fix="Give them one type in every partition; the contract may say which (columns: dtype).",
        )
    shown = ", ".join(repr(v) for v in values[:5]) + (", …" if len(values) > 5 else "")
    if spec.task == "multiclass" or (len(values) > 2 and spec.task is None):
        asked = (g.params.get("metric") for g in (*spec.gates, *spec.staging_gates))
        odd = [m for m in asked if m is not None and "multiclass" not in spec.measures.of(m).tasks]
        if odd:
            raise DataError(
                f"the labels hold {len(values)} values ({shown}), and a gate asks for {odd[0]!r}, which is for two",
                where=where,
                fix="Mend the label, or ask for a metric of several classes.",
            )
        return Encoding("multiclass", tuple(values))
    if len(values) > 2:
        raise DataError(
            f"the task is binary, and the labels hold {len(values)} values: {shown}",
            where=where,
            fix="Set task to multiclass, or mend the label.",
        )
    positive = plain(spec.label.positive)
    if positive is not None and positive not in values and len(values) > 1:
        raise DataError(
            f"the positive class is {positive!r}, and the labels are {shown}",
            where=where,
            fix="Name one of them as 'positive'.",
        )
    if positive is not None and positive in values:
        values = [v for v in values if v != positive] + [positive]
    return Encoding("binary", tuple(values))


def _decimal(labels: pd.Series) -> bool:
    return pd.api.types.infer_dtype(labels, skipna=True) == "decimal"
