"""The form of columns, declared through both doors: what is taken, and what is said about the rest."""

from typing import Any

import pytest

import mlpipe as ml
from mlpipe.core.form import Form
from mlpipe.errors import SpecError
from mlpipe_tests.spec.declared import YAML, declared, loaded

NUMBER = {"to": "number", "null": ["NA", "?", -999], "decimal": ",", "thousands": "."}


def source(clean: Any, **more: Any) -> Any:
    return ml.CSV("rows.csv", event_time="ts", clean=clean, **more)


def mistakes(**changes: Any) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        declared(**changes)
    return {f.where.partition("key ")[2]: f.what for f in caught.value.findings}


def test_both_doors_give_one_form() -> None:
    lines = "  clean:\n    hours: {to: number, null: [NA, '?', -999], decimal: ',', thousands: .}\n"
    lines += "    left: {to: bool, truthy: [yes, 1], falsy: [no, 0]}\n"
    by_yaml = loaded(YAML.replace("  keys: [user]\n", "  keys: [user]\n" + lines)).sources["rows"].clean
    left = {"to": "bool", "truthy": ["yes", 1], "falsy": ["no", 0]}
    by_python = declared(source=source({"hours": NUMBER, "left": left})).sources["rows"].clean
    assert by_yaml == by_python
    assert by_python["hours"].form == Form("number", ("NA", "?", -999), ",", ".")
    assert by_python["left"].form == Form("bool", truthy=("yes", "1"), falsy=("no", "0"))


def test_numbers_among_spellings_are_as_they_are_written() -> None:
    clean = declared(source=source({"c": {"to": "text", "map": {1: "one", 2.0: "two", 2.5: "more"}}}))
    assert clean.sources["rows"].clean["c"].map == {"1": "one", "2": "two", "2.5": "more"}


@pytest.mark.parametrize(
    ("clean", "key", "said"),
    [
        ({"to": "int"}, "to", "unknown value 'int'. Valid: number, bool, time, text."),
        ({}, "to", "'to' is missing"),
        ("number", "", "must be a mapping of keys, got 'number'"),
        ({"to": "number", "nul": ["NA"]}, "nul", "unknown key 'nul'. Did you mean 'null'?"),
        (
            {"to": "number", "case": "lower"},
            "case",
            "says nothing about a number. Valid: null, decimal, thousands, marks.",
        ),
        (
            {"to": "text", "formats": ["iso"]},
            "formats",
            "nothing about a text. Valid: null, strip, case, map.",
        ),
        ({"to": "number", "decimal": ";"}, "decimal", "must be one of '.', ',', got ';'"),
        ({"to": "number", "marks": ["$5"]}, "marks", "without digits"),
        ({"to": "number", "thousands": "."}, "thousands", "'.' is the decimal mark too"),
        ({"to": "number", "thousands": "x"}, "thousands", "or none, got 'x'"),
        ({"to": "number", "null": [True]}, "null", "must be spellings in quotes, or numbers; got True"),
        ({"to": "text", "case": "title"}, "case", "must be one of 'lower', 'upper' or none"),
        ({"to": "time", "formats": []}, "formats", "must name at least one format"),
        ({"to": "time", "formats": ["epoch"]}, "formats", "Did you mean 'epoch_s'"),
        ({"to": "time", "formats": ["iso", "%d.%m."]}, "formats", "has no year"),
        ({"to": "bool", "truthy": ["ja"]}, "", "'truthy' without 'falsy': give both, or neither"),
        ({"to": "bool", "truthy": ["ja"], "falsy": []}, "falsy", "must name at least one spelling"),
        (
            {"to": "bool", "truthy": [True], "falsy": ["no"]},
            "truthy",
            "must be a spelling in quotes, got True",
        ),
        ({"to": "bool", "truthy": ["ja", "x "], "falsy": ["X"]}, "falsy", "'x' stands in 'truthy' too"),
        ({"to": "text", "map": ["a"]}, "map", "must map spellings to what they are called, got ['a']"),
        ({"to": "text", "map": {"a": "b", "b": "c"}}, "map.a", "leads to 'b', which is itself called 'c'"),
        ({"to": "text", "case": "lower", "map": {"A": "x", "a": "y"}}, "map.a", "is called 'x' and 'y'"),
    ],
)
def test_a_mistake_is_said_with_its_key(clean: Any, key: str, said: str) -> None:
    found = mistakes(source=source({"hours": clean}))
    place = "source.clean.hours" + (f".{key}" if key else "")
    assert list(found) == [place] and said in found[place]


def test_a_name_may_stand_for_itself() -> None:
    form = {"to": "text", "case": "lower", "map": {"NYC": "New York", "new york": "New York"}}
    assert declared(source=source({"c": form}))


def test_the_event_time_is_a_time_and_a_column_that_is_not_read_has_no_form() -> None:
    assert mistakes(source=source({"ts": {"to": "text"}})) == {
        "source.clean.ts.to": "the event time must be a time"
    }
    found = mistakes(source=source({"hous": {"to": "number"}}, columns=["hours", "adds", "churned"]))
    assert found == {
        "source.clean.hous": "'hous' is not read. Did you mean 'hours'? Valid: hours, adds, churned, ts."
    }
    assert declared(source=source({"ts": {"to": "time"}}, columns=["hours", "adds", "churned"]))


def test_the_usual_range() -> None:
    def usual(value: Any, dtype: str = "number") -> Any:
        contract = ml.Contract(columns={"hours": ml.Column(dtype, usual=value)})
        return source({}, contract=contract)

    read = declared(source=usual([0, 24])).sources["rows"].contract.columns["hours"]
    assert read.usual == (0.0, 24.0)
    assert declared(source=usual([None, 24])).sources["rows"].contract.columns["hours"].usual == (None, 24.0)
    huge = declared(source=usual([-4e300, 10**305])).sources["rows"].contract.columns["hours"].usual
    assert huge == (-4e300, 1e305), "whatever a column can hold may be usual"
    key = "source.contract.columns.hours.usual"
    for value, said in (
        ([24, 0], "low 24 is above high 0"),
        ([0], "must be two numbers [low, high]"),
        ([None, None], "must be two numbers [low, high]"),
        ("0-24", "must be two numbers [low, high]"),
        ([0, float("inf")], "must be two numbers [low, high]"),
        ([0, True], "must be two numbers [low, high]"),
    ):
        assert said in mistakes(source=usual(value))[key]
    assert mistakes(source=usual([0, 1], "string"))[key].startswith("'usual' bounds numbers")


def test_why_values_are_missing() -> None:
    features = {"columns": ["hours", "adds"], "missing": {"hours": "mar", "adds": "mnar"}}
    assert declared(features=features).features.missing == {"hours": "mar", "adds": "mnar"}
    found = mistakes(features={**features, "missing": {"hous": "mcar", "adds": "mcr"}})
    assert found == {
        "features.missing.hous": "'hous' is no feature. Did you mean 'hours'? Valid: hours, adds.",
        "features.missing.adds": "unknown value 'mcr'. Did you mean 'mcar' or 'mar'? Valid: mcar, mar, mnar.",
    }
