"""Pydantic's errors as sentences about what the user wrote: the path of keys, what is wrong, and what would be right."""

import types
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from mlpipe.spec.forms import ALIASES
from mlpipe.spec.modeling import Model
from mlpipe.spec.nodes import KeyPath, Node, Wrong, choices, shown
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import AnySource

HIDDEN = ("base_dir", "where")
"""Fields that mlpipe fills in itself."""
_KINDS = {
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "string_type": "must be text",
    "callable_type": "must be a function",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
}


@dataclass(frozen=True)
class Mistake:
    """One mistake: its path in the long form, a sentence, and the keys that an unknown one may have meant."""

    path: KeyPath
    text: str
    meant: tuple[str, ...] = ()


def mistakes(error: ValidationError, of: type[Node] = PipelineSpec) -> list[Mistake]:
    """What Pydantic found in a node, in the order of its fields."""
    found: list[Mistake] = []
    for detail in error.errors(include_url=False):
        path, node = _walk(detail["loc"], of)
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, Wrong):
            found += [Mistake((*path, *below), text) for below, text in cause.mistakes]
        elif detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
            found.append(Mistake((*path, "type"), _type_text(detail)))
        elif detail["type"] == "extra_forbidden":
            name, known = str(path[-1]), keys_of(node)
            meant = tuple(get_close_matches(name, known, n=3))
            found.append(Mistake(path, f"unknown key {name!r}. {choices(name, known)}", meant))
        else:
            found.append(Mistake(path, _sentence(detail, path)))
    return found


def _sentence(detail: Any, path: KeyPath) -> str:
    kind, given, name = detail["type"], detail.get("input"), str(path[-1]) if path else ""
    if kind == "missing":
        return "'source' (or 'sources') is missing" if path == ("sources",) else f"{name!r} is missing"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "literal_error":
        known = _quoted(detail["ctx"]["expected"])
        return f"unknown value {shown(given)}. {choices(str(given), known)}"
    if kind in _KINDS:
        return f"{_KINDS[kind]}, got {shown(given)}"
    text = str(detail["msg"]).removeprefix("Input should ").removeprefix("be ")
    return f"must be {text}, got {shown(given)}" if text != detail["msg"] else f"{text}; got {shown(given)}"


def _type_text(detail: Any) -> str:
    known = _quoted(detail["ctx"]["expected_tags"]) if "expected_tags" in detail.get("ctx", {}) else TYPES
    if detail["type"] == "union_tag_invalid":
        given = detail["ctx"]["tag"]
        return f"unknown type {given!r}. {choices(str(given), known)}"
    return f"'type' is missing. Valid: {', '.join(known)}."


def _quoted(text: str) -> tuple[str, ...]:
    """The names in ``'a', 'b' or 'c'``."""
    return tuple(part.strip().strip("'") for part in text.replace(" or ", ", ").split(","))


def keys_of(node: type[Node] | None) -> list[str]:
    """Keys that a user may write in a node."""
    known = set(node.model_fields) if node else set()
    extra = {PipelineSpec: {*ALIASES, "overlays"}, Model: {"class"}}.get(node, set()) if node else set()
    return sorted((known | extra) - {*HIDDEN})


def _walk(loc: tuple[str | int, ...], of: type[Node]) -> tuple[KeyPath, type[Node] | None]:
    """Path without the steps that nobody wrote (a union's tag, a mapping's key marker), and the node that holds its last step."""
    here: Any = of
    path: list[str | int] = []
    holder: type[Node] | None = None
    for step in loc:
        here = _bare(here)
        if isinstance(here, type) and issubclass(here, Node):
            holder, field = here, here.model_fields.get(str(step))
            path.append(step)
            here = field.annotation if field else None
        elif get_origin(here) in (dict, list, tuple) and step != "[key]":
            path.append(step)
            here = get_args(here)[1 if get_origin(here) is dict else 0]
        elif get_origin(here) in (Union, types.UnionType):
            tagged = [o for o in get_args(here) if _tag(o) == step]
            here = tagged[0] if tagged else None
    return tuple(path), holder


def _tag(option: Any) -> object:
    nodes = isinstance(option, type) and issubclass(option, Node) and "type" in option.model_fields
    return option.model_fields["type"].default if nodes else None


def _bare(annotation: Any) -> Any:
    """Annotation without its metadata and without None."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        options = [o for o in get_args(annotation) if o is not type(None)]
        return _bare(options[0]) if len(options) == 1 else annotation
    return annotation


TYPES = tuple(sorted(kind.model_fields["type"].default for kind in get_args(get_args(AnySource)[0])))
"""Kinds of sources."""
