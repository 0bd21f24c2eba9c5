"""The house as it stands keeps its rules, and each rule sees a house that breaks it."""

import re
import subprocess
import sys
from collections.abc import Iterable

import pytest
import yaml

import mlpipe
from mlpipe_tests.house import (
    ROOT,
    import_problems,
    link_problems,
    mirror_problems,
    modules,
    private_problems,
    public_problems,
    rooms,
    size_problems,
    text_problems,
    tracked,
    wall_problems,
)


def tell(problems: Iterable[str]) -> None:
    """Fail with every problem in full."""
    listed = list(problems)
    assert not listed, "\n" + "\n".join(listed)


# -- the rules, on the house as it stands ---------------------------------------------------------------------------


def test_no_module_reaches_over_a_wall() -> None:
    tell(p for path, source in modules().items() for p in wall_problems(path, source))


@pytest.mark.parametrize("folder", ["mlpipe", "mlpipe_tests", "examples"])
def test_nobody_uses_a_private_name_of_dagster(folder: str) -> None:
    tell(p for path, source in modules(folder).items() for p in private_problems(path, source))


def test_modules_and_functions_stay_small() -> None:
    tell(p for path, source in modules().items() for p in size_problems(path, source))


def test_importing_mlpipe_costs_next_to_nothing() -> None:
    code = "import time; t = time.perf_counter(); import mlpipe, sys; print(time.perf_counter() - t, *sys.modules)"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(5)
    ]
    tell(import_problems([float(r[0]) for r in runs], runs[0][1:]))


def test_public_names_are_few_and_all_there() -> None:
    resolves = {name: getattr(mlpipe, name, None) is not None for name in mlpipe.__all__}
    tell(public_problems(list(mlpipe.__all__), dir(mlpipe), resolves))
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        _ = mlpipe.Pipelin


def test_tests_mirror_the_rooms() -> None:
    tests = [path for path in modules("mlpipe_tests") if path.rpartition("/")[2].startswith("test_")]
    tell(mirror_problems(tests, rooms()))


def test_the_text_speaks_of_the_project_alone() -> None:
    files = tracked()
    assert len(files) > 100, "hardly a file was found to look at"
    tell(p for path in files for p in text_problems(path, (ROOT / path).read_text(errors="ignore")))


def test_links_between_pages_lead_somewhere() -> None:
    files = tracked()
    pages = [f for f in files if f.endswith(".md")]
    assert {"README.md", "CHANGELOG.md", "docs/architecture.md", "deploy/README.md"} <= set(pages)
    tell(p for page in pages for p in link_problems(page, (ROOT / page).read_text(), files))


def test_the_readme_and_the_makefile_name_the_same_commands() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    documented = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.M))
    assert {"demo", "test", "test-long", "ui", "check", "bench", "help", "install"} <= documented
    assert {"demo", "test"} <= set(re.findall(r"\bmake ([a-z-]+)", readme)) <= documented


def test_the_deployment_is_readable_and_pins_what_it_installs() -> None:
    values = yaml.safe_load((ROOT / "deploy/values.yaml").read_text())
    assert {"dagster-user-deployments", "runLauncher", "postgresql"} <= values.keys()
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    assert "--require-hashes" in dockerfile
    assert re.search(r"^USER (?!root|0\b)\S+", dockerfile, flags=re.M), "the image runs as root"


# -- the rules, on houses that break them -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("mlpipe/spec/a.py", "from mlpipe.records.codec import digest"),
        ("mlpipe/stores/a.py", "import mlpipe.stages.runner"),
        ("mlpipe/records/a.py", "def f():\n    from mlpipe.ledger.chain import Ledger"),
        (
            "mlpipe/ledger/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mlpipe.stages import runner",
        ),
        (
            "mlpipe/stages/a.py",
            "from importlib import import_module\nx = import_module('mlpipe.orchestration.assets')",
        ),
        ("mlpipe/records/a.py", "from ..stages import runner"),
        ("mlpipe/records/a.py", "from mlpipe import stages"),
        ("mlpipe/core/a.py", "from mlpipe.spec.nodes import Node"),
        ("mlpipe/core/a.py", "from mlpipe import Pipeline"),
        ("mlpipe/index/a.py", "from mlpipe.stages.runner import Stage"),
        ("mlpipe/views/a.py", "from mlpipe.stages.runner import Stage"),
        ("mlpipe/stages/a.py", "from mlpipe.cli import main"),
        ("mlpipe/stages/a.py", "import dagster as dg"),
        ("mlpipe/cli.py", "def f():\n    from dagster import Definitions"),
        ("mlpipe/stores/a.py", "import dagster_k8s"),
        ("mlpipe/pipeline.py", "import dagster as dg"),
        ("mlpipe/attic/a.py", ""),
    ],
)
def test_walls_see_what_reaches_over_them(path: str, source: str) -> None:
    assert len(wall_problems(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("mlpipe/spec/a.py", "from mlpipe.core.gates import GATES\nfrom mlpipe.errors import SpecError"),
        (
            "mlpipe/stages/a.py",
            "from mlpipe.stages.runner import Stage\nfrom .context import Run\nimport pandas",
        ),
        ("mlpipe/index/a.py", "from mlpipe.records.record import Record"),
        ("mlpipe/orchestration/a.py", "import dagster as dg\nfrom mlpipe.stages import runner"),
        (
            "mlpipe/pipeline.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dagster as dg\ndef f():\n    import mlpipe.orchestration",
        ),
        ("mlpipe/core/a.py", "import dagsterly"),
    ],
)
def test_walls_have_doors(path: str, source: str) -> None:
    assert wall_problems(path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "from dagster._core.instance import DagsterInstance",
        "import dagster._utils",
        "from dagster import _check",
        "import dagster_k8s._x",
        "import dagster as dg\nx = dg._core",
        "from importlib import import_module\nx = import_module('dagster._core')",
    ],
)
def test_private_names_are_seen(source: str) -> None:
    assert len(private_problems("mlpipe/orchestration/a.py", source)) == 1
    assert (
        private_problems("mlpipe/orchestration/a.py", "import dagster as dg\nx = dg.__version__, dg.job")
        == []
    )


def test_sizes_are_counted_without_what_explains() -> None:
    body = "    x = 1\n" * 59
    explained = '    """Why.\n\n    And how.\n    """\n    # a reason\n\n'
    assert size_problems("mlpipe/core/a.py", f"def f():\n{explained}{body}") == []
    assert len(size_problems("mlpipe/core/a.py", f"class A:\n  def f():\n{body}    y = 2\n")) == 1
    assert size_problems("mlpipe/core/a.py", "x = 1\n" * 400) == []
    assert len(size_problems("mlpipe/core/a.py", "x = 1\n" * 401)) == 1


@pytest.mark.parametrize(
    "path", ["mlpipe/utils.py", "mlpipe/core/string_helpers.py", "mlpipe/common/a.py", "mlpipe/core/Utils.py"]
)
def test_vague_names_are_seen(path: str) -> None:
    assert len(size_problems(path, "")) == 1
    assert size_problems("mlpipe/core/commons.py", "") == []


def test_tests_out_of_place_are_seen() -> None:
    where = {"core": 3, "index": 0}
    assert (
        mirror_problems(
            ["mlpipe_tests/core/test_a.py", "mlpipe_tests/test_house.py", "mlpipe_tests/examples/test_a.py"],
            where,
        )
        == []
    )
    assert len(mirror_problems(["mlpipe_tests/core/test_a.py", "mlpipe_tests/test_drift.py"], where)) == 1
    assert len(mirror_problems(["mlpipe_tests/core/test_a.py", "mlpipe_tests/cellar/test_a.py"], where)) == 1
    assert mirror_problems([], where) == ["mlpipe_tests/core holds no test"]


def test_bad_public_names_are_seen() -> None:
    many = [f"n{i}" for i in range(21)]
    assert len(public_problems(many, many, dict.fromkeys(many, True))) == 1
    assert len(public_problems(["a"], ["a", "b"], {"a": True})) == 1
    assert len(public_problems(["a"], ["a"], {"a": False})) == 1
    assert public_problems(["a"], ["a"], {"a": True}) == []


def test_dear_imports_are_seen() -> None:
    assert import_problems([0.01, 0.02, 9.0], ["sys", "json"]) == []
    assert len(import_problems([0.2, 0.2, 0.01], [])) == 1
    assert import_problems([0.0], ["json", "numpy", "dagster"]) == [
        "import mlpipe loads dagster",
        "import mlpipe loads numpy",
    ]


def test_foreign_folders_are_seen() -> None:
    here = "/" + "work/"
    for bad in (f"open('{here}main')", f"see {here}x", f"{here}x", f"file://{here}x"):
        assert text_problems("a.md", f"fine\n{bad}") == ["a.md:2: names a folder that only one machine has"]
    for good in (f"~{here}x", f"home{here}x", f"..{here}x", f"https://example.org{here}", f"$HOME{here}"):
        assert text_problems("a.md", good) == []


def test_broken_links_are_seen() -> None:
    files = ["README.md", "docs/a.md", "docs/b.png"]
    good = (
        "[a](docs/a.md#x) ![b](docs/b.png) [c](https://x.org) [d](#here) [e](docs) <!-- ![f](docs/f.png) -->"
    )
    assert link_problems("README.md", good, files) == []
    assert link_problems("docs/a.md", "[r](../README.md) [b](b.png)", files) == []
    assert len(link_problems("docs/a.md", "[r](README.md)", files)) == 1
