"""A query as a frozen tree. Whoever asks builds it by `mlpipe.index.language.parse`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """What a condition or an order is about. `at` and `end` say where it stands in the query."""

    name: str
    at: int = 0
    end: int = 0


@dataclass(frozen=True)
class Moment:
    """A time, in microseconds since 1970: an instant, or where only a date was written the whole day, from `start` to before `end`."""

    start: int
    end: int
    spelled: str

    @property
    def whole(self) -> bool:
        """Whether it is a stretch of time."""
        return self.end > self.start


@dataclass(frozen=True)
class Literal:
    """A value as written, and where."""

    value: bool | float | str | Moment
    at: int = 0


@dataclass(frozen=True)
class Comparison:
    """``key operator literal``; the operator is one of ``= != < <= > >= like``, `negated` for ``not like``."""

    key: Key
    operator: str
    literal: Literal
    negated: bool = False


@dataclass(frozen=True)
class Within:
    """``key in (literal, …)``; `negated` for ``not in``."""

    key: Key
    literals: tuple[Literal, ...]
    negated: bool = False


@dataclass(frozen=True)
class Missing:
    """``key is null``; `negated` for ``is not null``."""

    key: Key
    negated: bool = False


@dataclass(frozen=True)
class All:
    """Conditions joined by ``and``."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Some:
    """Conditions joined by ``or``."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    part: "Node"


Node = Comparison | Within | Missing | All | Some | Not


@dataclass(frozen=True)
class Order:
    """What to sort by, and whether from the highest down."""

    key: Key
    descending: bool = False


@dataclass(frozen=True)
class Query:
    """What was asked: the condition (None: everything), the order, and how many at most (None: all)."""

    text: str
    where: Node | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None

    def named(self) -> tuple[Key, ...]:
        """Keys that the query names, in order, each once."""
        found: dict[str, Key] = {}

        def walk(node: Node) -> None:
            if isinstance(node, All | Some):
                for part in node.parts:
                    walk(part)
            elif isinstance(node, Not):
                walk(node.part)
            else:
                found.setdefault(node.key.name, node.key)

        if self.where is not None:
            walk(self.where)
        for order in self.order:
            found.setdefault(order.key.name, order.key)
        return tuple(found.values())
