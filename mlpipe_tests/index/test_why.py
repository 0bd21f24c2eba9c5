"""Why a prediction: where its features lie, by hand; and a prediction of the story from its id alone."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import NotFoundError
from mlpipe.index.shelf import open_shelf
from mlpipe.index.why import place, why
from mlpipe_tests.stages.pipelines import day
from mlpipe_tests.views.story import story

KNOWN = pd.Series([1.0, 2.0, 2.0, 3.0, None])


@pytest.mark.parametrize(
    ("value", "share", "told"),
    [
        (2.0, 0.5, ""),
        (1.0, 0.125, ""),
        (9.0, 1.0, "larger than all that it learned from"),
        (-1, 0.0, "smaller than all that it learned from"),
        (None, 0.2, "no value"),
    ],
)
def test_a_number_lies_at_a_quantile(value: Any, share: float, told: str) -> None:
    found = place("x", value, KNOWN)
    assert (found.share, found.told) == (share, told)
    assert value is None or (found.low, found.middle, found.high) == (1.0, 2.0, 3.0)


def test_a_category_has_a_share_of_all_rows() -> None:
    known = pd.Series(["Ulm", "Ulm", "Bonn", None])
    assert place("city", "Ulm", known).share == 0.5
    assert place("city", "Rom", known).told == "it learned from no such value"
    assert place("flag", True, pd.Series([True, False, True, True])).share == 0.75


def test_nothing_known_and_nothing_given() -> None:
    assert place("x", 1.0, pd.Series([None, None], dtype="object")).told == "it learned from no value of this"
    assert place("x", None, pd.Series([1.0])).told == "no value; all that it learned from had one"
    assert place("x", np.float64(2.0), KNOWN).value == 2.0


def test_a_prediction_is_explained_from_its_id() -> None:
    with open_shelf(story().store) as shelf:
        record = shelf.newest("churn/predictions", day(45))
        row = shelf.store.get_table(record.output("predictions").id).iloc[3]
        found = why(shelf, row["prediction_id"])
        held = shelf.store.get_table(shelf.newest("churn/features", day(45)).output("features").id)
        learned = pd.concat(shelf.store.get_table(i.id) for i in found.model.inputs if i.name == "features")
    assert found.version == "churn@2" and found.record.id == record.id and found.row["score"] == row["score"]
    placed = {p.name: p for p in found.features}
    assert set(placed) == {"hours", "plays", "city", "promo"}
    mine = held[held["_row"] == row["_row"]].iloc[0]
    for name in ("hours", "promo"):
        assert placed[name].value == mine[name]
        known = learned[name].dropna()
        assert placed[name].share == pytest.approx(
            ((known < mine[name]).mean() + (known <= mine[name]).mean()) / 2
        )
    assert (
        found.learned.spans["features"].rows == 1200 and len(found.origin.spans["features"].partitions) == 1
    )


def test_a_row_that_is_not_there_is_an_error() -> None:
    with open_shelf(story().store) as shelf:
        record = shelf.newest("churn/predictions", day(45))
        some = shelf.store.get_table(record.output("predictions").id)["prediction_id"].iloc[0]
        with pytest.raises(NotFoundError, match="have no row 999"):
            why(shelf, some.rpartition("-")[0] + "-999")
