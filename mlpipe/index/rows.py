"""From a record to what the index holds of it. Pure: the same record gives the same row, whoever computes it and when."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpipe.records.record import Record

Value = bool | int | float | str
"""What an attribute holds: numbers are finite, texts have no NUL and at most `LONGEST` characters."""

TRAININGS = ("train", "trial")
"""Stages whose records are runs to people."""
JUDGE = "test"
"""The split that judges, where there is one."""
PRIMARY = "data.primary"
"""Names the metric that a model is judged by first."""
LONGEST = 500
"""Characters of a text by which it is found; the record holds the whole."""
MOST = 1000
"""Elements of one mapping or list that are found by key; the record holds all."""
FREE = ("reason", "headline", "notes")
"""Columns of free text, kept whole."""
SHARED = ("environment", "code")
"""Parts of a record that are the same for thousands of records."""
_NOT_KEYS = {
    "id", "schema_version", "pipeline", "segment", "deployment", "stage", "asset", "partition", "run", "recipe", "reused", "as_of",
    "recorded_at", "trigger", "actor", "metrics", "curves", "inputs", "outputs", "verdict", "findings", "artifacts", "headline",
    "owners", "experiment", "notes", "plots",
}  # fmt: skip
"""Fields of a record that are columns, or lists of objects; every other one, of later versions too, is found by key."""
_SAFE = 2**63

Measured = tuple[str, str, float | str, float | str | None, float | str | None]
"""A metric: name, split, value, and the ends of its interval."""


@dataclass(frozen=True)
class Edge:
    """One upstream materialization that a record read."""

    source: str
    asset: str
    partition: str
    name: str
    object: str


@dataclass(frozen=True)
class Confirmed:
    """What Dagster says of a record: its newest event, and whether that is there no more."""

    record: str
    event: int
    deleted: bool = False


@dataclass(frozen=True)
class Note:
    """What somebody wrote about a record. `name` is its file in the store."""

    record: str
    written: datetime
    actor: str
    text: str
    name: str


@dataclass(frozen=True)
class Entry:
    """What the index holds of one record.

    `made` names the bundle that a training made, `judges` the one that an evaluation measured, each with pipeline, segment and deployment;
    `measured` are its own metrics.
    """

    columns: Mapping[str, Any]
    attributes: Mapping[str, Value]
    shared: Mapping[str, Value]
    measured: tuple[Measured, ...]
    edges: tuple[Edge, ...]
    made: str | None
    judges: str | None

    @property
    def id(self) -> str:
        """Id of the record."""
        return str(self.columns["id"])


def entry_of(record: "Record") -> Entry:
    """What the index holds of a record."""
    body = record.model_dump(mode="json")
    attributes: dict[str, Value] = {}
    shared: dict[str, Value] = {}
    for name, value in body.items():
        if name not in _NOT_KEYS:
            kept = {k: v for k, v in value.items() if k != "head"} if name == "data" else value
            into = shared if name in SHARED else attributes
            into.update(flat(name, kept))
    attributes.update(flat("trigger", body["trigger"]["details"]))
    bundle = next((o.id for o in record.outputs if o.name == "bundle"), None)
    judged = next((i.id for i in record.inputs if i.name == "bundle" and i.id), None)
    place = f"{record.pipeline}\t{record.segment or ''}\t{record.deployment}\t"
    return Entry(
        columns=_columns(record),
        attributes=attributes,
        shared=shared,
        measured=tuple(
            (m.name, m.split, *(_plain(x) for x in (m.value, m.low, m.high))) for m in record.metrics
        ),
        edges=tuple(Edge(i.record, i.asset, i.partition, i.name, i.id) for i in record.inputs),
        made=place + bundle if record.stage == "train" and bundle else None,
        judges=place + judged if record.stage == "evaluate" and judged else None,
    )


def _columns(record: "Record") -> dict[str, Any]:
    texts = {
        name: getattr(record, name)
        for name in (
            "pipeline", "segment", "deployment", "stage", "asset", "partition", "run", "recipe", "actor", "verdict", "headline",
            "experiment", "notes",
        )
    }  # fmt: skip
    texts |= {
        "trigger": record.trigger.kind,
        "reason": record.trigger.reason,
        "owner": ", ".join(record.owners),
    }
    rows = next((o.rows for o in record.outputs if o.rows is not None), None)
    return {
        "id": record.id,
        **{name: clean(text)[: None if name in FREE else LONGEST] or None for name, text in texts.items()},
        "reused": int(record.reused),
        "started": micros(record.recorded_at),
        "as_of": micros(record.as_of),
        "size": sum(o.bytes for o in record.outputs) if record.outputs else None,
        "rows": rows,
    }


def flat(prefix: str, value: Any) -> Iterator[tuple[str, Value]]:
    """Dotted keys of a JSON value; nothing for what is null or empty. A number that is not finite is a text."""
    if isinstance(value, Mapping):
        for key in sorted(value)[:MOST]:
            yield from flat(f"{prefix}.{_part(key)}", value[key])
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value[:MOST]):
            yield from flat(f"{prefix}.{number}", item)
    elif isinstance(value, str):
        if value:
            yield prefix, clean(value)[:LONGEST]
    elif value is not None:
        yield prefix, _plain(value)


def _part(key: str) -> str:
    return clean(str(key))[: LONGEST // 4]


def clean(text: str | None) -> str:
    """Text that every database takes."""
    return (text or "").replace("\0", "\ufffd")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not -_SAFE <= value < _SAFE:
        return float(value) if abs(value) < 1e300 else str(value)[:LONGEST]
    return value


def metric_keys(measured: Iterable[Sequence[Any]]) -> dict[str, Value]:
    """Keys of metrics: by split, and without one for the split that judges, else the first that has it."""
    found: dict[str, Value] = {}
    listed = list(measured)
    for name, split, value, low, high in [*(m for m in listed if m[1] == JUDGE), *listed]:
        part, side = _part(name), _part(split)
        for key in (f"metrics.{part}", *([f"metrics.{side}.{part}"] if side else [])):
            if key not in found:
                ends = {f"{key}.low": low, f"{key}.high": high}
                found |= {key: value} | {k: v for k, v in ends.items() if v is not None}
    return found


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    past = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds
