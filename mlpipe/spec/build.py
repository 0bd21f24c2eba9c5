"""One builder behind every door: what was written becomes a frozen `PipelineSpec`, or one error with every mistake."""

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError

from mlpipe.errors import Finding, SpecError, did_you_mean
from mlpipe.spec.drafts import Draft
from mlpipe.spec.nodes import Node
from mlpipe.spec.pipeline import PipelineSpec

Path_ = tuple[str | int, ...]
Locate = Callable[[Path_], str]
ALIASES = {"source": "sources", "look_back": "features.look_back", "outcomes": "label.outcomes"}


def build(
    settings: Mapping[str, Any],
    *,
    where: str = "",
    deployment: str | None = None,
    base_dir: Path | None = None,
    locate: Locate | None = None,
) -> PipelineSpec:
    """Frozen specification of what was written.

    Parameters
    ----------
    settings
        Keys of `PipelineSpec`, with values as `Draft`, plain mappings, functions or estimators. `source` may stand for `sources`,
        `look_back` for `features.look_back`, and `overlays` maps a deployment to settings that replace these in it.
    where
        File and line of the declaration, for errors.
    deployment
        Overlay to apply; None takes the settings as they are, in deployment ``dev``.
    base_dir
        Folder that relative paths start from.
    locate
        File and line of a path of keys (from YAML); default: the line of the nearest enclosing call.

    Raises
    ------
    SpecError
        With one finding for every mistake: file and line, key, what is wrong, valid values.
    """
    plain, places = _plain(normalise(dict(settings)), where)
    at = locate or (lambda path: _nearest(places, path, where))
    findings: list[Finding] = []
    plain = _overlay(plain, deployment, findings, at)
    if base_dir is not None:
        plain.setdefault("base_dir", base_dir)
    plain.setdefault("where", where)
    spec, errors = _validate(plain)
    findings += [_finding(error, plain, at) for error in errors]
    partial = spec or _without(plain, errors)
    if partial is not None:
        findings += [Finding(what, _place(at, path)) for path, what in partial.problems()]
    if findings or spec is None:
        name = plain.get("name")
        title = f"pipeline {name!r}" if isinstance(name, str) else "the pipeline"
        count = "1 mistake" if len(findings) == 1 else f"{len(findings)} mistakes"
        raise SpecError(f"{title} has {count}", where=where, findings=findings)
    return spec


def normalise(settings: dict[str, Any]) -> dict[str, Any]:
    """Short forms written out: one source, a list of features, a bare estimator, a gate as one mapping."""
    out = dict(settings)
    if "source" in out and "sources" not in out:
        out["sources"] = {"rows": out.pop("source")}
    sources = out.get("sources")
    if isinstance(sources, Mapping):
        out["sources"] = {
            k: {"type": "load", "function": v} if callable(v) else v for k, v in sources.items()
        }
    features = out.get("features")
    if callable(features):
        features = {"function": features}
    elif isinstance(features, (list, tuple, str)):
        features = {"columns": features}
    if isinstance(features, dict) and "look_back" in out:
        features = {**features, "look_back": out.pop("look_back")}
    if features is not None:
        out["features"] = features
    label = out.get("label")
    if isinstance(label, str) or (callable(label) and not isinstance(label, Draft)):
        out["label"] = {"column": label} if isinstance(label, str) else {"function": label}
    model = out.get("model")
    if model is not None and not isinstance(model, (Mapping, Draft)):
        out["model"] = (
            {"estimator": model}
            if hasattr(model, "get_params")
            else {"fit": model}
            if callable(model)
            else {"estimator": model}
        )
    if isinstance(out.get("gates"), (list, tuple)):
        out["gates"] = [_gate(g) for g in out["gates"]]
    if "owner" in out and "owners" not in out:
        out["owners"] = out.pop("owner")
    return out


def _gate(gate: Any) -> Any:
    """``{at_least: {metric: f1, value: 0.6}}`` is a gate of that kind."""
    if isinstance(gate, Mapping) and "kind" not in gate and len(gate) == 1:
        ((kind, params),) = gate.items()
        return {"kind": kind, "params": params or {}}
    return gate


def _plain(value: Any, where: str) -> tuple[Any, dict[Path_, str]]:
    """Drafts opened into mappings, and where each of them was written."""
    places: dict[Path_, str] = {}

    def open_up(item: Any, path: Path_) -> Any:
        if isinstance(item, Draft):
            places[path] = item.where
            item = item.settings
        if isinstance(item, Mapping):
            return {k: open_up(v, (*path, k)) for k, v in item.items()}
        if isinstance(item, (list, tuple)):
            return [open_up(v, (*path, i)) for i, v in enumerate(item)]
        return item

    return open_up(value, ()), places


def _nearest(places: dict[Path_, str], path: Path_, where: str) -> str:
    for end in range(len(path), -1, -1):
        if path[:end] in places:
            return places[path[:end]]
    return where


def _place(at: Locate, path: Path_) -> str:
    return ", ".join(x for x in (at(path), "key " + ".".join(map(str, path)) if path else "") if x)


def _overlay(
    plain: dict[str, Any], deployment: str | None, findings: list[Finding], at: Locate
) -> dict[str, Any]:
    overlays = plain.pop("overlays", None) or {}
    known = ("dev", "stage", "prod")
    if not isinstance(overlays, dict):
        findings.append(
            Finding("overlays must map dev, stage or prod to settings", _place(at, ("overlays",)))
        )
        return plain
    for name in overlays:
        if name not in known:
            findings.append(
                Finding(
                    f"unknown deployment {name!r}. {did_you_mean(str(name), known)}",
                    _place(at, ("overlays", name)),
                )
            )
    if deployment is None:
        return plain
    plain["deployment"] = deployment
    return _merged(plain, normalise(overlays.get(deployment) or {}))


def _merged(base: Any, over: Any) -> Any:
    """`over` laid on `base`: mappings key by key, all else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{k: _merged(base.get(k), v) for k, v in over.items()}}
    return over


def _validate(plain: dict[str, Any]) -> tuple[PipelineSpec | None, list[Any]]:
    try:
        return PipelineSpec.model_validate(plain), []
    except ValidationError as error:
        return None, list(error.errors(include_url=False, include_context=False))


def _without(plain: dict[str, Any], errors: list[Any]) -> PipelineSpec | None:
    """The specification without the values that are wrong, for checks of the rest; None when too much is missing."""
    copy, _ = _plain(plain, "")
    for error in errors:
        path = _written(error["loc"], plain)
        inner = copy
        for step in path[:-1]:
            inner = inner[step] if _holds(inner, step) else {}
        if path and isinstance(inner, dict):
            inner.pop(path[-1], None)
    return _validate(copy)[0]


def _holds(value: Any, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _written(loc: Path_, plain: Any) -> Path_:
    """Pydantic's location without the steps that nobody wrote (the tag of a union)."""
    path: list[str | int] = []
    for i, step in enumerate(loc):
        last = i == len(loc) - 1
        if _holds(plain, step):
            path.append(step)
            plain = plain[step]
        elif last:
            path.append(step)
    return tuple(path)


def _finding(error: Any, plain: Any, at: Locate) -> Finding:
    loc: Path_ = error["loc"]
    path = _written(loc, plain)
    kind, name = error["type"], str(path[-1]) if path else ""
    node = _node_at(PipelineSpec, loc[:-1])
    if kind == "extra_forbidden":
        known = sorted(node.model_fields) if node else []
        if node is PipelineSpec:
            known = sorted({*known, *ALIASES, "overlays"} - {"base_dir", "where"})
        return Finding(f"unknown key {name!r}. {did_you_mean(name, known)}", _place(at, path))
    if kind == "missing":
        return Finding(f"{name!r} is missing", _place(at, path))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = ["csv", "load", "parquet", "sql", "upstream"]
        given = _value(plain, (*path, "type"))
        what = (
            f"unknown type {given!r}. {did_you_mean(given, tags)}"
            if isinstance(given, str)
            else f"'type' is missing. Valid: {', '.join(tags)}."
        )
        return Finding(what, _place(at, (*path, "type")))
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not str(error["msg"]).startswith(("Value error", "Assertion failed")):
        shown = repr(error.get("input"))
        text = f"{text}; got {shown if len(shown) <= 80 else shown[:77] + '…'}"
    if kind == "literal_error" and isinstance(error.get("input"), str):
        allowed = (
            text.split("should be ")[1].split("; got")[0].replace("'", "").replace(" or ", ", ").split(", ")
        )
        text = f"unknown value {error['input']!r}. {did_you_mean(error['input'], allowed)}"
    return Finding(text, _place(at, path))


def _value(plain: Any, path: Path_) -> Any:
    for step in path:
        if not _holds(plain, step):
            return None
        plain = plain[step]
    return plain


def _node_at(node: type[Node] | None, loc: Path_) -> type[Node] | None:
    """Class of the node at a location of Pydantic's, by walking the annotations."""
    here: Any = node
    for step in loc:
        if isinstance(here, type) and issubclass(here, Node) and step in here.model_fields:
            here = here.model_fields[str(step)].annotation
            continue
        options = _options(here)
        tagged = [o for o in options if "type" in o.model_fields and o.model_fields["type"].default == step]
        here = tagged[0] if tagged else here
    nodes = _options(here)
    return nodes[0] if len(nodes) == 1 else None


def _options(annotation: Any) -> list[type[Node]]:
    """Node classes that an annotation may hold: through unions, mappings, lists and None."""
    if isinstance(annotation, type) and issubclass(annotation, Node):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, dict, tuple, list) or hasattr(
        annotation, "__metadata__"
    ):
        return [node for arg in get_args(annotation) for node in _options(arg)]
    return []
