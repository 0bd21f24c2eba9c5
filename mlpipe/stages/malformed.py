"""Rows as nobody should send them, put before a model: each is answered, or refused in words; none may end in a traceback."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlpipe.core.columns import with_columns
from mlpipe.errors import DataError
from mlpipe.stages.trial import Kept, first_line, raised
from mlpipe.stores.scoring import Bundle

ROWS = 8
"""Rows that each case is made from."""
TOLERANCE = (1e-6, 1e-9)
"""Relative and absolute: sums over other numbers of rows round differently."""
Wanted = Literal["any", "same", "refused"]


@dataclass(frozen=True)
class Case:
    """Something to score. `wanted`: the scores of the rows as they were, a refusal, or either of an answer and a refusal."""

    name: str
    value: Any
    wanted: Wanted = "any"
    rows: int = ROWS


@dataclass(frozen=True)
class Heard:
    """What became of a case.

    `wrong` says what is wrong with that, and is empty when nothing is; `error` is what crashed, `refusal` how it was refused.
    """

    name: str
    answered: bool
    wrong: str = ""
    error: Exception | None = None
    refusal: Exception | None = None


def put_before(bundle: Bundle, rows: pd.DataFrame) -> list[Heard]:
    """Every case, put before a model.

    Parameters
    ----------
    rows
        Good rows, at least one, with the features of the model: what the cases are made from.
    """
    rows = rows[list(bundle.feature_names)].head(ROWS).reset_index(drop=True)
    with warnings.catch_warnings():
        # Libraries warn of what is put before them on purpose here.
        warnings.simplefilter("ignore")
        expected = bundle.predict(rows)
        return [heard(bundle, case, expected) for case in cases(bundle, rows)]


def heard(bundle: Bundle, case: Case, expected: np.ndarray) -> Heard:
    """What a model says to a case."""
    scores = np.empty(0)
    with Kept() as kept:
        scores = bundle.predict(case.value)
    if kept.error is not None:
        # A ValueError is how code of the user's refuses a value; anything else is a crash that was caught.
        meant = isinstance(kept.error, DataError) or isinstance(kept.error.__cause__, ValueError)
        if not meant:
            return Heard(case.name, False, raised(kept.error).sentence, kept.error)
        wrong = f"refused: {first_line(kept.error)}" if case.wanted == "same" else ""
        return Heard(case.name, False, wrong, refusal=kept.error)
    if case.wanted == "refused":
        return Heard(case.name, True, "answered as if nothing were wrong")
    shape = (case.rows, *expected.shape[1:])
    if scores.shape != shape:
        return Heard(case.name, True, f"{case.rows} rows gave scores of shape {scores.shape}")
    if case.wanted == "same" and not np.allclose(scores, expected[: case.rows], *TOLERANCE):
        return Heard(case.name, True, "other scores than for these rows as they were")
    return Heard(case.name, True)


def cases(bundle: Bundle, rows: pd.DataFrame) -> Iterator[Case]:
    """All that is put before a model, made from good rows with its features alone."""
    names = list(rows.columns)
    numbers = [n for n, dtype in bundle.features if dtype not in TEXTUAL]
    texts = [n for n, dtype in bundle.features if dtype in TEXTUAL]
    count = len(rows)
    yield from _shapes(rows, names, count)
    for which, columns, replacements in (("number", numbers, NOT_NUMBERS), ("text", texts, NOT_TEXTS)):
        for what, value in replacements.items() if columns else ():
            yield Case(f"{what} in {which} columns", _filled(rows, columns, value), rows=count)
    for what, value in ODD_NUMBERS.items() if numbers else ():
        yield Case(what, _filled(rows, numbers, value), rows=count)
    for what, value in ODD_TEXTS.items() if texts else ():
        yield Case(what, _filled(rows, texts, value), rows=count)
    yield Case("nulls in every column", _filled(rows, names, lambda i: None), rows=count)
    mixed = _filled(rows, names, lambda i: (1.5, "x", None, True)[i % 4])
    yield Case("mixed types within a column", mixed, rows=count)


def _shapes(rows: pd.DataFrame, names: list[str], count: int) -> Iterator[Case]:
    for name in names:
        yield Case(f"without the column {name!r}", rows.drop(columns=name), "refused", count)
    yield Case("without any column", pd.DataFrame(index=rows.index), "refused", count)
    yield Case("without a row", rows.iloc[:0], "same", 0)
    yield Case("a single row", rows.iloc[:1], "same", 1)
    further = max(names, key=len) + " that nobody knows"
    yield Case("a further column", with_columns(rows, {further: "x"}), "same", count)
    yield Case("columns in another order", rows[names[::-1]], "same", count)
    yield Case("an index with duplicates", rows.set_index(pd.Index(["x"] * count)), "same", count)
    twice = pd.concat([rows, rows[names[:1]]], axis=1)
    yield Case("two columns of one name", twice, "refused", count)
    yield Case(
        "column names that are numbers", rows.set_axis(range(FAR, FAR + len(names)), axis=1), "refused", count
    )
    for value in (None, {"a": 1}, [1, 2], "text"):
        yield Case(f"a {type(value).__name__} instead of a frame", value, "refused", count)


UNSEEN = "categories never seen"
FAR = 10**6
"""No column of anybody's is named by a number as large as this."""
TEXTUAL = ("str", "string", "object", "category")
Cells = dict[str, Callable[[int], Any]]
NOT_NUMBERS: Cells = {
    "text": lambda i: "no number",
    "dates": lambda i: pd.Timestamp("2024-01-31", tz="UTC"),
    "lists": lambda i: [1, 2],
    "records": lambda i: {"a": 1},
    "bytes": lambda i: b"\xff",
    "complex numbers": lambda i: 1 + 1j,
}
NOT_TEXTS: Cells = {
    "numbers": lambda i: 7,
    "dates": lambda i: pd.Timestamp("2024-01-31", tz="UTC"),
    "lists": lambda i: ["a"],
    "booleans": lambda i: True,
    "bytes": lambda i: b"\xff",
}
ODD_NUMBERS: Cells = {
    "infinities": lambda i: np.inf if i % 2 else -np.inf,
    "numbers at the edge of what a float holds": lambda i: 1.7e308 if i % 2 else -1.7e308,
    "numbers too large for a float": lambda i: 10**400,
}
ODD_TEXTS: Cells = {
    UNSEEN: lambda i: f"never seen \N{SNOWMAN} {i}",
    "empty text": lambda i: "",
    "very long text": lambda i: "x" * 100_000,
    "text with control characters": lambda i: "\x00\x1b[2J'; DROP TABLE rows; --",
}


def _filled(rows: pd.DataFrame, columns: list[str], cell: Callable[[int], Any]) -> pd.DataFrame:
    """The rows, with some columns filled cell by cell."""
    cells = pd.Series([cell(i) for i in range(len(rows))], index=rows.index, dtype="object")
    return with_columns(rows, dict.fromkeys(columns, cells))
