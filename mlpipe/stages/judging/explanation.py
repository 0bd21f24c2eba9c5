"""The probe `explanation`: what the model goes by, beside what the champion goes by; permutation importance, and SHAP values on request."""

import warnings
from typing import Any

import numpy as np

from mlpipe.core.importance import codes_of, frame_of, moved, permutation_importance, rank_correlation
from mlpipe.core.scored import Scored
from mlpipe.errors import MlpipeError
from mlpipe.records.codec import coerce
from mlpipe.spec.probing import Explain
from mlpipe.stages.dataset import model_frame
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stores.bundles import Bundle

SHOWN = 20
"""So many features, the most important first, stand among the facts."""
BACKGROUND = 50
"""SHAP values are differences from what the model says on average about so many judged rows."""


def probe(subject: Subject) -> Probed:
    """Importance of each feature on judged rows, how its order differs from the champion's, and mean SHAP values where asked.

    Raises
    ------
    MlpipeError
        SHAP is asked for and not installed.
    """
    asked = subject.spec.explain or Explain()
    places = np.unique(
        np.linspace(0, len(subject.rows) - 1, min(len(subject.rows), asked.rows)).astype("int64")
    )
    ours = _importance(subject, subject.bundle, places, asked)
    told = sorted(ours, key=lambda i: (-float(i["mean"] or 0.0), str(i["feature"])))
    facts: dict[str, Any] = {
        "metric": subject.names[0],
        "rows": len(places),
        "importance": told[:SHOWN],
        "champion": None,
    }
    champion = subject.champion
    if (
        champion is not None
        and all(n in subject.rows for n in champion.feature_names)
        and champion.task == subject.bundle.task
    ):
        theirs = _importance(subject, champion, places, asked)
        now, then = ({str(i["feature"]): float(i["mean"] or 0.0) for i in each} for each in (ours, theirs))
        facts["champion"] = {"rank_correlation": rank_correlation(now, then), "moved": moved(now, then)}
    report = {**facts, "importance": told}
    if asked.method == "shap":
        values, names, each = _shap(subject, places, asked)
        order = np.argsort(-values, kind="stable")
        facts["shap"] = [{"feature": names[i], "mean": float(values[i])} for i in order[:SHOWN]]
        report = {**report, **facts, "importance": told, "shap_rows": each}
    return Probed(coerce(facts), coerce(report))


def _importance(subject: Subject, bundle: Bundle, places: np.ndarray, asked: Explain) -> list[dict[str, Any]]:
    rows = model_frame(subject.rows.iloc[places].reset_index(drop=True), bundle.features)
    scored = Scored(subject.y[places], bundle.predict(rows), bundle.threshold, bundle.classes)
    found = permutation_importance(
        bundle.predict,
        rows,
        scored,
        subject.spec.measures.of(subject.names[0]),
        subject.blocks[places],
        repeats=asked.repeats,
        seed=subject.seed,
    )
    return [i.to_dict() for i in found]


def _shap(
    subject: Subject, places: np.ndarray, asked: Explain
) -> tuple[np.ndarray, list[str], list[dict[str, Any]]]:
    """Mean absolute SHAP value of each feature, their names, and the values of some rows; of several classes the sum over them."""
    try:
        with warnings.catch_warnings():
            # It warns of plots that nobody asked for.
            warnings.simplefilter("ignore")
            import shap
    except ImportError as error:
        raise MlpipeError(
            f"'explain: shap' needs the package shap: {error}",
            where=f"pipeline {subject.spec.name}, explain",
            fix="Install it: pip install 'mlpipe[explain]', or ask for 'permutation'.",
        ) from None
    rows = model_frame(subject.rows.iloc[places].reset_index(drop=True), subject.bundle.features)
    matrix, names = codes_of(rows)
    wide = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), BACKGROUND)).astype("int64"))
    some = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), asked.shap_rows)).astype("int64"))

    def predict(given: np.ndarray) -> np.ndarray:
        return subject.bundle.predict(frame_of(np.asarray(given, dtype="float64"), rows, names))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masker = shap.maskers.Independent(matrix[wide], max_samples=BACKGROUND)
        explainer = shap.explainers.Permutation(predict, masker, seed=subject.seed)
        values = np.asarray(explainer(matrix[some], silent=True).values, dtype="float64")
    size = np.abs(values).sum(axis=2) if values.ndim == 3 else np.abs(values)
    features = [str(n) for n in rows]
    each = [
        {"row": int(subject.rows.index[places[i]]), "values": dict(zip(features, v.tolist(), strict=True))}
        for i, v in zip(some[:SHOWN], values[:SHOWN], strict=False)
    ]
    return size.mean(axis=0), features, each
