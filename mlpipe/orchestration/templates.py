"""Templates in YAML: filled in by Jinja as Dagster does, but in its sandbox, where a template cannot reach into Python."""

from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment


class _Native(SandboxedEnvironment, NativeEnvironment):
    """The sandbox, giving values as they are in place of their text."""


_TEXT = SandboxedEnvironment(undefined=jinja2.StrictUndefined)
_VALUE = _Native(undefined=jinja2.StrictUndefined)


def is_template(text: str) -> bool:
    """Whether a text has something to fill in."""
    return "{{" in text or "{%" in text


def filled(text: str, scope: Mapping[str, Any]) -> Any:
    """Value of a template: of a single expression what it gives, whatever its type, else a text that looks like a number as one.

    Raises
    ------
    jinja2.TemplateError
        It is no template, names something that is not there, or asks for what the sandbox does not give.
    Exception
        What a function that the template calls raises.
    """
    value = _VALUE.from_string(text).render(**scope)
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises, and says what is not there
    return value


def spelled(text: str, scope: Mapping[str, Any]) -> str:
    """Text of a template; raises as `filled`."""
    return _TEXT.from_string(text).render(**scope)
