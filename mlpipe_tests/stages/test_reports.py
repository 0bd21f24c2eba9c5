"""Rows for Evidently's report by provenance, and the report itself where Evidently is installed."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.index.shelf import open_shelf
from mlpipe.records.codec import from_bytes, sealed
from mlpipe.records.record import Record
from mlpipe.stages import reports
from mlpipe.stages.reports import Sides, empty, html, moderate, sides
from mlpipe.stores.store import Store
from mlpipe_tests.views.story import story

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def monitor() -> Record:
    with open_shelf(story().store) as shelf:
        return shelf.latest("churn/monitor")


@pytest.fixture(scope="module")
def store() -> Store:
    return Store.open(story().store)


def test_the_sides_are_the_window_and_what_the_champion_learned_from(store: Store, monitor: Record) -> None:
    made = sides(store, monitor)
    (champion,) = [i for i in monitor.inputs if i.name == "champion"]
    model = from_bytes(store.get_record("churn", champion.record))
    for frame, rows, record in (
        (made.reference, made.reference_rows, model),
        (made.current, made.current_rows, monitor),
    ):
        tables = [store.get_table(i.id) for i in record.inputs if i.name == "features"]
        assert len(frame) == rows == sum(map(len, tables))
        assert list(frame) == ["hours", "plays", "city"]
        assert sorted(frame["hours"]) == sorted(pd.concat(tables)["hours"])


def test_a_sample_takes_its_share_of_each_partition_and_comes_again(store: Store, monitor: Record) -> None:
    made, again, other = (sides(store, monitor, 100, seed) for seed in (0, 0, 1))
    days = sum(i.name == "features" for i in monitor.inputs)
    assert 100 <= len(made.current) < 100 + days and made.current_rows == 180
    pd.testing.assert_frame_equal(made.reference, again.reference)
    assert not made.reference.equals(other.reference)


def test_a_day_on_which_nothing_was_compared_is_told(store: Store, monitor: Record) -> None:
    bare = sealed(monitor.model_copy(update={"inputs": (), "verdict": "no_champion", "id": ""}))
    with pytest.raises(NotFoundError, match="nothing was compared: the verdict is 'no_champion'"):
        sides(store, bare)


@pytest.mark.parametrize(
    ("verdict", "worst", "expected"),
    [("stable", 0.0999, False), ("stable", 0.1, True), ("drift", None, True), ("stable", None, False)],
)
def test_drift_is_moderate_from_a_tenth_on(
    monitor: Record, verdict: str, worst: float | None, expected: bool
) -> None:
    data = {"head": {"worst_psi": worst}}
    assert moderate(monitor.model_copy(update={"verdict": verdict, "data": data})) is expected


def test_without_evidently_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "find_spec", lambda name: None)
    with pytest.raises(MlpipeError, match="Evidently is not installed") as caught:
        html(rows(10))
    assert "pip install 'mlpipe[evidently]'" in caught.value.fix


def rows(n: int, moved: float = 0.0) -> Sides:
    """Odd columns on both sides; the current one moved, and one of its columns went null."""
    rng = np.random.default_rng(n)

    def side(move: float) -> pd.DataFrame:
        return pd.DataFrame(
            {
                EVIL: rng.normal(move, 1, n),
                "city": rng.choice([EVIL, "b", None], n),
                "flag": rng.random(n) < 0.5,
                "when": pd.date_range("2024-01-01", periods=n),
                "gone": rng.random(n) if move == 0 else None,
            }
        )

    return Sides(side(0), side(moved or 1.0), n, n)


def test_a_column_without_values_is_named() -> None:
    assert empty(rows(10)) == ["gone"]


def test_evidently_makes_a_page_that_stays_a_page() -> None:
    if find_spec("evidently") is None:
        pytest.skip("NO EVIDENTLY: its report is not made; pip install 'mlpipe[evidently]'")
    page = html(rows(200))
    assert EVIL not in page and "alert(1)" in page
    assert (
        page.lstrip().lower().startswith(("<!doctype html", "<html"))
        and "city" in page
        and '"gone"' not in page
    )
    nothing = Sides(rows(9).reference[["gone"]], rows(9).current[["gone"]], 9, 9)
    with pytest.raises(MlpipeError, match="no column that has values on both sides"):
        html(nothing)
