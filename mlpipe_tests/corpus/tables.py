"""Strategies that generate whole tables: mixed columns, gaps, odd names, odd times, labels of all kinds, and how they are written.

What a column holds is drawn by Hypothesis, its cells by numpy from a drawn seed: a table of two hundred rows is made in a millisecond,
and shrinks by its columns.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

Cells = list[Any]
Make = Callable[[np.random.Generator, int], Cells]
TEXTS = (
    "it came late and nobody was at home",
    "broken, sent back",
    "fine",
    "a very long remark " * 9,
    'with "quotes"\nand lines',
)
DAY = pd.Timestamp("2024-01-01")


def _choice(*words: Any) -> Make:
    return lambda draw, rows: [words[i] for i in draw.integers(0, len(words), rows)]


def _moments(form: str, minutes: int) -> Make:
    def make(draw: np.random.Generator, rows: int) -> Cells:
        steps = np.sort(draw.integers(0, minutes, rows))
        return [t.strftime(form) for t in DAY + pd.to_timedelta(steps, unit="min")]

    return make


def _several(draw: np.random.Generator, rows: int) -> Cells:
    """Dates in three spellings."""
    forms = ("%Y-%m-%d", "%d/%m/%Y", "%b %d, %Y")
    return [
        (DAY + pd.Timedelta(days=int(d))).strftime(forms[d % 3]) for d in np.sort(draw.integers(0, 40, rows))
    ]


NUMBERS: dict[str, Make] = {
    "normal": lambda draw, rows: draw.normal(size=rows).round(3).tolist(),
    "whole": lambda draw, rows: draw.integers(-5, 500, rows).tolist(),
    "heavy": lambda draw, rows: np.exp(5 * draw.normal(size=rows)).tolist(),
    # Not larger: their squares must be numbers, or nothing can be scaled.
    "huge": lambda draw, rows: (draw.normal(size=rows) * 1e140).tolist(),
    "endless": lambda draw, rows: np.where(draw.random(rows) < 0.1, np.inf, draw.normal(size=rows)).tolist(),
    "sentinel": lambda draw, rows: np.where(
        draw.random(rows) < 0.2, -999, draw.integers(0, 50, rows)
    ).tolist(),
    "running": lambda draw, rows: list(range(7, rows + 7)),
    "constant": lambda draw, rows: [3] * rows,
    "thousands": lambda draw, rows: [f"{v:,}" for v in draw.integers(0, 10**7, rows)],
    "commas": lambda draw, rows: [f"{v:.2f}".replace(".", ",") for v in draw.normal(size=rows) * 100],
    "percent": lambda draw, rows: [f"{v}%" for v in draw.integers(0, 101, rows)],
}
WORDS: dict[str, Make] = {
    "few": _choice("north", "south", "west"),
    "spelled": _choice("North", "north ", "NORTH", "south"),
    "many": lambda draw, rows: [f"town {v}" for v in draw.integers(0, max(rows, 1), rows)],
    "unique": lambda draw, rows: [f"id-{v:08x}" for v in draw.permutation(rows)],
    "yes": _choice("yes", "no", "Yes "),
    "truth": _choice(True, False),
    "free": _choice(*TEXTS),
    "lists": _choice("[1, 2]", "[]", '["a"]'),
    "records": _choice('{"a": 1}', "{}"),
    "nothing": lambda draw, rows: [None] * rows,
    "signs": _choice("?", "NA", "-", ""),
    "mixed": _choice(1, "two", 3.5, None, "2024-01-01", True),
    "code": _choice("<b>", "'; --", "{{x}}", "=1+1", "\u202e", "🙂"),
}
TIMES: dict[str, Make] = {
    "iso": _moments("%Y-%m-%d %H:%M:%S", 30 * 1440),
    "offset": _moments("%Y-%m-%dT%H:%M:%S+02:00", 20 * 1440),
    "day first": _moments("%d.%m.%Y", 60 * 1440),
    "month": _moments("%Y-%m", 700 * 1440),
    "hours": _moments("%Y-%m-%d %H:%M", 2000),
    "several": _several,
    "epoch": lambda draw, rows: (1_700_000_000 + np.sort(draw.integers(0, 30 * 86400, rows))).tolist(),
    "whole": lambda draw, rows: [int(t) for t in _moments("%Y%m%d", 40 * 1440)(draw, rows)],
    "future": lambda draw, rows: [f"{2190 + v}-01-01" for v in draw.integers(0, 9, rows)],
}
LABELS: dict[str, Make] = {
    "zero and one": _choice(0, 1),
    "rare": lambda draw, rows: (draw.random(rows) < 0.03).astype(int).tolist(),
    "words": _choice("stayed", "stayed", "left"),
    "spelled": _choice("Y", "N", "n ", " y"),
    "truth": _choice(True, False),
    "classes": _choice(*"abcde"),
    "grades": _choice(1, 2, 3, 4, 5),
    "quantity": NUMBERS["heavy"],
    "count": lambda draw, rows: draw.poisson(3, rows).tolist(),
    "money": NUMBERS["thousands"],
    "endless": NUMBERS["endless"],
    "constant": _choice("same"),
    "nothing": WORDS["nothing"],
    "unique": WORDS["unique"],
    "time": TIMES["iso"],
}
HOPELESS = ("constant", "nothing", "unique", "time")
"""Labels from which nothing can be learned."""
ODD = st.text(max_size=8) | st.integers() | st.floats(-1e140, 1e140) | st.just(float("inf"))
"""Cells that belong into no column."""
COLUMNS = {**{f"number: {n}": m for n, m in NUMBERS.items()}, **{f"word: {n}": m for n, m in WORDS.items()}}
COLUMNS |= {f"time: {n}": m for n, m in TIMES.items()}
NAMES = (
    "size", "Size", " size", "a b", "a.b", "größe", "🚚", 'say "hi"', "it's", "class", "select", "index", "name", "{{x}}", "${HOME}",
    "_row", "_label", "label", "features", "_day", "self", "", "Unnamed: 0", "null", "1", "-", "#", "a,b", "a;b", "x" * 90,
    "created_at", "id", "date",
)  # fmt: skip
SIZES, FEW = (30, 60, 90, 120, 160, 200), (0, 1, 2, 7, 19, 20, 21)


@dataclass(frozen=True, repr=False)
class Table:
    """A generated table, and how it is written and named to `mlpipe init`.

    Attributes
    ----------
    shape
        What each column holds, for whoever reads a failure.
    """

    frame: pd.DataFrame
    shape: dict[str, str]
    ending: str
    options: dict[str, Any]
    label: str
    time: str | None
    key: str | None

    def __repr__(self) -> str:
        return (
            f"Table({len(self.frame)} rows, {self.shape}, {self.ending} {self.options}, "
            f"label={self.label!r}, time={self.time!r}, key={self.key!r})"
        )

    def write(self, folder: Path) -> str:
        """Write it and give its name."""
        file = folder / f"data.{self.ending}"
        if self.ending == "csv":
            # What an encoding lacks is a question mark, as most programs write it.
            self.frame.to_csv(file, index=False, errors="replace", **self.options)
        elif self.ending == "parquet":
            typed = self.frame.apply(lambda c: c if c.dtype != object else c.map(_text, na_action="ignore"))
            typed.to_parquet(file, index=False)
        else:
            rows = self.frame.astype(object).to_dict("records")
            file.write_text("".join(json.dumps(r, default=str) + "\n" for r in rows))
        return file.name

    def arguments(self, name: str, data: str) -> tuple[str, ...]:
        """Command line of `mlpipe init`; names that begin with a dash are given in one word."""
        words = ["init", name, f"--data={data}", f"--label={self.label}"]
        words += [f"--time={self.time}"] if self.time is not None else []
        return (*words, *([f"--key={self.key}"] if self.key is not None else []))


def _text(value: Any) -> str:
    return str(value)


def _spoilt(cells: Cells, draw: st.DrawFn, rows: int) -> Cells:
    """Cells with gaps, or with some that belong into no column."""
    seed = draw(st.integers(0, 2**16))
    share = draw(st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.5, 0.97]))
    gaps = np.random.default_rng(seed).random(rows) < share
    out = [None if gap else cell for gap, cell in zip(gaps, cells, strict=True)]
    for odd in draw(st.lists(ODD, max_size=2)) if rows else []:
        # A lone surrogate cannot be written by anybody.
        out[draw(st.integers(0, rows - 1))] = (
            odd.encode("utf-8", "replace").decode() if isinstance(odd, str) else odd
        )
    return out


def _column(kinds: dict[str, Make], draw: st.DrawFn, rows: int) -> tuple[str, Cells]:
    kind = draw(st.sampled_from(sorted(kinds)))
    cells = kinds[kind](np.random.default_rng(draw(st.integers(0, 99))), rows)
    return kind, _spoilt(cells, draw, rows) if draw(st.integers(0, 3)) == 0 else cells


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A table of 0 to 200 rows and 1 to 8 columns, one of which is the label; most can be learned from."""
    rows = draw(st.sampled_from(FEW if draw(st.integers(0, 7)) == 7 else SIZES))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True))
    names = [n for n in names if n != "target"]
    columns: dict[str, Cells] = {}
    shape: dict[str, str] = {}
    for name in names:
        shape[name], columns[name] = _column(COLUMNS, draw, rows)
    labels = (
        LABELS if draw(st.integers(0, 3)) == 3 else {n: m for n, m in LABELS.items() if n not in HOPELESS}
    )
    shape["target"], columns["target"] = _column(labels, draw, rows)
    if draw(st.integers(0, 3)) < 3:
        columns["signal"] = np.random.default_rng(5).normal(size=rows).round(3).tolist()
    frame = pd.DataFrame({n: pd.Series(c, dtype=None if c else object) for n, c in columns.items()})
    ending = draw(st.sampled_from(["csv", "csv", "parquet", "jsonl"]))
    options = {
        "sep": draw(st.sampled_from([",", ",", ";", "\t", "|"])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16"])),
        "lineterminator": draw(st.sampled_from(["\n", "\n", "\r\n"])),
        "na_rep": draw(st.sampled_from(["", "", "NA", "?"])),
    }
    timely = [n for n, kind in shape.items() if kind.startswith("time: ")]
    asked = draw(st.integers(0, 19))
    label = (
        "absent"
        if asked == 19
        else draw(st.sampled_from(sorted(filter(None, columns))))
        if asked == 18
        else "target"
    )
    time = key = None
    if draw(st.integers(0, 3)) == 3 and (timely or asked > 16):
        time = draw(st.sampled_from(timely if asked <= 16 else sorted(columns))) or None
    if draw(st.integers(0, 4)) == 4:
        key = draw(st.sampled_from(sorted(filter(None, columns))))
    return Table(frame, shape, ending, options if ending == "csv" else {}, label, time, key)
