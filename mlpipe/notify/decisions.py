"""Alerts from the ledger: who promoted, refused, rolled back, acknowledged or started a retraining, and why."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mlpipe.ledger.entry import Entry
from mlpipe.notify.alert import Alert, is_live, number, one_line, runbook, sentence
from mlpipe.notify.conditions import Promised
from mlpipe.spec.alerts import Severity

METRICS = 3
"""At most this many metrics of a version are told."""


class _Told(NamedTuple):
    kind: str
    severity: Severity
    title: Callable[[Entry], str]


def _model(entry: Entry, version: int | None) -> str:
    return f"{entry.pipeline}@{version}"


_TOLD = {
    "promote": _Told("promoted", "info", lambda e: f"{_model(e, e.to_version)} was promoted"),
    "override": _Told(
        "promoted", "warning", lambda e: f"{_model(e, e.to_version)} was promoted by an override of its gates"
    ),
    "refuse": _Told("refused", "warning", lambda e: f"{_model(e, e.version)} was refused"),
    "rollback": _Told(
        "rolled_back",
        "error",
        lambda e: f"{_model(e, e.from_version)} was rolled back to {_model(e, e.to_version)}",
    ),
    "stage": _Told("promoted", "info", lambda e: f"{_model(e, e.version)} was put onto staging"),
    "stage by override": _Told(
        "promoted", "warning", lambda e: f"{_model(e, e.version)} was put onto staging by an override of its gates"
    ),
    "claim": _Told("retrain", "info", lambda e: f"A retraining of {e.pipeline} was started"),
    "acknowledge": _Told(
        "acknowledged", "info", lambda e: f"The rollback of {e.pipeline} was acknowledged: promotion is automatic again"
    ),
}  # fmt: skip
"""What is told of each kind of decision. A registration alone is no news: the decision about it follows."""


def of_entries(
    entries: Sequence[Entry], after: datetime, *, link: str = "", first: Sequence[str] = ()
) -> list[Alert]:
    """Alerts of the entries that were recorded after a moment.

    Parameters
    ----------
    entries
        The whole chain in order: the metrics of a version stand in its registration.
    after
        Wall clock, aware.
    link
        Page that shows the decisions.
    first
        Names of the metrics that are told before others.
    """
    metrics = {e.version: e.details.get("metrics") for e in entries if e.kind == "register"}
    return [
        _alert(e, _numbers(metrics.get(e.version), first), link)
        for e in entries
        if e.decision in _TOLD and e.recorded_at > after
    ]


def promised(entries: Sequence[Entry]) -> Promised:
    """Metrics of each version at its evaluation, as they were registered; those that are undefined are left out."""
    metrics = {e.version: e.details.get("metrics") for e in entries if e.kind == "register"}
    return {
        version: {n: float(v) for n, v in known.items() if v is not None}
        for version, known in metrics.items()
        if version is not None and isinstance(known, dict)
    }


def _alert(entry: Entry, numbers: dict[str, float], link: str) -> Alert:
    told = _TOLD[entry.decision]
    title = told.title(entry)
    before = entry.from_version if entry.kind in ("promote", "override") else None
    parts = [
        sentence(title + (f", in place of {_model(entry, before)}" if before else "")),
        f"By {entry.actor} ({entry.role}): {sentence(entry.reason)}",
        "On its test data: " + ", ".join(f"{n} {number(v)}" for n, v in numbers.items()) + "." if numbers else "",
    ]  # fmt: skip
    return Alert(
        id=f"{told.kind}:{entry.hash}",
        kind=told.kind,
        severity=told.severity,
        pipeline=entry.pipeline,
        deployment=entry.deployment,
        partition=entry.logical_date or "",
        title=one_line(title),
        text=one_line(" ".join(p for p in parts if p)),
        happened_at=entry.recorded_at,
        link=link,
        runbook=runbook(told.kind),
        live=is_live(entry.trigger) and entry.role not in ("backfill", "experiment"),
        fields=_fields(entry, numbers),
    )


def _numbers(metrics: object, first: Sequence[str]) -> dict[str, float]:
    """A few metrics of a version; one that does not exist for it is None, and not told."""
    if not isinstance(metrics, dict):
        return {}
    known = {n: v for n, v in metrics.items() if v is not None}
    names = [*(n for n in first if n in known), *sorted(n for n in known if n not in first)]
    return {n: float(known[n]) for n in names[:METRICS]}


def _fields(entry: Entry, numbers: dict[str, float]) -> dict[str, Any]:
    given = {
        "entry": entry.number,
        "decision": entry.decision,
        "version": entry.version,
        "from_version": entry.from_version,
        "to_version": entry.to_version,
        "actor": entry.actor,
        "role": entry.role,
        "trigger": entry.trigger,
        "effective_at": entry.effective_at.isoformat(),
        "claim": entry.details.get("name") if entry.decision == "claim" else None,
        "metrics": numbers or None,
    }
    return {name: value for name, value in given.items() if value is not None}
