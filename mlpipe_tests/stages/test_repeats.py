"""Copies among the rows of a window are told, and change nothing."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mlpipe as ml
from mlpipe.records.record import Record
from mlpipe.stages import train
from mlpipe.stages.dataset import Dataset, Encoding
from mlpipe.stages.repeats import Repeats, told
from mlpipe.stages.splits import Parts
from mlpipe_tests.stages.pipelines import DATA, World, day, days, spec_of, written
from mlpipe_tests.stages.pipelines import rows as frame_of

BINARY = Encoding("binary", (0, 1))


def dataset(**columns: Any) -> Dataset:
    rows = pd.DataFrame(columns)
    return Dataset(rows, tuple(c for c in columns if c != "_label"), "_label", (), (), {})


def split(*codes: int) -> Parts:
    names = ("train", "valid", "test")
    masks = {name: np.array(codes) == number for number, name in enumerate(names)}
    return Parts(masks, {}, datetime(2024, 1, 1, tzinfo=UTC))


def test_copies_are_counted_and_told_in_one_sentence() -> None:
    data = dataset(
        size=[1.0, 1.0, 1.0, 5.0, 5.001, 7.0],
        city=["Ulm", "Ulm", "Ulm", "Bonn", "bonn ", "Kiel"],
        _label=[0, 0, 1, 1, 1, 1],
    )
    said, findings = told(Repeats(data, BINARY), split(0, 2, 0, 0, 1, 0))
    # The third row has another label, and is no copy.
    assert said == {
        "exact": {"rows": 1, "share": 0.166667, "groups": 1, "straddling": 1},
        "near": {"rows": 1, "share": 0.166667, "groups": 1, "straddling": 1},
    }
    assert [f.what for f in findings] == [
        "1 of 6 rows (16.7%) equal an earlier one in all features and the label, in 1 group; 1 of 6 rows (16.7%) nearly "
        "equal an earlier one in all features and the label, in 1 group; 2 of these groups straddle train, valid, test"
    ]
    assert "learned by heart" in findings[0].fix


def test_copies_within_one_part_and_without_a_split_straddle_nothing() -> None:
    data = dataset(size=[1.0, 1.0, 2.0], _label=[0, 0, 1])
    for where in (split(0, 0, 2), None):
        said, findings = told(Repeats(data, BINARY), where)
        assert said["exact"]["straddling"] == 0 and said["exact"]["groups"] == 1
        assert "straddle" not in findings[0].what and not findings[0].fix


def test_no_copy_is_no_finding() -> None:
    said, findings = told(Repeats(dataset(size=[1.0, 2.0], _label=[0, 0]), BINARY), split(0, 1))
    assert findings == [] and said["near"] == {"rows": 0, "share": 0.0, "groups": 0, "straddling": 0}


def test_a_quantity_may_be_nearly_equal_and_a_class_may_not() -> None:
    price = dataset(size=[1.0, 1.0], _label=[1000.0, 1001.0])
    assert told(Repeats(price, Encoding("regression")), None)[0]["near"]["rows"] == 1
    classes = Encoding("multiclass", tuple(range(1100)))
    many = dataset(size=[1.0] * 2, _label=[1000, 1001])
    assert told(Repeats(many, classes), None)[0]["near"]["rows"] == 0
    words = dataset(size=[1.0] * 2, _label=["a", "A"])
    assert told(Repeats(words, Encoding("binary", ("a", "A"))), None)[0]["near"]["rows"] == 0


def test_columns_of_any_type_are_looked_at() -> None:
    odd = dataset(
        flag=pd.array([True, None, True, None], dtype="boolean"),
        empty=[None] * 4,
        mixed=[1, "1", 1, True],
        _label=[0, 1, 0, 1],
    )
    assert told(Repeats(odd, BINARY), None)[0]["exact"]["rows"] == 1


KEYS = days(10)
LAST = day(9)


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    """Ten of the rows again under another key, five of them in other letters."""
    again = frame.head(10).assign(user=frame["user"].head(10) + 500)
    again.loc[again.index < 5, "city"] = " " + again["city"].str.upper()
    return pd.concat([frame, again], ignore_index=True)


def yesterdays(frame: pd.DataFrame) -> pd.DataFrame:
    """The first rows of the day before, again: day 6 chooses, day 5 trains."""
    old = frame_of(day(4)).head(7)
    return pd.concat([frame, old.assign(user=old["user"] + 700, at=frame["at"].min())], ignore_index=True)


def trained(folder: Path, **changes: Any) -> Record:
    settings: dict[str, Any] = {k: v for k, v in changes.items() if not k.startswith("d")}
    written(folder, KEYS, **{k: v for k, v in changes.items() if k.startswith("d")})
    short = {
        "window": "8d",
        "split": ml.Split(valid="2d", test="2d"),
        "monitor": {"window": 2, "grid_window": 3},
    }
    spec = spec_of(folder, **{**short, **settings})
    world = World(folder / "store")
    world.run_all(DATA, spec, KEYS)
    return world.run(train.STAGE, spec, [LAST])[LAST]


def test_training_tells_them_and_goes_on(tmp_path: Path) -> None:
    record = trained(tmp_path, d2=twice, d5=yesterdays)
    assert record.verdict == "trained"
    said = record.data["duplicates"]
    assert said["exact"] == {"rows": 12, "share": round(12 / 497, 6), "groups": 12, "straddling": 7}
    assert said["near"]["rows"] >= 5
    (finding,) = record.findings
    assert (
        finding.what.startswith("12 of 497 rows (2.4%) equal an earlier one") and "straddle" in finding.what
    )


def test_without_copies_the_record_says_so(tmp_path: Path) -> None:
    record = trained(tmp_path)
    assert record.data["duplicates"]["exact"]["rows"] == 0


def test_a_refusal_tells_them_too(tmp_path: Path) -> None:
    record = trained(tmp_path, d2=twice, features=["hours"], min_rows=10_000)
    assert record.verdict == "refused" and record.data["duplicates"]["exact"]["rows"] >= 10
    assert any("equal an earlier one" in f.what for f in record.findings)


def test_a_refusal_before_the_split_is_used_tells_them_too(tmp_path: Path) -> None:
    features = {"columns": ["hours", "city"], "missing": {"city": "mar"}}
    record = trained(tmp_path, d2=twice, features=features)
    assert record.verdict == "refused" and "'city' is text" in record.findings[0].what
    assert record.data["duplicates"]["exact"]["rows"] >= 5
