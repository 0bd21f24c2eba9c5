"""What a query means, in plain Python over the records themselves: nothing here knows of SQL, of packs, or of how the index flattens."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mlpipe.records.record import Record

Values = Mapping[str, Any]
Test = Callable[[Values], bool]


def values_of(record: Record, evaluations: Sequence[Record] = ()) -> dict[str, Any]:
    """Everything that can be asked about a record, by key."""
    values: dict[str, Any] = {
        "id": record.id,
        "stage": record.stage,
        "partition": record.partition,
        "verdict": record.verdict,
        "experiment": record.experiment,
        "actor": record.actor,
        "run": record.run,
        "headline": record.headline,
        "started": record.recorded_at,
        "as_of": record.as_of,
        "reused": record.reused,
        "size": float(sum(o.bytes for o in record.outputs)) if record.outputs else None,
    }
    for part in ("params", "tags"):
        walk(part, getattr(record, part), values)
    values["environment.host"] = record.environment.host
    mine = [e for e in evaluations if record.stage == "train" and e.inputs[0].id == record.outputs[0].id]
    judged = max(mine, key=lambda e: (e.as_of, e.recorded_at), default=None)
    measured = [*(judged.metrics if judged else ()), *record.metrics]
    for m in sorted(measured, key=lambda m: m.split != "test"):
        for key in (f"metrics.{m.name}", f"metrics.{m.split}.{m.name}"):
            values.setdefault(key, str(m.value) if math.isnan(m.value) else m.value)
    return {k: v for k, v in values.items() if v is not None and v != ""}


def walk(key: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            walk(f"{key}.{name}", item, into)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            walk(f"{key}.{number}", item, into)
    else:
        into[key] = value


def compare(key: str, operator: str, wanted: Any) -> Test:
    """``key operator value``: false for what is missing; another type is different, and neither more nor less."""

    def test(values: Values) -> bool:
        if key not in values:
            return False
        have = values[key]
        alike = isinstance(have, str) == isinstance(wanted, str)
        if operator in ("=", "!="):
            return (alike and have == wanted) == (operator == "=")
        return (
            alike
            and {"<": have < wanted, "<=": have <= wanted, ">": have > wanted, ">=": have >= wanted}[operator]
        )

    return test


def like(key: str, pattern: str, negated: bool) -> Test:
    expression = re.compile("".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern), re.S)
    return lambda v: key in v and (isinstance(v[key], str) and bool(expression.fullmatch(v[key]))) != negated


def within(key: str, wanted: Sequence[Any], negated: bool) -> Test:
    same = [compare(key, "=", w) for w in wanted]
    return lambda v: key in v and any(s(v) for s in same) != negated


def ordered(rows: Sequence[Values], order: Sequence[tuple[str, bool]]) -> list[Values]:
    """Sorted by keys: numbers, then texts, then what is missing; equal ones by the newest, then by id."""
    rows = sorted(rows, key=lambda v: v["id"])
    rows = sorted(rows, key=lambda v: v["started"], reverse=True)
    for key, descending in reversed(order):
        missing = [v for v in rows if key not in v]
        texts = [v for v in rows if isinstance(v.get(key), str)]
        numbers = [v for v in rows if key in v and not isinstance(v[key], str)]
        rows = []
        for group in (numbers, texts):
            rows += _stable(group, key, descending)
        rows += missing
    return rows


def _stable(rows: Sequence[Values], key: str, descending: bool) -> list[Values]:
    if not descending:
        return sorted(rows, key=lambda v: v[key])
    # Equal ones keep their order, which reverse=True promises too.
    return sorted(rows, key=lambda v: v[key], reverse=True)


def spelled(value: Any) -> str:
    """A value as a query spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return repr(value)


__all__ = ["compare", "like", "ordered", "spelled", "values_of", "within"]
