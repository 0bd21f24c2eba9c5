"""What the retraining policy is told: a fold over records and ledger. The same for a sensor, a nightly run and a replay."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from mlpipe.core.policy import CAUSES, Attempt, Facts, Observation, Policy
from mlpipe.core.worth import Budget, Pays
from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import State, Version
from mlpipe.records.codec import Head, digest, from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.calendar import UNITS
from mlpipe.spec.modeling import Retrain
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Heads
from mlpipe.stages.outcomes import RIPE
from mlpipe.stores.store import Store

MOST = 400
"""So many partitions back an episode is followed."""
RECENT = 28
"""So many newest partitions tell how much is predicted."""
TRIGGERS = {"first": "schedule", "gain": "performance", "level": "performance"}
"""Trigger of a run by its cause, where the two differ."""
_NAME = re.compile(rf"({'|'.join(CAUSES)}):\d+:.+:\d+")


def policy_of(retrain: Retrain | None) -> Policy | None:
    """The declared policy; None when a pipeline never retrains by itself."""
    if retrain is None:
        return None
    given = {f.name: getattr(retrain, f.name) for f in fields(Policy)}
    for name, kind in (("pays", Pays), ("budget", Budget)):
        given[name] = None if given[name] is None else kind(**dict(given[name]))
    return Policy(**given)


def trigger_of(cause: str) -> str:
    """Trigger of the run that an attempt starts."""
    return TRIGGERS.get(cause, cause)


def taken(record: Record) -> float:
    """Seconds that a record took to make, as it says itself."""
    return record.cost.wall_s


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
    seconds: Callable[[Record], float] = taken,
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
    seconds
        What it took to make a record of a model or an evaluation; default: as it says itself.
    """
    watched = heads.find(f"{spec.name}/monitor", (*spec.partitions.before(key, MOST), key))
    attempts = attempts_of(spec, entries, failed)
    trained = [v.data_end for v in state.versions.values()]
    trained += [spec.partitions.window(k).start for a, k in attempts if not a.failed]
    named = [str(h.data["primary"]) for h in watched.values() if h.data and h.data.get("primary")]
    primary = named[-1] if named else ""
    metric = spec.measures.get(primary)
    observations = [
        _observation(spec, watched[k], primary)
        for k in sorted(watched, key=lambda k: spec.partitions.window(k).start)
    ]
    corrected, correction = _corrected(spec, state.champion, heads, store) if policy.on_new_data else ((), "")
    window = spec.partitions.before(key, spec.training_window)
    good = heads.find(f"{spec.name}/features", window)
    return Facts(
        observations=observations,
        champion=None if state.champion is None else state.champion.number,
        # A metric that the pipeline no longer declares promised nothing: which way it goes is unknown.
        expected=expected_of(state.champion, primary) if metric is not None else None,
        sign=metric.sign if metric is not None else 1.0,
        attempts=_weighed(spec, policy, [a for a, _ in attempts], state, primary, store, seconds),
        trained_until=max(trained, default=None),
        corrected=corrected,
        correction=correction,
        good=sum("features" in h.outputs for h in good.values()),
        needed=_needed(spec),
        per_day=_per_day(spec, key, heads) if policy.pays is not None else None,
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


def _weighed(
    spec: PipelineSpec,
    policy: Policy,
    attempts: list[Attempt],
    state: State,
    primary: str,
    store: Store,
    seconds: Callable[[Record], float],
) -> list[Attempt]:
    """Attempts with what each won and took, where the policy asks for it."""
    if policy.pays is None and policy.budget is None:
        return attempts
    made = {v.details.get("attempt"): v for v in state.versions.values()}
    out = []
    for attempt in attempts:
        version = made.get(attempt.name)
        if version is not None:
            minutes = 0.0
            for kind in ("model_record", "evaluation_record") if policy.budget is not None else ():
                name = str(version.details[kind])
                minutes += seconds(from_bytes(store.get_record(spec.name, name), name)) / 60
            attempt = replace(attempt, gain=won(version, primary), minutes=minutes)
        out.append(attempt)
    return out


def won(version: Version, metric: str) -> float | None:
    """By how much a version was better than the champion that it was judged against; 0 when it was refused, None without one."""
    about = (f"beats_champion({metric},", f"beats_champion({metric})")
    gates = (g for g in version.details.get("gates", ()) if g.get("kind") == "beats_champion")
    gain = next((g["observed"] for g in gates if str(g.get("gate")).startswith(about)), None)
    if version.details.get("champion") is None or gain is None:
        return None
    return float(gain) if version.decision not in (None, "refuse") else 0.0


def _per_day(spec: PipelineSpec, key: str, heads: Heads) -> float | None:
    """Predictions a day over the newest partitions; None when nothing was predicted."""
    keys = (*spec.partitions.before(key, RECENT - 1), key)
    made = heads.find(f"{spec.name}/predictions", keys)
    rows = [h.outputs["predictions"].rows or 0 for h in made.values() if "predictions" in h.outputs]
    unit = UNITS[spec.partitions.every].total_seconds() / 86400
    return sum(rows) / len(rows) / unit if rows else None


def _observation(spec: PipelineSpec, head: Head, primary: str) -> Observation:
    data = head.data or {}
    columns = {n: (float(psi), float(limit)) for n, (psi, limit) in (data.get("psi") or {}).items()}
    return Observation(
        key=head.partition,
        end=spec.partitions.window(head.partition).end.astimezone(spec.partitions.zone),
        version=data.get("version"),
        columns=columns,
        watched=int(data.get("watched") or 0),
        score_psi=data.get("score_psi"),
        # What was realised in another metric, before the pipeline declared this one, is not comparable.
        rolling=data.get("rolling") if data.get("primary") == primary else None,
        levels=_levels(spec, data.get("levels") or {}),
    )


def _levels(spec: PipelineSpec, levels: Mapping[str, Any]) -> dict[str, tuple[float, bool]]:
    """Known service levels whose response is to retrain: the value, and whether it was missed."""
    known = ((n, *levels[n]) for n in spec.levels.retraining if n in levels)
    # A ratio to a class without rows is missed, and no number.
    return {
        n: (math.nan if value is None else float(value), state == "missed")
        for n, value, state in known
        if state != "unknown"
    }


def expected_of(champion: Version | None, primary: str) -> float | None:
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
