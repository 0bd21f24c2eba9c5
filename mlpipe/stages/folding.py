"""Folds of the rows before the test part: every row that a fold tests is scored by a model that did not learn from it.

Folds tell how the way of learning does, with more rows and more than one training; what is released is still the one model that learned
from the train part, judged on the test part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core import folds as cut
from mlpipe.core.folds import Fold, Places, mean_interval
from mlpipe.core.metrics import evaluate
from mlpipe.core.scored import Scored
from mlpipe.core.threshold import choose
from mlpipe.errors import DataError, UserCodeError
from mlpipe.records.record import Found, MetricValue, Output
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.folding import IN_TIME
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import DAY, Dataset, Encoding, model_frame
from mlpipe.stages.deadline import TooSlowError
from mlpipe.stages.estimators import Kinds, Part, fitted
from mlpipe.stages.frames import KNOWN, ROW, TIME
from mlpipe.stages.runner import Result, stored
from mlpipe.stages.splits import SHARE, Parts, folds_by, strata_of
from mlpipe.stores.bundles import Bundle

FOLDS = "folds"
"""Name of the output of a training, of the split of its metrics, and of the key of its data."""
_FOLD, _TRAINED, _THRESHOLD = "fold", "trained", "threshold"
CLOCK = timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class Folding:
    """What folds are made of: labelled rows with their truth as numbers, the parts of the window, and which rows are copies."""

    spec: PipelineSpec
    data: Dataset
    encoding: Encoding
    split: Parts
    kinds: Kinds
    y: np.ndarray
    copies: np.ndarray
    where: str


def with_folds(result: Result, given: Folding, ctx: Context) -> Result:
    """The result of a training with its folds: see `folded`."""
    outputs, data, findings = folded(given, ctx)
    return replace(
        result,
        outputs=(*result.outputs, *outputs),
        data={**result.data, **data},
        findings=(*result.findings, *findings),
    )


def folded(given: Folding, ctx: Context) -> tuple[tuple[Output, ...], dict[str, Any], list[Found]]:
    """Scores of tested rows as an output, and for the record what each fold was; nothing where no folds are declared.

    A fold from which nothing can be learned is left out, and says why.

    Raises
    ------
    DataError
        When the column to fold by does not exist.
    UserCodeError
        When a training takes too long.
    """
    spec = given.spec
    if not spec.split.count:
        return (), {}, []
    try:
        pool, made = _made(given)
    except DataError as error:
        if error.where:
            raise
        return (), {}, [Found(what=f"no folds were made: {error.what}", where="split", fix=error.fix)]
    made, left, findings = _without_copies(made, given.copies[pool])
    tables, told = [], []
    for number, fold in enumerate(made, 1):
        ctx.log(f"{spec.name}: fold {number} of {len(made)}: learning from {len(fold.train):,} rows")
        facts: dict[str, Any] = {"fold": number, "train": len(fold.train), "test": len(fold.test)}
        try:
            table = _tested(given, Fold(pool[fold.train], pool[fold.test]), number)
        except TooSlowError:
            raise
        except (DataError, UserCodeError) as error:
            findings.append(Found(what=f"fold {number} is left out: {error.what}", where="split"))
            told.append({**facts, "why": error.what})
            continue
        tables.append(table)
        told.append({**facts, "train": int(table[_TRAINED].iloc[0]), **_stretch(given, table)})
    facts = {"kind": spec.split.kind, "by": spec.split.by, "copies_left_out": left, "folds": told}
    if not tables:
        return (), {FOLDS: facts}, findings
    rows = pd.concat(tables, ignore_index=True)
    return (stored(ctx.store, FOLDS, rows),), {FOLDS: facts}, findings


def _stretch(given: Folding, table: pd.DataFrame) -> dict[str, Any]:
    timed = given.spec.split.kind in IN_TIME
    return {"from": table[TIME].min(), "to": table[TIME].max()} if timed else {}


def _made(given: Folding) -> tuple[Places, list[Fold]]:
    """Places of the rows before the test part, and folds of these."""
    split, rows = given.spec.split, given.data.rows
    pool = _before_test(given)
    if not len(pool):
        raise DataError("no labelled row lies before the test part", fix="Lengthen the window.")
    some = rows.iloc[pool]
    if split.kind == "grouped":
        return pool, cut.grouped(folds_by(given.spec, some), split.count)
    if split.kind == "stratified":
        values = given.y[pool] if split.by is None else folds_by(given.spec, some)
        return pool, cut.stratified(strata_of(values), split.count, seed=given.spec.seed)
    if split.kind == "purged":
        known = some[KNOWN].where(some[KNOWN] >= some[TIME], some[TIME])
        return pool, cut.purged(some[TIME], known, split.count, embargo=split.embargo)
    return pool, _forward(given, some)


def _before_test(given: Folding) -> Places:
    bounds, masks = given.split.bounds, given.split.masks
    if not bounds:
        return np.flatnonzero(masks["train"] | masks["valid"])
    at = given.data.rows[TIME] + pd.Timedelta(given.spec.lead)
    start, end = pd.Timestamp(bounds["train"][0]), pd.Timestamp(bounds["valid"][1])
    return np.flatnonzero(((at >= start) & (at < end)).to_numpy())


def _forward(given: Folding, rows: pd.DataFrame) -> list[Fold]:
    """Folds forward in time, whose tests begin and end with a partition where there are partitions."""
    spec, split = given.spec, given.spec.split
    times, start, end = _clock(given, rows)
    unit = {"none": CLOCK, "month": timedelta(days=1)}.get(spec.partitions.every) or UNITS[
        spec.partitions.every
    ]
    left = end - start - split.embargo
    rolling = split.kind == "rolling"
    learns = (split.train or _whole(left / 2, unit)) if rolling else None
    test = _whole((left - learns) / split.count if learns else left / (split.count + 1), unit)
    if test <= timedelta(0):
        raise DataError(
            f"{split.count} {split.kind} folds do not fit into the {end - start} before the test part",
            fix="Ask for fewer folds, or lengthen the window.",
        )
    first = left - split.count * test
    return cut.forward(
        times, start=start, end=end, test=test, train=learns, first=first, embargo=split.embargo
    )


def _whole(length: timedelta, unit: timedelta) -> timedelta:
    return length // unit * unit


def _clock(given: Folding, rows: pd.DataFrame) -> tuple["pd.Series[pd.Timestamp]", datetime, datetime]:
    """Moments of prediction, and the stretch that they lie in.

    By the clock on the wall, on which all days are equally long, so that folds begin with a day also where clocks change.
    """
    calendar, bounds = given.spec.partitions, given.split.bounds
    times = rows[TIME] + pd.Timedelta(given.spec.lead)
    if not bounds:
        return times, times.min().to_pydatetime(), (times.max() + CLOCK).to_pydatetime()
    ends = pd.Series([pd.Timestamp(bounds["train"][0]), pd.Timestamp(bounds["valid"][1])])
    if calendar.every != "hour":
        times, ends = (
            pd.to_datetime(s, utc=True)
            .dt.tz_convert(calendar.timezone)
            .dt.tz_localize(None)
            .dt.tz_localize("UTC")
            for s in (times, ends)
        )
    return times, ends[0].to_pydatetime(), ends[1].to_pydatetime()


def _without_copies(made: Sequence[Fold], copies: np.ndarray) -> tuple[list[Fold], int, list[Found]]:
    """Folds whose training rows are no copies of tested ones, how many rows that took, and where they are left in for being too many."""
    out, left, kept = [], 0, []
    for number, fold in enumerate(made, 1):
        apart = cut.apart(fold, copies)
        if 2 * len(apart.train) < len(fold.train):
            # Of few different rows most are copies: without them, training rows would be unlike those of any day.
            kept.append(str(number))
            apart = fold
        left += len(fold.train) - len(apart.train)
        out.append(apart)
    if not kept:
        return out, left, []
    what = f"most training rows are copies of tested ones in {', '.join(kept)} of {len(out)} folds, and are left in"
    return out, left, [Found(what=what, where="split", fix="Add features that tell rows apart.")]


def _tested(given: Folding, fold: Fold, number: int) -> pd.DataFrame:
    """Tested rows with their truth and scores, by a model made as the model itself is."""
    spec, encoding = given.spec, given.encoding
    if not len(fold.train) or not len(fold.test):
        raise DataError("it has no rows to learn from" if not len(fold.train) else "it tests no row")
    learns, chooses = _chosen(given, fold.train)
    if not len(learns) or not len(chooses):
        raise DataError("its training rows cannot be parted into those to learn from and those to choose by")
    if encoding.task != "regression" and len(np.unique(given.y[learns])) < 2:
        raise DataError("its training rows hold a single class")
    labels = encoding.decode(given.y)
    X = {
        name: model_frame(given.data.rows.iloc[at], given.kinds).reset_index(drop=True)
        for name, at in (("train", learns), ("valid", chooses), ("test", fold.test))
    }
    where = f"{given.where}, fold {number}"
    estimator, _ = fitted(
        spec, Part(X["train"], labels[learns]), Part(X["valid"], labels[chooses]), given.kinds, where
    )
    positive = encoding.classes[-1] if encoding.task == "binary" else None
    bundle = Bundle(
        estimator, encoding.task, tuple(given.kinds), encoding.classes, positive, None, X["train"].head(1), {}
    )
    threshold = None
    if encoding.task == "binary":
        threshold = float(choose(given.y[chooses], bundle.predict(X["valid"]), spec.threshold).value)
    scores = bundle.predict(X["test"])
    table = given.data.rows.iloc[fold.test][[DAY, ROW, TIME]].reset_index(drop=True)
    return table.assign(
        **{
            _FOLD: number,
            _TRAINED: len(learns),
            _THRESHOLD: threshold,
            "y": given.y[fold.test],
            **score_columns(scores),
        }
    )


def _chosen(given: Folding, train: Places) -> tuple[Places, Places]:
    """Training rows of a fold to learn from, and those to choose by: the last in time, or some groups, or some of each stratum."""
    spec, split, rows = given.spec, given.spec.split, given.data.rows
    if split.kind in IN_TIME:
        times = rows[TIME].iloc[train]
        begin: pd.Timestamp = times.sort_values().iloc[int((1 - SHARE) * len(times))]
        chooses = (times >= begin).to_numpy()
        learns = (times < begin - pd.Timedelta(split.embargo)).to_numpy()
        return train[learns], train[chooses]
    many = round(1 / SHARE)
    if split.kind == "grouped":
        groups = folds_by(spec, rows.iloc[train])
        inner = cut.grouped(groups, min(many, len(pd.unique(groups.astype(str)))))[0]
    else:
        values = given.y[train] if split.by is None else folds_by(spec, rows.iloc[train])
        inner = cut.stratified(strata_of(values), min(many, len(train)), seed=spec.seed)[0]
    inner = cut.apart(inner, given.copies[train])
    return train[inner.train], train[inner.test]


def score_columns(score: np.ndarray) -> dict[str, np.ndarray]:
    """Scores as columns of a table: one, or one a class."""
    return {"score": score} if score.ndim == 1 else {f"score_{i}": score[:, i] for i in range(score.shape[1])}


def judged_folds(
    spec: PipelineSpec, table: pd.DataFrame, classes: Sequence[Any], names: Sequence[str]
) -> tuple[tuple[MetricValue, ...], dict[str, Any]]:
    """Metrics on folds: their means with t intervals, as metrics of the split ``folds``, and for the record each fold's own.

    Parameters
    ----------
    table
        Tested rows, as `folded` puts them into the store.
    classes
        Of the model.
    names
        Metrics to tell.
    """
    measures = {n: spec.measures.of(n) for n in names}
    scores = [c for c in table.columns if c == "score" or c.startswith("score_")]
    found: list[dict[str, Any]] = []
    for number in sorted(table[_FOLD].unique().tolist()):
        rows = table[table[_FOLD] == number]
        cuts = rows[_THRESHOLD].iloc[0]
        score = rows[scores].to_numpy() if len(scores) > 1 else rows["score"].to_numpy()
        scored = Scored(rows["y"].to_numpy(), score, None if pd.isna(cuts) else float(cuts), tuple(classes))
        values = evaluate(scored, list(measures.values()))
        found.append(
            {"fold": number, "train": int(rows[_TRAINED].iloc[0]), "test": len(rows), "values": values}
        )
    train, test = ([f[name] for f in found] for name in ("train", "test"))
    metrics = []
    for name, metric in measures.items():
        mean, low, high = mean_interval([f["values"][name] for f in found], train, test)
        if np.isfinite(mean):
            ends = {"low": low, "high": high} if np.isfinite(low) else {}
            metrics.append(MetricValue(name=name, value=mean, better=metric.better, split=FOLDS, **ends))
    told = [
        {**f, "values": {n: v if np.isfinite(v) else None for n, v in f["values"].items()}} for f in found
    ]
    return tuple(metrics), {"kind": spec.split.kind, "by": spec.split.by, "folds": told}
