"""Modules of the user's that a function imports within its body, and those that they import: their source counts as the function's.

They are looked for on the import path without being run, so that it is the same whether or not they are loaded already.
"""

import ast
import functools
import importlib.machinery
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator

DEEPEST = 2000
"""At most this many modules are followed; a project has fewer."""


def inner_imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names of the modules that a syntax tree may import: ``from a import b`` may mean both ``a`` and ``a.b``.

    Parameters
    ----------
    tree
        Of a function or of a whole module.
    package
        What relative imports start from; empty for none.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", node.level, package)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _absolute(name: str, level: int, package: str) -> str:
    if not level:
        return name
    parts = package.split(".")
    above = parts[: len(parts) - level + 1] if package else []
    return ".".join([*above, *([name] if name else [])])


def followed(names: Iterable[str], users: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Modules of the user's among some names, and all that those import: name and text of the syntax tree of each, once.

    Parameters
    ----------
    users
        Whether a file holds code of the user's.
    """
    waiting, met = list(names), set[str]()
    while waiting and len(met) < DEEPEST:
        name = waiting.pop()
        if name in met:
            continue
        met.add(name)
        file = _file(name)
        if file is None or not file.endswith(".py") or not users(file):
            continue
        package = name if file.endswith("/__init__.py") else name.rpartition(".")[0]
        linecache.checkcache(file)
        text, imported = _read("".join(linecache.getlines(file)), package)
        yield name, text
        waiting += imported
        # The packages above run first.
        waiting += [name[:i] for i, c in enumerate(name) if c == "."]


@functools.lru_cache(maxsize=1024)
def _read(source: str, package: str) -> tuple[str, tuple[str, ...]]:
    """Text of a module's syntax tree and what it imports; of a source that is none, the source itself."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source, ()
    imported = tuple(inner_imports(tree, package))
    return dumped(tree), imported


def dumped(tree: ast.AST) -> str:
    """Text of a syntax tree without docstrings and places. The tree is changed."""
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module))
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree, annotate_fields=False)


def _file(name: str) -> str | None:
    """Where a module's source lies; None where there is none."""
    top, _, _ = name.partition(".")
    if name in sys.builtin_module_names or top in sys.stdlib_module_names:
        return None
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None:
        return str(loaded)
    path: list[str] | None = None
    full, found = "", None
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        found = importlib.machinery.PathFinder.find_spec(full, path)
        if found is None:
            return None
        path = list(found.submodule_search_locations or [])
    return None if found is None or not found.has_location else found.origin
