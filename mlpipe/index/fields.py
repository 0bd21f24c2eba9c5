"""What the keys of a query mean: columns, exact keys, metrics by their bare names, and keys by their last parts."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlpipe.errors import QueryError, did_you_mean
from mlpipe.index.database import Database
from mlpipe.index.query import Key
from mlpipe.index.rows import FREE, SHARED
from mlpipe.index.schema import COLUMNS, FLAGS, NUMBERS, TIMES

SHORTENED = ("params", "data", *SHARED)
"""Parts of a record whose keys are found by their last parts, where those are unambiguous."""


@dataclass(frozen=True)
class Field:
    """Where values of a key lie: in a column of ``record`` of a kind (text, number, flag, time), or under a number among attributes."""

    name: str
    kind: str = "any"
    key: int | None = None
    shared: bool = False

    @property
    def indexed(self) -> bool:
        """Whether rows are found by its value without looking at all."""
        return self.key is not None or self.name not in FREE


def field_of(database: Database, key: Key, text: str) -> Field:
    """What a key of the query `text` means.

    Raises
    ------
    QueryError
        No record has such a key, or several are meant.
    """
    name = key.name
    if name in COLUMNS:
        kind = (
            "flag" if name in FLAGS else "number" if name in NUMBERS else "time" if name in TIMES else "text"
        )
        return Field(name, kind)
    for whole in (name, f"metrics.{name}"):
        exact = database.run("select id from key where name = ?", (whole,))
        if exact:
            return _attribute(whole, exact[0][0])
    head, _, rest = name.partition(".")
    known = dict(database.run("select name, id from key"))
    if head in SHORTENED and rest:
        ends = sorted(k for k in known if k.startswith(f"{head}.") and k.endswith(f".{rest}"))
        if len(ends) == 1:
            return _attribute(ends[0], known[ends[0]])
        if ends:
            shown = ", ".join(ends[:10]) + (f" and {len(ends) - 10} more" if len(ends) > 10 else "")
            raise QueryError(
                f"'{name}' may mean {len(ends)} keys",
                query=text,
                at=key.at,
                fix=f"Name one of them: {shown}.",
            )
    raise QueryError(
        f"no record has the key '{name}'", query=text, at=key.at, fix=suggestion(name, [*COLUMNS, *known])
    )


def _attribute(name: str, number: int) -> Field:
    return Field(name, key=number, shared=name.partition(".")[0] in SHARED)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Close names, those with the same last part first; else where to find them all."""
    names = list(known)
    last = name.rpartition(".")[2]
    same = sorted((k for k in names if k.rpartition(".")[2] == last and k != name), key=len)[:3]
    if same:
        return "Did you mean " + " or ".join(f"'{k}'" for k in same) + "?"
    close = did_you_mean(name, names)
    return close if close.startswith("Did") else "See the keys that there are: mlpipe index keys"
