"""A proposal as settings of a specification, each with its reasons."""

from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.scaffold.cells import Cells
from mlpipe.scaffold.proposal import Proposal
from mlpipe.scaffold.roles import RESERVED
from mlpipe.scaffold.text import Because

SMALL = 1_000
"""Below this many rows to learn from a linear model is tried first."""
MANY_CLASSES, MANY_ROWS = 10, 100_000
USUAL = {"missing_rate": 0.007, "class_ratio": 15}
"""From here on data is too near to a default service level, or beyond it, for that to say anything."""
STEADY = 50
"""A share of nulls is worth a rule where partitions hold at least this many rows."""
METRICS = {
    "binary": ["roc_auc", "pr_auc", "f1", "precision", "recall", "log_loss"],
    "multiclass": ["macro_f1", "accuracy", "log_loss"],
    "regression": ["rmse", "mae", "r2"],
}


def settings_of(made: Proposal, source: dict[str, Any]) -> dict[str, Any]:
    """Settings of the pipeline; `source` reads the data, with its path as the project sees it."""
    span, asked = made.span, made.asked
    settings: dict[str, Any] = {
        "name": asked.name,
        "partitions": Because(_partitions(made), [*made.time_notes, *span.notes]),
        "source": Because(_source(made, source), [f"Made from {made.looked.origin}.", *made.looked.notes]),
        "label": Because(
            _label(made),
            [
                "Known at once: say how long after the row it becomes known ('available_after').",
                *made.target.notes,
            ],
        ),
        "task": made.target.task,
    }
    if asked.at is not None and asked.at != made.time:
        settings["prediction_time"] = Because(
            asked.at, ["The moment of prediction; later facts are not seen."]
        )
    settings["features"] = {"columns": Because(list(made.roles.features), _left_out(made))}
    settings["model"] = _model(made)
    settings["metrics"] = _metrics(made)
    if span.every != "none":
        settings["window"] = Because(
            span.window, ["Partitions to learn from, before the one that a model is made for."]
        )
        if span.test is not None:
            settings["split"] = Because(
                {"valid": span.valid, "test": span.test},
                ["The last of the window judges, what lies before it chooses."],
            )
        settings["min_coverage"] = span.coverage
        settings["monitor"] = {
            "window": int(min(14, max(2, (span.window or 4) // 3))),
            "grid_window": int(min(28, max(2, span.window or 4))),
        }
    levels = _levels(made)
    if levels:
        settings["levels"] = levels
    settings["min_rows"] = span.min_rows
    if span.every == "hour":
        settings["retrain"] = {"every": "day", "cool_down": "1d", "min_new_data": "6h"}
        settings["min_tenure"] = "1d"
    primary = settings["metrics"].value[0]
    settings["gates"] = Because(
        [{"beats_baseline": {"metric": primary}}],
        ["A model is released only if it beats a constant answer by more than chance."],
    )
    return settings


def _partitions(made: Proposal) -> dict[str, Any]:
    span = made.span
    held: dict[str, Any] = {"every": span.every}
    if span.start is not None:
        held["start"] = span.start
    if span.timezone != "UTC" or made.time is not None:
        held["timezone"] = span.timezone
    return held


def _left_out(made: Proposal) -> list[str]:
    names = [n for n in made.roles.left_out if n not in (made.asked.label, made.time)]
    lines = [f"Left out: {n}: {made.roles.left_out[n]}." for n in names[:40]]
    if len(names) > 40:
        lines.append(f"And {len(names) - 40} more columns are left out.")
    return [*made.roles.notes, *lines]


# -- source -------------------------------------------------------------------------------------------------------


def _source(made: Proposal, source: dict[str, Any]) -> dict[str, Any]:
    out = dict(source)
    if made.time is not None:
        out["event_time"] = made.time
    if made.keys:
        out["keys"] = Because(list(made.keys), made.key_notes)
    if any(n in RESERVED for n in made.cells):
        out["columns"] = Because(
            [n for n in made.cells if n not in RESERVED],
            ["Some names are mlpipe's own; their columns are not read."],
        )
    clean = clean_of(made)
    if clean:
        out["clean"] = clean
    out["contract"] = _contract(made)
    return out


def clean_of(made: Proposal) -> dict[str, Any]:
    """Canonical forms of the columns that are used, with what was noticed about each."""
    forms: dict[str, Any] = {}
    for name, column in made.cells.items():
        used = name in made.roles.features or name in (made.asked.label, made.time, made.asked.at)
        form = dict(made.target.form or {}) if name == made.asked.label else dict(column.form)
        if name in made.roles.categories:
            form = {**form, "to": "text"}
        if used and form:
            notes = [] if name == made.asked.label else list(column.notes)
            if name in made.roles.categories:
                notes.append("Its numbers name things, so they are categories.")
            forms[name] = Because(form, notes)
    return forms


def _contract(made: Proposal) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in made.roles.features:
        rules = _rules(made, made.cells[name], name in made.roles.categories)
        if rules:
            columns[name] = rules
    label = made.cells[made.asked.label]
    if label.endless and made.target.task == "regression":
        bounds = _rules(made, label, False)
        columns[made.asked.label] = {"min": bounds["min"], "max": bounds["max"]}
    held: dict[str, Any] = (
        {
            "columns": Because(
                columns,
                [
                    "What was seen, with slack: outside 'min' and 'max' a row is quarantined, outside 'usual' it is only reported.",
                ],
            )
        }
        if columns
        else {}
    )
    if made.keys and not made.unique:
        held["unique"] = []
    held["floor"] = Because(0.8, ["A partition whose quality falls below this is left out."])
    return held


def _rules(made: Proposal, column: Cells, category: bool) -> dict[str, Any]:
    values = column.values.dropna()
    rules: dict[str, Any] = {}
    if made.span.rows >= STEADY and column.nulls < 0.5:
        rules["nullable"] = ceil(min(1.0, 2 * column.nulls + 0.1) * 20) / 20
    if category or column.kind not in ("number", "text"):
        return rules
    if column.kind == "text":
        return {"dtype": "string", **rules} if pd.api.types.infer_dtype(values) == "string" else rules
    low, high = float(values.min()), float(values.max())
    spread = max(high - low, abs(high), 1.0)
    rules = {
        "dtype": "number",
        "min": 0 if low >= 0 else _round(low - 3 * spread, up=False),
        "max": _round(high + 3 * spread, up=True),
        **rules,
    }
    first, third = np.quantile(values, [0.25, 0.75])
    if third > first and column.distinct > 20:
        reach = 3 * (third - first)
        usual = [_round(float(first - reach), up=False), _round(float(third + reach), up=True)]
        usual[0] = max(usual[0], rules["min"])
        usual[1] = min(usual[1], rules["max"])
        rules["usual"] = usual
    return rules


def _round(value: float, *, up: bool) -> float | int:
    """A bound with two significant digits, away from what it bounds; whole where it can be."""
    if value == 0 or not np.isfinite(value):
        return 0
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    steps = np.ceil(value / unit) if up else np.floor(value / unit)
    made = float(f"{steps * unit:.6g}")
    return int(made) if made.is_integer() and abs(made) < 2**53 else made


def _levels(made: Proposal) -> dict[str, Because]:
    """Service levels whose default the data itself would miss on any day; what it is like is no alarm."""
    levels: dict[str, Because] = {}
    missing = float(np.mean([made.cells[n].nulls for n in made.roles.features]))
    if missing >= USUAL["missing_rate"]:
        chance = 3 * float(np.sqrt(missing * (1 - missing) / max(made.span.rows, 1)))
        limit = _round(1.5 * missing + 0.01 + chance, up=True)
        why = f"{missing:.1%} of the features' values are missing here; the default asks for less than 1%."
        if limit < 1:
            levels["missing_rate"] = Because(limit, [why])
    counts = made.cells[made.asked.label].values.value_counts()
    ratio = float(counts.max() / counts.min()) if len(counts) else 1.0
    if made.target.task != "regression" and ratio >= USUAL["class_ratio"]:
        why = f"The rarest class has one row to {ratio:,.0f} of the most frequent; the default asks for less than 20."
        levels["class_ratio"] = Because(_round(3 * ratio, up=True), [why])
    return levels


# -- label, model, metrics ----------------------------------------------------------------------------------------


def _label(made: Proposal) -> dict[str, Any]:
    held: dict[str, Any] = {"column": made.asked.label}
    if made.target.positive is not None:
        held["positive"] = made.target.positive
    return held


def _model(made: Proposal) -> Because:
    """The estimator: linear for few rows, boosted trees for more."""
    task, rows = made.target.task, _learning_rows(made)
    linear = rows < SMALL or (
        task == "multiclass" and made.target.classes > MANY_CLASSES and rows < MANY_ROWS
    )
    if linear and task == "regression":
        return Because(
            {"class": "sklearn.linear_model.Ridge", "params": {"alpha": 1.0}},
            [
                f"Some {rows:,.0f} rows to learn from are few: a linear model. Missing values become medians, with an indicator."
            ],
        )
    if linear:
        why = f"Some {rows:,.0f} rows to learn from" + (
            " are few: a linear model."
            if rows < SMALL
            else f" and {made.target.classes} classes: a linear model."
        )
        return Because(
            {"class": "sklearn.linear_model.LogisticRegression", "params": {"max_iter": 1000}},
            [f"{why} Missing values become medians, with an indicator; words become columns."],
        )
    kind = "Regressor" if task == "regression" else "Classifier"
    return Because(
        {
            "class": f"sklearn.ensemble.HistGradientBoosting{kind}",
            "params": {"max_iter": 100, "early_stopping": False},
        },
        [
            f"Some {rows:,.0f} rows to learn from: boosted trees. They take missing values and words as they are."
        ],
    )


def _learning_rows(made: Proposal) -> float:
    span = made.span
    if span.window is None:
        return 0.7 * made.looked.rows
    return 0.7 * span.rows * span.window


def _metrics(made: Proposal) -> Because:
    names, why = list(METRICS[made.target.task]), "The first decides; the others are shown."
    if made.target.rare:
        names = ["pr_auc", "roc_auc", "f1", "precision", "recall", "log_loss"]
        why = "Positives are rare, so average precision decides; the others are shown."
    return Because(names, [why])
