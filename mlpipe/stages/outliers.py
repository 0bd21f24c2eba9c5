"""Outliers are flagged, not deleted: a strange value may be the truth, and what is left out teaches a model that it never happens."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mlpipe.core.outliers import outliers
from mlpipe.records.record import Found
from mlpipe.spec.sources import Contract
from mlpipe.stages.verdict import SHOWN, who


@dataclass(frozen=True, eq=False)
class Outliers:
    """Values of one table outside their usual ranges.

    Attributes
    ----------
    table
        Columns `row` (int64, position in raw), `column`, `value` (float64): one line a value, by column, then by row.
    counts
        How many there are, by column; every column that declares a range, also with none.
    findings
        A sentence a column that has some.
    """

    table: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)
    findings: tuple[Found, ...] = ()


def flagged(rows: pd.DataFrame, contract: Contract, keys: Sequence[str], source: str) -> Outliers:
    """Look for outliers among rows that keep their contract; the index of `rows` is their position in raw."""
    lines, counts, findings = [], {}, []
    for column, wants in contract.columns.items():
        if wants.usual is None or column not in rows:
            continue
        low, high = wants.usual
        found = np.flatnonzero(outliers(rows[column], low, high))
        counts[column] = len(found)
        if not len(found):
            continue
        values = rows[column].iloc[found].astype("float64").to_numpy()
        positions = rows.index.to_numpy(dtype="int64")[found]
        lines.append(pd.DataFrame({"row": positions, "column": column, "value": values}))
        shown = "; ".join(
            f"{v:.12g} ({who(rows, keys, int(i))})" for v, i in zip(values, found[:SHOWN], strict=False)
        )
        share = f"{len(found)} of {len(rows)} rows"
        findings.append(
            Found(
                what=f"{share} hold a value outside what is usual, {_range(low, high)}: {shown}",
                where=f"source {source}, column {column}",
                fix="Their rows are kept.",
            )
        )
    empty = pd.DataFrame(
        {
            "row": pd.Series(dtype="int64"),
            "column": pd.Series(dtype="str"),
            "value": pd.Series(dtype="float64"),
        }
    )
    return Outliers(pd.concat(lines, ignore_index=True) if lines else empty, counts, tuple(findings))


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:.12g}"
    return f"at least {low:.12g}" if high is None else f"{low:.12g} to {high:.12g}"
