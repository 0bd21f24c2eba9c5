"""How a model does on slices of the rows, beside the whole and beside the champion.

Resamples are drawn once and serve all slices. A slice gets a t interval as a comparison does (see `mlpipe.core.bootstrap`), with the
blocks in which it has rows. Against the champion the area under the ROC curve is looked at twice: over all pairs of rows, and over those of
one block (`mlpipe.core.within`), for what moves whole days hides what happens to a slice. The lesser of the two p-values counts, doubled.

The p-values of all slices are adjusted by Holm's method [1]_, so that of models that are nowhere worse at most ``1 - level`` have any slice
that `regresses`, however many slices are declared. Each declared set of columns has the same share of this, and within it each slice: many
carriers take nothing from three airports.

References
----------
.. [1] Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlpipe.core.bootstrap import drawn, minus, numbered, spread
from mlpipe.core.catalogue import Metric, resolve
from mlpipe.core.metrics import resampler
from mlpipe.core.scored import Floats, Scored
from mlpipe.core.slicing import Cell, cells, cuts
from mlpipe.core.within import FEWEST_BLOCKS, Within, p_worse, within
from mlpipe.errors import DataError

MIN_SUPPORT = 50
"""Slices with fewer rows are named, not judged."""
PAIRWISE = "roc_auc"
"""The metric of pairs of rows: it can be looked at within blocks."""
RESAMPLES = 400
"""The standard error is then known to some 4% of itself."""


@dataclass(frozen=True)
class Slice:
    """One slice of the judged rows; numbers are nan where they cannot be had.

    Attributes
    ----------
    slice, columns, rows, blocks
        Name, labels by column, and on how much it stands.
    value, low, high
        The metric on its rows, and the interval.
    gap, low_gap, high_gap
        Value of the slice less that of all rows, turned so that negative is worse. It is zero where the rest does as well.
    champion
        The champion's value on the rows that may be compared.
    difference, low_difference, upper_difference
        Challenger less champion on those rows, turned so that negative is worse, with its interval.
    within, low_within, upper_within
        The difference by pairs of rows of one block, with its interval: of the area under the ROC curve alone.
    p_pooled, p_within
        One-sided p-value of a challenger that is no worse on this slice, by either look.
    look
        By which of the two it looks worse: ``pooled`` or ``within``; empty where it is not tested.
    p_worse, p_adjusted
        The p-value by both looks together, alone and among all slices.
    regresses
        Whether it is worse than the champion, by ``p_adjusted < 1 - level``.
    """

    slice: str
    columns: Mapping[str, str]
    rows: int
    blocks: int
    value: float
    low: float
    high: float
    gap: float
    low_gap: float
    high_gap: float
    champion: float = math.nan
    difference: float = math.nan
    low_difference: float = math.nan
    upper_difference: float = math.nan
    within: float = math.nan
    low_within: float = math.nan
    upper_within: float = math.nan
    p_pooled: float = math.nan
    p_within: float = math.nan
    look: str = ""
    p_worse: float = math.nan
    p_adjusted: float = math.nan
    regresses: bool = False

    @property
    def told(self) -> float:
        """The difference by the look that tells more against the challenger."""
        return self.within if self.look == "within" else self.difference

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a number that cannot be had is None."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()
        }


@dataclass(frozen=True)
class Slices:
    """All slices of one metric, and those that are too small to be judged, as (name, rows)."""

    metric: str
    overall: float
    rows: int
    slices: tuple[Slice, ...]
    left_out: tuple[tuple[str, int], ...]
    min_support: int
    level: float

    def to_dict(self, most: int | None = None, alpha: float | None = None) -> dict[str, Any]:
        """Plain values; of at most `most` slices and of as many left out, when given: those that regress, then the worst, come first.

        With an `alpha` those count as regressing whose ``p_adjusted`` is below it.
        """
        limit = 1 - self.level if alpha is None else alpha
        kept = sorted(self.slices, key=lambda s: _by_worry(s, limit))[:most]
        return {
            "metric": self.metric,
            "overall": {"value": self.overall, "rows": self.rows},
            "slices": [s.to_dict() for s in kept],
            "more": len(self.slices) - len(kept),
            "regressing": sum(s.regresses for s in self.slices),
            "min_support": self.min_support,
            "level": self.level,
            "left_out": [{"slice": n, "rows": r} for n, r in self.left_out[:most]],
            "more_left_out": len(self.left_out[most:]) if most is not None else 0,
        }


def _by_worry(s: Slice, alpha: float) -> tuple[bool, float, float]:
    difference, gap = (math.inf if math.isnan(x) else x for x in (s.told, s.gap))
    return not s.p_adjusted < alpha, difference, gap


def sliced(
    frame: pd.DataFrame,
    by: Sequence[Sequence[str]],
    scored: Scored,
    name: str | Metric,
    blocks: ArrayLike,
    *,
    champion: Scored | None = None,
    compared: NDArray[np.bool_] | None = None,
    min_support: int = MIN_SUPPORT,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int,
) -> Slices:
    """Judge a model on slices.

    Parameters
    ----------
    frame
        n rows: the columns to slice by. Nulls are a slice of their own (see `mlpipe.core.slicing.cut`).
    by
        Sets of columns: one gives its values, several their intersections.
    scored
        The model on these rows.
    name
        The metric. Where it is undefined on a slice, so is the slice.
    blocks
        Shape (n,): the day or entity of each row.
    champion, compared
        The champion's scores of the rows that the mask `compared`, shape (n,), leaves; by default of all rows.
    min_support
        Fewest rows of a slice, at least 2; against the champion fewest rows that may be compared.

    Raises
    ------
    DataError
        An unknown column, scores that do not fit the rows, and as `mlpipe.core.bootstrap.interval`.
    """
    codes, count = numbered(blocks, len(scored.y), resamples, level)
    metric = resolve(name, scored.task)
    both = np.ones(len(scored.y), dtype=bool) if compared is None else np.asarray(compared, dtype=bool)
    if len(frame) != len(scored.y) or (champion is not None and int(both.sum()) != len(champion.y)):
        raise DataError(
            f"{len(frame)} rows to slice and {0 if champion is None else len(champion.y)} of the champion do not fit "
            f"{len(scored.y)} scored ones",
            fix="Give the frame, the scores and the mask of the same rows, in the same order.",
        )
    asked = list(dict.fromkeys(tuple(columns) for columns in by))
    parts = cuts(frame, list(dict.fromkeys(c for columns in asked for c in columns)))
    found = [cell for columns in asked for cell in cells([parts[c] for c in columns])]
    judged = [c for c in found if len(c.rows) >= max(min_support, 2)]
    makers = [resampler(part(scored, c.rows), metric, codes[c.rows], count) for c in judged]
    rivals = _rivals(scored, champion, both, judged, min_support)
    beside = [
        resampler(one, metric, codes[r.rows], count) for r in rivals.values() for one in (r.ours, r.theirs)
    ]
    makers += [resampler(scored, metric, codes, count), *beside]
    values = drawn(makers, count, resamples, seed) if count > 1 else [np.full(1, np.nan)] * len(makers)
    plain = [float(maker(np.ones((1, count)))[0]) for maker in makers]
    made, whole = [], len(judged)
    for i, cell in enumerate(judged):
        own = len(np.unique(codes[cell.rows]))
        made.append(_slice(cell, own, metric, (plain[i], plain[whole]), (values[i], values[whole]), level))
    for at, (place, rival) in enumerate(rivals.items()):
        i, blocks_of = whole + 1 + 2 * at, codes[rival.rows]
        own = len(np.unique(blocks_of))
        made[place] = _beside(made[place], own, metric, plain[i : i + 2], values[i : i + 2], level)
        if metric.name == PAIRWISE:
            made[place] = _looked_twice(made[place], within(rival.ours, rival.theirs, blocks_of, level))
    left = sorted(
        ((c.name, len(c.rows)) for c in found if len(c.rows) < max(min_support, 2)), key=lambda x: -x[1]
    )
    return Slices(
        metric.name, plain[whole], len(scored.y), _adjusted(made, level), tuple(left), min_support, level
    )


def part(scored: Scored, rows: NDArray[Any]) -> Scored:
    """Some of the rows, by place or mask."""
    groups = None if scored.groups is None else scored.groups[rows]
    return Scored(scored.y[rows], scored.score[rows], scored.threshold, scored.classes, groups)


class _Rivals(NamedTuple):
    """Rows of a slice that may be compared, and challenger and champion on them."""

    rows: NDArray[np.int64]
    ours: Scored
    theirs: Scored


def _rivals(
    scored: Scored,
    champion: Scored | None,
    both: NDArray[np.bool_],
    judged: Sequence[Cell],
    min_support: int,
) -> dict[int, _Rivals]:
    """Challenger and champion on each slice that has rows enough to compare them, by its place."""
    if champion is None:
        return {}
    place = np.cumsum(both) - 1
    found = {}
    for i, cell in enumerate(judged):
        rows = cell.rows[both[cell.rows]]
        if len(rows) >= max(min_support, 2):
            found[i] = _Rivals(rows, part(scored, rows), part(champion, place[rows]))
    return found


def _bounds(value: float, values: Floats, blocks: int, level: float) -> tuple[float, float, float]:
    """Ends of the t interval, and the standard error."""
    if blocks < 2:
        return math.nan, math.nan, math.nan
    from scipy.special import stdtrit

    error, _ = spread(values, level, blocks)
    side = float(stdtrit(blocks - 1, (1 + level) / 2)) * error
    return value - side, value + side, error


def _slice(
    cell: Cell,
    blocks: int,
    metric: Metric,
    plain: tuple[float, float],
    values: tuple[Floats, Floats],
    level: float,
) -> Slice:
    low, high, _ = _bounds(plain[0], values[0], blocks, level)
    gap = float(metric.sign * minus(np.array(plain[:1]), np.array(plain[1:]))[0])
    low_gap, high_gap, _ = _bounds(gap, metric.sign * minus(*values), blocks, level)
    return Slice(cell.name, cell.columns, len(cell.rows), blocks, plain[0], low, high, gap, low_gap, high_gap)


def _beside(
    made: Slice, blocks: int, metric: Metric, plain: Sequence[float], values: Sequence[Floats], level: float
) -> Slice:
    difference = float(metric.sign * minus(np.array(plain[:1]), np.array(plain[1:]))[0])
    low, high, error = _bounds(difference, metric.sign * minus(values[0], values[1]), blocks, level)
    made = replace(made, champion=plain[1], difference=difference, low_difference=low, upper_difference=high)
    if blocks < FEWEST_BLOCKS or not math.isfinite(error):
        return made
    p = p_worse(difference, error, blocks - 1)
    return replace(made, p_pooled=p, look="pooled", p_worse=p)


def _looked_twice(made: Slice, found: Within | None) -> Slice:
    """With the look within blocks: of two p-values the lesser counts, doubled (Bonferroni); of one, that one."""
    if found is None:
        return made
    looks = {n: p for n, p in (("pooled", made.p_pooled), ("within", found.p_worse)) if not math.isnan(p)}
    look = min(looks, key=lambda n: looks[n])
    return replace(
        made,
        within=found.difference,
        low_within=found.low,
        upper_within=found.high,
        p_within=found.p_worse,
        look=look,
        p_worse=min(1.0, len(looks) * looks[look]),
    )


def _adjusted(made: Sequence[Slice], level: float) -> tuple[Slice, ...]:
    """With p-values adjusted by Holm's weighted method over the slices that have one; each set of columns has the same weight."""
    tested = [i for i, s in enumerate(made) if not math.isnan(s.p_worse)]
    sizes = Counter(tuple(made[i].columns) for i in tested)
    weight = {i: 1 / (len(sizes) * sizes[tuple(made[i].columns)]) for i in tested}
    out, highest, left = list(made), 0.0, 1.0
    for i in sorted(tested, key=lambda i: made[i].p_worse / weight[i]):
        highest = max(highest, min(1.0, left / weight[i] * made[i].p_worse))
        left -= weight[i]
        out[i] = replace(made[i], p_adjusted=highest, regresses=highest < 1 - level)
    return tuple(out)
