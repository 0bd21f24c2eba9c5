"""What is made from things that never change, held once a process: nights of one window ask for the same days again and again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Held(Generic[V]):
    """Values by name, those used least lately given up beyond `most` bytes; one that takes a quarter of that is not held.

    Parameters
    ----------
    most
        Bytes that all values may take together, at least 1.
    size
        Bytes that one takes.
    """

    def __init__(self, most: int, size: Callable[[V], int]) -> None:
        self.most, self.size = most, size
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def get(self, name: Hashable, make: Callable[[], V]) -> V:
        """The value of a name, made where it is not held."""
        if name in self._values:
            self._values.move_to_end(name)
            return self._values[name][0]
        value = make()
        size = self.size(value)
        if size <= self.most // 4:
            self._values[name] = (value, size)
            self._bytes += size
        while self._bytes > self.most:
            self._bytes -= self._values.popitem(last=False)[1][1]
        return value
