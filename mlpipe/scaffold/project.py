"""A proposal written down: a project that runs at once, or a pipeline in a project that is there."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mlpipe.errors import MlpipeError, NotFoundError, did_you_mean
from mlpipe.scaffold.look import look, relative_to
from mlpipe.scaffold.proposal import Asked, Proposal, guessed_time, propose
from mlpipe.scaffold.settings import settings_of
from mlpipe.scaffold.text import Because, document
from mlpipe.spec.nodes import shown
from mlpipe.spec.yaml_file import build_mapping, read

COMPONENT = "mlpipe.PipelineComponent"
FILE = "defs.yaml"
HOME = ".dagster_home"
IGNORED = f"{HOME}/\n.env\n__pycache__/\n"
DEFINITIONS = '''\
"""The code location: every pipeline below defs/."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
'''
PYPROJECT = """\
[project]
name = "{project}"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["mlpipe"]

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{module}"
code_location_name = "{module}"

[tool.mlpipe]
# Where runs and results are kept when DAGSTER_HOME is not set.
dagster_home = "{home}"
"""
README = """\
# {name}

A pipeline proposed by `mlpipe init`. What was guessed, and why, stands in `{defs}`; change what is wrong.

    mlpipe check {name}             # does it load?
    mlpipe check {name} --smoke     # does it work, on a sample? what a CI calls
    mlpipe run {name}               # all the data: from rows to a judged model
    mlpipe replay {name}            # live through the past, night by night
    DAGSTER_HOME="$PWD/{home}" dg dev     # Dagster's UI
"""


def conclude(
    asked: Asked, data: str, folder: Path, downloads: Path, now: datetime, table: str | None = None
) -> Proposal:
    """Look at data and propose a pipeline.

    Parameters
    ----------
    folder
        Where a relative path starts from.
    downloads
        Folder for what has to be fetched.
    now
        Rows later than this lie in the future.

    Raises
    ------
    MlpipeError
        The data cannot be read, a column does not exist, or nothing can be learned from it.
    """
    looked = look(data, folder, downloads, time=asked.time, table=table)
    if asked.time is None and asked.at is None and (looked.kind == "sql" or looked.daily):
        name = guessed_time(looked, asked)
        if name is not None:
            # The ends of its times are asked from all rows, not from a sample; days are cut by it, not by their files.
            again = look(data, folder, downloads, time=name, table=table)
            looked = replace(again, notes=looked.notes) if looked.kind == "sql" else again
    return propose(asked, looked, now)


def pipeline_text(made: Proposal, base: Path, near: Path) -> str:
    """The `defs.yaml` of a proposal, checked as it will be when it is loaded.

    Parameters
    ----------
    base
        Folder that the file will stand in.
    near
        Data below this folder is named by a path relative to `base`, other data by its full path.

    Raises
    ------
    SpecError
        The specification that was proposed is not valid.
    """
    source = relative_to(made.looked.source, base, near)
    settings = settings_of(made, source)
    heading = [
        f"Proposed by mlpipe init from {made.looked.origin} ({made.looked.rows:,} rows).",
        "Every guess has its reason beside it. Change what is wrong.",
    ]
    text = document(settings, heading, COMPONENT)
    ((held, lines),) = read(text, FILE)
    build_mapping(
        plain(held["attributes"], settings), lines, file=FILE, prefix=("attributes",), base_dir=base
    )
    return text


def plain(value: Any, settings: Any) -> Any:
    """Settings as they were meant, where the file has templates in the place of text that looks like one."""
    settings = settings.value if isinstance(settings, Because) else settings
    if isinstance(settings, Mapping):
        return {k: plain(value[k], v) for k, v in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [plain(v, s) for v, s in zip(value, settings, strict=True)]
    return settings if isinstance(settings, str) and "{" in settings else value


def write_project(made: Proposal, root: Path) -> list[Path]:
    """Write a project into a folder that does not exist yet, whole or not at all.

    Returns
    -------
    list of Path
        The files, the specification first.

    Raises
    ------
    MlpipeError
        The folder exists, or cannot be written.
    """
    name = made.asked.name
    module = f"{name}_project"
    defs = Path(module) / "defs" / name
    text = pipeline_text(made, root / defs, root.parent)
    files = {
        defs / FILE: text,
        Path(module) / "__init__.py": "",
        Path(module) / "definitions.py": DEFINITIONS,
        Path(module) / "defs" / "__init__.py": "",
        Path("pyproject.toml"): PYPROJECT.format(
            project=f"{name.replace('_', '-')}-project", module=module, home=HOME
        ),
        Path("README.md"): README.format(name=name, defs=defs / FILE, home=HOME),
        Path(".gitignore"): IGNORED,
    }
    if made.looked.secrets:
        files[Path(".env")] = "".join(f"{k}={json.dumps(v)}\n" for k, v in made.looked.secrets)
    if (root / "pyproject.toml").exists():
        raise MlpipeError(
            f"there is a project in {root} already",
            fix="Choose another name, or remove the folder to have it proposed anew.",
        )
    return _write(root, files)


def _write(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """Write files beside the folder first, so that a project is there whole or not at all."""
    part = root.with_name(f".{root.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        for path, text in files.items():
            target = part / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(mode=0o600 if path.name == ".env" else 0o644)
            target.write_text(text, encoding="utf-8")
        if root.is_dir():
            # What was fetched for it is there already; pyproject.toml comes last, for it makes the folder a project.
            for path in sorted(files, key=lambda p: p.name == "pyproject.toml"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (part / path).replace(root / path)
            shutil.rmtree(part)
        else:
            part.rename(root)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise MlpipeError(
            f"the project cannot be written: {error.strerror}",
            where=str(root),
            fix="Choose a folder that you may write to.",
        ) from None
    return [root / path for path in files]


def conclusions(made: Proposal, folder: Path) -> dict[str, Any]:
    """What was concluded, for machines."""
    settings = _bare(settings_of(made, made.looked.source))
    return {
        "name": made.asked.name,
        "folder": str(folder),
        "format": made.looked.kind,
        "rows": made.looked.rows,
        "time": made.time,
        "every": made.span.every,
        "timezone": made.span.timezone,
        "start": made.span.start,
        "label": made.asked.label,
        "task": made.target.task,
        "positive": made.target.positive,
        "keys": list(made.keys),
        "features": list(made.roles.features),
        "left_out": dict(made.roles.left_out),
        "model": settings["model"]["class"],
        "metrics": settings["metrics"],
        "window": made.span.window,
        "split": settings.get("split"),
        "clean": settings["source"].get("clean", {}),
        "guesses": guesses(made),
    }


def guesses(made: Proposal) -> list[str]:
    """What was guessed, in sentences."""
    columns = [
        f"{c.name}: {note}" for c in made.cells.values() for note in c.notes if c.name in made.roles.features
    ]
    return [
        *made.looked.notes,
        *made.time_notes,
        *made.span.notes,
        *made.key_notes,
        *made.target.notes,
        *made.roles.notes,
        *columns,
    ]


def _bare(value: Any) -> Any:
    value = value.value if isinstance(value, Because) else value
    if isinstance(value, Mapping):
        return {k: _bare(v) for k, v in value.items()}
    return [_bare(v) for v in value] if isinstance(value, (list, tuple)) else value


def checked_name(name: str, known: Sequence[str] = ()) -> str:
    """A name that a pipeline may have.

    Raises
    ------
    NotFoundError
        It may not be one; with one that may.
    """
    import re

    if re.fullmatch(r"[a-z][a-z0-9_]{0,50}", name):
        return name
    better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:50]
    better = better if better[:1].isalpha() else f"p_{better}".rstrip("_")
    raise NotFoundError(
        f"{shown(name)} is no name of a pipeline: small letters, digits and '_', a letter first, at most 51",
        fix=f"Such as {better!r}." + (f" {did_you_mean(name, known)}" if known else ""),
    )
