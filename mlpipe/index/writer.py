"""Writing rows: everything here happens within one transaction of the only writer, and happens once however often it is asked for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlpipe.index.blocks import spoil
from mlpipe.index.database import Database
from mlpipe.index.packs import Names, digest
from mlpipe.index.rows import PRIMARY, TRAININGS, Confirmed, Entry, Note, Value, metric_keys, micros
from mlpipe.index.schema import COLUMNS, PACKED

if TYPE_CHECKING:
    from mlpipe.ledger.entry import Entry as Decision

_GIVEN = tuple(c for c in COLUMNS if c not in ("version", "release_stage", "registered", "deleted"))
"""Columns that a record gives itself; the others come from ledger and events."""
_OWN = (*_GIVEN, "store", "trained", "made", "judges", "own_notes", "bag", "shape", "pack", "measured")
_ATTRIBUTE = "insert into attribute (key, row, number, text) values (?, ?, ?, ?)"


def add(
    database: Database, names: Names, entries: Sequence[Entry], store: str, *, replace: bool = False
) -> int:
    """Write rows of records that have none, or with `replace` of all; returns how many were new."""
    unique = {entry.id: entry for entry in entries}
    known = _numbers(database, list(unique))
    todo = [entry for entry in unique.values() if replace or entry.id not in known]
    if not todo:
        return 0
    metrics = [metric_keys(entry.measured) for entry in todo]
    held = [
        {**{c: e.columns[c] for c in PACKED if e.columns[c] is not None}, **e.attributes, **measured}
        for e, measured in zip(todo, metrics, strict=True)
    ]
    names.take([*held, *(e.shared for e in todo)])
    free = database.run("select coalesce(max(n), 0) + 1 from record")[0][0]
    places = {}
    for entry in todo:
        places[entry.id] = known.get(entry.id) or free
        free += entry.id not in known
    # Those of rows that were removed are given again.
    spoil(database, places.values())
    old = [places[e.id] for e in todo if e.id in known]
    if old:
        _clear(database, names, old)
    bags: dict[str, int] = {}
    written = [
        (*_values(database, names, e, h, store, bags), places[e.id]) for e, h in zip(todo, held, strict=True)
    ]
    fresh = [row for row, entry in zip(written, todo, strict=True) if entry.id not in known]
    again = [row for row, entry in zip(written, todo, strict=True) if entry.id in known]
    marks = ", ".join("?" * (len(_OWN) + 3))
    database.many(
        f"insert into record ({', '.join(_OWN)}, n, registered, deleted) values ({marks})",
        [(*r, 0, 0) for r in fresh],
    )
    database.many(f"update record set {', '.join(f'{c} = ?' for c in _OWN)} where n = ?", again)
    database.many(
        _ATTRIBUTE,
        [
            row
            for e, measured in zip(todo, metrics, strict=True)
            for row in _attributes(names, places[e.id], {**e.attributes, **measured})
        ],
    )
    database.many(
        "insert into edge (source, reader, place, asset, partition, name, object) values (?, ?, ?, ?, ?, ?, ?)",
        [
            (x.source, places[e.id], i, x.asset, x.partition, x.name, x.object)
            for e in todo
            for i, x in enumerate(e.edges)
        ],
    )
    _judge(database, names, {b for e in todo for b in (e.made, e.judges) if b is not None})
    ids = [entry.id for entry in todo]
    _annotate(database, ids)
    _place(database, ids)
    return len(fresh)


def remove(database: Database, names: Names, ids: Sequence[str]) -> None:
    """Forget rows whose records exist nowhere."""
    rows = list(_numbers(database, ids).values())
    spoil(database, rows)
    _clear(database, names, rows)
    bundles = {
        b[0] for n in rows for b in database.run("select judges from record where n = ?", (n,)) if b[0]
    }
    database.many("delete from record where n = ?", [(n,) for n in rows])
    _judge(database, names, bundles)


def confirm(database: Database, rows: Iterable[Confirmed], instance: str) -> None:
    """Note what a Dagster instance says of records; of those that the index does not hold, nothing."""
    told = list(rows)
    for deleted in (False, True):
        _delete(database, [row.record for row in told if row.deleted == deleted], deleted=deleted)
    database.many(
        "update record set event = ?, instance = ? where id = ?",
        [(row.event, instance, row.record) for row in told],
    )


def mark_deleted(database: Database, ids: Iterable[str]) -> None:
    """Mark records whose events were deleted."""
    _delete(database, list(ids), deleted=True)


def _delete(database: Database, ids: Sequence[str], *, deleted: bool) -> None:
    changed: list[int] = []
    for i in range(0, len(ids), 500):
        some = ids[i : i + 500]
        found = f"select n from record where id in ({', '.join('?' * len(some))}) and deleted <> ?"
        changed += [n for (n,) in database.run(found, [*some, int(deleted)])]
    spoil(database, changed)
    database.many("update record set deleted = ? where n = ?", [(int(deleted), n) for n in changed])


def decide(database: Database, chain: tuple[str, str | None, str], entries: "Sequence[Decision]") -> None:
    """Versions and their stages, after all entries of one chain of decisions."""
    from mlpipe.ledger.fold import fold

    place = (chain[0], chain[1] or "", chain[2])
    where = "pipeline = ? and segment = ? and deployment = ?"
    before = database.run(
        f"select number, record, stage, evaluation from version where {where} order by number", place
    )
    after = [
        (v.number, str(v.details.get("model_record", "")), v.stage, v.evaluation)
        for v in fold(entries).versions.values()
    ]
    if before == after:
        return
    database.run(f"delete from version where {where}", place)
    database.many(
        "insert into version (pipeline, segment, deployment, number, record, stage, evaluation) values (?, ?, ?, ?, ?, ?, ?)",
        [(*place, *row) for row in after],
    )
    changed = sorted({row[1] for row in set(before) ^ set(after)})
    _place(database, changed, gone=changed)


def note(database: Database, notes: Sequence[Note]) -> None:
    """Add notes."""
    have = {row[0] for row in database.run("select name from note")}
    new = {n.name: n for n in notes if n.name not in have}
    database.many(
        "insert into note (record, written, actor, text, name) values (?, ?, ?, ?, ?)",
        [(n.record, micros(n.written), n.actor, n.text, n.name) for n in new.values()],
    )
    _annotate(database, sorted({n.record for n in new.values()}))


def _numbers(database: Database, ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for i in range(0, len(ids), 500):
        some = ids[i : i + 500]
        found.update(
            database.run(f"select id, n from record where id in ({', '.join('?' * len(some))})", some)
        )
    return found


def _clear(database: Database, names: Names, rows: Sequence[int]) -> None:
    """Take away what rows hold beside their columns."""
    for n in rows:
        shape = database.run("select shape from record where n = ?", (n,))[0][0]
        gone = [(key, n) for key, _ in names.shape(shape)]
        database.many("delete from attribute where key = ? and row = ?", gone)
        database.run("delete from edge where reader = ?", (n,))


def _values(
    database: Database,
    names: Names,
    entry: Entry,
    held: Mapping[str, Value],
    store: str,
    bags: dict[str, int],
) -> tuple[Any, ...]:
    shape, pack = names.pack(held)
    made = {
        **entry.columns,
        "store": store,
        "trained": int(entry.columns["stage"] in TRAININGS),
        "made": entry.made,
        "judges": entry.judges,
        "own_notes": entry.columns["notes"],
        "bag": _bag(database, names, entry.shared, bags),
        "shape": shape,
        "pack": pack,
        "measured": json.dumps(entry.measured),
    }
    return tuple(made[name] for name in _OWN)


def _bag(database: Database, names: Names, held: Mapping[str, Value], bags: dict[str, int]) -> int:
    """Number of the bag with these attributes, made if there is none."""
    shape, pack = names.pack(held)
    name = digest(shape.to_bytes(8, "little") + pack)
    if name not in bags:
        found = database.run("select id from bag where digest = ?", (name,))
        if not found:
            found = database.run("select coalesce(max(id), 0) + 1 from bag")
            number = found[0][0]
            database.run(
                "insert into bag (id, digest, shape, pack) values (?, ?, ?, ?)", (number, name, shape, pack)
            )
            rows = _attributes(names, number, held)
            database.many("insert into shared (key, bag, number, text) values (?, ?, ?, ?)", rows)
        bags[name] = found[0][0]
    return bags[name]


def _attributes(
    names: Names, row: int, held: Mapping[str, Value]
) -> list[tuple[int, int, float | None, str | None]]:
    return [
        (names.keys[key], row, None, value)
        if isinstance(value, str)
        else (names.keys[key], row, float(value), None)
        for key, value in held.items()
    ]


def _judge(database: Database, names: Names, bundles: set[str]) -> None:
    """Show what the newest evaluation of a bundle measured, and by which metric first, at the trainings that made it."""
    for bundle in sorted(bundles):
        trainings = database.run("select n, measured, shape, pack from record where made = ?", (bundle,))
        newest = database.run(
            "select measured, shape, pack from record where judges = ? order by as_of desc, started desc, id limit 1",
            (bundle,),
        )
        judged = json.loads(newest[0][0]) if newest else []
        told = names.unpack([newest[0][1:]])[0] if newest else {}
        primary = {PRIMARY: told[PRIMARY]} if PRIMARY in told else {}
        for n, own, shape, pack in trainings:
            now = metric_keys([*judged, *json.loads(own)]) | primary
            held = names.unpack([(shape, pack)])[0]
            before = {k: value for k, value in held.items() if k.startswith("metrics.") or k == PRIMARY}
            if now != before:
                spoil(database, [n])
                names.take([held, now])
                gone = [(names.keys[key], n) for key in before]
                database.many("delete from attribute where key = ? and row = ?", gone)
                database.many(_ATTRIBUTE, _attributes(names, n, now))
                rest = {key: value for key, value in held.items() if key not in before}
                made = names.pack({**rest, **now})
                database.run("update record set shape = ?, pack = ? where n = ?", (*made, n))


def _annotate(database: Database, ids: Sequence[str]) -> None:
    """Notes of records: their own, and what was written since."""
    for record in _present(database, "note", ids):
        written = database.run("select text from note where record = ? order by written, name", (record,))
        own = database.run("select own_notes from record where id = ?", (record,))
        texts = [text for (text,) in (*own, *written) if text]
        database.run("update record set notes = ? where id = ?", ("\n".join(texts), record))


def _place(database: Database, ids: Sequence[str], gone: Sequence[str] = ()) -> None:
    """Versions of records in their own deployment: of several, the highest; of those that are `gone` from the chain, none."""
    placed = _present(database, "version", ids)
    spoil(database, _numbers(database, [*gone, *placed]).values())
    database.many(
        "update record set version = null, release_stage = null, registered = 0 where id = ?",
        [(i,) for i in gone],
    )
    for record in placed:
        found = database.run(
            "select v.number, v.stage from version v join record r on r.id = v.record and r.deployment = v.deployment "
            "where v.record = ? order by v.number desc limit 1",
            (record,),
        )
        database.many(
            "update record set version = ?, release_stage = ?, registered = 1 where id = ?",
            [(number, stage, record) for number, stage in found],
        )


def _present(database: Database, table: str, ids: Sequence[str]) -> list[str]:
    """Those of some records of which another table speaks."""
    found: set[str] = set()
    for i in range(0, len(ids), 500):
        some = ids[i : i + 500]
        marks = ", ".join("?" * len(some))
        found.update(
            r for (r,) in database.run(f"select record from {table} where record in ({marks})", some)
        )
    return sorted(found)
