"""What was made from something, and what of it is live."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from mlpipe.errors import NotFoundError
from mlpipe.index.columns import column_impact
from mlpipe.index.lineage import NODE, Node, descendants, newest_of, nodes_of
from mlpipe.index.shelf import Shelf

ORDER = (
    "raw",
    "validated",
    "features",
    "labels",
    "model",
    "trial",
    "evaluation",
    "release",
    "predictions",
    "monitor",
)


@dataclass(frozen=True)
class Impact:
    """What was made from something.

    Attributes
    ----------
    of
        What it is, in words.
    begin
        The records that it begins with.
    made
        Records that were made from these, nearest first; those that it begins with are not among them.
    current
        Ids of those that are the newest of their partition, and no experiment.
    live
        Versions that are in production and were made from it, or are it, such as ``flights@3``, by the record of their training.
    perhaps
        Ids of records of which nobody knows whether they used the column: a function made them.
    """

    of: str
    begin: tuple[Node, ...]
    made: tuple[Node, ...]
    current: frozenset[str]
    live: Mapping[str, str] = field(default_factory=dict)
    perhaps: frozenset[str] = frozenset()

    def assets(self) -> dict[str, list[Node]]:
        """What was made, by asset, in the order of the graph."""
        found: dict[str, list[Node]] = {}
        for node in sorted(self.made, key=lambda n: (n.pipeline, _place(n))):
            found.setdefault(node.asset, []).append(node)
        return found


def _place(node: Node) -> int:
    name = node.asset.rpartition("/")[2]
    return ORDER.index(name) if name in ORDER else len(ORDER)


def impact(shelf: Shelf, text: str) -> Impact:
    """What was made from a record, a partition of the source, or a column.

    Raises
    ------
    NotFoundError
        It is none of these.
    """
    raws = _of_partition(shelf, text)
    if raws:
        return _impact(shelf, f"the rows of {text}", raws)
    try:
        records = shelf.find(text)
    except NotFoundError as error:
        found = column_impact(shelf, text)
        if found is None:
            known = [k.removeprefix("data.features.") for k in shelf.index.keys("data.features.")]
            close = get_close_matches(text.rpartition(".")[2], known, n=3)
            meant = f"Did you mean the column {' or '.join(map(repr, close))}? " if close else ""
            error.fix = f"{meant}{error.fix} A partition such as 2013-07-01, or a column, may be named too."
            raise
        begin, made, perhaps = found
        return _impact(shelf, f"the column {text}", begin, made, perhaps)
    told = f"{records[0].asset} {records[0].partition}" if len(records) == 1 else f"run {text}"
    return _impact(shelf, told, nodes_of(shelf, [r.id for r in records]))


def _of_partition(shelf: Shelf, text: str) -> list[Node]:
    statement = f"select {NODE} from record r where r.stage = 'ingest' and r.partition = ? and r.deleted = 0 order by r.started"
    return [Node(*row) for row in shelf.index.database.run(statement, (text,))]


def _impact(
    shelf: Shelf,
    of: str,
    begin: Sequence[Node],
    made: Sequence[Node] | None = None,
    perhaps: Iterable[str] = (),
) -> Impact:
    below = descendants(shelf, [n.id for n in begin]) if made is None else list(made)
    newest = newest_of(shelf, {n.pipeline for n in (*begin, *below)})
    current = frozenset(n.id for n in below if newest.get(n.place) == n)
    return Impact(of, tuple(begin), tuple(below), current, _live(shelf, [*begin, *below]), frozenset(perhaps))


def _live(shelf: Shelf, nodes: Sequence[Node]) -> dict[str, str]:
    found = {}
    for pipeline, segment, deployment in {(n.pipeline, n.segment, n.deployment) for n in nodes}:
        champion = shelf.state(pipeline, segment, deployment).champion
        if champion is not None:
            found[str(champion.details.get("model_record"))] = f"{pipeline}@{champion.number}"
    ids = {n.id for n in nodes}
    return {record: version for record, version in sorted(found.items()) if record in ids}
