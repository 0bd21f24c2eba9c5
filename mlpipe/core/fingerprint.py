"""Fingerprints of functions: what they do, not how they are laid out.

A fingerprint covers the function's syntax tree (without comments, docstrings and layout), its defaults and closure, and likewise every
function, class and constant of the user's own modules that it names. Installed packages and the standard library are left out: their
versions stand in the record's environment.
"""

import ast
import hashlib
import inspect
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable
from typing import Any

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def fingerprint(function: Callable[..., Any]) -> str:
    """40 hex digits that change when what the function does may have changed.

    Parameters
    ----------
    function
        A Python function, method, class or callable object. A builtin is named by its module and name alone.
    """
    parts: dict[str, str] = {}
    _collect(function, parts)
    text = "\n".join(f"{name}={parts[name]}" for name in sorted(parts))
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _collect(value: Any, parts: dict[str, str]) -> None:
    value = inspect.unwrap(value) if inspect.isfunction(value) else value
    if isinstance(value, types.MethodType):
        value = value.__func__
    name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if name in parts:
        return
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        if callable(value) and not inspect.isbuiltin(value):
            _collect(type(value), parts)
            return
        parts[name] = "builtin"
        return
    if not _is_users(value):
        parts[name] = "installed"
        return
    parts[name] = _tree(value)
    for code, scope in _codes(value):
        for used in sorted(_names(code)):
            if used in scope:
                _reference(used, scope[used], parts)


def _codes(value: Any) -> list[tuple[types.CodeType, dict[str, Any]]]:
    functions = (
        [value] if inspect.isfunction(value) else [f for f in vars(value).values() if inspect.isfunction(f)]
    )
    out = []
    for function in functions:
        closure = inspect.getclosurevars(function).nonlocals
        out.append((function.__code__, {**function.__globals__, **closure}))
    return out


def _names(code: types.CodeType) -> set[str]:
    names = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _reference(name: str, value: Any, parts: dict[str, str]) -> None:
    if inspect.isfunction(value) or inspect.isclass(value):
        _collect(value, parts)
    elif isinstance(value, types.ModuleType):
        if _is_users(value):
            parts[f"module {value.__name__}"] = _dump(ast.parse(inspect.getsource(value)))
    elif isinstance(value, (bool, int, float, str, bytes, tuple, frozenset, list, dict, set, type(None))):
        shown = sorted(map(repr, value)) if isinstance(value, (set, frozenset)) else repr(value)
        parts[f"constant {name}"] = str(shown)


def _is_users(value: Any) -> bool:
    module = (
        value
        if isinstance(value, types.ModuleType)
        else sys.modules.get(getattr(value, "__module__", "") or "")
    )
    file = getattr(module, "__file__", None)
    if file is None:
        return inspect.isfunction(value) and value.__module__ in ("__main__", None)
    name = str(getattr(module, "__name__", ""))
    return "site-packages" not in file and not file.startswith(_INSTALLED) and name.split(".")[0] != "mlpipe"


def _tree(value: Any) -> str:
    defaults = repr(getattr(value, "__defaults__", None)) + repr(getattr(value, "__kwdefaults__", None))
    try:
        return _dump(ast.parse(textwrap.dedent(inspect.getsource(value)))) + defaults
    except (OSError, SyntaxError, TypeError):
        # No source (a lambda within an expression, an interactive session): the byte code stands in.
        codes = [
            c.co_code.hex() + repr([k for k in c.co_consts if not isinstance(k, types.CodeType)])
            for c, _ in _codes(value)
        ]
        return "".join(codes) + defaults


def _dump(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module))
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree, annotate_fields=False)
