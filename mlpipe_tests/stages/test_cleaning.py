"""Declared forms in the life of a pipeline: raw stays as it came, validation and everything downstream read it in its form."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

import mlpipe as ml
from mlpipe.spec.calendar import Calendar
from mlpipe.spec.cleaning import Clean
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import CsvSource, JsonLinesSource
from mlpipe.stages import feature, ingest, label, validate
from mlpipe.stages.cleaning import clean_params, event_times, formed, storable
from mlpipe.stages.extent import extent
from mlpipe.stages.files import read
from mlpipe_tests.stages.pipelines import DATA, World, day, days, spec_of

CLEAN: dict[str, dict[str, Any]] = {
    "hours": {"to": "number", "decimal": ",", "thousands": ".", "null": ["?", -999]},
    "plays": {"to": "number", "null": ["NA"]},
    "city": {"to": "text", "case": "lower", "null": ["-"], "map": {"muc": "munich"}},
    "churned": {"to": "bool", "truthy": ["ja"], "falsy": ["nein"]},
}
HEAD = "user;at;hours;plays;city;reason;churned\n"
LINES = [
    "1;2024-01-01T10:00;1.234;5; Ulm;a;ja",
    "2;2024-01-01T11:00;0,5;6;MUC;a;nein",
    "3;2024-01-01T12:00;?;7;munich;a;NEIN",
    "4;2024-01-01T13:00;viel;8;-;a;ja",
    "5;2024-01-01T14:00;-999;9;Kiel;a;vielleicht",
]


def source(folder: Path, clean: Any = CLEAN, **more: Any) -> Any:
    given = {"event_time": "at", "keys": ["user"], "options": {"sep": ";"}, **more}
    return ml.CSV(f"{folder}/{{partition}}.csv", clean=clean, **given)


def one_day(folder: Path, lines: list[str] = LINES, clean: Any = CLEAN, **more: Any) -> PipelineSpec:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{day(0)}.csv").write_text(HEAD + "\n".join(lines))
    contract = more.pop("contract", ml.Contract(floor=0.5))
    return spec_of(
        folder, source=source(folder, clean, contract=contract), features=["hours", "plays", "city"], **more
    )


def test_the_form_is_applied_to_what_is_validated_and_to_everything_behind_it(tmp_path: Path) -> None:
    spec, world = one_day(tmp_path), World(tmp_path / "store")
    made = {stage: records[day(0)] for stage, records in world.run_all(DATA, spec, days(1)).items()}
    raw = world.table(made["ingest"], "rows")
    assert raw["hours"].tolist() == ["1.234", "0,5", "?", "viel", "-999"]
    assert raw["city"].tolist() == [" Ulm", "MUC", "munich", "-", "Kiel"]
    checked = made["validate"]
    assert world.table(checked, "rows/kept")["_row"].tolist() == [0, 1, 2]
    assert world.table(checked, "rows/quarantine").to_dict("records") == [
        {"row": 3, "rule": "hours readable as number", "column": "hours", "value": "viel"},
        {"row": 4, "rule": "churned readable as bool", "column": "churned", "value": "vielleicht"},
    ]
    assert [f.what for f in checked.findings] == [
        "1 of 5 rows break 'hours readable as number': viel (user=4)",
        "1 of 5 rows break 'churned readable as bool': vielleicht (user=5)",
    ]
    assert {m.name: m.value for m in checked.metrics}["consistency"] == pytest.approx(0.6)
    features = world.table(made["feature"], "features")
    assert features["hours"].tolist()[:2] == [1234.0, 0.5] and np.isnan(features["hours"][2])
    assert features["plays"].tolist() == [5, 6, 7] and features["city"].tolist() == [
        "ulm",
        "munich",
        "munich",
    ]
    assert world.table(made["label"], "labels")["churned"].tolist() == [True, False, False]


def test_rules_of_the_contract_see_the_values_and_a_cell_that_cannot_be_read_breaks_no_other(
    tmp_path: Path,
) -> None:
    columns = {
        "hours": ml.Column("number", nullable=0.5, max=1000),
        "city": ml.Column(allowed=["ulm", "munich", "kiel"]),
        "plays": ml.Column("int", nullable=0.0, min=6),
    }
    lines = [line.replace(";8;", ";8,5;") for line in LINES]
    spec, world = (
        one_day(tmp_path, lines, contract=ml.Contract(columns=columns, floor=0)),
        World(tmp_path / "s"),
    )
    record = world.run_all(DATA[:2], spec, days(1))["validate"][day(0)]
    broken = world.table(record, "rows/quarantine")
    assert list(broken[["row", "rule", "value"]].itertuples(index=False, name=None)) == [
        (0, "hours at most 1000", "1234.0"),
        (0, "plays at least 6", "5.0"),
        (3, "hours readable as number", "viel"),
        (3, "plays readable as number", "8,5"),
        (4, "churned readable as bool", "vielleicht"),
    ]


def test_keys_are_compared_in_their_form(tmp_path: Path) -> None:
    clean = {**CLEAN, "user": {"to": "text", "case": "upper"}}
    lines = [f"{key}{line[1:]}" for key, line in zip("aAbcd", LINES, strict=True)]
    world = World(tmp_path / "store")
    record = world.run_all(DATA[:2], one_day(tmp_path, lines, clean), days(1))["validate"][day(0)]
    told = world.table(record, "rows/quarantine")
    assert told.loc[told["rule"] == "user unique", ["row", "value"]].values.tolist() == [[0, "A"], [1, "A"]]


def test_a_column_with_a_form_that_is_not_there_fails_the_partition(tmp_path: Path) -> None:
    clean = {**CLEAN, "extra": {"to": "text"}}
    record = World(tmp_path / "s").run_all(DATA[:2], one_day(tmp_path, clean=clean), days(1))["validate"][
        day(0)
    ]
    assert record.verdict == "fail"
    assert "'extra readable as text' is broken: the column is missing" in [f.what for f in record.findings]
    contract = ml.Contract(columns={"extra": ml.Column("string")}, floor=0)
    spec = one_day(tmp_path, clean=clean, contract=contract)
    record = World(tmp_path / "s").run_all(DATA[:2], spec, days(1))["validate"][day(0)]
    assert sum("extra" in f.what for f in record.findings) == 1


def test_another_form_is_another_recipe_and_the_same_one_is_not(tmp_path: Path) -> None:
    world = World(tmp_path / "store")

    def recipes(clean: Any) -> dict[str, tuple[str, bool]]:
        made = world.run_all(DATA, one_day(tmp_path, clean=clean), days(1))
        return {s: (r[day(0)].recipe, r[day(0)].reused) for s, r in made.items() if s != "ingest"}

    first, again = recipes(CLEAN), recipes(dict(reversed(CLEAN.items())))
    assert not any(reused for _, reused in first.values())
    assert again == {stage: (recipe, True) for stage, (recipe, _) in first.items()}
    changed = recipes({**CLEAN, "hours": {"to": "number", "decimal": ",", "thousands": "."}})
    assert all(changed[stage][0] != first[stage][0] and not changed[stage][1] for stage in first)
    # Also where the same rows are kept.
    renamed = recipes({**CLEAN, "city": {**CLEAN["city"], "map": {"muc": "minga"}}})
    assert all(renamed[stage][0] != first[stage][0] and not renamed[stage][1] for stage in first)


def test_what_declares_no_form_costs_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    spec = one_day(tmp_path, clean={})
    frame = pd.DataFrame({"hours": ["1,5"]})
    assert formed(frame, spec.sources["rows"], spec.partitions).frame is frame
    assert storable(frame, spec.sources["rows"]) is frame
    assert clean_params(spec) == {}
    assert clean_params(one_day(tmp_path, clean={"at": {"to": "time"}})) == {}
    assert list(clean_params(one_day(tmp_path))["clean"]) == ["rows"]


def mend(rows: pd.DataFrame) -> pd.DataFrame:
    """Mends what can be: the row itself comes back only if it can then be read."""
    assert rows["hours"].iloc[0] == "viel" and rows["hours"].isna().iloc[1]
    return rows.assign(hours=rows["hours"].replace({"viel": "1.000,5"}))


def test_a_repair_sees_what_could_not_be_read_and_what_it_gives_is_read_again(tmp_path: Path) -> None:
    spec, world = one_day(tmp_path, contract=ml.Contract(floor=0, repair=mend)), World(tmp_path / "store")
    made = world.run_all(DATA, spec, days(1))
    repaired = world.table(made["validate"][day(0)], "rows/repaired")
    assert repaired["_row"].tolist() == [3] and repaired["hours"].tolist() == [1000.5]
    features = world.table(made["feature"][day(0)], "features")
    assert features["_row"].tolist() == [0, 1, 2, 3] and features["hours"][3] == 1000.5
    assert world.table(made["label"][day(0)], "labels")["churned"].tolist() == [True, False, False, True]


def same(rows: pd.DataFrame) -> pd.DataFrame:
    """A repair that mends nothing."""
    return rows


def test_a_row_that_was_not_mended_does_not_come_back_as_a_null(tmp_path: Path) -> None:
    spec, world = one_day(tmp_path, contract=ml.Contract(floor=0, repair=same)), World(tmp_path / "store")
    record = world.run_all(DATA[:2], spec, days(1))["validate"][day(0)]
    assert record.data["rows"]["rows"] == {"raw": 5, "kept": 3, "quarantined": 2, "repaired": 0}


def test_days_that_are_spelled_differently_stand_below_one_another(tmp_path: Path) -> None:
    """A day of plain numbers, one of nulls alone and one of marks: three types for a reader that guesses."""
    texts = [["1", "2"], ["", ""], ["1.234", "2.000,5"]]
    for n, hours in enumerate(texts):
        lines = [f"{10 * n + i};{day(n)}T10:00;{h};1;Ulm;a;ja" for i, h in enumerate(hours)]
        (tmp_path / f"{day(n)}.csv").write_text(HEAD + "\n".join(lines))
    spec = spec_of(tmp_path, source=source(tmp_path), features=["hours"])
    world = World(tmp_path / "store")
    made = world.run_all(DATA, spec, days(3))["feature"]
    tables = [world.table(made[k], "features")["hours"] for k in days(3)]
    assert [t.dropna().tolist() for t in tables] == [[1, 2], [], [1234, 2000.5]]


def test_a_reader_does_not_guess_where_the_spelling_counts(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b,c,d,e\n1.234,007,1,5.0,0102\n")
    clean = {
        "a": {"to": "number", "decimal": ",", "thousands": "."},
        "b": {"to": "text"},
        "c": {"to": "bool"},
        "d": {"to": "number"},
    }
    given = {"path": str(tmp_path / "rows.csv"), "clean": clean, "options": {"dtype": {"e": "str"}}}
    frame = read(CsvSource.model_validate(given), tmp_path, None, "here")
    assert frame.iloc[0].tolist() == ["1.234", "007", 1, 5.0, "0102"]
    told = {**given, "options": {"converters": {"b": int}, "dtype": {"a": float}}}
    assert read(CsvSource.model_validate(told), tmp_path, None, "here").iloc[0].tolist() == [
        1.234,
        7,
        1,
        5.0,
        102,
    ]


def test_mixed_columns_of_json_lines_are_stored_as_text_and_read_in_their_form(tmp_path: Path) -> None:
    values = [1, "2.5", 3.5, "NA", None, "x"]
    rows = [{"user": i, "at": f"{day(0)}T10:00", "hours": v, "churned": i % 2} for i, v in enumerate(values)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    clean = {"hours": {"to": "number", "null": ["NA"]}}
    given = {
        "type": "jsonl",
        "path": "rows.jsonl",
        "event_time": "at",
        "clean": clean,
        "contract": {"floor": 0},
    }
    spec, world = spec_of(tmp_path, source=given, features=["hours"]), World(tmp_path / "store")
    made = world.run_all(DATA[:3], spec, days(1))
    assert world.table(made["ingest"][day(0)], "rows")["hours"].tolist()[:3] == ["1", "2.5", "3.5"]
    assert world.table(made["validate"][day(0)], "rows/quarantine")["value"].tolist() == ["x"]
    hours = world.table(made["feature"][day(0)], "features")["hours"]
    assert hours.tolist()[:3] == [1, 2.5, 3.5] and hours.isna().tolist() == [False] * 3 + [True] * 2
    assert isinstance(spec.sources["rows"], JsonLinesSource)


# -- event times --------------------------------------------------------------------------------------------------

TIMES = [
    "2024-01-01T10:00Z",
    "01.01.2024 23:30",
    "1704110400",
    "02.01.2024",
    "gestern",
    "31.02.2024",
    "",
    "2024-01-02",
]


def timed(folder: Path, times: list[str] = TIMES, zone: str = "Europe/Berlin", **form: Any) -> PipelineSpec:
    rows = "".join(f"{i},{t},1,0\n" for i, t in enumerate(times))
    (folder / "rows.csv").write_text("user,at,hours,churned\n" + rows)
    formats = ["iso", "%d.%m.%Y %H:%M", "%d.%m.%Y", "epoch_s"]
    clean = {"at": {"to": "time", "formats": formats, **form}}
    return spec_of(
        folder,
        partitions=ml.daily(start=day(0), timezone=zone),
        source=ml.CSV("rows.csv", event_time="at", clean=clean),
        features=["hours"],
    )


def test_times_of_several_spellings_cut_one_table_and_what_is_none_is_told(tmp_path: Path) -> None:
    spec, world = timed(tmp_path), World(tmp_path / "store")
    made = world.run(ingest.STAGE, spec, days(2))
    tables = [world.table(made[k], "rows") for k in days(2)]
    assert [t["user"].tolist() for t in tables] == [[0, 2, 1], [3, 7]]
    # Without a zone, half past eleven at night is that of Berlin.
    assert tables[0]["at"].iloc[2] == datetime(2024, 1, 1, 22, 30, tzinfo=UTC)
    for record in made.values():
        assert [f.what for f in record.findings] == [
            "2 event times of the load cannot be read, such as 'gestern', '31.02.2024'",
            "1 rows of the load have no event time and belong to no partition",
        ]
        assert "belong to no partition" in record.findings[0].fix
    assert made[day(0)].params["sources"]["rows"]["time_form"]["to"] == "time"


def test_a_spelling_of_no_time_is_none(tmp_path: Path) -> None:
    spec = timed(tmp_path, null=["gestern", "31.02.2024"])
    record = World(tmp_path / "store").run(ingest.STAGE, spec, days(1))[day(0)]
    assert [f.what for f in record.findings] == [
        "3 rows of the load have no event time and belong to no partition"
    ]


def test_in_a_file_of_its_own_a_row_without_a_readable_time_is_quarantined(tmp_path: Path) -> None:
    clean = {**CLEAN, "at": {"to": "time"}}
    lines = [LINES[0], LINES[1].replace("2024-01-01T11:00", "gestern"), LINES[2]]
    world = World(tmp_path / "store")
    made = world.run_all(DATA[:2], one_day(tmp_path, lines, clean), days(1))
    assert "1 event time of the load cannot be read" in made["ingest"][day(0)].findings[0].what
    table = world.table(made["validate"][day(0)], "rows/quarantine")
    assert table["rule"].tolist() == ["at inside the partition"]


def test_a_file_is_asked_for_its_extent_in_its_form(tmp_path: Path) -> None:
    assert extent(timed(tmp_path), datetime(2030, 1, 1, tzinfo=UTC)) == (day(0), day(1))


def test_examples_are_different_and_few() -> None:
    column = pd.Series(["x" * 100, "y", "y", "z", "w", "2024-01-01", None])
    found = event_times(column, Clean(to="time"), "UTC")
    assert found.unreadable == 5 and found.examples == (repr("x" * 40), "'y'", "'z'")
    assert found.values.notna().tolist() == [False] * 5 + [True, False]


def database(folder: Path, times: list[Any], kind: str) -> Callable[..., PipelineSpec]:
    engine = sa.create_engine(f"sqlite:///{folder}/shop.db")
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"create table orders (user integer, at {kind}, hours real, churned integer)")
        )
        connection.execute(
            sa.text("insert into orders values (:user, :at, 1.5, 0)"),
            [{"user": i, "at": t} for i, t in enumerate(times)],
        )

    def spec(**form: Any) -> PipelineSpec:
        clean = {"at": {"to": "time", **form}}
        given = ml.SQL("sqlite:///shop.db", "orders", event_time="at", clean=clean)
        return spec_of(folder, source=given, features=["hours"])

    return spec


@pytest.mark.parametrize(
    ("times", "kind", "form"),
    [
        ([1704103200, 1704196800, 1704239999], "integer", {"formats": ["epoch_s"]}),
        ([1704103200000, 1704196800000, 1704239999000], "bigint", {"formats": ["epoch_ms"], "null": [-1]}),
        ([1704103200, 1704196800000, 1704239999], "integer", {"formats": ["epoch_s", "epoch_ms"]}),
        (
            ["01.01.2024", "02.01.2024 12:00", "2024-01-02"],
            "text",
            {"formats": ["%d.%m.%Y", "%d.%m.%Y %H:%M", "iso"]},
        ),
        (["2024-01-01 10:00", "2024-01-02T12:00", "2024-01-02"], "text", {}),
    ],
)
def test_tables_are_cut_by_times_of_any_form(tmp_path: Path, times: list[Any], kind: str, form: Any) -> None:
    spec = database(tmp_path, [*times, None], kind)(**form)
    assert extent(spec, datetime(2030, 1, 1, tzinfo=UTC)) == (day(0), day(1))
    world = World(tmp_path / "store")
    made = world.run(ingest.STAGE, spec, days(3))
    users = [sorted(world.table(made[k], "rows")["user"]) for k in days(3)]
    assert users == [[0], [1, 2], []]


def test_a_null_of_the_declaration_is_no_end_of_the_data(tmp_path: Path) -> None:
    spec = database(tmp_path, [0, 1704103200, 1704196800], "integer")(formats=["epoch_s"], null=[0])
    assert extent(spec, datetime(2030, 1, 1, tzinfo=UTC)) == (day(0), day(1))


def test_side_tables_meet_in_their_form(tmp_path: Path) -> None:
    (tmp_path / "cities.csv").write_text("city,size\n ULM ,1.200\nMunich,1.500.000\n")
    lines = [HEAD.strip(), *LINES[:3]]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    number = {"to": "number", "decimal": ",", "thousands": "."}
    sources = {
        "rows": ml.CSV("rows.csv", event_time="at", clean=CLEAN, options={"sep": ";"}),
        "cities": ml.CSV(
            "cities.csv", join={"on": "city"}, clean={"city": {"to": "text", "case": "lower"}, "size": number}
        ),
    }
    spec = spec_of(tmp_path, sources=sources, features=["cities.size"])
    world = World(tmp_path / "store")
    record = world.run_all(DATA[:3], spec, days(1))["feature"][day(0)]
    assert world.table(record, "features")["cities.size"].tolist() == [1200, 1_500_000, 1_500_000]


def test_many_partitions_are_asked_together_in_their_form(tmp_path: Path) -> None:
    """Rules that hold in all partitions are found in the values, not in how they are spelled."""
    for n in range(4):
        hours = ["1,5", "2,5"] if n < 3 else ["3,5", "99,5"]
        lines = [f"{10 * n + i};{day(n)}T10:00;{h};1;Ulm;a;ja" for i, h in enumerate(hours)]
        (tmp_path / f"{day(n)}.csv").write_text(HEAD + "\n".join(lines))
    contract = ml.Contract(columns={"hours": ml.Column("number", max=10)}, floor=0)
    spec = spec_of(tmp_path, source=source(tmp_path, contract=contract), features=["hours"])
    made = World(tmp_path / "store").run_all((ingest.STAGE, validate.STAGE), spec, days(4))["validate"]
    assert [made[k].data["rows"]["rows"]["quarantined"] for k in days(4)] == [0, 0, 0, 1]
    # As they are spelled, all cities would be allowed.
    contract = ml.Contract(columns={"city": ml.Column(allowed=["Ulm"])}, floor=0)
    spec = spec_of(tmp_path, source=source(tmp_path, contract=contract), features=["hours"])
    made = World(tmp_path / "store").run_all((ingest.STAGE, validate.STAGE), spec, days(4))["validate"]
    assert [made[k].data["rows"]["rows"]["kept"] for k in days(4)] == [0] * 4


def test_the_zone_of_the_source_places_times_that_are_no_event_times() -> None:
    calendar = Calendar.model_validate({"every": "day", "start": day(0), "timezone": "Europe/Berlin"})
    frame = pd.DataFrame({"paid": ["2024-07-01 12:00", "soon"]}, index=[7, 9])
    given = {"path": "x.csv", "clean": {"paid": {"to": "time"}}}
    for zone, hour in ((None, 10), ("America/New_York", 16)):
        table = formed(frame, CsvSource.model_validate({**given, "timezone": zone}), calendar)
        assert table.frame["paid"].tolist()[0] == datetime(2024, 7, 1, hour, tzinfo=UTC)
        assert table.frame["paid"].isna().tolist() == [False, True] and table.frame.index.tolist() == [7, 9]
        assert table.shown["paid"].tolist()[1] == "soon"
        (reading,) = table.readings
        assert reading.rule == "paid readable as time" and reading.broken is not None
        assert reading.broken.tolist() == [False, True]


def test_labels_of_their_own_source_are_read_in_their_form(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("\n".join([HEAD.strip(), *LINES[:3]]))
    (tmp_path / "truths.csv").write_text("user,at,left\n1,2024-01-01T12:00,Y\n2,2024-01-01T12:00,n\n")
    sources = {
        "rows": ml.CSV("rows.csv", event_time="at", keys=["user"], clean=CLEAN, options={"sep": ";"}),
        "truths": ml.CSV("truths.csv", event_time="at", keys=["user"], clean={"left": {"to": "bool"}}),
    }
    spec = spec_of(tmp_path, sources=sources, label=ml.Label("left", source="truths"), features=["hours"])
    world = World(tmp_path / "store")
    world.run_all((ingest.STAGE, validate.STAGE, feature.STAGE), spec, days(1))
    record = world.run(label.STAGE, spec, days(1))[day(0)]
    assert world.table(record, "labels")["left"].tolist() == [True, False]
    assert set(record.params["clean"]) == {"rows", "truths"}
