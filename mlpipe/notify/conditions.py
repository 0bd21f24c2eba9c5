"""What a monitored day says holds, or no longer holds: drift, train-serve skew, performance below what was promised, service levels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlpipe.notify.alert import State, number, runbook
from mlpipe.records.codec import Head
from mlpipe.spec.alerts import Severity
from mlpipe.spec.pipeline import PipelineSpec

Promised = Mapping[int, Mapping[str, float]]
"""Metrics of versions at their evaluation, by version and name."""
SHOWN = 5
"""At most this many columns are named."""
OF_LEVEL = {
    "psi": "drift",
    "score_js": "drift",
    "performance": "performance",
    "performance_fall": "performance",
}
"""Service levels whose runbook is that of another kind of alert; the others are about data."""

EXPLAINED = ("psi", "score_js", "skew_rate", "performance", "performance_fall", "labels_overdue", "volume")
"""Service levels whose alert tells the likely cause of the day, where the record names one."""


@dataclass(frozen=True)
class Condition:
    """Something that holds (`firing`) or does not (`resolved`) as of one day; fields as in `mlpipe.notify.alert.Alert`."""

    kind: str
    key: str
    state: State
    severity: Severity
    title: str
    text: str
    episode: str = ""
    runbook: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)


def conditions_of(spec: PipelineSpec, head: Head, expected: Promised) -> Iterator[Condition]:
    """Everything that a materialization of monitor speaks of.

    Parameters
    ----------
    head
        Of monitor; its verdict is drift or stable.
    expected
        Metrics of each version at its evaluation.
    """
    yield _drift(spec, head)
    yield from _slices(spec, head)
    yield from _skew(spec, head)
    yield from _performance(spec, head, expected)
    yield from _levels(spec, head)


def _drift(spec: PipelineSpec, head: Head) -> Condition:
    data = head.data or {}
    model, holds = f"{spec.name}@{data.get('version')}", head.verdict == "drift"
    names = list(data.get("drifted") or data.get("alarms") or [])
    if holds:
        title = f"{model} drifts: {len(names)} watched feature{'' if len(names) == 1 else 's'}"
        where = f" in {_some(names)}" if names else ""
        text = [f"Since {head.partition} the window differs from what {model} learned from{where}"]
        text += _cause(data.get("cause"))
    else:
        title = f"{model} drifts no longer"
        text = [f"On {head.partition} no watched feature of {model} drifts"]
    if data.get("worst_psi") is not None:
        text.append(f"the worst is {data.get('worst')} with a PSI of {number(data['worst_psi'])}")
    if data.get("score_psi") is not None:
        text.append(f"PSI of the score {number(data['score_psi'])}")
    if data.get("rolling") is not None:
        text.append(f"{data.get('primary')} {number(data['rolling'])} over the window")
    if holds:
        text.append(f"look: mlpipe drift {spec.name} --on {head.partition}")
    told = ("version", "worst", "worst_psi", "score_psi", "primary", "realised", "rolling", "cause")
    return Condition(
        kind="drift",
        key="drift",
        state="firing" if holds else "resolved",
        severity="warning" if holds else "info",
        title=title,
        text="; ".join(text) + ".",
        episode="\n".join([str(data.get("version")), *sorted(map(str, names))]),
        fields={"features": names, **{name: data[name] for name in told if data.get(name) is not None}},
    )


def _cause(cause: object) -> list[str]:
    """The likely cause, where monitoring names one."""
    if not isinstance(cause, Mapping) or not cause.get("kind"):
        return []
    where = f" of {cause['column']}" if cause.get("column") else ""
    since = f" since {cause['since']}" if cause.get("since") else ""
    before = (
        f", after {cause['upstream']}" if isinstance(cause.get("upstream"), str) and cause["upstream"] else ""
    )
    return [f"likely {cause['kind']}{where}{since}{before}"]


def _likely(holds: bool, data: Mapping[str, Any]) -> list[str]:
    """The same as a sentence of its own."""
    return [f"{c[0].upper()}{c[1:]}." for c in (_cause(data.get("cause")) if holds else [])]


def _slices(spec: PipelineSpec, head: Head) -> Iterator[Condition]:
    """Scores that drift on slices: a condition of its own, as the verdict is that of columns. Nothing where no slices are compared."""
    data = head.data or {}
    names = data.get("slices_drifted")
    if names is None:
        return
    model = f"{spec.name}@{data.get('version')}"
    if names:
        title = f"scores of {model} drift on {len(names)} slice{'' if len(names) == 1 else 's'}"
        text = (
            f"Since {head.partition} the scores of {model} differ from those at its evaluation on {_some(names)}; "
            f"look: mlpipe drift {spec.name} --on {head.partition}."
        )
    else:
        title = f"scores of {model} drift on no slice any longer"
        text = f"On {head.partition} the scores of {model} drift on no declared slice."
    yield Condition(
        kind="drift",
        key="drift:slices",
        state="firing" if names else "resolved",
        severity="warning" if names else "info",
        title=title,
        text=text,
        episode="\n".join([str(data.get("version")), *sorted(map(str, names))]),
        fields={"version": data.get("version"), "slices": list(names)},
    )


def skew_holds(data: Mapping[str, Any]) -> bool:
    """Whether more rows differ between serving and training than the service level allows, or any where there is no level; of a head."""
    level = (data.get("levels") or {}).get("skew_rate")
    return bool(data.get("skewed")) and (level is None or level[1] != "met")


def _skew(spec: PipelineSpec, head: Head) -> Iterator[Condition]:
    """Features that were served otherwise than training makes them, in more rows than the service level allows, where there is one.

    Where nothing was compared, nothing is said.
    """
    data = head.data or {}
    names, counts = data.get("skewed"), data.get("skewed_rows")
    if names is None:
        return
    holds = skew_holds(data)
    model, many = f"{spec.name}@{data.get('version')}", "" if len(names) == 1 else "s"
    rows = f" in {counts[0]:,} of {counts[1]:,} rows" if counts else ""
    if holds:
        title = f"{model} is served {len(names)} feature{many} otherwise than training makes them"
        text = (
            f"On {head.partition} what {model} was served differs from what training makes of the same rows{rows}: {_some(names)}; "
            f"look: mlpipe show {spec.name}/monitor@{head.partition}."
        )
    else:
        title = f"{model} is served what training makes again"
        text = (
            f"On {head.partition} {model} differs between serving and training{rows} ({_some(names)}), which the service level allows."
            if names
            else f"On {head.partition} no feature of {model} differs between serving and training."
        )
    yield Condition(
        kind="skew",
        key="skew",
        state="firing" if holds else "resolved",
        severity="warning" if holds else "info",
        title=title,
        text=text,
        episode=str(data.get("version")),
        fields={"version": data.get("version"), "features": list(names), "rows": counts},
    )


def _performance(spec: PipelineSpec, head: Head, expected: Promised) -> Iterator[Condition]:
    """The realised metric against the evaluation's, by the limit of the retraining policy; it is over below a share of the limit."""
    data, limit = head.data or {}, spec.retrain.performance if spec.retrain is not None else None
    rolling, promised = (
        data.get("rolling"),
        expected.get(data.get("version") or 0, {}).get(str(data.get("primary"))),
    )
    primary, model = str(data.get("primary")), f"{spec.name}@{data.get('version')}"
    metric = spec.measures.get(primary)
    if limit is None or rolling is None or promised is None or spec.retrain is None or metric is None:
        return
    fall = metric.sign * (promised - rolling)
    if spec.retrain.close * limit <= fall < limit:
        return
    holds = fall >= limit
    if not holds and ((data.get("levels") or {}).get("label_coverage") or (None, ""))[1] == "missed":
        return  # the few labels that came cannot say that it is over
    text = (
        f"{primary} of {model} is {number(rolling)} over the window until {head.partition}, against {number(promised)} at its "
        f"evaluation: {number(abs(fall))} {'worse' if fall > 0 else 'better'}, limit {number(limit)}."
    )
    yield Condition(
        kind="performance",
        key="performance",
        state="firing" if holds else "resolved",
        severity="error" if holds else "info",
        title=f"{model} does worse than it promised"
        if holds
        else f"{model} does as well as it promised again",
        text=" ".join([text, *_likely(holds, data)]),
        episode=str(data.get("version")),
        fields={"version": data.get("version"), primary: rolling, "expected": promised, "limit": limit},
    )


def _levels(spec: PipelineSpec, head: Head) -> Iterator[Condition]:
    """Service levels, a condition each. What is unknown says nothing."""
    data = head.data or {}
    answers, spent = data.get("response") or {}, data.get("exhausted") or ()
    for name, (value, state) in (data.get("levels") or {}).items():
        if state not in ("met", "missed"):
            continue
        response, grave, asked = (*answers.get(name, ()), "", "", "")[:3]
        missed, exhausted = state == "missed", name in spent
        shown = "" if value is None else f": {number(value)}{f', asked {asked}' if asked else ''}"
        text = f"Service level {name} of {spec.name} is {state} on {head.partition}{shown}."
        text += " Its error budget is used up." if exhausted else ""
        text += f" The response is '{response}'." if response else ""
        text = " ".join([text, *_likely(missed and name in EXPLAINED, data)])
        yield Condition(
            kind="level",
            key=f"level:{name}",
            state="firing" if missed else "resolved",
            severity=_severity(response, grave, exhausted) if missed else "info",
            title=f"{spec.name}: service level {name} {'is missed' if missed else 'is met again'}",
            text=text,
            episode="exhausted" if exhausted else "",
            runbook=runbook(OF_LEVEL.get(name, "level")),
            fields={"level": name, "value": value, "response": response or None, "exhausted": exhausted},
        )


def _severity(response: str, grave: str, exhausted: bool) -> Severity:
    """How grave a missed level is: whoever is to be paged is paged; a budget that is used up is no mere warning."""
    if response == "page" or grave == "critical":
        return "critical"
    if exhausted:
        return "error"
    return "info" if response == "log" or grave == "info" else "warning"


def _some(names: Iterable[str]) -> str:
    listed: Sequence[str] = list(names)
    rest = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
