"""The rules of the house: walls, sizes, import cost, public names, mirrored tests, and what the text may say.

Every rule is a function over paths and text that returns sentences about what is wrong, so that `test_house` can
show it a bad example too.
"""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ORDER = (
    "errors",
    "core",
    "spec",
    "records",
    "stores",
    "ledger",
    "stages",
    "scaffold",
    "index",
    "views",
    "notify",
    "orchestration",
)
TOP = ("__init__", "__main__", "cli", "pipeline", "testing")
"""Modules that stand above all rooms: doors and commands."""
READERS = ("index", "views", "notify")
"""Rooms that read what was recorded; they know no stage."""
DAGSTER = re.compile(r"dagster(_\w+)?(\.|$)")

LONGEST_MODULE, LONGEST_FUNCTION, MOST_NAMES, SLOWEST_IMPORT = 400, 60, 20, 0.15
VAGUE = {"util", "utils", "common", "helper", "helpers", "misc"}
HEAVY = ("dagster", "sklearn", "torch", "great_expectations", "evidently", "pandas", "numpy")
TOP_TESTS = {"test_house", "test_pipeline", "test_public", "test_testing"}
TEST_FOLDERS = {"examples", "deploy", "corpus", "refusals"}
"""Folders of tests beside those that mirror a room."""


@dataclass(frozen=True)
class Import:
    """One import: the dotted module, its line, and whether only the type checker sees it."""

    module: str
    line: int
    typing_only: bool = False


def imports(path: str, source: str) -> Iterator[Import]:
    """Every import of a module, wherever it stands: at the top, in a function, for the type checker, or by `import_module`."""
    package = path.removesuffix(".py").split("/")[:-1]

    def walk(node: ast.AST, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            # `from mlpipe import core` names a room as much as `import mlpipe.core` does.
            names = (
                [f"{module}.{a.name}" for a in node.names] if module in ("mlpipe", "dagster") else [module]
            )
            yield from (Import(name, node.lineno, typing_only) for name in names)
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield Import(str(node.args[0].value), node.lineno, typing_only)
        if isinstance(node, ast.If) and _called(node.test) == "TYPE_CHECKING":
            yield from (i for child in node.body for i in walk(child, True))
            yield from (i for child in node.orelse for i in walk(child, typing_only))
            return
        for child in ast.iter_child_nodes(node):
            yield from walk(child, typing_only)

    return walk(ast.parse(source), False)


def _called(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def room_of(path: str) -> str:
    """Room of a module's path such as ``mlpipe/core/drift.py``; a module of the top is its own room."""
    parts = path.removesuffix(".py").split("/")
    return parts[1]


def wall_problems(path: str, source: str) -> list[str]:
    """Imports that a module may not make: from a room at its own height or above, or of Dagster outside its room."""
    here = room_of(path)
    if here not in ORDER and here not in TOP:
        return [f"{path}: '{here}' is no room that the house knows; rooms are {', '.join(ORDER)}"]
    found = []
    for made in imports(path, source):
        root, _, rest = made.module.partition(".")
        there = rest.split(".")[0]
        if root == "mlpipe" and here in ORDER and there != here:
            found += [f"{path}:{made.line}: {why}" for why in _forbidden(here, there)]
        if (
            DAGSTER.match(made.module)
            and here != "orchestration"
            and not (here == "pipeline" and made.typing_only)
        ):
            found.append(f"{path}:{made.line}: '{made.module}' may be imported in orchestration only")
    return found


def _forbidden(here: str, there: str) -> Iterator[str]:
    if there not in ORDER:
        yield f"{here} may not import '{there or 'mlpipe'}', which stands above all rooms"
    elif here == "core" and there != "errors":
        yield f"core is pure and imports no room but errors, not {there}"
    elif here in READERS and there == "stages":
        yield f"{here} reads what was recorded, and may not import stages"
    elif ORDER.index(there) > ORDER.index(here):
        yield f"{here} may not import {there}, which stands above it"


def private_problems(path: str, source: str) -> list[str]:
    """Private names of Dagster: imported, or reached through ``dagster._x`` or ``dg._x``."""
    found = [
        f"{path}:{made.line}: '{made.module}' is private to Dagster"
        for made in imports(path, source)
        if DAGSTER.match(made.module) and any(part.startswith("_") for part in made.module.split("."))
    ]
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("dagster", "dg")
        ):
            if node.attr.startswith("_") and not node.attr.startswith("__"):
                found.append(f"{path}:{node.lineno}: '{node.value.id}.{node.attr}' is private to Dagster")
    return found


def size_problems(path: str, source: str) -> list[str]:
    """Modules and functions that no longer fit into a head, and names that say nothing."""
    found = [
        f"{path}: a module called '{part}' collects whatever nobody placed"
        for part in path.removesuffix(".py").split("/")
        if VAGUE & set(part.lower().split("_"))
    ]
    lines = source.splitlines()
    if len(lines) > LONGEST_MODULE:
        found.append(f"{path}: {len(lines)} lines, at most {LONGEST_MODULE} are allowed")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = code_lines(node, lines)
            if size > LONGEST_FUNCTION:
                found.append(
                    f"{path}:{node.lineno}: {node.name} has {size} lines of code, at most {LONGEST_FUNCTION} are allowed"
                )
    return found


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """Lines of a function without its docstring, comments and empty lines."""
    first = node.body[0]
    documented = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    skipped = set(range(first.lineno, (first.end_lineno or first.lineno) + 1)) if documented else set()
    numbers = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return sum(
        1
        for n in numbers
        if n not in skipped and lines[n - 1].strip() and not lines[n - 1].strip().startswith("#")
    )


def mirror_problems(tests: Iterable[str], rooms: Mapping[str, int]) -> list[str]:
    """Tests outside the room that they mirror, and rooms (with their number of modules) that no test looks at."""
    found, seen = [], set()
    for path in tests:
        *folders, name = path.split("/")[1:]
        if not folders and name.removesuffix(".py") not in TOP_TESTS:
            found.append(f"{path}: move it into the folder of the room that it tests")
        elif folders and folders[0] not in rooms and folders[0] not in TEST_FOLDERS:
            found.append(f"{path}: mlpipe has no room '{folders[0]}'")
        seen.update(folders[:1])
    return found + [
        f"mlpipe_tests/{room} holds no test"
        for room, modules in sorted(rooms.items())
        if modules and room not in seen
    ]


def public_problems(names: list[str], listed: list[str], resolves: Mapping[str, bool]) -> list[str]:
    """Public names that are too many, are not listed, or lead nowhere."""
    found = (
        [f"{len(names)} public names, at most {MOST_NAMES} are allowed"] if len(names) > MOST_NAMES else []
    )
    if sorted(names) != sorted(listed):
        found.append(f"dir(mlpipe) and __all__ differ by {sorted(set(names) ^ set(listed))}")
    return found + [f"'{name}' cannot be resolved" for name in names if not resolves[name]]


def import_problems(seconds: list[float], loaded: Iterable[str]) -> list[str]:
    """What importing mlpipe costs: its median time, and heavy packages that it pulled in."""
    median = statistics.median(seconds)
    found = (
        [f"import mlpipe takes {median:.2f} s, at most {SLOWEST_IMPORT} s are allowed"]
        if median > SLOWEST_IMPORT
        else []
    )
    return found + [f"import mlpipe loads {name}" for name in HEAVY if name in set(loaded)]


# Spelled in two parts, so that this file may be looked at too.
WORKPLACE = re.compile(r"(?<![\w.~$})-])/" + "work/")


def text_problems(path: str, text: str) -> list[str]:
    """Lines that name a folder of the machine on which they were written."""
    return [
        f"{path}:{n}: names a folder that only one machine has"
        for n, line in enumerate(text.splitlines(), 1)
        if WORKPLACE.search(line)
    ]


def link_problems(path: str, text: str, files: Iterable[str]) -> list[str]:
    """Relative links of a page that lead to nothing in the project."""
    known = {part for file in files for part in (file, *(str(p) for p in Path(file).parents))}
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"<!--.*?-->", "", text, flags=re.S)):
        if re.match(r"[a-z]+:|#", target):
            continue
        place = (Path(path).parent / target.split("#")[0]).as_posix()
        if _flat(place) not in known:
            found.append(f"{path}: the link to {target} leads nowhere")
    return found


def _flat(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "."


def tracked() -> list[str]:
    """Files of the project: those that git tracks or would; without git, all but hidden folders and builds."""
    if (ROOT / ".git").exists():
        asked = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    else:
        names = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]
        names = [
            n
            for n in names
            if not re.search(r"(^|/)(\.(?!ci/)[^/]+|__pycache__|build|dist|[^/]+\.egg-info)/", n)
        ]
    return sorted(n for n in names if (ROOT / n).is_file())


def modules(folder: str = "mlpipe") -> dict[str, str]:
    """Python files below a folder of the project, with their text."""
    return {p.relative_to(ROOT).as_posix(): p.read_text() for p in sorted((ROOT / folder).rglob("*.py"))}


def rooms() -> dict[str, int]:
    """Rooms of mlpipe, with how many modules each holds beside its ``__init__``."""
    folders = [p for p in (ROOT / "mlpipe").iterdir() if p.is_dir() and p.name != "__pycache__"]
    return {p.name: sum(1 for m in p.rglob("*.py") if m.name != "__init__.py") for p in folders}
