"""Plain text tables."""

import textwrap
from collections.abc import Sequence

WIDEST = 70


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns as wide as their text; longer texts are wrapped. Control characters are shown as spaces."""
    cells = [[textwrap.wrap(printable(c), WIDEST) or [""] for c in row] for row in rows]
    widths = [max([len(h), *(len(line) for row in cells for line in row[i])]) for i, h in enumerate(head)]
    lines = [
        "  ".join(h.ljust(w) for h, w in zip(head, widths, strict=True)).rstrip(),
        "  ".join("─" * w for w in widths),
    ]
    for row in cells:
        for k in range(max(len(c) for c in row)):
            lines.append(
                "  ".join(
                    (c[k] if k < len(c) else "").ljust(w) for c, w in zip(row, widths, strict=True)
                ).rstrip()
            )
    return "\n".join(lines)


def printable(text: str) -> str:
    """Text without control characters: what a stranger wrote must not steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
