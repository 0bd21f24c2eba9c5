"""What an evaluation found, as tables: each says what it is, and what was not tested."""

from mlpipe.views.judged import as_tables
from mlpipe_tests.index.made import record

SLICE = {
    "slice": "origin=JFK",
    "rows": 1400,
    "value": 0.6,
    "low": 0.55,
    "high": 0.65,
    "difference": -0.2,
    "regresses": True,
}
FOUND = {
    "primary": "f1",
    "ladder": {"constant": {"value": None, "lift": None, "low": None, "high": None, "verdict": "noise"}},
    "judged": {
        "slices": {
            "metric": "f1",
            "slices": [SLICE],
            "min_support": 50,
            "left_out": [{"slice": "origin=X", "rows": 23}],
        },
        "fairness": {
            "columns": {
                "age": {
                    "measures": {"demographic_parity_ratio": {"value": 0.7, "low": 0.6, "high": 0.8}},
                    "four_fifths": False,
                }
            },
            "not_tested": [{"column": "region", "group": "north", "why": "3 rows"}],
        },
        "behaviour": {"tests": [], "matrix": {"time": {"directional": [2, 10]}}},
    },
}


def test_each_table_says_what_it_is() -> None:
    ladder, slices, fairness, behaviour = as_tables(record(stage="evaluate", data=FOUND))
    assert "Gained in f1" in ladder and "–" in ladder and "noise" in ladder
    assert "origin=JFK" in slices and "0.6000 [0.5500, 0.6500]" in slices and "worse" in slices
    assert "1 with fewer than 50 rows" in slices
    assert "0.7000 [0.6000, 0.8000]" in fairness and "broken" in fairness and "not tested: 3 rows" in fairness
    assert "2 of 10" in behaviour


def test_nothing_looked_at_is_no_table() -> None:
    assert list(as_tables(record(stage="evaluate"))) == []
