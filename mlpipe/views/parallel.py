"""Parallel coordinates: an axis for each number that differs, a line for each record."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlpipe.views.curves import COLOURS
from mlpipe.views.drawing import Scale, at, fitted, safe, span
from mlpipe.views.frame import GRID, INK, PALE, rule, write

WIDTH, HEIGHT = 1120, 340
LEFT, RIGHT, TOP, BOTTOM = 70.0, 1050.0, 56.0, 300.0
MOST = 10
"""At most this many axes."""


@dataclass(frozen=True)
class Axis:
    """A number of each record, None where it has none; shape (records,)."""

    name: str
    values: tuple[float | None, ...]


def parallel(names: Sequence[str], axes: Sequence[Axis]) -> str:
    """The picture. A record's line is broken where it has no value; without two axes there is none, and the text is empty."""
    shown = [a for a in axes if any(v is not None for v in a.values)][:MOST]
    if len(shown) < 2 or not names:
        return ""
    gap = (RIGHT - LEFT) / (len(shown) - 1)
    places = [LEFT + gap * i for i in range(len(shown))]
    scales = [Scale(*span([v for v in a.values if v is not None], 0.04), BOTTOM, TOP) for a in shown]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {at(HEIGHT + 18 * ((len(names) - 1) // 4))}" role="img" '
        f'aria-label="parallel coordinates of {len(names)} records" font-family="system-ui, sans-serif" font-size="12">'
    ]
    for i, (axis, x, scale) in enumerate(zip(shown, places, scales, strict=True)):
        known = [v for v in axis.values if v is not None]
        parts.append(rule(x, TOP, x, BOTTOM, GRID, 1.5))
        # Names of neighbours stand at two heights, so that they do not meet.
        room = (2 * gap if len(shown) > 3 else gap) - 12
        parts.append(
            write(
                x, 20 if i % 2 else 38, fitted(axis.name, 12, room), anchor="middle", fill=INK, weight="600"
            )
        )
        for value in dict.fromkeys((min(known), max(known))):
            parts.append(write(x + 5, scale(value) + 4, f"{value:.4g}", size=11, fill=PALE, halo=True))
    for i, name in enumerate(names):
        parts += _line(i, name, shown, places, scales)
        x, y = LEFT + 250 * (i % 4) - 50, BOTTOM + 26 + 18 * (i // 4)
        parts.append(rule(x, y - 4, x + 20, y - 4, COLOURS[i % len(COLOURS)], 3))
        parts.append(write(x + 26, y, fitted(name, 12, 210), fill=INK))
    return "\n".join([*parts, "</svg>"])


def _line(
    i: int, name: str, axes: Sequence[Axis], places: Sequence[float], scales: Sequence[Scale]
) -> list[str]:
    colour, drawn = COLOURS[i % len(COLOURS)], []
    stretch: list[str] = []
    for axis, x, scale in zip(axes, places, scales, strict=True):
        value = axis.values[i]
        if value is None:
            drawn.append(stretch)
            stretch = []
            continue
        stretch.append(f"{at(x)},{at(scale(value))}")
    drawn.append(stretch)
    parts = []
    for points in drawn:
        if len(points) > 1:
            line = f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2" stroke-opacity="0.85">'
            parts.append(f"{line}<title>{safe(name)}</title></polyline>")
        for point in points:
            left, _, height = point.partition(",")
            parts.append(f'<circle cx="{left}" cy="{height}" r="3" fill="{colour}"/>')
    return parts
