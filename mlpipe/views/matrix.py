"""Every model on every labelled day, as a table, as numbers for other programs, and as a heat map."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from mlpipe.views import page
from mlpipe.views.drawing import at, fitted, safe
from mlpipe.views.page import Cell
from mlpipe.views.replay import number, words
from mlpipe.views.table import table

WIDEST = 24
"""Columns of the table on the terminal; of more, the last are shown."""
CELL, HIGH, NAMES, TOP = 46.0, 24.0, 110.0, 40.0
LIGHT, DARK = (0xF7, 0xFB, 0xFF), (0x08, 0x30, 0x6B)
SEEN = "in brackets: the model learned from these days"


def as_text(survey: Mapping[str, Any]) -> str:
    """The matrix and how models grow old, for the terminal."""
    first, last, days = survey["days"]
    columns = survey["columns"][-WIDEST:]
    left_out = len(survey["columns"]) - len(columns)
    head = ["model", "data until", *columns]
    rows = [
        [m["name"], m["data_end"][:10], *(_shown(c) for c in line[-WIDEST:])]
        for m, line in zip(survey["models"], survey["grid"], strict=True)
    ]
    told = f"{words(survey['metric'])} ({survey['better']} is better) of {_count(len(rows), 'model')}"
    parts = [f"{survey['pipeline']}: {told} on {_count(days, 'labelled day')}, {first} to {last}; {SEEN}."]
    parts += (
        [f"The last {len(columns)} of {len(survey['columns'])} columns; --csv has all."] if left_out else []
    )
    parts += ["", table(head, rows), "", "By months of age, positive is better:", "", table(*_ages(survey))]
    for unfit in survey["unfit"]:
        parts.append(f"{unfit['model']} could not score {_count(unfit['days'], 'day')}: {unfit['why']}.")
    return "\n".join(parts)


def as_csv(survey: Mapping[str, Any]) -> str:
    """A line for each model and column."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow(
        [
            "model",
            "version",
            "partition",
            "bundle",
            "data_end",
            survey["by"],
            "metric",
            "value",
            "rows",
            "days",
            "seen",
        ]
    )
    for model, line in zip(survey["models"], survey["grid"], strict=True):
        who = [model[k] for k in ("name", "version", "partition", "bundle", "data_end")]
        for column, cell in zip(survey["columns"], line, strict=True):
            value = "" if cell["value"] is None else repr(cell["value"])
            write.writerow(
                [*who, column, survey["metric"], value, cell["rows"], cell["days"], str(cell["seen"]).lower()]
            )
    return out.getvalue()


def as_html(survey: Mapping[str, Any]) -> str:
    """A page with the heat map and how models grow old; it needs no network."""
    title = f"{survey['pipeline']}: every model on every labelled {survey['by']}"
    about = f"{words(survey['metric'])}, {survey['better']} is better; darker is better; {SEEN}."
    head, rows = _ages(survey)
    parts = [page.paragraph(about), page.figures([heat_map(survey)]), page.heading("By months of age")]
    parts.append(page.table(head, [[Cell(c) for c in row] for row in rows]))
    return page.page(title, parts)


def heat_map(survey: Mapping[str, Any]) -> str:
    """The matrix as SVG: models from the oldest down, time from left to right, darker is better.

    Cells of days that the model learned from are paler and in brackets: no meaning hangs on colour alone.
    """
    columns, models = survey["columns"], survey["models"]
    wide = len(columns) <= 40
    step = CELL if wide else max(900.0 / len(columns), 2.0)
    width, height = NAMES + step * len(columns) + 20, TOP + HIGH * len(models) + 20
    values = [c["value"] for line in survey["grid"] for c in line if c["value"] is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {at(width)} {at(height)}" width="{at(width)}" '
        f'height="{at(height)}" role="img" font-family="sans-serif" font-size="11">',
        f"<title>{safe(words(survey['metric']))} of {len(models)} models over {len(columns)} columns</title>",
    ]
    every = 1 if wide else -(-len(columns) // 12)
    for j, column in enumerate(columns):
        if j % every == 0:
            out.append(
                f'<text x="{at(NAMES + step * j + 2)}" y="{at(TOP - 8)}">{safe(fitted(column, 11, max(step * every, 44)))}</text>'
            )
    for i, (model, line) in enumerate(zip(models, survey["grid"], strict=True)):
        y = TOP + HIGH * i
        out.append(f'<text x="4" y="{at(y + 16)}">{safe(fitted(model["name"], 11, NAMES - 8))}</text>')
        for j, cell in enumerate(line):
            out.append(
                _square(
                    cell,
                    f"{model['name']}, {columns[j]}",
                    (NAMES + step * j, y),
                    step,
                    (low, high),
                    survey["better"],
                    wide,
                )
            )
    return "\n".join([*out, "</svg>"])


def _square(
    cell: Mapping[str, Any],
    where: str,
    corner: tuple[float, float],
    step: float,
    bounds: tuple[float, float],
    better: str,
    wide: bool,
) -> str:
    x, y = corner
    value = cell["value"]
    share = 0.0 if value is None or bounds[0] == bounds[1] else (value - bounds[0]) / (bounds[1] - bounds[0])
    share = share if better == "higher" else 1 - share
    fill = (
        "#EEEEEE"
        if value is None
        else "#" + "".join(f"{round(a + share * (b - a)):02X}" for a, b in zip(LIGHT, DARK, strict=True))
    )
    told = f"{where}: {_shown(cell)}, {cell['rows']:,} rows of {_count(cell['days'], 'day')}"
    pale = ' fill-opacity="0.45"' if cell["seen"] else ""
    square = f'<rect x="{at(x)}" y="{at(y)}" width="{at(step)}" height="{at(HIGH)}" fill="{fill}"{pale}><title>{safe(told)}</title></rect>'
    if not wide or value is None:
        return square
    ink = "#FFFFFF" if share > 0.55 and not cell["seen"] else "#222222"
    return (
        square
        + f'<text x="{at(x + step / 2)}" y="{at(y + 16)}" text-anchor="middle" font-size="10" fill="{ink}">{safe(_shown(cell, 3))}</text>'
    )


def _ages(survey: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Each model's metric by months of age, and the mean change since the first month."""
    ages = [a["age"] for a in survey["by_age"]] or [0]
    rows = []
    for model, found in zip(survey["models"], survey["decay"], strict=True):
        values = {a["age"]: a["value"] for a in found}
        if values:
            rows.append([model["name"], *(number(values.get(a)) for a in ages)])
    changes = {a["age"]: a for a in survey["by_age"]}
    rows.append(["mean change", *(_signed(changes[a]["change"]) if a in changes else "–" for a in ages)])
    rows.append(["models", *(str(changes[a]["models"]) if a in changes else "0" for a in ages)])
    return ["model", *(f"month {a + 1}" for a in ages)], rows


def _shown(cell: Mapping[str, Any], digits: int = 4) -> str:
    text = number(cell["value"], digits)
    return f"({text})" if cell["seen"] and cell["value"] is not None else text


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"
