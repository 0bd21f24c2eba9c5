"""The probe `leakage`: features that know the truth, rows that were made from later ones, and what tells training from judging."""

import math
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pandas as pd

from mlpipe.core.leakage import alone, told_apart
from mlpipe.core.metrics import evaluate
from mlpipe.core.scored import Task
from mlpipe.records.codec import coerce
from mlpipe.stages.dataset import collect, model_frame
from mlpipe.stages.frames import DAY
from mlpipe.stages.judging.audit import Audited, audited
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stages.splits import by_part

SHOWN = 40
"""So many features, those that tell most first, stand among the facts."""
STRONG, ERRORS = 0.9, 4.0
"""A feature that tells more than the whole model is suspicious from this on, when it does so by so many standard errors."""
TOP = 5
PARTITIONS, APART = 8, 2000
"""Rows of so many training partitions, and so many rows of each kind, are told apart."""


def probe(subject: Subject) -> Probed:
    """What each feature tells alone, what was made from something later, and how well training and judged rows are told apart."""
    asked = subject.spec.leakage
    places = _spaced(len(subject.rows), asked.rows)
    rows = model_frame(subject.rows.iloc[places], subject.bundle.features)
    task, y = cast(Task, subject.bundle.task), subject.y[places]
    told = {str(n): alone(rows[n], y, task) for n in rows}
    whole, error = _whole(subject, places)
    suspects = [
        n for n, v in told.items() if v >= asked.alone or (v >= STRONG and v > whole + ERRORS * error)
    ]
    found = _audit(subject)
    features = [
        {"feature": n, "alone": _known(v), "suspect": n in suspects or n in found.features}
        for n, v in sorted(told.items(), key=lambda item: (-np.nan_to_num(item[1]), item[0]))
    ]
    apart = _told_apart(subject)
    facts = {
        "features": features[:SHOWN],
        "model": _known(whole),
        "limit": asked.alone,
        "adversarial": apart,
        "late_rows": found.late,
        "audited_rows": found.rows,
        "late_features": dict(list(found.features.items())[:SHOWN]),
        "not_audited": found.why,
        "suspects": sorted({*suspects, *found.features})[:SHOWN],
    }
    notes = tuple(_sentences(told, suspects, found, whole))
    return Probed(coerce(facts), coerce({**facts, "features": features}), notes=notes)


def _sentences(told: dict[str, float], suspects: list[str], found: Audited, whole: float) -> Iterator[str]:
    for name in suspects[:TOP]:
        yield f"the feature {name!r} alone tells {told[name]:.4g} of the truth, and the whole model {whole:.4g}: it may know it"
    if found.late:
        names = ", ".join(map(repr, list(found.features)[:TOP]))
        yield f"{found.late} of {found.rows} audited rows were made from something later than their prediction: {names}"


def _audit(subject: Subject) -> Audited:
    if not subject.spec.leakage.audit:
        return Audited(why="it is not asked for (leakage.audit)")
    return audited(subject.spec, str(subject.rows[DAY].iloc[-1]), subject.ctx)


def _whole(subject: Subject, places: np.ndarray) -> tuple[float, float]:
    """What the whole model tells in the measure that single features are looked at, and about how far chance moves that."""
    scored, y = subject.scored, subject.y[places]
    if scored.task == "binary":
        value = evaluate(scored, ["roc_auc"])["roc_auc"]
        ones = int((y == 1).sum())
        return value, math.sqrt(value * (1 - value) / max(min(ones, len(y) - ones), 1))
    if scored.task == "regression":
        return alone(pd.Series(scored.score[places]), y, "regression"), 1 / math.sqrt(len(y))
    areas = [
        alone(pd.Series(scored.score[places, int(c)]), (y == c).astype("float64"), "binary")
        for c in np.unique(y)
    ]
    shares = [float(np.mean(y == c)) for c in np.unique(y)]
    return float(np.average(areas, weights=shares)), 1 / math.sqrt(len(y))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _told_apart(subject: Subject) -> dict[str, Any]:
    train = _train_rows(subject)
    frames = [
        model_frame(rows.iloc[_spaced(len(rows), APART)], subject.bundle.features).reset_index(drop=True)
        for rows in (train, subject.rows)
    ]
    auc, each = told_apart(frames[0], frames[1], subject.seed)
    top = sorted(each.items(), key=lambda item: (-np.nan_to_num(item[1]), item[0]))[:TOP]
    return {"auc": _known(auc), "top": [{"feature": n, "auc": v} for n, v in top]}


def _train_rows(subject: Subject) -> pd.DataFrame:
    """Rows of the train part: of a few partitions, evenly spaced, where reading all would be for nothing."""
    spec = subject.spec
    if spec.partitions.every == "none":
        return subject.training()[0]
    keys = by_part(spec, spec.partitions.before(subject.key, spec.training_window)).get("train", ())
    return collect(spec, [keys[i] for i in _spaced(len(keys), PARTITIONS)], subject.ctx).rows


def _spaced(count: int, most: int) -> np.ndarray:
    """Places of at most so many rows, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype("int64"))
