"""Fingerprints: what a function does changes them, how it is written does not."""

import functools
import importlib
import importlib.util
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpipe.core.fingerprint import fingerprint, is_users

BASE = """
import functools
import json
import numpy as np

LIMIT = 3
TABLE = {"a": [1, {2, 3}], "f": len}
WEIGHTS = np.array([1.0, 2.0])

def scaled(x):
    return x * 2

def main(x, power=2, *, shift=0):
    '''Says what it does.'''
    # and why
    return scaled(x) ** power + LIMIT + shift + TABLE["a"][0] + WEIGHTS[0] + len(json.dumps(x))
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Loader of a module from its source; each call makes a new one, under the same name."""
    count = iter(range(1000))

    def made(source: str, **helpers: str) -> Any:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        for name, text in helpers.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(folder)
        (folder / "users_module.py").write_text(textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location("users_module", folder / "users_module.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "users_module", module)
        spec.loader.exec_module(module)
        return module

    return made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x ** power", "x ** power"),
        ("'''Says what it does.'''", "'''Says it otherwise.'''"),
        ("    '''Says what it does.'''\n", ""),
        ("# and why", "# or not"),
        ("    return scaled(x) ** power", "\n    return scaled(\n        x\n    ) ** (power)"),
        ("import json", "import json\nimport os\nUNUSED = 4"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(load: Callable[..., Any], old: str, new: str) -> None:
    assert old in BASE or old == new
    assert fingerprint(load(BASE).main) == fingerprint(load(BASE.replace(old, new)).main)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scaled(x) ** power", "scaled(x) * power"),
        ("x * 2", "x * 3"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("[1, {2, 3}]", "[1, {2, 4}]"),
        ('"f": len', '"f": max'),
        ("1.0, 2.0", "1.0, 2.5"),
        ("power=2", "power=3"),
        ("shift=0", "shift=1"),
    ],
)
def test_code_helpers_constants_and_defaults_count(load: Callable[..., Any], old: str, new: str) -> None:
    assert old in BASE
    assert fingerprint(load(BASE).main) != fingerprint(load(BASE.replace(old, new)).main)


_SHAPES = """
## closure
def make(k):
    def f(x):
        return x + k
    return f
main = make(<2>)
## two closures of one factory
def make(k):
    return lambda x: x + k
a, b = make(1), make(<2>)
def main(x):
    return a(x) + b(x)
## swapped closures
def make(k):
    return lambda x: x + k
a, b = make(<2>), make(5 - <2>)
def main(x):
    return a(x) - b(x)
## lambda constant
main = lambda x: x + <2>
## lambda attribute
main = lambda r: r.a<2>
## lambda in a lambda
main = lambda x: (lambda y: y + <2>)(x)
## partial
import functools
def f(x, k):
    return x + k
main = functools.partial(f, k=<2>)
## function of a partial
import functools
def f(x, k):
    return x + k + <2>
main = functools.partial(f, k=1)
## method
class A:
    def run(self, x):
        return x + <2>
main = A().run
## state behind a method
class A:
    def __init__(self, k):
        self.k = k
    def run(self, x):
        return x + self.k
main = A(<2>).run
## state of a callable
class A:
    def __init__(self, k):
        self.k = k
    def __call__(self, x):
        return x + self.k
main = A(<2>)
## slots
class A:
    __slots__ = ('k',)
    def __init__(self, k):
        self.k = k
    def __call__(self, x):
        return x + self.k
main = A(<2>)
## base class
class B:
    def help(self, x):
        return x + <2>
class A(B):
    def __call__(self, x):
        return self.help(x)
main = A()
## static method
def help(x):
    return x + <2>
class A:
    @staticmethod
    def run(x):
        return help(x)
main = A.run
## decorator
import functools
def twice(f):
    @functools.wraps(f)
    def g(x):
        return <2> * f(x)
    return g
@twice
def main(x):
    return x
## decorated
import functools
def twice(f):
    @functools.wraps(f)
    def g(x):
        return 2 * f(x)
    return g
@twice
def main(x):
    return x + <2>
## cached
import functools
@functools.lru_cache
def main(x):
    return x + <2>
## cached helper
import functools
@functools.lru_cache
def help(x):
    return x + <2>
def main(x):
    return help(x)
## recursion
def main(x):
    return main(x - 1) if x else <2>
## mutual recursion
def other(x):
    return main(x) + <2>
def main(x):
    return other(x - 1) if x else 0
## functions in a table
def f(x):
    return x + <2>
TABLE = {'f': f}
def main(x):
    return TABLE['f'](x)
## object among the globals
class C:
    def __init__(self, k):
        self.k = k
CONFIG = C(<2>)
def main(x):
    return x + CONFIG.k
## dataclass
import dataclasses
@dataclasses.dataclass(frozen=True)
class C:
    k: int = <2>
def main(x):
    return x + C().k
## nested function
def main(x):
    def inner(y):
        return y + <2>
    return inner(x)
## estimator's parameter
from sklearn.linear_model import Ridge
MODEL = Ridge(alpha=<2>)
def main(x):
    return MODEL
## frame
import pandas as pd
F = pd.DataFrame({'a': [1, <2>]})
def main(x):
    return F['a']
"""
SHAPES = dict(part.split("\n", 1) for part in _SHAPES.strip().removeprefix("## ").split("\n## "))
"""Sources by what they show; the number in ``<2>`` decides what `main` does."""


@pytest.mark.parametrize("shape", list(SHAPES))
def test_what_a_function_is_made_of_counts(load: Callable[..., Any], shape: str) -> None:
    def at(number: int) -> str:
        return fingerprint(load(SHAPES[shape].replace("<2>", str(number))).main)

    assert at(2) == at(2)
    assert at(2) != at(3)


def test_modules_of_the_users_count_and_so_does_what_they_import(load: Callable[..., Any]) -> None:
    def made(deep: str) -> str:
        helpers = {
            "users_deep": f"def deep(x):\n    return x + {deep}",
            "users_near": "from users_deep import deep",
        }
        return fingerprint(
            load("import users_near\ndef main(x):\n    return users_near.deep(x)", **helpers).main
        )

    assert made("1") == made("1") != made("2")


@pytest.mark.parametrize(
    "line",
    [
        "import users_near",
        "import users_near as near",
        "from users_near import deep",
        "from users_near import deep as d, shallow",
    ],
)
def test_what_is_imported_when_a_function_runs_counts_with_all_that_it_imports(
    load: Callable[..., Any], line: str
) -> None:
    def made(deep: str, other: str = "", note: str = "") -> str:
        helpers = {
            "users_deep": f"def deep(x):\n    return x + {deep}",
            "users_near": f"{note}\ndef shallow(x):\n    from users_deep import deep\n    return deep(x)\ndeep = shallow",
            "users_other": f"X = 1{other}",
        }
        source = f"def main(x):\n    {line}\n    import json\n    return x"
        return fingerprint(load(source, **helpers).main)

    assert made("1") == made("1") == made("1", other="2") == made("1", note="# said") != made("2")


def test_packages_are_followed_whether_or_not_they_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "users_shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "prices.py").write_text("PRICE = 1")
    (package / "main.py").write_text("def main(x):\n    from .prices import PRICE\n    return x * PRICE")
    monkeypatch.syspath_prepend(tmp_path)

    def made() -> str:
        for name in [n for n in sys.modules if n.split(".")[0] == "users_shop"]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        return fingerprint(importlib.import_module("users_shop.main").main)

    before = made()
    assert "users_shop.prices" not in sys.modules
    importlib.import_module("users_shop.prices")
    main = importlib.import_module("users_shop.main").main
    assert fingerprint(main) == before == made()
    (package / "prices.py").write_text("PRICE = 22")
    changed = made()
    (package / "__init__.py").write_text("FLAG = True")
    assert len({before, changed, made()}) == 3


def test_functions_without_source(load: Callable[..., Any]) -> None:
    def executed(source: str, **names: object) -> Any:
        scope = {**names}
        exec(source, scope)  # noqa: S102
        return scope["f"]

    one = executed("def f(r):\n    return r.a + 1")
    assert fingerprint(one) == fingerprint(executed("def f(r):\n\n    return (r.a + 1)  # same"))
    for other in ("r.b + 1", "r.a + 2", "r.a - 1"):
        assert fingerprint(one) != fingerprint(executed(f"def f(r):\n    return {other}"))
    assert fingerprint(executed("def f(r):\n    return K", K=1)) != fingerprint(
        executed("def f(r):\n    return K", K=2)
    )


def test_a_fingerprint_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Also of a script's own functions, and whatever the hash seed and the addresses."""
    script = tmp_path / "script.py"
    script.write_text(
        BASE + "NAMES = {'b', 'a', 'c'}\n"
        "class Thing:\n    pass\nTHING = Thing()\n"
        "def all_of(x, key=lambda v: v):\n    return main(x), NAMES, THING, key\n"
        "if __name__ == '__main__':\n"
        "    from mlpipe.core.fingerprint import fingerprint\n"
        "    print(fingerprint(main), fingerprint(all_of))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1 and len(set(said.pop().split())) == 2


def test_what_is_installed_is_named_and_not_followed() -> None:
    assert not is_users(np.mean) and not is_users(functools.reduce) and not is_users(fingerprint)
    assert not is_users(int) and not is_users(functools)
    assert is_users(test_what_is_installed_is_named_and_not_followed)
    assert fingerprint(len) != fingerprint(max)
    assert fingerprint(np.mean) != fingerprint(np.median)
