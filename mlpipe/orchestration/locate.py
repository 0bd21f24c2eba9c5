"""Find a user's pipelines: from the project in the working folder, or from a file or module that is named."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from mlpipe.errors import MlpipeError, NotFoundError, UserCodeError, did_you_mean
from mlpipe.orchestration.causes import cause, first_line, place
from mlpipe.orchestration.definitions import PIPELINES
from mlpipe.orchestration.defs_files import look_over
from mlpipe.orchestration.settled import settle
from mlpipe.orchestration.toml_file import table_of
from mlpipe.spec.nodes import shown
from mlpipe.spec.pipeline import PipelineSpec

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""A pipeline's name, and so perhaps a folder's."""
FIX = (
    "Run it in the folder of a project (pyproject.toml with [tool.dg.project], or workspace.yaml), "
    "or name its definitions: -f definitions.py, or -f package.definitions."
)


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
    NotFoundError
        When there is nothing to load, or it holds no definitions.
    MlpipeError
        What a pipeline of the project raised.
    UserCodeError
        When the project's own code raised something else; with the file and line.
    """
    name, root = _named(target, folder) if target else _found(folder)
    package = _package(name, root)
    if package is not None:
        look_over(package)
    with _loading(name):
        module = _load(name, root)
    values = vars(module)
    found = [values["defs"]] if "defs" in values else list(values.values())
    for value in found:
        if isinstance(value, dg.Definitions):
            return value
    for value in found:
        # What `@dg.definitions` makes: called, it gives the definitions.
        if type(value).__name__ == "LazyDefinitions":
            with _loading(name):
                made: dg.Definitions = value()
                return made
    raise NotFoundError(
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
    MlpipeError
        As `definitions_at`; also when Dagster refuses the definitions.
    """
    if target is None and NAME.fullmatch(name) and _project(folder / name):
        # A project that `mlpipe init` made, seen from the folder that it was made in.
        folder = folder / name
    defs = definitions_at(folder, target)
    names = _pipelines(defs, folder)
    if name not in names:
        raise NotFoundError(
            f"there is no pipeline {shown(name)}",
            where=str(folder),
            fix=did_you_mean(name, names) or "The code location holds no mlpipe pipeline.",
        )
    return PIPELINES[name], defs


def checked(folder: Path, target: str | None, name: str | None) -> list[str]:
    """Names of the pipelines of a project that load, assets and jobs included.

    Raises
    ------
    MlpipeError
        When the project or a pipeline does not load, or there is none of that name.
    """
    if name is not None:
        pipeline_of(name, folder, target)
        return [name]
    names = _pipelines(definitions_at(folder, target), folder)
    if not names:
        raise NotFoundError(
            "the code location holds no mlpipe pipeline",
            where=str(folder),
            fix="Declare one: mlpipe.Pipeline(…).definitions().",
        )
    return names


def _pipelines(defs: dg.Definitions, folder: Path) -> list[str]:
    """Names of the pipelines that definitions hold, once Dagster found nothing wrong with them."""
    try:
        dg.Definitions.validate_loadable(defs)
    except dg.DagsterError as error:
        raise MlpipeError(
            f"Dagster cannot load these definitions: {first_line(error)}",
            where=str(folder),
            fix="Mend the assets that it names.",
        ) from error
    keys = {tuple(spec.key.path) for spec in defs.resolve_all_asset_specs()}
    return sorted(name for name in PIPELINES if (name, "production") in keys)


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """The boundary to a user's project: whatever its code raises becomes one paragraph with file and line."""
    try:
        yield
    except Exception as error:
        known = cause(error)
        if known is not None:
            raise known from None
        raise UserCodeError(
            f"{Path(name).name} does not load: {first_line(error)}",
            where=place(error),
            fix="Mend that line; 'mlpipe check --debug' shows the traceback.",
        ) from error


def _package(name: str, root: Path) -> Path | None:
    """Folder of the package that is loaded; None for a single file or module."""
    if not name.endswith(".py"):
        folder = root / name.split(".")[0]
        return folder if folder.is_dir() else None
    folder = Path(name).resolve().parent
    return folder if (folder / "__init__.py").is_file() else None


def _named(target: str, folder: Path) -> tuple[str, Path]:
    path = folder / target
    if target.endswith(".py"):
        if not path.is_file():
            raise NotFoundError(f"there is no file {target}", where=str(folder), fix=FIX)
        return str(path), path.parent
    if not all(part.isidentifier() for part in target.split(".")):
        raise NotFoundError(f"{shown(target)} names no Python file or module", where=str(folder), fix=FIX)
    return target, folder


def _project(folder: Path) -> dict[str, Any]:
    """Settings of the project in a folder, as `dg` knows them; empty when there is none."""
    for file, inside in (("pyproject.toml", ("tool", "dg")), ("dg.toml", ())):
        project = table_of(folder / file, (*inside, "project"))
        if "root_module" in project:
            return dict(project)
    return {}


def _found(folder: Path) -> tuple[str, Path]:
    project = _project(folder)
    if project:
        settle(folder)
        root = folder / "src" if (folder / "src").is_dir() else folder
        return project.get("code_location_target_module") or f"{project['root_module']}.definitions", root
    workspace = folder / "workspace.yaml"
    if workspace.is_file():
        try:
            content = yaml.safe_load(workspace.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise NotFoundError(
                f"this is no valid YAML: {first_line(error)}", where=str(workspace), fix=FIX
            ) from None
        return _of_workspace(content, folder, workspace)
    if (folder / "definitions.py").is_file():
        return str(folder / "definitions.py"), folder
    raise NotFoundError("there is no Dagster project here", where=str(folder), fix=FIX)


def _of_workspace(content: Any, folder: Path, file: Path) -> tuple[str, Path]:
    entries = content.get("load_from") if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        module, path = (_entry(entry, *keys) for keys in _ENTRIES)
        if module:
            return module[0], folder / module[1]
        if path:
            return str(folder / path[0]), (folder / path[0]).parent
    raise NotFoundError("the workspace names no Python module or file", where=str(file), fix=FIX)


_ENTRIES = (("python_module", "module_name"), ("python_file", "relative_path"))


def _entry(entry: Any, kind: str, key: str) -> tuple[str, str] | None:
    """What an entry of a workspace names, and the folder that it works in; None when it is of another kind, or names nothing."""
    value = entry.get(kind) if isinstance(entry, dict) else None
    found = value.get(key) if isinstance(value, dict) else value
    work = value.get("working_directory", ".") if isinstance(value, dict) else "."
    return (found, str(work)) if isinstance(found, str) else None


def _load(name: str, root: Path) -> Any:
    if name.endswith(".py"):
        path, root = Path(name).resolve(), root.resolve()
        while (root / "__init__.py").is_file():
            root = root.parent
        if root != path.parent:
            # A file of a package is loaded as its module: relative imports work, and nothing is loaded twice.
            name = ".".join(path.relative_to(root).with_suffix("").parts)
    if str(root.resolve()) not in sys.path:
        sys.path.insert(0, str(root.resolve()))
    if not name.endswith(".py"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise NotFoundError(f"there is no module {name}", where=str(root), fix=FIX) from None
            raise
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
