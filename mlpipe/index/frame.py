"""Answers as a data frame: a hundred thousand rows in a third of a second, for nothing is decoded row by row."""

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpipe.index.answer import bags_of
from mlpipe.index.blocks import spread
from mlpipe.index.fields import Field, field_of
from mlpipe.index.index import Index
from mlpipe.index.language import parse
from mlpipe.index.packs import Names
from mlpipe.index.place import index_url
from mlpipe.index.planner import plan
from mlpipe.index.query import Key, Query
from mlpipe.index.schema import FLAGS, NUMBERS, PACKED, TIMES

if TYPE_CHECKING:
    import pandas as pd

Part = tuple[Any, str, Any]
"""Where some values of an attribute belong, their kind, and the values as they are packed."""
PAGE = 2000
"""Rows that are read at once."""

USUAL = (
    "id", "pipeline", "deployment", "stage", "partition", "started", "as_of", "trigger", "actor", "experiment", "verdict", "version",
    "release_stage",
)  # fmt: skip
"""Columns of every frame; others come when they are named."""
PARTS = ("params", "metrics", "tags", "seeds", "cost")
"""Parts of a record whose keys are columns of every frame; others come when they are named."""


def runs(query: str = "", *, limit: int | None = None, keys: Sequence[str] = ()) -> "pd.DataFrame":
    """Records that a query finds, as a frame: by default trainings, the newest first.

    Parameters
    ----------
    query
        In the language of ``docs/records.md``, such as ``metrics.f1 > 0.8 order by metrics.f1 desc``.
    limit
        How many rows at most; None: all.
    keys
        Further keys to show, such as ``environment.host`` or ``headline``. Those that the query names are shown anyway.

    Returns
    -------
    pandas.DataFrame
        A row for each record, best first. Columns: what every record has, then parameters, metrics, tags, seeds and cost by key. A missing
        number is NaN, a missing text None. ``attrs["as_of"]`` says up to when the index holds everything, as ISO text.

    Raises
    ------
    QueryError
        The query is wrong; the message shows where.
    NotFoundError
        There is no index yet.
    """
    with Index.open(index_url()) as index:
        return frame(index, query, limit=limit, keys=keys)


def frame(
    index: Index, query: str = "", *, limit: int | None = None, keys: Sequence[str] = ()
) -> "pd.DataFrame":
    """As `runs`, of an index that is open."""
    import pandas as pd

    asked, database = parse(query), index.database
    limits = [x for x in (limit, asked.limit) if x is not None]
    most = min(limits) if limits else None
    with database.reading():
        named = [field_of(database, key, asked.text) for key in asked.named()]
        named += [field_of(database, Key(key), key) for key in keys]
        columns = list(dict.fromkeys([*USUAL, *(f.name for f in named if f.key is None)]))
        read = [name for name in columns if name not in PACKED]
        bags = [f for f in {f.name: f for f in named}.values() if f.shared]
        selected = [f"r.{name}" for name in ("shape", "pack", *read, *(["bag"] if bags else []))]
        wanted = {f.name for f in named} | set(PACKED)
        held, cells, count = _read(index, asked, ", ".join(selected), most, wanted)
        held |= {name: _column(name, cell) for name, cell in zip(read, cells, strict=False)}
        held |= _shared(index, bags, cells[-1])
        as_of, _ = index.as_of()
    nothing = np.full(count, None, dtype=object)
    for name in TIMES:
        held[name] = held.get(name, np.empty(0, "int64")).view("datetime64[us]")
    data = {name: held.pop(name, nothing) for name in columns}
    # Without a copy: nobody else has these arrays.
    made = pd.DataFrame(data | dict(sorted(held.items())), copy=False)
    made.attrs["as_of"] = as_of.isoformat()
    return made


def _read(
    index: Index, asked: Query, selected: str, most: int | None, wanted: set[str]
) -> tuple[dict[str, Any], list[list[Any]], int]:
    """Attributes of the rows that a query finds, what else was selected of them, and how many they are.

    The rows come in pages that fit a processor's cache. Python's collector would look through all of them again and again meanwhile.
    """
    made = plan(index.database, asked, selected, most)
    parts: dict[int, list[Part]] = {}
    cells: list[list[Any]] = [[] for _ in range(selected.count(",") - 1)]
    count = 0
    on = gc.isenabled()
    gc.disable()
    try:
        for page in index.database.pages(*made.statement, PAGE):
            rows = page if most is None else page[: most - count]
            if rows:
                shapes, packs, *others = zip(*rows, strict=True)
                for key, own, kind, raw in spread(index.names, shapes, packs):
                    places = slice(count, count + len(rows)) if isinstance(own, slice) else own + count
                    parts.setdefault(key, []).append((places, kind, raw))
                for cell, other in zip(cells, others, strict=True):
                    cell.extend(other)
                count += len(rows)
    finally:
        if on:
            gc.enable()
    index.names.know(set(parts), set())
    named = {index.names.named[key]: held for key, held in parts.items()}
    shown = {n: held for n, held in named.items() if n.partition(".")[0] in PARTS or n in wanted}
    return {n: _values(index.names, held, count) for n, held in shown.items()}, cells, count


def _shared(index: Index, fields: Sequence[Field], bag: Sequence[int]) -> dict[str, Any]:
    """Values of what lies in bags, in every row."""
    bags = bags_of(index.database, index.names, set(bag)) if fields else {}
    found = {}
    for field in fields:
        found[field.name] = np.full(len(bag), None, dtype=object)
        found[field.name][:] = [bags[number].get(field.name) for number in bag]
    return found


def _column(name: str, cells: Sequence[Any]) -> Any:
    if name in FLAGS:
        return np.array(cells, dtype=bool)
    if name in NUMBERS:
        return np.array(cells, dtype="float64")
    made = np.empty(len(cells), dtype=object)
    made[:] = cells
    return made


def _values(names: Names, held: Sequence[Part], count: int) -> Any:
    """Values of one attribute in every row: of one type where all are, and missing where there is none."""
    kinds = {kind for _, kind, _ in held}
    whole = sum(len(raw) for _, _, raw in held) == count
    if kinds <= {"f", "i"}:
        made: Any = (
            np.empty(count, "int64" if kinds == {"i"} else "float64") if whole else np.full(count, np.nan)
        )
        for places, kind, raw in held:
            made[places] = raw.view("<f8") if kind == "f" else raw
        return made
    if kinds == {"t"}:
        return _texts(names, held, count)
    made = np.full(count, None, dtype=bool if kinds == {"b"} and whole else object)
    for places, kind, raw in held:
        if kind == "t":
            made[places] = np.asarray(
                _texts(names, [(np.arange(len(raw)), kind, raw)], len(raw)), dtype=object
            )
        else:
            made[places] = raw.view("<f8") if kind == "f" else raw.astype(bool) if kind == "b" else raw
    return made


def _texts(names: Names, held: Sequence[Part], count: int) -> Any:
    """Texts in every row: each is made once, and then taken."""
    import pandas as pd

    words = np.zeros(count, dtype="int64")
    for places, _, raw in held:
        words[places] = raw
    # Numbers of words are small, so that a table of them all is faster than sorting.
    seen = np.zeros(int(words.max(initial=0)) + 1, dtype=bool)
    seen[words] = True
    found, codes = np.flatnonzero(seen), (np.cumsum(seen) - 1)[words]
    names.know(set(), set(found.tolist()) - {0})
    texts = pd.Series([names.texts.get(int(word)) for word in found], dtype=None if len(found) > 1 else "str")
    return texts.array.take(codes)
