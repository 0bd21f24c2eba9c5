"""The two databases that an index may lie in, and all in which they differ.

Who may call at once
    Any number of processes. One writes at a time, the others wait up to `PATIENCE` seconds; readers wait for nobody and see what was
    committed when they began. A connection belongs to one thread.
What survives a crash
    A transaction is there whole or not at all. After a power cut the last ones may be gone from SQLite; a sync brings them back.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.index.place import VARIABLE, shown, sqlite_url

PATIENCE = 30.0
"""Seconds for which a writer waits for another one."""
CACHE_KIB = 65_536


class IndexUnreachableError(MlpipeError):
    """The index cannot be opened, read or written. The records are not touched by that."""


class Database(Protocol):
    """A connection. Statements are written with ``?``, and bound: nothing that somebody typed is ever part of one."""

    url: str
    probe: str
    """Before a column that must not decide which index is used."""
    types: dict[str, str]

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""

    def pages(self, statement: str, values: Sequence[Any], size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, so many at once."""

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of values."""

    def like(self, column: str, pattern: str) -> tuple[str, str]:
        """Case-sensitive comparison with a pattern of ``%`` and ``_``: the condition, and the value to bind."""

    def listed(self, rows: Sequence[int]) -> tuple[str, str]:
        """Many numbers as a table with the column ``row``: what to select from, and the one value to bind."""

    def reading(self) -> Any:
        """Context in which all statements see the same moment."""

    def writing(self) -> Any:
        """Context of the only writer; what it wrote is committed at its end, or forgotten when it raises."""

    def close(self) -> None:
        """End the connection."""


def connect(url: str, *, create: bool) -> Database:
    """Connect to the database of an address, which is ``sqlite:///FILE``, ``postgresql://…`` or the path of a file.

    Raises
    ------
    NotFoundError
        There is no such file, and `create` is false.
    IndexUnreachableError
        The address is of another kind, or nothing answers there.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme in ("postgresql", "postgres", "postgresql+psycopg2"):
        return Postgres(url)
    if scheme in ("", "sqlite"):
        return Sqlite(url if scheme else sqlite_url(Path(url)), create=create)
    raise IndexUnreachableError(
        f"an index cannot lie in {scheme!r}", where=shown(url), fix="Valid: sqlite:///FILE, postgresql://…"
    )


class Sqlite:
    """A file in WAL mode. Not for a network drive, where its locks do not hold."""

    probe = "+"
    types = {
        "integer": "integer",
        "real": "real",
        "text": "text",
        "blob": "blob",
        "suffix": "without rowid",
        "schema": "",
    }

    def __init__(self, url: str, *, create: bool) -> None:
        self.url = url
        file = Path(url.removeprefix("sqlite://").removeprefix("/") or ".")
        if not create and not file.exists():
            raise NotFoundError(
                f"there is no index at {file}",
                fix=f"Make it: mlpipe index rebuild. Another one is named by {VARIABLE}.",
            )
        try:
            if create:
                file.parent.mkdir(parents=True, exist_ok=True)
            self._on = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            _patiently(self._on, "pragma journal_mode=wal")
            self._on.execute("pragma synchronous=normal")
            self._on.execute(f"pragma cache_size=-{CACHE_KIB}")
            self._on.execute("pragma mmap_size=1073741824")
        except (sqlite3.Error, OSError) as error:
            raise self._unreachable(error) from error

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        try:
            return self._on.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreachable(error) from error

    def pages(self, statement: str, values: Sequence[Any], size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, so many at once."""
        try:
            found = self._on.execute(statement, values)
            while page := found.fetchmany(size):
                yield page
        except sqlite3.Error as error:
            raise self._unreachable(error) from error

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of values."""
        try:
            self._on.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._unreachable(error) from error

    def like(self, column: str, pattern: str) -> tuple[str, str]:
        """``LIKE`` ignores case here; ``GLOB`` does not."""
        glob = "".join({"%": "*", "_": "?"}.get(c, f"[{c}]" if c in "*?[" else c) for c in pattern)
        return f"{column} glob ?", glob

    def listed(self, rows: Sequence[int]) -> tuple[str, str]:
        """As JSON: the number of values that are bound is limited."""
        return "(select value as row from json_each(?))", json.dumps(rows)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A snapshot."""
        self.run("begin")
        try:
            yield
        finally:
            self.run("rollback")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The only writer."""
        self.run("begin immediate")
        try:
            yield
        except BaseException:
            if self._on.in_transaction:
                self._on.execute("rollback")
            raise
        self.run("commit")

    def close(self) -> None:
        """End the connection."""
        self._on.close()

    def _unreachable(self, error: Exception) -> IndexUnreachableError:
        damaged = "malformed" in str(error) or "not a database" in str(error)
        fix = "Remove the file, and what lies beside it under its name, then run: mlpipe index rebuild"
        return IndexUnreachableError(
            f"the index cannot be used: {error}",
            where=self.url.removeprefix("sqlite:///"),
            fix=fix if damaged else f"Look at the file, or name another one by {VARIABLE}.",
        )


def _patiently(on: sqlite3.Connection, statement: str) -> None:
    """SQLite does not wait by itself where two processes make the file at once."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            on.execute(statement)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


class Postgres:
    """A schema of its own, ``mlpipe``, in a database that may hold other things too."""

    probe = ""
    types = {
        "integer": "bigint",
        "real": "double precision",
        # By code point, as SQLite and Python compare.
        "text": 'text collate "C"',
        "blob": "bytea",
        "suffix": "",
        "schema": "create schema if not exists mlpipe",
    }

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            import psycopg2
            from psycopg2.extras import execute_values
        except ImportError:
            raise IndexUnreachableError(
                "psycopg2 is not installed", where=shown(url), fix="pip install 'mlpipe[postgres]'"
            ) from None
        self._errors, self._values = psycopg2.Error, execute_values
        try:
            self._on = psycopg2.connect(
                url.replace("+psycopg2", "", 1), connect_timeout=5, application_name="mlpipe index"
            )
            self._on.set_session(isolation_level="REPEATABLE READ", autocommit=True)
            self._cursor = self._on.cursor()
            self._cursor.execute("set search_path to mlpipe")
            # Compiling a statement takes longer than the statement.
            self._cursor.execute("set jit to off")
            self._cursor.execute(f"set lock_timeout to {int(PATIENCE * 1000)}")
        except psycopg2.Error as error:
            raise self._unreachable(error) from error

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        try:
            self._cursor.execute(statement.replace("?", "%s"), tuple(values))
            return self._cursor.fetchall() if self._cursor.description else []
        except self._errors as error:
            raise self._unreachable(error) from error

    def pages(self, statement: str, values: Sequence[Any], size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, so many at once."""
        try:
            # A cursor of its own: other statements run between the pages.
            with self._on.cursor() as cursor:
                cursor.execute(statement.replace("?", "%s"), tuple(values))
                while page := cursor.fetchmany(size):
                    yield page
        except self._errors as error:
            raise self._unreachable(error) from error

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of values; of an insertion, many rows at once."""
        head, mark, rest = statement.partition(" values (")
        try:
            if mark:
                tail = rest[rest.index(")") + 1 :]
                self._values(self._cursor, f"{head} values %s{tail}", list(rows), page_size=1000)
            else:
                self._cursor.executemany(statement.replace("?", "%s"), list(rows))
        except self._errors as error:
            raise self._unreachable(error) from error

    def like(self, column: str, pattern: str) -> tuple[str, str]:
        """Without a character that takes ``%`` and ``_`` literally."""
        return f"{column} like ? escape ''", pattern

    def listed(self, rows: Sequence[int]) -> tuple[str, str]:
        """As an array."""
        return "(select unnest(?::bigint[]) as row)", "{" + ",".join(map(str, rows)) + "}"

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A snapshot."""
        self.run("begin isolation level repeatable read read only")
        try:
            yield
        finally:
            self.run("rollback")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The only writer, by a lock that ends with the transaction."""
        self.run("begin isolation level read committed")
        try:
            self.run("select pg_advisory_xact_lock(hashtext('mlpipe index'))")
            yield
        except BaseException:
            if not self._on.closed:
                self._cursor.execute("rollback")
            raise
        self.run("commit")

    def close(self) -> None:
        """End the connection."""
        self._on.close()

    def _unreachable(self, error: Exception) -> IndexUnreachableError:
        lines = str(error).strip().splitlines()
        return IndexUnreachableError(
            f"the index cannot be used: {lines[0] if lines else type(error).__name__}",
            where=shown(self.url),
            fix=f"Look at the server, or name another index by {VARIABLE}.",
        )
