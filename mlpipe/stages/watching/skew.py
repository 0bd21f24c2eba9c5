"""Train-serve skew: features as they were served beside those that training makes of the same rows now. On request.

Two partitions are made again each night: the newest, on which a function that reads a clock, draws at random or keeps a state shows up at
once, and the first of the window, for which all has come by now that was late when it was served.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from mlpipe.core.skew import Skew, Skewed, skew
from mlpipe.errors import MlpipeError
from mlpipe.records.codec import Head
from mlpipe.records.record import Found, Input
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import feature
from mlpipe.stages.context import Context
from mlpipe.stages.failures import attempted
from mlpipe.stages.featurise import past_keys
from mlpipe.stages.frames import ROW, Validated
from mlpipe.stages.indicators import Value, share_of
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch
from mlpipe.stores.tables import canonical, to_frame

RATE = "skew_rate"
SHOWN = 20
NOT_TESTED = "not tested"
FIX = "Make features of what is known at the moment of prediction alone; without a clock, chance, or anything kept from call to call."


@dataclass(frozen=True)
class Again:
    """Partitions to be made again, with what was served on each, and the validated rows to make them from."""

    days: Mapping[str, Head]
    data: Validated | None = None

    def inputs(self, spec: PipelineSpec) -> tuple[Input, ...]:
        """What the features are made again from."""
        return (
            ()
            if self.data is None
            else tuple(i for day in self.days for i in feature.inputs(spec, day, self.data))
        )

    def functions(self, spec: PipelineSpec) -> tuple[Any, ...]:
        """The user's code that makes them."""
        return tuple(f for f in (spec.features.function, spec.label.function) if f is not None and self.days)


def again(spec: PipelineSpec, watch: Watch, ctx: Context) -> Again:
    """What is to be compared; nothing when it is not asked for."""
    keys = dict.fromkeys((watch.keys[-1], watch.keys[0])) if spec.monitor.skew else ()
    days = {k: watch.predictions[k] for k in keys if k in watch.predictions}
    if not days:
        return Again({})
    needed = dict.fromkeys(k for day in days for k in (*past_keys(spec, day), day))
    data = Validated(spec, list(needed), ctx)
    return Again({k: h for k, h in days.items() if k in data.good}, data)


def section(spec: PipelineSpec, key: str, watch: Watch, told: Again, ctx: Context) -> Section:
    """Features that differ between the two paths, a finding each."""
    if told.data is None or not told.days:
        why = (
            f"{NOT_TESTED}: nothing was served that could be made again" if spec.monitor.skew else NOT_TESTED
        )
        unknown = {"skewed": None, "skewed_rows": None}
        return Section(data={"skew": why}, head=unknown if spec.monitor.skew else {})
    names = list(watch.champion.bundle.feature_names)
    facts: dict[str, Any] = {}
    findings: list[Found] = []
    columns: dict[str, None] = {}
    differing = compared = 0
    for day, head in told.days.items():
        found = _compared(spec, day, head, names, told.data, ctx)
        if isinstance(found, str):
            facts[day] = f"{NOT_TESTED}: {found}"
            continue
        columns |= dict.fromkeys(c.column for c in found.columns)
        differing, compared = differing + found.differing, compared + found.rows
        findings += [_finding(c, day, found.rows) for c in found.columns]
        facts[day] = {
            "rows": found.rows,
            "alone": found.alone,
            "differing": found.differing,
            "columns": {c.column: [c.rows, c.difference] for c in found.columns[:SHOWN]},
        }
    return Section(
        findings=tuple(findings),
        data={"skew": facts},
        head={
            "skewed": list(columns)[:SHOWN] if compared else None,
            "skewed_rows": [differing, compared] if compared else None,
        },
        sentence=f"**{len(columns)}** features differ between serving and training" if columns else "",
    )


def level(found: Section) -> dict[str, Value]:
    """What the service level is asked of: of the rows that were met on either day, the share of which any feature differs."""
    counts = found.head.get("skewed_rows")
    if counts is None:
        return {RATE: Value(None, "nothing that was served is compared with what training makes of it")}
    differing, compared = counts
    return {RATE: share_of(RATE, differing / compared, compared)}


def _compared(
    spec: PipelineSpec, day: str, head: Head, names: list[str], data: Validated, ctx: Context
) -> Skew | str:
    """The comparison of a day, or why there is none."""
    came = data.raw[day].outputs[spec.primary].id
    keys = [ROW] if (head.data or {}).get("raw") == came else list(spec.sources[spec.primary].keys)
    if not keys:
        return "its rows came again since, and without declared keys none can be found again"
    found = attempted(partial(_made, spec, day, data, ctx))
    if isinstance(found, MlpipeError):
        return f"its features cannot be made again: {found.what}"
    served = ctx.store.get_table(str((head.data or {})["features_id"]))
    return skew(served, found, [n for n in names if n in served or n in found], keys)


def _made(spec: PipelineSpec, day: str, data: Validated, ctx: Context) -> pd.DataFrame:
    """Features made now, by the types that the store would give them."""
    return to_frame(canonical(feature.made(spec, day, data, ctx.run.as_of)[0]))


def _finding(found: Skewed, day: str, rows: int) -> Found:
    by = "" if found.difference is None else f", by {found.difference:.3g} on average"
    return Found(
        what=f"what was served on {day} differs from what training makes of the same rows in {found.rows:,} of {rows:,}{by}",
        where=f"feature {found.column}",
        fix=FIX,
    )
