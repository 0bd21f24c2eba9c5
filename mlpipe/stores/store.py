"""The store: objects by content id, records, recipes and pins, on one backend.

Who may call at once
    Any number of threads, processes and machines; a `Store` may be shared by threads and pickled.
What a second writer sees
    Putting what is there already is a no-op that says so. Of two who `remember` or `pin` under one name the first
    wins, and both are given what the first wrote.
What survives a crash
    Everything whose call returned. A crash in between leaves garbage, never damage.

Layout: ``store.json``, ``objects/<kind>/<2 hex>/<id><suffix>``, ``records/<pipeline>/<2 hex>/<record>.json``,
``recipes/<2 hex>/<recipe>.json``, ``pins/<name>.json``. Nothing is ever overwritten or deleted.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlpipe.errors import NotFoundError, StoreError
from mlpipe.stores.backend import Backend, check_segment, open_backend
from mlpipe.stores.behind import Behind
from mlpipe.stores.bundles import Bundle, loads, proven
from mlpipe.stores.canonical_json import canonical_json, parse_json
from mlpipe.stores.content import Put, bytes_id, content_id, damaged, parse_id
from mlpipe.stores.tables import canonical, from_parquet, table_id, to_frame, to_parquet
from mlpipe.stores.trusted import type_names

__all__ = ["Put", "Store"]

FORMAT = 1
_MARKER = "store.json"
_SUFFIXES = {"table": ".parquet", "bundle": ".zip", "json": ".json"}
_CACHE_BYTES = 256 * 2**20
_AT_HAND, _AT_HAND_BYTES = 2, 64 * 2**20
"""So many models just put, each of at most so many bytes, are at hand for whoever asks for them first."""


class Store:
    """A facade on a backend. Open it with `Store.open`."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._tables: OrderedDict[tuple[str, tuple[str, ...] | None], pa.Table] = OrderedDict()
        self._tables_bytes = 0
        self._proven: OrderedDict[tuple[str, frozenset[str]], tuple[bytes, Bundle]] = OrderedDict()
        self._lock = threading.Lock()
        self._suffixes = dict(_SUFFIXES)
        self._behind: Behind | None = None

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True) -> "Store":
        """Open the store at `url`; make it first, if nothing lies there and `create` is true.

        Raises
        ------
        NotFoundError
            There is no store, and `create` is false.
        StoreError
            The URL is not supported, or the store has another format.
        """
        backend = open_backend(url)
        if create and not backend.exists(_MARKER):
            backend.create(_MARKER, canonical_json({"format": FORMAT, "what": "mlpipe store"}))
        found = parse_json(backend.read(_MARKER), f"{backend.url}/{_MARKER}")
        version = found.get("format") if isinstance(found, dict) else None
        if version != FORMAT:
            raise StoreError(
                f"The store has format {version}; this mlpipe reads and writes format {FORMAT}.",
                where=backend.url,
                fix="Use the version of mlpipe that made the store, or name another store.",
            )
        return cls(backend)

    @property
    def url(self) -> str:
        """Address from which `Store.open` opens the same store."""
        return self.backend.url

    def __reduce__(self) -> tuple[object, ...]:
        return Store, (self.backend,)

    @contextmanager
    def writing_behind(self) -> Iterator[Behind]:
        """Within the body objects are written side by side, behind the caller; see `Behind`. Reading one waits for it.

        At the end of the body everything is durable, or the first error is raised. One thread at a time; not nested.
        """
        behind = self._behind = Behind()
        try:
            yield behind
        finally:
            self._behind = None
            behind.close()

    def put_table(self, frame: pd.DataFrame | pa.Table, keys: Sequence[str] = ()) -> Put:
        """Store a table. With `keys` the order of rows does not matter; see `tables.canonical`."""
        table = canonical(frame, keys)
        return self._put(table_id(table), ".parquet", lambda: to_parquet(table), rows=table.num_rows)

    def get_table(self, object_id: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table, or some of its columns in the order asked for, as a frame of the caller's own.

        Pages carry checksums; that the content is what the id says is checked by `verify`.
        """
        key = (object_id, None if columns is None else tuple(columns))
        with self._lock:
            table = self._tables.get(key)
            if table is not None:
                self._tables.move_to_end(key)
        if table is None:
            try:
                table = from_parquet(self.backend.read(self.path_of(object_id)), columns)
            except StoreError as error:
                error.where = error.where or object_id
                raise
            self._remember_table(key, table)
        return to_frame(table)

    def put_bundle(self, bundle: Bundle, trusted: Sequence[str | type] = ()) -> Put:
        """Store a model. Raises `BundleError` when it could not be loaded again; see `bundles.dumps`."""
        object_id, data, loaded = proven(bundle, trusted)
        if len(data) <= _AT_HAND_BYTES:
            with self._lock:
                self._proven[object_id, type_names(trusted)] = hashlib.blake2b(data).digest(), loaded
                while len(self._proven) > _AT_HAND:
                    self._proven.popitem(last=False)
        return self._put(object_id, ".zip", lambda: data)

    def get_bundle(self, object_id: str, trusted: Sequence[str | type] = ()) -> Bundle:
        """A model, verified against its id and proven on its example; see `bundles.loads`.

        One that this process has just put was proven then: it is handed out once, if what is stored are the bytes it was proven from.
        """
        data = self.backend.read(self.path_of(object_id))
        with self._lock:
            digest, loaded = self._proven.pop((object_id, type_names(trusted)), (b"", None))
        if loaded is not None and hashlib.blake2b(data).digest() == digest:
            return loaded
        return loads(data, object_id, trusted)

    def put_json(self, value: Any, kind: str = "json") -> Put:
        """Store a JSON value under the hash of its canonical form."""
        return self.put_bytes(canonical_json(value), kind, ".json")

    def get_json(self, object_id: str) -> Any:
        """A JSON value."""
        return parse_json(self.get_bytes(object_id), object_id)

    def put_bytes(self, data: bytes, kind: str, suffix: str = "") -> Put:
        """Store bytes under their hash.

        Parameters
        ----------
        data
            Any bytes.
        kind
            First part of the id: ``profile``, ``grid``, ``code``, ``report``, ``curve``, … Not ``table`` or
            ``bundle``, whose ids cover content instead of bytes.
        suffix
            End of the file's name, for people and tools, such as ``.html``. It is no part of the id.
        """
        if kind in ("table", "bundle"):
            raise StoreError(f"A {kind} has an id of its own.", fix=f"Use put_{kind}.")
        return self._put(bytes_id(data, kind), suffix, lambda: data)

    def get_bytes(self, object_id: str) -> bytes:
        """The bytes of any object, checked against the id unless it is a table or a bundle."""
        data = self.backend.read(self.path_of(object_id))
        kind = parse_id(object_id)[0]
        if kind not in ("table", "bundle") and bytes_id(data, kind) != object_id:
            raise damaged(object_id)
        return data

    def exists(self, object_id: str) -> bool:
        """Whether an object lies in the store."""
        return self._find(object_id) is not None

    def path_of(self, object_id: str) -> str:
        """Path of an object below the store's URL. Raises `NotFoundError` when it is not there."""
        path = self._find(object_id)
        if path is None:
            raise NotFoundError(
                f"The store has no object {object_id}.",
                where=self.url,
                fix="Check the id, and the store's URL.",
            )
        return path

    def _find(self, object_id: str) -> str | None:
        kind, digest = parse_id(object_id)
        if self._behind is not None:
            self._behind.wait(object_id)
        folder = f"objects/{kind}/{digest[:2]}"
        likely = f"{folder}/{object_id}{self._suffixes.get(kind, '')}"
        if self.backend.exists(likely):
            return likely
        # The suffix is not part of the id; one shard holds a 256th of one kind.
        for path, _ in self.backend.list(folder):
            stem, dot, suffix = path.rpartition("/")[2].partition(".")
            if stem == object_id:
                self._suffixes[kind] = dot + suffix
                return path
        return None

    def _put(self, object_id: str, suffix: str, render: Callable[[], bytes], rows: int | None = None) -> Put:
        kind, digest = parse_id(object_id)
        path = self._find(object_id)
        data = render()
        if path is not None:
            return self._compared(object_id, path, data, rows)
        path = f"objects/{kind}/{digest[:2]}/{object_id}{suffix}"
        if self._behind is None:
            return self._created(object_id, path, data, rows)
        self._behind.submit(object_id, partial(self._created, object_id, path, data, rows))
        return Put(object_id, rows, len(data), hashlib.sha256(data).hexdigest(), existed=False)

    def _created(self, object_id: str, path: str, data: bytes, rows: int | None) -> Put:
        if self.backend.create(path, data):
            return Put(object_id, rows, len(data), hashlib.sha256(data).hexdigest(), existed=False)
        return self._compared(object_id, path, data, rows)

    def _compared(self, object_id: str, path: str, data: bytes, rows: int | None) -> Put:
        stored = self.backend.read(path)
        # Another writer's Parquet or zip may differ in bytes; what it holds may not.
        if stored != data and content_id(stored, parse_id(object_id)[0]) != object_id:
            raise damaged(object_id)
        return Put(object_id, rows, len(stored), hashlib.sha256(stored).hexdigest(), existed=True)

    def _remember_table(self, key: tuple[str, tuple[str, ...] | None], table: pa.Table) -> None:
        if table.nbytes > _CACHE_BYTES // 4:
            return
        with self._lock:
            if key not in self._tables:
                self._tables_bytes += table.nbytes
            self._tables[key] = table
            while self._tables_bytes > _CACHE_BYTES:
                self._tables_bytes -= self._tables.popitem(last=False)[1].nbytes

    def add_record(self, pipeline: str, record_id: str, data: bytes) -> bool:
        """Append a record; False when these very bytes were there. Raises `StoreError` when others are."""
        path = _record_path(pipeline, record_id)
        if self.backend.create(path, data):
            return True
        if self.backend.read(path) != data:
            raise StoreError(
                f"The record {record_id} exists with other content.",
                where=pipeline,
                fix="Records are never changed: add one with an id of its own.",
            )
        return False

    def get_record(self, pipeline: str, record_id: str) -> bytes:
        """The bytes of one record."""
        return self.backend.read(_record_path(pipeline, record_id))

    def record_ids(self, pipeline: str) -> list[str]:
        """Ids of all records of a pipeline, sorted, without reading them."""
        found = self.backend.list(f"records/{check_segment(pipeline)}")
        return sorted(path.rpartition("/")[2].removesuffix(".json") for path, _ in found)

    def records(self, pipeline: str) -> Iterator[tuple[str, bytes]]:
        """Id and bytes of all records of a pipeline, sorted by id."""
        for record_id in self.record_ids(pipeline):
            yield record_id, self.get_record(pipeline, record_id)

    def pipelines(self) -> list[str]:
        """Names of all pipelines that have records, sorted."""
        return sorted({path.split("/")[1] for path, _ in self.backend.list("records")})

    def remember(self, recipe_id: str, value: dict[str, Any]) -> dict[str, Any]:
        """Note what a recipe gave, unless somebody did before; returns what is noted."""
        return self._first_wins(f"recipes/{_shard(recipe_id)}/{recipe_id}.json", value)

    def note(self, recipe_id: str, value: dict[str, Any]) -> None:
        """As `remember`, for callers who need no answer: within `writing_behind` it is written behind what it names."""
        if self._behind is None:
            self.remember(recipe_id, value)
        else:
            self._behind.then(partial(self.remember, recipe_id, value))

    def recall(self, recipe_id: str) -> dict[str, Any] | None:
        """What a recipe gave, or None when it was never followed to the end."""
        return self._noted(f"recipes/{_shard(recipe_id)}/{recipe_id}.json")

    def pin(self, name_path: str, value: dict[str, Any]) -> dict[str, Any]:
        """Fix a value under a name (with ``/``), unless somebody did before; returns what is fixed."""
        return self._first_wins(f"pins/{name_path}.json", value)

    def pinned(self, name_path: str) -> dict[str, Any] | None:
        """The value fixed under a name, or None."""
        return self._noted(f"pins/{name_path}.json")

    def _first_wins(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        data = canonical_json(value)
        stored = data if self.backend.create(path, data) else self.backend.read(path)
        return dict(parse_json(stored, path))

    def _noted(self, path: str) -> dict[str, Any] | None:
        try:
            return dict(parse_json(self.backend.read(path), path))
        except NotFoundError:
            return None


def _record_path(pipeline: str, record_id: str) -> str:
    return f"records/{check_segment(pipeline)}/{_shard(record_id)}/{check_segment(record_id)}.json"


def _shard(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=1).hexdigest()
