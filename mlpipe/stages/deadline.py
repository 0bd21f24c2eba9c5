"""A limit on how long a user's code may take."""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

from mlpipe.errors import UserCodeError

AGAIN = 5.0
"""Seconds after which code that caught the interruption is interrupted once more."""


class TooSlowError(UserCodeError):
    """A user's code ran into its time limit."""


class _Expired(BaseException):
    """Raised inside the thread that is too slow; becomes a `TooSlowError` at the edge."""


@contextmanager
def deadline(limit: timedelta | None, what: str, where: str = "") -> Iterator[None]:
    """Raise in the body when it takes longer than `limit`; None is no limit.

    The body is interrupted between two steps of Python code; in the main thread also while it waits for a network, a file or a process,
    or sleeps. A computation inside a C library ends only when that call returns.

    Parameters
    ----------
    what
        What is limited, as the subject of a sentence.
    where
        Its place, for the error.

    Raises
    ------
    TooSlowError
        When the time is up.
    """
    if limit is None:
        yield
        return
    watch = _Watch()
    with _wakeable(watch):
        try:
            try:
                watch.start(limit.total_seconds())
                yield
            finally:
                watch.close()
        except _Expired:
            raise TooSlowError(
                f"{what} took longer than {limit.total_seconds():g} s",
                where=where,
                fix="Make it faster, or raise its 'timeout'.",
            ) from None


class _Watch:
    """Interrupts the thread that made it after some seconds, and again while it goes on. `woke`: the last signal was its own."""

    def __init__(self) -> None:
        self._thread, self._lock, self._open = threading.get_ident(), threading.Lock(), True
        self._main, self.woke = _in_main_thread(), False
        self._timer: threading.Timer | None = None

    def start(self, seconds: float) -> None:
        """Begin to count."""
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            if not self._open:
                return
            self._interrupt(ctypes.py_object(_Expired))
            if self._main:
                # A call that waits in the kernel returns for a signal; then Python sees the interruption.
                self.woke = True
                signal.pthread_kill(self._thread, signal.SIGALRM)
        self.start(AGAIN)

    def close(self) -> None:
        """End the watch: from here on nothing is interrupted."""
        with self._lock:
            self._open = False
            if self._timer is not None:
                self._timer.cancel()
            # One that is on its way, and has not arrived, would hit whatever comes next.
            self._interrupt(None)

    def _interrupt(self, error: "ctypes.py_object[type[_Expired]] | None") -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), error)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")


@contextmanager
def _wakeable(watch: _Watch) -> Iterator[None]:
    """Within the body SIGALRM wakes the main thread. Whoever else uses that signal still hears of his own."""
    if not _in_main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGALRM)

    def woken(number: int, frame: FrameType | None) -> None:
        own, watch.woke = watch.woke, False
        if callable(before) and not own:
            before(number, frame)

    signal.signal(signal.SIGALRM, woken)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
