"""Features: joins as of the moment of prediction, and what a user's function may and may not do."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import DataError, UserCodeError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import feature, ingest, train, validate
from mlpipe_tests.stages.pipelines import DATA, World, day, days, ids, rows, save, spec_of, written

KEYS = days(3)
UNTIL_FEATURES = (ingest.STAGE, validate.STAGE, feature.STAGE)


def made(world: World, spec: PipelineSpec, keys: tuple[str, ...] = KEYS) -> dict[str, pd.DataFrame]:
    records = world.run_all(UNTIL_FEATURES, spec, keys)["feature"]
    return {k: world.table(r, "features") for k, r in records.items() if r.outputs}


# -- joins -------------------------------------------------------------------------------------------------------


def readings(*rain: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rain, columns=["seen", "city", "rain"])
    return frame.assign(seen=pd.to_datetime(frame["seen"], utc=True, format="ISO8601"))


def joined(folder: Path, side: pd.DataFrame, **settings: Any) -> PipelineSpec:
    """One row a day at noon in Ulm, and a side table of rain."""
    (folder / "rows").mkdir(exist_ok=True)
    for key in KEYS:
        noon = pd.Timestamp(f"{key} 12:00", tz="UTC")
        frame = pd.DataFrame({"user": [1, 2], "at": [noon, noon], "city": ["Ulm", None], "churned": [0, 1]})
        save(frame, folder / "rows" / f"{key}.parquet")

    def rain(window: Any) -> pd.DataFrame:
        part = side[(side["seen"] >= window.start) & (side["seen"] < window.end)]
        return part if len(part) else pd.DataFrame()

    table = {"event_time": "seen", "join": {"on": ["city"], "tolerance": "1d"}, **settings.pop("table", {})}
    sources = {
        "rows": ml.Parquet("rows/{partition}.parquet", event_time="at", keys=["user"]),
        "weather": ml.Load(rain, **table),
    }
    given = {"sources": sources, "label": ml.Label("churned"), "features": ["weather.rain"], **settings}
    return spec_of(folder, **given)


SIDE = readings(
    ("2024-01-01 11:00", "Ulm", 1.5),
    ("2024-01-01 12:00", "Ulm", 2.5),
    ("2024-01-01 12:01", "Ulm", 99.0),
    ("2024-01-02 12:00:00.000001", "Ulm", 98.0),
    ("2024-01-02 13:00", "Bonn", 97.0),
)


def rain_of(world: World, spec: PipelineSpec) -> list[list[float | None]]:
    return [[None if pd.isna(v) else float(v) for v in t["weather.rain"]] for t in made(world, spec).values()]


def test_a_row_meets_the_last_reading_known_at_its_moment(tmp_path: Path) -> None:
    spec = joined(tmp_path, SIDE)
    # The second day's last reading before noon is 23:59 h old; the third's is too old, by the tolerance.
    assert rain_of(World(tmp_path / "s"), spec) == [[2.5, None], [99.0, None], [98.0, None]]


def test_the_tolerance_is_inclusive(tmp_path: Path) -> None:
    exact = joined(tmp_path, SIDE[:2])
    assert rain_of(World(tmp_path / "s"), exact) == [[2.5, None], [2.5, None], [None, None]]


def test_lead_and_delay_move_the_moment_back(tmp_path: Path) -> None:
    led = joined(tmp_path, SIDE, lead="30m")
    assert rain_of(World(tmp_path / "a"), led)[0] == [1.5, None]
    table = made(World(tmp_path / "b"), led)[day(0)]
    assert set(table["_time"]) == {pd.Timestamp("2024-01-01 11:30", tz="UTC")}
    delayed = joined(tmp_path, SIDE, table={"available_after": "1h"})
    assert rain_of(World(tmp_path / "c"), delayed)[0] == [1.5, None]


def counting(frames: dict[str, pd.DataFrame], history: Any) -> pd.DataFrame:
    """Counts with the side table's columns, whether or not it has a row."""
    frame = frames["rows"]
    return pd.DataFrame({"more": frame["weather.rain"] + 1, "city": frame["weather.station"].fillna("none")})


def test_a_side_table_without_a_row_gives_nulls_that_a_function_can_count_with(tmp_path: Path) -> None:
    side = SIDE[:2].assign(station="north")
    spec = joined(tmp_path, side, features={"function": counting}, table={"columns": ["rain", "station"]})
    tables = made(World(tmp_path / "s"), spec)
    assert [tables[k]["more"].isna().all() for k in KEYS] == [False, False, True]
    assert tables[day(0)]["city"].tolist() == ["north", "none"]
    assert tables[day(2)]["city"].tolist() == ["none", "none"]


def test_a_side_table_that_fails_leaves_the_day_out_and_its_rows_from_the_next(tmp_path: Path) -> None:
    contract = ml.Contract(columns={"rain": ml.Column("number", nullable=0, max=50)})
    spec = joined(
        tmp_path, SIDE[:3], table={"contract": contract, "join": {"on": ["city"], "tolerance": "2d"}}
    )
    records = World(tmp_path / "s").run_all(UNTIL_FEATURES, spec, KEYS)
    assert [r.verdict for r in records["feature"].values()] == ["left_out", "pass", "pass"]
    nulls = [m.value for r in records["feature"].values() for m in r.metrics]
    assert nulls == [1.0, 1.0]


def lookup(folder: Path, frame: pd.DataFrame, **settings: Any) -> PipelineSpec:
    save(frame, folder / "cities.csv")
    written(folder / "rows", KEYS)
    sources = {
        "rows": ml.Parquet("rows/{partition}.parquet", event_time="at", keys=["user"]),
        "cities": ml.CSV("cities.csv", join={"on": ["city"]}),
    }
    return spec_of(folder, **{"sources": sources, "features": ["city", "cities.people"], **settings})


def test_a_table_without_time_is_looked_up_by_key_and_a_null_meets_nothing(tmp_path: Path) -> None:
    cities = pd.DataFrame({"city": ["Ulm", "Bonn", None, None], "people": [126, 331, 7, 8]})
    spec = lookup(tmp_path, cities)
    change = {"d1": lambda f: f.assign(city=f["city"].where(f["city"] != "Ulm"))}
    written(tmp_path / "rows", KEYS, **change)
    world = World(tmp_path / "s")
    tables = made(world, spec)
    assert tables[day(0)]["city"].map({"Ulm": 126, "Bonn": 331}).equals(tables[day(0)]["cities.people"])
    assert tables[day(1)].loc[tables[day(1)]["city"].isna(), "cities.people"].isna().all()
    raw = {r.output("cities").id for r in world.run(ingest.STAGE, spec, KEYS).values()}
    assert len(raw) == 1


@pytest.mark.parametrize(
    ("cities", "said"),
    [
        (pd.DataFrame({"city": ["Ulm", "Ulm"], "people": [1, 2]}), "1 further rows for the same city"),
        (pd.DataFrame({"city": [1, 2], "people": [1, 2]}), "cannot meet on city"),
        (pd.DataFrame({"town": ["Ulm"], "people": [1]}), "source cities: there is no column 'city'"),
    ],
)
def test_a_table_that_cannot_be_looked_up(tmp_path: Path, cities: pd.DataFrame, said: str) -> None:
    with pytest.raises(DataError) as error:
        made(World(tmp_path / "s"), lookup(tmp_path, cities))
    assert said in str(error.value)
    assert "town" in cities or "partition 2024-01-01" in str(error.value)


def test_a_feature_that_does_not_exist(tmp_path: Path) -> None:
    written(tmp_path, KEYS)
    with pytest.raises(DataError, match=r"no column 'hour'(.|\n)*hours"):
        made(World(tmp_path / "s"), spec_of(tmp_path, features=["hour"]))


# -- functions ---------------------------------------------------------------------------------------------------


def by_function(folder: Path, function: Any, **settings: Any) -> PipelineSpec:
    written(folder, KEYS)
    return spec_of(folder, features={"function": function, "look_back": "5d"}, **settings)


def test_a_shuffled_answer_is_aligned(tmp_path: Path) -> None:
    def shuffled(frames: Any, history: Any) -> pd.DataFrame:
        return frames["rows"][["hours"]].assign(one=1).sample(frac=1, random_state=3)

    table = made(World(tmp_path / "s"), by_function(tmp_path, shuffled))[day(1)]
    assert table["hours"].tolist() == rows(day(1)).set_index("user").loc[table["user"], "hours"].tolist()


def test_a_function_may_change_what_it_is_given(tmp_path: Path) -> None:
    written(tmp_path, KEYS)

    def mutating(frames: Any, history: Any) -> pd.DataFrame:
        out = frames["rows"][["hours", "plays"]].copy()
        for frame in (frames["rows"], history["rows"], history["labels"]):
            for name in list(frame.columns):
                if len(frame):
                    frame.loc[frame.index[0], name] = frame[name].iloc[-1]
            frame["hours"] = -1.0
            frame.drop(columns=["city"], inplace=True)
        frames["rows"] = None
        return out.assign(past=history["rows"]["hours"].mean(), known=history["labels"]["hours"].mean())

    spec, world = by_function(tmp_path, mutating), World(tmp_path / "s")
    tables = made(world, spec)
    second = rows(day(1)).set_index("user")
    assert tables[day(1)]["hours"].tolist() == second.loc[tables[day(1)]["user"], "hours"].tolist()
    assert tables[day(1)]["past"].iloc[0] == pytest.approx(rows(day(0))["hours"].mean())
    both = pd.concat([rows(day(0)), rows(day(1))])["hours"].mean()
    assert tables[day(2)]["past"].iloc[0] == tables[day(2)]["known"].iloc[0] == pytest.approx(both)
    raw = world.run(ingest.STAGE, spec, KEYS)
    assert (world.table(raw[day(0)], "rows")["hours"] >= 0).all()


@pytest.mark.parametrize("column", ["hours", "plays", "at", "city", "user"])
def test_values_changed_in_place_reach_neither_the_store_nor_the_next_call(
    tmp_path: Path, column: str
) -> None:
    """Through numpy's and pandas' own arrays, past what frames guard."""

    def in_place(frames: Any, history: Any) -> pd.DataFrame:
        out = frames["rows"][["hours"]].copy(deep=True)
        for frame in (frames["rows"], history["rows"]):
            for values in (frame[column].array, frame[column].to_numpy()):
                if len(values):
                    with contextlib.suppress(ValueError):  # read-only
                        values[0] = values[-1]
        past = history["rows"]
        return out.assign(past=past["hours"].sum(), first=past[column].astype(str).sort_values().str.cat())

    spec = by_function(tmp_path, in_place)
    together = made(World(tmp_path / "a"), spec)
    world = World(tmp_path / "b")
    single = {k: made(world, spec, (k,))[k] for k in KEYS}
    for key in KEYS:
        pd.testing.assert_frame_equal(together[key], single[key])
    expected = pd.concat([rows(day(0)), rows(day(1))])
    assert together[day(2)]["past"].iloc[0] == pytest.approx(expected["hours"].sum())


WRONG = {
    "raises": (lambda frames, history: frames["rows"]["nothing"], "raised KeyError: 'nothing'"),
    "unknown source": (lambda frames, history: history["row"], "history holds rows, labels"),
    "no frame": (lambda frames, history: frames["rows"]["hours"], "returned a Series"),
    "nothing": (lambda frames, history: None, "returned a NoneType"),
    "too short": (lambda frames, history: frames["rows"][["hours"]].head(7), "returned 7 rows for 60"),
    "other rows": (
        lambda frames, history: frames["rows"][["hours"]].set_axis(range(5, 65)),
        "changed their index",
    ),
    "one row twice": (
        lambda frames, history: frames["rows"][["hours"]].iloc[[0, *range(59)]],
        "changed their index",
    ),
    "no column": (lambda frames, history: frames["rows"][[]], "returned no column"),
    "label": (lambda frames, history: frames["rows"][["hours"]].assign(churned=1), "returns 'churned'"),
    "outcome": (lambda frames, history: frames["rows"][["hours"]].assign(reason=1), "returns 'reason'"),
    "reserved": (lambda frames, history: frames["rows"][["hours"]].assign(_label=1), "returns '_label'"),
    "twice": (lambda frames, history: frames["rows"][["hours", "hours"]], "returns 'hours' twice"),
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_a_wrong_function_is_named_with_file_and_line(tmp_path: Path, kind: str) -> None:
    function, said = WRONG[kind]
    with pytest.raises(UserCodeError) as error:
        made(World(tmp_path / "s"), by_function(tmp_path, function))
    text = str(error.value)
    assert said in text and day(0) in text and "pipeline churn" in text
    assert f"{__file__}:" in text


def test_a_feature_that_no_column_can_hold(tmp_path: Path) -> None:
    def nested(frames: Any, history: Any) -> pd.DataFrame:
        return frames["rows"][["hours"]].assign(list=[[1]] * 60)

    with pytest.raises(UserCodeError) as error:
        made(World(tmp_path / "s"), by_function(tmp_path, nested))
    assert "column 'list'" in str(error.value) and "partition 2024-01-01" in str(error.value)


def test_a_function_that_takes_too_long(tmp_path: Path) -> None:
    def endless(frames: Any, history: Any) -> pd.DataFrame:
        while True:
            pass

    world, spec = World(tmp_path / "s"), by_function(tmp_path, endless)
    world.run_all(UNTIL_FEATURES[:2], spec, KEYS)
    slow = by_function(tmp_path, endless, timeout="0.2s")
    with pytest.raises(UserCodeError, match=r"took longer than 0\.2 s"):
        world.run(feature.STAGE, slow, KEYS)


def test_the_first_day_has_a_history_without_rows_but_with_columns(tmp_path: Path) -> None:
    def past(frames: Any, history: Any) -> pd.DataFrame:
        counts = len(history["rows"]["city"]), len(history["labels"]["churned"])
        return frames["rows"][["hours"]].assign(past=counts[0], known=counts[1])

    tables = made(World(tmp_path / "s"), by_function(tmp_path, past))
    assert [t[["past", "known"]].iloc[0].tolist() for t in tables.values()] == [[0, 0], [60, 60], [120, 120]]


def test_history_holds_what_was_known_at_the_last_moment(tmp_path: Path) -> None:
    """Rows that become known later than they happen, and predictions made ahead of their time."""

    def past(frames: Any, history: Any) -> pd.DataFrame:
        frame = frames["rows"]
        return frame[["hours"]].assign(past=len(history["rows"]), newest=history["rows"]["at"].max())

    written(tmp_path, KEYS)
    source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], available_after="8h")
    spec = by_function(tmp_path, past, source=source, lead="1d")
    for key, table in made(World(tmp_path / "s"), spec).items():
        bound = rows(key)["at"].max() - pd.Timedelta(hours=32)
        known = [t for n in range(KEYS.index(key)) for t in rows(day(n))["at"] if t <= bound]
        assert table["past"].iloc[0] == len(known) and (key != day(2) or 60 < len(known) < 120)
        assert not known or table["newest"].iloc[0] == max(known)


def test_cells_that_are_null_throughout_can_be_counted_with(tmp_path: Path) -> None:
    def less(frames: Any, history: Any) -> pd.DataFrame:
        return pd.DataFrame({"less": frames["rows"]["plays"] - 3, "city": frames["rows"]["city"].str.lower()})

    spec = by_function(tmp_path, less)
    written(tmp_path, KEYS, d1=lambda f: f.assign(plays=None, city=None))
    tables = made(World(tmp_path / "s"), spec)
    assert tables[day(1)][["less", "city"]].isna().all(axis=None) and tables[day(0)]["less"].notna().all()


# -- days that failed --------------------------------------------------------------------------------------------


def mended(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(hours=frame["hours"].abs())


def test_a_failed_day_is_left_out_and_training_says_so(tmp_path: Path) -> None:
    keys = days(8)
    written(tmp_path, keys, d3=lambda f: f.assign(hours=-1.0))
    contract = ml.Contract(columns={"hours": ml.Column("number", min=0)})
    source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], contract=contract)
    settings = {"window": "6d", "split": ml.Split(valid="1d", test="1d"), "min_coverage": 0.5}
    spec, world = spec_of(tmp_path, source=source, **settings), World(tmp_path / "s")
    records = world.run_all(DATA, spec, keys)
    for stage in ("feature", "label"):
        assert [r.verdict for r in records[stage].values()].count("left_out") == 1
        assert "left out" in records[stage][day(3)].findings[0].what
    record = world.run(train.STAGE, spec, [day(7)])[day(7)]
    assert record.verdict == "trained"
    assert record.data["left_out"] == {day(3): "validation failed it"} and record.data["used"] == 5
    assert f"1 of 6 partitions are left out of training: {day(3)}" in record.findings[0].what
    assert day(3) not in {i.partition for i in record.inputs}


def test_repaired_rows_come_back_in_their_place(tmp_path: Path) -> None:
    written(tmp_path, KEYS, d1=lambda f: f.assign(hours=f["hours"].where(np.arange(60) > 2, -f["hours"])))
    columns = {"hours": ml.Column("number", min=0)}
    tables = {}
    for name, repair in (("kept", None), ("mended", mended)):
        contract = ml.Contract(columns=columns, repair=repair, floor=0.5)
        source = ml.Parquet("{partition}.parquet", event_time="at", keys=["user"], contract=contract)
        tables[name] = made(World(tmp_path / name), spec_of(tmp_path, source=source))[day(1)]
    assert len(tables["kept"]) == 57 and len(tables["mended"]) == 60
    assert tables["mended"]["_row"].tolist() == list(range(60))
    assert tables["mended"]["hours"].tolist() == rows(day(1)).sort_values("user")["hours"].tolist()


def test_another_function_is_another_recipe(tmp_path: Path) -> None:
    def one(frames: Any, history: Any) -> pd.DataFrame:
        return frames["rows"][["hours"]]

    def two(frames: Any, history: Any) -> pd.DataFrame:
        return frames["rows"][["hours"]] * 2

    world = World(tmp_path / "s")
    first = world.run_all(UNTIL_FEATURES, by_function(tmp_path, one), KEYS)["feature"]
    again = world.run(feature.STAGE, by_function(tmp_path, one), KEYS)
    other = world.run(feature.STAGE, by_function(tmp_path, two), KEYS)
    assert all(r.reused for r in again.values()) and ids(again) == ids(first)
    assert not any(r.reused for r in other.values())
