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


def test_folds_and_what_each_came_to() -> None:
    made = [
        {"fold": 1, "train": 1200, "test": 300, "values": {"f1": 0.5, "roc_auc": None}},
        {"fold": 3, "train": 1210, "test": 290, "values": {"f1": 0.75, "roc_auc": 0.8}},
    ]
    (shown,) = as_tables(
        record(stage="evaluate", data={"folds": {"kind": "grouped", "by": "user", "folds": made}})
    )
    title, head, _, first, third = shown.splitlines()
    assert title == "Folds, grouped by user: each tested by a model that did not learn from it."
    assert head.split() == ["fold", "learned", "from", "tested", "f1", "roc_auc"]
    assert first.split() == ["1", "1,200", "300", "0.5000", "–"]
    assert third.split() == ["3", "1,210", "290", "0.7500", "0.8000"]
    # A training's own record says what its folds were, and no metric yet.
    told = {"folds": {"kind": "purged", "by": None, "folds": [{"fold": 1, "train": 2, "test": 1}]}}
    assert list(as_tables(record(stage="train", data=told))) == []


def test_nothing_looked_at_is_no_table() -> None:
    assert list(as_tables(record(stage="evaluate"))) == []
