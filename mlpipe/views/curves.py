"""Curves of trainings: read from the store, drawn in the terminal and as SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpipe.errors import NotFoundError
from mlpipe.records.record import Record
from mlpipe.stores.store import Store
from mlpipe.views.drawing import Scale, at, safe, span, tick_text, ticks
from mlpipe.views.frame import GRID, INK, PALE, finite, rule, write
from mlpipe.views.table import printable

COLOURS = ("#0072B2", "#B8500B", "#A0297A", "#00795B", "#7A5C00", "#444444", "#5B2C9E", "#B00020")
MARKS = "●○▲△■□◆◇"
WIDE, HIGH = 72, 14
WIDTH, HEIGHT = 560, 300
STEP = "step"


@dataclass(frozen=True)
class Series:
    """One line of a curve: whose it is, which curve and series, shape (n,) both; and what it says about the learning, in words."""

    owner: str
    curve: str
    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    told: str = ""

    @property
    def title(self) -> str:
        """Name of what several records may have a line of."""
        return self.curve if self.name in ("value", self.curve) else f"{self.curve}: {self.name}"


def series_of(store: Store, owner: str, record: Record) -> list[Series]:
    """Every line of a record's curves.

    Raises
    ------
    NotFoundError
        The record has no curves.
    """
    if not record.curves:
        raise NotFoundError(
            f"{owner} has no curves ({record.asset} {record.partition})",
            where=record.id,
            fix="Estimators that learn in steps have them, and fit functions that log; see docs/capture.md."
            if record.stage in ("train", "trial")
            else "Name a training or a trial.",
        )
    judged: Mapping[str, Any] = record.data.get("curves") or {}
    return [
        s
        for c in record.curves
        for s in _lines(owner, c.name, store.get_json(c.id), judged.get(c.name) or {})
    ]


def _lines(
    owner: str, curve: str, points: Sequence[Mapping[str, Any]], judged: Mapping[str, Any]
) -> Iterator[Series]:
    for name in dict.fromkeys(k for p in points for k in p if k != STEP):
        held = [
            (float(p.get(STEP, i)), float(p[name])) for i, p in enumerate(points) if p.get(name) is not None
        ]
        told = str((judged.get(name) or {}).get("text") or "")
        yield Series(owner, curve, name, tuple(s for s, _ in held), tuple(v for _, v in held), told)


def grouped(lines: Sequence[Series]) -> dict[str, list[Series]]:
    """Lines by what they show, in their order; those of several records come together."""
    found: dict[str, list[Series]] = {}
    for line in lines:
        found.setdefault(line.title, []).append(line)
    return found


def as_text(lines: Sequence[Series]) -> str:
    """A plot for each thing that is shown, with a line of words for each record."""
    return "\n\n".join(_plot(title, some) for title, some in grouped(lines).items())


def _finite(line: Series) -> list[tuple[float, float]]:
    """Points that can be drawn."""
    pairs = zip(line.steps, line.values, strict=True)
    return [(s, v) for s, v in pairs if finite(s) is not None and finite(v) is not None]


def _plot(title: str, lines: Sequence[Series]) -> str:
    points = [p for line in lines for p in _finite(line)]
    text = [printable(title)]
    if points:
        steps, values = [s for s, _ in points], [v for _, v in points]
        low, high = (min(values), max(values)) if min(values) < max(values) else span(values)
        across = Scale(min(steps), max(max(steps), min(steps) + 1e-9), 0, WIDE - 1)
        down = Scale(low, high, HIGH - 1, 0)
        canvas = [[" "] * WIDE for _ in range(HIGH)]
        for i, line in enumerate(lines):
            for step, value in _finite(line):
                canvas[round(down(value))][round(across(step))] = MARKS[i % len(MARKS)]
        label = max(len(f"{v:.4g}") for v in (low, high))
        for k, row in enumerate(canvas):
            edge = f"{high:.4g}" if k == 0 else f"{low:.4g}" if k == HIGH - 1 else ""
            text.append(f"  {edge:>{label}} │{''.join(row).rstrip()}")
        text.append(f"  {'':>{label}} └{'─' * WIDE}")
        first, last = f"{min(steps):g}", f"{max(steps):g}"
        text.append(f"  {'':>{label}}  {first}{last:>{WIDE - len(first)}}")
    for i, line in enumerate(lines):
        lost = len(line.values) - len(_finite(line))
        told = line.told or _ends(line)
        text.append(
            f"  {MARKS[i % len(MARKS)]} {printable(line.owner)}: {told}"
            + (f" ({lost} values are not drawn, for they are not finite)" if lost else "")
        )
    return "\n".join(text)


def _ends(line: Series) -> str:
    found = _finite(line)
    return f"{found[0][1]:.4g} to {found[-1][1]:.4g} in {len(line.values)} steps" if found else "no value"


def svg(title: str, lines: Sequence[Series], owners: Sequence[str] = ()) -> str:
    """A picture of lines of several records; what is not finite is left out, and the words below each say so.

    Parameters
    ----------
    owners
        All records of the page, so that each has one colour in all its pictures; default: those of the lines.
    """
    every = list(owners) or [line.owner for line in lines]
    colours = [COLOURS[every.index(line.owner) % len(COLOURS)] for line in lines]
    points = [p for line in lines for p in _finite(line)]
    below = 20.0 * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {at(HEIGHT + below)}" role="img" aria-label="{safe(title)}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        write(14, 20, title, weight="600", fill=INK),
    ]
    if points:
        steps, values = [s for s, _ in points], [v for _, v in points]
        across = Scale(min(steps), max(max(steps), min(steps) + 1e-9), 62, WIDTH - 14)
        down = Scale(*span(values), HEIGHT - 34, 34)
        parts += _axes(across, down)
        parts += [_path(line, colour, across, down) for line, colour in zip(lines, colours, strict=True)]
    for i, line in enumerate(lines):
        y = HEIGHT + 20.0 * i
        parts.append(rule(14, y - 4, 34, y - 4, colours[i], 3))
        parts.append(write(40, y, f"{line.owner}: {line.told or _ends(line)}", size=11, fill=INK))
    return "\n".join([*parts, "</svg>"])


def _axes(across: Scale, down: Scale) -> Iterator[str]:
    marks = ticks(down.low, down.high)
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    for value in marks:
        y = down(value)
        yield rule(across.first, y, across.last, y, GRID)
        yield write(across.first - 6, y + 4, tick_text(value, step), anchor="end", size=11, fill=PALE)
    marks = ticks(across.low, across.high)
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    for value in marks:
        yield write(across(value), HEIGHT - 16, tick_text(value, step), anchor="middle", size=11, fill=PALE)


def _path(line: Series, colour: str, across: Scale, down: Scale) -> str:
    found = _finite(line)
    if len(found) == 1:
        return f'<circle cx="{at(across(found[0][0]))}" cy="{at(down(found[0][1]))}" r="3" fill="{colour}"/>'
    points = " ".join(f"{at(across(s))},{at(down(v))}" for s, v in found)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def to_dicts(lines: Sequence[Series]) -> list[dict[str, Any]]:
    """Plain values; what is not finite is None."""
    return [
        {
            "of": s.owner,
            "curve": s.curve,
            "series": s.name,
            "steps": list(s.steps),
            "values": [v if math.isfinite(v) else None for v in s.values],
            "told": s.told,
        }
        for s in lines
    ]


def as_rows(lines: Sequence[Series]) -> Iterator[tuple[str, str, str, float, float]]:
    """A row for each point: whose, curve, series, step, value."""
    for s in lines:
        for step, value in zip(s.steps, s.values, strict=True):
            yield s.owner, s.curve, s.name, step, value
