"""What is recorded about a watched day that explains its alarm: facts for `mlpipe.core.causes`. Nothing is read where nothing is raised."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.abreast import basis
from mlpipe.core.causes import Cause, Change, Evidence, Moved, cause
from mlpipe.core.coarse import coarse_bins, grouped
from mlpipe.core.drift import MAJOR, ColumnDrift, compare
from mlpipe.core.onset import onset
from mlpipe.core.profile import Profile, merge
from mlpipe.core.told import flipped, told_by, unforeseen
from mlpipe.records.codec import Head
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, evaluation_of, opened, promise
from mlpipe.stages.context import Context, record_of
from mlpipe.stages.dataset import LABEL, Encoding, met
from mlpipe.stages.frames import ROW, stacked
from mlpipe.stages.grids import grid_of
from mlpipe.stages.outcomes import RIPE
from mlpipe.stages.references import Profiles

READ = ("raw", "validated", "features", "predictions", "labels")
"""Assets of the days that are looked at."""
BELOW = 0.999
"""Ratio of a column that is not raised, at most."""
WINDOWS = 3
"""So many windows back a beginning is looked for."""
FEWER, MORE = 0.8, 1.5
"""Rows below this share of the fewest, or above this of the most, of the days before the window are a fault."""
TELLS = 0.02
"""Share of the variance of mistakes from which on a column tells who they happen to."""


def found(spec: PipelineSpec, key: str, ctx: Context) -> Cause:
    """The likeliest cause of what is raised on a watched day, from the records alone.

    Parameters
    ----------
    spec, key, ctx
        The pipeline, the partition, and what was recorded: heads, store and ledger. A day that was not watched has no cause.
    """
    day = ctx.heads.find(f"{spec.name}/monitor", [key]).get(key)
    return explained(spec, key, (day.data or {}) if day is not None else {}, ctx)


def explained(spec: PipelineSpec, key: str, data: Mapping[str, Any], ctx: Context) -> Cause:
    """As `found`, of a day whose monitor says `data` of itself (its head), on record or not yet."""
    days = looked_at(spec, key)
    window = spec.monitor.window
    heads = {n: ctx.heads.find(f"{spec.name}/{n}", days) for n in READ}
    limits = {c: float(limit) for c, (_, limit) in (data.get("psi") or {}).items() if limit > 0}
    changes = [*_rows(spec, days, heads["validated"], ctx), *_schema(days, heads["raw"])]
    version = ctx.ledger.state().versions.get(int(data["version"])) if data.get("version") else None
    champion = opened(spec, version, ctx)
    fell = _fell(spec, champion, data, ctx)
    raised = _raised(data)
    skewed, late = tuple(data.get("skewed") or ()), _late(data)
    if champion is None or not (raised or fell):
        return cause(Evidence(days, changes=changes, skewed=skewed, overdue=late))
    columns = _columns(spec, days, heads, champion, limits, raised, ctx) if raised else ()
    told, labels = _mistakes(spec, days[-window:], heads, champion, ctx) if fell else ([], [])
    return cause(Evidence(days, columns, changes, fell, told, labels, skewed, late, window))


def looked_at(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    """The days among which a cause is looked for, the day itself the last."""
    if spec.partitions.every == "none":
        return (key,)
    return (*spec.partitions.before(key, WINDOWS * spec.monitor.window - 1), key)


def a_year_before(spec: PipelineSpec, key: str) -> tuple[str, ...]:
    """The days 52 weeks before those of the window of a partition, as far as the calendar goes back."""
    if spec.partitions.every == "none":
        return ()
    days = (*spec.partitions.before(key, spec.monitor.window - 1), key)
    first, last = spec.partitions.window(days[0]).start, spec.partitions.window(days[-1]).end
    year = pd.Timedelta(weeks=52).to_pytimedelta()
    return spec.partitions.keys_between(first - year, last - year)


def _raised(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns whose alarm is open; of a day that was recorded before alarms persisted those that were over their limit."""
    if "drifted" in data:
        return tuple(data["drifted"] or ())
    return tuple(c for c, (psi, limit) in (data.get("psi") or {}).items() if limit > 0 and psi >= limit)


def _late(data: Mapping[str, Any]) -> str:
    value, state = (data.get("levels") or {}).get("labels_overdue") or (None, "unknown")
    return (
        f"{value:.0%} of the labels that would usually be there by now are late" if state == "missed" else ""
    )


def _rows(spec: PipelineSpec, days: Sequence[str], heads: Mapping[str, Head], ctx: Context) -> list[Change]:
    """Days of the newest window that failed validation, or brought far fewer or more rows than any day before the window."""
    window = spec.monitor.window
    counts = {
        i: int(h.data["rows"][spec.primary]["raw"])
        for i, k in enumerate(days)
        if (h := heads.get(k)) is not None and h.data and spec.primary in (h.data.get("rows") or {})
    }
    usual = [n for i, n in counts.items() if i < len(days) - window and n]
    changes = []
    for i in range(max(0, len(days) - window), len(days)):
        head = heads.get(days[i])
        if head is not None and head.verdict != "pass":
            changes.append(
                Change(i, f"validation says '{head.verdict}'{_broken(spec, head, ctx)}", alone=True)
            )
        elif i in counts and len(usual) >= 7 and counts[i] < FEWER * min(usual):
            text = f"{counts[i]:,} rows came, the fewest of the weeks before were {min(usual):,}"
            changes.append(Change(i, text, alone=True))
        elif i in counts and len(usual) >= 7 and counts[i] > MORE * max(usual):
            text = f"{counts[i]:,} rows came, the most of the weeks before were {max(usual):,}"
            changes.append(Change(i, text, alone=True))
    return changes


def _broken(spec: PipelineSpec, head: Head, ctx: Context) -> str:
    """What validation found first, as it stands in its record."""
    findings = record_of(ctx, head, spec.name).findings
    return "".join(f": {f.where}: {f.what}" if f.where else f": {f.what}" for f in findings[:1])


def _schema(days: Sequence[str], heads: Mapping[str, Head]) -> list[Change]:
    """Columns that came, went, changed type or were left without a value, by the schemas of raw from day to day."""
    changes: list[Change] = []
    before: Mapping[str, Mapping[str, str]] = {}
    for i, key in enumerate(days):
        data = (heads[key].data or {}) if key in heads else {}
        schema: Mapping[str, Mapping[str, str]] = data.get("schema") or {}
        if not schema:
            continue
        for source, columns in schema.items():
            old = before.get(source, columns)
            for column in dict.fromkeys((*old, *columns)):
                was, now = old.get(column, "absent"), columns.get(column, "absent")
                if was != now and {was, now} not in ({"int", "float"}, {"null", "absent"}):
                    changes.append(Change(i, f"column {column} of {source} turned from {was} to {now}"))
        before = schema
    return changes


def _fell(spec: PipelineSpec, champion: Champion | None, data: Mapping[str, Any], ctx: Context) -> str:
    """In words, how far the metric fell below what the champion was released with.

    It fell when it lies further below the evaluation than the whole width of the evaluation's interval: two intervals as wide then part.
    """
    name, now = str(data.get("primary")), data.get("rolling")
    metric = spec.measures.get(name)
    if champion is None or now is None or metric is None:
        return ""
    if ((data.get("levels") or {}).get("performance_fall") or (None, ""))[1] == "unknown":
        return ""  # not more than chance
    then = promise(evaluation_of(spec, champion, ctx), name)
    if then is None or then.low is None or then.high is None:
        return ""
    if metric.sign * (then.value - now) <= then.high - then.low:
        return ""
    return f"{name} is {now:.4g} over the window, {then.value:.4g} [{then.low:.4g}, {then.high:.4g}] at the evaluation"


def _columns(
    spec: PipelineSpec,
    days: Sequence[str],
    heads: Mapping[str, Mapping[str, Head]],
    champion: Champion,
    limits: Mapping[str, float],
    raised: Sequence[str],
    ctx: Context,
) -> list[Moved]:
    """Columns with the day on which each began, missing values, unknown categories, importance, and the look of a year before."""
    made = grid_of(spec, ctx)
    if made is None:
        return [Moved(c, 1.0) for c in raised]
    profiles, window = Profiles(spec, ctx, *made), spec.monitor.window
    by_day = _profiles(profiles, days, heads["features"])
    reference = profiles.reference(champion).profile
    recent = [by_day[k] for k in days[-window:] if k in by_day]
    names = [c for c in dict.fromkeys((*raised, *limits)) if c in profiles.grid.columns]
    now = merge(recent)
    drifts = compare(profiles.grid, reference, now, names)
    ago = _year_before(spec, days[-1], profiles, ctx)
    then = compare(profiles.grid, ago, now, names) if ago is not None else {}
    base = basis(profiles.grid, reference, names)
    importance = _importance(spec, days, heads, names, ctx)
    found = []
    for name in names:
        grid = base.grid.columns[name]
        groups, labels = coarse_bins(grid, reference.column(name, grid))
        counts = [
            grouped(groups, by_day[k].column(name, grid), len(labels))
            if k in by_day
            else np.zeros(len(labels))
            for k in days
        ]
        whole = grouped(groups, reference.column(name, grid), len(labels))
        limit, up = limits.get(name, MAJOR), name in raised
        a_year = then[name].psi / limit if name in then else None
        found.append(
            Moved(
                name,
                _ratio(spec, drifts[name], limit, up),
                importance.get(name),
                onset(counts, whole, window) if up else None,
                drifts[name].null_rate_change,
                drifts[name].unseen_rate,
                a_year if a_year is not None and np.isfinite(a_year) else None,
            )
        )
    return found


def _ratio(spec: PipelineSpec, drift: ColumnDrift, limit: float, up: bool) -> float:
    """How far a column is beyond its limit: at least 1 while its alarm is open, and less while it is not."""
    asked = spec.monitor.alarms
    parts = (
        drift.psi / limit,
        drift.null_rate_change / asked.new_nulls,
        drift.unseen_rate / asked.unseen,
    )
    known = max((p for p in parts if np.isfinite(p)), default=0.0)
    return max(known, 1.0) if up else min(known, BELOW)


def _profiles(profiles: Profiles, days: Sequence[str], heads: Mapping[str, Head]) -> dict[str, Profile]:
    return {
        k: profiles.of(heads[k].outputs["features"].id, (heads[k].data or {})["features"])
        for k in days
        if k in heads and "features" in heads[k].outputs
    }


def _year_before(spec: PipelineSpec, key: str, profiles: Profiles, ctx: Context) -> Profile | None:
    """Profile of the window's days 52 weeks before; None where fewer than half of them are recorded."""
    keys = a_year_before(spec, key)
    made = _profiles(profiles, keys, ctx.heads.find(f"{spec.name}/features", keys))
    return merge(list(made.values())) if made and 2 * len(made) >= spec.monitor.window else None


def _importance(
    spec: PipelineSpec,
    days: Sequence[str],
    heads: Mapping[str, Mapping[str, Head]],
    names: Sequence[str],
    ctx: Context,
) -> dict[str, float]:
    """Share of what the scores go by, column by column, over the earliest predicted days: before the drift, where it is recent.

    A first-order index: the share of the variance of the scores that a column tells by itself (I. M. Sobol', 1993), scaled to a sum of 1.
    """
    frames = []
    for key in days[: spec.monitor.window]:
        rows = _scored(heads["features"].get(key), heads["predictions"].get(key), ctx)
        frames += [] if rows is None else [rows]
    if not frames:
        return {}
    rows = stacked(frames)
    told = told_by(rows["score"].to_numpy(dtype="float64"), {n: rows[n] for n in names if n in rows})
    total = sum(t.share for t in told.values())
    return {n: t.share / total for n, t in told.items()} if total > 0 else {}


def _scored(features: Head | None, predictions: Head | None, ctx: Context) -> pd.DataFrame | None:
    """A day's features beside its scores; None where either is not there, or there are scores of several classes."""
    if features is None or predictions is None or "features" not in features.outputs:
        return None
    if "predictions" not in predictions.outputs:
        return None
    scores = ctx.store.get_table(predictions.outputs["predictions"].id)
    if "score" not in scores or ROW not in scores:
        return None
    return ctx.store.get_table(features.outputs["features"].id).merge(scores[[ROW, "score"]], on=ROW)


def _mistakes(
    spec: PipelineSpec,
    days: Sequence[str],
    heads: Mapping[str, Mapping[str, Head]],
    champion: Champion,
    ctx: Context,
) -> tuple[list[str], list[str]]:
    """Sentences on columns that tell who mistakes happen to, and on labels that look as if they were recorded wrongly."""
    frames = []
    for key in days:
        truth, made = heads["labels"].get(key), heads["features"].get(key)
        scores = _scored(made, heads["predictions"].get(key), ctx)
        if truth is None or made is None or truth.verdict != RIPE or scores is None:
            continue
        rows = met(spec, made, "features", truth, ctx)
        frames += [] if rows is None else [rows.merge(scores[[ROW, "score"]], on=ROW)]
    if not frames:
        return [], []
    rows = stacked(frames)
    y = Encoding(champion.bundle.task, champion.bundle.classes).encode(rows[LABEL])
    known = np.isfinite(y)
    rows, y, score = rows[known], y[known], rows["score"].to_numpy(dtype="float64")[known]
    names = [n for n in champion.bundle.feature_names if n in rows]
    each = told_by(unforeseen(y, score), {n: rows[n].reset_index(drop=True) for n in names})
    strong = sorted(
        (n for n in names if each[n].share >= TELLS and each[n].p < 0.01), key=lambda n: -each[n].share
    )
    told = [
        f"{n} tells {each[n].share:.0%} of the mistakes: where it is {each[n].where}, the truth is {each[n].mean:+.2g} off "
        "what rows of the same score turn out as"
        for n in strong[:3]
    ]
    wrong = flipped(y, score) if champion.bundle.task == "binary" and not told else None
    labels = (
        [
            f"about {wrong:.0%} of the labels contradict the score, at both ends alike, and no column tells which"
        ]
        if wrong
        else []
    )
    return told, labels
