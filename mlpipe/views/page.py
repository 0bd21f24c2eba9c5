"""A page of HTML that needs nothing else: no network, no fonts, no scripts but its own. Every text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mlpipe.views.table import printable

STYLE = """
:root { color-scheme: light dark; --ink: #222; --pale: #666; --line: #ddd; --back: #fff; --mark: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --pale: #a5a5a5; --line: #444; --back: #1b1b1b; --mark: #4a3c14; } }
* { box-sizing: border-box; }
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 2rem auto;
  max-width: 1180px; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.pale, td.pale { color: var(--pale); }
ul.told { background: var(--mark); margin: 1rem 0; padding: .7rem 1rem .7rem 2rem; border-radius: 6px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; max-width: 26rem; }
th { font-weight: 600; white-space: nowrap; } td.number { font-variant-numeric: tabular-nums; }
table.sortable th { cursor: pointer; } table.sortable td { white-space: nowrap; max-width: none; }
th[aria-sort=ascending]::after { content: " \\25b2"; }
th[aria-sort=descending]::after { content: " \\25bc"; }
tr.same { display: none; } body.all tr.same { display: table-row; color: var(--pale); }
svg { max-width: 100%; height: auto; background: #fff; border-radius: 6px; } .figures { display: flex; flex-wrap: wrap; gap: 1rem; }
.figures > * { flex: 1 1 420px; }
"""
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th").forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = row => {
        const cell = row.cells[column], number = cell.dataset.value;
        return number === undefined ? cell.textContent : Number(number);
      };
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const x = value(a), y = value(b), none = v => v === "\\u2013";
        if (none(x) || none(y)) return none(x) - none(y);
        const numbers = typeof x === "number" && typeof y === "number";
        const order = numbers ? x - y : String(x).localeCompare(String(y), undefined, {numeric: true});
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", e => { if (e.key === "Enter") sort(); });
  });
}
const all = document.getElementById("all");
const show = () => document.body.classList.toggle("all", all.checked);
if (all) { all.addEventListener("change", show); show(); }
"""
SAFETY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and the number that it is sorted by, if it is one."""

    text: str
    number: float | None = None


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page; `parts` are made by the functions below, or escaped by the caller."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{SAFETY}">\n<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<h1>{text(title)}</h1>\n{body}\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def text(value: str) -> str:
    """Text, escaped for elements and attributes, without control characters."""
    return escape(printable(value), quote=True)


def heading(value: str) -> str:
    """A heading of a section."""
    return f"<h2>{text(value)}</h2>"


def paragraph(value: str) -> str:
    """A pale paragraph."""
    return f'<p class="pale">{text(value)}</p>'


def bullets(lines: Sequence[str]) -> str:
    """What is to be seen first."""
    return f'<ul class="told">{"".join(f"<li>{text(x)}</li>" for x in lines)}</ul>' if lines else ""


def table(
    head: Sequence[str], rows: Sequence[Sequence[Cell]], *, sortable: bool = False, same: Sequence[bool] = ()
) -> str:
    """A table.

    Parameters
    ----------
    sortable
        Whether a click on a heading sorts it.
    same
        Of each row, whether it is shown only when all is asked for; default: none is.
    """
    kind = ' class="sortable"' if sortable else ""
    heads = "".join(f'<th scope="col">{text(h)}</th>' for h in head)
    body = []
    for i, row in enumerate(rows):
        hidden = ' class="same"' if i < len(same) and same[i] else ""
        body.append(f"<tr{hidden}>{''.join(_cell(c) for c in row)}</tr>")
    return f'<div class="scroll"><table{kind}><thead><tr>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _cell(cell: Cell) -> str:
    if cell.number is None or cell.number != cell.number:
        return f"<td>{text(cell.text)}</td>"
    return f'<td class="number" data-value="{cell.number!r}">{text(cell.text)}</td>'


def figures(pictures: Sequence[str]) -> str:
    """Pictures beside each other; SVG that was made safe where it was drawn."""
    return f'<div class="figures">{"".join(f"<div>{p}</div>" for p in pictures)}</div>'
