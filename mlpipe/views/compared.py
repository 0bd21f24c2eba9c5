"""A comparison of records as text: what stands out, then tables of what differs; and as JSON and CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from mlpipe.views.comparison import SECTIONS, Comparison, Line, Subject, judging, metric_key, number_text
from mlpipe.views.table import printable, table
from mlpipe.views.telling import MODERATE

MOST = 25
"""At most this many lines of a section, unless all are asked for."""
TITLES = {
    "result": "What came out",
    "data": "Data",
    "parameters": "Parameters",
    "code": "Code",
    "environment": "Environment",
    "circumstances": "Who, when, why",
}
NOTHING = "–"
_COSTS = "cost."


def as_text(comparison: Comparison, *, every: bool = False) -> str:
    """For people: what stands out first, then a table for each section; without `every` only what differs."""
    parts = [_heading(comparison)]
    if comparison.told:
        parts.append("\n".join(f"  * {printable(text)}" for text in comparison.told))
    same = []
    for section in SECTIONS:
        lines = shown_lines(comparison, section, every=every)
        if not lines:
            same.append(TITLES[section].lower())
            continue
        parts.append(f"{TITLES[section]}\n{_table(comparison.subjects, lines, every=every)}")
    if same:
        parts.append(f"The same: {', '.join(same)}.")
    return "\n\n".join(parts)


def shown_lines(comparison: Comparison, section: str, *, every: bool) -> list[Line]:
    """Lines of a section as people see them. Without `every` windows that are alike stand once; cost and small drift are left out."""
    lines = comparison.section(section, every=every)
    if every:
        return lines
    windows: set[tuple[Any, ...]] = set()
    shown = []
    for line in lines:
        if line.key.startswith(_COSTS) or _is_end(line) or _alike(line):
            continue
        if line.key.startswith("window of ") and line.values in windows:
            continue
        windows.add(line.values if line.key.startswith("window of ") else ())
        shown.append(line)
    return shown


def _alike(line: Line) -> bool:
    """Whether it tells that a feature is distributed as before."""
    return line.key.startswith("PSI of ") and all(v is not None and v < MODERATE for v in line.values)


def _is_end(line: Line) -> bool:
    return line.section == "result" and line.key.endswith((".low", ".high"))


def _heading(comparison: Comparison) -> str:
    rows = []
    for subject in comparison.subjects:
        record = subject.record
        rows.append(
            [
                subject.name,
                ", ".join(subject.versions) or NOTHING,
                f"{record.asset} {record.partition}",
                f"{record.recorded_at:%Y-%m-%d %H:%M}",
                record.id[:16],
            ]
        )
    return table(["compared", "version", "what", "recorded (UTC)", "record"], rows)


def _table(subjects: Sequence[Subject], lines: Sequence[Line], *, every: bool) -> str:
    shown = lines if every else lines[:MOST]
    noted = any(line.note for line in shown)
    head = ["", *(s.name for s in subjects), *(["note"] if noted else [])]
    rows = [[line.key, *cells(subjects, line), *([line.note] if noted else [])] for line in shown]
    text = table(head, rows)
    left = len(lines) - len(shown)
    return text + (f"\n… and {left} more; see them with --all" if left else "")


def cells(subjects: Sequence[Subject], line: Line) -> list[str]:
    """Texts of a line's values; a metric stands with its interval."""
    if line.section == "result" and not _is_end(line):
        return [_measured(s, line.key, v) for s, v in zip(subjects, line.values, strict=True)]
    return [value_text(v) for v in line.values]


def _measured(subject: Subject, key: str, value: Any) -> str:
    for metric in judging(subject):
        if (
            metric_key(metric) == key
            and metric.low is not None
            and metric.high is not None
            and metric.low < metric.high
        ):
            return f"{value_text(value)} [{metric.low:.4g}, {metric.high:.4g}]"
    return value_text(value)


def value_text(value: Any) -> str:
    """A value for people; a dash for nothing."""
    if value is None or value == "":
        return NOTHING
    return number_text(value) if isinstance(value, float) else str(value)


def to_dict(comparison: Comparison, *, every: bool = False) -> dict[str, Any]:
    """Plain values: records, sentences, and the lines of each section."""
    return {
        "records": [
            {
                "name": s.name,
                "id": s.record.id,
                "asset": s.record.asset,
                "partition": s.record.partition,
                "versions": list(s.versions),
                "headline": s.record.headline,
            }
            for s in comparison.subjects
        ],
        "told": list(comparison.told),
        "differences": {
            section: {
                x.key: {
                    "values": list(x.values),
                    "differs": x.differs,
                    **({"note": x.note} if x.note else {}),
                }
                for x in comparison.section(section, every=every)
            }
            for section in SECTIONS
        },
    }


def as_csv(comparison: Comparison, *, every: bool = False) -> str:
    """A line for each key: section, key, a column for each record, note."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", "key", *(s.name for s in comparison.subjects), "note"])
    for section in SECTIONS:
        for line in comparison.section(section, every=every):
            writer.writerow([section, line.key, *("" if v is None else v for v in line.values), line.note])
    return out.getvalue().rstrip("\n")
