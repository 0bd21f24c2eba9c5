"""Drift on slices: by hand, that days add up, and that nothing is found where nothing moved."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from mlpipe.core import alarming
from mlpipe.core.alarming import Reading
from mlpipe.core.drift import psi
from mlpipe.core.grid import ColumnGrid, build
from mlpipe.core.slice_drift import profiles, readings, slice_drift, together
from mlpipe.core.slicing import OTHER, cut, cut_as

CLASSES = ColumnGrid("categorical", categories=("0", "1"))


def test_other_rows_are_cut_as_the_reference_was() -> None:
    then = cut(pd.Series(range(1, 101), dtype="float64"), "n")
    assert then.ends == (25.0, 50.0, 75.0)
    now = cut_as(pd.Series([25.0, 25.1, 1e9, -5.0, np.nan]), then)
    assert [now.labels[c] for c in now.codes] == ["<= 25", "(25, 50]", "> 75", "<= 25", OTHER]
    cities = cut(pd.Series(["Ulm", "Bonn", None]), "city")
    again = cut_as(pd.Series(["Bonn", "Jena", None]), cities)
    assert [again.labels[c] for c in again.codes] == ["Bonn", OTHER, "null"]
    floats = cut_as(pd.Series([2.0, np.nan, 1.0]), cut(pd.Series([1, 2]), "k"))
    assert [floats.labels[c] for c in floats.codes] == ["2", OTHER, "1"]


def test_by_hand() -> None:
    frame = pd.DataFrame({"city": ["Ulm"] * 4 + ["Bonn"] * 4})
    cuts = [[cut(frame["city"], "city")]]
    then = profiles(frame, cuts, CLASSES, np.array([0.0, 0, 1, 1, 0, 1, 1, 1]))
    now = profiles(frame, cuts, CLASSES, np.array([0.0, 0, 0, 1, 0, 1, 1, 1]))
    moved, same = slice_drift(CLASSES, then, now, min_support=2)
    assert (moved.slice, moved.rows, moved.psi) == ("city=Ulm", 4, pytest.approx(psi([2, 2], [3, 1])))
    assert moved.chance == 1 * (1 / 4 + 1 / 4)
    told = readings([moved, same])
    assert told["city=Ulm"] == Reading(0.0, moved.p), "what moved by one row of four is chance"
    sure = replace(moved, psi=0.75, p=0.05)
    assert readings([sure]) == {"city=Ulm": Reading(0.25, 0.05)}
    assert readings([replace(sure, p=0.051)])["city=Ulm"].effect == 0.0
    assert (same.slice, same.psi, same.p) == ("city=Bonn", 0.0, 1.0)
    assert slice_drift(CLASSES, then, now, min_support=5) == ()


days = st.lists(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1)), max_size=9), min_size=1, max_size=4
)


@given(days)
@settings(max_examples=30, deadline=None)
def test_days_add_up(parts: list[list[tuple[str, int]]]) -> None:
    cuts = [[cut(pd.Series(["a", "b"]), "c")]]

    def of(rows: list[tuple[str, int]]) -> tuple[pd.DataFrame, np.ndarray]:
        return pd.DataFrame(rows, columns=["c", "y"]), np.array([float(y) for _, y in rows])

    frames = [of(part) for part in parts]
    whole = of([row for part in parts for row in part])
    one = together([profiles(f, cuts, CLASSES, y) for f, y in frames])
    other = profiles(whole[0], cuts, CLASSES, whole[1])
    assert {n: c.counts.tolist() for n, c in one.columns.items()} == {
        n: c.counts.tolist() for n, c in other.columns.items()
    }
    assert all((c.rows, c.nulls) == (c.counts.sum(), 0) for c in one.columns.values())


def test_one_slice_moves_and_the_others_do_not() -> None:
    rng = np.random.default_rng(3)

    def rows(n: int) -> pd.DataFrame:
        return pd.DataFrame({"city": rng.choice(list("abcde"), n), "score": rng.uniform(size=n)})

    then, now = rows(4_000), rows(2_000)
    now["score"] = np.where(now["city"] == "c", now["score"] ** 3, now["score"])
    cuts = [[cut(then["city"], "city")]]
    grid = build(then[["score"]]).columns["score"]
    before, after = (profiles(f, cuts, grid, f["score"].to_numpy()) for f in (then, now))
    drifts = slice_drift(grid, before, after, min_support=50)
    assert drifts[0].slice == "city=c" and drifts[0].psi > 0.25 and drifts[0].p_adjusted < 1e-6
    assert all(d.psi < 0.1 and d.p_adjusted > 0.05 for d in drifts[1:])
    c = [f.loc[f["city"] == "c", "score"] for f in (then, now)]
    assert drifts[0].p <= 2 * ks_2samp(*c).pvalue + 1e-12


def test_small_slices_of_quiet_days_are_hardly_ever_over() -> None:
    # 6 slices of 50 rows beside 400: their PSI is 0.21 on average without any drift.
    rng, over = np.random.default_rng(0), 0
    grid = build(pd.DataFrame({"score": np.linspace(0, 1, 1025)})).columns["score"]
    for _ in range(60):
        then, now = (
            pd.DataFrame({"c": np.repeat(list("abcdef"), n), "score": rng.beta(0.5, 2, 6 * n)})
            for n in (400, 50)
        )
        cuts = [[cut(then["c"], "c")]]
        before, after = (profiles(f, cuts, grid, f["score"].to_numpy()) for f in (then, now))
        over += len(alarming.over(readings(slice_drift(grid, before, after, min_support=50)), {}, 0.01))
    assert over <= 1
