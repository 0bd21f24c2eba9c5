"""Which modules a syntax tree imports, by hand."""

import ast

import pytest

from mlpipe.core.imports import dumped, followed, inner_imports


@pytest.mark.parametrize(
    ("source", "package", "names"),
    [
        ("import a.b, c as d", "", ["a.b", "c"]),
        ("from a import b, c", "", ["a", "a.b", "a.c"]),
        ("from . import b", "p.q", ["p.q", "p.q.b"]),
        ("from ..r import b", "p.q", ["p.r", "p.r.b"]),
        ("from .r import *", "p", ["p.r"]),
        ("from . import b", "", []),
        ("def f():\n    if x:\n        import a", "", ["a"]),
        ("x = 1", "", []),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, package: str, names: list[str]) -> None:
    assert list(inner_imports(ast.parse(source), package)) == names


def test_what_is_no_module_of_the_users_is_not_followed() -> None:
    names = ["json", "sys", "numpy", "no_such_module.at_all", "xml.dom", ""]
    assert list(followed(names, lambda file: "site-packages" not in file)) == []


def test_docstrings_do_not_count() -> None:
    with_one = dumped(ast.parse('def f():\n    """Says."""\n    return 1'))
    assert with_one == dumped(ast.parse("def f():  # no\n    return 1"))
