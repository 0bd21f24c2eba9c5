import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import mlpipe as ml
from mlpipe.errors import SourceError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.extent import extent, without_strays

NOW = datetime(2024, 6, 1, tzinfo=UTC)
TIMES = ["2024-02-03 23:59:59", "2024-01-05 00:00:00", "2024-02-01 12:00:00"]


def spec_of(folder: Path, source: Any, **more: Any) -> PipelineSpec:
    return ml.Pipeline(
        name="p",
        partitions=more.pop("partitions", ml.daily(start="2024-01-01")),
        source=source,
        label=ml.Label("y"),
        features=["x"],
        model=LogisticRegression(),
        **more,
    ).spec.model_copy(update={"base_dir": folder})


def csv(folder: Path, times: list[str]) -> Any:
    pd.DataFrame({"at": times, "x": 1.0, "y": 0}).to_csv(folder / "rows.csv", index=False)
    return ml.CSV("rows.csv", event_time="at")


def test_a_file_is_looked_at(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, csv(tmp_path, TIMES))
    assert extent(spec, NOW) == ("2024-01-05", "2024-02-03")


def test_rows_before_the_calendar_and_partitions_that_have_not_ended_do_not_count(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, csv(tmp_path, ["2023-05-05", *TIMES, "2024-06-01 01:00", "2031-01-01"]))
    assert extent(spec, NOW) == ("2024-01-05", "2024-02-03"), (
        "what lies far outside says nothing about what lies inside"
    )
    spec = spec_of(tmp_path, csv(tmp_path, ["2023-05-05", "2031-01-01"]))
    with pytest.raises(
        SourceError, match="no partition that has ended holds rows; its rows lie in 2023-05-05"
    ):
        extent(spec, NOW)


def test_a_table_is_asked_for_its_ends_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rows.db") as connection:
        connection.execute("create table orders (at text, x real, y integer)")
        connection.executemany("insert into orders values (?, 1.0, 0)", [(t,) for t in TIMES])
    spec = spec_of(tmp_path, ml.SQL("sqlite:///rows.db", "orders", event_time="at"))
    assert extent(spec, NOW) == ("2024-01-05", "2024-02-03")


def test_files_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("2024-01-04", "2024-03-09", "2024-07-01", "notes"):
        (tmp_path / f"day-{name}.csv").write_text("x,y\n1,0\n")
    spec = spec_of(tmp_path, ml.CSV("day-{partition}.csv"))
    assert extent(spec, NOW) == ("2024-01-04", "2024-03-09")


def test_folders_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("2024-01-04", "2024-03-09"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_text("x,y\n1,0\n")
    (tmp_path / "2024-03-10").mkdir()
    assert extent(spec_of(tmp_path, ml.CSV("{partition}/rows.csv")), NOW) == ("2024-01-04", "2024-03-09")


def test_a_function_may_give_anything_up_to_now(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, ml.Load(lambda window: pd.DataFrame(), event_time="at"))
    assert extent(spec, NOW) == ("2024-01-01", "2024-05-31")
    ended = spec_of(
        tmp_path,
        ml.Load(lambda w: None, event_time="at"),
        partitions=ml.daily(start="2024-01-01", end="2024-02-01"),
    )
    assert extent(ended, NOW) == ("2024-01-01", "2024-01-31")


def test_without_partitions_there_is_none(tmp_path: Path) -> None:
    assert extent(spec_of(tmp_path, csv(tmp_path, TIMES), partitions=ml.unpartitioned()), NOW) is None


@pytest.mark.parametrize(
    ("times", "said"),
    [([], "holds no rows"), (["2031-01-01"], "its rows lie in 2031-01-01"), (["2020-01-01"], "2020")],
)
def test_no_data_is_said(tmp_path: Path, times: list[str], said: str) -> None:
    with pytest.raises(SourceError, match="rows") as error:
        extent(spec_of(tmp_path, csv(tmp_path, times)), NOW)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("strays", "left"),
    [
        ([], 400),
        (["2009-03-01"], 400),
        (["2023-11-01"], 400),
        (["2009-03-01", "2010-01-01", "2023-11-01"], 400),
        (["2009-03-01"] * 5, 405),  # more than one in a hundred is no stray
        (["2022-01-18"], 401),  # nearer to the others than thirty days
    ],
)
def test_strays_lie_farther_from_the_others_than_these_from_each_other(strays: list[str], left: int) -> None:
    given = pd.Series(pd.date_range("2022-01-01", periods=400, freq="h", tz="UTC"))
    more = pd.Series(pd.to_datetime(strays, utc=True), dtype=given.dtype)
    shuffled = pd.concat([given, more], ignore_index=True).sample(frac=1.0, random_state=1)
    near = without_strays(shuffled)
    assert len(near) == left and near.index.isin(shuffled.index).all()


def test_a_row_far_after_all_others_makes_no_thousand_partitions(tmp_path: Path) -> None:
    times = [*pd.date_range("2024-01-02", periods=300, freq="h").astype(str), "2024-05-20 00:00:00"]
    spec, told = spec_of(tmp_path, csv(tmp_path, times)), []
    assert extent(spec, NOW, told.append) == ("2024-01-02", "2024-01-14")
    assert len(told) == 1 and "1 of 301 rows lie far from all others, such as one of 2024-05-20" in told[0]


@pytest.mark.parametrize(
    ("more", "last", "left"),
    [
        ([], "2024-01-14", ""),
        (["2024-05-20 00:00:00"], "2024-01-14", "1 rows lie far"),
        (["2031-01-01 00:00:00", "2024-05-20 00:00:00"], "2024-01-14", "1 rows lie far"),
        (["2024-05-20 00:00:00"] * 9, "2024-05-20", ""),
        (["2031-01-01 00:00:00"] * 9, "2024-05-31", ""),
    ],
)
def test_a_row_far_after_all_others_of_a_table(tmp_path: Path, more: list[str], last: str, left: str) -> None:
    times = [*pd.date_range("2024-01-02", periods=300, freq="h").astype(str), *more]
    with sqlite3.connect(tmp_path / "rows.db") as connection:
        connection.execute("create table orders (at text, x real, y integer)")
        connection.executemany("insert into orders values (?, 1.0, 0)", [(t,) for t in times])
    told: list[str] = []
    spec = spec_of(tmp_path, ml.SQL("sqlite:///rows.db", "orders", event_time="at"))
    assert extent(spec, NOW, told.append) == ("2024-01-02", last)
    assert [t for t in told if "far" in t] == [t for t in told if left and left in t]
