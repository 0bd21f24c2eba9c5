"""Labels: what was not known at an instant does not exist for any stage."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import DataError, UserCodeError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import feature, ingest, label, train, validate
from mlpipe_tests.stages.pipelines import DATA, World, day, days, ids, rows, save, spec_of, written

KEYS = days(8)


def at(n: int, hour: int = 0) -> datetime:
    return datetime(2024, 1, 1, hour, tzinfo=UTC) + timedelta(days=n)


class Peek:
    """A feature function that notes everything it can see of the truth."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}

    def __call__(self, frames: dict[str, pd.DataFrame], history: Any) -> pd.DataFrame:
        frame = frames["rows"]
        key = str(frame["at"].min().date())
        labels = history["labels"]
        self.seen[key] = {
            "columns": {*frame.columns, *history["rows"].columns},
            "names": list(history),
            "past": set(history["rows"]["user"]),
            "labels": labels[["user", "churned", "reason", "_known_at"]].copy(),
            "bound": frame["_time"].max(),
        }
        return frame[["hours"]]


def test_a_feature_function_that_peeks_finds_no_label_before_its_time(tmp_path: Path) -> None:
    written(tmp_path, KEYS)
    peek = Peek()
    spec = spec_of(
        tmp_path,
        label=ml.Label("churned", outcomes=["reason"], available_after="3d"),
        features={"function": peek, "look_back": "6d"},
    )
    World(tmp_path / "store").run_all((ingest.STAGE, validate.STAGE, feature.STAGE), spec, KEYS)
    truth = pd.concat([rows(k) for k in KEYS])
    assert sorted(peek.seen) == list(KEYS)
    for key, seen in peek.seen.items():
        assert not {"churned", "reason", "_label"} & seen["columns"]
        assert seen["names"] == ["rows", "labels"]
        known = truth[truth["at"] + pd.Timedelta(days=3) <= seen["bound"]]
        since = pd.Timestamp(key, tz="UTC") - pd.Timedelta(days=6)
        expected = known[(known["at"] >= since) & (known["at"] < pd.Timestamp(key, tz="UTC"))]
        assert set(seen["labels"]["user"]) == set(expected["user"])
        assert (seen["labels"]["_known_at"] <= seen["bound"]).all()
        met = seen["labels"].merge(truth, on="user", suffixes=("", "_true"))
        assert (met["churned"] == met["churned_true"]).all()
    assert not len(peek.seen[day(0)]["labels"]) and not peek.seen[day(0)]["past"]
    assert len(peek.seen[day(7)]["labels"])


def churn(folder: Path, **settings: Any) -> PipelineSpec:
    given = {"window": "6d", "split": ml.Split(valid="1d", test="1d"), "min_coverage": 0.1, **settings}
    return spec_of(folder, label=ml.Label("churned", outcomes=["reason"], available_after="3d"), **given)


def test_what_was_unknown_at_as_of_is_in_no_label_and_no_training(tmp_path: Path) -> None:
    written(tmp_path, KEYS)
    spec, world = churn(tmp_path), World(tmp_path / "store")
    records = world.run_all(DATA, spec, KEYS, as_of=at(5, 12))["label"]
    verdicts = [r.verdict for r in records.values()]
    assert verdicts == ["ripe"] * 2 + ["unripe"] * 6
    tables = {k: world.table(r, "labels") for k, r in records.items()}
    assert all((t["_known_at"] <= at(5, 12)).all() for t in tables.values())
    half = rows(day(2))
    assert set(tables[day(2)]["user"]) == set(half.loc[half["at"] <= at(2, 12), "user"])
    assert [len(tables[day(n)]) for n in (0, 1, 3)] == [60, 60, 0]
    # A day later more is known; a run whose clock stands in the past still does not see it.
    world.run(label.STAGE, spec, KEYS, as_of=at(30))
    early = world.run(train.STAGE, spec, [day(7)], as_of=at(5, 12))[day(7)]
    late = world.run(train.STAGE, spec, [day(7)], as_of=at(30))[day(7)]
    assert early.data["used"] == 2 and early.data["left_out"][day(3)] == "no label is known"
    assert late.data["used"] == 6 and late.data["left_out"] == {}


def test_ripe_labels_are_the_same_whenever_they_are_made(tmp_path: Path) -> None:
    written(tmp_path, KEYS)
    spec, world = churn(tmp_path), World(tmp_path / "store")
    world.run_all(DATA, spec, KEYS, as_of=at(20))
    again = world.run(label.STAGE, spec, KEYS, as_of=at(40))
    assert all(r.reused for r in again.values())


def own_source(folder: Path, **settings: Any) -> PipelineSpec:
    """Users of each day, and a file of verdicts that arrive later and are revised."""
    return spec_of(
        folder,
        sources={
            "rows": ml.Parquet("rows/{partition}.parquet", event_time="at", keys=["user"]),
            "truth": ml.Parquet("truth.parquet", event_time="told", keys=["user"]),
        },
        label=ml.Label("gone", source="truth", available_after="1h", horizon="5d"),
        **settings,
    )


def truths(folder: Path) -> pd.DataFrame:
    """Every user is told a day after the row as 0; every third is corrected to 1 two days later still."""
    written(folder / "rows", KEYS)
    base = pd.concat([rows(k) for k in KEYS], ignore_index=True)[["user", "at"]]
    first = base.assign(told=base["at"] + pd.Timedelta(days=1), gone=0)
    second = base.iloc[::3].assign(told=base["at"].iloc[::3] + pd.Timedelta(days=3), gone=1)
    # A null key meets nobody, and a label beyond the horizon comes too late.
    lost = base.iloc[:1].assign(user=None, told=base["at"].iloc[:1] + pd.Timedelta(days=1), gone=7)
    late = base.iloc[1:2].assign(told=base["at"].iloc[1:2] + pd.Timedelta(days=7), gone=9)
    told = pd.concat([first, second, lost, late])[["user", "told", "gone"]]
    save(told, folder / "truth.parquet")
    return told.dropna()


def test_labels_of_their_own_source_are_revised_and_only_the_newest_known_counts(tmp_path: Path) -> None:
    told = truths(tmp_path)
    keys = days(16)
    save_empty(tmp_path, keys[8:])
    spec, world = own_source(tmp_path), World(tmp_path / "store")
    world.run_all((ingest.STAGE, validate.STAGE), spec, keys)
    found = {}
    for moment in (at(1, 12), at(3, 12), at(4, 18), at(6, 12), at(12)):
        record = world.run(label.STAGE, spec, [day(0)], as_of=moment)[day(0)]
        table = world.table(record, "labels")
        known = told[told["told"] + pd.Timedelta(hours=1) <= min(moment, at(6))]
        newest = known[known["user"].isin(rows(day(0))["user"])].sort_values("told").groupby("user").last()
        assert table.set_index("user")["gone"].to_dict() == newest["gone"].to_dict(), moment
        found[moment] = (record.verdict, len(table), int(table["gone"].sum()), ids({"": record}))
    assert [v[0] for v in found.values()] == ["unripe"] * 3 + ["ripe"] * 2
    assert found[at(3, 12)][2] > found[at(1, 12)][2] == 0
    assert found[at(6, 12)][3] == found[at(12)][3] and found[at(6, 12)][1:3] == (60, 20)
    assert len({str(v[3]) for v in found.values()}) == 3
    # Each revision is kept: the oldest record's table is readable still.
    assert len(world.stored_records(spec)) == 37


def save_empty(folder: Path, keys: tuple[str, ...]) -> None:
    for key in keys:
        save(rows(key).head(1), folder / "rows" / f"{key}.parquet")


def test_history_holds_the_newest_known_revision(tmp_path: Path) -> None:
    told = truths(tmp_path)
    seen = {}

    def peek(frames: dict[str, pd.DataFrame], history: Any) -> pd.DataFrame:
        frame = frames["rows"]
        seen[str(frame["at"].min().date())] = (frame["_time"].max(), history["labels"].copy(), list(history))
        return frame[["hours"]]

    spec = own_source(tmp_path, features={"function": peek, "look_back": "4d"})
    World(tmp_path / "store").run_all((ingest.STAGE, validate.STAGE, feature.STAGE), spec, KEYS)
    bound, labels, names = seen[day(4)]
    assert names == ["rows", "labels"]
    # What the label source tells of the present day is not yet history.
    known = told[(told["told"] + pd.Timedelta(hours=1) <= bound) & (told["told"] < at(4))]
    past = pd.concat([rows(day(n)) for n in range(4)])
    newest = known[known["user"].isin(past["user"])].sort_values("told").groupby("user").last()
    assert labels.set_index("user")["gone"].to_dict() == newest["gone"].to_dict()
    assert labels["gone"].sum() > 0 and not len(seen[day(0)][1])


def test_a_days_labels_meet_no_row_of_a_failed_day(tmp_path: Path) -> None:
    written(tmp_path, KEYS[:3], d1=lambda f: f.head(0))
    spec, world = spec_of(tmp_path), World(tmp_path / "store")
    made = world.run_all(DATA, spec, KEYS[:3])
    assert made["validate"][day(1)].verdict == "empty"
    for stage in ("feature", "label"):
        record = made[stage][day(1)]
        assert record.verdict == "left_out" and not record.outputs and "left out" in record.findings[0].what


def late(frame: pd.DataFrame) -> pd.Series:
    return (frame["plays"] > 5).astype("float64").sample(frac=1, random_state=0)


def mutating(frame: pd.DataFrame) -> pd.Series:
    frame["plays"] = 9
    frame.drop(columns="hours", inplace=True)
    return frame["user"] % 2


def test_a_label_function_may_shuffle_its_rows_and_change_its_frame(tmp_path: Path) -> None:
    written(tmp_path, KEYS[:2])
    world = World(tmp_path / "store")
    record = world.run_all(DATA, spec_of(tmp_path, label=ml.Label(late)), KEYS[:2])["label"][day(1)]
    table = world.table(record, "labels").merge(rows(day(1)), on="user")
    assert len(table) == 60 and (table["label"] == (table["plays"] > 5)).all()
    spec = spec_of(tmp_path, label=ml.Label(mutating))
    records = world.run(label.STAGE, spec, KEYS[:2])
    table = world.table(records[day(0)], "labels")
    assert (table["label"] == table["user"] % 2).all()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda f: f["nothing"], "raised KeyError"),
        (lambda f: f["plays"].head(3), "got 3 values"),
        (lambda f: 1, "got a int"),
        (lambda f: f[["plays"]], "got a DataFrame"),
        (lambda f: f["plays"].set_axis([0] * len(f)), "got 60 values"),
    ],
)
def test_a_wrong_label_function_is_named_with_file_and_line(tmp_path: Path, function: Any, said: str) -> None:
    written(tmp_path, KEYS[:1])
    world, spec = World(tmp_path / "store"), spec_of(tmp_path, label=ml.Label(function))
    with pytest.raises(UserCodeError) as error:
        world.run_all(DATA[:2] + (label.STAGE,), spec, KEYS[:1])
    assert said in str(error.value) and f"{__file__}:{function.__code__.co_firstlineno}" in str(error.value)
    assert day(0) in str(error.value)


def test_a_label_that_does_not_exist_or_cannot_be_met(tmp_path: Path) -> None:
    written(tmp_path, KEYS[:1])
    world = World(tmp_path / "store")
    with pytest.raises(DataError, match=r"no column 'churn'(.|\n)*churned"):
        world.run_all(DATA[:2] + (label.STAGE,), spec_of(tmp_path, label=ml.Label("churn")), KEYS[:1])
    told = truths(tmp_path)
    save(told.assign(user=told["user"].astype(str)), tmp_path / "truth.parquet")
    spec = own_source(tmp_path)
    with pytest.raises(DataError, match="cannot meet on user"):
        world.run_all(DATA[:2] + (label.STAGE,), spec, KEYS)
