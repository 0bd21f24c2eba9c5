"""How a record is spelled: as canonical JSON in the store, and as the entries of a Dagster event. The only place that knows either."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mlpipe.errors import StoreError
from mlpipe.records.coerced import coerce as coerce
from mlpipe.records.record import SCHEMA_VERSION, Input, Output, Record

PLOTTED = 8
"""At most this many metrics of an event are plotted by the UI; the record holds all."""
TEXT_LIMIT = 1000
EVENT_LIMIT = 64_000
PLOTS_LIMIT = 16_000
"""Bytes that the points of what is drawn may take in an event; the objects in the store hold all."""
TABLE_LIMIT = 8000
"""Bytes that a table may take in an event."""
CELL_LIMIT = 300
_MARKS = re.compile(r"([\\`*_\[\]|])")
_BARS = "▁▂▃▄▅▆▇█"


def canonical(value: Any) -> bytes:
    """Canonical JSON of a value: keys sorted, no spaces."""
    return json.dumps(
        coerce(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """40 hex digits that name a JSON value."""
    return hashlib.blake2b(canonical(value), digest_size=20).hexdigest()


def sealed(record: Record) -> Record:
    """The record with its id: a hash of all its other fields."""
    plain = record.model_copy(update={"params": coerce(record.params), "data": coerce(record.data)})
    body = plain.model_dump(mode="json", exclude={"id"})
    return plain.model_copy(update={"id": "rec-" + digest(body)})


def to_bytes(record: Record) -> bytes:
    """Canonical JSON of a sealed record."""
    return canonical(record.model_dump(mode="json"))


def from_bytes(data: bytes, name: str = "") -> Record:
    """Record from its JSON; `name` tells which it is, should it be damaged.

    Raises
    ------
    StoreError
        When the JSON is damaged, of a newer schema, or does not match its id.
    """
    try:
        body = json.loads(data)
        version = body["schema_version"]
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"record schema {version} is newer than this mlpipe reads ({SCHEMA_VERSION})",
                where=name,
                fix="Upgrade mlpipe.",
            )
        record = Record.model_validate(body)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise StoreError(
            f"a record is damaged: {str(error).splitlines()[0]}",
            where=name,
            fix="Run 'mlpipe store verify', and restore it from a backup.",
        ) from None
    body.pop("id")
    if record.id != "rec-" + digest(body):
        raise StoreError(
            f"record {record.id} does not match its id",
            fix="It was changed after it was written; run 'mlpipe store verify'.",
        )
    return record


# -- the event ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """What the next stages need to know of a materialization: read back from its event, without opening the record."""

    asset: str
    partition: str
    record: str
    outputs: Mapping[str, Output]
    verdict: str = ""
    as_of: str = ""
    experiment: str = ""
    trigger: str = ""
    event: str = ""
    data: Mapping[str, Any] | None = None

    def read(self, name: str) -> Input:
        """This materialization as an input, by the output that was read."""
        output = self.outputs[name]
        return Input(
            asset=self.asset,
            partition=self.partition,
            record=self.record,
            event=self.event,
            name=name,
            id=output.id,
            rows=output.rows,
        )

    def seen(self) -> Input:
        """This materialization as an input of which no output was read: what it says of itself was enough."""
        return Input(asset=self.asset, partition=self.partition, record=self.record, event=self.event)

    def compared(self, name: str) -> Input:
        """As `seen`, of a day that is only held beside another, under a name that says as what."""
        return self.seen().model_copy(update={"name": name})


HEAD_DATA = "head"
"""Key of `Record.data` whose (small) value travels in the event, for the stages downstream."""


def head_of(record: Record, event: str = "") -> Head:
    """The head that a record's event would give."""
    return Head(
        asset=record.asset,
        partition=record.partition,
        record=record.id,
        outputs={o.name: o for o in record.outputs},
        verdict=record.verdict,
        as_of=record.as_of.isoformat(),
        experiment=record.experiment,
        trigger=record.trigger.kind,
        event=event,
        data=record.data.get(HEAD_DATA),
    )


def to_entries(record: Record) -> dict[str, Any]:
    """Entries of the record's event, in the order in which people see them: plain values, strings (markdown), or mappings (JSON).

    The entry ``record`` holds what `from_entries` needs. The whole stays under 64 kB.
    """
    entries: dict[str, Any] = {"summary": record.headline[:TEXT_LIMIT]}
    for metric in [m for m in record.metrics if math.isfinite(m.value)][:PLOTTED]:
        name = f"{metric.split}/{metric.name}" if metric.split else metric.name
        entries[f"metric/{name}"] = float(f"{metric.value:.6g}")
    sizes = [o for o in record.outputs if o.rows is not None]
    if sizes:
        entries["dagster/row_count"] = sum(o.rows or 0 for o in sizes[:1])
    if record.outputs:
        entries["dagster/size_bytes"] = sum(o.bytes for o in record.outputs)
    for name, value in (
        ("params", record.params),
        ("data", {k: v for k, v in record.data.items() if k not in (HEAD_DATA, "curves")}),
    ):
        if value:
            entries[name] = _short(coerce(value))
    if record.findings:
        entries["findings"] = _bullets(
            [f"{f.where}: {f.what}" if f.where else f.what for f in record.findings]
        )
    if record.stage == "evaluate" and record.data.get("gates"):
        entries["gates"] = _decisions(record)
    if record.stage == "monitor":
        entries |= _watched(record.data.get(HEAD_DATA) or {})
    if record.plots:
        entries |= _plotted(record)
    entries["record"] = _head_entry(record)
    if len(canonical(entries)) > EVENT_LIMIT:
        raise StoreError(
            f"the event of {record.asset} {record.partition} exceeds {EVENT_LIMIT} bytes",
            fix="Put what has no bound into the record, not into 'head'.",
        )
    return entries


def _decisions(record: Record) -> str:
    """Decisions of gates as a table, those for staging after the others, as many as there is room for."""
    told = [("", d) for d in record.data["gates"]]
    told += [("staging: ", d) for d in record.data.get("staging_gates", ())]
    rows = [
        (
            where + decision["gate"],
            decision["verdict"].replace("_", " "),
            *(_number(decision[n], "–") for n in ("observed", "limit")),
            decision["sentence"],
        )
        for where, decision in told
    ]
    return _table(("gate", "verdict", "observed", "limit", "sentence"), rows)


def _watched(head: Mapping[str, Any]) -> dict[str, str]:
    """A watched day as tables: the columns that moved most with their measures, and its service levels."""
    measures, psi = head.get("measures") or {}, head.get("psi") or {}
    shown = list(dict.fromkeys(m for found in measures.values() for m in found))
    states = dict.fromkeys(head.get("drifted") or (), "drifts")
    rows = [
        (
            name,
            states.get(name, "over today" if name in (head.get("alarms") or ()) else ""),
            *(_number(found.get(m)) for m in shown),
            _number((psi.get(name) or (None, None))[1]),
        )
        for name, found in measures.items()
    ]
    levels = [
        (name, _number(value), state, " ".join(map(str, (head.get("response") or {}).get(name, ())[:1])))
        for name, (value, state) in (head.get("levels") or {}).items()
    ]
    tables = {}
    if rows:
        tables["drift"] = _table(("column", "alarm", *shown, "limit of the PSI"), rows)
    if levels:
        tables["levels"] = _table(("level", "value", "state", "response"), levels)
    return tables


def _number(value: float | None, unknown: str = "") -> str:
    return unknown if value is None else f"{value:.6g}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, as many rows as there is room for."""
    lines, size = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"], 0
    for i, cells in enumerate(rows):
        line = f"| {' | '.join(_cell(c) for c in cells)} |"
        size += len(canonical(line))
        if size > TABLE_LIMIT:
            return "\n".join([*lines, "", f"… and {len(rows) - i} more in the record"])
        lines.append(line)
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text in one line of a table, cut where it is long."""
    line = " ".join(text.split())
    return literal(line if len(line) <= CELL_LIMIT else f"{line[:CELL_LIMIT]}…")


def literal(text: str) -> str:
    """Text in which no character is a mark of markdown, nor ends the cell of a table."""
    return _MARKS.sub(r"\\\1", text)


def _plotted(record: Record) -> dict[str, Any]:
    """What each curve says, with its shape in small, and the points of everything that is drawn as far as there is room."""
    lines = []
    for curve, named in record.plots.get("curves", {}).items():
        for name, points in named.items():
            facts = record.data.get("curves", {}).get(curve, {}).get(name, {})
            title = curve if name == "value" else f"{curve} {name}"
            lines.append(f"`{sparkline([p[1] for p in points])}` {title} {facts.get('text', '')}".rstrip())
    kept: dict[str, Any] = {}
    for name, value in record.plots.items():
        if len(canonical({**kept, name: value})) <= PLOTS_LIMIT:
            kept[name] = value
    return ({"curves": _bullets(lines)} if lines else {}) | ({"plots": kept} if kept else {})


def sparkline(values: Sequence[float | None], width: int = 24) -> str:
    """A curve in one line of text: at most `width` values, evenly spaced, from the lowest to the highest; what is no number is a gap."""
    places = (
        range(len(values))
        if len(values) <= width
        else (i * (len(values) - 1) // (width - 1) for i in range(width))
    )
    shown = [values[i] for i in places]
    known = [v for v in shown if v is not None and math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    # Halved first: the difference of two large values may be infinite.
    span = high / 2 - low / 2
    return "".join(
        " "
        if v is None or not math.isfinite(v)
        else _BARS[round((v / 2 - low / 2) / span * (len(_BARS) - 1)) if span else 0]
        for v in shown
    )


def _head_entry(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "schema": record.schema_version,
        "outputs": {o.name: [o.id, o.rows, o.bytes, o.sha256] for o in record.outputs},
        "verdict": record.verdict,
        "as_of": record.as_of.isoformat(),
        "experiment": record.experiment,
        "trigger": record.trigger.kind,
        "recipe": record.recipe,
        "head": coerce(record.data.get(HEAD_DATA)),
    }


def from_entries(entry: Mapping[str, Any], *, asset: str, partition: str, event: str = "") -> Head:
    """Head from the ``record`` entry of an event; the inverse of `to_entries` for what a head holds."""
    outputs = {
        name: Output(name=name, id=i, rows=rows, bytes=size, sha256=sha)
        for name, (i, rows, size, sha) in entry["outputs"].items()
    }
    return Head(
        asset=asset,
        partition=partition,
        record=entry["id"],
        outputs=outputs,
        verdict=entry["verdict"],
        as_of=entry["as_of"],
        experiment=entry["experiment"],
        trigger=entry["trigger"],
        event=event,
        data=entry["head"],
    )


def _short(value: Any) -> Any:
    """The value if its JSON is short enough to be shown open, else its scalar part, with a word about the rest."""
    if len(canonical(value)) <= TEXT_LIMIT or not isinstance(value, dict):
        return value
    kept: dict[str, Any] = {}
    for key, item in value.items():
        if len(canonical({**kept, key: item})) < TEXT_LIMIT - 80:
            kept[key] = item
    return {**kept, "…": f"{len(value) - len(kept)} more in the record"}


def _bullets(lines: list[str]) -> str:
    text = ""
    for i, line in enumerate(lines):
        bullet = f"* {line[:200]}\n"
        if len(text) + len(bullet) > TEXT_LIMIT - 40:
            return f"{text}* … and {len(lines) - i} more"
        text += bullet
    return text.rstrip()
