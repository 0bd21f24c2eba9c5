"""Alerts from materializations: a partition that failed its contract, and drift that begins or ends."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mlpipe.errors import NotFoundError
from mlpipe.notify.alert import Alert, is_live, number, one_line, sentence
from mlpipe.records.codec import Head
from mlpipe.spec.pipeline import PipelineSpec

SHOWN = 5
"""At most this many columns are named."""
FINDINGS = 3
"""At most this many findings are told."""


@dataclass(frozen=True)
class Seen:
    """A materialization as it was seen: its head, when, by which run, its place in the order of events, and what was found."""

    head: Head
    at: datetime
    event: int
    run: str = ""
    link: str = ""
    findings: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        return is_live(self.head.trigger, self.head.experiment)


class Watched(NamedTuple):
    """How far drift was followed: start of the newest partition (ISO, in UTC), its event, and the champion whose drift is open."""

    partition: str = ""
    event: int = 0
    version: int | None = None


class Step(NamedTuple):
    """One materialization of monitor followed: what was known before and after it, and what it gives to tell."""

    before: Watched
    after: Watched
    alert: Alert | None


def of_validation(spec: PipelineSpec, seen: Seen) -> Alert | None:
    """The alert of a partition that failed its contract; None for one that did not."""
    head = seen.head
    if head.verdict != "fail":
        return None
    data = head.data or {}
    counts: dict[str, dict[str, int]] = data.get("rows") or {}
    told = [
        f"{c['kept'] + c.get('repaired', 0):,} of {c['raw']:,} rows kept in source {name}, {c['quarantined']:,} quarantined"
        for name, c in counts.items()
        if c["quarantined"] or name == spec.primary
    ]
    score = data.get("score")
    told += [] if score is None else [f"quality {number(score)}"]
    why = " ".join(sentence(f) for f in seen.findings[:FINDINGS])
    text = f"Partition {head.partition} of {spec.name} failed its contract and is left out downstream: {'; '.join(told)}. {why}"
    return _alert(
        spec,
        seen,
        kind="invalid",
        severity="warning",
        title=f"{spec.name} {head.partition} failed its contract",
        text=text,
        fields={"score": score, "rows": counts},
    )


def followed(spec: PipelineSpec, seen: Iterable[Seen], before: Watched) -> Iterator[Step]:
    """Drift followed through materializations of monitor, partition by partition.

    An episode belongs to a champion: it opens with the first partition on which that one drifts, and is told once, not each day. A
    partition that is older than one that was followed before says nothing new, so that a past which is made again tells nothing.
    Following the same materializations once more tells nothing either.
    """
    state = before
    for each in sorted(seen, key=lambda s: s.event):
        start = _start(spec, each.head)
        if start is None or (start, each.event) <= (state.partition, state.event):
            continue
        if each.head.verdict not in ("drift", "stable"):
            continue
        drifts = each.head.verdict == "drift"
        version = (each.head.data or {}).get("version") if drifts else None
        after = Watched(start, each.event, version)
        alert = None if version == state.version else _drift(spec, each, state.version)
        yield Step(state, after, alert)
        state = after


def _start(spec: PipelineSpec, head: Head) -> str | None:
    """Where a partition stands in the order of partitions; None for one of another calendar."""
    try:
        return spec.partitions.window(head.partition).start.isoformat()
    except NotFoundError:
        return None


def _drift(spec: PipelineSpec, seen: Seen, open_version: int | None) -> Alert:
    head, data = seen.head, seen.head.data or {}
    model, names = f"{spec.name}@{data.get('version')}", list(data.get("alarms") or [])
    rest = len(names) - SHOWN
    listed = ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
    if head.verdict == "drift":
        title = f"{model} drifts: {len(names)} watched feature{'' if len(names) == 1 else 's'}"
        text = [f"Since {head.partition} the window differs from what {model} learned from in {listed}"]
    else:
        title = f"{model} drifts no longer"
        text = [f"On {head.partition} no watched feature of {model} drifts; {spec.name}@{open_version} did"]
    if data.get("worst_psi") is not None:
        text.append(f"the worst is {data.get('worst')} with a PSI of {number(data['worst_psi'])}")
    if data.get("score_psi") is not None:
        text.append(f"PSI of the score {number(data['score_psi'])}")
    if data.get("rolling") is not None:
        text.append(f"{data.get('primary')} {number(data['rolling'])} over the window")
    told = ("version", "worst", "worst_psi", "score_psi", "primary", "realised", "rolling")
    return _alert(
        spec,
        seen,
        kind="drift",
        severity="warning" if head.verdict == "drift" else "info",
        title=title,
        text="; ".join(text) + ".",
        fields={"state": "open" if head.verdict == "drift" else "closed", "features": names}
        | {name: data.get(name) for name in told},
    )


def _alert(spec: PipelineSpec, seen: Seen, *, title: str, text: str, **given: Any) -> Alert:
    return Alert(
        id=f"{given['kind']}:{seen.head.record}",
        pipeline=spec.name,
        deployment=spec.deployment,
        partition=seen.head.partition,
        title=one_line(title),
        text=one_line(text),
        happened_at=seen.at,
        run=seen.run,
        link=seen.link,
        live=seen.live,
        **given,
    )
