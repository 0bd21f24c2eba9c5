"""Copies among the rows of a window, told before they are split: a row that trains and judges at once flatters the model."""

from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.duplicates import Counts, copies, counted
from mlpipe.records.record import Found
from mlpipe.stages.dataset import Dataset, Encoding, comparable
from mlpipe.stages.splits import PARTS, Parts

_LABEL = "_label"


class Repeats:
    """Rows of a window that are equal in all features and the label, or nearly so; see `mlpipe.core.duplicates`.

    They are looked for once, when this is made, before any split is drawn.
    """

    def __init__(self, data: Dataset, encoding: Encoding) -> None:
        labels = pd.Series(encoding.encode(data.rows[data.label]), index=data.rows.index)
        # Of a class there is no nearly: its number is a name.
        truth = labels if encoding.task == "regression" else labels.astype("str")
        columns = {n: comparable(data.rows[n]) for n in data.names}
        self.rows = len(data.rows)
        self._copies = copies(pd.DataFrame({**columns, _LABEL: truth}))

    @property
    def near(self) -> np.ndarray:
        """Group of copies, exact and near, that each row is in."""
        return self._copies.near

    def counts(self, split: Parts | None) -> dict[str, Counts]:
        """Exact and near copies, with how many groups straddle the parts of a split; none do where there is no split."""
        parts = np.full(len(self._copies.exact), -1)
        for number, name in enumerate(PARTS):
            if split is not None:
                parts[split.masks[name]] = number
        exact = counted(self._copies.exact, parts)
        return {"exact": exact, "near": counted(self._copies.near, parts, within=self._copies.exact)}


def told(repeats: Repeats, split: Parts | None) -> tuple[dict[str, Any], list[Found]]:
    """Counts for the record, and a sentence for people where there are copies."""
    counts = repeats.counts(split)
    data = {
        kind: {"rows": c.rows, "share": round(c.share, 6), "groups": c.groups, "straddling": c.straddling}
        for kind, c in counts.items()
    }
    exact, near = counts["exact"], counts["near"]
    parts = [
        f"{c.rows} of {repeats.rows} rows ({c.share:.1%}) {what} an earlier one in all features and the label, {_groups(c.groups)}"
        for c, what in ((exact, "equal"), (near, "nearly equal"))
        if c.rows
    ]
    if not parts:
        return data, []
    straddling = exact.straddling + near.straddling
    if straddling:
        parts.append(f"{straddling} of these groups straddle {', '.join(PARTS)}")
    fix = (
        "What is learned by heart then counts as foreseen; see whether the source repeats itself."
        if straddling
        else ""
    )
    return data, [Found(what="; ".join(parts), where="rows of the training window", fix=fix)]


def _groups(count: int) -> str:
    return "in 1 group" if count == 1 else f"in {count} groups"
