"""Whether a binary model treats groups alike: rates by group, how far they lie apart, and how sure that is.

Values are fairlearn's [1]_. A measure such as the demographic parity difference is the greatest gap of any two groups, and where groups
are alike chance alone makes it greater than zero. Its interval is therefore that of all pairs of groups at once: a t interval of each gap
(see `mlpipe.core.bootstrap`) at a level divided by the number of pairs, and of these the greatest lower and the greatest upper end. It
holds the true measure with at least the confidence that it says, and more the more groups there are. So a measure is beyond a limit for
sure when its lower end is.

References
----------
.. [1] Weerts, Dudík, Edgar, Jalali, Lutz and Madaio, "Fairlearn: assessing and improving fairness of AI systems", JMLR 24(257), 2023.
.. [2] Hardt, Price and Srebro, "Equality of opportunity in supervised learning", NeurIPS 2016 (equal opportunity, equalised odds).
.. [3] Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D, 1978 (the four-fifths rule).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.bootstrap import drawn, numbered, spread
from mlpipe.core.formulas import ratio
from mlpipe.core.scored import Floats, Scored
from mlpipe.core.slicing import cells, cuts
from mlpipe.errors import DataError

FOUR_FIFTHS = 0.8
MIN_SUPPORT = 50
FEWEST = 10
"""A rate of fewer rows than this is not tested: of so many positives the true positive rate, and so on."""
RESAMPLES = 1000

RATES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "selection_rate": ("rows", "predicted positive"),
        "tpr": ("positive rows", "found"),
        "fpr": ("negative rows", "predicted positive"),
        "precision": ("rows predicted positive", "positive"),
    }
)
"""Rates by name: the rows that each is a share of, and which of these count."""

MEASURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "demographic_parity_difference": ("selection_rate",),
        "demographic_parity_ratio": ("selection_rate",),
        "equal_opportunity_difference": ("tpr",),
        "equalized_odds_difference": ("tpr", "fpr"),
        "predictive_parity_difference": ("precision",),
    }
)
"""Measures by name, and the rates whose greatest gap (or least ratio) each one is."""


@dataclass(frozen=True)
class Bounded:
    """A value and its interval; nan where they cannot be had."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Group:
    """Rates of one group, and each beside that of the reference group, as its difference and its ratio."""

    group: str
    rows: int
    rates: Mapping[str, Bounded]
    differences: Mapping[str, float]
    ratios: Mapping[str, float]


@dataclass(frozen=True)
class Column:
    """Groups by one column (or several, crossed): each tested one, the measures, and whether the four-fifths rule holds [3]_."""

    column: str
    reference: str
    groups: tuple[Group, ...]
    measures: Mapping[str, Bounded]
    four_fifths: bool | None


@dataclass(frozen=True)
class Untested:
    """What was not tested, and why; no `measure` means none of that group, no `group` none of that column."""

    column: str
    why: str
    group: str = ""
    measure: str = ""


@dataclass(frozen=True)
class Fairness:
    """What is known about how alike groups are treated, and what is not."""

    columns: tuple[Column, ...]
    not_tested: tuple[Untested, ...]
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a number that cannot be had is None."""
        return {
            "columns": {c.column: _column_dict(c) for c in self.columns},
            "not_tested": [{k: v for k, v in asdict(u).items() if v} for u in self.not_tested],
            "level": self.level,
        }


def _column_dict(column: Column) -> dict[str, Any]:
    groups = []
    for g in column.groups:
        of_rates = {
            name: {
                **_plain(asdict(b)),
                **_plain({"difference": g.differences[name], "ratio": g.ratios[name]}),
            }
            for name, b in g.rates.items()
        }
        groups.append({"group": g.group, "rows": g.rows, **of_rates})
    measures = {name: _plain(asdict(m)) for name, m in column.measures.items()}
    return {
        "reference": column.reference,
        "groups": groups,
        "measures": measures,
        "four_fifths": column.four_fifths,
    }


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {k: float(v) if math.isfinite(v) else None for k, v in values.items()}


def fairness(
    frame: pd.DataFrame,
    by: Sequence[Sequence[str]],
    scored: Scored,
    blocks: ArrayLike,
    *,
    references: Mapping[str, str] | None = None,
    min_support: int = MIN_SUPPORT,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int,
) -> Fairness:
    """Rates by group and the measures of `MEASURES`, for each set of columns.

    Parameters
    ----------
    frame
        n rows: the columns that make the groups. Nulls are a group, numbers are cut (see `mlpipe.core.slicing.cut`).
    by
        Sets of columns: one gives its values, several their intersections, both named by their text, joined by ", ".
    scored
        A binary model on these rows, with its threshold.
    blocks
        Shape (n,): the day or entity of each row.
    references
        Group that the others stand beside, by column; by default the one with the most rows.
    min_support
        Groups with fewer rows are named as not tested. So are rates of fewer than `FEWEST` rows.

    Returns
    -------
    Fairness
        Each group's rates with an interval at `level`; measures, with one that holds for all pairs of groups at once.

    Raises
    ------
    DataError
        A model of another task or without a threshold, an unknown column or reference, and as `mlpipe.core.bootstrap.interval`.
    """
    codes, count = numbered(blocks, len(scored.y), resamples, level)
    if scored.task != "binary" or len(frame) != len(scored.y):
        raise DataError(
            f"fairness of a {scored.task} model on {len(frame)} rows with {len(scored.y)} scores cannot be measured",
            fix="Measure fairness of a binary model, on the rows that it scored.",
        )
    labels = scored.labels
    parts = cuts(frame, list(dict.fromkeys(c for columns in by for c in columns)))
    columns, left = [], []
    for asked in dict.fromkeys(tuple(names) for names in by):
        name = ", ".join(asked)
        found = {", ".join(c.columns.values()): c.rows for c in cells([parts[c] for c in asked])}
        tested = {g: rows for g, rows in found.items() if len(rows) >= min_support}
        left += [
            Untested(name, f"{len(rows)} rows, fewer than {min_support}", g)
            for g, rows in found.items()
            if g not in tested
        ]
        if len(tested) < 2:
            left.append(Untested(name, f"fewer than two groups have {min_support} rows"))
            continue
        reference = _reference(name, references, tested)
        sums = _Sums(tested, scored.y, labels, codes, count, resamples, seed)
        column, unknown = _column(name, reference, sums, level)
        columns.append(column)
        left += unknown
    return Fairness(tuple(columns), tuple(left), level)


def _reference(column: str, references: Mapping[str, str] | None, tested: Mapping[str, Any]) -> str:
    asked = (references or {}).get(column)
    if asked is not None and asked not in tested:
        raise DataError(
            f"the reference group {asked!r} of '{column}' has too few rows, or none",
            fix=f"Groups with enough rows: {', '.join(sorted(tested))}.",
        )
    return asked or max(tested, key=lambda g: len(tested[g]))


class _Sums:
    """Rates of groups on all rows and in resamples, from sums by group and block."""

    def __init__(
        self,
        groups: Mapping[str, NDArray[np.int64]],
        y: NDArray[Any],
        labels: NDArray[np.int64],
        codes: NDArray[np.int64],
        count: int,
        resamples: int,
        seed: int,
    ) -> None:
        self.groups = {g: len(rows) for g, rows in groups.items()}
        self.blocks = np.array([len(np.unique(codes[rows])) for rows in groups.values()])
        self.y, self.labels = ([a[rows] for rows in groups.values()] for a in (y, labels))
        ones, positive, chosen = np.ones(len(y)), y == 1, labels == 1
        parts = (ones, positive, ~positive, chosen, positive & chosen, ~positive & chosen)
        sums = np.array(
            [
                np.bincount(codes[rows], weights=part[rows].astype(np.float64), minlength=count)
                for part in parts
                for rows in groups.values()
            ]
        )
        self.under, self.rates = self._rates(sums.sum(axis=1)[None])
        self.resampled = (
            self._rates(drawn([lambda w: w @ sums.T], count, resamples, seed)[0])[1] if count > 1 else None
        )

    def _rates(self, totals: Floats) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Rows that each rate is a share of, and the rates, each of shape (R, groups)."""
        rows, positive, negative, chosen, hits, false = np.moveaxis(
            totals.reshape(len(totals), 6, len(self.groups)), 1, 0
        )
        shares = ((chosen, rows), (hits, positive), (false, negative), (hits, chosen))
        under = {name: below for name, (_, below) in zip(RATES, shares, strict=True)}
        return under, {name: ratio(*share) for name, share in zip(RATES, shares, strict=True)}

    def error(self, values: Floats, of: Sequence[int], level: float) -> tuple[float, int]:
        """Standard error of a value in resamples, and how many blocks it stands on: those of the scarcest group."""
        blocks = int(self.blocks[list(of)].min())
        return (spread(values, level, blocks)[0] if blocks > 1 else math.nan), blocks


def _column(name: str, reference: str, sums: _Sums, level: float) -> tuple[Column, list[Untested]]:
    names = list(sums.groups)
    known = {rate: np.flatnonzero(sums.under[rate][0] >= FEWEST) for rate in RATES}
    left = [
        Untested(name, f"{int(sums.under[rate][0, g])} {RATES[rate][0]}, fewer than {FEWEST}", names[g], rate)
        for rate in RATES
        for g in range(len(names))
        if g not in known[rate]
    ]
    base = names.index(reference)
    groups = []
    for g, group in enumerate(names):
        rates = {r: _rate(sums, r, g, level) if g in known[r] else Bounded(math.nan) for r in RATES}
        beside = {r: sums.rates[r][0, base] if base in known[r] else math.nan for r in RATES}
        differences = {r: rates[r].value - beside[r] for r in RATES}
        ratios = {r: rates[r].value / beside[r] if beside[r] else math.nan for r in RATES}
        groups.append(Group(group, sums.groups[group], rates, differences, ratios))
    measures = {}
    for measure, of in MEASURES.items():
        both = [g for g in range(len(names)) if all(g in known[r] for r in of)]
        if len(both) < 2:
            left.append(Untested(name, "fewer than two groups have enough rows for it", measure=measure))
            continue
        measures[measure] = _measure(measure, sums, both, level)
    least = measures.get("demographic_parity_ratio")
    holds = None if least is None or math.isnan(least.value) else least.value >= FOUR_FIFTHS
    return Column(name, reference, tuple(groups), measures, holds), left


def _rate(sums: _Sums, rate: str, group: int, level: float) -> Bounded:
    value = float(sums.rates[rate][0, group])
    if sums.resampled is None:
        return Bounded(value)
    error, blocks = sums.error(sums.resampled[rate][:, group], [group], level)
    side = _quantile((1 + level) / 2, blocks) * error
    return Bounded(value, max(0.0, value - side), min(1.0, value + side))


def _quantile(at: float, blocks: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(blocks - 1, at)) if blocks > 1 else math.nan


def _measure(measure: str, sums: _Sums, groups: Sequence[int], level: float) -> Bounded:
    """Value by fairlearn, and the interval of all pairs of groups at once."""
    value = _value(measure, sums, groups)
    if sums.resampled is None:
        return Bounded(value)
    least = measure.endswith("_ratio")
    pairs = [
        (rate, a, b)
        for rate in MEASURES[measure]
        for a in groups
        for b in groups
        if (a != b if least else a < b)
    ]
    # Of a pair one ratio is the other's inverse: both ends of one are enough.
    tests = len(pairs) // 2 if least else len(pairs)
    lows, highs = [], []
    for rate, a, b in pairs:
        here, there = (sums.rates[rate][0, g] for g in (a, b))
        one, other = (sums.resampled[rate][:, g] for g in (a, b))
        gap = float(here / there) if least and there else float(here - there) if not least else math.nan
        error, blocks = sums.error(ratio(one, other) if least else one - other, [a, b], level)
        side = _quantile(1 - (1 - level) / (2 * tests), blocks) * error
        lows.append(gap - side if least else abs(gap) - side)
        highs.append(gap + side if least else abs(gap) + side)
    if np.isnan(lows).any():
        return Bounded(value)
    pick = min if least else max
    return Bounded(value, max(0.0, pick(lows)), min(1.0, pick(highs)))


def _value(measure: str, sums: _Sums, groups: Sequence[int]) -> float:
    # fairlearn takes a second to import.
    from fairlearn import metrics as fair
    from sklearn.metrics import precision_score

    y, labels = (np.concatenate([a[g] for g in groups]) for a in (sums.y, sums.labels))
    of = np.repeat(groups, [len(sums.y[g]) for g in groups])
    if measure == "predictive_parity_difference":
        return float(
            fair.MetricFrame(
                metrics=precision_score, y_true=y, y_pred=labels, sensitive_features=of
            ).difference()
        )
    return float(getattr(fair, measure)(y, labels, sensitive_features=of))
