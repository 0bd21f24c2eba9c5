"""Writing behind: objects reach the disk while the next partition is worked on.

A durable write waits for the disk, 10 to 20 ms each, and a partition makes about ten of them; written side by side they share that wait.
The order that matters is kept: a record is written only when every object put before it is durable.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Value = TypeVar("Value")
WRITERS = 8


class Behind:
    """Writes under way. One thread submits; `wait` may be called from any.

    Nothing is known to be durable before its future is done, and a write that failed raises where it is waited for.
    """

    def __init__(self) -> None:
        self._objects = ThreadPoolExecutor(WRITERS, thread_name_prefix="mlpipe-objects")
        # One thread keeps records in the order in which they were made.
        self._records = ThreadPoolExecutor(1, thread_name_prefix="mlpipe-records")
        self._pending: dict[str, Future[object]] = {}

    def submit(self, object_id: str, write: Callable[[], object]) -> None:
        """Write an object side by side with others; of the same object twice, once."""
        if object_id not in self._pending:
            self._pending[object_id] = self._objects.submit(write)

    def wait(self, object_id: str) -> None:
        """Return when an object is durable, if it is under way."""
        future = self._pending.get(object_id)
        if future is not None:
            future.result()

    def then(self, write: Callable[[], Value]) -> "Future[Value]":
        """Write when everything submitted so far is durable; the future fails when any of it did."""
        before = [f for f in self._pending.values() if not f.done() or f.exception() is not None]
        self._pending = {i: f for i, f in self._pending.items() if not f.done() or f.exception() is not None}

        def ordered() -> Value:
            for future in before:
                future.result()
            return write()

        return self._records.submit(ordered)

    def close(self) -> None:
        """Return when nothing is under way; raises the first error of an object that nobody waited for."""
        self._objects.shutdown(wait=True)
        self._records.shutdown(wait=True)
        for future in self._pending.values():
            future.result()
