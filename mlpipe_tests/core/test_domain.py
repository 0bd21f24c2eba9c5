"""The domain classifier: sees what columns alone do not show, names what tells, and is quiet where nothing changed."""

import numpy as np
import pandas as pd
import pytest

from mlpipe.core.domain import tell_apart
from mlpipe.core.drift import compare
from mlpipe.core.grid import build
from mlpipe.core.profile import profile
from mlpipe.errors import DataError


def rows(seed: int, correlation: float = 0.0, n: int = 1_500) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, noise = rng.normal(size=(2, n))
    b = correlation * a + np.sqrt(1 - correlation**2) * noise
    return pd.DataFrame({"a": a, "b": b, "idle": rng.normal(size=n), "c": rng.choice(list("xyz"), n)})


def test_a_changed_correlation_is_seen_although_no_column_moved() -> None:
    then, now = rows(0), rows(1, 0.9)
    grid = build(then)
    assert {d.band for d in compare(grid, profile(then, grid), profile(now, grid)).values()} == {"stable"}
    found = tell_apart(then, now, resamples=100, seed=0)
    assert found.drifts and found.auc > 0.7 and found.interval.low < found.auc < found.interval.high
    assert {i.feature for i in found.columns[:2]} == {"a", "b"} and found.columns[1].low > 0.02
    assert abs(found.columns[-1].mean) < 0.02
    assert tell_apart(then, now, resamples=100, seed=0) == found


def test_the_same_is_not_told_apart() -> None:
    found = [
        tell_apart(rows(s, n=400), rows(s + 100, n=400), repeats=1, resamples=100, seed=s) for s in range(6)
    ]
    assert sum(f.drifts for f in found) <= 1 and all(abs(f.auc - 0.5) < 0.08 for f in found)


def test_a_new_category_and_nulls_tell() -> None:
    then, now = rows(2, n=600), rows(3, n=600)
    now.loc[::3, "c"] = "new"
    assert tell_apart(then, now, repeats=1, resamples=50, seed=0).columns[0].feature == "c"
    gone = rows(3, n=600).assign(c=None)
    assert tell_apart(then, gone, repeats=1, resamples=50, seed=0).auc == pytest.approx(1.0)


def test_blocks_are_never_learned_from_and_judged_on() -> None:
    # Each day has a level of its own, and days of both sides are alike: by rows they seem apart, by days they are not.
    rng = np.random.default_rng(4)
    days = np.repeat(np.arange(12), 80)
    levels = rng.normal(size=24)
    sides = [pd.DataFrame({"x": levels[days + 12 * k] + rng.normal(0, 0.01, days.size)}) for k in (0, 1)]
    by_rows = tell_apart(*sides, repeats=1, resamples=50, seed=0)
    by_days = tell_apart(*sides, blocks=(days, days), repeats=1, resamples=50, seed=0)
    assert by_rows.auc > 0.95 and by_rows.drifts
    assert by_days.auc < 0.8 and not by_days.drifts and by_days.interval.blocks == 24


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match="different columns: idle"):
        tell_apart(rows(0), rows(1).drop(columns="idle"), seed=0)
    with pytest.raises(DataError, match="column 'c'"):
        tell_apart(rows(0), rows(1).assign(c=1.0), seed=0)
    with pytest.raises(DataError, match="has 2 blocks"):
        tell_apart(rows(0, n=4), rows(1, n=2), seed=0)
    with pytest.raises(DataError, match="do not fit"):
        tell_apart(rows(0, n=4), rows(1, n=4), blocks=([1], [1, 2, 3, 4]), seed=0)


def test_notes_that_only_one_row_has_do_not_tell_the_window() -> None:
    # By their order in the alphabet, numbers that run on would tell every window from what came before.
    rng = np.random.default_rng(7)

    def notes(first: int) -> pd.DataFrame:
        return pd.DataFrame({"note": [f"{first + i:06d}{'x' * int(rng.integers(9))}" for i in range(400)]})

    found = tell_apart(notes(0), notes(400), blocks=(np.arange(400) // 40, np.arange(400) // 40), seed=0)
    assert not found.drifts and abs(found.auc - 0.5) < 0.1
