"""Find a user's pipelines: from the project in the working folder, or from a file or module that is named."""

import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from mlpipe.errors import MlpipeError, NotFoundError, did_you_mean
from mlpipe.orchestration.definitions import PIPELINES
from mlpipe.spec.pipeline import PipelineSpec

FIX = "Run it in the folder of a project (pyproject.toml with [tool.dg.project], or workspace.yaml), or name the file: -f definitions.py, or -m package.definitions."


def definitions_at(folder: Path, target: str | None = None) -> dg.Definitions:
    """The Dagster definitions of a project.

    Parameters
    ----------
    folder
        Where to look for ``pyproject.toml`` or ``workspace.yaml``.
    target
        A Python file or a dotted module instead.

    Raises
    ------
    MlpipeError
        When there is nothing to load, or it holds no definitions.
    """
    module = _load(*(_named(target, folder) if target else _found(folder)))
    for value in vars(module).values():
        if isinstance(value, dg.Definitions):
            return value
    for value in vars(module).values():
        # What `@dg.definitions` makes: called, it gives the definitions.
        if type(value).__name__ == "LazyDefinitions":
            made: dg.Definitions = value()
            return made
    raise MlpipeError(
        f"{module.__name__} holds no Dagster definitions",
        where=str(module.__file__),
        fix="Assign them: defs = pipeline.definitions().",
    )


def pipeline_of(name: str, folder: Path, target: str | None = None) -> tuple[PipelineSpec, dg.Definitions]:
    """A pipeline by name, with the definitions of its code location.

    Raises
    ------
    NotFoundError
        When no pipeline of that name is there; with close names.
    """
    defs = definitions_at(folder, target)
    if name not in PIPELINES:
        raise NotFoundError(
            f"there is no pipeline {name!r}",
            fix=did_you_mean(name, sorted(PIPELINES)) or "The code location holds no mlpipe pipeline.",
        )
    return PIPELINES[name], defs


def checked(folder: Path, target: str | None, name: str | None) -> list[str]:
    """Names of the pipelines of a project that load, assets and jobs included.

    Raises
    ------
    MlpipeError
        When the project or a pipeline does not load, or there is none of that name.
    """
    try:
        defs = definitions_at(folder, target)
        dg.Definitions.validate_loadable(defs)
    except dg.DagsterError as error:
        raise MlpipeError(
            f"Dagster cannot load these definitions: {str(error).strip().splitlines()[0]}",
            where=str(folder),
            fix="Mend the assets that it names.",
        ) from error
    if name is None and not PIPELINES:
        raise NotFoundError(
            "the code location holds no mlpipe pipeline",
            where=str(folder),
            fix="Declare one: mlpipe.Pipeline(…).definitions().",
        )
    if name is not None and name not in PIPELINES:
        raise NotFoundError(f"there is no pipeline {name!r}", fix=did_you_mean(name, sorted(PIPELINES)))
    return sorted(PIPELINES) if name is None else [name]


def _named(target: str, folder: Path) -> tuple[str, Path]:
    path = folder / target
    if target.endswith(".py"):
        if not path.is_file():
            raise NotFoundError(f"there is no file {target}", where=str(folder), fix=FIX)
        return str(path), path.parent
    return target, folder


def _found(folder: Path) -> tuple[str, Path]:
    pyproject = folder / "pyproject.toml"
    if pyproject.is_file():
        dg_table = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("dg", {})
        project = dg_table.get("project") or {}
        if "root_module" in project:
            root = folder / "src" if (folder / "src").is_dir() else folder
            return project.get("code_location_target_module") or f"{project['root_module']}.definitions", root
    workspace = folder / "workspace.yaml"
    if workspace.is_file():
        return _of_workspace(yaml.safe_load(workspace.read_text(encoding="utf-8")) or {}, folder, workspace)
    if (folder / "definitions.py").is_file():
        return str(folder / "definitions.py"), folder
    raise NotFoundError("there is no Dagster project here", where=str(folder), fix=FIX)


def _of_workspace(content: Mapping[str, Any], folder: Path, file: Path) -> tuple[str, Path]:
    entries = content.get("load_from") or []
    for entry in entries:
        if "python_module" in entry:
            value = entry["python_module"]
            name = value if isinstance(value, str) else value["module_name"]
            return name, folder / ("." if isinstance(value, str) else value.get("working_directory", "."))
        if "python_file" in entry:
            value = entry["python_file"]
            path = folder / (value if isinstance(value, str) else value["relative_path"])
            return str(path), path.parent
    raise NotFoundError("the workspace names no Python module or file", where=str(file), fix=FIX)


def _load(name: str, root: Path) -> Any:
    if str(root.resolve()) not in sys.path:
        sys.path.insert(0, str(root.resolve()))
    if not name.endswith(".py"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and name.startswith(error.name):
                raise NotFoundError(f"there is no module {name}", where=str(root), fix=FIX) from None
            raise
    path = Path(name).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
