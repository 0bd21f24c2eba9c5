"""Models on the same rows: the one that is judged, its baselines, and the champion."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlpipe.core.bootstrap import Interval, interval
from mlpipe.core.metrics import Scored, evaluate
from mlpipe.errors import DataError, did_you_mean
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.dataset import DAY
from mlpipe.stages.frames import TIME
from mlpipe.stages.linear import LINEAR
from mlpipe.stages.train import rule_scores
from mlpipe.stores.bundles import Bundle

MOST_BLOCKS = 500
FEW_DAYS = 5


@dataclass(frozen=True)
class Judged:
    """One model on some rows: what it is called, its scores, and its metrics with intervals."""

    name: str
    scored: Scored
    values: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Rival:
    """The champion on the rows that neither model was trained or chosen on, and ours on the same; or why there are none."""

    judged: Judged | None = None
    ours: Scored | None = None
    blocks: np.ndarray | None = None
    incomparable: str = ""
    compared: np.ndarray | None = None


def blocks_of(spec: PipelineSpec, key: str, test: pd.DataFrame) -> np.ndarray:
    """What is resampled together: the declared column or that of whole groups, else the day (of few days the hour).

    Without partitions rows are, in at most 500 groups.

    Raises
    ------
    DataError
        When the declared column is no key or feature.
    """
    by = spec.clustered_by
    if by is not None and by not in test:
        known = [str(c) for c in test.columns if not str(c).startswith("_")]
        where = f"pipeline {spec.name}, partition {key}, blocks"
        raise DataError(
            f"there is no column {by!r} among keys and features",
            where=where,
            fix=did_you_mean(by, known),
        )
    if by is not None:
        return test[by].astype("str").to_numpy()
    if spec.partitions.every == "none":
        # Rows are independent here: many groups of them vary as the rows do, and cost less than one block a row.
        return np.arange(len(test)) % MOST_BLOCKS
    local = (test[TIME] + pd.Timedelta(spec.lead)).dt.tz_convert(spec.partitions.timezone)
    days = local.dt.strftime("%Y-%m-%d")
    # A test of a few hours has no days to speak of: then the hours are resampled.
    return (test[DAY] if spec.partitions.every == "hour" and days.nunique() < FEW_DAYS else days).to_numpy()


def scored_by(bundle: Bundle, rows: pd.DataFrame, y: np.ndarray) -> Scored:
    """A bundle's scores of some rows, beside the truth."""
    return Scored(y, bundle.predict(rows), bundle.threshold, bundle.classes)


def judge(spec: PipelineSpec, name: str, scored: Scored, names: Sequence[str], blocks: np.ndarray) -> Judged:
    """One model's metrics on some rows, each with its interval."""
    measures = spec.measures
    asked = {n: measures.of(n) for n in names}
    values = evaluate(scored, list(asked.values()))
    intervals = {
        n: interval(scored, m, blocks, resamples=spec.bootstrap, seed=spec.seed) for n, m in asked.items()
    }
    return Judged(name, scored, values, intervals)


def baselines(
    spec: PipelineSpec,
    key: str,
    bundle: Bundle,
    test: pd.DataFrame,
    y: np.ndarray,
    names: Sequence[str],
    blocks: np.ndarray,
    linear: Bundle | None = None,
) -> list[Judged]:
    """On the judged rows the constant answer, the user's own rule where there is one, and the linear model where one was learned."""
    constant = np.asarray(bundle.extra["constant"], dtype="float64")
    scores = (
        np.tile(constant, (len(y), 1)) if bundle.task == "multiclass" else np.full(len(y), float(constant))
    )
    scored = Scored(y, scores, bundle.extra.get("constant_threshold"), bundle.classes)
    out = [judge(spec, "constant", scored, names, blocks)]
    if spec.baseline is not None and bundle.task != "multiclass":
        rule = rule_scores(spec, test[list(bundle.feature_names)], key)
        out.append(
            judge(
                spec,
                "rule",
                Scored(y, rule, bundle.extra.get("rule_threshold"), bundle.classes),
                names,
                blocks,
            )
        )
    if linear is not None:
        out.append(judge(spec, LINEAR, scored_by(linear, test, y), names, blocks))
    return out


def rival_of(
    spec: PipelineSpec,
    bundle: Bundle,
    champion: Champion | None,
    test: pd.DataFrame,
    y: np.ndarray,
    names: Sequence[str],
    blocks: np.ndarray,
) -> Rival:
    """The champion on the rows that are later than all that it learned from, beside the challenger; or why there are none."""
    if champion is None:
        return Rival()
    if champion.bundle.task != bundle.task or champion.bundle.classes != bundle.classes:
        return Rival(incomparable=f"version {champion.number} predicts something else")
    missing = [n for n in champion.bundle.feature_names if n not in test]
    if missing:
        why = f"version {champion.number} needs the feature {missing[0]!r}, which is no longer made"
        return Rival(incomparable=why)
    later = (test[TIME] + pd.Timedelta(spec.lead) >= pd.Timestamp(champion.data_end)).to_numpy()
    if not later.any():
        until = f"{champion.data_end:%Y-%m-%d}"
        why = f"no row is later than what version {champion.number} was trained and judged on (until {until})"
        return Rival(incomparable=why)
    rows = test[later].reset_index(drop=True)
    try:
        theirs = scored_by(champion.bundle, rows, y[later])
    except DataError as error:
        return Rival(incomparable=f"version {champion.number} cannot score these rows: {error.what}")
    judged = judge(spec, "champion", theirs, names, blocks[later])
    return Rival(judged, scored_by(bundle, rows, y[later]), blocks[later], compared=later)
