"""What the retraining policy is told: a fold over records and ledger. The same for a sensor, a nightly run and a replay."""

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import fields
from datetime import timedelta

from mlpipe.core.metrics import METRICS
from mlpipe.core.policy import CAUSES, Attempt, Facts, Observation, Policy
from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import State, Version
from mlpipe.records.codec import Head, digest, from_bytes
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.modeling import Retrain
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Heads
from mlpipe.stages.outcomes import RIPE
from mlpipe.stores.store import Store

MOST = 400
"""So many partitions back an episode is followed."""
TRIGGERS = {"first": "schedule"}
"""Trigger of a run by its cause, where the two differ."""
_NAME = re.compile(rf"({'|'.join(CAUSES)}):\d+:.+:\d+")


def policy_of(retrain: Retrain | None) -> Policy | None:
    """The declared policy; None when a pipeline never retrains by itself."""
    return None if retrain is None else Policy(**{f.name: getattr(retrain, f.name) for f in fields(Policy)})


def trigger_of(cause: str) -> str:
    """Trigger of the run that an attempt starts."""
    return TRIGGERS.get(cause, cause)


def facts_of(
    spec: PipelineSpec,
    policy: Policy,
    key: str,
    heads: Heads,
    state: State,
    entries: Iterable[Entry],
    store: Store,
    *,
    failed: Collection[str] = (),
) -> Facts:
    """What is known after partition `key`.

    Parameters
    ----------
    spec, policy
        The pipeline, and which facts are asked for.
    key
        The newest partition that ended.
    heads, state, entries
        Materializations, what the ledger says, and its entries, all as of the moment at which the policy is asked.
    store
        For the record of the champion's training.
    failed
        Names of attempts whose run crashed.
    """
    watched = heads.find(f"{spec.name}/monitor", (*spec.partitions.before(key, MOST), key))
    observations = [
        _observation(spec, watched[k]) for k in sorted(watched, key=lambda k: spec.partitions.window(k).start)
    ]
    attempts = attempts_of(spec, entries, failed)
    trained = [v.data_end for v in state.versions.values()]
    trained += [spec.partitions.window(k).start for a, k in attempts if not a.failed]
    named = [str(h.data["primary"]) for h in watched.values() if h.data and h.data.get("primary")]
    primary = named[-1] if named else ""
    corrected, correction = _corrected(spec, state.champion, heads, store) if policy.on_new_data else ((), "")
    window = spec.partitions.before(key, spec.training_window)
    good = heads.find(f"{spec.name}/features", window)
    return Facts(
        observations=observations,
        champion=None if state.champion is None else state.champion.number,
        expected=_expected(state.champion, primary),
        sign=METRICS[primary].sign if primary else 1.0,
        attempts=[a for a, _ in attempts],
        trained_until=max(trained, default=None),
        corrected=corrected,
        correction=correction,
        good=sum("features" in h.outputs for h in good.values()),
        needed=_needed(spec),
    )


def attempts_of(
    spec: PipelineSpec, entries: Iterable[Entry], failed: Collection[str] = ()
) -> list[tuple[Attempt, str]]:
    """Retrainings that were claimed, in order, each with the partition that it trains."""
    found = []
    for entry in entries:
        name = str(entry.details.get("name", ""))
        if entry.kind != "claim" or entry.logical_date is None or not _NAME.fullmatch(name):
            continue
        end = spec.partitions.window(entry.logical_date).end.astimezone(spec.partitions.zone)
        found.append((Attempt(name, name.partition(":")[0], end, name in failed), entry.logical_date))
    return found


def _observation(spec: PipelineSpec, head: Head) -> Observation:
    data = head.data or {}
    columns = {n: (float(psi), float(limit)) for n, (psi, limit) in (data.get("psi") or {}).items()}
    return Observation(
        key=head.partition,
        end=spec.partitions.window(head.partition).end.astimezone(spec.partitions.zone),
        version=data.get("version"),
        columns=columns,
        watched=int(data.get("watched") or 0),
        score_psi=data.get("score_psi"),
        rolling=data.get("rolling"),
    )


def _expected(champion: Version | None, primary: str) -> float | None:
    """The champion's primary metric at its evaluation."""
    metrics = champion.details.get("metrics") if champion is not None else None
    value = metrics.get(primary) if isinstance(metrics, dict) else None
    return float(value) if value is not None and math.isfinite(value) else None


def _needed(spec: PipelineSpec) -> int:
    """How many good partitions a training takes, of a window that the calendar does not cut short."""
    window = spec.training_window
    unit = UNITS[spec.partitions.every]
    whole = -(-window // unit) if isinstance(window, timedelta) else window
    return math.ceil(spec.min_coverage * whole)


def _corrected(
    spec: PipelineSpec, champion: Version | None, heads: Heads, store: Store
) -> tuple[tuple[str, ...], str]:
    """Partitions that the champion learned from whose features, or ripe labels, have other contents now; and a name for these."""
    if champion is None:
        return (), ""
    name = str(champion.details["model_record"])
    model = from_bytes(store.get_record(spec.name, name), name)
    changed: dict[str, list[str]] = {}
    for name in ("features", "labels"):
        read = {i.partition: i for i in model.inputs if i.name == name}
        for key, head in heads.find(f"{spec.name}/{name}", list(read)).items():
            now = head.outputs[name].id if name in head.outputs else head.verdict
            if now == read[key].id:
                continue
            # Labels grow until they are ripe; that is no correction.
            if name == "labels" and from_bytes(store.get_record(spec.name, read[key].record)).verdict != RIPE:
                continue
            changed.setdefault(key, []).append(str(now))
    keys = tuple(sorted(changed, key=lambda k: spec.partitions.window(k).start))
    return keys, digest(sorted(changed.items()))[:12] if keys else ""
