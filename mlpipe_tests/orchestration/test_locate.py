"""Where a user's definitions are found, and what is said when they are not."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.errors import MlpipeError, NotFoundError, SpecError, UserCodeError
from mlpipe.orchestration.locate import checked, definitions_at, pipeline_of

SHOP = "from mlpipe_tests.orchestration.shop import shop\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files of a project; its modules are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def made(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    yield made
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_definitions_file_in_the_folder(write: Write) -> None:
    folder = write(definitions_dot_py=SHOP + "defs = shop().definitions()\n")
    spec, defs = pipeline_of("shop", folder)
    assert spec.name == "shop" and isinstance(defs, dg.Definitions)
    assert checked(folder, None, None) == ["shop"] == checked(folder, "definitions.py", "shop")


def test_a_project_a_dg_toml_and_a_workspace(write: Write) -> None:
    body = SHOP + "defs = shop(name='{}').definitions()\n"
    folder = write(
        one__pyproject_dot_toml='[tool.dg.project]\nroot_module = "proj_a"\n',
        one__proj_a__definitions_dot_py=body.format("a"),
        two__dg_dot_toml='[project]\nroot_module = "proj_b"\ncode_location_target_module = "proj_b.place"\n',
        two__src__proj_b__place_dot_py=body.format("b"),
        three__workspace_dot_yaml="load_from:\n  - python_file: code/where.py\n",
        three__code__where_dot_py=body.format("c"),
    )
    assert [checked(folder / n, None, None) for n in ("one", "two", "three")] == [["a"], ["b"], ["c"]]


def test_a_file_of_a_package_keeps_its_relative_imports(write: Write) -> None:
    folder = write(
        pack_d____init___dot_py="",
        pack_d__data_dot_py="NAME = 'd'\n",
        pack_d__definitions_dot_py=SHOP + "from .data import NAME\ndefs = shop(name=NAME).definitions()\n",
    )
    (folder / "pack_d").mkdir(exist_ok=True)
    (folder / "pack_d/__init__.py").write_text("")
    assert (
        checked(folder, "pack_d/definitions.py", None) == ["d"] == checked(folder, "pack_d.definitions", None)
    )


def test_the_merged_definitions_count_and_other_locations_do_not(write: Write) -> None:
    lines = (
        "import dagster as dg\n"
        + SHOP
        + "a, b = shop(name='e').definitions(), shop(name='f').definitions()\n"
    )
    folder = write(definitions_dot_py=lines + "defs = dg.Definitions.merge(a, b)\n")
    shop_of_another_location = write(definitions2_dot_py=SHOP + "defs = shop(name='g').definitions()\n")
    assert checked(shop_of_another_location, "definitions2.py", None) == ["g"]
    assert checked(folder, None, None) == ["e", "f"]


def test_an_unknown_pipeline_suggests_a_close_one(write: Write) -> None:
    folder = write(definitions_dot_py=SHOP + "defs = shop().definitions()\n")
    for call in (lambda: pipeline_of("shp", folder), lambda: checked(folder, None, "shp")):
        with pytest.raises(NotFoundError, match="Did you mean 'shop'"):
            call()


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ({}, NotFoundError, ["there is no Dagster project here", "-f definitions.py"]),
        ({"definitions_dot_py": "x = 1\n"}, NotFoundError, ["holds no Dagster definitions"]),
        (
            {"definitions_dot_py": "import dagster as dg\ndefs = dg.Definitions()\n"},
            NotFoundError,
            ["holds no mlpipe pipeline"],
        ),
        (
            {"definitions_dot_py": "x = 1\nraise ValueError('oh')\n"},
            UserCodeError,
            ["definitions.py:2", "ValueError: oh"],
        ),
        ({"definitions_dot_py": "x = (\n"}, UserCodeError, ["definitions.py:1", "SyntaxError"]),
        (
            {"definitions_dot_py": "import absent_thing\n"},
            UserCodeError,
            ["definitions.py:1", "absent_thing"],
        ),
        ({"definitions_dot_py": SHOP + "shop(windw=1)\n"}, SpecError, ["unknown key 'windw'"]),
        ({"workspace_dot_yaml": "load_from: [\n"}, NotFoundError, ["no valid YAML"]),
        ({"workspace_dot_yaml": "load_from: []\n"}, NotFoundError, ["names no Python module or file"]),
        ({"pyproject_dot_toml": "[tool\n"}, NotFoundError, ["no valid TOML"]),
        (
            {"pyproject_dot_toml": '[tool.dg.project]\nroot_module = "proj_z"\n'},
            NotFoundError,
            ["there is no module proj_z"],
        ),
    ],
)
def test_what_does_not_load_is_one_paragraph_with_its_place(
    write: Write, files: dict[str, str], kind: type[MlpipeError], words: list[str]
) -> None:
    with pytest.raises(kind) as caught:
        checked(write(**files), None, None)
    assert all(w in str(caught.value) for w in words), str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_missing_import_is_not_taken_for_the_missing_module(write: Write) -> None:
    # Its name begins as that of the package does.
    folder = write(
        proj_y__definitions_dot_py="import proj\n",
        pyproject_dot_toml='[tool.dg.project]\nroot_module = "proj_y"\n',
    )
    with pytest.raises(UserCodeError, match="No module named 'proj'"):
        definitions_at(folder)


def test_what_dagster_refuses_is_said_in_one_line(write: Write) -> None:
    lines = "import dagster as dg\n" + SHOP
    lines += "@dg.asset(key=['shop', 'raw'])\ndef raw(): ...\n"
    lines += "defs = dg.Definitions.merge(shop().definitions(), dg.Definitions(assets=[raw]))\n"
    with pytest.raises(MlpipeError, match="Dagster cannot load these definitions") as caught:
        checked(write(definitions_dot_py=lines), None, None)
    assert "shop" in str(caught.value) and str(caught.value).count("\n") == 1


def test_a_lazy_definitions_function_is_called(write: Write) -> None:
    lines = (
        "import dagster as dg\n"
        + SHOP
        + "@dg.definitions\ndef anything():\n    return shop(name='h').definitions()\n"
    )
    assert checked(write(definitions_dot_py=lines), None, None) == ["h"]
