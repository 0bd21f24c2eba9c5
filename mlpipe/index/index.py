"""The index of records: added to by every step, asked by people.

Who may call at once
    Any number of processes, each with an `Index` of its own; see `mlpipe.index.database` for what they see of one another.
What a second writer sees
    A record that is there already is not added again. Nothing depends on the order in which records are added.
What survives a crash
    The records are the truth, and lie in the store. Whatever is lost here is brought back by a sync, or made anew by a rebuild.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlpipe.errors import NotFoundError
from mlpipe.index import writer
from mlpipe.index.answer import READ, Answer, Row, moment, rows_of, shown_keys
from mlpipe.index.blocks import settle
from mlpipe.index.database import Database, connect
from mlpipe.index.fields import field_of
from mlpipe.index.language import parse
from mlpipe.index.packs import Names
from mlpipe.index.place import shown
from mlpipe.index.planner import plan
from mlpipe.index.query import Query
from mlpipe.index.rows import Confirmed, Entry, Note, entry_of, micros
from mlpipe.index.schema import COLUMNS, prepare

if TYPE_CHECKING:
    from mlpipe.ledger.entry import Entry as Decision
    from mlpipe.records.record import Record

SYNCED = "synced"


class Index:
    """An open index. Open it by `Index.open`, as a context; one thread uses it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names = Names(database)

    @classmethod
    def open(cls, url: str, *, create: bool = False, anew: bool = False) -> "Index":
        """Open the index of an address (see `mlpipe.index.place.index_url`); make it first, if there is none and `create` is true.

        With `anew` too an index of another format is made empty; one of this format stays as it is.

        Raises
        ------
        NotFoundError
            There is none, and `create` is false.
        MlpipeError
            It cannot be reached, or is of another version.
        """
        database = connect(url, create=create)
        try:
            prepare(database, create=create, anew=anew)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.database.close()

    @property
    def url(self) -> str:
        """Where it lies, without a password."""
        return shown(self.database.url)

    # -- writing ---------------------------------------------------------------------------------------------------

    def add(self, records: "Iterable[Record]", store: str = "", *, replace: bool = False) -> int:
        """Add records of a store (its address), in one transaction; returns how many were not there yet.

        A record that is there stays as it is; with `replace` its row is made anew. With them come their edges, and what an evaluation
        measured to the trainings that made its bundle.
        """
        return self.enter([entry_of(record) for record in records], store, replace=replace)

    def enter(self, entries: Sequence[Entry], store: str = "", *, replace: bool = False) -> int:
        """As `add`, of what `mlpipe.index.rows.entry_of` made of records."""
        with self._writing():
            return writer.add(self.database, self.names, entries, store, replace=replace)

    def remove(self, ids: Sequence[str]) -> None:
        """Forget rows whose records exist in no store."""
        with self._writing():
            writer.remove(self.database, self.names, ids)

    def confirm(self, rows: Iterable[Confirmed], instance: str = "") -> None:
        """Note what a Dagster instance says of records: their newest event, or that it was deleted."""
        with self._writing():
            writer.confirm(self.database, rows, instance)

    def mark_deleted(self, ids: Iterable[str]) -> None:
        """Mark records whose events were deleted in Dagster; their rows stay."""
        with self._writing():
            writer.mark_deleted(self.database, ids)

    def decide(
        self, pipeline: str, segment: str | None, deployment: str, entries: "Sequence[Decision]"
    ) -> None:
        """Give trainings their versions and release stages, by all entries of one chain of decisions."""
        with self._writing():
            writer.decide(self.database, (pipeline, segment, deployment), entries)

    def note(self, record_id: str, text: str, actor: str) -> Note:
        """Write something down about a record, for good: in its store, and here.

        Raises
        ------
        NotFoundError
            The index has no such record.
        StoreError
            The store cannot be written; then nothing was noted.
        """
        from mlpipe.index.kept import write_note

        row = self.one(record_id)
        made = write_note(row.store, row.pipeline, row.id, text, actor)
        self.add_notes([made])
        return made

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Add notes that are in a store already."""
        with self._writing():
            writer.note(self.database, notes)

    def remember(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name: how far a sync has come, for example."""
        with self._writing():
            self.database.run("delete from meta where name = ?", (name,))
            self.database.run("insert into meta (name, value) values (?, ?)", (name, json.dumps(value)))

    def recall(self, name: str) -> Any:
        """What was kept under a name; None for nothing."""
        found = self.database.run("select value from meta where name = ?", (name,))
        return json.loads(found[0][0]) if found else None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self.database.writing():
                yield
                settle(self.database, self.names)
        except BaseException:
            self.names.forget()
            raise

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(self, query: str | Query, limit: int | None = None, now: datetime | None = None) -> Answer:
        """Answer a query; see ``docs/records.md`` for the language.

        Parameters
        ----------
        limit
            How many rows at most; the smaller of it and the query's own counts. None: the query's own.
        now
            What relative times count from; default: the clock's.

        Raises
        ------
        QueryError
            The query is wrong; the message shows where.
        """
        asked = parse(query, now) if isinstance(query, str) else query
        limits = [x for x in (limit, asked.limit) if x is not None]
        most = min(limits) if limits else None
        with self.database.reading():
            made = plan(self.database, asked, READ, None if most is None else most + 1)
            selected = self.database.run(*made.statement)
            named = [field_of(self.database, key, asked.text).name for key in asked.named()]
            rows = [dict(row.values) for row in rows_of(self.names, selected[:most])]
            as_of, newer = self.as_of()
        return Answer(
            rows=rows,
            keys=shown_keys(named, rows),
            as_of=as_of,
            total=len(rows),
            more=most is not None and len(selected) > most,
            newer=newer,
            way=made.way,
        )

    def find(self, reference: str) -> list[Row]:
        """Records that a reference means: an id or a Dagster run, or its beginning; ``flights@12``, ``flights@production``.

        Nothing found is an empty list, and a beginning may be that of several. Of a version there is one training in each deployment that
        has it, the deployment that decided last first.
        """
        name, at, which = reference.rpartition("@")
        with self.database.reading():
            if at and name:
                return self._version(name, which)
            start = reference if reference.startswith("rec-") else f"rec-{reference}"
            for column, beginning in (("id", start), ("run", reference)):
                test = f"r.{column} >= ? and r.{column} < ? order by r.started, r.id limit 1000"
                found = self._rows("", test, [beginning, beginning + "\U0010ffff"])
                if found:
                    return found
        return []

    def one(self, reference: str) -> Row:
        """The only record that a reference means.

        Raises
        ------
        NotFoundError
            It means none, or several.
        """
        found = self.find(reference)
        if len(found) == 1 or (found and "@" in reference):
            return found[0]
        if not found:
            raise NotFoundError(
                f"nothing is known by {reference!r}",
                where=self.url,
                fix="An id or its beginning, PIPELINE@VERSION, PIPELINE@production or a Dagster run; see them: mlpipe runs. "
                "What is newer than the index: mlpipe index sync",
            )
        shown_ids = ", ".join(
            f"{row.id[:16]} ({row.get('asset')} {row.get('partition')})" for row in found[:5]
        )
        raise NotFoundError(
            f"{reference!r} means {len(found)} records", where=self.url, fix=f"Name one of them: {shown_ids}."
        )

    def readers(self, record_id: str) -> list[Row]:
        """Records that read what a record made, the oldest first."""
        with self.database.reading():
            joined = "join (select distinct reader from edge where source = ?) e on e.reader = r.n"
            return self._rows(joined, "true order by r.started, r.id", [record_id])

    def keys(self, prefix: str = "") -> list[str]:
        """Keys of records that begin so, sorted; columns are not among them."""
        start, end = prefix, prefix + "\U0010ffff"
        found = self.database.run(
            "select name from key where name >= ? and name < ? order by name", (start, end)
        )
        return [name for (name,) in found if name not in COLUMNS]

    def ids(self, store: str | None = None) -> set[str]:
        """Ids of all records, or of those in a store."""
        where, values = ("", []) if store is None else (" where store = ?", [store])
        return {i for (i,) in self.database.run(f"select id from record{where}", values)}

    def assets(self) -> list[str]:
        """Names of all assets that have records, sorted."""
        found: list[str] = []
        after = ""
        # From one to the next by the index: a million rows have a dozen assets.
        while True:
            row = self.database.run(
                "select asset from record where asset is not null and asset > ? order by asset limit 1",
                (after,),
            )
            if not row:
                return found
            after = row[0][0]
            found.append(after)

    def confirmed(self, instance: str, asset: str) -> dict[str, int]:
        """Event of each record of an asset that a Dagster instance confirmed and did not delete since."""
        asked = "select id, event from record where asset = ? and instance = ? and event is not null and deleted = 0"
        return dict(self.database.run(asked, (asset, instance)))

    def notes(self) -> set[str]:
        """Names of all notes that it holds."""
        return {name for (name,) in self.database.run("select name from note")}

    def count(self) -> int:
        """How many records there are."""
        return int(self.database.run("select count(*) from record")[0][0])

    def stores(self) -> list[str]:
        """Addresses of the stores in which the records lie, sorted."""
        return [
            s
            for (s,) in self.database.run(
                "select distinct store from record where store <> '' order by store"
            )
        ]

    def _rows(self, joined: str, test: str, values: Sequence[Any]) -> list[Row]:
        return rows_of(
            self.names, self.database.run(f"select {READ} from record r {joined} where {test}", values)
        )

    def _version(self, name: str, which: str) -> list[Row]:
        where, values = ("v.number = ?", [int(which)]) if which.isdecimal() else ("v.stage = ?", [which])
        joined = "join version v on v.record = r.id"
        test = f"v.pipeline = ? and {where} order by (r.deployment <> v.deployment), r.started desc, r.id"
        return self._rows(joined, test, [name, *values])

    def as_of(self) -> tuple[datetime, int]:
        """Up to when everything is there, and how many rows came since."""
        synced = self.recall(SYNCED)
        if synced is None:
            newest = self.database.run(
                "select started from record where started is not null order by started desc limit 1"
            )
            return moment(newest[0][0]) if newest else datetime.now(UTC), 0
        at = datetime.fromisoformat(synced)
        count = "select count(*) from (select 1 from record where started > ? limit 1000) newer"
        return at, self.database.run(count, (micros(at),))[0][0]
