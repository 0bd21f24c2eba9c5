"""Ingest: whatever the source and the order, a partition's rows get the id of their content."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import DataError, SourceError, TransientError, UserCodeError
from mlpipe.stages import ingest
from mlpipe_tests.stages.pipelines import World, day, days, ids, rows, save, spec_of, written

KEYS = days(4)


def together(keys: tuple[str, ...] = KEYS) -> pd.DataFrame:
    return pd.concat([rows(k) for k in keys], ignore_index=True)


def test_every_kind_of_file_gives_the_rows_of_its_day(tmp_path: Path) -> None:
    written(tmp_path / "p", KEYS)
    written(tmp_path / "c", KEYS, "csv")
    save(together(), tmp_path / "one.csv")
    save(together(), tmp_path / "one.parquet")
    sources = {
        "parquet": ml.Parquet("p/{partition}.parquet", event_time="at", keys=["user"]),
        "csv": ml.CSV("c/{partition}.csv", event_time="at", keys=["user"]),
        "csv_cut": ml.CSV("one.csv", event_time="at", keys=["user"]),
        "parquet_cut": ml.Parquet("one.parquet", event_time="at", keys=["user"]),
        "folder": ml.Parquet("p", event_time="at", keys=["user"]),
    }
    found = {}
    for name, source in sources.items():
        world = World(tmp_path / "stores" / name)
        records = world.run(ingest.STAGE, spec_of(tmp_path, source=source), KEYS)
        assert {r.output("rows").rows for r in records.values()} == {60}
        found[name] = ids(records)
    table = world.table(records[day(2)], "rows")
    expected = rows(day(2)).sort_values("user").reset_index(drop=True)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    assert all(f == found["parquet"] for f in found.values())


def test_options_of_a_reader_may_hold_lists_and_mappings(tmp_path: Path) -> None:
    rows(day(0)).to_csv(tmp_path / f"{day(0)}.csv", sep=";", index=False)
    options = {"sep": ";", "dtype": {"plays": "str"}, "usecols": ["user", "at", "plays"]}
    source = ml.CSV("{partition}.csv", event_time="at", keys=["user"], options=options)
    world = World(tmp_path / "store")
    record = world.run(ingest.STAGE, spec_of(tmp_path, source=source), [day(0)])[day(0)]
    table = world.table(record, "rows")
    assert list(table.columns) == ["user", "at", "plays"] and isinstance(table["plays"][0], str)


def database(folder: Path, text: bool = False) -> None:
    """A table of naive times of New York, one row exactly at each midnight; as text of several spellings, or as datetimes."""
    zone = "America/New_York"
    local = [pd.Timestamp(f"{k} {t}") for k in KEYS for t in ("00:00", "00:30", "12:00", "23:59:59")]
    spelled = [
        t.isoformat(sep=" " if i % 2 else "T") if text else t.isoformat(sep=" ") for i, t in enumerate(local)
    ]
    if text == "zoned":
        spelled = [str(t.tz_localize(zone).tz_convert("UTC")).replace("+00:00", "+00") for t in local]
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute(
            f"create table orders (id integer, at {'text' if text else 'datetime'}, paid real)"
        )
        connection.executemany(
            "insert into orders values (?, ?, ?)",
            [(i, t, None if i == 3 else i / 2) for i, t in enumerate(spelled)],
        )
    connection.close()


SQL = {
    "table": ml.SQL("sqlite:///${SHOP_FOLDER}/shop.db", table="orders", event_time="at", keys=["id"]),
    "columns": ml.SQL(
        "sqlite:///shop.db", table="orders", event_time="at", keys=["id"], columns=["id", "at", "paid"]
    ),
    "query": ml.SQL(
        "sqlite:///shop.db",
        query="select id, at, paid from orders where at >= :start and at < :end",
        event_time="at",
        keys=["id"],
    ),
}


@pytest.mark.parametrize("text", [False, True, "zoned"])
@pytest.mark.parametrize("kind", list(SQL))
def test_sql_gives_each_day_its_rows_midnight_included(
    tmp_path: Path, kind: str, text: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "query" and text == "zoned":
        pytest.skip("a query compares as it says; times in another zone are its own affair")
    database(tmp_path, text)
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    calendar = ml.daily(start="2024-01-01", timezone="America/New_York")
    spec = spec_of(tmp_path, source=SQL[kind], partitions=calendar, label=ml.Label("paid"), features=["id"])
    world = World(tmp_path / "store")
    ranged = world.run(ingest.STAGE, spec, KEYS)
    assert [list(world.table(ranged[k], "rows")["id"]) for k in KEYS] == [
        list(range(4 * i, 4 * i + 4)) for i in range(4)
    ]
    assert world.table(ranged[day(1)], "rows")["at"][0] == pd.Timestamp("2024-01-02 05:00", tz="UTC")
    single = {k: world.run(ingest.STAGE, spec, [k])[k] for k in KEYS}
    assert ids(single) == ids(ranged)


def test_sql_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database(tmp_path)
    world = World(tmp_path / "store")

    def fails(**settings: object) -> str:
        given = {"event_time": "at", "keys": ["id"], **settings}
        source = ml.SQL(**{"url": "sqlite:///shop.db", **given})
        spec = spec_of(tmp_path, source=source, label=ml.Label("paid"), features=["id"])
        with pytest.raises((SourceError, DataError)) as error:
            world.run(ingest.STAGE, spec, KEYS)
        assert not isinstance(error.value, TransientError)
        return str(error.value)

    assert "no table 'order'" in fails(table="order") and "orders" in fails(table="order")
    assert "no column 'when'" in fails(table="orders", event_time="when")
    assert "no column 'payed'" in fails(table="orders", columns=["payed"])
    assert "holds numbers" in fails(table="orders", event_time="paid")
    assert "no such column" in fails(query="select nope from orders")
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    assert "SHOP_PASSWORD is not set" in fails(url="sqlite:///${SHOP_PASSWORD}.db", table="orders")
    unreachable = spec_of(tmp_path, source=ml.SQL("sqlite:///no/folder.db", table="orders", event_time="at"))
    with pytest.raises(TransientError, match="unable to open"):
        world.run(ingest.STAGE, unreachable, KEYS)
    secret = fails(url="nobase://me:s3cret@host/db", table="orders")
    assert "cannot be used" in secret and "s3cret" not in secret


class Calls:
    """A load function that counts its calls, over a table where integers have a null on one day."""

    def __init__(self) -> None:
        self.windows: list[tuple[datetime, datetime]] = []
        self.frame = together()
        self.frame["plays"] = self.frame["plays"].astype("float64")
        self.frame.loc[70, "plays"] = None
        self.frame["flag"] = self.frame["plays"].gt(5).astype(object).where(self.frame["plays"].notna())

    def __call__(self, window: object) -> pd.DataFrame:
        self.windows.append((window.start, window.end))
        at = self.frame["at"]
        part = self.frame[(at >= window.start) & (at < window.end)]
        # A reader of its own for each call: whole numbers without a null come as integers.
        whole = part["plays"].notna().all()
        return part.assign(plays=part["plays"].astype("int64")) if whole else part


def test_a_range_is_one_call_and_gives_what_single_days_give(tmp_path: Path) -> None:
    calls = Calls()
    spec = spec_of(tmp_path, source=ml.Load(calls, event_time="at", keys=["user"]))
    world = World(tmp_path / "store")
    ranged = world.run(ingest.STAGE, spec, KEYS)
    assert calls.windows == [(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 5, tzinfo=UTC))]
    before = world.objects()
    single = {k: world.run(ingest.STAGE, spec, [k])[k] for k in reversed(KEYS)}
    assert len(calls.windows) == 5
    assert ids(single) == ids(ranged) and world.objects() == before


def test_the_same_again_makes_nothing_new_and_corrected_data_a_new_id(tmp_path: Path) -> None:
    written(tmp_path, KEYS)
    spec, world = spec_of(tmp_path), World(tmp_path / "store")
    first = world.run(ingest.STAGE, spec, KEYS)
    before = world.objects()
    save(rows(day(0)).sample(frac=1, random_state=1), tmp_path / f"{day(0)}.parquet")
    assert ids(world.run(ingest.STAGE, spec, KEYS)) == ids(first) and world.objects() == before
    save(rows(day(1)).assign(hours=1.0), tmp_path / f"{day(1)}.parquet")
    second = world.run(ingest.STAGE, spec, KEYS)
    assert [k for k in KEYS if ids(second)[k] != ids(first)[k]] == [day(1)]
    assert world.table(first[day(1)], "rows")["hours"].nunique() > 1
    assert set(world.table(second[day(1)], "rows")["hours"]) == {1.0}


def test_a_day_that_the_clocks_change_has_its_23_or_25_hours(tmp_path: Path) -> None:
    local = pd.date_range("2024-03-30", "2024-04-01", freq="30min", inclusive="left").tolist()
    local += pd.date_range("2024-10-26", "2024-10-28", freq="30min", inclusive="left").tolist()
    frame = pd.DataFrame({"id": range(len(local)), "at": [t.isoformat() for t in local], "y": 0})
    frame.to_csv(tmp_path / "all.csv", index=False)
    calendar = ml.daily(start="2024-03-30", timezone="Europe/Berlin")
    source = ml.CSV("all.csv", event_time="at", keys=["id"])
    spec = spec_of(tmp_path, partitions=calendar, source=source, label=ml.Label("y"), features=["id"])
    world = World(tmp_path / "store")
    keys = ("2024-03-30", "2024-03-31", "2024-04-01", "2024-10-26", "2024-10-27")
    records = world.run(ingest.STAGE, spec, keys)
    # 02:00 and 02:30 of 31 March never happened: they move to 03:00, and the day keeps its 48 rows.
    assert [records[k].output("rows").rows for k in keys] == [48, 48, 0, 48, 48]
    spring = world.table(records["2024-03-31"], "rows")["at"]
    assert (spring == pd.Timestamp("2024-03-31 01:00", tz="UTC")).sum() == 3
    autumn = world.table(records["2024-10-27"], "rows")["at"]
    assert autumn.min() == pd.Timestamp("2024-10-26 22:00", tz="UTC")
    assert autumn.max() == pd.Timestamp("2024-10-27 22:30", tz="UTC")
    single = {k: world.run(ingest.STAGE, spec, [k])[k] for k in keys}
    assert ids(single) == ids(records)


def test_columns_that_come_go_or_change_are_findings_that_name_column_and_day(tmp_path: Path) -> None:
    changes = {
        "d1": lambda f: f.assign(extra=1),
        "d2": lambda f: f.drop(columns="hours").assign(plays=None),
        "d3": lambda f: f.assign(city=1, plays="many"),
    }
    written(tmp_path, KEYS, **changes)
    records = World(tmp_path / "store").run(ingest.STAGE, spec_of(tmp_path), KEYS)
    found = {k: [f"{f.where}: {f.what}" for f in r.findings] for k, r in records.items()}
    assert found[day(0)] == []
    assert found[day(1)] == ["source rows, column extra: appeared since 2024-01-01, as int"]
    assert found[day(2)] == [
        "source rows, column hours: vanished since 2024-01-02",
        "source rows, column extra: vanished since 2024-01-02",
    ]
    assert "source rows, column city: changed type since 2024-01-03: string to int" in found[day(3)]
    assert "source rows, column hours: appeared since 2024-01-03, as float" in found[day(3)]


def test_an_empty_day_is_no_finding(tmp_path: Path) -> None:
    frame = together()
    frame = frame[frame["at"].dt.date.astype(str) != day(1)]

    def load(window: object) -> pd.DataFrame:
        part = frame[(frame["at"] >= window.start) & (frame["at"] < window.end)]
        return part if len(part) else pd.DataFrame()

    spec = spec_of(tmp_path, source=ml.Load(load, event_time="at", keys=["user"]))
    world = World(tmp_path / "store")
    records = {k: world.run(ingest.STAGE, spec, [k])[k] for k in KEYS}
    assert [r.output("rows").rows for r in records.values()] == [60, 0, 60, 60]
    assert not any(r.findings for r in records.values())


def test_rows_without_a_time_are_counted(tmp_path: Path) -> None:
    frame = together()
    frame.loc[[3, 99, 200], "at"] = pd.NaT
    save(frame, tmp_path / "one.parquet")
    spec = spec_of(tmp_path, source=ml.Parquet("one.parquet", event_time="at", keys=["user"]))
    records = World(tmp_path / "store").run(ingest.STAGE, spec, KEYS)
    assert sum(r.output("rows").rows for r in records.values()) == 237
    assert "3 rows of the load have no event time" in records[day(0)].findings[0].what


def broken_day(kind: str, folder: Path) -> str:
    """A day that cannot be read or stored, and what its error must say."""
    path = folder / f"{day(1)}.parquet"
    if kind == "missing":
        path.unlink()
        return "there is no file"
    if kind == "damaged":
        path.write_bytes(b"PAR1 no")
        return "cannot be read as Parquet"
    if kind == "reserved":
        save(rows(day(1)).assign(_row=1), path)
        return "the name '_row' is taken"
    if kind == "column":
        save(rows(day(1)).drop(columns="user"), path)
        return "there is no column 'user'"
    save(rows(day(1)).assign(never=np.full(60, "3000-01-01", dtype="datetime64[s]")), path)
    return "cannot be stored"


@pytest.mark.parametrize("kind", ["missing", "damaged", "reserved", "column", "distant"])
def test_one_bad_day_does_not_hold_up_the_others(tmp_path: Path, kind: str) -> None:
    written(tmp_path, KEYS)
    said = broken_day(kind, tmp_path)
    spec, world = spec_of(tmp_path), World(tmp_path / "store")
    with pytest.raises((SourceError, DataError)) as error:
        world.run(ingest.STAGE, spec, KEYS)
    text = str(error.value)
    assert said in text and day(1) in text and "source rows" in text
    assert len(world.stored_records(spec)) == 3
    assert sorted(world.heads.find("churn/raw", KEYS)) == [day(0), day(2), day(3)]


def test_a_load_function_that_fails_is_named_with_file_and_line(tmp_path: Path) -> None:
    def broken(window: object) -> pd.DataFrame:
        return pd.DataFrame({"at": []})["nothing"]

    def wrong(window: object) -> pd.DataFrame:
        return [1, 2]

    def lost(window: object) -> pd.DataFrame:
        raise ConnectionError("gone")

    def slow(window: object) -> pd.DataFrame:
        while True:
            pass

    world = World(tmp_path / "store")
    said = {}
    for function in (broken, wrong, lost, slow):
        source = ml.Load(function, event_time="at", keys=["user"], timeout="0.2s")
        with pytest.raises((UserCodeError, TransientError)) as error:
            world.run(ingest.STAGE, spec_of(tmp_path, source=source), KEYS)
        said[function] = str(error.value)
    line = broken.__code__.co_firstlineno + 1
    assert "broken raised KeyError: 'nothing'" in said[broken] and f"{__file__}:{line}" in said[broken]
    assert f"{__file__}:{wrong.__code__.co_firstlineno}" in said[wrong] and "list came" in said[wrong]
    assert "lost failed: ConnectionError: gone" in said[lost]
    assert "took longer than 0.2 s" in said[slow]


def test_a_source_of_another_asset_is_cut_like_any_other(tmp_path: Path) -> None:
    from dataclasses import replace

    from mlpipe.stages.runner import run_stage

    spec = spec_of(tmp_path, source=ml.Upstream("shop/users", event_time="at", keys=["user"]))
    world = World(tmp_path / "store")
    context = replace(world.context(spec), upstream={"rows": rows})
    records = {r.partition: r for r in run_stage(ingest.STAGE, spec, KEYS, context)}
    assert [r.output("rows").rows for r in records.values()] == [60] * 4
    assert records[day(1)].inputs[0].asset == "shop/users" and records[day(1)].inputs[0].partition == day(1)


def test_parameters_hold_no_credentials(tmp_path: Path) -> None:
    database(tmp_path)
    source = ml.SQL("sqlite:///shop.db", table="orders", event_time="at", keys=["id"])
    spec = spec_of(tmp_path, source=source, label=ml.Label("paid"), features=["id"])
    record = World(tmp_path / "store").run(ingest.STAGE, spec, [day(0)])[day(0)]
    assert "shop.db" not in record.model_dump_json() and record.params["sources"]["rows"]["table"] == "orders"
