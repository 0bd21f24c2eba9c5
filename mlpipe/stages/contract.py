"""One partition of a source against its contract."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.columns import with_columns
from mlpipe.core.quality import (
    BoolArray,
    Outcome,
    comparable,
    copies,
    dtype_breaks,
    freshness_score,
    newest_gap,
    outside,
)
from mlpipe.errors import DataError, SpecError
from mlpipe.spec.calendar import DISTANT_FUTURE, Window
from mlpipe.spec.nodes import duration_text
from mlpipe.spec.sources import Contract
from mlpipe.stages.cleaning import Formed, Reading
from mlpipe.stages.expectations import Answer, Rule, evaluate
from mlpipe.stages.suite import compile_suite
from mlpipe.stages.verdict import Checked, Finding, judged

__all__ = ["Checked", "Finding", "check", "holding"]

MISSING = "the column is missing"


def check(
    frame: pd.DataFrame | Formed,
    source_name: str,
    contract: Contract,
    *,
    keys: Sequence[str],
    event_time: str | None,
    window: Window | None,
    timezone: str,
    base_dir: Path | None = None,
    holds: frozenset[str] = frozenset(),
) -> Checked:
    """Check one partition of a source. No other partition is looked at.

    Parameters
    ----------
    frame
        n >= 0 rows with any index, which is ignored; or such rows in the form that their source declares. A cell that cannot be read in its
        form breaks a rule, and no other: it has a value, but nobody knows which.
    keys
        Columns that identify a row, where the contract's `unique` names none.
    event_time, window, timezone
        Column of event times, the partition's stretch of time, and the zone of times without one. Rows outside the window are quarantined.
        Without a column or a window timeliness is not tested.
    base_dir
        Folder that the path of a suite file starts from.
    holds
        Names of rules that are known to hold for these rows; see `holding`. They are not asked again.

    Raises
    ------
    SpecError
        When the contract cannot be compiled, or asks for freshness without an event time.
    DataError
        When two columns have one name.
    """
    table = frame if isinstance(frame, Formed) else Formed(frame, frame)
    frame = table.shown
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(
            f"two columns are named {twice!r}",
            where=f"source {source_name}",
            fix="Give each a name of its own.",
        )
    if contract.freshness is not None and event_time is None:
        raise SpecError(
            "'freshness' needs an 'event_time'",
            where=f"source {source_name}",
            fix="Name the column of event times.",
        )
    frame = frame.reset_index(drop=True)
    rules = compile_suite(contract, keys, base_dir, name=source_name).rules
    read = {r.column: table.frame[r.column].reset_index(drop=True) for r in table.readings if _unread(r)}
    outcomes = [_readable(frame, r, contract) for r in table.readings]
    outcomes += _by_rules(frame, rules, contract, holds, read)
    if event_time is not None and window is not None and len(frame):
        outcomes += _timely(frame, contract, event_time, window, timezone)
    return judged(frame, tuple(outcomes), contract, keys)


# -- outcomes ------------------------------------------------------------------------------------------------


def holding(
    frames: Sequence[pd.DataFrame],
    source_name: str,
    contract: Contract,
    *,
    keys: Sequence[str],
    base_dir: Path | None = None,
) -> frozenset[str]:
    """Rules about single rows that hold in all of some partitions, asked once for all of them.

    A rule that holds for the rows of all partitions together holds in each. One that does not, or that reads a column which is absent
    or of different types among them, is not named, and has to be asked in each.
    """
    frames = [f for f in frames if len(f)]
    if len(frames) < 2:
        return frozenset()
    types = [dict(zip(f.columns, map(_family, f.dtypes), strict=True)) for f in frames]
    same = {c for c, t in types[0].items() if all(other.get(c) == t for other in types)}
    rules = compile_suite(contract, keys, base_dir, name=source_name).rules
    asked = [
        r
        for r in rules
        if r.row_level and r.kind in ("values", "nulls", "copies") and r.columns and same >= set(r.columns)
    ]
    if not asked:
        return frozenset()
    columns = [c for c in frames[0].columns if c in same]
    together = pd.concat([f[columns] for f in frames], ignore_index=True)
    answers = evaluate(together, asked, listed=False)
    return frozenset(name for name, answer in answers.items() if answer.success and not answer.error)


def _family(dtype: Any) -> str:
    """Whole and fractional numbers compare alike; every other type stands for itself."""
    number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    return "number" if number else str(dtype)


def _unread(reading: Reading) -> bool:
    return reading.broken is not None and bool(reading.broken.any())


def _readable(frame: pd.DataFrame, reading: Reading, contract: Contract) -> Outcome:
    """Outcome of the rule that each cell of a column can be read in its declared form."""
    made = Outcome(reading.rule, (reading.column,), ("consistency",), True, tested=len(frame))
    if reading.broken is not None:
        tested = int(frame[reading.column].notna().sum())
        return replace(made, success=not reading.broken.any(), broken=reading.broken, tested=tested)
    if not len(frame.columns) and not len(frame):
        return replace(made, note="the table has neither rows nor columns")
    told = reading.column in contract.columns
    return replace(made, success=False, score=0.0, tested=0, note=MISSING, shown=not told)


def _by_rules(
    frame: pd.DataFrame,
    rules: Sequence[Rule],
    contract: Contract,
    holds: frozenset[str],
    read: "dict[str, pd.Series[Any]]",
) -> list[Outcome]:
    """An outcome for each rule, in their order; `read` are columns with cells that cannot be read, these being null."""
    found: dict[str, Outcome] = {}
    wrong = {
        r.columns[0]: (r.dtype, dtype_breaks(read.get(r.columns[0], frame[r.columns[0]]), r.dtype))
        for r in rules
        if r.kind == "dtype" and r.columns[0] in frame
    }
    nulls = {
        c: frame[c].isna().to_numpy(dtype=bool)
        for r in rules
        for c in r.columns
        if r.kind in ("nulls", "values") and c in frame
    }
    asked = []
    for rule in rules:
        native = _native(frame, rule, wrong, nulls, contract)
        if native is None and rule.name in holds:
            found[rule.name] = _answered(frame, rule, Answer(True), nulls)
        elif native is None:
            asked.append(rule)
        else:
            found[rule.name] = native
    altered = read | _comparable(with_columns(frame, read), asked, wrong)
    plain = [
        r for r in asked if r.kind in ("nulls", "copies") or not altered.keys() & set(_reads(r, altered))
    ]
    answers = evaluate(frame, plain)
    if len(plain) < len(asked):
        answers |= evaluate(with_columns(frame, altered), [r for r in asked if r not in plain])
    for rule in asked:
        found[rule.name] = _answered(frame, rule, answers[rule.name], nulls)
    return [found[r.name] for r in rules]


def _reads(rule: Rule, altered: dict[str, Any]) -> Sequence[str]:
    """Columns that a rule reads; one that names none may read all."""
    return rule.columns or tuple(altered)


def _native(
    frame: pd.DataFrame,
    rule: Rule,
    wrong: dict[str, tuple[str, BoolArray]],
    nulls: dict[str, BoolArray],
    contract: Contract,
) -> Outcome | None:
    """Outcome of a rule that a look at the frame decides; None when Great Expectations has to."""
    made = Outcome(rule.name, rule.columns, (rule.dimension,), True, tested=len(frame))
    absent = [c for c in rule.columns if c not in frame]
    if absent and not len(frame.columns) and not len(frame):
        return replace(made, note="the table has neither rows nor columns")
    if rule.kind == "exists":
        made = replace(made, dimensions=("completeness", "consistency"))
        return replace(made, success=False, score=0.0, note=MISSING) if absent else made
    if absent:
        told = not rule.own and set(absent) <= contract.columns.keys()
        note = MISSING if len(rule.columns) == 1 else f"missing: {', '.join(absent)}"
        return replace(
            made, dimensions=("consistency",), success=False, score=0.0, tested=0, note=note, shown=not told
        )
    if rule.kind == "count":
        return _counted(made, len(frame), contract)
    if not len(frame) and (rule.columns or not rule.expectation.expectation_type.startswith("expect_table")):
        return replace(made, broken=np.zeros(0, dtype=bool)) if rule.row_level else made
    if rule.kind == "dtype":
        broken = wrong[rule.columns[0]][1]
        return replace(
            made, success=not broken.any(), broken=broken, tested=int(frame[rule.columns[0]].notna().sum())
        )
    if rule.kind == "nulls" and not nulls[rule.columns[0]].any():
        return replace(made, broken=np.zeros(len(frame), dtype=bool) if rule.row_level else None)
    if (
        rule.kind == "nulls"
        and rule.mostly < 1.0
        and not rule.own
        and 1.0 - nulls[rule.columns[0]].mean() > rule.mostly
    ):
        return made
    if rule.kind == "copies":
        drop, surplus = copies(frame, rule.columns)
        return None if drop.any() else replace(made, broken=drop, counted=surplus)
    return None


def _counted(made: Outcome, rows: int, contract: Contract) -> Outcome:
    """Rows against their bounds: the score is observed / min below, max / observed above."""
    low, high = contract.min_rows or 0, contract.max_rows
    if rows < low:
        return replace(made, success=False, score=rows / low, note=f"{rows} rows, at least {low} are wanted")
    if high is not None and rows > high:
        return replace(made, success=False, score=high / rows, note=f"{rows} rows, at most {high} are wanted")
    return made


def _comparable(
    frame: pd.DataFrame, rules: Sequence[Rule], wrong: dict[str, tuple[str, BoolArray]]
) -> "dict[str, pd.Series[Any]]":
    """Typed columns that rules about values cannot read as they are: mixed types, objects, nullable numbers."""
    read = {c for r in rules if r.kind in ("values", "table") for c in (r.columns or wrong)}
    made = {c: comparable(frame[c], *wrong[c]) for c in read if c in wrong}
    return {c: v for c, v in made.items() if wrong[c][1].any() or v.dtype != frame[c].dtype}


def _answered(frame: pd.DataFrame, rule: Rule, answer: Answer, nulls: dict[str, BoolArray]) -> Outcome:
    """Outcome of a rule that Great Expectations decided."""
    made = Outcome(rule.name, rule.columns, (rule.dimension,), answer.success, tested=len(frame))
    if answer.error:
        return replace(
            made, dimensions=("consistency",), score=0.0, tested=0, note=f"cannot be decided: {answer.error}"
        )
    if rule.kind == "values" and len(rule.columns) == 1:
        made = replace(made, tested=int((~nulls[rule.columns[0]]).sum()))
    if not rule.row_level or (answer.broken is None and not answer.success):
        return made if answer.success else _whole(made, rule, answer)
    broken = np.zeros(len(frame), dtype=bool)
    if answer.broken is not None:
        broken[answer.broken] = True
    if rule.kind != "copies":
        return replace(made, broken=broken)
    drop, surplus = copies(frame, rule.columns, broken)
    return replace(made, broken=drop, counted=surplus)


def _whole(made: Outcome, rule: Rule, answer: Answer) -> Outcome:
    """A broken rule about the table: what is over the share that may break it, else everything, is lost."""
    if rule.mostly == 1.0:
        return replace(made, score=0.0, note="the table as a whole breaks it")
    may = 1.0 - rule.mostly
    note = f"{answer.share:.2%} of the values break it, {may:.2%} may"
    return replace(made, score=1.0 - max(answer.share - may, 0.0), note=note)


def _timely(
    frame: pd.DataFrame, contract: Contract, event_time: str, window: Window, timezone: str
) -> list[Outcome]:
    """Event times against the window, and the newest of them against its end."""
    made = Outcome(
        f"{event_time} inside the partition", (event_time,), ("timeliness",), True, tested=len(frame)
    )
    if event_time not in frame:
        return [replace(made, success=False, score=0.0, tested=0, note=MISSING)]
    broken = outside(frame[event_time], window.start, window.end, timezone)
    outcomes = [replace(made, success=not broken.any(), broken=broken)]
    if contract.freshness is not None and window.end < DISTANT_FUTURE:
        gap = newest_gap(frame[event_time], window.end, timezone)
        score, limit = freshness_score(gap, contract.freshness), duration_text(contract.freshness)
        note = (
            ""
            if score == 1.0
            else f"the newest row is {duration_text(gap)} old at the end of the partition, {limit} are allowed"
            if gap
            else "no row is from before the end of the partition"
        )
        name = f"newest {event_time} within {limit} of the end"
        outcomes.append(replace(made, rule=name, success=score == 1.0, score=score, note=note))
    return outcomes
