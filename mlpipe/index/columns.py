"""What was made from one column: by name, as far as the records tell."""

from collections.abc import Iterator

from mlpipe.index.lineage import NODE, Node, descendants
from mlpipe.index.shelf import Shelf
from mlpipe.records.record import Record


def column_impact(shelf: Shelf, text: str) -> tuple[list[Node], list[Node], set[str]] | None:
    """What was made from a column.

    Parameters
    ----------
    text
        Name of a column of a source or of a feature; ``source.column`` means that of one source.

    Returns
    -------
    tuple or None
        The raw partitions that hold it; what was made from it, nearest first; and ids of those of which that is not known, because a
        function made their features. None when no source, feature or label has that name.
    """
    raws = [n for n, r in _records(shelf, "ingest") if _sends(r, text)]
    name = (
        text
        if not raws or _named(shelf.read(raws[0].pipeline, raws[0].id), text)
        else text.rpartition(".")[2]
    )
    held = {n.id for n in raws}
    sure: list[Node] = []
    perhaps: list[Node] = []
    for node, record in _records(shelf, "feature"):
        if name in record.data.get("features", {}):
            sure.append(node)
        elif held & {i.record for i in record.inputs} and _may_read(record, name):
            perhaps.append(node)
    for node, record in _records(shelf, "label"):
        if (record.params.get("label") or {}).get("column") == name:
            sure.append(node)
    checked = [n for n, r in _records(shelf, "validate") if held & {i.record for i in r.inputs}]
    if not (raws or sure):
        return None
    below = descendants(shelf, [n.id for n in sure])
    known = {n.id for n in (*sure, *below)}
    unsure = [n for n in (*perhaps, *descendants(shelf, [n.id for n in perhaps])) if n.id not in known]
    return raws, [*checked, *sure, *below, *unsure], {n.id for n in unsure}


def _may_read(record: Record, column: str) -> bool:
    """Whether features may have been made from a column of their rows: by a function, which never sees the label of its own rows."""
    features, label = (record.params.get(name) or {} for name in ("features", "label"))
    if features.get("columns"):
        return False
    hidden = {label.get("column"), *(label.get("outcomes") or ())}
    return column not in hidden or features.get("look_back") not in (None, "0s")


def _sends(record: Record, text: str) -> bool:
    """Whether a raw partition has a column, named alone or with its source."""
    source, _, column = text.partition(".")
    return _named(record, text) or column in _schema(record).get(source, {})


def _named(record: Record, column: str) -> bool:
    return any(column in columns for columns in _schema(record).values())


def _schema(record: Record) -> dict[str, dict[str, str]]:
    return dict((record.data.get("head") or {}).get("schema", {}))


def _records(shelf: Shelf, stage: str) -> Iterator[tuple[Node, Record]]:
    statement = f"select {NODE} from record r where r.stage = ? and r.deleted = 0 order by r.asset, r.partition, r.started, r.id"
    for row in shelf.index.database.run(statement, (stage,)):
        node = Node(*row)
        yield node, shelf.read(node.pipeline, node.id)
