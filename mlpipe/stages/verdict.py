"""What the outcomes of a contract's rules say together: rows kept and quarantined, score, verdict, and sentences for people.

A rule about rows is kept by leaving out the rows that break it, and costs their share of its quality dimension; the partition fails when
that brings the score under the contract's floor. A rule about the table (a missing column, too few rows, too many nulls, stale data, a
mean) has no rows to leave out, so breaking it fails the partition. The score is the smallest dimension: an average would hide a column
that is half null behind four dimensions that are fine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlpipe import errors
from mlpipe.core.quality import BoolArray, Outcome, dimension_scores
from mlpipe.spec.sources import Contract

SHOWN, LOOKED, LONGEST = 3, 200, 200
"""Examples in a finding, rows among which different ones are looked for, and characters of a value in the quarantine."""


@dataclass(frozen=True)
class Finding(errors.Finding):
    """A broken rule, for people: the sentence (`what`), and what it is made of."""

    rule: str = ""
    rows: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Checked:
    """What a contract says about one frame of n rows.

    Attributes
    ----------
    kept
        Shape (n,): rows that keep every rule, in the order of the frame.
    quarantine
        Columns `row` (int64, position in the frame), `rule`, `column`, `value` (at most 200 characters): one line for each rule that a row
        breaks, by row.
    dimensions, untested
        Completeness, accuracy, consistency, timeliness and uniqueness, each in [0, 1]. One that nothing was declared for is 1.0 and
        listed in `untested`.
    score
        The smallest dimension.
    verdict
        ``"pass"``; ``"fail"`` when the score is under the floor or a rule about the table is broken; ``"empty"`` when there are no rows,
        and nothing said there must be.
    findings
        Broken rules, for people.
    rules
        Every rule, for the record: name, dimension, columns, level, broken and tested counts, success, note.
    repaired
        How many quarantined rows a repair brought back.
    """

    kept: BoolArray
    quarantine: pd.DataFrame
    dimensions: dict[str, float]
    untested: tuple[str, ...]
    score: float
    verdict: str
    findings: tuple[Finding, ...]
    rules: tuple[dict[str, Any], ...]
    repaired: int = 0
    outcomes: tuple[Outcome, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the rows, as JSON can hold it."""
        return {
            "verdict": self.verdict,
            "score": self.score,
            "dimensions": dict(self.dimensions),
            "untested": list(self.untested),
            "rows": len(self.kept),
            "kept": int(self.kept.sum()),
            "repaired": self.repaired,
            "findings": [
                {"rule": f.rule, "rows": f.rows, "what": f.what, "examples": list(f.examples)}
                for f in self.findings
            ],
            "rules": [dict(r) for r in self.rules],
        }


def judged(
    frame: pd.DataFrame, outcomes: tuple[Outcome, ...], contract: Contract, keys: Sequence[str]
) -> Checked:
    """What the outcomes of all rules say together about a frame with the index 0 … n-1."""
    rows = len(frame)
    broken = np.zeros(rows, dtype=bool)
    for outcome in outcomes:
        if outcome.broken is not None:
            broken |= outcome.broken
    dimensions, untested = dimension_scores(outcomes, rows)
    score = min(dimensions.values())
    hard = any(o.broken is None and not o.success for o in outcomes)
    verdict = "fail" if hard or (rows and score < contract.floor) else "pass" if rows else "empty"
    findings = tuple(
        _finding(frame, o, keys) for o in outcomes if o.shown and (not o.success or _vacuous(o, rows))
    )
    rules = tuple(_recorded(o) for o in outcomes)
    return Checked(
        ~broken,
        _quarantine(frame, outcomes),
        dimensions,
        untested,
        score,
        verdict,
        findings,
        rules,
        0,
        outcomes,
    )


def _vacuous(outcome: Outcome, rows: int) -> bool:
    """Whether a rule about values passed because there was none to test, in a table that has rows."""
    return bool(rows) and outcome.success and outcome.tested == 0 and outcome.dimensions == ("accuracy",)


def _recorded(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.rule,
        "dimension": outcome.dimensions[0],
        "columns": list(outcome.columns),
        "level": "table" if outcome.broken is None else "row",
        "broken": 0 if outcome.broken is None else int(outcome.broken.sum()),
        "tested": outcome.tested,
        "success": outcome.success,
        "note": outcome.note,
    }


def _finding(frame: pd.DataFrame, outcome: Outcome, keys: Sequence[str]) -> Finding:
    """One sentence, with up to three different values and the keys of their rows."""
    if outcome.success:
        return Finding(f"'{outcome.rule}' had nothing to test: all values are null", rule=outcome.rule)
    if outcome.broken is None:
        return Finding(f"'{outcome.rule}' is broken: {outcome.note}", rule=outcome.rule)
    rows = np.flatnonzero(outcome.broken)
    examples: dict[str, str] = {}
    for row, cell in zip(rows[:LOOKED], _cells(frame, outcome.columns, rows[:LOOKED]), strict=True):
        if len(examples) < SHOWN and cell not in examples:
            examples[cell] = f"{cell[:60]} ({who(frame, keys, int(row))})"
    shown = tuple(examples.values())
    what = f"{len(rows)} of {len(frame)} rows break '{outcome.rule}': {'; '.join(shown)}"
    return Finding(what, rule=outcome.rule, rows=len(rows), examples=shown)


def who(frame: pd.DataFrame, keys: Sequence[str], row: int) -> str:
    """Which row of a frame that is: its keys, else the index of its place."""
    names = [k for k in keys if k in frame]
    return (
        ", ".join(f"{k}={_text(frame[k].iloc[row])[:40]}" for k in names)
        if names
        else f"row {frame.index[row]}"
    )


def _text(value: Any) -> str:
    return "null" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)[:LONGEST]


def _cells(frame: pd.DataFrame, columns: Sequence[str], rows: Any) -> list[str]:
    """Values of some rows as text; those of several columns joined."""
    parts = [[_text(v) for v in frame[c].iloc[rows]] for c in columns]
    return [", ".join(p)[:LONGEST] for p in zip(*parts, strict=True)] if parts else [""] * len(rows)


def _quarantine(frame: pd.DataFrame, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One line for each rule that a row breaks, by row, then in the order of the rules."""
    lines: dict[str, list[Any]] = {"row": [], "rule": [], "column": [], "value": []}
    for outcome in outcomes:
        rows = np.flatnonzero(outcome.broken) if outcome.broken is not None else np.zeros(0, dtype=np.intp)
        if len(rows):
            lines["row"] += list(rows)
            lines["rule"] += [outcome.rule] * len(rows)
            lines["column"] += [", ".join(outcome.columns)] * len(rows)
            lines["value"] += _cells(frame, outcome.columns, rows)
    made = pd.DataFrame({k: pd.Series(v, dtype="int64" if k == "row" else "str") for k, v in lines.items()})
    return made.sort_values("row", kind="stable", ignore_index=True)
