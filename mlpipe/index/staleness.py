"""What has been overtaken: newest records that read something which is no longer the newest, and has another content now."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlpipe.errors import NotFoundError
from mlpipe.index.lineage import JUDGED_AGAINST, Node, chunks, newest_of
from mlpipe.index.shelf import Shelf

DECIDED = ("model", "evaluation", "release")
"""Assets of which old partitions are history, and not overtaken: only what is in production and the newest count."""


@dataclass(frozen=True)
class Overtaken:
    """One input that was made again: by which record, when (microseconds since 1970), and under which name it was read."""

    asset: str
    partition: str
    name: str
    read: str
    newest: Node


@dataclass(frozen=True)
class Stale:
    """A record that is the newest of its place, what it read that was made again, and how many records were made from it since."""

    node: Node
    why: tuple[Overtaken, ...]


def stale(shelf: Shelf, pipelines: list[str], *, history: bool = False) -> list[Stale]:
    """Newest records that read what was made again with another content, by asset and partition.

    Parameters
    ----------
    history
        Whether models count that are neither in production nor the newest; else they are left out, with their evaluations.

    Notes
    -----
    A champion that was changed makes no prediction stale: a partition belongs to the version that predicted it. What was made again
    with the same content overtakes nothing.
    """
    newest = newest_of(shelf, pipelines)
    by_id = {n.id: n for n in newest.values()}
    last: dict[tuple[str, str], str] = {}
    for node in newest.values():
        last[node.deployment, node.asset] = max(node.partition, last.get((node.deployment, node.asset), ""))
    kept = {
        n.id: n
        for n in newest.values()
        if history or n.partition == last[n.deployment, n.asset] or _counts(shelf, n)
    }
    found: dict[str, list[Overtaken]] = {}
    for reader, source, asset, partition, name, content in _edges(shelf, list(kept)):
        node = kept[reader]
        now = newest.get((node.deployment, node.segment, asset, partition))
        if now is None or source in by_id or now.id == source or now.age <= _age(shelf, source):
            continue
        if (node.stage, name) in JUDGED_AGAINST or name in ("champion", "scored"):
            continue
        if not name and node.stage == "monitor":
            continue  # alarms and levels of days before are carried on as they were told then
        if _content(shelf, now, name) != content:
            found.setdefault(reader, []).append(Overtaken(asset, partition, name, source, now))
    ordered = sorted(found, key=lambda i: (kept[i].asset, kept[i].partition))
    return [Stale(kept[i], tuple(found[i])) for i in ordered]


def _counts(shelf: Shelf, node: Node) -> bool:
    """Whether it can be overtaken though later partitions are there: data can, of models only the one in production."""
    if node.asset.rpartition("/")[2] not in DECIDED:
        return True
    champion = shelf.state(node.pipeline, node.segment, node.deployment).champion
    return champion is not None and champion.details.get("model_record") == node.id


def _age(shelf: Shelf, source: str) -> tuple[int, int, str]:
    """Age of what was read; what is not on record is older than all else."""
    found = shelf.index.database.run("select as_of, started, id from record where id = ?", (source,))
    return (0, 0, "") if not found else (int(found[0][0]), int(found[0][1]), str(found[0][2]))


def _edges(shelf: Shelf, readers: list[str]) -> Iterator[tuple[str, str, str, str, str, str | None]]:
    for some in chunks(readers):
        marks = ", ".join("?" * len(some))
        statement = f"""select r.id, e.source, e.asset, e.partition, e.name, e.object
            from edge e join record r on r.n = e.reader where r.id in ({marks}) order by r.id, e.place"""
        yield from shelf.index.database.run(statement, some)


def _content(shelf: Shelf, node: Node, name: str) -> str | None:
    """Content id of an output; None where it has none of that name: then it cannot be what was read."""
    try:
        record = shelf.read(node.pipeline, node.id)
    except NotFoundError:
        return None
    return next((o.id for o in record.outputs if o.name == name), None)
