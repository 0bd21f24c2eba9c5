"""What a record was made from, summed up from the records behind it: windows, rows, columns as they came, features, code."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlpipe.errors import NotFoundError
from mlpipe.index.shelf import Shelf
from mlpipe.records.record import Input, Record

DECIDED, WATCHED, RIVALS = "production", "monitor", ("champion", "anchor", "scored", "shadow", "usual", "due")
"""Assets of decisions and of what was watched before, and names of inputs: a champion or a challenger that was compared with, the judged
rows by which its performance is estimated, and days that tell what is usual or due, are nothing that a record was made from."""


EMPTY = ("null", "object")
"""Types of a column that holds nothing: as people know them, and pandas'."""


@dataclass(frozen=True)
class Span:
    """Partitions of an asset, in order, and the rows that were read of them."""

    partitions: tuple[str, ...]
    rows: int

    def __str__(self) -> str:
        first, last = self.partitions[0], self.partitions[-1]
        count = len(self.partitions)
        return first if count == 1 else f"{first} to {last}, {count} partitions"


@dataclass(frozen=True)
class Seen:
    """A column, or a feature: the types it came in, and in which of how many partitions, in order."""

    kinds: tuple[str, ...]
    partitions: tuple[str, ...]
    of: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every partition had it."""
        return self.partitions == self.of

    def __str__(self) -> str:
        kinds = " or ".join(self.kinds)
        if self.whole:
            return kinds
        first, last = self.partitions[0], self.partitions[-1]
        since = f"from {first} on" if last == self.of[-1] else f"from {first} to {last}"
        return f"{kinds}, {since} ({len(self.partitions)} of {len(self.of)} partitions)"


@dataclass(frozen=True)
class Origin:
    """What a record was made from.

    Attributes
    ----------
    spans
        By asset (its last part) and name of what was read, such as ``features`` or ``raw/orders``.
    columns
        Of each source, by name; types are those that people know (int, float, string, …; null: no value).
    features
        By name; types are pandas'.
    code
        Fingerprints of the user's functions behind it, by stage and name.
    objects
        Content ids of what was read, by asset, partition and name.
    profiles
        Ids of the profiles of the features that it read directly, by their grid.
    missing
        Records that are named and not in the store.
    """

    spans: Mapping[str, Span] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, Seen]] = field(default_factory=dict)
    features: Mapping[str, Seen] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def origin_of(shelf: Shelf, record: Record) -> Origin:
    """What a record was made from: everything behind it, the champion that it was compared with left out.

    A record that learned nothing and read nothing (raw) has itself as its origin.
    """
    missing: list[str] = []
    behind = list(ancestors(shelf, record, missing))
    raws = [r for r in (*behind, record) if r.stage == "ingest"]
    made = [r for r in (*behind, record) if r.stage == "feature"]
    code = {
        f"{r.stage}: {name}": mark for r in (*behind, record) for name, mark in r.code.fingerprints.items()
    }
    return Origin(
        spans=_spans([i for r in (*behind, record) for i in r.inputs if _counts(i)]),
        columns=_columns(raws),
        features=_seen({r.partition: {"": dict(r.data.get("features", {}))} for r in made}).get("", {}),
        code=dict(sorted(code.items())),
        objects={
            (i.asset, i.partition, i.name): i.id
            for r in (*behind, record)
            for i in r.inputs
            if _counts(i) and i.id
        },
        profiles=_profiles(made, {i.record for i in record.inputs} | {record.id}),
        missing=tuple(missing),
    )


def ancestors(shelf: Shelf, record: Record, missing: list[str]) -> Iterator[Record]:
    """Every record behind one, each once, the nearest first; ids of those that the store does not have are added to `missing`."""
    seen, front = {record.id}, [record]
    while front:
        following = []
        for reader in front:
            for given in reader.inputs:
                if not given.record or given.record in seen or not _counts(given):
                    continue
                seen.add(given.record)
                try:
                    found = shelf.read(record.pipeline, given.record)
                except NotFoundError:
                    missing.append(given.record)
                    continue
                following.append(found)
                yield found
        front = following


def _counts(given: Input) -> bool:
    return given.asset.rpartition("/")[2] not in (DECIDED, WATCHED) and given.name not in RIVALS


def _spans(inputs: list[Input]) -> dict[str, Span]:
    held: dict[str, dict[str, int]] = {}
    for given in inputs:
        asset = given.asset.rpartition("/")[2]
        name = asset if given.name in ("", asset) else f"{asset}/{given.name}"
        held.setdefault(name, {})[given.partition] = given.rows or 0
    return {name: Span(tuple(sorted(rows)), sum(rows.values())) for name, rows in sorted(held.items())}


def _columns(raws: list[Record]) -> dict[str, dict[str, Seen]]:
    return _seen({r.partition: dict((r.data.get("head") or {}).get("schema", {})) for r in raws})


def _seen(schemas: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Seen]]:
    """By source and name: types and partitions. A type that a column without values has counts where there is no other."""
    kinds: dict[tuple[str, str], Counter[str]] = {}
    places: dict[tuple[str, str], list[str]] = {}
    for partition in sorted(schemas):
        for source, columns in schemas[partition].items():
            for name, kind in columns.items():
                kinds.setdefault((source, name), Counter())[str(kind)] += 1
                places.setdefault((source, name), []).append(partition)
    found: dict[str, dict[str, Seen]] = {}
    for (source, name), counted in sorted(kinds.items()):
        every = tuple(p for p in sorted(schemas) if source in schemas[p])
        told = [k for k, _ in counted.most_common() if k not in EMPTY] or [counted.most_common(1)[0][0]]
        found.setdefault(source, {})[name] = Seen(tuple(told), tuple(places[source, name]), every)
    return found


def _profiles(made: list[Record], near: set[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for record in made:
        grid = str((record.data.get("head") or {}).get("grid") or "")
        if record.id in near and grid:
            found.setdefault(grid, []).extend(o.id for o in record.outputs if o.name == "profile")
    return {grid: tuple(ids) for grid, ids in sorted(found.items())}
