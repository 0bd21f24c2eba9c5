"""The probe `robustness`: rows as nobody should send them, and small steps of numbers that turn a decision over."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.behaviour import answers
from mlpipe.core.columns import with_columns
from mlpipe.core.perturbed import steps, together
from mlpipe.errors import DataError, UserCodeError
from mlpipe.records.codec import coerce
from mlpipe.records.secrets import scrubbed
from mlpipe.stages.dataset import model_frame
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stages.malformed import ROWS as GOOD_ROWS
from mlpipe.stages.malformed import TEXTUAL, UNSEEN, Case, Heard, cases, heard
from mlpipe.stages.trial import first_line
from mlpipe.stores.bundles import Bundle

ADMITTED = ("answer", "refused")
"""Outcomes that are no crash."""
MOST_SHOWN = 20
"""So many cases that are not admitted, with their sentence, stand among the facts; the report holds all."""


def probe(subject: Subject) -> Probed:
    """Every case and what became of it, and the share of rows whose decision a small step turns over.

    A case is answered with finite scores, or refused in words: by mlpipe, or by a ValueError of the model. Anything else is a crash. So
    is a refusal of a category never seen, by the model itself: it comes on some day, and the predictions of that day would fail with it.
    """
    bundle = subject.bundle
    rows = model_frame(subject.rows.head(GOOD_ROWS), bundle.features)
    with warnings.catch_warnings():
        # Libraries warn of what is put before them on purpose here.
        warnings.simplefilter("ignore")
        expected = bundle.predict(rows)
        told = [t for case in cases(bundle, rows) for t in _outcomes(bundle, rows, case, expected)]
        adversarial = _adversarial(subject)
    bad = [t for t in told if t["outcome"] not in ADMITTED]
    facts = {
        "cases": [*bad[:MOST_SHOWN]],
        "asked": len(told),
        "crashes": len(bad),
        "refused": sum(t["outcome"] == "refused" for t in told),
        "adversarial": adversarial,
    }
    notes = tuple(
        f"robustness, {t['case']}{' in ' + t['column'] if t['column'] else ''}: {t['message']}"
        for t in bad[:3]
    )
    report = {**facts, "cases": told}
    return Probed(scrubbed(coerce(facts)), scrubbed(coerce(report)), notes=notes)


def _outcomes(
    bundle: Bundle, rows: pd.DataFrame, case: Case, expected: np.ndarray
) -> Iterator[dict[str, Any]]:
    """What became of a case; where several columns were filled and it went wrong, of each of them alone."""
    told = _outcome(case.name, "", heard(bundle, case, expected), case)
    filled = _filled(case, rows) if told["outcome"] not in ADMITTED else []
    alone = []
    for name in filled if len(filled) > 1 else ():
        single = Case(case.name, with_columns(rows, {name: case.value[name]}), case.wanted, case.rows)
        alone.append(_outcome(case.name, name, heard(bundle, single, expected), single))
    blamed = [a for a in alone if a["outcome"] not in ADMITTED]
    if len(filled) == 1:
        told["column"] = filled[0]
    yield from blamed or [told]


def _filled(case: Case, rows: pd.DataFrame) -> list[str]:
    """Columns of a case that hold something else than the good rows, where nothing else was changed."""
    if not isinstance(case.value, pd.DataFrame) or list(case.value.columns) != list(rows.columns):
        return []
    if len(case.value) != len(rows):
        return []
    return [str(n) for n in rows if not case.value[n].equals(rows[n])]


def _outcome(name: str, column: str, heard_: Heard, case: Case) -> dict[str, Any]:
    outcome, message = "answer" if heard_.answered else "refused", heard_.wrong
    error = heard_.error
    if error is not None:
        outcome = "not_finite" if "not finite" in str(error) else "crash"
    elif heard_.wrong:
        outcome = "wrong"
    elif not heard_.answered and heard_.refusal is not None:
        message = first_line(heard_.refusal)
        if name == UNSEEN and heard_.refusal.__cause__ is not None:
            outcome = "crash"
        elif "not finite" in message and case.name not in _INFINITE:
            outcome = "not_finite"
    return {"case": name, "column": column, "outcome": outcome, "message": message}


_INFINITE = ("infinities", "numbers at the edge of what a float holds", "numbers too large for a float")
"""Cases of which scores that are not finite are no news: they are refused, and that is right."""


def _adversarial(subject: Subject) -> dict[str, Any]:
    """Share of judged rows whose decision is turned over by a small step of one number, or of all at once.

    A regression decides nothing: there it is how far one step moves a prediction at most, by the spread of predictions.
    """
    asked, bundle = subject.spec.robustness, subject.bundle
    places = np.unique(
        np.linspace(0, len(subject.rows) - 1, min(len(subject.rows), asked.rows)).astype("int64")
    )
    rows = model_frame(subject.rows.iloc[places].reset_index(drop=True), bundle.features)
    numbers = [n for n, dtype in bundle.features if dtype not in TEXTUAL]
    moved = steps(rows, numbers, asked.epsilon)
    frames = [rows.assign(**{n: values}) for n, pair in moved.items() for values in pair]
    told: dict[str, Any] = {
        "epsilon": asked.epsilon,
        "rows": len(rows),
        "steps": len(frames),
        "flip_rate": None,
    }
    if not frames:
        return {**told, "flip_rate": 0.0}
    before = subject.scored.score[places]
    try:
        after = bundle.predict(pd.concat(frames, ignore_index=True)).reshape(len(frames), *before.shape)
        if bundle.task == "regression":
            wide = float(np.std(subject.scored.score)) or 1.0
            return {**told, "shift": float(np.abs(after - before).max(axis=0).mean()) / wide}
        decided = answers(before, bundle.threshold)
        gains = _towards(before, after, decided)
        last = bundle.predict(together(rows, moved, gains))
    except (DataError, UserCodeError) as error:
        return {**told, "failed": first_line(error)}
    flipped = answers(last, bundle.threshold) != decided
    for scores in after:
        flipped |= answers(scores, bundle.threshold) != decided
    return {**told, "flip_rate": float(flipped.mean())}


def _towards(before: np.ndarray, after: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """How far each step moved the score of each row away from what is decided, shape (steps, n)."""
    if before.ndim == 1:
        sign = np.where(decided, -1.0, 1.0)
        return np.asarray((after - before) * sign)
    held = decided[:, None]
    then = np.take_along_axis(before, held, axis=1)[:, 0]
    now = np.take_along_axis(after, np.broadcast_to(held, (len(after), *held.shape)), axis=2)[:, :, 0]
    return np.asarray(then - now)
