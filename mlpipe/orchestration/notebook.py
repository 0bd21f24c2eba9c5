"""`mlpipe.runs` and `mlpipe.load` where people type them: in a project's folder its own Dagster home is meant, as in commands."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from mlpipe.index import frame
from mlpipe.index import load as loading
from mlpipe.orchestration.settled import HOME, settle

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _in_project(call: Callable[_P, _R]) -> Callable[_P, _R]:
    @wraps(call)
    def settled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        # Within a run, or after another project's command, the home is settled, and stays.
        if HOME not in os.environ and kwargs.get("store") is None:
            settle(Path.cwd())
        return call(*args, **kwargs)

    return settled


runs = _in_project(frame.runs)
load = _in_project(loading.load)
