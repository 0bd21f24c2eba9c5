"""All attributes of a row in one string of bytes, eight for each: a row is read at once, and a hundred thousand without a loop.

The shape of a pack names its keys in order, each with the kind of its value: ``f`` a float, ``i`` an int, ``b`` a bool, ``t`` a text by
the number of its word. Rows of one pipeline have few shapes.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mlpipe.index.database import Database
from mlpipe.index.rows import Value

Shape = tuple[tuple[int, str], ...]
"""Number of a key, and the kind of its value."""
_FORMS = {"f": "d", "i": "q", "b": "q", "t": "q"}
_PAGE = 500
Item = TypeVar("Item")


def kind_of(value: Value) -> str:
    """Kind of a value within a pack."""
    return (
        "b"
        if isinstance(value, bool)
        else "i"
        if isinstance(value, int)
        else "f"
        if isinstance(value, float)
        else "t"
    )


def packed(shape: Shape, values: Sequence[float]) -> bytes:
    """The bytes of values in the order of a shape."""
    return struct.pack("<" + "".join(_FORMS[kind] for _, kind in shape), *values)


def unpacked(shape: Shape, data: bytes) -> tuple[float, ...]:
    """The values of a pack; texts by the number of their word."""
    return struct.unpack("<" + "".join(_FORMS[kind] for _, kind in shape), data)


def digest(data: bytes) -> str:
    """Short name of bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass
class Names:
    """Numbers of keys, words and shapes. They never change and are never given again, so what was read once holds."""

    database: Database
    keys: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    shapes: dict[Shape, int] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    named: dict[int, str] = field(default_factory=dict)
    shaped: dict[int, Shape] = field(default_factory=dict)

    def take(self, holdings: Iterable[Mapping[str, Value]]) -> None:
        """Give numbers to all keys and texts of some attributes. Within `Database.writing` only."""
        keys: set[str] = set()
        words: set[str] = set()
        for held in holdings:
            keys.update(held)
            words.update(v for v in held.values() if isinstance(v, str))
        self._take("key", "name", self.keys, keys)
        self.take_words(words)

    def take_words(self, texts: set[str]) -> None:
        """Give numbers to texts. Within `Database.writing` only."""
        self._take("word", "text", self.words, texts)

    def pack(self, held: Mapping[str, Value]) -> tuple[int, bytes]:
        """Number of the shape, and the bytes, of attributes whose keys and texts `take` knows. Within `Database.writing` only."""
        items = sorted((self.keys[key], value) for key, value in held.items())
        shape = tuple((key, kind_of(value)) for key, value in items)
        if shape not in self.shapes:
            body = json.dumps(shape, separators=(",", ":"))
            name = digest(body.encode())
            found = self.database.run("select id from shape where digest = ?", (name,))
            if not found:
                found = self.database.run("select coalesce(max(id), 0) + 1 from shape")
                self.database.run(
                    "insert into shape (id, digest, body) values (?, ?, ?)", (found[0][0], name, body)
                )
            self.shapes[shape] = found[0][0]
        values = [self.words[value] if isinstance(value, str) else value for _, value in items]
        return self.shapes[shape], packed(shape, values)

    def shape(self, number: int) -> Shape:
        """The shape of a number."""
        if number not in self.shaped:
            body = self.database.run("select body from shape where id = ?", (number,))[0][0]
            self.shaped[number] = tuple((key, kind) for key, kind in json.loads(body))
        return self.shaped[number]

    def unpack(self, packs: Sequence[tuple[int, bytes]]) -> list[dict[str, Value]]:
        """The attributes of packs, each given as the number of its shape and its bytes."""
        read = [(self.shape(number), bytes(data)) for number, data in packs]
        raw = [(shape, unpacked(shape, data)) for shape, data in read]
        self.know(
            {key for shape, _ in read for key, _ in shape},
            {
                int(v)
                for shape, values in raw
                for (_, kind), v in zip(shape, values, strict=True)
                if kind == "t"
            },
        )
        return [
            {self.named[key]: self._value(kind, v) for (key, kind), v in zip(shape, values, strict=True)}
            for shape, values in raw
        ]

    def know(self, keys: set[int], words: set[int]) -> None:
        """Read the names of keys and the texts of words."""
        self._know("key", "name", self.named, keys)
        self._know("word", "text", self.texts, words)

    def forget(self) -> None:
        """After a transaction that was rolled back: numbers that it gave are given to others."""
        for known in (self.keys, self.words, self.shapes, self.texts, self.named, self.shaped):
            known.clear()

    def _value(self, kind: str, value: float) -> Value:
        return self.texts[int(value)] if kind == "t" else bool(value) if kind == "b" else value

    def _take(self, table: str, column: str, known: dict[str, int], wanted: set[str]) -> None:
        missing = sorted(wanted - known.keys())
        for some in _pages(missing):
            marks = ", ".join("?" * len(some))
            known.update(
                self.database.run(f"select {column}, id from {table} where {column} in ({marks})", some)
            )
        new = [name for name in missing if name not in known]
        if new:
            first = self.database.run(f"select coalesce(max(id), 0) + 1 from {table}")[0][0]
            given = {name: first + i for i, name in enumerate(new)}
            self.database.many(
                f"insert into {table} (id, {column}) values (?, ?)", [(i, n) for n, i in given.items()]
            )
            known.update(given)

    def _know(self, table: str, column: str, known: dict[int, str], wanted: set[int]) -> None:
        for some in _pages(sorted(wanted - known.keys())):
            marks = ", ".join("?" * len(some))
            known.update(self.database.run(f"select id, {column} from {table} where id in ({marks})", some))


def _pages(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    return (items[i : i + _PAGE] for i in range(0, len(items), _PAGE))
