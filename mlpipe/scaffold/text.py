"""A specification as YAML that people read: each setting with the reason for it in a comment."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import yaml

WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@-]*")


@dataclass(frozen=True)
class Because:
    """A value with sentences that say why it is what it is."""

    value: Any
    why: Sequence[str] = ()


def document(settings: Mapping[str, Any], heading: Sequence[str], type_name: str) -> str:
    """A `defs.yaml` of a component with comments."""
    lines = [f"# {line}".rstrip() for text in heading for line in wrapped(text, 2)]
    return "\n".join([*lines, f"type: {type_name}", "attributes:", *_mapping(settings, 2)]) + "\n"


def wrapped(text: str, indent: int) -> list[str]:
    """Lines of a comment. What a user's data holds is made harmless: no line of it can leave the comment."""
    flat = "".join(c if c.isprintable() else "·" for c in text)
    return wrap(flat, WIDTH - indent, break_long_words=True, break_on_hyphens=False) or [""]


def scalar(value: Any, *, template: bool = True) -> str:
    """A value in one line, quoted where it must be.

    Dagster fills in templates in values: text that looks like one is handed through one (`template`), so that it stays what it is.
    """
    if not isinstance(value, str):
        return _number(value)
    if template and ("{{" in value or "{%" in value):
        value = "{{ " + _quoted(value) + " }}"
    return value if _PLAIN.fullmatch(value) and _is_text(value) else _quoted(value)


def _number(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value.item() if hasattr(value, "item") else value)
    # YAML 1.1 takes 1e-05 for a word; 1.0e-05 is a number.
    return re.sub(r"^(-?\d+)e", r"\1.0e", text)


def _is_text(value: str) -> bool:
    return isinstance(yaml.safe_load(value), str)


def _quoted(value: str) -> str:
    """Text between double quotes, as YAML, JSON and Jinja read it; what cannot be seen is escaped."""
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    code = ord(character)
    if character.isprintable() and code != 0xFEFF:
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _mapping(settings: Mapping[str, Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    for name, held in settings.items():
        value, why = (held.value, held.why) if isinstance(held, Because) else (held, ())
        for text in why:
            yield from (f"{pad}# {line}" for line in wrapped(text, indent + 2))
        key = scalar(name, template=False)
        if isinstance(value, Mapping) and _deep(value):
            yield f"{pad}{key}:"
            yield from _mapping(value, indent + 2)
        elif isinstance(value, (list, tuple)) and (_deep(value) or len(_flow(value)) > 90):
            yield f"{pad}{key}:"
            yield from _items(value, indent + 2)
        else:
            yield f"{pad}{key}: {_flow(value)}"


def _items(values: Sequence[Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    for held in values:
        value, why = (held.value, held.why) if isinstance(held, Because) else (held, ())
        for text in why:
            yield from (f"{pad}# {line}" for line in wrapped(text, indent + 2))
        yield f"{pad}- {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k, template=False)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    return scalar(value)


def _deep(value: Any) -> bool:
    """Whether a value needs lines of its own: it holds reasons, or mappings in mappings, or is long."""
    held = list(value.values()) if isinstance(value, Mapping) else list(value)
    if any(isinstance(v, Because) or (isinstance(v, Mapping) and bool(v)) for v in held):
        return True
    return isinstance(value, Mapping) and len(_flow(value)) > 100
