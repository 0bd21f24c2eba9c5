"""Drift of what goes with what: whether a classifier tells rows of the window from rows that the champion learned from. On request."""

from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.domain import FOLDS, Domain, tell_apart
from mlpipe.records.record import Found, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.frames import stacked
from mlpipe.stages.watching.drift import watched_columns
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch

TOLD = 0.7
"""An AUC from which on the joint distribution is worth a finding; below it rows are told apart by little."""
SHOWN = 10


def section(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Section:
    """The domain classifier on watched columns, by blocks of whole partitions; ``not tested`` when off or with too few partitions."""
    if not spec.monitor.domain:
        return Section(data={"domain": "not tested"})
    learned = [i for i in watch.champion.model.inputs if i.name == "features" and i.id]
    columns = watched_columns(spec, watch)
    if min(len(learned), len(watch.features)) < FOLDS or not columns:
        why = f"not tested: it needs {FOLDS} partitions on either side, and a watched column"
        return Section(data={"domain": why})
    then = _rows(ctx, {i.partition: i.id for i in learned}, columns)
    now = _rows(ctx, {k: h.outputs["features"].id for k, h in watch.features.items()}, columns)
    found = tell_apart(then[0], now[0], blocks=(then[1], now[1]), seed=0)
    return Section(
        metrics=(MetricValue(name="domain_auc", value=found.auc, better="lower", split="drift"),),
        findings=(_finding(found),) if found.drifts and found.auc >= TOLD else (),
        data={"domain": _told(found)},
        sentence=f"rows are told from those learned from with AUC {found.auc:.3f}",
    )


def _rows(ctx: Context, tables: dict[str, str], columns: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    frames = {k: ctx.store.get_table(table, columns=columns) for k, table in tables.items()}
    blocks = np.repeat(list(frames), [len(f) for f in frames.values()])
    return stacked(list(frames.values())), blocks


def _finding(found: Domain) -> Found:
    by = ", ".join(i.feature for i in found.columns[:3])
    return Found(
        what=f"a classifier tells the window from what the champion learned from: AUC {found.auc:.3f}, "
        f"interval {found.interval.low:.3f} to {found.interval.high:.3f}; by {by}",
        where="joint distribution of the features",
    )


def _told(found: Domain) -> dict[str, Any]:
    return {
        "auc": found.auc,
        "low": found.interval.low,
        "high": found.interval.high,
        "rows": [found.rows_reference, found.rows_current],
        "columns": {i.feature: i.mean for i in found.columns[:SHOWN]},
    }
