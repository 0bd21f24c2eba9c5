"""An audit of one partition's features: made again from what was known at an instant, they must not come out otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pandas as pd

from mlpipe.errors import NotFoundError
from mlpipe.records.codec import Head, from_bytes, head_of
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context, MemoryHeads, record_of
from mlpipe.stages.feature import finite
from mlpipe.stages.featurise import featurise, past_keys
from mlpipe.stages.frames import ROW, TIME, Validated, moments
from mlpipe.stages.trial import first_line
from mlpipe.stores.tables import canonical, to_frame

CLOSE = 1e-9
"""Sums over other numbers of rows are rounded otherwise: numbers that agree to this share are the same."""


class Until(Validated):
    """Validated rows as they were known at an instant: what happened, or became known, later is not there."""

    def __init__(
        self, spec: PipelineSpec, keys: tuple[str, ...], ctx: Context, instant: pd.Timestamp
    ) -> None:
        super().__init__(spec, keys, ctx)
        self._instant = instant

    def rows(self, source: str, key: str) -> pd.DataFrame:
        """Rows of a source in one good partition; of the primary those that were predicted by then."""
        whole = super().rows(source, key)
        declared = self.spec.sources[source]
        if source == self.spec.primary:
            known = moments(self.spec, whole, key)
        elif declared.event_time is not None and source != self.spec.label.source:
            known = whole[declared.event_time] + pd.Timedelta(declared.available_after)
        else:
            return whole
        return whole[known <= self._instant].reset_index(drop=True)


@dataclass(frozen=True)
class Audited:
    """What came of an audit: rows compared, those that came out otherwise, and in how many rows each feature did. `why` says why not."""

    rows: int = 0
    late: int = 0
    features: Mapping[str, int] = field(default_factory=dict)
    why: str = ""


def audited(spec: PipelineSpec, key: str, ctx: Context) -> Audited:
    """The features of a partition's earlier half, beside those made from what was known when its middle row was predicted.

    Rows that are later, side tables' rows that became known later, and later labels are taken away; a row whose features change by that
    was made from something later than its own prediction. The materializations read are those that the features' record names.

    Returns
    -------
    Audited
        Nothing compared, and why, where all rows have one moment or what they were made from is not in the store.

    Raises
    ------
    MlpipeError
        What the feature function raises on fewer rows.
    """
    head = ctx.heads.find(f"{spec.name}/features", [key]).get(key)
    if head is None or "features" not in head.outputs or not head.record:
        return Audited(why=f"the features of {key} have no record")
    made = ctx.store.get_table(head.outputs["features"].id)
    if not len(made) or made[TIME].nunique() < 2:
        return Audited(why=f"all rows of {key} have one moment of prediction")
    instant = made[TIME].sort_values().iloc[(len(made) - 1) // 2]
    if instant == made[TIME].max():
        instant = made[TIME][made[TIME] < instant].max()
    try:
        then, clock = _then(spec, head, ctx)
    except NotFoundError as error:
        return Audited(why=first_line(error))
    keys = (*past_keys(spec, key), key)
    again, names = _featurised(spec, key, Until(spec, keys, then, instant), clock)
    early = made[made[TIME] <= instant].set_index(ROW)
    again = again.set_index(ROW).reindex(early.index)
    differ = {n: _differ(early[n], again[n]) for n in names if n in early}
    if any(d.any() for d in differ.values()):
        whole, _ = _featurised(spec, key, Validated(spec, keys, then), clock)
        whole = whole.set_index(ROW).reindex(early.index)
        unsteady = [n for n, d in differ.items() if d.any() and _differ(early[n], whole[n]).any()]
        if unsteady:
            return Audited(
                why=f"the feature {unsteady[0]!r} of {key} comes out otherwise when it is made again"
            )
    late = np.any(list(differ.values()), axis=0) if differ else np.zeros(len(early), dtype=bool)
    return Audited(len(early), int(late.sum()), {n: int(d.sum()) for n, d in differ.items() if d.any()})


def _then(spec: PipelineSpec, head: Head, ctx: Context) -> tuple[Context, datetime]:
    """What the features of a partition were made from, and the clock of that."""
    record = record_of(ctx, head, spec.name)
    names = dict.fromkeys(i.record for i in record.inputs if i.record)
    heads = [head_of(from_bytes(ctx.store.get_record(spec.name, n), n)) for n in names]
    return replace(ctx, heads=MemoryHeads(heads)), record.as_of


def _featurised(
    spec: PipelineSpec, key: str, data: Validated, clock: datetime
) -> tuple[pd.DataFrame, list[str]]:
    frame, names = featurise(spec, key, data, clock)
    # In the types that a table has when it is read back.
    return to_frame(canonical(finite(frame, names)[0])), names


def _differ(one: pd.Series, other: pd.Series) -> np.ndarray:
    """Rows in which two columns hold something else; nulls are alike."""
    if pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other):
        a, b = (c.to_numpy(dtype="float64", na_value=np.nan) for c in (one, other))
        return np.asarray(~np.isclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True))
    null = one.isna().to_numpy(), other.isna().to_numpy()
    same = (one.astype("str").to_numpy() == other.astype("str").to_numpy()) & ~null[0] & ~null[1]
    return np.asarray(~(same | (null[0] & null[1])))
