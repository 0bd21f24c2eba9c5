"""A comparison, and curves, as one page of HTML: differences first."""

import math
from collections.abc import Sequence
from typing import Any

from mlpipe.views.compared import NOTHING, TITLES, cells, shown_lines, value_text
from mlpipe.views.comparison import SECTIONS, Comparison, Line
from mlpipe.views.curves import Series, grouped, svg
from mlpipe.views.page import Cell, bullets, figures, heading, page, paragraph, table
from mlpipe.views.parallel import MOST, Axis, parallel

RESULTS = 4
"""At most so many axes are metrics."""


def as_html(comparison: Comparison, lines: Sequence[Series] = (), *, every: bool = False) -> str:
    """The page: what stands out, the records in a table that can be sorted, parallel coordinates, curves, and all differences.

    Parameters
    ----------
    lines
        Curves of the records.
    every
        Whether what is the same is shown from the start; a box on the page shows it else.
    """
    subjects = comparison.subjects
    names = [s.name for s in subjects]
    axes = list(_axes(comparison))
    parts = [
        paragraph(f"{len(subjects)} records; differences are told against {names[0]}."),
        bullets(comparison.told),
        heading("Records"),
        _records(comparison, axes),
    ]
    picture = parallel(names, axes)
    if picture:
        parts += [heading("Parallel coordinates"), figures([picture])]
    if lines:
        parts += [
            heading("Curves"),
            figures([svg(title, some, names) for title, some in grouped(lines).items()]),
        ]
    checked = " checked" if every else ""
    parts.append(f'<p><label><input type="checkbox" id="all"{checked}> also what is the same</label></p>')
    for section in SECTIONS:
        parts += _section(comparison, section)
    return page(f"Compared: {', '.join(names)}", parts)


def curves_html(names: Sequence[str], lines: Sequence[Series]) -> str:
    """A page of curves."""
    rows = [
        [Cell(s.owner), Cell(s.title), _number(s.values[-1] if s.values else None), Cell(s.told or NOTHING)]
        for s in lines
    ]
    parts = [
        figures([svg(title, some, names) for title, some in grouped(lines).items()]),
        heading("What they say"),
        table(["of", "curve", "last value", "judgement"], rows, sortable=True),
    ]
    return page(f"Curves: {', '.join(names)}", parts)


def _records(comparison: Comparison, axes: Sequence[Axis]) -> str:
    head = ["record", "version", "what", "verdict", "recorded (UTC)", *(a.name for a in axes)]
    rows = []
    for i, subject in enumerate(comparison.subjects):
        record = subject.record
        row = [
            Cell(subject.name),
            Cell(", ".join(subject.versions) or NOTHING),
            Cell(f"{record.asset} {record.partition}"),
            Cell(record.verdict or NOTHING),
            Cell(f"{record.recorded_at:%Y-%m-%d %H:%M}", record.recorded_at.timestamp()),
        ]
        rows.append([*row, *(_number(a.values[i]) for a in axes)])
    return table(head, rows, sortable=True)


def _axes(comparison: Comparison) -> list[Axis]:
    """Numbers that differ: some of what went in, those that most records have first, and then some of what came out."""
    chosen: list[Axis] = []
    for sections, most in ((("parameters", "data"), MOST - RESULTS), (("result",), RESULTS)):
        found = [
            Axis(line.key, tuple(map(_plain, line.values)))
            for section in sections
            for line in shown_lines(comparison, section, every=False)
        ]
        telling = [a for a in found if len({v for v in a.values if v is not None}) > 1]
        chosen += sorted(telling, key=lambda a: sum(v is None for v in a.values))[:most]
    return chosen


def _plain(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _number(value: float | None) -> Cell:
    return Cell(value_text(value), value)


def _section(comparison: Comparison, section: str) -> list[str]:
    every = comparison.section(section, every=True)
    if not every:
        return []
    shown = {line.key for line in shown_lines(comparison, section, every=False)}
    ordered = sorted(every, key=lambda line: line.key not in shown)
    noted = any(line.note for line in ordered)
    head = ["", *(s.name for s in comparison.subjects), *(["note"] if noted else [])]
    rows = [_row(comparison, line, noted=noted) for line in ordered]
    title = heading(TITLES[section] + ("" if shown else ": the same"))
    return [title, table(head, rows, same=[line.key not in shown for line in ordered])]


def _row(comparison: Comparison, line: Line, *, noted: bool) -> list[Cell]:
    row = [Cell(line.key), *(Cell(text) for text in cells(comparison.subjects, line))]
    return [*row, Cell(line.note)] if noted else row
