"""The Python door: every mistake at once, each with its line, its key, what is wrong and what would be right."""

import pickle
from datetime import date, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

import mlpipe as ml
from mlpipe.errors import SpecError
from mlpipe_tests.spec.declared import declared, here, settings


def make(frames: Any, history: Any) -> Any:
    """A feature function that can be pickled."""
    return frames, history


def mistakes(**changes: Any) -> dict[str, str]:
    """Findings by key alone."""
    with pytest.raises(SpecError) as caught:
        declared(**changes)
    return {f.where.partition("key ")[2]: f.what for f in caught.value.findings}


def test_what_is_right_is_taken_as_written() -> None:
    spec = declared()
    assert spec.name == "churn" and spec.owners == ("team:growth",) and spec.primary == "rows"
    assert spec.sources["rows"].contract.columns["hours"].min == 0
    assert spec.label.available_after == timedelta(days=30) and spec.split.embargo == timedelta(days=1)
    assert spec.features.columns == ("hours", "adds") and spec.training_window == 90
    assert [(g.kind, g.params) for g in spec.gates] == [
        ("at_least", {"metric": "f1", "value": 0.6}),
        ("beats_champion", {"metric": "f1"}),
    ]
    assert spec.known_task == ("binary", "multiclass") and spec.deployment == "dev"
    assert spec.where.startswith(__file__.replace("test_build", "declared"))


def test_many_mistakes_are_one_error_each_with_its_line_and_key() -> None:
    start = here()
    with pytest.raises(SpecError) as caught:
        ml.Pipeline(
            name="Churn",
            windw="90d",
            partitions=ml.daily(start="2024-01-01", timezone="Europe/Berln"),
            source=ml.Parquet(
                "data/{partition}.parquet",
                evnt_time="ts",
                contract=ml.Contract(
                    columns={"hours": ml.Column("number", mim=0)},
                    min_rws=3,
                ),
            ),
            label=ml.Label(
                "churned",
                availble_after="30d",
            ),
            features=["hours", "adds", "hours", "churned"],
            model=LogisticRegression(),
            split=ml.Split(tst="3d", valid="3x"),
            metrics=["f2", "rmse"],
            gates=[
                ml.gate.at_lest("f1", 0.6),
                ml.gate.at_least("f1", valu=0.6),
                ml.gate.at_least("f1"),
            ],
            threshold="max_f2",
            min_rows="many",
        )
    assert caught.value.what == "pipeline 'Churn' has 19 mistakes"
    assert caught.value.where == f"{__file__}:{start + 2}"
    found = {f.where.replace(__file__, ""): f.what for f in caught.value.findings}
    expected = {
        (
            1,
            "name",
        ): "'Churn' is no valid name; use small letters, digits and '_', a letter first, at most 64",
        (
            1,
            "windw",
        ): "unknown key 'windw'. Did you mean 'window'? Valid: alerts, automation, baseline, behaviour, ",
        (4, "partitions.timezone"): "unknown time zone 'Europe/Berln'. Did you mean 'Europe/Berlin' or ",
        (
            5,
            "source.evnt_time",
        ): "unknown key 'evnt_time'. Did you mean 'event_time'? Valid: available_after, "
        "clean, columns, contract, event_time, join, keys, path, timeout, timezone, type.",
        (
            9,
            "source.contract.columns.hours.mim",
        ): "unknown key 'mim'. Did you mean 'min'? Valid: allowed, dtype, max, "
        "min, nullable, pattern, unique, usual.",
        (
            8,
            "source.contract.min_rws",
        ): "unknown key 'min_rws'. Did you mean 'min_rows' or 'max_rows'? Valid: columns, ",
        (13, "label.availble_after"): "unknown key 'availble_after'. Did you mean 'available_after'? Valid: ",
        (1, "features.2"): "the feature 'hours' is named more than once",
        (1, "features.3"): "'churned' is the label or one of its outcomes, and so cannot be a feature",
        (
            19,
            "split.valid",
        ): "'3x' is no duration; write a number and a unit (s, m, h, d, w), such as '30d' or '1d 12h'",
        (19, "split.tst"): "unknown key 'tst'. Did you mean 'test'? Valid: by, embargo, folds, ",
        (1, "metrics.0"): "unknown metric 'f2'. Valid: accuracy, balanced_accuracy, brier, ece, ",
        (1, "metrics.1"): "metric 'rmse' is not for a binary or multiclass model. Valid: accuracy, ",
        (
            22,
            "gates.0.at_lest",
        ): "unknown gate 'at_lest'. Did you mean 'at_least' or 'at_most'? Valid: at_least, ",
        (
            23,
            "gates.1.at_least.valu",
        ): "gate at_least has no parameter 'valu'. Did you mean 'value'? Valid: metric, value.",
        (23, "gates.1.at_least"): "gate at_least needs value",
        (24, "gates.2.at_least"): "gate at_least needs value",
        (1, "threshold"): "unknown threshold rule 'max_f2'. Did you mean 'max_f1'",
        (1, "min_rows"): "must be a whole number, got 'many'",
    }
    wrong = {
        f":{start + line + 1}, key {key}": text
        for (line, key), text in expected.items()
        if not found.pop(f":{start + line + 1}, key {key}", "absent").startswith(text)
    }
    assert (wrong, found) == ({}, {})


def test_what_is_missing_is_said_for_all_keys() -> None:
    with pytest.raises(SpecError) as caught:
        ml.Pipeline()
    assert [f.what for f in caught.value.findings] == [
        "'name' is missing",
        "'partitions' is missing",
        "'source' (or 'sources') is missing",
        "'label' is missing",
        "'features' is missing",
        "'model' is missing",
    ]
    assert mistakes(source=ml.Parquet(event_time="ts")) == {"source.path": "'path' is missing"}
    assert mistakes(partitions=ml.daily()) == {
        "partitions.start": "'start' is missing: the first date, such as '2024-01-01'"
    }


@pytest.mark.parametrize(
    ("changes", "key", "what"),
    [
        ({"seed": 1.5}, "seed", "must be a whole number, got 1.5"),
        ({"seed": -1}, "seed", "must be greater than or equal to 0, got -1"),
        ({"min_coverage": "most"}, "min_coverage", "must be a number, got 'most'"),
        ({"min_coverage": 1.5}, "min_coverage", "must be less than or equal to 1, got 1.5"),
        ({"window": True}, "window", "must be a duration such as '90d', or a number of partitions; got True"),
        ({"window": 0}, "window", "the training window must not be empty"),
        ({"window": "0d"}, "window", "the training window must not be empty"),
        ({"window": -3}, "window", "a number of partitions lies in [1, 1,000,000], got -3"),
        ({"window": "101y"}, "window", "'101y' is no duration; write a number and a unit"),
        ({"lead": timedelta(-1)}, "lead", "a duration must not be negative"),
        (
            {"lead": "99999999999d"},
            "lead",
            "a duration must not be longer than a century, got '99999999999d'",
        ),
        (
            {"retrain": ml.Retrain(drift=True)},
            "retrain.drift",
            "drift must be 'calibrated', a number above 0, or null; got True",
        ),
        ({"retrain": ml.Retrain(every="year")}, "retrain.every", "unknown value 'year'. Valid: never, day, "),
        ({"automation": "of"}, "automation", "unknown value 'of'. Did you mean 'off'? Valid: on, off."),
        ({"threshold": 2}, "threshold", "a threshold must lie in [0, 1], got 2."),
        ({"threshold": 10**400}, "threshold", "a threshold must lie in [0, 1], got 1000000"),
        (
            {"threshold": {"cost": {"false_positive": 1}}},
            "threshold",
            "rule 'cost' needs false_positive and ",
        ),
        ({"label": 5}, "label", "must be text, got 5"),
        ({"label": ml.Label()}, "label", "a label needs either 'column' or 'function'"),
        ({"features": []}, "features", "features need either 'columns' or 'function'"),
        ({"features": ["a", 5]}, "features.1", "must be text, got 5"),
        (
            {"model": LogisticRegression},
            "model",
            "model LogisticRegression is a class; write LogisticRegression()",
        ),
        ({"model": "logistic"}, "model", "model str is no scikit-learn estimator: it needs fit, predict and"),
        ({"model": {"preprocess": "auto"}}, "model", "a model needs either 'class'"),
        ({"model": make}, "task", "a 'fit' function needs 'task': binary, multiclass or regression"),
        ({"model": LinearSVC()}, "model", "LinearSVC has no predict_proba; wrap it in"),
        (
            {"task": "regression", "metrics": [], "gates": []},
            "task",
            "LogisticRegression is not for regression.",
        ),
        (
            {"model": {"estimator": LogisticRegression(), "params": {"c": 1}}},
            "model.params.c",
            "LogisticRegression has no parameter 'c'. ",
        ),
        ({"source": 5}, "source", "must be a mapping of keys, got 5"),
        (
            {"source": {"path": "x"}},
            "source.type",
            "'type' is missing. Valid: csv, jsonl, load, parquet, sql, upstream.",
        ),
        (
            {"source": {"type": "parqet"}},
            "source.type",
            "unknown type 'parqet'. Did you mean 'parquet'? Valid: ",
        ),
        (
            {"source": ml.CSV("{part}", event_time="t")},
            "source.path",
            "path '{part}' has a placeholder other than {partition}",
        ),
        ({"source": ml.Load(3)}, "source.function", "must be a function, got 3"),
        ({"source": ml.Parquet("x.parquet")}, "source", "a partitioned source needs 'event_time'"),
        ({"baseline": "rule"}, "baseline", "must be a function, got 'rule'"),
        ({"gates": ["f1"]}, "gates.0", "unknown gate 'f1'. Valid: at_least"),
        (
            {"gates": [ml.gate.at_least("f1", "x")]},
            "gates.0.at_least.value",
            "value must be a number, got 'x'",
        ),
        (
            {"gates": [ml.gate.beats_champion("f1", level=95)]},
            "gates.0.beats_champion.level",
            "level must lie in (0, 1), got 95",
        ),
        (
            {"gates": [ml.gate.beats_baseline("f1", baseline="rule")]},
            "gates.0.beats_baseline.baseline",
            "the gate compares with the baseline 'rule', but the pipeline declares no 'baseline'",
        ),
        (
            {"owner": "bob"},
            "owner",
            "owner 'bob' is neither an e-mail address nor a team such as 'team:growth'",
        ),
        (
            {"tags": {"a b": "c"}},
            "tags.a b",
            "tag key 'a b' must be letters, digits, '_', '-', '.', at most 63",
        ),
        ({"owners": ["a@b.de"]}, "owner", "'owner' stands for 'owners'; give one of them"),
        (
            {"outcomes": ["x"], "label": ml.Label("y", outcomes=["z"])},
            "outcomes",
            "'outcomes' also stands in 'label'",
        ),
        (
            {"monitor": {"watch": ["hourz"]}},
            "monitor.watch.0",
            "'hourz' is no feature. Did you mean 'hours'?",
        ),
        (
            {"split": ml.Split(test="90d")},
            "split",
            "valid, test and embargo take 91d and leave nothing of the window",
        ),
        (
            {"window": "22d"},
            "split",
            "valid, test and embargo take 22d and leave nothing of the window (22d)",
        ),
    ],
)
def test_one_mistake_is_one_finding(changes: dict[str, Any], key: str, what: str) -> None:
    found = mistakes(**changes)
    assert list(found) == [key]
    text = found[key]
    assert text.startswith(what) and len(text) < 700


def test_a_mistake_is_not_told_twice_by_its_consequences() -> None:
    label = ml.Label("churned", sorce="truth")
    truth = ml.Parquet("t/{partition}.parquet", event_time="ts", keys=["user"])
    assert list(
        mistakes(source=None, sources={"rows": settings()["source"], "truth": truth}, label=label)
    ) == ["label.sorce"]
    side = {"type": "csv", "path": "x.csv", "jion": {"on": ["user"]}}
    assert list(mistakes(source=None, sources={"rows": settings()["source"], "side": side})) == [
        "sources.side.jion"
    ]
    assert list(mistakes(source=ml.Parquet("x.parquet", event_tim="ts"))) == ["source.event_tim"]
    assert list(mistakes(model={"estimatr": LinearRegression()})) == ["model.estimatr"]
    (found,) = mistakes(model=LinearRegression(), metrics=["f2"], gates=[]).values()
    assert found.startswith("unknown metric 'f2'")


def test_parts_are_seen_together_although_others_are_wrong() -> None:
    second = ml.Parquet("b/{partition}.parquet", event_time="ts", pth=1)
    found = mistakes(
        source=None, sources={"a": settings()["source"], "b": second}, features=["churned"], lable=1
    )
    assert found["sources.b"] == "only 'a' can be the primary source; give 'b' a 'join' (its columns 'on')"
    assert set(found) == {"sources.b", "sources.b.pth", "features.0", "lable"}


def test_sources_that_bear_the_names_of_kinds_are_told_apart() -> None:
    found = mistakes(source=None, sources={"csv": ml.SQL("u", query="q", event_time="t", sql=1, table="t")})
    assert (
        "Valid: available_after, clean, columns, contract, event_time, join, keys, query, table,"
        in found["sources.csv.sql"]
    )


def test_a_source_of_labels_is_never_the_primary_one() -> None:
    truth = ml.Parquet("t/{partition}.parquet", event_time="ts", keys=["user"])
    sources = {"truth": truth, "rows": settings()["source"]}
    label = ml.Label("churned", source="truth", available_after="1d")
    assert declared(source=None, sources=sources, label=label).primary == "rows"
    side = {"type": "csv", "path": "x", "join": {"on": ["user"]}}
    assert mistakes(source=None, sources={"side": side}) == {
        "sources": "one source must hold the rows to predict: the first without 'join'"
    }
    assert mistakes(label=ml.Label("churned", source="trut")) == {
        "label.source": "unknown source 'trut'. Valid: rows."
    }


def test_side_tables_need_what_they_are_met_by() -> None:
    side = {"type": "csv", "path": "x", "join": {"on": [], "tolerance": "1d"}}
    assert mistakes(source=None, sources={"rows": settings()["source"], "side": side}) == {
        "sources.side.join": "a side table needs the columns 'on' which it meets the primary source",
        "sources.side.join.tolerance": "a tolerance needs the table's 'event_time'",
    }


def test_a_metric_must_fit_the_task() -> None:
    found = mistakes(model=LinearRegression(), metrics=["rmse"])
    assert set(found) == {"gates.0.at_least.metric", "gates.1.beats_champion.metric"}
    assert found["gates.0.at_least.metric"] == (
        "metric 'f1' is not for a regression model. Valid: mae, map, mape, mrr, ndcg, p90_error, r2, rmse, smape."
    )


def test_short_forms_are_written_out() -> None:
    assert declared(look_back="3d").features.look_back == timedelta(days=3)
    assert declared(outcomes=["ended"]).label.outcomes == ("ended",)
    assert declared(label="churned").label.column == "churned"
    assert (
        declared(label=make).label.function is make and declared(label=ml.Label(make)).label.function is make
    )
    assert declared(features=make).features.function is make
    assert declared(source=make, label="churned").sources["rows"].type == "load"  # type: ignore[union-attr]
    assert declared(model=make, task="binary").model.fit is make
    assert declared(partitions=ml.daily(date(2024, 2, 3))).partitions.start == "2024-02-03"
    by_kind = {"kind": "at_least", "params": {"metric": "f1", "value": 0.6}}
    assert declared(gates=[by_kind]).gates == declared(gates=[ml.gate.at_least("f1", 0.6)]).gates


def test_a_specification_is_frozen_and_free_of_the_users_own_lists() -> None:
    columns, tags = ["hours"], {"tier": "1"}
    spec = declared(features=columns, tags=tags)
    columns.append("more")
    tags["tier"] = "2"
    assert spec.features.columns == ("hours",) and spec.tags == {"tier": "1"}
    for node, field in (
        (spec, "name"),
        (spec.split, "test"),
        (spec.partitions, "start"),
        (spec.gates[0], "kind"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(node, field, "x")
    assert len({spec.split, declared().split, spec.partitions, spec.monitor.alarms, spec.retries}) == 4


def test_a_specification_can_be_pickled() -> None:
    spec = declared(features=make)
    spec.partitions.window("2024-01-05")
    back = pickle.loads(pickle.dumps(spec))
    assert (
        back.partitions == spec.partitions and back.features == spec.features and back.sources == spec.sources
    )
    with pytest.raises(SpecError) as caught:
        declared(seed=1.5)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
