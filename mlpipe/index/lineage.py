"""The graph of records: what was made from what, up to the source and down to the last that read it."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlpipe.errors import NotFoundError
from mlpipe.index.shelf import Shelf
from mlpipe.records.record import Input, Record

CHUNK = 500
NODE = "r.id, r.pipeline, r.stage, r.asset, r.partition, r.verdict, r.deployment, r.segment, r.as_of, r.started, r.experiment, r.deleted"
_PREDICTION = re.compile(r"p-([0-9a-f]{16})-(\d+)")
JUDGED_AGAINST = {("evaluate", "champion"), ("monitor", "anchor")}
"""Stage and name of inputs that something was only compared with."""


@dataclass(frozen=True)
class Node:
    """A record in the graph, as far as the graph needs it; times in microseconds since 1970."""

    id: str
    pipeline: str
    stage: str
    asset: str
    partition: str
    verdict: str | None
    deployment: str
    segment: str | None
    as_of: int
    started: int
    experiment: str | None = None
    deleted: int = 0

    @property
    def place(self) -> tuple[str, str | None, str, str]:
        """What there is one newest record of."""
        return self.deployment, self.segment, self.asset, self.partition

    @property
    def age(self) -> tuple[int, int, str]:
        """Of two records of a place the one with the greater age counts."""
        return self.as_of, self.started, self.id


# -- up -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Branch:
    """Some records of one asset, and what they were made from: a branch for each asset that they read. `again`: it is told elsewhere."""

    asset: str
    role: str
    records: tuple[Record, ...]
    inputs: tuple["Branch", ...] = ()
    again: bool = False

    def walk(self) -> Iterator["Branch"]:
        """This branch and all below it."""
        yield self
        for branch in self.inputs:
            yield from branch.walk()


def trace(shelf: Shelf, record: Record) -> Branch:
    """Everything that a record was made from, asset by asset, up to the sources; of predictions the model too, and its data."""
    return _branch(shelf, record.asset, "", [record], set())


def _branch(
    shelf: Shelf, asset: str, role: str, records: Sequence[Record], told: set[frozenset[str]]
) -> Branch:
    key = frozenset(r.id for r in records)
    if key in told:
        return Branch(asset, role, tuple(records), again=True)
    told.add(key)
    groups: dict[tuple[str, str], dict[str, Record]] = {}
    for reader in records:
        for given in reader.inputs:
            if not given.record or (reader.stage, given.name) in JUDGED_AGAINST:
                continue
            found = _read(shelf, reader.pipeline, given)
            if found is not None:
                groups.setdefault((found.asset, _role(given, found)), {})[found.id] = found
    # The nearest to the source come first, so that the long branch of a model is told last.
    order = sorted(groups, key=lambda k: (k[1] != "", k[0]))
    inputs = tuple(
        _branch(shelf, name, what, sorted(groups[name, what].values(), key=lambda r: r.partition), told)
        for name, what in order
    )
    return Branch(asset, role, tuple(records), inputs)


def _read(shelf: Shelf, pipeline: str, given: Input) -> Record | None:
    try:
        return shelf.read(pipeline, given.record)
    except NotFoundError:
        return None


def _role(given: Input, found: Record) -> str:
    return given.name if found.stage in ("train", "trial") and given.name in ("champion", "bundle") else ""


def prediction_of(shelf: Shelf, prediction: str) -> tuple[Record, int]:
    """The record of the predictions that hold one, the newest of those that do, and the row that it is about.

    Raises
    ------
    NotFoundError
        It is no id of a prediction, or no record holds it.
    """
    parts = _PREDICTION.fullmatch(prediction)
    if parts is None:
        raise NotFoundError(
            f"{prediction!r} is no id of a prediction",
            fix="They look like p-0123456789abcdef-42, and stand in the table of predictions.",
        )
    statement = f"""select {NODE}, e.name, e.object from record r join edge e on e.reader = r.n
        where r.stage = 'predict' and e.name in ('features', 'champion')"""
    objects: dict[str, dict[str, str]] = {}
    nodes: dict[str, Node] = {}
    for *node, name, held in shelf.index.database.run(statement):
        nodes[node[0]] = Node(*node)
        objects.setdefault(node[0], {})[name] = held
    found = [nodes[i] for i, o in objects.items() if _stem(o) == parts[1]]
    if not found:
        raise NotFoundError(
            f"no predictions hold {prediction!r}",
            where=shelf.store.url,
            fix="It may be of another store; see --store.",
        )
    newest = max(found, key=lambda n: n.age)
    return shelf.read(newest.pipeline, newest.id), int(parts[2])


def _stem(objects: Mapping[str, str]) -> str:
    text = f"{objects.get('features')}/{objects.get('champion')}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


# -- down -----------------------------------------------------------------------------------------------------------


def nodes_of(shelf: Shelf, ids: Sequence[str]) -> list[Node]:
    """Nodes of some records, in their order."""
    found: dict[str, Node] = {}
    for some in chunks(ids):
        marks = ", ".join("?" * len(some))
        rows = shelf.index.database.run(f"select {NODE} from record r where r.id in ({marks})", some)
        found |= {row[0]: Node(*row) for row in rows}
    return [found[i] for i in ids if i in found]


def descendants(shelf: Shelf, ids: Sequence[str]) -> list[Node]:
    """Everything that was made from some records, nearest first; what was only compared with them is not."""
    seen, front, found = set(ids), list(ids), []
    while front:
        following: dict[str, Node] = {}
        for some in chunks(front):
            marks = ", ".join("?" * len(some))
            statement = f"select {NODE}, e.name from edge e join record r on r.n = e.reader where e.source in ({marks})"
            for *node, name in shelf.index.database.run(statement, some):
                if node[0] not in seen and (node[2], name) not in JUDGED_AGAINST and not node[-1]:
                    following[node[0]] = Node(*node)
        nodes = sorted(following.values(), key=lambda n: (n.asset, n.partition, n.age))
        seen |= following.keys()
        found += nodes
        front = [n.id for n in nodes]
    return found


def newest_of(shelf: Shelf, pipelines: Iterable[str]) -> dict[tuple[str, str | None, str, str], Node]:
    """The newest record of every place of some pipelines: experiments and deleted ones do not count."""
    found: dict[tuple[str, str | None, str, str], Node] = {}
    for pipeline in sorted(pipelines):
        statement = (
            f"select {NODE} from record r where r.pipeline = ? and r.experiment is null and r.deleted = 0"
        )
        for row in shelf.index.database.run(statement, (pipeline,)):
            node = Node(*row)
            if node.place not in found or node.age > found[node.place].age:
                found[node.place] = node
    return found


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Values in lists that a statement can bind."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
