"""Records, found by what people call them, and read whole from the store that they lie in.

The store is the truth. What the index does not have yet of a folder is added before anything is asked of it, so that an answer never
depends on when a sync was made; of a bucket, whose listing costs a request for each thousand records, a sync brings it. Versions are
looked up in the ledger itself.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mlpipe.errors import NotFoundError, did_you_mean
from mlpipe.index.answer import Row
from mlpipe.index.database import IndexUnreachableError
from mlpipe.index.index import Index
from mlpipe.index.kept import notes, write_note
from mlpipe.index.place import index_url, sqlite_url
from mlpipe.index.rows import Note, micros
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.fold import State
from mlpipe.ledger.references import referred
from mlpipe.ledger.verify import DEPLOYMENTS, chains, meant
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.stores.place import default_url
from mlpipe.stores.store import Store

SHOWN = 6
BATCH = 2000
FOLDER = "file://"
"""Beginning of the address of a store in a folder."""
_SERVE = ", ".join(f"'{name}'" for name in DEPLOYMENTS)
_NEAR = f"case when r.deployment = ? then 0 when r.deployment in ({_SERVE}) then 1 else 2 end"
"""How near a record is to the chain of decisions that is meant: its own, a deployment's, that of a replay."""
HOW = "Give an id or its beginning, PIPELINE@VERSION, PIPELINE@production, PIPELINE/ASSET@PARTITION, or a Dagster run."


class Shelf:
    """The records of a store. Open it by `open_shelf`; one thread uses it. `as_of` is the moment up to which it holds all of them."""

    def __init__(self, store: Store, index: Index, as_of: datetime, ledger: str | None = None) -> None:
        self.store, self.index, self.ledger, self.as_of = store, index, ledger, as_of
        self._read: dict[str, Record] = {}
        self._states: dict[tuple[str, str | None, str], State] = {}
        self._chosen: dict[str, str] = {}

    def find(self, text: str) -> list[Record]:
        """Records that a text means: one, but of a Dagster run all that it made, in the order in which it made them.

        Raises
        ------
        NotFoundError
            It means none, or is the beginning of several ids; with those that are meant perhaps.
        """
        name, at, which = text.partition("@")
        if at and "/" in name:
            return [self.newest(name, which)]
        if at:
            meant = referred(self.store, text, self.ledger)
            return [self.read(meant.pipeline, meant.record)]
        rows = self.index.find(text)
        if not rows:
            raise NotFoundError(f"no record is known by {text!r}", where=self.store.url, fix=self._hint(text))
        rows = [row for row in rows if row.get("run") == text] or rows
        runs = {row.get("run") for row in rows}
        ids = [row for row in rows if row.id.removeprefix("rec-").startswith(text.removeprefix("rec-"))]
        if len(ids) > 1 or (not ids and len(runs) > 1):
            raise NotFoundError(
                f"{text!r} is the beginning of {len(rows)} records or runs",
                where=self.store.url,
                fix=f"Name one of them: {', '.join(_told(row) for row in rows[:SHOWN])}.",
            )
        return [self.read(row.pipeline, row.id) for row in ids or rows]

    def one(self, text: str) -> Record:
        """The record that a text means; of a Dagster run the model that it learned, where there is exactly one.

        Raises
        ------
        NotFoundError
            It means none, or several.
        """
        found = self.find(text)
        if len(found) > 1:
            models = [r for r in found if r.stage in ("train", "trial")]
            if len(models) != 1:
                told = ", ".join(f"{r.id[:16]} ({r.asset} {r.partition})" for r in found[:SHOWN])
                raise NotFoundError(
                    f"run {text!r} made {len(found)} records",
                    where=self.store.url,
                    fix=f"Name one of them: {told}.",
                )
            return models[0]
        return found[0]

    def read(self, pipeline: str, record: str) -> Record:
        """A whole record."""
        if record not in self._read:
            self._read[record] = from_bytes(self.store.get_record(pipeline, record), record)
        return self._read[record]

    def newest(self, asset: str, partition: str, as_of: datetime | None = None) -> Record:
        """The newest record of an asset's partition that is no experiment: by its clock, then by when it was written.

        What the chain of decisions that is meant has made comes before what others have, such as replays of other policies.

        Parameters
        ----------
        as_of
            Records with a later clock do not count.

        Raises
        ------
        NotFoundError
            There is none.
        """
        where = "r.asset = ? and r.partition = ? and r.experiment is null and r.deleted = 0 and r.as_of <= ?"
        order = f"{_NEAR}, r.as_of desc, r.started desc, r.id"
        statement = f"select r.id from record r where {where} order by {order} limit 1"
        latest = 2**62 if as_of is None else micros(as_of)
        found = self.index.database.run(statement, (asset, partition, latest, self.chain_of(asset)))
        if not found:
            known = [a for (a,) in self.index.database.run("select distinct asset from record")]
            hint = "" if asset in known else did_you_mean(asset, known)
            when = "" if as_of is None else f" at {as_of.isoformat()}"
            raise NotFoundError(
                f"{asset} has no partition {partition!r}{when}", where=self.store.url, fix=hint or HOW
            )
        return self.read(asset.partition("/")[0], found[0][0])

    def latest(self, asset: str, verdicts: Sequence[str] = ()) -> Record:
        """The newest record of the last partition of an asset, of those with one of some verdicts where any are named.

        Partitions of the chain of decisions that is meant come before those that others have.

        Raises `NotFoundError` where there is none.
        """
        among = f" and r.verdict in ({', '.join('?' * len(verdicts))})" if verdicts else ""
        where = f"r.asset = ?{among} and r.experiment is null and r.deleted = 0"
        statement = (
            f"select r.partition from record r where {where} order by {_NEAR}, r.partition desc limit 1"
        )
        found = self.index.database.run(statement, (asset, *verdicts, self.chain_of(asset)))
        return self.newest(asset, str(found[0][0]) if found else "all")

    def across(self, asset: str, first: str | None = None, last: str | None = None) -> list[Record]:
        """The newest record of each partition of an asset, in the chain of decisions that is meant: by key, from `first` to `last`."""
        pipeline = asset.partition("/")[0]
        where = "r.asset = ? and r.deployment = ? and r.experiment is null and r.deleted = 0 and r.partition between ? and ?"
        statement = f"select r.partition, r.id from record r where {where} order by r.partition, r.as_of, r.started, r.id desc"
        given = (asset, self.chain_of(asset), first or "", last or chr(0x10FFFF))
        newest = dict(self.index.database.run(statement, given))
        return [self.read(pipeline, name) for name in newest.values()]

    def one_as_of(self, text: str, as_of: datetime) -> Record:
        """What a version or a partition was at a moment, by the clock of the data.

        Raises
        ------
        NotFoundError
            There was none, or the text is neither.
        """
        name, at, which = text.partition("@")
        if not at:
            raise NotFoundError(
                f"{text!r} was the same at all times",
                fix="Name a version (PIPELINE@production) or a partition (PIPELINE/ASSET@PARTITION) with a time.",
            )
        if "/" in name:
            return self.newest(name, which, as_of)
        state = self._chain(name).state(as_of=as_of)
        number = int(which) if which.isascii() and which.isdigit() else None
        standing = [v for v in state.versions.values() if v.number == number or v.stage == which]
        if not standing:
            raise NotFoundError(
                f"there was no {text} at {as_of.isoformat()}",
                where=self.store.url,
                fix=f"Versions then: {', '.join(f'{v.number} ({v.stage})' for v in state.versions.values()) or 'none'}.",
            )
        return self.read(name, str(max(standing, key=lambda v: v.number).details["model_record"]))

    def readers(self, record: str) -> list[Row]:
        """Rows of the records that read what a record made, the oldest first."""
        return self.index.readers(record)

    def notes(self, record: Record) -> list[Note]:
        """What was written about a record afterwards, the oldest first."""
        mine = (n for n in notes(self.store.backend) if n.record == record.id)
        return sorted(mine, key=lambda n: (n.written, n.name))

    def note(self, record: Record, text: str, actor: str) -> Note:
        """Write something down about a record, for good. Raises `MlpipeError` when it is empty or too long."""
        made = write_note(self.store.url, record.pipeline, record.id, text, actor)
        self.index.add_notes([made])
        return made

    def state(self, pipeline: str, segment: str | None = None, deployment: str = "dev") -> State:
        """What holds in a chain of decisions; nothing decided is the empty state."""
        key = (pipeline, segment, self.ledger or deployment)
        if key not in self._states:
            chain = Ledger(self.store.backend, pipeline, segment=segment, deployment=key[2])
            self._states[key] = chain.state()
        return self._states[key]

    def versions_of(self, record: Record) -> list[str]:
        """Versions under which a model is registered, with the stage of each, such as ``flights@3 (production)``."""
        state = self.state(record.pipeline, record.segment, record.deployment)
        mine = [v for v in state.versions.values() if v.details.get("model_record") == record.id]
        return [f"{record.pipeline}@{v.number} ({v.stage})" for v in mine]

    def evaluation_of(self, record: Record) -> Record | None:
        """The newest evaluation of a training, by its clock, that is no other experiment's; None while there is none."""
        found = [
            r
            for r in self.readers(record.id)
            if r.get("stage") == "evaluate" and r.get("deployment") == record.deployment
        ]
        bundle = next((o.id for o in record.outputs if o.name == "bundle"), None)
        for row in sorted(found, key=lambda r: (r.get("as_of"), r.get("started")), reverse=True):
            judged = self.read(row.pipeline, row.id)
            # A challenger's evaluation reads the champion too; it is not about it.
            if any(i.name == "bundle" and i.record == record.id and i.id == bundle for i in judged.inputs):
                return judged
        return None

    def monitor_of(self, record: Record) -> Record | None:
        """The newest monitor of a model as champion, by partition, that judged it; None while there is none."""
        rows = [
            r
            for r in self.readers(record.id)
            if r.get("stage") == "monitor"
            and r.get("deployment") == record.deployment
            and not r.get("experiment")
        ]
        for row in sorted(
            rows, key=lambda r: (r.get("partition"), r.get("as_of"), r.get("started")), reverse=True
        ):
            watched = self.read(row.pipeline, row.id)
            # Most monitors read the anchor too, the first champion ever; they are not about it.
            mine = any(i.name == "champion" and i.record == record.id for i in watched.inputs)
            if mine and any(m.split == "rolling" for m in watched.metrics):
                return watched
        return None

    def chain_of(self, asset: str) -> str:
        """The chain of decisions whose records of an asset are meant. Raises `NotFoundError` where one is named that is not there."""
        pipeline = asset.partition("/")[0]
        if pipeline not in self._chosen:
            self._chosen[pipeline] = self._chain(pipeline).deployment
        return self._chosen[pipeline]

    def _chain(self, pipeline: str) -> Ledger:
        """The chain of decisions that versions of a pipeline are looked up in: the named one, else `mlpipe.ledger.verify.meant`."""
        names = [(segment, name) for p, segment, name in chains(self.store.backend, pipeline)]
        known = [name for _, name in names]
        if self.ledger is not None and self.ledger not in (*known, *DEPLOYMENTS):
            raise NotFoundError(
                f"pipeline {pipeline!r} has no chain of decisions {self.ledger!r}",
                where="--ledger",
                fix=did_you_mean(self.ledger, known) or f"There are: {', '.join(known) or 'none'}.",
            )
        wanted = self.ledger or meant(known) or "dev"
        segment = next((segment for segment, name in names if name == wanted), None)
        return Ledger(self.store.backend, pipeline, segment=segment, deployment=wanted)

    def _hint(self, text: str) -> str:
        if text in self.store.pipelines():
            numbers = [
                f"{text}@{n}"
                for p, s, d in chains(self.store.backend)
                if p == text
                for n in self.state(p, s, d).versions
            ]
            return (
                f"{text} is a pipeline; its versions are {', '.join(numbers[-SHOWN:]) or 'none yet'}. {HOW}"
            )
        return HOW


def _told(row: Row) -> str:
    return f"{row.id[:16]} ({row.get('asset')} {row.get('partition')})"


@contextmanager
def open_shelf(
    url: str | None = None, ledger: str | None = None, tell: Callable[[str], None] = lambda text: None
) -> Iterator[Shelf]:
    """Within the body: the records of a store, indexed to the last.

    Parameters
    ----------
    url
        Address of the store; default: where stores lie when nobody says. The index of a store that is named lasts as long as the body.
    ledger
        Name of the chain of decisions that versions are looked up in.
    tell
        Hears that the index cannot be used, and why.

    Raises
    ------
    NotFoundError
        There is no such store.
    """
    address = url or default_url()
    try:
        store = Store.open(address, create=False)
    except NotFoundError:
        raise NotFoundError(
            f"there is no store at {address}", fix="Name it: --store, $MLPIPE_STORE or $DAGSTER_HOME."
        ) from None
    with ExitStack() as stack:
        index, as_of = None, datetime.now(UTC)
        if url in (None, default_url()):
            try:
                index = stack.enter_context(Index.open(index_url(), create=True))
                if store.url.startswith(FOLDER) or store.url not in index.stores():
                    completed(store, index)
                else:
                    as_of, _ = index.as_of()
            except IndexUnreachableError as error:
                tell(
                    f"the records are indexed anew for this answer, because the index cannot be used: {error}"
                )
                index = None
        if index is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlpipe-index-"))
            index = stack.enter_context(Index.open(sqlite_url(Path(folder) / "index.sqlite"), create=True))
            completed(store, index)
        yield Shelf(store, index, as_of, ledger)


def completed(store: Store, index: Index) -> int:
    """Add to an index what it lacks of a store's records; how many that were."""
    # One listing for all pipelines: it takes longer than all the rest where nothing is missing.
    known, added = index.ids(), 0
    held = (path.removesuffix(".json").split("/") for path in store.backend.paths("records"))
    missing = sorted((parts[1], parts[-1]) for parts in held if parts[-1] not in known)
    for start in range(0, len(missing), BATCH):
        some = missing[start : start + BATCH]
        added += index.add((from_bytes(store.get_record(p, r), r) for p, r in some), store.url)
    return added
