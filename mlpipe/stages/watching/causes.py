"""Why a day's alarm was raised: the likeliest cause, looked for when the alarm opens or changes, and carried on while it lasts."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlpipe.records.codec import Head, digest
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.rootcause import READ, a_year_before, explained, looked_at
from mlpipe.stages.watching.section import Section

ALARMING = ("performance_fall", "labels_overdue", "volume")
"""Service levels whose miss is looked into as an alarm is."""
Raised = tuple[list[str], list[str], list[str]]


def read(spec: PipelineSpec, key: str, ctx: Context) -> str:
    """Name of all that a cause may be found in, by content: a part of the day's recipe, whether or not it alarms."""
    days = {n: looked_at(spec, key) for n in READ}
    ago = a_year_before(spec, key)
    found = {n: ctx.heads.find(f"{spec.name}/{n}", keys) for n, keys in days.items()}
    found["ago"] = ctx.heads.find(f"{spec.name}/features", ago) if ago else {}
    return digest(
        [
            [name, k, head.verdict, sorted(o.id for o in head.outputs.values())]
            for name, heads in found.items()
            for k, head in sorted(heads.items())
        ]
    )


def standing(before: Head | None) -> dict[str, Any]:
    """What the day before says of its alarms and of their cause: a part of the day's recipe."""
    data = (before.data or {}) if before is not None else {}
    return {"raised": raised(data), "cause": data.get("cause")}


def raised(data: Mapping[str, Any]) -> Raised:
    """What a day's head has an alarm of: columns that drift, columns that differ in serving, levels that were missed."""
    states = data.get("levels") or {}
    missed = [n for n in ALARMING if (states.get(n) or (None, ""))[1] == "missed"]
    return sorted(data.get("drifted") or []), sorted(data.get("skewed") or []), missed


def section(
    spec: PipelineSpec, key: str, data: Mapping[str, Any], before: Head | None, ctx: Context
) -> Section:
    """The cause of what a day has an alarm of, by what its head will say (`data`); nothing where it has none.

    While the same is raised as the day before, the same cause is told: it is looked for once an episode, and not every night.
    """
    then, now = standing(before), raised(data)
    if not any(now):
        return Section(head={"cause": None})
    if now == then["raised"] and then["cause"]:
        return Section(head={"cause": then["cause"]}, sentence=sentence(then["cause"]))
    found = explained(spec, key, data, ctx)
    if found.kind == "nothing":
        return Section(head={"cause": None})
    told = {
        "kind": found.kind,
        "column": found.column,
        "since": found.since,
        "upstream": "; ".join(found.upstream[:2]) or None,
    }
    return Section(data={"cause": asdict(found)}, head={"cause": told}, sentence=sentence(told))


def sentence(cause: Mapping[str, Any]) -> str:
    """A cause in words."""
    where = f" of {cause['column']}" if cause.get("column") else ""
    since = f" since {cause['since']}" if cause.get("since") else ""
    after = f", after {cause['upstream']}" if cause.get("upstream") else ""
    return f"likely **{cause['kind']}**{where}{since}{after}"
