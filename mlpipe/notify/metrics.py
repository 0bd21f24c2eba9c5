"""What Prometheus is told about a pipeline, read from its newest records and its ledger: nothing is counted in a process.

What is not known has no sample, rather than a zero.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mlpipe.errors import NotFoundError, did_you_mean
from mlpipe.index.answer import moment
from mlpipe.index.shelf import Shelf
from mlpipe.ledger.fold import State
from mlpipe.notify.conditions import skew_holds
from mlpipe.notify.exposition import Family, Sample
from mlpipe.records.codec import HEAD_DATA
from mlpipe.records.record import Record

COMPARED = ("drift", "stable")
"""Verdicts of a monitored day on which something was compared."""
KINDS = ("drift", "skew", "level", "invalid")
"""Kinds of alerts that records alone tell of."""
MONITOR: Mapping[str, tuple[str, str]] = {
    "score_psi": ("mlpipe_score_psi", "PSI of the score against the champion's own validation rows."),
    "worst_psi": ("mlpipe_worst_psi", "Greatest PSI of a watched column."),
    "watched": ("mlpipe_watched_columns", "Columns that may raise an alarm."),
    "label_psi": ("mlpipe_label_psi", "PSI of the label."),
}
"""Single numbers of a monitored day: name and help."""
OF_PRIMARY: Mapping[str, tuple[str, str]] = {
    "realised": ("mlpipe_realised", "Primary metric, realised on the newest monitored partition."),
    "rolling": ("mlpipe_rolling", "Primary metric, realised over the window."),
    "estimated": ("mlpipe_estimated", "Primary metric as estimated before labels."),
}
Said = tuple[str, str, float, dict[str, str]]
"""Name, help, value and labels of a sample."""


def families(shelf: Shelf, pipelines: Sequence[str] = ()) -> list[Family]:
    """Everything that is told of some pipelines, in a fixed order.

    Parameters
    ----------
    pipelines
        Names; none for all of the store.

    Raises
    ------
    NotFoundError
        A pipeline has no records.
    """
    known = shelf.store.pipelines()
    for name in pipelines:
        if name not in known:
            raise NotFoundError(
                f"pipeline {name!r} has no records", where=shelf.store.url, fix=did_you_mean(name, known)
            )
    found: dict[str, tuple[str, list[Sample]]] = {}
    for pipeline in pipelines or known:
        shelf.chain_of(pipeline)
        for name, text, value, labels in _said(shelf, pipeline):
            if math.isfinite(value):
                found.setdefault(name, (text, []))[1].append(Sample(value, labels))
    return [Family(name, text, tuple(samples)) for name, (text, samples) in found.items()]


def _said(shelf: Shelf, pipeline: str) -> Iterator[Said]:
    # A day without rows, or with all of them left out, says nothing of drift: what held goes on holding.
    monitor = _latest(shelf, pipeline, "monitor", COMPARED)
    validated = _latest(shelf, pipeline, "validated")
    newest = monitor or validated
    deployment = newest.deployment if newest is not None else "dev"
    of = {"pipeline": pipeline, "deployment": shelf.ledger or deployment}
    state = shelf.state(pipeline, None, deployment)
    yield from _production(state, of, monitor)
    if monitor is not None:
        yield from _monitored(monitor, of)
    if validated is not None:
        yield from _validated(validated, of)
    for kind, count in _open(monitor, validated).items():
        yield "mlpipe_alerts_open", "Conditions that hold by the newest records.", count, {**of, "kind": kind}
    text = "When the newest record of an asset was written; its age is time() minus this."
    for asset, at in _successes(shelf, pipeline):
        yield "mlpipe_last_success_timestamp_seconds", text, at, {**of, "asset": asset}


def _latest(shelf: Shelf, pipeline: str, asset: str, verdicts: Sequence[str] = ()) -> Record | None:
    with suppress(NotFoundError):
        return shelf.latest(f"{pipeline}/{asset}", verdicts)
    return None


def _head(record: Record) -> Mapping[str, Any]:
    return record.data.get(HEAD_DATA) or {}


def _production(state: State, of: dict[str, str], monitor: Record | None) -> Iterator[Said]:
    if state.champion is None:
        return
    yield "mlpipe_champion_version", "Version in production.", state.champion.number, of
    if state.champion_since is not None:
        text = "Since when it is champion, by the clock of the data."
        yield "mlpipe_champion_since_timestamp_seconds", text, state.champion_since.timestamp(), of
    text = "Whether automatic promotion waits for somebody to acknowledge a rollback."
    yield "mlpipe_promotion_paused", text, float(state.paused), of
    watched = state.versions.get(_head(monitor).get("version") or 0) if monitor is not None else None
    promised = (watched or state.champion).details.get("metrics")
    primary = _head(monitor).get("primary") if monitor is not None else None
    if isinstance(promised, dict) and promised.get(primary) is not None:
        text = "Primary metric of the watched version at its evaluation."
        yield "mlpipe_promised", text, float(promised[primary]), {**of, "metric": str(primary)}


def _monitored(record: Record, of: dict[str, str]) -> Iterator[Said]:
    head = _head(record)
    for key, (name, text) in MONITOR.items():
        if head.get(key) is not None:
            yield name, text, float(head[key]), of
    drifted = head.get("drifted", head.get("alarms"))
    if drifted is not None:
        yield "mlpipe_drifted_columns", "Watched columns that drift.", len(drifted), of
    for column, (psi, limit) in (head.get("psi") or {}).items():
        at = {**of, "column": column}
        if psi is not None:
            yield "mlpipe_psi", "PSI of a column over the window, of those that moved most.", float(psi), at
        if limit is not None:
            yield "mlpipe_psi_limit", "PSI from which on a column drifts.", float(limit), at
    for key, (name, text) in OF_PRIMARY.items():
        for end in ("", "_low", "_high"):
            if head.get(key + end) is not None:
                said = f"{text[:-1]}: an end of its interval." if end else text
                yield name + end, said, float(head[key + end]), {**of, "metric": str(head.get("primary"))}
    for value_name, value in (head.get("business") or {}).items():
        if value is not None:
            yield (
                "mlpipe_business",
                "A business metric of the user's.",
                float(value),
                {**of, "name": value_name},
            )
    for indicator, (value, level) in (head.get("levels") or {}).items():
        at = {**of, "indicator": indicator}
        if value is not None:
            yield "mlpipe_level", "Value of a service level.", float(value), at
        if level in ("met", "missed"):
            yield "mlpipe_level_met", "Whether a service level is met.", float(level == "met"), at
            spent = float(indicator in (head.get("exhausted") or ()))
            yield "mlpipe_level_budget_exhausted", "Whether its error budget is used up.", spent, at


def _validated(record: Record, of: dict[str, str]) -> Iterator[Said]:
    head = _head(record)
    if head.get("score") is not None:
        text = "Quality of the newest validated partition: its worst dimension."
        yield "mlpipe_quality", text, float(head["score"]), of
    for source, counts in (head.get("rows") or {}).items():
        for what, count in counts.items():
            text = "Rows of the newest validated partition, by what became of them."
            yield "mlpipe_rows", text, float(count), {**of, "source": source, "rows": what}


def _open(monitor: Record | None, validated: Record | None) -> dict[str, int]:
    """How many conditions hold, by kind of alert; those that do not are 0, so that a rule sees them end."""
    found = Counter(dict.fromkeys(KINDS, 0))
    if monitor is not None:
        found["drift"] += (monitor.verdict == "drift") + bool(_head(monitor).get("slices_drifted"))
        found["skew"] += skew_holds(_head(monitor))
        found["level"] += sum(s == "missed" for _, s in (_head(monitor).get("levels") or {}).values())
    found["invalid"] += validated is not None and validated.verdict == "fail"
    return found


def _successes(shelf: Shelf, pipeline: str) -> list[tuple[str, float]]:
    """Assets of the pipeline, with when their newest record was written, in seconds since 1970."""
    statement = (
        "select r.asset, max(r.started) from record r"
        " where r.pipeline = ? and r.experiment is null and r.deleted = 0 group by r.asset order by r.asset"
    )
    rows = shelf.index.database.run(statement, (pipeline,))
    return [(str(asset).rpartition("/")[2], moment(at).timestamp()) for asset, at in rows]
