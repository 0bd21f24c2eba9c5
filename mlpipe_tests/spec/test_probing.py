"""What a model is put through, as it is declared: every mistake with its key."""

from datetime import timedelta
from pathlib import Path

import pytest

from mlpipe.errors import SpecError
from mlpipe.spec.probing import BehaviourTest, Explain, Golden, score_range
from mlpipe_tests.stages.pipelines import spec_of

UP = {"name": "a", "test": "directional", "change": {"hours": "+3"}, "expect": "up"}


def spec(**settings):
    return spec_of(Path(), **settings)


def test_defaults_ask_for_little():
    plain = spec()
    assert plain.behaviour == () and plain.golden is None and plain.explain is None
    assert plain.leakage.alone == 0.99 and plain.leakage.audit and plain.resources.batch_rows == 1000


def test_short_forms_are_the_long_ones():
    made = spec(explain="shap", golden="cases.csv", behaviour=[UP])
    assert made.explain == Explain(method="shap") and made.golden == Golden(file="cases.csv")
    assert spec(explain=True).explain == Explain() and spec(explain=False).explain is None
    assert spec(golden={"file": "a.csv", "version": 2, "recent": "7d"}).golden == Golden(
        file="a.csv", version="2", recent=timedelta(days=7)
    )
    table = "table-" + "0" * 40
    assert spec(golden=table).golden.table == table
    assert made.behaviour[0].changes["hours"].value == 3 and made.behaviour[0].rows == 200


@pytest.mark.parametrize(
    ("settings", "key", "text"),
    [
        (
            {"behaviour": [{**UP, "expect": "upp"}]},
            "behaviour.0.expect",
            "must be one of up, down, same, got 'upp'",
        ),
        (
            {"behaviour": [{**UP, "change": {"hour": "+3"}}]},
            "behaviour.0.change.hour",
            "'hour' is no feature. Did you mean 'hours'",
        ),
        (
            {"behaviour": [{**UP, "change": {"city": {"typo": 99}}}]},
            "behaviour.0.change.city",
            "from 1 to 20",
        ),
        ({"behaviour": [{**UP, "change": {}}]}, "behaviour.0.change", "needs a 'change'"),
        ({"behaviour": [{**UP, "rows": 0}]}, "behaviour.0.rows", "at least 1"),
        ({"behaviour": [{**UP, "rows": "many"}]}, "behaviour.0.rows", "must be a number of rows, or a list"),
        ({"behaviour": [{**UP, "file": "a.csv"}]}, "behaviour.0.file", "rows of its own"),
        ({"behaviour": [{**UP, "where": {"city": {"most": 3}}}]}, "behaviour.0.where.city", "{min:, max:}"),
        ({"behaviour": [{**UP, "allowed": 2}]}, "behaviour.0.allowed", "less than or equal to 1"),
        ({"behaviour": [{**UP, "alowed": 0}]}, "behaviour.0.alowed", "Did you mean 'allowed'"),
        ({"behaviour": [UP, UP]}, "behaviour.1.name", "two tests are called 'a'"),
        (
            {"behaviour": [{**UP, "test": "invariance"}]},
            "behaviour.0.expect",
            "a direction is a test of the kind directional",
        ),
        (
            {"behaviour": [{"name": "a", "test": "minimum"}]},
            "behaviour.0.rows",
            "needs either its 'rows' or a 'file'",
        ),
        (
            {"behaviour": [{"name": "a", "test": "minimum", "rows": [{"hours": 1}]}]},
            "behaviour.0.rows.0",
            "says nothing about what is expected",
        ),
        (
            {"behaviour": [{"name": "a", "test": "minimum", "rows": [{"hour": 1}], "expect": 1}]},
            "behaviour.0.rows.0.hour",
            "'hour' is no feature",
        ),
        (
            {"behaviour": [{"name": "a", "test": "minimum", "rows": [{"hours": 1}], "expect": [2, 1]}]},
            "behaviour.0.expect",
            "[low, high] of the score",
        ),
        ({"explain": "shapp"}, "explain.method", "Did you mean 'shap'"),
        ({"golden": {"version": 2}}, "golden", "either a 'file' of the project or a 'table'"),
        (
            {"golden": {"file": "a", "table": "table-" + "0" * 40}},
            "golden",
            "either a 'file' of the project or a 'table'",
        ),
        ({"resources": {"seconds": 60}}, "resources.timeout", "longer than twice 'seconds'"),
        ({"leakage": {"alone": 0.4}}, "leakage.alone", "greater than 0.5"),
        ({"robustness": {"epsilon": 0}}, "robustness.epsilon", "greater than 0"),
    ],
)
def test_mistakes_are_told_with_their_key(settings, key, text):
    with pytest.raises(SpecError) as raised:
        spec(**settings)
    assert f"key {key}: " in str(raised.value) and text in str(raised.value)


def test_where_a_function_makes_the_features_their_names_are_not_known_yet():
    assert spec(
        features={"function": test_defaults_ask_for_little}, behaviour=[{**UP, "change": {"anything": 1}}]
    ).behaviour


def test_two_numbers_are_a_range_and_anything_else_a_label():
    assert score_range([0, 0.5]) == (0.0, 0.5) and score_range("late") is None
    with pytest.raises(ValueError, match="label"):
        score_range([0.5, "x"])
    assert BehaviourTest(**UP).tolerance is None
