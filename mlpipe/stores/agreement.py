"""Whether what was made again agrees with what was made then: the same content, numbers within a tolerance, or something else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlpipe.errors import BundleError, DataError, StoreError
from mlpipe.records.differences import leaves
from mlpipe.records.record import MetricValue, Output, Record
from mlpipe.stores.content import parse_id
from mlpipe.stores.scoring import Bundle
from mlpipe.stores.store import Store

Verdict = Literal["identical", "equal", "different"]
TOLERANCE = 1e-6
"""Numbers count as equal when they differ by at most this share of the greater one, or by this where both are below one."""


MEASURED = "resources"
"""Split of the metrics, and name of the artifact, that a clock gave: another number each time, and no part of what must come out again."""


@dataclass(frozen=True)
class Agreement:
    """How one output, metric or verdict came out again: `then` and `now` are ids or numbers, `note` says what differs."""

    name: str
    then: str
    now: str
    verdict: Verdict
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for views and machines."""
        return {
            "name": self.name,
            "then": self.then,
            "now": self.now,
            "verdict": self.verdict,
            "note": self.note,
        }


def overall(found: Sequence[Agreement]) -> Verdict:
    """The worst of several verdicts."""
    kinds = {a.verdict for a in found}
    return "different" if "different" in kinds else "equal" if "equal" in kinds else "identical"


def outputs(
    then: Record, now: Record, store: Store, tolerance: float = TOLERANCE, trusted: Sequence[str | type] = ()
) -> list[Agreement]:
    """Every output, curve and artifact of a record beside that of its repetition.

    Parameters
    ----------
    then, now
        The record, and the record of the repetition. What only the repetition has is not looked at: mlpipe may make more today.
    store
        Holds the objects of both.
    tolerance
        See `TOLERANCE`.
    trusted
        Further types that a model may hold.
    """
    made = {(kind, o.name): o for kind in _KINDS for o in getattr(now, kind)}
    return [
        _output(o, made.get((kind, o.name)), store, tolerance, trusted)
        for kind in _KINDS
        for o in getattr(then, kind)
        if (kind, o.name) != ("artifacts", MEASURED)
    ]


_KINDS = ("outputs", "curves", "artifacts")


def metrics(then: Record, now: Record, tolerance: float = TOLERANCE) -> list[Agreement]:
    """Every metric of a record beside that of its repetition, intervals included."""
    made = {(m.split, m.name): m for m in now.metrics}
    return [_metric(m, made.get((m.split, m.name)), tolerance) for m in then.metrics if m.split != MEASURED]


def close(one: Any, other: Any, tolerance: float) -> bool:
    """Whether numbers agree within a tolerance; a missing one agrees with a missing one."""
    a, b = np.asarray(one, dtype="float64"), np.asarray(other, dtype="float64")
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def _metric(then: MetricValue, now: MetricValue | None, tolerance: float) -> Agreement:
    name = f"{then.split}.{then.name}" if then.split else then.name
    if now is None:
        return Agreement(name, repr(then.value), "", "different", "it was not measured again")
    old, new = [then.value, then.low, then.high], [now.value, now.low, now.high]
    if _same(old, new):
        return Agreement(name, repr(then.value), repr(now.value), "identical")
    if [v is None for v in old] != [v is None for v in new]:
        return Agreement(name, repr(then.value), repr(now.value), "different", "only one has an interval")
    numbers = [[v for v in values if v is not None] for values in (old, new)]
    verdict: Verdict = "equal" if close(numbers[0], numbers[1], tolerance) else "different"
    part = "" if _same(old[:1], new[:1]) else f"by {now.value - then.value:+.3g}"
    return Agreement(name, repr(then.value), repr(now.value), verdict, part or "its interval differs")


def _same(old: Sequence[float | None], new: Sequence[float | None]) -> bool:
    return all(
        a == b or (a is not None and b is not None and a != a and b != b)
        for a, b in zip(old, new, strict=True)
    )


def _output(
    then: Output, now: Output | None, store: Store, tolerance: float, trusted: Sequence[str | type]
) -> Agreement:
    if now is None:
        return Agreement(then.name, then.id, "", "different", "it was not made again")
    if then.id == now.id:
        return Agreement(then.name, then.id, now.id, "identical")
    kind = parse_id(then.id)[0]
    try:
        if kind == "bundle":
            models = [store.get_bundle(o.id, trusted) for o in (then, now)]
            verdict, note = _bundles(models[0], models[1], tolerance)
        elif kind == "table":
            tables = [store.get_table(o.id) for o in (then, now)]
            verdict, note = _tables(tables[0], tables[1], tolerance)
        elif kind == "curve":
            points = [store.get_json(o.id) for o in (then, now)]
            verdict, note = _points(points[0], points[1], tolerance)
        elif kind == "report" and _says(store, then.id, now.id):
            verdict, note = "identical", "what was said then; today more is said"
        else:
            # Profiles, grids and reports follow from the tables and models beside them, which are compared themselves.
            verdict, note = "equal", "other bytes; judged by what it follows from"
    except (StoreError, BundleError, DataError) as error:
        verdict, note = "different", f"they cannot be compared: {error.what}"
    return Agreement(then.name, then.id, now.id, verdict, note)


def _says(store: Store, then: str, now: str) -> bool:
    """Whether a report of today says all that was said then: mlpipe may have got further keys since."""
    texts = [store.get_bytes(i) for i in (now, then)]
    try:
        whole, part = (json.loads(text) for text in texts)
    except ValueError:  # A card is text for people.
        return False
    return _holds(whole, part)


def _holds(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and _holds(whole[key], value) for key, value in part.items())
    return bool(whole == part)


def _bundles(then: Bundle, now: Bundle, tolerance: float) -> tuple[Verdict, str]:
    """Two models, by their signature and prediction by prediction on the example rows of both."""
    for name in ("task", "features", "classes", "positive"):
        was, is_now = getattr(then, name), getattr(now, name)
        if was != is_now:
            return "different", f"{name}: {_short(was)}, now {_short(is_now)}"
    rows = pd.concat([then.input_example, now.input_example], ignore_index=True)
    old, new = then.predict(rows), now.predict(rows)
    apart = float(np.max(np.abs(old - new), initial=0.0))
    note = f"predictions of {len(rows)} example rows differ by at most {apart:.3g}"
    limits = [np.nan if b.threshold is None else b.threshold for b in (then, now)]
    if not close(limits[0], limits[1], tolerance):
        return "different", f"{note}; threshold {limits[0]:.6g}, now {limits[1]:.6g}"
    return ("equal" if close(old, new, tolerance) else "different"), note


def _points(then: Any, now: Any, tolerance: float) -> tuple[Verdict, str]:
    """Two curves, number by number: what a training logged follows from nothing else on record."""
    old, new = dict(leaves(then)), dict(leaves(now))
    wrong = [
        n for n in {**old, **new} if n not in old or n not in new or not _alike(old[n], new[n], tolerance)
    ]
    if wrong:
        return "different", f"{len(wrong)} of {len(old)} points differ, the first at {wrong[0]}"
    return "equal", f"{len(old)} points differ by no more than the tolerance"


def _alike(one: Any, other: Any, tolerance: float) -> bool:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (one, other))
    return close(one, other, tolerance) if numbers else bool(one == other)


def _tables(then: pd.DataFrame, now: pd.DataFrame, tolerance: float) -> tuple[Verdict, str]:
    """Two tables, column by column."""
    if list(then.columns) != list(now.columns):
        gone, come = (
            [c for c in a if c not in b]
            for a, b in ((then.columns, now.columns), (now.columns, then.columns))
        )
        return "different", f"columns: {_short(gone)} gone, {_short(come)} new"
    if len(then) != len(now):
        return "different", f"{len(then):,} rows, now {len(now):,}"
    wrong, apart = [], 0.0
    for name in then.columns:
        old, new = then[name], now[name]
        if pd.api.types.is_float_dtype(old) and pd.api.types.is_float_dtype(new):
            apart = max(apart, float(np.nanmax(np.abs(old.to_numpy() - new.to_numpy()), initial=0.0)))
            if not close(old, new, tolerance):
                wrong.append(str(name))
        elif not old.equals(new):
            wrong.append(str(name))
    if wrong:
        return "different", f"columns {_short(wrong)} hold other values"
    return "equal", f"numbers differ by at most {apart:.3g}"


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
