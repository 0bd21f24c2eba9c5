"""Every record names what it was made from, one by one: each materialization, its object, its rows."""

from pathlib import Path

import pandas as pd

import mlpipe as ml
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written

KEYS = days(9)
NOW, BAD = day(8), day(3)


def spoilt(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(hours=-1.0)


def test_every_record_names_what_it_was_made_from(tmp_path: Path) -> None:
    source = ml.Parquet(
        "{partition}.parquet",
        event_time="at",
        keys=["user"],
        contract=ml.Contract(columns={"hours": ml.Column("float", min=0)}),
    )
    folder = written(tmp_path / "data", KEYS, d3=spoilt)
    spec = spec_of(
        folder,
        source=source,
        window="8d",
        split=ml.Split(valid="2d", test="2d"),
        min_coverage=0.5,
        features=["hours", "plays"],
        monitor={"window": 2, "grid_window": 3},
    )
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, KEYS)
    before = world.run_all(LIVE, spec, [NOW])
    made = world.run_all(TRAINING, spec, [NOW], **scheduled())
    live = world.run_all(LIVE, spec, [*KEYS[5:]])
    assert made["register"][NOW].verdict == "promoted" and before["predict"][NOW].verdict == "no_champion"
    records = {i: from_bytes(data) for i, data in world.store.records(spec.name)}
    assert len(records) > 40
    for record in records.values():
        walked(record, records, world)
    window = [k for k in KEYS[:8] if k != BAD]
    train = made["train"][NOW]
    assert [i.partition for i in train.inputs if i.name == "features"] == window
    assert [i.partition for i in train.inputs if i.name == "labels"] == window
    assert train.data["left_out"] == {BAD: "validation failed it"}
    judging = {i.partition for i in made["evaluate"][NOW].inputs if i.name == "features"}
    assert judging == {day(6), day(7)}
    assert {(i.asset, i.name) for i in live["predict"][NOW].inputs} == {
        ("churn/features", "features"),
        ("churn/production", "champion"),
        ("churn/validated", ""),
    }
    (left,) = (r for r in records.values() if r.stage == "feature" and r.partition == BAD)
    assert left.verdict == "left_out" and [(i.asset, i.id) for i in left.inputs] == [("churn/validated", "")]


def walked(record: Record, records: dict[str, Record], world: World) -> None:
    """Each input is a record that is there, and the object is one that it made, with as many rows."""
    nothing = record.stage == "ingest" or record.verdict == "no_champion" and record.stage == "monitor"
    assert bool(record.inputs) != nothing, (record.asset, record.verdict)
    for read in record.inputs:
        source = records[read.record]
        if read.name not in ("champion", "anchor"):
            assert (source.asset, source.partition) == (read.asset, read.partition)
        if not read.id:
            assert (
                source.verdict in ("fail", "empty", "no_model", "refused")
                or record.verdict == "no_champion"
                or record.stage
                in ("predict", "monitor")  # levels and alarms go by what others said of themselves
            )
            continue
        (output,) = (o for o in source.outputs if o.id == read.id)
        assert output.rows == read.rows or read.name in ("champion", "anchor")
        assert world.store.exists(read.id)


def test_a_model_that_was_refused_is_named_by_those_who_wait_for_it(tmp_path: Path) -> None:
    split = ml.Split(valid="2d", test="2d")
    spec = spec_of(written(tmp_path / "data", KEYS), window="8d", split=split, min_rows=10_000)
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, KEYS)
    made = world.run_all(TRAINING, spec, [NOW], **scheduled())
    read = {
        stage: [(i.asset, i.record) for i in r[NOW].inputs] for stage, r in made.items() if stage != "train"
    }
    assert read == {
        "evaluate": [("churn/model", made["train"][NOW].id)],
        "register": [("churn/evaluation", made["evaluate"][NOW].id)],
    }
