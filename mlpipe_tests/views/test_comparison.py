"""Comparisons by hand, and the story: a new column, and three weeks later false positives."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mlpipe.index.origins import Origin, Seen, Span
from mlpipe.index.shelf import open_shelf
from mlpipe.records.record import Code, Environment, MetricValue, Record
from mlpipe.views.compared import as_csv, as_text, to_dict
from mlpipe.views.comparison import Comparison, Subject, compare
from mlpipe.views.subjects import compared
from mlpipe_tests.views.story import story

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def record(**changes: Any) -> Record:
    given: dict[str, Any] = {
        "id": "rec-1",
        "pipeline": "p",
        "stage": "train",
        "asset": "p/model",
        "partition": "2024-01-01",
        "as_of": NOW,
        "recorded_at": NOW,
    }
    return Record(**{**given, **changes})


def subject(
    name: str, origin: Origin | None = None, files: dict[str, str] | None = None, **changes: Any
) -> Subject:
    return Subject(name, record(**changes), origin=origin or Origin(), files=files or {})


def line(found: Comparison, section: str, key: str) -> tuple[Any, ...]:
    return next(x.values for x in found.lines if (x.section, x.key) == (section, key))


def test_a_record_and_itself_differ_in_nothing() -> None:
    one = subject("a", params={"lr": 1}, environment=Environment(python="3.11"))
    found = compare([one, one])
    assert found.told == ("Nothing that may change a result differs.",)
    assert not [x for x in found.lines if x.differs]
    assert "differ" not in as_text(found).replace("result differs", "")


def test_nested_parameters_are_compared_one_by_one() -> None:
    found = compare(
        [
            subject("a", params={"model": {"lr": 0.1, "depth": 3}}),
            subject("b", params={"model": {"lr": 0.2, "depth": 3}}),
        ]
    )
    assert line(found, "parameters", "model.lr") == (0.1, 0.2)
    assert [x.key for x in found.section("parameters")] == ["model.lr"]
    assert found.told == ("Parameters differ: model.lr 0.1 to 0.2.",)
    assert len(found.section("parameters", every=True)) == 2


def test_a_number_and_a_text_of_it_differ() -> None:
    found = compare([subject("a", params={"x": 1}), subject("b", params={"x": "1"})])
    assert found.section("parameters")[0].values == (1, "1")


@pytest.mark.parametrize(
    ("better", "old", "new", "told"),
    [
        ("higher", (0.8, 0.7, 0.9), (0.6, 0.5, 0.65), "-0.2, worse; the intervals are apart"),
        ("higher", (0.8, 0.7, 0.9), (0.85, 0.75, 0.95), "+0.05, better; the intervals overlap"),
        ("lower", (0.2, None, None), (0.3, None, None), "+0.1, worse"),
        ("", (1.0, None, None), (2.0, None, None), "+1"),
    ],
)
def test_a_metric_tells_which_way_it_went(better: Any, old: Any, new: Any, told: str) -> None:
    def of(value: float, low: float | None, high: float | None) -> tuple[MetricValue, ...]:
        return (MetricValue(name="m", value=value, better=better, split="test", low=low, high=high),)

    found = compare([subject("a", metrics=of(*old)), subject("b", metrics=of(*new))])
    assert next(x.note for x in found.lines if x.key == "m") == told
    assert (found.told[0].startswith("Worse: m")) == ("worse" in told)


def test_columns_that_come_go_and_change_type_are_named() -> None:
    days = ("d1", "d2", "d3")
    old = {
        "rows": {
            "gone": Seen(("int",), days, days),
            "kept": Seen(("int",), days, days),
            "x": Seen(("int",), days, days),
        }
    }
    new = {
        "rows": {
            "came": Seen(("float",), days[1:], days),
            "kept": Seen(("string",), days, days),
            "x": Seen(("float",), days, days),
        }
    }
    told = compare([subject("a", Origin(columns=old)), subject("b", Origin(columns=new))]).told
    assert told == (
        "Source rows sends a new column 'came' (float) since d2.",
        "Source rows no longer sends the column 'gone' (int).",
        "Column 'kept' of source rows changed its type from int to string.",
    )


def test_inputs_made_again_are_told() -> None:
    spans = {"features": Span(("d1",), 3)}
    a, b = (
        Origin(spans=spans, objects={("p/features", "d1", "features"): i}) for i in ("table-1", "table-2")
    )
    told = compare([subject("a", a), subject("b", b)]).told
    assert told == ("1 inputs of the same partitions were made again with another content: p/features d1.",)


def test_code_is_told_by_function_and_by_file() -> None:
    files = {"f.py": "a = 1\nb = 2\n"}, {"f.py": "a = 1\nb = 3\n", "g.py": "c = 1\n"}
    codes = [Code(fingerprints={"mlpipe_user_3.f.fit": mark}) for mark in ("aaaa", "bbbb")]
    found = compare([subject(n, files=f, code=c) for n, f, c in zip("ab", files, codes, strict=True)])
    assert found.told == ("Functions of yours differ: f.fit (train).",)
    notes = {x.key: x.note for x in found.section("code")}
    assert notes["file f.py"] == "changed, +1 −1 lines" and notes["file g.py"] == "added, +1 −0 lines"


def test_only_what_may_change_a_result_is_told_of_the_environment() -> None:
    a = Environment(host="one", packages={"numpy": "1", "dagster": "1"})
    b = Environment(host="two", packages={"numpy": "2", "dagster": "2"})
    found = compare([subject("a", environment=a), subject("b", environment=b)])
    assert found.told == ("The environment differs: packages.numpy 1 to 2.",)
    assert {x.key for x in found.section("environment")} == {"host", "packages.numpy", "packages.dagster"}


def test_drift_is_told_from_a_tenth_on() -> None:
    found = compare([subject("a"), subject("b")], {"calm": [0.0, 0.09], "wild": [0.0, 0.4]})
    assert found.told == ("Features are distributed otherwise (PSI): wild 0.40.",)
    text = as_text(found)
    assert "PSI of wild" in text and "PSI of calm" not in text and "PSI of calm" in as_text(found, every=True)


def test_json_and_csv_hold_the_same_differences() -> None:
    found = compare([subject("a", params={"x": None, "y": 'q"1'}), subject("b", params={"x": 1.5})])
    body = json.loads(json.dumps(to_dict(found)))
    assert body["differences"]["parameters"]["x"]["values"] == [None, 1.5]
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert {(r["key"], r["a"], r["b"]) for r in rows if r["section"] == "parameters"} == {
        ("x", "", "1.5"),
        ("y", 'q"1', ""),
    }


def test_what_a_stranger_wrote_does_not_steer_the_terminal() -> None:
    found = compare([subject("a", params={"x": "1"}), subject("b", params={"x": "\x1b[2J"})])
    assert "\x1b" not in as_text(found)


def test_another_model_is_told_without_each_of_its_parameters() -> None:
    a = {"model": {"class": "A", "C": 1}, "preprocess": {"numbers": 1}, "window": "10d"}
    b = {"model": {"class": "B", "depth": 3}, "preprocess": {"numbers": 2}, "window": "20d"}
    found = compare([subject("a", params=a), subject("b", params=b)])
    assert found.told == ("It is another model: A, now B.", "Parameters differ: window 10d to 20d.")
    assert len(found.section("parameters")) == 5


def test_of_several_the_best_is_named() -> None:
    def of(value: float) -> tuple[MetricValue, ...]:
        return MetricValue(name="f1", value=value, better="higher"), MetricValue(
            name="loss", value=value, better="lower"
        )

    found = compare([subject(n, metrics=of(v)) for n, v in (("a", 0.1), ("b", 0.3), ("c", 0.3))])
    assert found.told == ("Best: f1 b, c; loss a.", "Nothing that may change a result differs.")
    assert compare([subject(n, metrics=of(0.1)) for n in "abc"]).told == (
        "Nothing that may change a result differs.",
    )


# -- the story ------------------------------------------------------------------------------------------------------


def test_one_comparison_names_the_new_column_behind_the_false_positives() -> None:
    with open_shelf(story().store) as shelf:
        found = compared(shelf, ["churn@1", "churn@production"])
    worse, better, column, feature = found.told
    assert worse.startswith("Worse: ") and "precision on live days" in worse and "precision" in better
    assert column == "Source rows sends a new column 'promo' (float) since 2024-01-23."
    assert feature == "It learned from features that were not there before: promo."
    before, after = line(found, "result", "precision on live days")
    assert after < before / 2
    assert line(found, "data", "column rows.promo") == (
        None,
        "float, from 2024-01-23 on (14 of 20 partitions)",
    )
    assert not found.section("code") and not found.section("environment")
    assert [x.key for x in found.section("parameters")] == ["preprocess.numbers.columns.2", "features promo"]
