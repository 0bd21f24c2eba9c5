"""Alerts from materializations: a partition that fails its contract, and what monitoring shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mlpipe.errors import NotFoundError
from mlpipe.notify.alert import Alert, is_live, number, one_line, runbook, sentence
from mlpipe.notify.conditions import Promised, conditions_of
from mlpipe.records.codec import Head
from mlpipe.spec.pipeline import PipelineSpec

WAIT = ("performance", "level:performance", "level:business.", "level:label_coverage", "level:class_ratio")
"""Beginnings of the keys of conditions that only ripe labels tell of."""
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
    """How far monitoring was followed: start of the newest partition (ISO, in UTC), and its event.

    `spoken`: of conditions that wait for labels, by key the newest partition that knew of it, and its event.
    """

    partition: str = ""
    event: int = 0
    spoken: tuple[tuple[str, str, int], ...] = ()


class Step(NamedTuple):
    """One materialization of monitor followed: what was known before and after it, and every condition that it speaks of."""

    before: Watched
    after: Watched
    alerts: tuple[Alert, ...]


def of_validation(spec: PipelineSpec, seen: Seen) -> Alert:
    """The alert of a partition that fails its contract, or no longer does."""
    head = seen.head
    if head.verdict != "fail":
        return _alert(
            spec,
            seen,
            kind="invalid",
            key=f"invalid:{head.partition}",
            state="resolved",
            severity="info",
            title=f"{spec.name} {head.partition} keeps its contract again",
            text=f"Partition {head.partition} of {spec.name} was made again and is {head.verdict} now.",
        )
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
        key=f"invalid:{head.partition}",
        state="firing",
        severity="warning",
        title=f"{spec.name} {head.partition} failed its contract",
        text=text,
        fields={"score": score, "rows": counts},
    )


def followed(
    spec: PipelineSpec, seen: Iterable[Seen], before: Watched, expected: Promised | None = None
) -> Iterator[Step]:
    """Conditions followed through materializations of monitor, partition by partition.

    Each day speaks of every condition that it knows of, whether it holds or not; the outbox of a channel tells only what is new to it.
    A partition that is older than one that was followed before says nothing, so that a past which is made again tells nothing. But for
    conditions that wait for labels: of each speaks the newest partition that knows it, for labels may ripen when others have come since.
    Following the same materializations once more says nothing either.

    Parameters
    ----------
    expected
        Metrics of each version at its evaluation.
    """
    state = before
    for each in sorted(seen, key=lambda s: s.event):
        start = _start(spec, each.head)
        if start is None or each.head.verdict not in ("drift", "stable"):
            continue
        place = (start, each.event)
        newest, spoken = place > state[:2], {key: (s, e) for key, s, e in state.spoken}
        told = [
            c
            for c in conditions_of(spec, each.head, expected or {})
            if (place > spoken.get(c.key, ("", 0)) if c.key.startswith(WAIT) else newest)
        ]
        if not (newest or told):
            continue
        spoken |= {c.key: place for c in told if c.key.startswith(WAIT)}
        after = Watched(*(place if newest else state[:2]), tuple((k, *p) for k, p in sorted(spoken.items())))
        yield Step(state, after, tuple(_alert(spec, each, **vars(c)) for c in told))
        state = after


def _start(spec: PipelineSpec, head: Head) -> str | None:
    """Where a partition stands in the order of partitions; None for one of another calendar."""
    try:
        return spec.partitions.window(head.partition).start.isoformat()
    except NotFoundError:
        return None


def _alert(spec: PipelineSpec, seen: Seen, *, title: str, text: str, **given: Any) -> Alert:
    return Alert(
        id=f"{given['key']}:{seen.head.record}",
        pipeline=spec.name,
        deployment=spec.deployment,
        partition=seen.head.partition,
        title=one_line(title),
        text=one_line(text),
        happened_at=seen.at,
        run=seen.run,
        link=seen.link,
        live=seen.live,
        runbook=given.pop("runbook", "") or runbook(given["kind"]),
        **given,
    )
