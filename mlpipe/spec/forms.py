"""Short forms written out, and the way back: which written key a value of the long form came from."""

from collections.abc import Callable, Mapping
from typing import Any

from mlpipe.spec.alerts import CHANNEL
from mlpipe.spec.drafts import Draft
from mlpipe.spec.nodes import KeyPath, choices

ALIASES = {
    "source": "sources",
    "owner": "owners",
    "look_back": "features.look_back",
    "outcomes": "label.outcomes",
}
"""Keys that stand for another."""

Report = Callable[[KeyPath, str], None]
Renames = dict[KeyPath, KeyPath]


def opened(value: Any, places: dict[KeyPath, str], report: Report, path: KeyPath = ()) -> Any:
    """Drafts opened into mappings; where each was written goes to `places`, what was wrong with its call to `report`."""
    if isinstance(value, Draft):
        places[path] = value.where
        for text in value.wrong:
            report(path, text)
        value = value.settings
    if isinstance(value, Mapping):
        return {k: opened(v, places, report, (*path, k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [opened(v, places, report, (*path, i)) for i, v in enumerate(value)]
    return value


def normalise(settings: Mapping[str, Any], report: Report) -> tuple[dict[str, Any], Renames]:
    """Opened settings in their long form, and from which written path each renamed one came."""
    out, renames = dict(settings), Renames()
    for short, long in (("source", "sources"), ("owner", "owners")):
        if short in out and long in out:
            report((short,), f"{short!r} stands for {long!r}; give one of them")
            del out[short]
    if "source" in out:
        out["sources"] = {"rows": out.pop("source")}
        renames["sources", "rows"] = ("source",)
    if "owner" in out:
        out["owners"] = out.pop("owner")
        renames["owners",] = ("owner",)
    if isinstance(out.get("sources"), dict):
        for name, source in out["sources"].items():
            if callable(source):
                renames["sources", name, "function"] = renames.get(("sources", name), ("sources", name))
        out["sources"] = {
            k: {"type": "load", "function": v} if callable(v) else v for k, v in out["sources"].items()
        }
    _shorten(out, "features", lambda v: "function" if callable(v) else "columns", renames)
    _shorten(out, "label", lambda v: "function" if callable(v) else "column", renames)
    _shorten(out, "model", lambda v: "fit" if callable(v) and not hasattr(v, "fit") else "estimator", renames)
    _moved(out, "look_back", "features", renames, report)
    _moved(out, "outcomes", "label", renames, report)
    _by_transition(out, renames, report)
    for key in ("gates", "staging_gates"):
        if isinstance(out.get(key), list):
            out[key] = [_gate(gate, (key, i), renames) for i, gate in enumerate(out[key])]
    _own_metrics(out, renames)
    if "alerts" in out:
        out["alerts"] = _channels(out["alerts"], renames)
    return out, renames


def _shorten(out: dict[str, Any], key: str, kind: Callable[[Any], str], renames: Renames) -> None:
    """A bare value stands for the one setting of its part that says what it is."""
    value = out.get(key)
    if value is not None and not isinstance(value, dict):
        name = kind(value)
        out[key] = {name: value}
        renames[key, name] = (key,)


def _moved(out: dict[str, Any], short: str, part: str, renames: Renames, report: Report) -> None:
    """A setting of a part that may also stand beside it."""
    if short not in out:
        return
    value, inner = out.pop(short), out.setdefault(part, {})
    if isinstance(inner, dict) and short in inner:
        report((short,), f"{short!r} also stands in {part!r}; give one of them")
    elif isinstance(inner, dict):
        out[part] = {**inner, short: value}
        renames[part, short] = (short,)


TRANSITIONS = {"staging": "staging_gates", "production": "gates"}
"""Under which key the gates of a transition stand in the long form."""


def _by_transition(out: dict[str, Any], renames: Renames, report: Report) -> None:
    """``gates: {staging: […], production: […]}``: one list for each transition."""
    gates = out.get("gates")
    if not isinstance(gates, dict):
        return
    del out["gates"]
    for stage, listed in gates.items():
        if stage not in TRANSITIONS:
            report(("gates", stage), f"unknown stage {stage!r}. {choices(str(stage), list(TRANSITIONS))}")
        elif TRANSITIONS[stage] in out:
            report(("gates", stage), f"it also stands in {TRANSITIONS[stage]!r}; give one of them")
        else:
            out[TRANSITIONS[stage]] = listed
            renames[TRANSITIONS[stage],] = ("gates", stage)


def _own_metrics(out: dict[str, Any], renames: Renames) -> None:
    """A mapping among the metrics is one of the user's own; its name stands in its place."""
    metrics, beside = out.get("metrics"), out.get("own_metrics") or []
    if not isinstance(metrics, list) or not isinstance(beside, list):
        return
    if not any(isinstance(m, dict) for m in metrics):
        return
    named: list[Any] = []
    own: list[Any] = [*beside]
    for i, metric in enumerate(metrics):
        if isinstance(metric, dict):
            renames["own_metrics", len(own)] = ("metrics", i)
            own.append(metric)
        name = metric.get("name") if isinstance(metric, dict) else metric
        if isinstance(name, str) or not isinstance(metric, dict):
            renames["metrics", len(named)] = ("metrics", i)
            named.append(name)
    out["metrics"], out["own_metrics"] = named, own


def _gate(gate: Any, path: KeyPath, renames: Renames) -> Any:
    """``{at_least: {metric: f1, value: 0.6}}`` is a gate of that kind, and so is ``robust``."""
    if isinstance(gate, str):
        renames[*path, "kind"] = written(path, renames)
        return {"kind": gate}
    if not isinstance(gate, dict) or "kind" in gate or len(gate) != 1:
        return gate
    ((kind, params),) = gate.items()
    for part in ("kind", "params"):
        renames[*path, part] = (*written(path, renames), kind)
    return {"kind": kind, "params": {} if params is None else params}


def _channels(value: Any, renames: Renames) -> Any:
    """A lone channel is a list of one; ``log`` and ``{webhook: {…}}`` are channels of that type.

    What has another shape stays as it is. It may be an address with a secret, which no message about an unknown type may show.
    """
    if not isinstance(value, list):
        value = [] if value is None else [value]
        renames["alerts", 0] = ("alerts",)
    return [_channel(channel, i, renames) for i, channel in enumerate(value)]


def _channel(channel: Any, position: int, renames: Renames) -> Any:
    if isinstance(channel, str) and CHANNEL.fullmatch(channel):
        renames["alerts", position, "type"] = written(("alerts", position), renames)
        return {"type": channel}
    if not isinstance(channel, dict) or "type" in channel or len(channel) != 1:
        return channel
    ((kind, settings),) = channel.items()
    if not isinstance(kind, str) or not CHANNEL.fullmatch(kind) or not isinstance(settings, dict | None):
        return channel
    here = (*written(("alerts", position), renames), kind)
    renames["alerts", position] = renames["alerts", position, "type"] = here
    return {**(settings or {}), "type": kind}


def written(path: KeyPath, renames: Renames) -> KeyPath:
    """Path as it was written, of a path in the long form."""
    for end in range(len(path), 0, -1):
        if path[:end] in renames:
            return (*renames[path[:end]], *path[end:])
    return path
