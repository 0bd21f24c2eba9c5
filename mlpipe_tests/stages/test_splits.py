"""Rows without partitions are cut by group, by stratum or by chance; copies stay together. Windows: see `test_train`."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlpipe as ml
from mlpipe.errors import DataError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.dataset import LABEL, Dataset
from mlpipe.stages.frames import ROW, TIME
from mlpipe.stages.splits import PARTS, parts, strata_of
from mlpipe_tests.stages.pipelines import spec_of

SEEDS = st.integers(0, 2**31 - 1)


def whole(seed: int = 0, **split: Any) -> PipelineSpec:
    source = ml.Parquet("all.parquet", keys=["user"])
    return spec_of(
        Path(), partitions=ml.unpartitioned(), source=source, split=ml.Split(**split), seed=seed, window=None
    )


def dataset(**columns: Any) -> Dataset:
    rows = pd.DataFrame(columns)
    rows = rows.assign(**{ROW: np.arange(len(rows)), TIME: pd.Timestamp("2024-01-01", tz="UTC")})
    names = tuple(c for c in columns if c not in (LABEL, "user"))
    return Dataset(rows, names, LABEL, (), (), {})


def part_of(spec: PipelineSpec, data: Dataset) -> np.ndarray:
    """Number of the part of each row; every row is in one."""
    masks = parts(spec, ["all"], data).masks
    assert (np.sum([masks[p] for p in PARTS], axis=0) == 1).all()
    return np.argmax([masks[p] for p in PARTS], axis=0)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(3, 60))
def test_no_group_straddles_and_shares_are_about_right(seed: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40 * groups
    data = dataset(user=rng.integers(0, groups, n), size=rng.normal(size=n), _label=rng.integers(0, 2, n))
    found = part_of(whole(seed, kind="grouped", by="user"), data)
    by = pd.Series(found).groupby(data.rows["user"].to_numpy())
    assert (by.nunique() == 1).all() and set(found) == {0, 1, 2}
    largest = data.rows["user"].value_counts(normalize=True).max()
    for number in (1, 2):
        assert (found == number).mean() <= 0.15 + largest + 1e-9
    if groups >= 20:
        assert (found == 2).mean() >= 0.15


def test_large_groups_judge_as_often_as_small_ones() -> None:
    large = 0
    for seed in range(60):
        data = dataset(
            user=np.repeat(np.arange(20), [20, 2] * 10), size=np.arange(220.0), _label=np.arange(220) % 2
        )
        judging = data.rows["user"][part_of(whole(seed, kind="grouped", by="user"), data) == 2].unique()
        large += np.mean(judging % 2 == 0)
    # A little more often: the group with which the share is reached is sooner a large one.
    assert 26 < large < 42


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_strata_have_the_same_shares_everywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.choice(3, 900, p=[0.7, 0.25, 0.05])
    data = dataset(user=np.arange(900), size=rng.normal(size=900), _label=label)
    found = part_of(whole(seed, kind="stratified"), data)
    for stratum in range(3):
        rows = found[label == stratum]
        for number, share in enumerate((0.7, 0.15, 0.15)):
            assert abs((rows == number).sum() - share * len(rows)) <= 1


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from(["temporal", "stratified", "grouped"]))
def test_copies_stay_together(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    size = np.where(rng.random(500) < 0.2, rng.integers(0, 40, 500), rng.normal(size=500))
    data = dataset(user=np.arange(500), size=size, _label=(size > 0).astype(int))
    spec = whole(seed, kind=kind, **({"by": "user"} if kind == "grouped" else {}))
    by = pd.Series(part_of(spec, data)).groupby(size)
    assert (by.nunique() == 1).all() and by.size().max() > 1


def test_where_most_rows_are_copies_they_are_split_as_they_come() -> None:
    data = dataset(user=np.arange(300), size=np.arange(300) % 5, _label=np.arange(300) % 5 % 2)
    found = part_of(whole(), data)
    assert (pd.Series(found).groupby(data.rows["size"].to_numpy()).nunique() == 3).all()


def test_too_few_groups_and_an_unknown_column_say_so() -> None:
    data = dataset(user=[1, 1, 2, 2], size=[1.0, 2.0, 3.0, 4.0], _label=[0, 1, 0, 1])
    with pytest.raises(DataError, match="2 groups cannot be split into train, valid, test"):
        parts(whole(kind="grouped", by="user"), ["all"], data)
    spec = whole(kind="grouped", by="city")
    with pytest.raises(DataError, match="no column 'city' among keys and features") as error:
        parts(spec, ["all"], data)
    assert error.value.where == "pipeline churn, split.by"


def test_many_numbers_are_stratified_in_bins_and_few_as_they_are() -> None:
    assert strata_of(np.arange(1000.0)).tolist() == np.repeat(np.arange(10), 100).tolist()
    assert strata_of(np.arange(20)).tolist() == list(range(20))
    some = np.append(np.arange(99.0), np.nan)
    assert strata_of(some)[-1] == -1
    assert strata_of(np.array(["b", "a"], dtype=object)).tolist() == ["b", "a"]
