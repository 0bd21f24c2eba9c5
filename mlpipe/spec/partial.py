"""A specification with stand-ins where it is wrong, so that what its parts say to each other is checked all the same."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mlpipe.spec.mistakes import Mistake, mistakes
from mlpipe.spec.nodes import KeyPath
from mlpipe.spec.pipeline import ANY, PipelineSpec

_ROUNDS = 8
"""Each round takes out more than the one before; settings are not nested deeper than this."""


def unknown_function(*_: Any) -> Any:
    """Stands for a function that was not found. It is never called."""


_STAND_INS: dict[KeyPath, Any] = {
    ("name",): "unnamed",
    ("partitions",): {"every": "none"},
    ("sources",): {"rows": {"type": "load", "function": unknown_function}},
    ("sources", ANY): {"type": "load", "function": unknown_function},
    ("label",): {"function": unknown_function},
    ("features",): {"function": unknown_function},
    ("model",): {"fit": unknown_function},
    ("metrics", ANY): "accuracy",
    ("gates", ANY): {"kind": "at_least", "params": {"metric": "accuracy", "value": 0}},
}


def partial(plain: dict[str, Any], found: Sequence[Mistake]) -> tuple[PipelineSpec, frozenset[KeyPath]]:
    """Specification with what is wrong taken out, and the paths that are no longer what was written.

    Parameters
    ----------
    plain
        Settings in the long form.
    found
        Their mistakes.
    """
    tainted: set[KeyPath] = set()
    for _ in range(_ROUNDS):
        for mistake in found:
            above = mistake.path[:-1]
            tainted |= {(*above, name) for name in mistake.meant if not holds(at(plain, above), name)}
            plain, mended = _mended(plain, mistake.path)
            tainted |= {mistake.path, mended}
        try:
            return PipelineSpec.model_validate(plain), frozenset(tainted)
        except ValidationError as error:
            # What is wrong now is a consequence of what was taken out, and goes too.
            found = mistakes(error)
    return PipelineSpec.model_validate({p[0]: v for p, v in _STAND_INS.items() if len(p) == 1}), frozenset(
        {()}
    )


def _mended(plain: dict[str, Any], path: KeyPath) -> tuple[dict[str, Any], KeyPath]:
    """Settings without the value at a path, or with a stand-in for the nearest part that cannot be left out; and that part's path."""
    for end in range(len(path), 0, -1):
        stand_in = _STAND_INS.get(path[:end], _STAND_INS.get((*path[: end - 1], ANY)))
        holder = at(plain, path[: end - 1])
        if stand_in is not None:
            # A stand-in that is wrong too stands at a wrong place: under a name that is none.
            if holds(holder, path[end - 1]) and holder[path[end - 1]] is stand_in:
                continue
            if isinstance(holder, dict) or holds(holder, path[end - 1]):
                return _with(plain, path[:end], stand_in), path[:end]
        elif isinstance(holder, dict) and path[end - 1] in holder:
            return _with(plain, path[:end], None), path[:end]
    return plain, path


def _with(value: Any, path: KeyPath, new: Any) -> Any:
    """Copy of nested settings with another value at a path; None takes a key out."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return [_with(v, rest, new) if i == step else v for i, v in enumerate(value)]
    if not rest and new is None:
        return {k: v for k, v in value.items() if k != step}
    return {**value, step: _with(value.get(step), rest, new)}


def at(value: Any, path: KeyPath) -> Any:
    """Value at a path of nested settings; None when there is none."""
    for step in path:
        if not holds(value, step):
            return None
        value = value[step]
    return value


def holds(value: Any, step: str | int) -> bool:
    """Whether a mapping or a list of settings has this key or position."""
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)
