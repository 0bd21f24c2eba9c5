"""Whose code raised: the line of the user's own, among frames of installed packages and of this one."""

import sysconfig
from pathlib import Path

_FOREIGN = tuple(
    f"{folder}/"
    for folder in (
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(__file__).parents[1],
    )
)
_MADE_UP = ("<string>", ".pyx")


def users_line(error: BaseException) -> str:
    """File and line where the user's code raised: the innermost frame that is neither installed nor of this package; empty without one.

    Only frames below the one that caught the error are looked at.
    """
    trace, found = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        # What dataclasses and namedtuples make up, and what was compiled from Cython, is nobody's to mend here.
        if not file.startswith(_FOREIGN) and "site-packages" not in file and not file.endswith(_MADE_UP):
            found = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
