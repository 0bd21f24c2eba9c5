"""The difference between two records as text and as JSON."""

from collections.abc import Sequence
from typing import Any

from mlpipe.core.rowdiff import RowDiff
from mlpipe.views.diffs import Diff, TableDiff
from mlpipe.views.table import printable, table

MOST = 10


def as_text(diff: Diff) -> str:
    """For people: data first, then the unified diff of the code."""
    old, new = diff.records
    parts = [f"{diff.names[0]} ({old.asset} {old.partition}) → {diff.names[1]} ({new.asset} {new.partition})"]
    parts += [_table(t) for t in diff.tables]
    if diff.code:
        told = ", ".join(f"{d.name} ({d.change}, +{d.plus} −{d.minus})" for d in diff.code)
        parts.append(f"Code: {told}")
        parts.append("\n".join(printable(line) for d in diff.code for line in d.text.splitlines()))
    elif old.code.archive and old.code.archive == new.code.archive:
        parts.append(f"Code: the same archive, {old.code.archive[:17]}.")
    return "\n\n".join([*parts, *diff.notes])


def _table(diff: TableDiff) -> str:
    lines = [f"{diff.name}: {diff.counts[0]:,} rows, now {diff.counts[1]:,}"]
    if diff.rows is not None:
        lines += _rows(diff.rows)
    lines += [f"  + column {printable(name)} ({kind})" for name, kind in diff.added.items()]
    lines += [f"  − column {printable(name)} ({kind})" for name, kind in diff.removed.items()]
    lines += [f"  ~ column {printable(name)}: {a} is {b} now" for name, (a, b) in diff.retyped.items()]
    lines += [
        f"  ? {printable(r.before)} may be called {printable(r.after)} now: {r.why}" for r in diff.renames
    ]
    ranked = sorted(diff.psi.items(), key=lambda item: -item[1])
    if ranked:
        lines += [
            "",
            *_indented(table(["column", "PSI", ""], [[n, f"{v:.4f}", _band(v)] for n, v in ranked[:MOST]])),
        ]
    if len(ranked) > MOST:
        lines.append(f"  … and {len(ranked) - MOST} columns that moved less")
    return "\n".join(lines)


def _rows(rows: RowDiff) -> list[str]:
    by = f" by {', '.join(rows.keys)}" if rows.keys else ", whole rows counted, for no key is declared"
    lines = [
        f"  {rows.added:,} added, {rows.removed:,} removed, {rows.changed:,} changed, {rows.same:,} the same{by}"
    ]
    if rows.repeated:
        lines.append(f"  {rows.repeated:,} rows have a key that stands more than once")
    for word, keys, count in (
        ("added", rows.added_keys, rows.added),
        ("removed", rows.removed_keys, rows.removed),
    ):
        if keys:
            more = f" and {count - len(keys):,} more" if count > len(keys) else ""
            lines.append(f"  {word}: {', '.join(_key(k) for k in keys)}{more}")
    if rows.columns:
        told = ", ".join(
            f"{printable(name)} in {count:,} rows" for name, count in list(rows.columns.items())[:MOST]
        )
        lines.append(f"  changed: {told}")
        cells = [[_key(c.key), c.column, str(c.before), str(c.after)] for c in rows.examples]
        lines += _indented(table([", ".join(rows.keys), "column", "was", "is"], cells))
    return lines


def _key(values: Sequence[Any]) -> str:
    return printable("/".join(str(v) for v in values))


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _band(psi: float) -> str:
    return "" if psi < 0.1 else "moved" if psi < 0.25 else "moved far"


def to_dict(diff: Diff) -> dict[str, Any]:
    """Plain values."""
    return {
        "records": [r.id for r in diff.records],
        "code": [
            {"file": d.name, "change": d.change, "plus": d.plus, "minus": d.minus, "diff": d.text}
            for d in diff.code
        ],
        "tables": [_table_dict(t) for t in diff.tables],
        "notes": list(diff.notes),
    }


def _table_dict(diff: TableDiff) -> dict[str, Any]:
    rows = diff.rows
    found: dict[str, Any] = {
        "name": diff.name,
        "rows": list(diff.counts),
        "added_columns": diff.added,
        "removed_columns": diff.removed,
        "retyped_columns": {k: list(v) for k, v in diff.retyped.items()},
        "renames": [{"before": r.before, "after": r.after, "why": r.why} for r in diff.renames],
        "psi": diff.psi,
    }
    if rows is not None:
        found |= {
            "keys": list(rows.keys),
            "added": rows.added,
            "removed": rows.removed,
            "changed": rows.changed,
            "same": rows.same,
            "changed_columns": rows.columns,
            "examples": [
                {"key": list(c.key), "column": c.column, "before": c.before, "after": c.after}
                for c in rows.examples
            ],
        }
    return found
