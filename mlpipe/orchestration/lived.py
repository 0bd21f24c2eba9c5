"""What a replay has come to, gathered from its records and its ledger."""

from collections.abc import Mapping
from typing import Any

from mlpipe.core.metrics import Metric
from mlpipe.core.policy import Policy
from mlpipe.ledger.entry import Entry
from mlpipe.ledger.fold import State, Version
from mlpipe.orchestration.replay import Replay
from mlpipe.orchestration.runtime import now
from mlpipe.records.codec import Head, from_bytes
from mlpipe.spec.nodes import duration_text
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context, Run
from mlpipe.stages.hindsight import metric_of, pooled, seen
from mlpipe.stages.nightly import night_of
from mlpipe.stores.store import Store
from mlpipe.views import lived as views


def gathered(past: Replay, seconds: float | None = None) -> views.Replay:
    """A past that was lived through, for people to look at."""
    spec, what = past.spec, past.what
    end = past.moment(past.keys[-1]) + night_of(spec).training
    heads = past.heads(end)
    ctx = Context(past.store, past.ledger, heads, Run("", end), now)
    state = past.ledger.state(as_of=end)
    watched = heads.find(f"{spec.name}/monitor", past.keys)
    metric = spec.measures.of(primary_of(spec, watched, state))
    both = {s.key: s for s in seen(spec, past.keys, ctx)}
    days = []
    for key in past.keys:
        judged = both.get(key)
        days.append(
            views.Day(
                key=key,
                moment=spec.partitions.window(key).end.astimezone(spec.partitions.zone),
                live=metric_of(judged.live, metric) if judged else None,
                fixed=metric_of(judged.fixed, metric) if judged else None,
                rows=len(judged.live.y) if judged else 0,
                note=_note(past, key, heads.find(f"{spec.name}/validated", [key]).get(key)),
                **_drift(watched.get(key), what.policy),
            )
        )
    entries = [e for e in past.ledger.entries() if e.effective_at <= end]
    return views.Replay(
        pipeline=spec.name,
        first=what.first,
        last=what.last,
        ledger=what.ledger,
        policy=described(what.policy, spec),
        metric=metric.name,
        better=metric.better,
        days=tuple(days),
        attempts=tuple(_attempts(past, entries, state, metric)),
        moves=tuple(_moves(entries, state)),
        live=pooled([s.live for s in both.values()], metric),
        fixed=pooled([s.fixed for s in both.values()], metric),
        seconds=seconds,
    )


def primary_of(spec: PipelineSpec, watched: Mapping[str, Head], state: State) -> str:
    """The metric by which models are judged: the first declared, else what the evaluations were about."""
    if spec.metrics:
        return spec.metrics[0]
    for head in watched.values():
        if head.data and head.data.get("primary"):
            return str(head.data["primary"])
    for version in state.versions.values():
        return str(next(iter(version.details["metrics"])))
    return "roc_auc"


def described(policy: Policy, spec: PipelineSpec) -> str:
    """A policy in one line of words."""
    parts = [] if policy.every == "never" else [f"every {policy.every}"]
    if policy.drift is not None:
        limit = "its own limit" if policy.drift == "calibrated" else f"{policy.drift:g}"
        parts.append(f"PSI of a column at {limit}")
    named = {
        "share of drifted columns at": policy.drift_share,
        "PSI of the score at": policy.score_drift,
        "primary metric worse by": policy.performance,
    }
    parts += [f"{text} {value:g}" for text, value in named.items() if value is not None]
    parts += ["new or corrected data"] if policy.on_new_data else []
    if policy.pays is not None:
        parts += [
            f"a training that costs {policy.pays.training:g} and pays (a metric of 1 is worth {policy.pays.value:g} a prediction)"
        ]
    limits = {
        "cool-down": policy.cool_down,
        "least new data": policy.min_new_data,
        "minimum tenure": spec.min_tenure,
    }
    told = [f"{text} {duration_text(value)}" for text, value in limits.items()]
    if policy.budget is not None:
        most = {"trainings": policy.budget.retrains, "minutes": policy.budget.minutes}
        told += [f"at most {value:g} {text} a month" for text, value in most.items() if value is not None]
    return "; ".join([", ".join(parts), *told])


def _note(past: Replay, key: str, validated: Head | None) -> str:
    if key in past.failed:
        return f"failed: {past.failed[key]}"
    return "failed: validation" if validated is not None and validated.verdict == "fail" else ""


def _drift(head: Head | None, policy: Policy) -> dict[str, Any]:
    """The worst column of a day by its PSI over its limit, and the version that was watched."""
    data = (head.data if head is not None else None) or {}
    ratios = {}
    for name, (psi, own) in (data.get("psi") or {}).items():
        limit = policy.drift if isinstance(policy.drift, float) else own
        ratios[name] = (psi / limit, psi, limit)
    worst = max(ratios, key=lambda n: ratios[n], default=None)
    _, psi, limit = ratios[worst] if worst is not None else (None, None, None)
    return {
        "version": data.get("version"),
        "worst": worst,
        "psi": psi,
        "threshold": limit,
        "score_psi": data.get("score_psi"),
    }


def _attempts(past: Replay, entries: list[Entry], state: State, metric: Metric) -> list[views.Attempt]:
    made = {v.details.get("attempt"): v for v in state.versions.values() if v.details.get("attempt")}
    found = []
    for entry in entries:
        if entry.kind != "claim" or entry.logical_date not in past.keys:
            continue
        name = str(entry.details["name"])
        cause, _, rest = name.partition(":")
        version = made.get(name)
        challenger, rival = _compared(past.store, past.spec.name, version, metric)
        found.append(
            views.Attempt(
                key=str(entry.logical_date),
                moment=entry.effective_at.astimezone(past.spec.partitions.zone),
                name=name,
                cause={"first": "schedule", "inject": "manual"}.get(cause, cause),
                reason=entry.reason,
                outcome=_outcome(past, name, version),
                version=version.number if version is not None else None,
                why=_why(past, name, version),
                metric=challenger,
                rival=rival,
                injected=rest.rpartition(":")[0] if cause == "inject" else "",
            )
        )
    return found


def _outcome(past: Replay, name: str, version: Version | None) -> str:
    if name in past.failed:
        return "failed"
    if version is None or version.decision is None:
        return "no_model"
    return "refused" if version.decision == "refuse" else "promoted"


def _why(past: Replay, name: str, version: Version | None) -> str:
    """The decision in words and numbers: what the gates that compare with the champion said, or why it was refused."""
    if name in past.failed:
        return past.failed[name]
    if version is None:
        return "no model came of it"
    if version.decision == "refuse":
        return version.reason
    gates = [g for g in version.details.get("gates", []) if g.get("kind") == "beats_champion"]
    return " ".join(str(g["sentence"]) for g in gates or version.details.get("gates", []))


def _compared(
    store: Store, pipeline: str, version: Version | None, metric: Metric
) -> tuple[float | None, float | None]:
    """Challenger and champion on the rows that both were judged on."""
    if version is None:
        return None, None
    record = from_bytes(store.get_record(pipeline, str(version.details["evaluation_record"])))
    values = {(m.split, m.name): m.value for m in record.metrics}
    rival = values.get(("champion", metric.name))
    gates = [g for g in version.details.get("gates", []) if g.get("kind") == "beats_champion"]
    about = [
        g
        for g in gates
        if str(g.get("gate")).startswith((f"beats_champion({metric.name},", f"beats_champion({metric.name})"))
    ]
    gain = next((g["observed"] for g in about if g.get("observed") is not None), None)
    if rival is None or gain is None:
        return values.get(("test", metric.name)), None
    return rival + metric.sign * gain, rival


def _moves(entries: list[Entry], state: State) -> list[views.Move]:
    """Changes of production that came from no attempt."""
    return [
        views.Move(e.effective_at, e.kind, e.to_version or 0, e.reason)
        for e in entries
        if e.kind in ("promote", "override", "rollback")
        and (e.kind != "promote" or not state.versions[e.to_version or 0].details.get("attempt"))
    ]
