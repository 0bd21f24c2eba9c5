"""Service levels of days: what is asked of them, what is known before they are scored, and how the days before them went.

What a day came to stands in the heads of its records. Of predictions: `levels`, what was known before scoring, and `served`, who
answered where it was not the champion. Of the monitor: `levels` {indicator: [value, state]} of all of them, `response` {indicator that
was missed: [response, severity, limit]}, `exhausted` [indicators whose error budget is used up]. The next day, the retraining policy and
the release read them there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from numbers import Real
from typing import Any

import pandas as pd

from mlpipe.core.sla import DEFAULTS, Budget, Indicator, State, budget, share_by_chance
from mlpipe.errors import MlpipeError
from mlpipe.records.codec import Head
from mlpipe.records.record import Input
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context, record_of
from mlpipe.stages.deadline import deadline
from mlpipe.stages.frames import TIME
from mlpipe.stages.sources import call_any, defined

MOST = 1000
"""So many partitions back a budget reaches."""


@dataclass(frozen=True)
class Value:
    """A number, or why there is none; and the chance of as bad a one without any fault, where that is a question."""

    number: float | None = None
    why: str = ""
    chance: float = 0.0

    @property
    def doubt(self) -> str:
        """Why a number that lies beyond its limit may be no miss."""
        return (
            f"so few rows that chance alone gives as much (p = {self.chance:.2g})"
            if self.number is not None
            else ""
        )


def share_of(name: str, value: float, rows: float) -> Value:
    """A share of rows as the value of a default indicator, with the chance of as bad a one where rows are few."""
    default = DEFAULTS[name]
    good = default.kind == "above"
    bad, limit = (1.0 - value, 1.0 - default.limit) if good else (value, default.limit)
    return Value(value, chance=share_by_chance(bad, rows, limit))


def asked(spec: PipelineSpec, task: str | None = None) -> dict[str, Indicator]:
    """What is asked of a day, by name. The task says which metric is primary, and so whether its level is a floor."""
    better = "higher" if task is None else spec.measures.primary(task).better
    retrain = spec.retrain
    drift = retrain is not None and retrain.drift is not None
    return spec.levels.indicators(
        spec.partitions.every, drift=drift, retrain=retrain is not None, better=better
    )


def validated(spec: PipelineSpec, key: str, ctx: Context) -> tuple[dict[str, Value], tuple[Input, ...]]:
    """What validation tells of a day, and what was read for it: ``valid_rate``, ``rows``, ``outlier_rate``.

    The share of valid rows is that of the worst source, for each can spoil a prediction; a row that was repaired keeps the contract.
    """
    head = ctx.heads.find(f"{spec.name}/validated", [key]).get(key)
    counts: Mapping[str, Mapping[str, int]] = (
        ((head.data or {}).get("rows") or {}) if head is not None else {}
    )
    if head is None or spec.primary not in counts:
        return dict.fromkeys(("valid_rate", "rows", "outlier_rate"), Value(None, "not validated")), ()
    kept = {n: c["kept"] + c.get("repaired", 0) for n, c in counts.items()}
    shares = [(kept[n] / c["raw"], c["raw"]) for n, c in counts.items() if c["raw"]]
    found = {
        "valid_rate": share_of("valid_rate", *min(shares)) if shares else Value(None, "no rows came"),
        "rows": Value(float(kept[spec.primary])),
        "outlier_rate": _outliers(spec, head, kept, ctx),
    }
    return found, (head.seen(),)


def _outliers(spec: PipelineSpec, head: Head, kept: Mapping[str, int], ctx: Context) -> Value:
    """Share of values outside what is usual, among the columns that say what that is."""
    if not any(c.usual is not None for s in spec.sources.values() for c in s.contract.columns.values()):
        return Value(None, "no column declares what is 'usual'")
    counts: Mapping[str, Mapping[str, int]] = record_of(ctx, head, spec.name).data.get("outliers") or {}
    looked = sum(kept.get(source, 0) * len(columns) for source, columns in counts.items())
    odd = sum(n for columns in counts.values() for n in columns.values())
    if not looked:
        return Value(None, "no values to look at")
    return share_of("outlier_rate", odd / looked, max(kept.get(source, 0) for source in counts))


def missing(spec: PipelineSpec, rows: pd.DataFrame, names: Sequence[str]) -> Value:
    """Share of missing values among the features; those declared in ``features.missing`` are missing for a known reason."""
    counted = [n for n in names if n in rows and n not in spec.features.missing]
    if not counted or not len(rows):
        return Value(None, "no values to look at")
    return share_of("missing_rate", float(rows[counted].isna().to_numpy().mean()), len(rows))


def own(spec: PipelineSpec, key: str, frames: Mapping[str, pd.DataFrame], *, early: bool) -> dict[str, Value]:
    """Indicators of the user's own: `early` those that read features alone, else all others.

    One whose rows are not there, or that fails, is unknown and says why: a mistake in it must not cost a day's predictions.
    """
    found = {}
    for name, level in spec.levels.own.items():
        if (level.reads == ("features",)) == early:
            gone = [n for n in level.reads if n not in frames]
            found[name] = (
                Value(None, f"the day has no {gone[0]} that are known yet")
                if gone
                else value_of(
                    answer(spec, key, f"level {name}", level.function, [frames[n] for n in level.reads])
                )
            )
    return found


def answer(
    spec: PipelineSpec, key: str, what: str, function: Callable[..., Any], frames: Sequence[pd.DataFrame]
) -> Any:
    """What a function of the user's gives of a day's frames, which it may change; a `Value` without a number where it fails."""
    where = f"pipeline {spec.name}, partition {key}, {what}"
    try:
        with deadline(spec.timeout, f"the {what}", f"{where}, {defined(function)}"):
            return call_any(function, *(f.copy(deep=True) for f in frames), where=where)
    except MlpipeError as error:
        return Value(None, f"its function failed: {error.what}")


def value_of(given: Any) -> Value:
    """An answer as a number, or why it is none."""
    if isinstance(given, Value):
        return given
    if given is None:
        return Value(None, "its function says so")
    if isinstance(given, bool) or not isinstance(given, Real) or math.isinf(float(given)):
        return Value(None, f"its function must give a number, got a {type(given).__name__}")
    number = float(given)
    return Value(None, "its function gave nan") if math.isnan(number) else Value(number)


def newest(spec: PipelineSpec, rows: pd.DataFrame) -> str | None:
    """Event time of the newest of some predicted rows (ISO, in UTC); None without rows or times."""
    timed = spec.prediction_time is not None or spec.sources[spec.primary].event_time is not None
    last = rows[TIME].max() if timed and len(rows) else pd.NaT
    return None if pd.isna(last) else (last + pd.Timedelta(spec.lead)).isoformat()


def visible(spec: PipelineSpec, rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A day's rows as a user's function sees them: their keys and the columns that it knows by name."""
    keys = [k for k in spec.sources[spec.primary].keys if k in rows and k not in names]
    return rows[[*keys, *(n for n in names if n in rows)]]


# -- the days before -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Day:
    """How one watched day went: the champion that was watched, and the state of each indicator."""

    key: str
    version: int | None
    states: Mapping[str, State]
    values: Mapping[str, float | None]
    read: Input

    def plain(self) -> list[Any]:
        """As it stands in a recipe."""
        return [self.key, self.version, dict(self.states)]


def history(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> tuple[Day, ...]:
    """Watched days among some partitions, in their order."""
    keys = keys[-MOST:]
    heads = ctx.heads.find(f"{spec.name}/monitor", keys)
    found = []
    for key in keys:
        levels = ((heads[key].data or {}).get("levels") or {}) if key in heads else {}
        if levels:
            version = (heads[key].data or {}).get("version")
            states = {n: state for n, (_, state) in levels.items()}
            values = {n: value for n, (value, _) in levels.items()}
            found.append(Day(key, version, states, values, heads[key].seen()))
    return tuple(found)


def reach(spec: PipelineSpec) -> timedelta:
    """How far back a budget looks: its window, and the time until labels are known."""
    late = spec.label.horizon if spec.label.source is not None else timedelta(0)
    return spec.levels.budget.window + spec.label.available_after + late


def before(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    """Partitions before one that its budgets reach; none where there are no partitions."""
    return () if spec.partitions.every == "none" else spec.partitions.before(key, reach(spec))


def budgets(
    spec: PipelineSpec, days: Sequence[tuple[str, Mapping[str, State]]], names: Sequence[str]
) -> dict[str, Budget]:
    """Error budget of each indicator after some days, in their order.

    The window ends with the newest day that is known: what labels tell comes late, and would else have no budget at all.
    """
    found = {}
    unit = UNITS[spec.partitions.every]
    whole = round(spec.levels.budget.window / unit) if unit else 0
    for name in names:
        known = [(key, states[name]) for key, states in days if states.get(name, "unknown") != "unknown"]
        if known and spec.partitions.every != "none":
            start = spec.partitions.window(known[-1][0]).end - spec.levels.budget.window
            known = [(k, s) for k, s in known if spec.partitions.window(k).start >= start]
        found[name] = budget([s for _, s in known], spec.levels.budget.target, whole)
    return found


def frozen(spec: PipelineSpec, as_of: datetime, ctx: Context) -> list[str]:
    """Why promotions are frozen at a moment, in sentences; none where they are not, or the pipeline does not ask for it."""
    if not spec.levels.freeze_promotions or spec.partitions.every == "none":
        return []
    ended = spec.partitions.keys_between(as_of - reach(spec), as_of)
    days = [(d.key, d.states) for d in history(spec, ended, ctx)]
    left = budgets(spec, days, list(asked(spec)))
    return [
        f"The error budget of {n} is used up ({b.missed} of {b.days} known days missed it, {b.allowed:.3g} may), "
        "and a used-up budget freezes promotions (levels.freeze_promotions)."
        for n, b in left.items()
        if b.exhausted
    ]
