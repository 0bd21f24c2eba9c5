"""The probe `behaviour`: the declared tests of what a model answers when rows are changed, and to rows that everybody could answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.behaviour import Bools, answers, changed, moved, wrong_way
from mlpipe.errors import DataError, UserCodeError, did_you_mean
from mlpipe.records.codec import coerce
from mlpipe.records.secrets import WITHHELD, named_secret, scrubbed
from mlpipe.spec.probing import BehaviourTest, score_range
from mlpipe.stages.dataset import Encoding, model_frame
from mlpipe.stages.frames import DAY, ROW
from mlpipe.stages.judging.fixed import table_of
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stages.trial import first_line

EXAMPLES = 5
"""So many failed rows of each test are kept in the report."""
SHOWN = 30
"""So many tests, those that did not pass first, stand among the facts; the report holds all."""
EXPECT, LOW, HIGH = "expect", "low", "high"
"""Columns of a file of simple rows that are no features."""


@dataclass(frozen=True)
class Tested:
    """What came of one test. `why` says why nothing, or nothing more, was tested; empty when all went as declared."""

    rows: int
    failed: Bools
    why: str = ""
    examples: tuple[dict[str, Any], ...] = ()


def probe(subject: Subject) -> Probed:
    """Every declared test, and how often each kind failed by capability.

    Raises
    ------
    DataError
        A test names a column that there is not, changes it in a way that does not suit it, or a file of rows cannot be used.
    """
    frame = model_frame(subject.rows, subject.bundle.features)
    facts: list[dict[str, Any]] = []
    report: list[dict[str, Any]] = []
    matrix: dict[str, dict[str, list[int]]] = {}
    for number, test in enumerate(subject.spec.behaviour):
        where = f"pipeline {subject.spec.name}, partition {subject.key}, behaviour {test.name!r}"
        seed = np.random.default_rng([subject.seed, number])
        found = (
            _minimum(subject, test, frame, where)
            if test.test == "minimum"
            else _perturbed(subject, test, frame, seed, where)
        )
        failed = int(found.failed.sum())
        told = {
            "name": test.name,
            "capability": test.capability,
            "kind": test.test,
            "rows": found.rows,
            "failed": failed,
            "rate": failed / found.rows if found.rows else None,
            "allowed": test.allowed,
            "why": found.why,
        }
        facts.append(told)
        report.append({**told, "examples": list(found.examples)})
        cell = matrix.setdefault(test.capability, {}).setdefault(test.test, [0, 0])
        cell[0], cell[1] = cell[0] + failed, cell[1] + found.rows
    notes = tuple(_sentences(facts))
    counts = {
        "asked": len(facts),
        "failures": sum(bool(t["rows"]) and t["rate"] > t["allowed"] for t in facts),
        "untested": sum(not t["rows"] for t in facts),
    }
    first = sorted(facts, key=lambda t: bool(t["rows"]) and t["rate"] <= t["allowed"])[:SHOWN]
    return Probed(
        coerce({**counts, "tests": first, "matrix": matrix}),
        scrubbed(coerce({**counts, "tests": report, "matrix": matrix})),
        notes=notes,
    )


def _sentences(tests: list[dict[str, Any]]) -> Iterator[str]:
    for told in tests:
        if not told["rows"]:
            yield f"behaviour {told['name']!r} tests nothing: {told['why']}"
        elif told["rate"] > told["allowed"]:
            more = f" ({told['why']})" if told["why"] else ""
            yield (
                f"behaviour {told['name']!r} fails on {told['failed']} of {told['rows']} rows,"
                f" {told['allowed']:.0%} may fail{more}"
            )


def _perturbed(
    subject: Subject, test: BehaviourTest, frame: pd.DataFrame, rng: np.random.Generator, where: str
) -> Tested:
    """Judged rows before and after the change; only those that it changes are tested."""
    unknown = [n for n in test.change if n not in frame]
    if unknown:
        known = list(subject.bundle.feature_names)
        raise DataError(
            f"{unknown[0]!r} is no feature", where=f"{where}, change", fix=did_you_mean(unknown[0], known)
        )
    places = np.flatnonzero(_chosen(subject.rows, test.where, where))
    if len(places) > test.rows:
        places = np.sort(rng.choice(places, size=test.rows, replace=False))
    if not len(places):
        return Tested(0, np.zeros(0, dtype=bool), "no judged row is as 'where' says")
    rows = frame.iloc[places].reset_index(drop=True)
    after, touched = rows.copy(), np.zeros(len(rows), dtype=bool)
    for name, change in test.changes.items():
        try:
            after[name], mask = changed(rows[name], change, rng)
        except DataError as error:
            error.where = f"{where}, {error.where}"
            raise
        touched |= mask
    if not touched.any():
        return Tested(0, np.zeros(0, dtype=bool), "the change leaves every row as it is")
    rows, after, places = rows[touched], after[touched].reset_index(drop=True), places[touched]
    before = subject.scored.score[places]
    try:
        scores = subject.bundle.predict(after)
    except (DataError, UserCodeError) as error:
        return Tested(len(rows), np.ones(len(rows), dtype=bool), first_line(error))
    failed = _failed(subject, test, before, scores, where)
    examples = _examples(subject, test, places, rows.reset_index(drop=True), after, before, scores, failed)
    return Tested(len(rows), failed, examples=examples)


def _failed(
    subject: Subject, test: BehaviourTest, before: np.ndarray, after: np.ndarray, where: str
) -> Bools:
    if test.test == "directional":
        if before.ndim == 2:
            at = _class_of(subject, test.of, f"{where}, of")
            before, after = before[:, at], after[:, at]
        return wrong_way(before, after, test.expect, test.tolerance or 0.0)
    if test.tolerance is None and subject.bundle.task != "regression":
        cut = subject.bundle.threshold
        return np.asarray(answers(before, cut) != answers(after, cut))
    return moved(before, after, test.tolerance or 0.0)


def _class_of(subject: Subject, label: Any, where: str) -> int:
    classes = [str(c) for c in subject.bundle.classes]
    if str(label) not in classes:
        what = "the model has several classes, and the test does not say whose probability it means"
        raise DataError(
            what if label is None else f"{label!r} is no class of the model",
            where=where,
            fix=f"Valid: {', '.join(classes)}.",
        )
    return classes.index(str(label))


def _chosen(rows: pd.DataFrame, conditions: Mapping[str, Any], where: str) -> Bools:
    """Rows that meet every condition."""
    mask = np.ones(len(rows), dtype=bool)
    for column, wanted in conditions.items():
        if column not in rows:
            known = [str(c) for c in rows.columns if not str(c).startswith("_")]
            raise DataError(
                f"there is no column {column!r}", where=f"{where}, where", fix=did_you_mean(column, known)
            )
        cells = rows[column]
        if isinstance(wanted, Mapping):
            numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
            mask &= numbers >= wanted.get("min", -np.inf)
            mask &= numbers <= wanted.get("max", np.inf)
            continue
        many = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
        held = cells.isin([w for w in many if w is not None]).to_numpy()
        mask &= held | cells.isna().to_numpy() if None in many else held
    return mask


def _examples(
    subject: Subject,
    test: BehaviourTest,
    places: np.ndarray,
    rows: pd.DataFrame,
    after: pd.DataFrame,
    before: np.ndarray,
    scores: np.ndarray,
    failed: Bools,
) -> tuple[dict[str, Any], ...]:
    """The failed rows whose scores moved most."""
    apart = np.abs(scores - before)
    size = apart.max(axis=1) if apart.ndim == 2 else apart
    worst = [i for i in np.argsort(-size, kind="stable") if failed[i]][:EXAMPLES]
    return tuple(
        {
            "partition": subject.rows[DAY].iloc[places[i]],
            "row": subject.rows[ROW].iloc[places[i]],
            "before": before[i].tolist(),
            "after": scores[i].tolist(),
            "change": {n: [_shown(n, rows[n].iloc[i]), _shown(n, after[n].iloc[i])] for n in test.change},
        }
        for i in worst
    )


def _shown(name: str, cell: Any) -> Any:
    if named_secret(name):
        return WITHHELD
    if pd.isna(cell):
        return None
    return cell[:200] if isinstance(cell, str) else cell


# -- minimum functionality -------------------------------------------------------------------------------------------


def _minimum(subject: Subject, test: BehaviourTest, frame: pd.DataFrame, where: str) -> Tested:
    """Rows of the test's own. A feature that a row does not give is typical of the judged rows: the median, or the most frequent."""
    rows, expected = _simple(subject, test, frame, where)
    try:
        scores = subject.bundle.predict(rows)
    except (DataError, UserCodeError) as error:
        return Tested(len(rows), np.ones(len(rows), dtype=bool), first_line(error))
    made = answers(scores, subject.bundle.threshold) if subject.bundle.task != "regression" else scores
    encoding = Encoding(subject.bundle.task, subject.bundle.classes)
    failed = np.zeros(len(rows), dtype=bool)
    for i, expect in enumerate(expected):
        place = f"{where}, row {i + 1}"
        bounds = score_range(expect)
        if bounds is not None:
            if scores.ndim == 2:
                raise DataError(
                    "a model of several classes has no one score", where=place, fix="Expect a label."
                )
            failed[i] = not bounds[0] <= scores[i] <= bounds[1]
            continue
        if subject.bundle.task == "regression":
            raise DataError(
                f"a regression gives numbers, not {expect!r}", where=place, fix="Expect [low, high]."
            )
        failed[i] = made[i] != _class_of_label(encoding, expect, place)
    examples = tuple(
        {"row": int(i), "expected": expected[i], "score": scores[i].tolist()}
        for i in np.flatnonzero(failed)[:EXAMPLES]
    )
    return Tested(len(rows), failed, examples=examples)


def _class_of_label(encoding: Encoding, label: Any, where: str) -> int:
    code = encoding.encode(pd.Series([label]))[0]
    if not np.isfinite(code):
        known = ", ".join(map(repr, encoding.classes))
        raise DataError(f"{label!r} is no class of the model", where=where, fix=f"Valid: {known}.")
    return int(code)


def _simple(
    subject: Subject, test: BehaviourTest, frame: pd.DataFrame, where: str
) -> tuple[pd.DataFrame, list[Any]]:
    given = [dict(r) for r in test.rows] if test.file is None else _of_file(subject, test.file, where)
    typical = {str(n): _typical(frame[n]) for n in frame}
    rows, expected = [], []
    for i, row in enumerate(given):
        expected.append(row.pop(EXPECT, test.expect))
        place = f"{where}, row {i + 1}"
        if expected[-1] is None:
            raise DataError("nothing is expected of it", where=place, fix=f"Give it '{EXPECT}', or the test.")
        unknown = [n for n in row if n not in typical]
        if unknown:
            raise DataError(
                f"{unknown[0]!r} is no feature", where=place, fix=did_you_mean(unknown[0], list(typical))
            )
        odd = [n for n, v in row.items() if pd.api.types.is_numeric_dtype(frame[n]) and isinstance(v, str)]
        if odd:
            raise DataError(f"{row[odd[0]]!r} is no number", where=f"{place}, {odd[0]}", fix="Give a number.")
        rows.append({**typical, **row})
    return model_frame(pd.DataFrame(rows, columns=list(frame)), subject.bundle.features), expected


def _of_file(subject: Subject, file: str, where: str) -> list[dict[str, Any]]:
    table = table_of(subject.spec.base_dir, file, where).astype(object)
    out = []
    for cells in table.where(table.notna(), None).to_dict("records"):
        row: dict[str, Any] = {str(k): v for k, v in cells.items()}
        low, high, expect = row.pop(LOW, None), row.pop(HIGH, None), row.pop(EXPECT, None)
        if expect is None and low is not None and high is not None:
            expect = [low, high]
        # A file cannot leave a cell out: a null is one.
        out.append({**row, **({} if expect is None else {EXPECT: _as_label(expect)})})
    return out


def _as_label(expect: Any) -> Any:
    return expect.tolist() if hasattr(expect, "tolist") else expect


def _typical(column: pd.Series) -> Any:
    known = column.dropna()
    if not len(known):
        return None
    return float(known.median()) if pd.api.types.is_numeric_dtype(column) else str(known.mode().iloc[0])
