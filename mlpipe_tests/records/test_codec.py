"""Records: what is written is read back, whatever it holds, and what was once written stays readable."""

import json
import math
import re
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlpipe.errors import StoreError
from mlpipe.records.codec import (
    EVENT_LIMIT,
    HEAD_DATA,
    PLOTTED,
    TABLE_LIMIT,
    canonical,
    coerce,
    digest,
    from_bytes,
    from_entries,
    head_of,
    sealed,
    sparkline,
    to_bytes,
    to_entries,
)
from mlpipe.records.record import SCHEMA_VERSION, Found, Input, MetricValue, Output, Record, Trigger

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**31), 2**31).map(np.int64),
    st.booleans().map(np.bool_),
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)),
    st.decimals(allow_nan=False),
    st.lists(st.floats(), max_size=3).map(np.array),
)
trees = st.recursive(
    scalars,
    lambda t: st.one_of(
        st.lists(t, max_size=3), st.dictionaries(st.text(max_size=8), t, max_size=3), st.tuples(t, t)
    ),
    max_leaves=12,
)
names = st.text(max_size=12)
metrics = st.builds(
    MetricValue,
    name=names,
    value=st.floats(),
    better=st.sampled_from(["higher", "lower", ""]),
    split=names,
    low=st.none() | st.floats(),
    high=st.none() | st.floats(),
)
outputs = st.builds(
    Output, name=names, id=names, rows=st.none() | st.integers(0, 2**62), bytes=st.integers(0, 2**62)
)
inputs = st.builds(Input, asset=names, partition=names, record=names, event=names, id=names)
times = st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC))
records = st.builds(
    Record,
    pipeline=names,
    segment=st.none() | names,
    stage=names,
    asset=names,
    partition=names,
    as_of=times,
    recorded_at=times,
    trigger=st.builds(Trigger, kind=names, reason=names, details=st.dictionaries(names, names, max_size=2)),
    params=st.dictionaries(names, trees, max_size=4),
    metrics=st.lists(metrics, max_size=4).map(tuple),
    inputs=st.lists(inputs, max_size=3).map(tuple),
    outputs=st.lists(outputs, max_size=3, unique_by=lambda o: o.name).map(tuple),
    findings=st.lists(st.builds(Found, what=names, where=names, fix=names), max_size=3).map(tuple),
    data=st.dictionaries(names | st.just(HEAD_DATA), trees, max_size=4),
    seeds=st.dictionaries(names, st.integers(0, 2**31), max_size=2),
    headline=st.text(max_size=50),
    experiment=names,
)


@settings(max_examples=80)
@given(record=records)
def test_a_record_survives_its_bytes(record: Record) -> None:
    kept = sealed(record)
    data = to_bytes(kept)
    again = from_bytes(data)
    assert to_bytes(again) == data and again.id == kept.id
    assert [repr(m.value) for m in again.metrics] == [repr(m.value) for m in record.metrics]
    assert again.as_of == record.as_of and again.inputs == kept.inputs and again.params == kept.params
    assert sealed(again) == again or any(math.isnan(m.value) for m in again.metrics)


@settings(max_examples=80)
@given(record=records)
def test_an_event_gives_the_head_back(record: Record) -> None:
    kept = sealed(record)
    entries = json.loads(canonical(to_entries(kept)))
    head = from_entries(entries["record"], asset=kept.asset, partition=kept.partition, event="17")
    assert head == head_of(kept, event="17")


def a_record(**changes: Any) -> Record:
    given = {"pipeline": "p", "stage": "train", "asset": "p/model", "partition": "2024-01-01"}
    return Record(**{**given, "as_of": NOW, "recorded_at": NOW, **changes})


class Colour(Enum):
    RED = "red"


class Secretive:
    def __repr__(self) -> str:
        return "password=hush"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64("nan"), "nan"),
        (-math.inf, "-inf"),
        (np.int8(3), 3),
        (np.array([[1, 2]]), [[1, 2]]),
        (pd.Timestamp("2024-01-01", tz="Europe/Berlin"), "2023-12-31T23:00:00+00:00"),
        (timedelta(days=123, hours=4, minutes=5, seconds=6), "10641906s"),
        (timedelta(microseconds=1500), "0.0015s"),
        (date(2024, 1, 1), "2024-01-01"),
        (Decimal("0.10"), "0.10"),
        (Colour.RED, "red"),
        (re.compile("a+"), "a+"),
        ({3, 1, 2}, [1, 2, 3]),
        (OrderedDict(b=1, a=(2,)), {"b": 1, "a": [2]}),
        (Path("a/b"), "a/b"),
        ("\ud800", "?"),
        (Secretive(), f"{__name__}.Secretive"),
        (LogisticRegression, "sklearn.linear_model._logistic:LogisticRegression"),
        (math.sqrt, "math:sqrt"),
        (partial(math.pow, 2), "functools:partial"),
        (pd.Series([1, 2]), [1, 2]),
    ],
)
def test_values_become_json(value: object, expected: object) -> None:
    assert coerce(value) == expected


def test_an_estimator_is_its_class_and_parameters() -> None:
    found = coerce(make_pipeline(LogisticRegression(C=0.5)))
    assert found["class"] == "sklearn.pipeline.Pipeline"
    assert found["steps"][0][1]["C"] == 0.5 and "0x" not in json.dumps(found)


def test_different_values_have_different_digests() -> None:
    values = [
        b"a",
        b"b",
        timedelta(days=100, seconds=1),
        timedelta(days=100, seconds=2),
        True,
        1,
        "1",
        None,
        {},
        [],
    ]
    assert len({digest(v) for v in values}) == len(values)
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


@pytest.mark.parametrize(
    "params",
    [
        {f"parameter_{i}": "x" * 50 for i in range(5000)},
        {"one": "x" * 10**6},
        {"nested": {"deep": list(range(50_000))}, "small": 1},
    ],
)
def test_an_event_stays_small_whatever_the_record_holds(params: dict[str, Any]) -> None:
    record = a_record(
        params=params,
        data={**params, HEAD_DATA: {"version": 1}},
        metrics=tuple(MetricValue(name=f"m{i}", value=float(i)) for i in range(500)),
        findings=tuple(Found(what="w" * 500, where="here") for _ in range(200)),
        headline="h" * 5000,
    )
    entries = to_entries(sealed(record))
    assert len(canonical(entries)) < min(EVENT_LIMIT, 10_000)
    assert sum(k.startswith("metric/") for k in entries) == PLOTTED
    assert "more in the record" in entries["params"]["…"] and "more" in entries["findings"]
    assert from_bytes(to_bytes(sealed(record))).params == coerce(params)


def test_curves_stand_in_the_event_in_small_and_never_break_its_bound() -> None:
    points = [[float(i), 100.0 - i] for i in range(60)]
    told = {"text": "converged since step 50", "verdict": "converged"}
    record = a_record(
        data={"curves": {"log": {"valid_loss": told}}, "rows": 3},
        plots={"curves": {"log": {"valid_loss": points}}, "confusion": {"matrix": [[1, 2], [3, 4]]}},
    )
    entries = to_entries(sealed(record))
    assert entries["curves"].startswith("* `█") and "▁` log" in entries["curves"]
    assert "log valid_loss converged since step 50" in entries["curves"] and entries["data"] == {"rows": 3}
    assert entries["plots"] == record.plots
    many = {f"series {i}": points for i in range(500)}
    large = to_entries(sealed(a_record(plots={"curves": {"log": many}, "confusion": {"matrix": [[1]]}})))
    assert large["plots"] == {"confusion": {"matrix": [[1]]}} and "more" in large["curves"]
    assert len(canonical(large)) < EVENT_LIMIT


def decided(gate: str, sentence: str, **given: Any) -> dict[str, Any]:
    return {"gate": gate, "verdict": "pass", "observed": None, "limit": None, "sentence": sentence, **given}


def test_decisions_of_gates_are_a_table_in_the_event() -> None:
    gates = [
        decided("at_least(f1, 0.6)", "f1 is 0.5,\nbelow 0.6.", verdict="fail", observed=0.5, limit=0.6),
        decided("custom(a|b)", "x | y [z](http://z) \\| `q`", verdict="not_comparable"),
    ]
    record = a_record(
        stage="evaluate", data={"gates": gates, "staging_gates": [decided("robust", "No crash.")]}
    )
    assert to_entries(sealed(record))["gates"].split("\n") == [
        "| gate | verdict | observed | limit | sentence |",
        "|---|---|---|---|---|",
        r"| at\_least(f1, 0.6) | fail | 0.5 | 0.6 | f1 is 0.5, below 0.6. |",
        r"| custom(a\|b) | not comparable | – | – | x \| y \[z\](http://z) \\\| \`q\` |",
        "| staging: robust | pass | – | – | No crash. |",
    ]
    assert "gates" not in to_entries(sealed(a_record(stage="evaluate", data={"gates": []})))


def test_a_watched_day_shows_its_measures_and_levels_as_tables_in_the_event() -> None:
    measures = {"ho|urs": {"psi": 0.5, "ks": 0.25}, "plays": {"psi": 0.2, "ks": None}}
    head = {
        "measures": measures,
        "psi": {"ho|urs": [0.5, 0.1], "plays": [0.2, 0.15]},
        "drifted": ["ho|urs"],
        "alarms": ["ho|urs", "plays"],
        "levels": {"age_hours": [30.0, "missed"], "performance_fall": [None, "unknown"]},
        "response": {"age_hours": ["page", "critical", "< 24"]},
    }
    entries = to_entries(sealed(a_record(stage="monitor", data={"head": head})))
    assert entries["drift"].split("\n") == [
        "| column | alarm | psi | ks | limit of the PSI |",
        "|---|---|---|---|---|",
        r"| ho\|urs | drifts | 0.5 | 0.25 | 0.1 |",
        "| plays | over today | 0.2 |  | 0.15 |",
    ]
    assert entries["levels"].split("\n")[2:] == [
        r"| age\_hours | 30 | missed | page |",
        r"| performance\_fall |  | unknown |  |",
    ]
    nothing = to_entries(sealed(a_record(stage="monitor", data={"head": {}})))
    assert "drift" not in nothing and "levels" not in nothing


def test_a_table_of_decisions_keeps_its_bound_whatever_they_say() -> None:
    many = [decided(f"own_{i}", "\0|é" * 1000) for i in range(500)]
    entries = to_entries(sealed(a_record(stage="evaluate", data={"gates": many})))
    shown = entries["gates"].split("\n")
    assert shown[-1] == f"… and {500 - (len(shown) - 4)} more in the record" and len(shown) > 5
    assert len(canonical(entries["gates"])) < TABLE_LIMIT + 500


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, None, 0], "█ ▁"),
        ([5, 5], "▁▁"),
        ([math.nan, math.inf], "  "),
        ([-1.7e308, 1.7e308], "▁█"),
        ([], ""),
        (list(range(240)), "▁▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▅▆▆▆▇▇██"),
    ],
)
def test_a_curve_in_a_line(values: list[float | None], line: str) -> None:
    assert len(sparkline(values)) == min(len(values), 24)
    assert sparkline(values)[:1] == line[:1] and sparkline(values)[-1:] == line[-1:]
    if len(values) <= 24:
        assert sparkline(values) == line


def test_a_head_without_bound_is_refused() -> None:
    with pytest.raises(StoreError, match="exceeds"):
        to_entries(sealed(a_record(data={HEAD_DATA: "x" * 70_000})))


def test_metrics_that_are_not_numbers_are_not_plotted() -> None:
    record = sealed(
        a_record(metrics=(MetricValue(name="a", value=math.nan), MetricValue(name="b", value=1.25)))
    )
    assert [k for k in to_entries(record) if k.startswith("metric/")] == ["metric/b"]


def test_a_changed_newer_or_damaged_record_is_an_error() -> None:
    body = json.loads(to_bytes(sealed(a_record(headline="true"))))
    for change, said in (
        ({"headline": "false"}, "does not match its id"),
        ({"schema_version": SCHEMA_VERSION + 1}, "newer than this mlpipe reads"),
        ({"as_of": "yesterday"}, "damaged"),
    ):
        with pytest.raises(StoreError, match=said):
            from_bytes(canonical({**body, **change}))
    for data in (b"", b"{}", b"[1]", b"{", b"\xff"):
        with pytest.raises(StoreError, match="damaged"):
            from_bytes(data)


def test_records_of_old_schemas_stay_readable() -> None:
    """Never write these files again: they stand for all stores there are."""
    files = sorted(GOLDEN.glob("*.json"))
    assert {int(re.findall(r"schema_(\d+)", f.name)[0]) for f in files} == {*range(1, SCHEMA_VERSION + 1)}
    for file in files:
        record = from_bytes(file.read_bytes())
        assert record.pipeline == "churn" and record.stage == "evaluate" and record.partition == "2024-03-01"
        assert record.metrics[0].value == 0.8125 and math.isnan(record.metrics[1].value)
        assert record.metrics[2].low == -math.inf
        assert record.inputs[0].record.startswith("rec-") and record.output("scored").rows == 240
        assert record.data[HEAD_DATA] == {"gates_passed": True, "primary": "roc_auc"}
        assert record.as_of == datetime(2024, 3, 1, 4, tzinfo=UTC)
        assert record.code.fingerprints and record.environment.packages["numpy"] == "2.4.0"
        head = from_entries(to_entries(record)["record"], asset=record.asset, partition=record.partition)
        assert head == head_of(record)
