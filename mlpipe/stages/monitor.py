"""Monitor: how the trailing window differs from what the champion learned from, and how well predictions did once labels are ripe."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from mlpipe.errors import DataError
from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Found
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, opened, state_of
from mlpipe.stages.context import Context
from mlpipe.stages.grids import grid_of
from mlpipe.stages.outcomes import Outcomes
from mlpipe.stages.references import Profiles
from mlpipe.stages.runner import Plan, Result, Stage
from mlpipe.stages.watching import (
    business,
    causes,
    drift,
    estimated,
    joint,
    labels,
    levels,
    performance,
    shadow,
    skew,
    slices,
)
from mlpipe.stages.watching.drift import fixed_limit
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch, watch_of


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition. Before there is a champion, the record says so."""
    ctx.need(f"{spec.name}/features", keys, spec.name)
    state = state_of(ctx)
    champion = opened(spec, state.champion, ctx)
    same = champion is not None and state.anchor is not None and state.anchor.number == champion.number
    anchor = champion if same else opened(spec, state.anchor, ctx)
    outcomes = Outcomes(spec, ctx)
    found = grid_of(spec, ctx, force=True) if champion is not None else None
    profiles = Profiles(spec, ctx, *found) if found is not None else None
    staged = shadow.challengers(spec, state, ctx)
    versions = {c.number: c for c in (champion, anchor) if c is not None}
    for key in keys:
        watch = watch_of(spec, key, versions, state, profiles, outcomes, ctx)
        if watch is None:
            verdict = "no_champion" if champion is None else "no_data"
            yield Plan(key, partial(_nothing, verdict), reusable=False)
            continue
        unripe = any(h.verdict != "ripe" for h in watch.labels.values())
        params: dict[str, Any] = {
            "monitor": spec.monitor.model_dump(mode="json", exclude={"business"}),
            "calendar": spec.features.calendar,
            "slices": slices.params(spec, watch.before),
            "version": watch.champion.number,
            "anchor": watch.anchor.number,
            "metrics": spec.metrics,
            **spec.measures.to_plain(),
            "grid": watch.profiles.grid_id,
            "window": watch.keys,
            "limit": fixed_limit(spec),
            "standing": None if watch.before is None else drift.told(watch.before),
            "as_of": ctx.run.as_of if unripe else None,
        }
        again = skew.again(spec, watch, ctx)
        params["business"] = list(spec.monitor.business)
        told = levels.known(spec, key, watch, ctx)
        params["levels"] = told.params(spec)
        params["causes"] = {"read": causes.read(spec, key, ctx), **causes.standing(watch.before)}
        read = (
            *watch.inputs(),
            *estimated.inputs(spec, watch, ctx),
            *slices.inputs(spec, watch, ctx),
            *again.inputs(spec),
            *shadow.inputs(spec, staged),
            *told.read,
        )
        work = partial(_work, spec, key, watch, told, again, staged, ctx)
        functions = tuple(o.function for o in spec.levels.own.values() if o.reads != ("features",))
        functions += (*again.functions(spec), *spec.measures.functions)
        functions += tuple(b.function for b in spec.monitor.business.values())
        yield Plan(key, work, inputs=read, params=params, functions=functions)


def _nothing(verdict: str) -> Result:
    why = (
        "no model is in production" if verdict == "no_champion" else "no partition of the window has features"
    )
    return Result(
        verdict=verdict,
        findings=(Found(what=why),),
        data={HEAD_DATA: {}},
        headline=f"**Nothing to compare**: {why}.",
    )


def _work(
    spec: PipelineSpec,
    key: str,
    watch: Watch,
    told: levels.Known,
    again: skew.Again,
    staged: tuple[Champion, ...],
    ctx: Context,
) -> Result:
    """The sections of the day, in the order in which they are told."""
    moved, did = drift.section(spec, key, watch, ctx), performance.section(spec, key, watch, ctx)
    worth, both = business.values(spec, key, watch, ctx), skew.section(spec, key, watch, again, ctx)
    others = {**business.levels(worth), **skew.level(both)}
    sections = (
        moved,
        labels.section(spec, key, watch, ctx),
        slices.section(spec, key, watch, ctx),
        both,
        joint.section(spec, key, watch, ctx),
        did,
        estimated.section(spec, key, watch, ctx, did),
        shadow.section(spec, key, watch, staged, ctx),
        business.section(spec, worth),
        levels.section(spec, key, watch, told, moved, did, others, ctx),
    )
    head = _joined([{"version": watch.champion.number}, *(s.head for s in sections)])
    return _assembled(watch, (*sections, causes.section(spec, key, head, watch.before, ctx)))


def _assembled(watch: Watch, sections: Sequence[Section]) -> Result:
    version = watch.champion.number
    first = {
        "version": version,
        "anchor": watch.anchor.number,
        "window": [watch.keys[0], watch.keys[-1]],
        "partitions": len(watch.features),
    }
    head = _joined([{"version": version}, *(s.head for s in sections)])
    # The table of all columns comes last: pages show the first few.
    metrics = sorted((m for s in sections for m in s.metrics), key=lambda m: m.split == "psi")
    return Result(
        outputs=tuple(o for s in sections for o in s.outputs),
        metrics=tuple(metrics),
        verdict="drift" if head.get("drifted") else "stable",
        findings=tuple(f for s in sections for f in s.findings),
        data={**_joined([first, *(s.data for s in sections)]), HEAD_DATA: head},
        headline="; ".join(s.sentence for s in sections if s.sentence) + ".",
    )


def _joined(parts: Sequence[Any]) -> dict[str, Any]:
    """All facts of all sections; two of one name would hide each other."""
    out: dict[str, Any] = {}
    for part in parts:
        twice = sorted(set(out) & set(part))
        if twice:
            raise DataError(
                f"Two sections of the monitor tell of {', '.join(twice)}.", fix="Name them apart."
            )
        out |= part
    return out


STAGE = Stage("monitor", "monitor", "7", plans)
