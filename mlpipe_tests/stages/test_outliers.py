"""Outliers are counted and named, and their rows stay."""

from pathlib import Path

import pandas as pd

import mlpipe as ml
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import Column, Contract
from mlpipe.stages.outliers import flagged
from mlpipe_tests.stages.pipelines import DATA, World, day, days, spec_of, written


def contract(**columns: Column) -> Contract:
    return Contract(columns=columns)


def test_each_value_has_a_line_and_each_column_a_sentence() -> None:
    rows = pd.DataFrame(
        {"user": [1, 2, 3, 4], "age": [30, 150, -1, None], "city": ["a"] * 4, "size": [1, 2, 3, 4]},
        index=[0, 3, 5, 8],
    )
    ranges = contract(age=Column(usual=(0, 120)), size=Column(usual=(None, 9)), city=Column(dtype="string"))
    found = flagged(rows, ranges, ["user"], "people")
    assert found.counts == {"age": 2, "size": 0}
    assert found.table.to_dict("list") == {"row": [3, 5], "column": ["age", "age"], "value": [150.0, -1.0]}
    assert [str(f.what) for f in found.findings] == [
        "2 of 4 rows hold a value outside what is usual, 0 to 120: 150 (user=2); -1 (user=3)"
    ]
    assert (
        found.findings[0].where == "source people, column age"
        and found.findings[0].fix == "Their rows are kept."
    )
    assert "150 (row 3)" in flagged(rows, ranges, [], "people").findings[0].what


def test_only_some_are_shown_and_open_sides_are_said() -> None:
    rows = pd.DataFrame({"age": range(10)})
    low = flagged(rows, contract(age=Column(usual=(5, None))), [], "people").findings[0].what
    assert (
        low == "5 of 10 rows hold a value outside what is usual, at least 5: 0 (row 0); 1 (row 1); 2 (row 2)"
    )
    assert (
        "usual, at most 8.5: 9"
        in flagged(rows, contract(age=Column(usual=(None, 8.5))), [], "").findings[0].what
    )


def test_without_a_range_there_is_nothing() -> None:
    found = flagged(
        pd.DataFrame({"age": [1e9]}), contract(age=Column(dtype="number"), gone=Column(usual=(0, 1))), [], ""
    )
    assert found.counts == {} and not len(found.table) and not found.findings
    assert found.table.dtypes.astype(str).to_dict() == {"row": "int64", "column": "str", "value": "float64"}


def strange(frame: pd.DataFrame) -> pd.DataFrame:
    hours = frame["hours"].mask(frame.index == 3, 500.0).mask(frame.index == 5, -1.0)
    return frame.assign(hours=hours)


def mend(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(hours=400.0)


def pipeline(folder: Path, **contract: object) -> PipelineSpec:
    written(folder, days(2), d0=strange)
    wants = ml.Contract(columns={"hours": ml.Column("number", min=0, usual=[0, 100])}, **contract)
    source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], contract=wants)
    return spec_of(folder, source=source)


def test_the_row_is_kept_the_score_is_not_lowered_and_the_record_says_it(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    made = world.run_all(DATA, pipeline(tmp_path), days(2))
    first, second = (made["validate"][k] for k in days(2))
    table = world.table(first, "rows/outliers")
    assert table.to_dict("list") == {"row": [3], "column": ["hours"], "value": [500.0]}
    # The one below zero breaks the contract: it is out already, and lowers the score.
    assert first.data["rows"]["rows"] == {"raw": 60, "kept": 59, "quarantined": 1, "repaired": 0}
    assert first.data["outliers"] == {"rows": {"hours": 1}} and second.data["outliers"] == {
        "rows": {"hours": 0}
    }
    assert {m.name: m.value for m in first.metrics}["score"] == 59 / 60
    assert any(
        "1 of 59 rows hold a value outside what is usual, 0 to 100: 500" in f.what for f in first.findings
    )
    assert [o.name for o in second.outputs] == ["rows/kept"] and not second.findings
    assert 500.0 in world.table(made["feature"][day(0)], "features")["hours"].tolist()


def test_a_mended_row_may_hold_one(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    made = world.run_all(DATA[:2], pipeline(tmp_path, repair=mend), days(1))["validate"][day(0)]
    assert world.table(made, "rows/outliers").to_dict("list")["row"] == [3, 5]


def test_a_range_asks_for_numbers(tmp_path: Path) -> None:
    written(tmp_path, days(1), d0=lambda f: f.assign(hours=f["hours"].astype(str)))
    wants = ml.Contract(columns={"hours": ml.Column(usual=[0, 100])}, floor=0)
    source = ml.Parquet("{partition}.parquet", event_time="at", contract=wants)
    made = World(tmp_path / "store").run_all(DATA[:2], spec_of(tmp_path, source=source), days(1))["validate"][
        day(0)
    ]
    assert made.data["rows"]["rows"]["kept"] == 0 and "hours is number" in made.findings[0].what
