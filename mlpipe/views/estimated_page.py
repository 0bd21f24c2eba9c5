"""Estimated performance as a picture: the estimate with its band, and what was realised as labels came; and as a page."""

from collections.abc import Sequence

from mlpipe.views import page
from mlpipe.views.drawing import Scale, at, fitted, safe, span, tick_text, ticks
from mlpipe.views.estimated import Row, days_table, sentences
from mlpipe.views.frame import ALARM, FIXED, GRID, INK, LIVE, PALE, finite, rule, write
from mlpipe.views.page import Cell

WIDTH, HEIGHT = 1100, 380
LEFT, RIGHT, TOP, FOOT = 64.0, 1080.0, 58.0, 330.0
BAND, MOST = "#CFE3F1", 500
"""Colour of the band; and so many partitions, the newest, are drawn."""


def as_html(pipeline: str, rows: Sequence[Row], span_: str) -> str:
    """A page with the picture and the figures of each partition; it needs no network."""
    head, body = days_table(rows)
    parts = [
        page.bullets(sentences(pipeline, rows, span_)),
        *([page.figures([picture(rows[-MOST:])])] if any(r.value is not None for r in rows) else []),
        page.heading("Partitions"),
        page.table(head, [[Cell(c) for c in row] for row in body]),
    ]
    return page.page(f"{pipeline}: performance before labels", parts)


def picture(rows: Sequence[Row]) -> str:
    """SVG of the rows in their order.

    The band is the interval for what labels will say; a dot is what they said, filled where the interval held it. A new version is a line.
    """
    metric = next((r.metric for r in rows if r.metric), "")
    seen = [
        v
        for r in rows
        for v in (r.value, r.low, r.high, r.realised)
        if finite(v) is not None and v is not None
    ]
    low, high = span(seen)
    y = Scale(low, high, FOOT, TOP)
    x = Scale(-0.5, max(len(rows) - 0.5, 0.5), LEFT, RIGHT)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="sans-serif" font-size="12">',
        f"<title>{safe(f'{metric}, estimated before labels and realised')}</title>",
        *_key(metric),
        *_axes(rows, x, y, low, high),
        *_band(rows, x, y),
        *_line(rows, x, y),
        *_versions(rows, x),
        *_dots(rows, x, y),
    ]
    return "\n".join([*out, "</svg>"])


def _key(metric: str) -> list[str]:
    marks = (
        (rule(LEFT, 22, LEFT + 22, 22, LIVE, 2), f"{metric}, estimated"),
        (f'<rect x="{at(LEFT + 240)}" y="14" width="22" height="14" fill="{BAND}"/>', "interval at 95%"),
        (_dot(LEFT + 491, 21, True), "realised, held by the interval"),
        (_dot(LEFT + 731, 21, False), "realised, outside"),
    )
    return [m + write(LEFT + 28 + 240 * i, 26, fitted(text, 12, 205)) for i, (m, text) in enumerate(marks)]


def _axes(rows: Sequence[Row], x: Scale, y: Scale, low: float, high: float) -> list[str]:
    marks = ticks(low, high)
    step = marks[1] - marks[0] if len(marks) > 1 else high - low
    out = []
    for value in marks:
        out.append(rule(LEFT, y(value), RIGHT, y(value), GRID))
        out.append(write(LEFT - 8, y(value) + 4, tick_text(value, step), anchor="end", fill=PALE))
    every = max(1, -(-len(rows) * 90 // int(RIGHT - LEFT)))
    for i in range(0, len(rows), every):
        out.append(rule(x(i), FOOT, x(i), FOOT + 5, PALE))
        out.append(write(x(i), FOOT + 20, fitted(rows[i].partition, 12, 86), anchor="middle", fill=PALE))
    return [*out, rule(LEFT, FOOT, RIGHT, FOOT, INK)]


def _runs(known: Sequence[bool]) -> list[range]:
    """Stretches of partitions that are known, so that nothing is drawn over a gap."""
    found: list[range] = []
    for i, yes in enumerate(known):
        if yes:
            found = (
                [*found[:-1], range(found[-1].start, i + 1)]
                if found and found[-1].stop == i
                else [*found, range(i, i + 1)]
            )
    return found


def _band(rows: Sequence[Row], x: Scale, y: Scale) -> list[str]:
    out = []
    for run in _runs([finite(r.low) is not None and finite(r.high) is not None for r in rows]):
        upper = [(x(i + side), y(rows[i].high or 0.0)) for i in run for side in (-0.5, 0.5)]
        lower = [(x(i + side), y(rows[i].low or 0.0)) for i in run for side in (-0.5, 0.5)]
        points = " ".join(f"{at(a)},{at(b)}" for a, b in [*upper, *reversed(lower)])
        out.append(f'<polygon points="{points}" fill="{BAND}"/>')
    return out


def _line(rows: Sequence[Row], x: Scale, y: Scale) -> list[str]:
    out = []
    for run in _runs([finite(r.value) is not None for r in rows]):
        points = " ".join(
            f"{at(x(i + side))},{at(y(rows[i].value or 0.0))}" for i in run for side in (-0.5, 0.5)
        )
        out.append(f'<polyline points="{points}" fill="none" stroke="{LIVE}" stroke-width="2"/>')
    return out


def _versions(rows: Sequence[Row], x: Scale) -> list[str]:
    out = []
    for i, row in enumerate(rows):
        if row.version is not None and (i == 0 or row.version != rows[i - 1].version):
            out.append(rule(x(i - 0.5), TOP - 8, x(i - 0.5), FOOT, FIXED, dash="3 3"))
            out.append(
                write(x(i - 0.5) + 4, TOP - 2, f"version {row.version}", fill=FIXED, size=11, halo=True)
            )
    return out


def _dots(rows: Sequence[Row], x: Scale, y: Scale) -> list[str]:
    out = []
    for i, row in enumerate(rows):
        real = finite(row.realised)
        if real is None:
            continue
        held, estimate = None, "not estimated" if row.value is None else f"estimated {row.value:.4f}"
        if row.low is not None and row.high is not None:
            held = row.low <= real <= row.high
            estimate += f" ({row.low:.4f} to {row.high:.4f})"
        tip = f"{row.partition}: realised {real:.4f}, {estimate}"
        out.append(_dot(x(i), y(real), held, f"<title>{safe(tip)}</title>"))
    return out


def _dot(x: float, y: float, held: bool | None, more: str = "") -> str:
    """Filled where the interval held it; grey where there is none."""
    edge = INK if held else PALE if held is None else ALARM
    fill = INK if held else "#FFFFFF"
    return f'<circle cx="{at(x)}" cy="{at(y)}" r="4" fill="{fill}" stroke="{edge}" stroke-width="2">{more}</circle>'
