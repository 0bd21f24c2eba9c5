"""Fingerprints of functions: what they do, not how they are laid out.

A fingerprint covers the function's syntax tree (without comments, docstrings and layout), its defaults, its closure, what it is bound to,
and likewise every function, class, module and constant of the user's own that it names. Where there is no source (a lambda, an interactive
session) the byte code stands in. Installed packages and the standard library are left out: their versions stand in the record's
environment. A module of the user's that is imported within a function counts whole, with all that it imports; see `mlpipe.core.imports`.
A global container that a function fills counts as its constant: keep caches behind `functools.lru_cache`.
"""

import ast
import contextlib
import functools
import hashlib
import inspect
import re
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np

from mlpipe.core.imports import dumped, followed, inner_imports

_INSTALLED = tuple(
    {f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))
_SPELLED = (date, time, timedelta, tzinfo, Decimal, Enum, PurePath, re.Pattern, range, slice)
"""Values whose `repr` says all of them, and nothing else."""


def fingerprint(function: Callable[..., Any]) -> str:
    """40 hex digits that change when what the function does may have changed.

    Parameters
    ----------
    function
        A Python function, method, class, partial or callable object. A builtin is named by its module and name alone.
    """
    walk = _Walk()
    root = walk.value(function)
    text = "\n".join([root, *sorted(walk.parts)])
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=20).hexdigest()


def is_users(value: Any) -> bool:
    """Whether a function, class or module is the user's own: neither installed, nor of the standard library, nor of this package."""
    module = (
        value
        if isinstance(value, types.ModuleType)
        else sys.modules.get(getattr(value, "__module__", "") or "")
    )
    name = str(getattr(module, "__name__", ""))
    if name.split(".")[0] == "mlpipe":
        return False
    file = getattr(module, "__file__", None)
    if inspect.isfunction(value):
        # Code that was made by exec may claim any module; where it was compiled does not lie.
        file = value.__code__.co_filename
        return not file.startswith("<frozen") and not _installed(file)
    if file is None:
        return inspect.isclass(value) and value.__module__ not in sys.builtin_module_names
    return not _installed(file)


def _installed(file: str) -> bool:
    return "site-packages" in file or file.startswith(_INSTALLED)


class _Walk:
    """One fingerprint in the making: every function, class and module met, once each."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        # By identity: two closures of one factory have one name. The values are kept, so that no identity is used again.
        self._met: dict[int, tuple[str, Any]] = {}

    def value(self, value: Any) -> str:
        """Text of a value that is the same in every process; what it refers to is added to the parts."""
        if isinstance(value, Enum) or (isinstance(value, _SPELLED) and not isinstance(value, _PLAIN)):
            return repr(value)
        if isinstance(value, _PLAIN):
            return repr(value)
        if id(value) in self._met:
            return self._met[id(value)][0]
        if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
            return f"array {value.dtype} {value.shape} {_hash(np.ascontiguousarray(value).tobytes())}"
        self._met[id(value)] = (f"again {_name(value)}", value)
        text = self._opened(value)
        if not isinstance(value, (types.FunctionType, type, types.ModuleType)):
            self._met[id(value)] = (text, value)
        return text

    def _opened(self, value: Any) -> str:
        if isinstance(value, Mapping):
            pairs = sorted(f"{self.value(k)}:{self.value(v)}" for k, v in value.items())
            return f"{type(value).__qualname__}{{{','.join(pairs)}}}"
        if isinstance(value, (set, frozenset)):
            return f"set{{{','.join(sorted(map(self.value, value)))}}}"
        if isinstance(value, (list, tuple)):
            return f"{type(value).__qualname__}[{','.join(map(self.value, value))}]"
        if isinstance(value, functools.partial):
            return f"partial({','.join(map(self.value, (value.func, value.args, value.keywords)))})"
        if isinstance(value, types.MethodType):
            return f"method({self.value(value.__self__)},{self.value(value.__func__)})"
        if isinstance(value, (staticmethod, classmethod)):
            return f"{type(value).__name__}({self.value(value.__func__)})"
        if isinstance(value, property):
            return f"property({','.join(map(self.value, (value.fget, value.fset, value.fdel)))})"
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if inspect.isfunction(value) or inspect.isclass(value):
            return self._code(value)
        return self._object(value)

    def _object(self, value: Any) -> str:
        """A callable object, or any other: its type, what it wraps, and its state."""
        if hasattr(value, "__wrapped__"):
            return f"{_name(type(value))}({self.value(value.__wrapped__)})"
        if inspect.isbuiltin(value) or isinstance(value, types.MethodDescriptorType):
            return f"builtin {_name(value)}"
        if hasattr(value, "to_numpy") and hasattr(value, "shape"):
            return f"{_name(type(value))}{value.shape}({self.value(list(_cells(value)))})"
        kind = self.value(type(value))
        slots = [s for c in type(value).__mro__ for s in _listed(vars(c).get("__slots__", ()))]
        state = {s: getattr(value, s) for s in slots if s != "__dict__" and hasattr(value, s)}
        if is_users(type(value)) or hasattr(value, "get_params"):
            state |= getattr(value, "__dict__", {})
        return f"{kind}({self.value(state)})"

    def _module(self, module: types.ModuleType) -> str:
        name = f"module {module.__name__}"
        if is_users(module):
            try:
                self.parts.append(f"{name}={dumped(ast.parse(inspect.getsource(module)))}")
            except (OSError, SyntaxError, TypeError):
                self.parts.append(f"{name}=")
        return name

    def _code(self, value: Any) -> str:
        """A function or class: named here, spelled out among the parts when it is the user's."""
        name = _name(value)
        if not is_users(value):
            return f"installed {name}"
        spelled = [_tree(value)]
        if inspect.isclass(value):
            spelled += [self.value(base) for base in value.__bases__]
            members = {n: v for n, v in vars(value).items() if _is_member(v)}
            spelled.append(self.value(members))
        else:
            spelled += [self.value(value.__defaults__), self.value(value.__kwdefaults__)]
            spelled += self._references(value)
            self._inner(value)
            if hasattr(value, "__wrapped__"):
                spelled.append(self.value(value.__wrapped__))
        text = ";".join(spelled)
        self.parts.append(f"{name}={text}")
        return f"{name}#{_hash(text.encode('utf-8', 'backslashreplace'))}"

    def _inner(self, function: types.FunctionType) -> None:
        """The user's modules that a function imports when it runs, among the parts."""
        package = str(function.__globals__.get("__package__") or "")
        names = _inner_names(function.__code__, package)
        for name, text in followed(names, _users_file) if names else ():
            self.parts.append(f"imported {name}={text}")

    def _references(self, function: types.FunctionType) -> list[str]:
        """Globals and closure of a function by name; of a module also what the function may take from it."""
        scope = {**function.__globals__, **_closure(function)}
        names = sorted(_names(function.__code__))
        out = []
        for name in names:
            if name not in scope:
                continue
            found = scope[name]
            out.append(f"{name}={self.value(found)}")
            if isinstance(found, types.ModuleType) and is_users(found):
                taken = [n for n in names if n in vars(found)]
                out += [f"{name}.{n}={self.value(vars(found)[n])}" for n in taken]
        return out


def _name(value: Any) -> str:
    qualified = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{getattr(value, '__module__', '')}.{qualified}"


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def _listed(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_member(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, (staticmethod, classmethod, property))


def _cells(table: Any) -> Any:
    """Names and cells of a pandas series or frame."""
    yield [str(n) for n in getattr(table, "columns", [getattr(table, "name", "")])]
    for row in np.asarray(table.to_numpy(), dtype=object).ravel():
        yield str(row)


def _closure(function: types.FunctionType) -> dict[str, Any]:
    """Closure by name; a name that has no value yet is left out."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    filled = {}
    for name, cell in cells:
        with contextlib.suppress(ValueError):
            filled[name] = cell.cell_contents
    return filled


def _names(code: types.CodeType) -> set[str]:
    names = {*code.co_names, *code.co_freevars}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _tree(value: Any) -> str:
    if inspect.isfunction(value):
        return _function_tree(value.__code__)
    try:
        return dumped(ast.parse(textwrap.dedent(inspect.getsource(value))))
    except (OSError, SyntaxError, TypeError, IndexError):
        return f"class {sorted(n for n in vars(value) if not n.startswith('__'))}"


@functools.lru_cache(maxsize=1024)
def _inner_names(code: types.CodeType, package: str) -> tuple[str, ...]:
    """Modules that a function imports in its body; none where there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, TypeError, IndexError):
        return ()
    return tuple(n for n in inner_imports(tree, package) if n.split(".")[0] != "mlpipe")


def _users_file(file: str) -> bool:
    return not file.startswith("<frozen") and not _installed(file)


@functools.lru_cache(maxsize=1024)
def _function_tree(code: types.CodeType) -> str:
    """Syntax tree of a function, or its byte code.

    The source of a lambda is the statement that it stands in, which says more than the lambda and is seldom whole.
    """
    if code.co_name == "<lambda>":
        return _bytes(code)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, TypeError, IndexError):
        return _bytes(code)
    return dumped(tree)


def _bytes(code: types.CodeType) -> str:
    constants = [
        _bytes(c)
        if isinstance(c, types.CodeType)
        else repr(sorted(map(repr, c)) if isinstance(c, frozenset) else c)
        for c in code.co_consts
    ]
    parts = (code.co_name, code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, constants)
    return repr(parts)
