"""A limit on how long a user's code may take."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from mlpipe.errors import UserCodeError


class _Expired(BaseException):
    """Raised inside the thread that is too slow; becomes a `UserCodeError` at the edge."""


@contextmanager
def deadline(limit: timedelta | None, what: str) -> Iterator[None]:
    """Raise in the body when it takes longer than `limit`; None is no limit.

    The body is interrupted between two steps of Python code: a call that hangs inside a C library ends only when that call returns.

    Raises
    ------
    UserCodeError
        When the time is up.
    """
    if limit is None:
        yield
        return
    thread, lock, state = threading.get_ident(), threading.Lock(), {"open": True}

    def expire() -> None:
        with lock:
            if state["open"]:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Expired))

    timer = threading.Timer(limit.total_seconds(), expire)
    timer.daemon = True
    timer.start()
    try:
        try:
            yield
        finally:
            with lock:
                state["open"] = False
    except _Expired:
        raise UserCodeError(
            f"{what} took longer than {limit.total_seconds():g} s",
            fix="Make it faster, or raise its 'timeout'.",
        ) from None
    finally:
        timer.cancel()
