from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpipe.scaffold.cells import cells_of


@pytest.mark.parametrize(
    ("values", "kind", "form"),
    [
        ([1, 2, 3], "number", {}),
        ([1.5, None, 3], "number", {}),
        ([True, False, None], "bool", {}),
        ([None, None], "nothing", {}),
        (["", "NA", None], "nothing", {}),
        (["1,234.5", "12", "2,000"], "number", {"to": "number", "thousands": ","}),
        (["1.234,5", "12", "2.000,75"], "number", {"to": "number", "decimal": ",", "thousands": "."}),
        (["1,5", "2,25", "3,125"], "number", {"to": "number", "decimal": ","}),
        (["1 234", "12", "2 000"], "number", {"to": "number", "thousands": " "}),
        (["1'234", "12", "2'000.5"], "number", {"to": "number", "thousands": "'"}),
        (["$1,234.5", "-$12", "$3"], "number", {"to": "number", "thousands": ",", "marks": ["$"]}),
        (["12%", "3 %"], "number", {"to": "number", "marks": ["%"]}),
        (["1", "2.5", "?", "?"], "number", {"to": "number", "null": ["?"]}),
        (["1", "2", "3", "tbd", "tbd"], "number", {"to": "number", "null": ["tbd"]}),
        (["Yes", "no", "yes "], "bool", {"to": "bool", "truthy": ["Yes", "yes"], "falsy": ["no"]}),
        (["Y", "N", "-"], "bool", {"to": "bool", "truthy": ["Y"], "falsy": ["N"], "null": ["-"]}),
        (["red", "green", "blue"], "text", {}),
        (["Red", "red", "blue"], "text", {"to": "text", "case": "lower"}),
        (["red ", " blue"], "text", {"to": "text", "strip": True}),
        (["a1", "b2", "?"], "text", {"to": "text", "null": ["?"]}),
        (["[1, 2]", "[]", '["x"]'], "list", {}),
        (['{"a": 1}', '{"b": 2}', None], "list", {}),
        (["2024-01-01", "2024-01-02", None], "time", {}),
        (["15/01/2024", "16/01/2024"], "time", {"to": "time", "formats": ["%d/%m/%Y"]}),
    ],
)
def test_what_a_column_holds(values: list[Any], kind: str, form: dict[str, Any]) -> None:
    found = cells_of(pd.Series(values, dtype="object" if isinstance(values[0], str) else None), "x")
    assert (found.kind, found.form) == (kind, form)


def test_numbers_come_out_as_numbers() -> None:
    found = cells_of(pd.Series(["1.234,5", None, "-2.000", "NA"]), "x")
    assert found.values.tolist()[0] == 1234.5 and found.values.tolist()[2] == -2000
    assert found.nulls == 0.5 and found.distinct == 2


def test_a_few_strays_break_the_contract_and_many_make_it_text() -> None:
    numbers = [str(n) for n in range(1000)]
    few = cells_of(pd.Series([*numbers, *(f"x{n}" for n in range(8))]), "x")
    assert few.kind == "number" and any("break the contract" in n for n in few.notes)
    assert cells_of(pd.Series([*numbers, *(f"x{n}" for n in range(80))]), "x").kind == "text"


def test_sentinels_are_far_from_all_others_and_come_again() -> None:
    ages = np.r_[np.arange(18, 80), [-999, -999]]
    found = cells_of(pd.Series(ages), "age")
    assert found.form == {"to": "number", "null": [-999]} and found.nulls == pytest.approx(2 / 64)
    assert cells_of(pd.Series(np.r_[np.arange(18, 80), [-999]]), "age").form == {}
    assert cells_of(pd.Series(np.arange(-1500, 1500)), "x").form == {}
    assert cells_of(pd.Series([9999, 9999, 9000, 9500, 8000]), "x").form == {}


def test_many_different_words_are_numbers_too() -> None:
    words = pd.Series(np.random.default_rng(0).integers(0, 10**6, 2 * 10**5)).map("{:,}".format)
    assert cells_of(words, "x").form == {"to": "number", "thousands": ","}
