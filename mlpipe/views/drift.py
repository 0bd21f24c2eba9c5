"""Drift of a pipeline: the likeliest cause first, then a strip of every column by day; for the terminal and as a page."""

from collections.abc import Mapping
from typing import Any

from mlpipe.views import page
from mlpipe.views.drawing import at, fitted, safe
from mlpipe.views.page import Cell
from mlpipe.views.table import printable, table

LEVELS = (
    (0.0, " ", "none known"),
    (0.0, "·", "below 0.1"),
    (0.1, "▒", "0.1 to 0.25"),
    (0.25, "█", "0.25 and more"),
)
"""Bands of the PSI: from which value on, the mark, and what it says."""
COLOURS = ("#EEEEEE", "#DCEBDD", "#F5C26B", "#C8453B")
PAINT = ("", "\x1b[32m", "\x1b[33m", "\x1b[31m")
STEP, HIGH, NAMES, TOP = 16.0, 20.0, 180.0, 60.0


def level(psi: float | None) -> int:
    """Band of a PSI: 0 unknown, 1 below 0.1, 2 below 0.25, 3 from there on."""
    return 0 if psi is None else 1 + (psi >= LEVELS[2][0]) + (psi >= LEVELS[3][0])


def as_text(found: Mapping[str, Any], *, colour: bool = False) -> str:
    """The screen: cause, strip, columns of the day, state of the alarms."""
    days = found["days"]
    width = max([len(printable(c["name"])) for c in found["columns"]], default=6)
    lines = [
        f"{found['pipeline']} on {found['on']}: {_kind(found)}",
        *(f"  {line}" for line in told(found)),
        "",
    ]
    lines.append(
        f"{'':{width}}  {days[0]} to {days[-1]}, a mark a partition: "
        + ", ".join(f"{m} {t}" for _, m, t in LEVELS[1:])
    )
    for column in found["columns"]:
        marks = "".join(_mark(p, colour) for p in column["psi"])
        lines.append(f"{printable(column['name']):{width}}  {marks}")
    lines.append(f"{'alarm':{width}}  {''.join('▲' if a else ' ' for a in found['raised'])}".rstrip())
    lines += ["", table(*_columns(found)), ""]
    if found["slices"]:
        lines += [table(*_slices(found)), ""]
    lines += _footing(found)
    return "\n".join(lines)


def as_html(found: Mapping[str, Any]) -> str:
    """A page with the same; it needs no network."""
    head, rows = _columns(found)
    parts = [
        page.bullets([f"Likeliest cause: {_kind(found)}", *told(found)]),
        page.figures([strip(found)]),
        page.heading("Columns on that day"),
        page.table(head, [[Cell(c) for c in row] for row in rows]),
        *_slices_of_page(found),
        *(page.paragraph(line) for line in _footing(found)),
    ]
    return page.page(f"{found['pipeline']}: drift on {found['on']}", parts)


def strip(found: Mapping[str, Any]) -> str:
    """Every column by day as SVG; days on which an alarm was up have a mark below. The PSI stands in each cell's tooltip."""
    days, columns = found["days"], found["columns"]
    step = min(STEP, 900.0 / max(len(days), 1))
    width, height = NAMES + step * len(days) + 20, TOP + HIGH * (len(columns) + 1) + 10
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {at(width)} {at(height)}" width="{at(width)}" '
        f'height="{at(height)}" role="img" font-family="sans-serif" font-size="11">',
        f"<title>{safe('PSI by column and partition')}</title>",
    ]
    for i, (_, _, text) in enumerate(LEVELS):
        x = NAMES + 120 * i
        out.append(
            f'<rect x="{at(x)}" y="8" width="12" height="12" fill="{COLOURS[i]}"/><text x="{at(x + 17)}" y="18">{safe(text)}</text>'
        )
    every = max(1, int(-(-80 // step)))
    for j in range(0, len(days), every):
        out.append(
            f'<text x="{at(NAMES + step * j)}" y="{at(TOP - 8)}">{safe(fitted(days[j], 11, step * every))}</text>'
        )
    for i, column in enumerate(columns):
        y = TOP + HIGH * i
        out.append(f'<text x="4" y="{at(y + 14)}">{safe(fitted(column["name"], 11, NAMES - 10))}</text>')
        for j, psi in enumerate(column["psi"]):
            text = f"{column['name']}, {days[j]}: PSI {_number(psi)}"
            out.append(
                f'<rect x="{at(NAMES + step * j)}" y="{at(y)}" width="{at(max(step - 1, 1))}" height="{at(HIGH - 1)}" '
                f'fill="{COLOURS[level(psi)]}"><title>{safe(text)}</title></rect>'
            )
    y = TOP + HIGH * len(columns)
    out.append(f'<text x="4" y="{at(y + 14)}">alarm</text>')
    for j, raised in enumerate(found["raised"]):
        if raised:
            out.append(
                f'<text x="{at(NAMES + step * (j + 0.5))}" y="{at(y + 14)}" text-anchor="middle" fill="#C8453B">▲</text>'
            )
    return "\n".join([*out, "</svg>"])


def told(found: Mapping[str, Any]) -> list[str]:
    """What is known of the cause, in sentences."""
    cause = found["cause"]
    shares = [f"{n} {share:.0%}" for n, share in cause["ranking"][:5]]
    return [
        *([f"began on {cause['since']}"] if cause["since"] else []),
        *(f"changed upstream, {u}" for u in cause["upstream"][:3]),
        *cause["evidence"],
        *([f"by drift times importance: {', '.join(shares)}"] if len(shares) > 1 else []),
    ]


def _kind(found: Mapping[str, Any]) -> str:
    cause = found["cause"]
    return (
        "nothing is raised"
        if cause["kind"] == "nothing"
        else cause["kind"] + (f" in {cause['column']}" if cause["column"] else "")
    )


def _columns(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            c["name"],
            _number(c["psi"][-1]),
            _number(c["limit"]),
            "drifts" if c["drifts"] else "over today" if c["over"] else "",
            _number(max((p for p in c["psi"] if p is not None), default=None)),
        ]
        for c in found["columns"]
    ]
    return ["column", "PSI", "limit", "", "highest shown"], rows


def _slices(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Slices that drift on a day shown or are over there: today's state, and a mark a partition."""
    marks = {"": "·", "over": "▒", "drifts": "▲"}
    words = {"": "", "over": "over today", "drifts": "drifts"}
    rows = [
        [s["name"], words[s["days"][-1]], "".join(marks[state] for state in s["days"])]
        for s in found["slices"]
    ]
    return ["scores on slice", "", "▲ alarm, ▒ over"], rows


def _slices_of_page(found: Mapping[str, Any]) -> list[str]:
    head, rows = _slices(found)
    if not rows:
        return []
    return [page.heading("Scores on slices"), page.table(head, [[Cell(c) for c in row] for row in rows])]


def _footing(found: Mapping[str, Any]) -> list[str]:
    rate = found["alarms"]
    lines = (
        [
            f"compared with what {found['pipeline']}@{found['version']} learned from; champion of that day, its own limits"
        ]
        if found["version"]
        else []
    )
    if rate["days"]:
        lines.append(
            f"false alarms over recorded history: at most {rate['per_quarter']:.2g} a quarter "
            f"[{rate['low']:.2g}, {rate['high']:.2g}], if all that opened were false ({rate['alarms']} in {rate['days']:.4g} days)"
        )
    return lines


def _mark(psi: float | None, colour: bool) -> str:
    mark = LEVELS[level(psi)][1]
    return f"{PAINT[level(psi)]}{mark}\x1b[0m" if colour and psi is not None else mark


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
