"""What lies behind an error: Dagster, and the user's own code, wrap the one that tells what to do."""

import errno
import os
import sqlite3
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import yaml

from mlpipe.errors import MlpipeError, StoreError
from mlpipe.stores.local import fix_of

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR)
"""Numbers of what a disk or a folder refuses with."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those behind it, outermost first."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def cause(error: BaseException) -> MlpipeError | None:
    """The first of mlpipe's own errors behind another; None when there is none."""
    return next((e for e in chain(error) if isinstance(e, MlpipeError)), None)


def refused(error: BaseException) -> MlpipeError | None:
    """A disk or a database of Dagster's that refused, as an error that says what to do; None when it is something else."""
    for each in chain(error):
        if isinstance(each, OSError) and each.errno in DISK:
            where = str(each.filename or "")
            return StoreError(f"the disk refuses: {each.strerror}", where=where, fix=fix_of(each))
        if isinstance(each, sqlite3.Error):
            return StoreError(
                f"a database of Dagster's refuses: {each}",
                where=os.environ.get("DAGSTER_HOME", ""),
                fix="Is the disk full or read-only, or the file damaged? What lies in mlpipe's own store is not harmed.",
            )
    return None


def first_line(error: BaseException) -> str:
    """Type and first line of an error that is not mlpipe's own, past what Dagster says around it."""
    *_, last = chain(error)
    text = str(last).strip()
    line = text.splitlines()[0] if text else ""
    return f"{type(last).__name__}: {line}" if line else type(last).__name__


def place(error: BaseException) -> str:
    """File and line of the innermost frame outside installed packages, where its author can mend it; empty without one."""
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")}
    installed.add(Path(__file__).resolve().parents[1])
    for each in reversed(list(chain(error))):
        if isinstance(each, SyntaxError) and each.filename:
            return f"{each.filename}:{each.lineno}"
        mark = getattr(each, "problem_mark", None)
        if isinstance(each, yaml.YAMLError) and mark is not None:
            return f"{mark.name}:{mark.line + 1}"
        for frame in reversed(traceback.extract_tb(each.__traceback__)):
            path = Path(frame.filename)
            if path.is_file() and not any(root in path.resolve().parents for root in installed):
                return f"{frame.filename}:{frame.lineno}"
    return ""
