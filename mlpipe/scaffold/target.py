"""What the label is: two classes, several, or a quantity."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlpipe.errors import DataError
from mlpipe.scaffold.cells import PAIRS, Cells

Task = Literal["binary", "multiclass", "regression"]
LEAST = 20
"""Rows with a label that a pipeline needs, at least."""
MOST_CLASSES, MOST_CODES = 200, 20
"""Classes that a classifier may have; whole numbers of at most so many different values are classes."""
RARE = 0.05
"""Below this share of positives the order of the best few counts, not the order of all."""


@dataclass(frozen=True)
class Target:
    """The label.

    Attributes
    ----------
    values
        Classes as text, or numbers; null where there is none.
    positive
        The positive class of two, where the default (the greater) is not meant.
    form
        Settings of ``clean`` for it.
    notes
        What was guessed, in sentences.
    """

    name: str
    task: Task
    values: "pd.Series[Any]"
    positive: Any = None
    form: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def rare(self) -> bool:
        """Whether one of two classes is much rarer than the other."""
        counts = self.values.value_counts(normalize=True)
        return self.task == "binary" and bool(counts.min() < RARE)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.values.nunique())


def target_of(cells: Cells, raw: "pd.Series[Any]", where: str) -> Target:
    """What a label column asks for.

    Raises
    ------
    DataError
        Nothing can be learned from it: it holds no value, one value, too few rows, times, lists, or free text.
    """
    at = f"{where}, column {cells.name}"
    labelled = int(cells.values.notna().sum())
    if cells.kind == "nothing":
        raise DataError("the label holds no value", where=at, fix="Name another column: --label COLUMN.")
    if cells.kind in ("time", "list"):
        what = "times" if cells.kind == "time" else "lists"
        raise DataError(
            f"the label holds {what}, which no model predicts",
            where=at,
            fix="Make it a class or a number, such as days until then.",
        )
    if cells.distinct < 2:
        value = cells.values.dropna().iloc[0]
        shown = f"{value:g}" if isinstance(value, float) else repr(value)
        raise DataError(
            f"the label is {shown} in every row, so there is nothing to learn",
            where=at,
            fix="Name another column, or data with other cases.",
        )
    if labelled < LEAST:
        raise DataError(
            f"only {labelled} rows have a label, at least {LEAST} are needed", where=at, fix="Name more data."
        )
    missing = len(cells.values) - labelled
    notes = (
        [f"{missing:,} of {len(cells.values):,} rows have no label; nothing is learned from them."]
        if missing
        else []
    )
    if cells.kind == "number":
        return _numbers(cells, notes)
    return _words(cells, raw, notes, labelled, at)


def _numbers(cells: Cells, notes: list[str]) -> Target:
    values = cells.values.dropna()
    form, notes = cells.form or None, [*cells.notes, *notes]
    whole = bool((values % 1 == 0).all())
    distinct = np.sort(values.unique())
    if len(distinct) == 2:
        return Target(cells.name, "binary", _text(cells.values), None, form, tuple(notes))
    dense = whole and len(distinct) <= MOST_CODES and distinct[-1] - distinct[0] < 2 * len(distinct)
    if dense and len(values) >= 5 * len(distinct):
        note = f"{len(distinct)} whole numbers are taken as classes; write 'task: regression' if they are quantities."
        return Target(cells.name, "multiclass", _text(cells.values), None, form, (*notes, note))
    return Target(cells.name, "regression", cells.values, None, form, tuple(notes))


def _text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    return values.map("{:g}".format, na_action="ignore").astype("object")


def _words(cells: Cells, raw: "pd.Series[Any]", notes: list[str], labelled: int, at: str) -> Target:
    if cells.kind == "bool" and not cells.form:
        return Target(cells.name, "binary", _text(cells.values), None, None, tuple(notes))
    if cells.kind == "bool":
        return _pair(cells, raw, notes)
    if cells.distinct > min(MOST_CLASSES, labelled / 3):
        raise DataError(
            f"the label holds {cells.distinct:,} different words in {labelled:,} rows: too many for classes",
            where=at,
            fix="Name another column, or group the words into classes.",
        )
    form = cells.form or None
    counts = cells.values.value_counts()
    notes = [*cells.notes, *notes]
    if cells.distinct > 2:
        return Target(cells.name, "multiclass", cells.values, None, form, tuple(notes))
    rarer = counts.index[-1]
    notes.append(f"{rarer!r} is taken as the positive class, for it is the rarer one.")
    return Target(cells.name, "binary", cells.values, str(rarer), form, tuple(notes))


def _pair(cells: Cells, raw: "pd.Series[Any]", notes: list[str]) -> Target:
    """Yes and no in words stay words: people read them in reports."""
    spelled = raw.dropna().map(str)
    words = {w.strip().lower() for w in (*cells.form["truthy"], *cells.form["falsy"])}
    no, yes = next(p for p in PAIRS if words == set(p))
    clean = set(spelled.unique()) <= {*cells.form["truthy"], *cells.form["falsy"]}
    one_each = len(cells.form["truthy"]) == len(cells.form["falsy"]) == 1
    values = cells.values.map({0.0: no, 1.0: yes})
    if clean and one_each:
        positive = cells.form["truthy"][0]
        return Target(cells.name, "binary", values, positive, None, (*cells.notes, *notes))
    form = {"to": "text", "case": "lower"} | ({"null": cells.form["null"]} if cells.form.get("null") else {})
    note = "Capitals and blanks around the words of the label make no difference."
    return Target(cells.name, "binary", values, yes, form, (*cells.notes, *notes, note))
