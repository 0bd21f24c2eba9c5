"""What a model goes by: how much worse it gets when one feature is shuffled, and how that order differs from another model's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.bootstrap import paired
from mlpipe.core.leakage import midranks
from mlpipe.core.metrics import Metric, evaluate, resolve
from mlpipe.core.scored import Floats, Scored


@dataclass(frozen=True)
class Importance:
    """How much the metric worsens when a feature is shuffled: mean and standard deviation over the shuffles, and an interval.

    The interval is that of the first shuffle's loss, by blocks of rows; nan where there is none.
    """

    feature: str
    mean: float
    std: float
    low: float
    high: float

    def to_dict(self) -> dict[str, object]:
        """Plain values; None where there is none."""
        numbers = {n: getattr(self, n) for n in ("mean", "std", "low", "high")}
        return {"feature": self.feature, **{n: v if np.isfinite(v) else None for n, v in numbers.items()}}


def permutation_importance(
    predict: Callable[[pd.DataFrame], Floats],
    rows: pd.DataFrame,
    scored: Scored,
    metric: str | Metric,
    blocks: ArrayLike,
    *,
    repeats: int,
    resamples: int = 200,
    seed: int,
) -> list[Importance]:
    """Permutation importance of each feature (L. Breiman, "Random Forests", Machine Learning 45, 2001).

    Parameters
    ----------
    predict
        Scores of rows, as in `scored`.
    rows
        Shape (n, features).
    scored
        The model on these rows as they are.
    metric
        Its name, or a metric made by `custom`.
    blocks
        Shape (n,): what belongs together, and is resampled together for the interval. Values are exchanged between all rows.
    repeats
        Shuffles of each feature, at least 1; all of one feature are scored in one call.
    resamples
        Behind each interval.
    seed
        Of the shuffles, which do not depend on how many features there are or in which order, and of the resamples.

    Returns
    -------
    list of Importance
        In the order of the columns. Positive where the metric gets worse without the feature, whichever direction is better.
    """
    made = resolve(metric, scored.task)
    base = evaluate(scored, [made])[made.name]
    out = []
    for name in rows:
        # The name decides the shuffle, so that another feature more changes nothing about this one.
        rng = np.random.default_rng([seed, *str(name).encode()])
        orders = [rng.permutation(len(rows)) for _ in range(repeats)]
        column = rows[name]
        shuffled = pd.concat([rows] * repeats, ignore_index=True)
        shuffled[name] = column.take(np.concatenate(orders)).reset_index(drop=True)
        scores = predict(shuffled).reshape(repeats, *scored.score.shape)
        others = [Scored(scored.y, s, scored.threshold, scored.classes) for s in scores]
        lost = np.array([made.sign * (base - evaluate(o, [made])[made.name]) for o in others])
        bounds = paired(scored, others[0], made, blocks, resamples=resamples, seed=seed)
        out.append(Importance(str(name), float(lost.mean()), float(lost.std()), bounds.low, bounds.high))
    return out


def rank_correlation(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Spearman's correlation of two models' importances of shared features; None for fewer than three, or where all are equal."""
    names = sorted({*one} & {*other})
    if len(names) < 3:
        return None
    a, b = (midranks(np.array([values[n] for n in names])) for values in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else None


def moved(now: Mapping[str, float], then: Mapping[str, float], most: int = 5) -> list[dict[str, object]]:
    """Features whose place in the order moved most between two models, with both places (from 1) and importances.

    A feature that only one of them has stands at the end of the other's order.
    """
    places = []
    names = sorted({*now} | {*then})
    for values in (now, then):
        order: Sequence[str] = sorted(names, key=lambda n, v=values: (-v.get(n, -np.inf), n))  # type: ignore[misc]
        places.append({n: i for i, n in enumerate(order, start=1)})
    far = [n for n in names if places[0][n] != places[1][n]]
    far.sort(key=lambda n: (-abs(places[0][n] - places[1][n]), n))
    return [
        {"feature": n, "now": now.get(n), "then": then.get(n), "place": places[0][n], "was": places[1][n]}
        for n in far[:most]
    ]


def codes_of(rows: pd.DataFrame) -> tuple[Floats, dict[str, NDArray[np.object_]]]:
    """Rows as a matrix of numbers, text as the number of its name; and the names, by feature. A null is the last number.

    For explainers that take numbers alone; `frame_of` is the way back.
    """
    columns, names = [], {}
    for name in rows:
        if pd.api.types.is_numeric_dtype(rows[name]):
            columns.append(rows[name].to_numpy(dtype="float64", na_value=np.nan))
            continue
        codes, known = pd.factorize(rows[name])
        names[str(name)] = np.array([*known, None], dtype=object)
        columns.append(np.where(codes < 0, len(known), codes).astype("float64"))
    return np.column_stack(columns), names


def frame_of(matrix: Floats, rows: pd.DataFrame, names: Mapping[str, NDArray[np.object_]]) -> pd.DataFrame:
    """Rows of a matrix that `codes_of` made of `rows`, in their types."""
    columns = {}
    for i, name in enumerate(rows):
        values = matrix[:, i]
        if str(name) in names:
            cells = names[str(name)][values.astype("int64")]
            columns[name] = pd.Series(cells).astype(rows[name].dtype)
        else:
            columns[name] = pd.Series(values)
    return pd.DataFrame(columns)
