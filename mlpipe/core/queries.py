"""Metrics of ranked lists: the rows of one query, customer or session form a list, and lists are averaged.

A list is judged once, and row weights weigh whole lists: the weight of a list is the mean weight of its rows. So resamples need no
sorting, and they mean something only when blocks hold whole lists. Lists without a relevant row cannot be ranked well or badly; they are
left out of the mean, and where no list is left the metric is nan. (scikit-learn's ndcg_score counts such lists as 0.)

References
----------
.. [1] Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM Transactions on Information Systems 20(4), 2002
   (DCG with gain / log2(1 + rank)).
.. [2] McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008
   (rows of equal score share the mean of their gains).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipe.core.formulas import Additive, mean, ratio
from mlpipe.core.scored import Floats, Scored
from mlpipe.errors import DataError

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lists:
    """Rows by list and falling score.

    Attributes
    ----------
    order, code
        Shape (n,): places of the rows in the data, and the list 0..q-1 of each.
    gain
        Shape (n,): relevance, >= 0.
    rank
        Shape (n,): from 1, within the list.
    tie, last
        Shape (n,): number of the group of equal scores, and the rank of its last row.
    size
        Shape (q,): rows of each list.
    """

    order: Places
    code: Places
    gain: Floats
    rank: Places
    tie: Places
    last: Places
    size: Places


def _lists(s: Scored) -> Lists:
    if s.groups is None:
        raise DataError(
            "a metric of ranked lists needs to know which rows form a list",
            fix="Name the column of the query, customer or session that is ranked for.",
        )
    if len(s.y) and s.y.min() < 0:
        raise DataError(f"a relevance of {s.y.min():g} is below zero", fix="Give gains of at least zero.")
    order = np.lexsort((-s.score, s.groups)).astype(np.int64)
    code, score = s.groups[order], s.score[order]
    size = np.bincount(code)
    rank = np.arange(len(order)) - (np.cumsum(size) - size)[code] + 1
    new = np.append(True, (np.diff(code) != 0) | (np.diff(score) != 0))
    tie = np.cumsum(new) - 1
    last = rank[np.append(np.flatnonzero(new)[1:], len(order)) - 1][tie]
    return Lists(order, code, s.y[order].astype(np.float64), rank, tie, last, size)


def _averaged(of_lists: Callable[[Lists], Floats]) -> Additive:
    """Mean over lists of a value that is nan where a list has none."""

    def columns(s: Scored) -> Iterator[NDArray[Any]]:
        lists = _lists(s)
        values = of_lists(lists)
        for of_list in (np.nan_to_num(values), ~np.isnan(values)):
            column = np.empty(len(s.y))
            column[lists.order] = (of_list / lists.size)[lists.code]
            yield column

    return Additive(columns, mean)


def _share(over: NDArray[Any], under: NDArray[Any]) -> Floats:
    return ratio(over.astype(np.float64), under.astype(np.float64))


def _discount(rank: Places, k: float) -> Floats:
    return np.where(rank <= k, 1 / np.log2(1 + rank), 0.0)


def ndcg(k: float = np.inf) -> Additive:
    """Discounted gain of the first k rows over that of the best order; rows of equal score share their mean gain [2]_."""

    def of_lists(lists: Lists) -> Floats:
        shared = _share(np.bincount(lists.tie, lists.gain), np.bincount(lists.tie))
        discount = _discount(lists.rank, k)
        best = lists.gain[np.lexsort((-lists.gain, lists.code))]
        reached, possible = (np.bincount(lists.code, g * discount) for g in (shared[lists.tie], best))
        return _share(reached, possible)

    return _averaged(of_lists)


def _average_precision(lists: Lists) -> Floats:
    relevant = (lists.gain > 0).astype(np.float64)
    upto = np.cumsum(relevant)
    above = (np.cumsum(np.bincount(lists.code, relevant)) - np.bincount(lists.code, relevant))[lists.code]
    first = np.arange(len(lists.rank)) - lists.rank + 1
    hits = upto[first + lists.last - 1] - above
    return _share(
        np.bincount(lists.code, relevant * hits / lists.last, minlength=len(lists.size)),
        np.bincount(lists.code, relevant, minlength=len(lists.size)),
    )


def _first_relevant(lists: Lists) -> Floats:
    """Rank of the first relevant row of each list, the last of its tie; nan without one."""
    first = np.full(len(lists.size), np.inf)
    np.minimum.at(first, lists.code, np.where(lists.gain > 0, lists.last, np.inf))
    return np.where(np.isfinite(first), first, np.nan)


def hit(k: float) -> Additive:
    """Share of lists with a relevant row among the first k; in a tie the relevant row comes last."""

    def of_lists(lists: Lists) -> Floats:
        first = _first_relevant(lists)
        return np.where(np.isnan(first), np.nan, first <= k)

    return _averaged(of_lists)


MAP = _averaged(_average_precision)
MRR = _averaged(lambda lists: 1 / _first_relevant(lists))
