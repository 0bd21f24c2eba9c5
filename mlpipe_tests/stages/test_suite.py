"""A contract becomes a Great Expectations suite that its own tools read."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlpipe.errors import SpecError
from mlpipe.spec.sources import Column, Contract, Expectation
from mlpipe.stages.expectations import evaluate
from mlpipe.stages.suite import compile_suite, known_expectations

# Short forms, such as a list or "2h", are read at load, which the types of the fields do not say.
terms: Callable[..., Contract] = Contract
col: Callable[..., Column] = Column

FULL = terms(
    columns={
        "temp": col(dtype="float", nullable=0.1, min=0, max=120),
        "origin": col(allowed=["JFK", "LGA"], pattern="^[A-Z]{3}$", nullable=0),
        "tail": col(unique=True),
    },
    unique=["origin", "flight"],
    min_rows=2,
    max_rows=9,
    expectations=[
        Expectation(type="expect_column_mean_to_be_between", kwargs={"column": "temp", "min_value": 1})
    ],
)


def test_every_word_of_the_contract_is_one_expectation() -> None:
    rules = [
        (r.name, r.dimension, r.row_level, r.expectation.expectation_type.removeprefix("expect_"))
        for r in compile_suite(FULL).rules
    ]
    assert rules == [
        ("temp exists", "completeness", False, "column_to_exist"),
        ("temp is float", "consistency", True, "column_values_to_be_in_type_list"),
        ("temp at most 0.1 null", "completeness", False, "column_values_to_not_be_null"),
        ("temp between 0 and 120", "accuracy", True, "column_values_to_be_between"),
        ("origin exists", "completeness", False, "column_to_exist"),
        ("origin not null", "completeness", True, "column_values_to_not_be_null"),
        ("origin in {JFK, LGA}", "accuracy", True, "column_values_to_be_in_set"),
        ("origin matches ^[A-Z]{3}$", "accuracy", True, "column_values_to_match_regex"),
        ("tail exists", "completeness", False, "column_to_exist"),
        ("tail unique", "uniqueness", True, "column_values_to_be_unique"),
        ("origin, flight unique", "uniqueness", True, "compound_columns_to_be_unique"),
        ("between 2 and 9 rows", "completeness", False, "table_row_count_to_be_between"),
        ("temp: mean to be between (min_value=1)", "consistency", False, "column_mean_to_be_between"),
    ]


def test_great_expectations_reads_the_json_back() -> None:
    import great_expectations as gx

    compiled = compile_suite(FULL, name="flights")
    text = json.loads(compiled.to_json())
    assert text["name"] == "flights"
    assert text["expectations"][3]["kwargs"] == {"column": "temp", "min_value": 0.0, "max_value": 120.0}
    assert text["expectations"][3]["meta"]["mlpipe"] == {
        "rule": "temp between 0 and 120",
        "dimension": "accuracy",
    }
    again = gx.ExpectationSuite(name=text["name"], expectations=text["expectations"])
    kwargs = [(e.expectation_type, e.configuration.kwargs) for e in again.expectations]
    assert kwargs == [(e.expectation_type, e.configuration.kwargs) for e in compiled.native.expectations]


def test_keys_stand_in_for_unique() -> None:
    assert [r.name for r in compile_suite(terms(), keys=["a", "b"]).rules] == ["a, b unique"]
    assert [r.name for r in compile_suite(terms(unique=["c"]), keys=["a", "b"]).rules] == ["c unique"]
    assert [r.name for r in compile_suite(terms(columns={"a": col(unique=True)}), keys=["a"]).rules] == [
        "a exists",
        "a unique",
    ]


def test_bounds_without_a_type_ask_for_numbers() -> None:
    assert "x is number" in [r.name for r in compile_suite(terms(columns={"x": col(min=0)})).rules]


@pytest.mark.parametrize("nullable", [0.1, 0.3, 0.7, 1 / 3, 2 / 3, 0.05])
def test_an_allowance_that_is_just_used_up_is_kept(nullable: float) -> None:
    (rule,) = [
        r for r in compile_suite(terms(columns={"x": col(nullable=nullable)})).rules if r.kind == "nulls"
    ]
    nulls = round(nullable * 60)
    just = pd.DataFrame({"x": [None] * nulls + [1.0] * (60 - nulls)})
    over = pd.DataFrame({"x": [None] * (nulls + 1) + [1.0] * (59 - nulls)})
    assert [evaluate(f, [rule])[rule.name].success for f in (just, over)] == [True, False]


def _contract(kind: str, **kwargs: Any) -> Contract:
    return terms(expectations=[Expectation(type=kind, kwargs=kwargs)])


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (
            _contract("expect_column_values_to_be_betwen", column="a"),
            ["betwen", "Did you mean 'expect_column_values_to_be_between'"],
        ),
        (
            _contract("expect_column_values_to_be_between", colum="a", min_value=1),
            ["expect_column_values_to_be_between", "colum extra", "max_value"],
        ),
        (
            _contract("expect_column_values_to_be_between", column="a"),
            ["min_value and max_value cannot both be None"],
        ),
        (
            _contract("expect_column_values_to_be_between", column="a", min_value={"$PARAMETER": "low"}),
            ["suite parameter"],
        ),
        (terms(columns={"at": col(dtype="datetime", min=3)}), ["column 'at'", "bound numbers"]),
        (terms(suite="nowhere.json"), ["nowhere.json", "cannot be read"]),
    ],
)
def test_mistakes_are_named(contract: Contract, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        compile_suite(contract)
    assert all(word in str(caught.value) for word in words), str(caught.value)


# -- suite files ---------------------------------------------------------------------------------------------


def test_a_suite_file_is_merged_in_either_spelling(tmp_path: Path) -> None:
    between = {"column": "temp", "min_value": 0, "max_value": 120}
    entries = [
        {"type": "expect_column_values_to_be_between", "kwargs": between},
        {
            "expectation_type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "o", "value_set": ["J"], "include_config": True},
            "meta": {"who": "ops"},
        },
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {**between, "mostly": 0.9},
            "severity": "warning",
            "id": None,
        },
    ]
    (tmp_path / "suite.json").write_text(json.dumps({"name": "theirs", "expectations": entries, "meta": {}}))
    compiled = compile_suite(
        terms(columns={"temp": col(min=0, max=120)}, suite="suite.json"), base_dir=tmp_path
    )
    # The first says what the contract says already, so it is there once.
    assert [(r.name, r.dimension, r.row_level, r.mostly) for r in compiled.rules[3:]] == [
        ("o: values to be in set (value_set=['J'])", "accuracy", True, 1.0),
        ("temp: values to be between (min_value=0, max_value=120, mostly=0.9)", "accuracy", False, 0.9),
    ]
    assert (compiled.rules[3].expectation.meta or {})["who"] == "ops"


@pytest.mark.parametrize("text", ["{", "[]", '{"expectations": [{"kwargs": {}}]}', '{"name": "x"}'])
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(SpecError, match=r"suite file .*suite\.json"):
        compile_suite(terms(suite="suite.json"), base_dir=tmp_path)


def test_rules_that_read_alike_get_names_of_their_own() -> None:
    kwargs = [{"column": "a", "regex_list": ["x" * 200 + end]} for end in "yz"]
    contract = terms(
        expectations=[Expectation(type="expect_column_values_to_match_regex_list", kwargs=k) for k in kwargs]
    )
    names = [r.name for r in compile_suite(contract).rules]
    assert names[1] == f"{names[0][:110]} (2)"


# -- asking --------------------------------------------------------------------------------------------------


def test_answers_find_their_rule_whatever_the_order_of_results(capfd: pytest.CaptureFixture[str]) -> None:
    # Great Expectations returns errors first and groups the rest by column.
    specs: list[tuple[str, dict[str, Any]]] = [
        ("between", {"column": c, "min_value": 2}) for c in ("a", "text", "b", "gone", "a")
    ]
    specs[4] = ("in_set", {"column": "a", "value_set": [1]})
    contract = terms(
        expectations=[Expectation(type=f"expect_column_values_to_be_{k}", kwargs=v) for k, v in specs]
    )
    frame = pd.DataFrame({"a": [1, 2, 3], "text": pd.Series([1, "x", 3], dtype=object), "b": [5, 1, 1]})
    rules = compile_suite(contract).rules
    answers = [evaluate(frame, rules)[r.name] for r in rules]
    assert [None if a.broken is None else a.broken.tolist() for a in answers] == [
        [0],
        None,
        [1, 2],
        None,
        [1, 2],
    ]
    assert "same type" in answers[1].error
    assert "gone" in answers[3].error
    assert not any(a.success for a in answers)
    assert capfd.readouterr() == ("", "")


def test_importing_the_suite_is_light_and_changes_nothing() -> None:
    code = (
        "import sys, warnings; shown = warnings.showwarning\n"
        "from mlpipe.stages.suite import compile_suite, known_expectations\n"
        "cheap = set(known_expectations())\n"
        "assert 'great_expectations' not in sys.modules\n"
        "from mlpipe.spec.sources import Contract\n"
        "compile_suite(Contract(), keys=['a'])\n"
        "assert 'great_expectations' in sys.modules and warnings.showwarning is shown\n"
        "full = set(known_expectations())\n"
        "assert full <= cheap and len(cheap - full) <= 3 and len(full) > 40, full ^ cheap\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_known_expectations_are_snake_case_names() -> None:
    assert "expect_column_values_to_be_between" in known_expectations()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile_suite(FULL)
