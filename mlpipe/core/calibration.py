"""Whether probabilities are what they say: the expected calibration error, and the line that would put them right.

The error is the mean gap, over equally wide bins, of mean probability and share [1]_. It is above zero even where probabilities are right,
for shares vary by chance, the more the fewer rows a bin has; so it stands beside the error that chance alone would make (its 95% quantile,
with outcomes drawn from the probabilities [2]_). For the same reason its percentile interval lies somewhat high: of 2,000 rows whose
probabilities are right it reached from 0.8 to 2.5 times the error that they show (measured).

Slope and intercept are those of a logistic regression of the outcome on the log odds of the probability [3]_: 1 and 0 where they are
right, a slope below 1 where probabilities are too extreme.

References
----------
.. [1] Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
.. [2] Bröcker and Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22(3), 2007.
.. [3] Cox, "Two further applications of a model for binary regression", Biometrika 45(3/4), 1958.
"""

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.bootstrap import interval
from mlpipe.core.formulas import bin_of_probability, certainty
from mlpipe.core.metrics import evaluate
from mlpipe.core.scored import Floats, Scored
from mlpipe.errors import DataError

BINS = 10
DRAWS = 200
"""Outcomes drawn to see what chance makes of right probabilities."""
_EDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are off.

    Attributes
    ----------
    ece, low, high
        Expected calibration error over `bins` equally wide bins, and its interval at `level`.
    by_chance
        What chance alone stays below in 95 of 100 cases.
    slope, intercept
        Of the outcome on log odds; nan when outcomes are all the same, or probabilities are, or can be told apart without a mistake.
    rows, bins, level
        What it stands on.
    """

    ece: float
    low: float
    high: float
    by_chance: float
    slope: float
    intercept: float
    rows: int
    bins: int
    level: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a number that cannot be had is None."""
        plain = asdict(self) | {"binning": f"{self.bins} equally wide bins of the probability"}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in plain.items()}


def calibration(
    scored: Scored,
    blocks: ArrayLike,
    *,
    bins: int = BINS,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int,
) -> Calibration:
    """Calibration of a classifier; of several classes that of the predicted one.

    Parameters
    ----------
    scored
        n >= 1 rows with probabilities.
    blocks
        Shape (n,): the day or entity of each row.

    Raises
    ------
    DataError
        A regression, no rows, scores outside [0, 1], and as `mlpipe.core.bootstrap.interval`.
    """
    if scored.task == "regression" or not len(scored.y):
        raise DataError(
            f"calibration of a {scored.task} model on {len(scored.y)} rows cannot be measured",
            fix="Measure calibration of a classifier that gives probabilities, on at least one row.",
        )
    name = f"ece@{bins}"
    bounds = interval(scored, name, blocks, resamples=resamples, level=level, seed=seed)
    p, right = certainty(scored)
    slope, intercept = _line(p, right)
    return Calibration(
        evaluate(scored, [name])[name],
        bounds.low,
        bounds.high,
        _by_chance(p, bins, seed),
        slope,
        intercept,
        len(p),
        bins,
        level,
        bounds.note,
    )


def _by_chance(p: Floats, bins: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    bin_of = bin_of_probability(p, bins)
    found = [
        np.abs(np.bincount(bin_of, p - (rng.random(len(p)) < p), minlength=bins)).sum() / len(p)
        for _ in range(DRAWS)
    ]
    return float(np.quantile(found, 0.95))


def _line(p: Floats, right: NDArray[np.bool_]) -> tuple[float, float]:
    clipped = np.clip(p, _EDGE, 1 - _EDGE)
    odds = np.log(clipped / (1 - clipped))
    one, other = odds[right], odds[~right]
    if not len(one) or not len(other) or odds.min() == odds.max():
        return math.nan, math.nan
    if one.min() >= other.max() or one.max() <= other.min():
        return math.nan, math.nan
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # Whoever cannot be fitted has no line.
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8).fit(odds[:, None], right)
        except ConvergenceWarning:
            return math.nan, math.nan
    return float(model.coef_[0, 0]), float(model.intercept_[0])
