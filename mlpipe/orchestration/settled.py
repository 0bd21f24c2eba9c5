"""Where a project keeps its Dagster instance, when the environment does not say: ``[tool.mlpipe] dagster_home`` of pyproject.toml.

A new project runs at once, and so does a fresh clone of it. What is set in the environment always comes first.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from mlpipe.errors import MlpipeError
from mlpipe.orchestration.toml_file import table_of

HOME = "DAGSTER_HOME"
SETTINGS = "telemetry: {enabled: false}\nnux: {enabled: false}\n"
"""The dagster.yaml of an instance that is made here."""
_ours: dict[str, str] = {}
"""What this module has set, by name: the next project of this process may set it anew."""


def settle(folder: Path) -> None:
    """Take over what a project says about its surroundings: the variables of its ``.env`` file, and its Dagster home.

    Raises
    ------
    MlpipeError
        The home that it names cannot be made.
    """
    for name in [n for n, value in _ours.items() if os.environ.get(n) == value]:
        del os.environ[name]
    _ours.clear()
    env = folder / ".env"
    if env.is_file():
        _set({k: v for k, v in dotenv_values(env).items() if v is not None})
    home: Any = table_of(folder / "pyproject.toml", ("tool", "mlpipe")).get("dagster_home")
    if isinstance(home, str) and home and HOME not in os.environ:
        path = (folder / home).resolve()
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not (path / "dagster.yaml").exists():
                (path / "dagster.yaml").write_text(SETTINGS)
        except OSError as error:
            raise MlpipeError(
                f"the folder {path} cannot be made: {error.strerror}",
                where=f"{folder / 'pyproject.toml'}, tool.mlpipe.dagster_home",
                fix="Name another there, or in the environment: export DAGSTER_HOME=…",
            ) from None
        _set({HOME: str(path)})


def _set(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if name not in os.environ:
            os.environ[name] = _ours[name] = value
