"""Splits by kind, as they are declared: every mistake with its key and what to do."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mlpipe as ml
from mlpipe.errors import SpecError
from mlpipe.spec.modeling import FOLDS, Split
from mlpipe_tests.stages.pipelines import spec_of


def test_a_split_in_time_makes_no_folds_and_stands_in_recipes_as_before_there_were_kinds() -> None:
    assert Split().count == 0 and Split(valid="1d").to_plain() == {
        "valid": "1d",
        "test": None,
        "embargo": "0s",
    }
    grouped = Split(kind="grouped", by="user")
    assert grouped.count == FOLDS and Split(kind="purged", folds=7).count == 7
    assert grouped.to_plain()["by"] == "user"


@pytest.mark.parametrize(
    ("split", "key", "text"),
    [
        ({"kind": "random"}, "split.kind", "unknown value 'random'. Valid: temporal, expanding"),
        (
            {"folds": 3},
            "split.folds",
            "a split of kind temporal has no 'folds'; it goes with expanding, rolling, ",
        ),
        (
            {"kind": "purged", "by": "user"},
            "split.by",
            "a split of kind purged has no 'by'; it goes with grouped, stratified",
        ),
        (
            {"kind": "expanding", "train": "3d"},
            "split.train",
            "a split of kind expanding has no 'train'; it goes with rolling",
        ),
        (
            {"kind": "grouped"},
            "split.by",
            "a grouped split needs 'by': the key or feature whose values stay together",
        ),
        (
            {"kind": "grouped", "by": "usr"},
            "split.by",
            "'usr' is neither a key nor a feature. Did you mean 'user'?",
        ),
        (
            {"kind": "stratified", "by": "churned"},
            "split.by",
            "'churned' is the label or one of its outcomes; leave 'by' out",
        ),
        (
            {"kind": "grouped", "by": "reason"},
            "split.by",
            "'reason' is the label or one of its outcomes; name a key",
        ),
        ({"kind": "stratified", "folds": 1}, "split.folds", "must be greater than or equal to 2, got 1"),
        ({"kind": "rolling", "train": "0d"}, "split.train", "a fold cannot learn from no time at all"),
        (
            {"kind": "expanding", "folds": 16, "test": "4d"},
            "split",
            "16 folds that test a partition (day) each, after 1d to learn from and 0s of embargo, do not fit into the 16d",
        ),
        (
            {"kind": "rolling", "train": "12d", "test": "4d", "folds": 5},
            "split",
            "5 folds that test a partition (day) each, after 12d to learn from and 0s of embargo, do not fit into the 16d",
        ),
    ],
)
def test_mistakes(split: dict[str, Any], key: str, text: str) -> None:
    with pytest.raises(SpecError) as error:
        spec_of(Path(), split=split)
    found = {(f.where.rpartition("key ")[2], f.what) for f in error.value.findings}
    assert any(where == key and what.startswith(text) for where, what in found), found


def test_folds_that_just_fit() -> None:
    assert spec_of(Path(), split={"kind": "expanding", "folds": 15, "test": "4d"}).split.count == 15
    rolling = spec_of(Path(), split={"kind": "rolling", "train": "12d", "test": "4d", "folds": 4}).split
    assert rolling.train == timedelta(days=12)


def test_folds_in_time_need_times() -> None:
    source = ml.Parquet("all.parquet", keys=["user"])
    given: dict[str, Any] = {"partitions": ml.unpartitioned(), "source": source, "window": None}
    with pytest.raises(SpecError) as error:
        spec_of(Path(), split={"kind": "purged"}, **given)
    assert "a purged split needs times: 'event_time' of the primary source, or 'prediction_time'" in str(
        error.value
    )
    assert spec_of(Path(), split={"kind": "stratified"}, **given).split.count == FOLDS


def test_columns_that_a_function_makes_show_only_later() -> None:
    assert (
        spec_of(Path(), split={"kind": "grouped", "by": "town"}, features=lambda frames: frames).split.by
        == "town"
    )


def test_whole_groups_are_resampled_together_unless_it_is_said_otherwise() -> None:
    source = ml.Parquet("all.parquet", keys=["user"])
    whole: dict[str, Any] = {"partitions": ml.unpartitioned(), "source": source, "window": None}
    grouped = {"kind": "grouped", "by": "user"}
    assert spec_of(Path(), split=grouped, **whole).clustered_by == "user"
    assert spec_of(Path(), split=grouped, blocks="city", **whole).clustered_by == "city"
    assert spec_of(Path(), split={"kind": "stratified"}, **whole).clustered_by is None
    # Where there are days, days are.
    assert spec_of(Path(), split=grouped).clustered_by is None
