"""What may be changed for a trial, under which names, and what is said of a wrong one."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlpipe as ml
from mlpipe.errors import SpecError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.variants import Variant, changed, parsed, settable, variants
from mlpipe_tests.stages.pipelines import FEATURES, spec_of


@pytest.fixture
def spec(tmp_path: Path) -> PipelineSpec:
    return spec_of(tmp_path)


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("model.C=0.1,1e-3,2", "model.C", [0.1, 0.001, 2]),
        ("threshold=max_f1", "threshold", ["max_f1"]),
        ("features.exclude=[a,b],c,[]", "features.exclude", [["a", "b"], "c", []]),
        ("model.fit_intercept=true,False", "model.fit_intercept", [True, False]),
        ("model.class_weight=null", "model.class_weight", [None]),
        ("model.hidden_layer_sizes=(8,4),(8,)", "model.hidden_layer_sizes", [(8, 4), (8,)]),
        ("window=30d", "window", ["30d"]),
        ("preprocess.kind=none,auto", "preprocess.kind", ["none", "auto"]),
        ("a='1'", "a", ["1"]),
    ],
)
def test_values_are_read_as_they_are_written(text: str, name: str, values: list[Any]) -> None:
    assert parsed(text) == (name, values)


@pytest.mark.parametrize("text", ["", "model.C", "=1", "model.C=", " = "])
def test_what_changes_nothing_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="changes nothing"):
        parsed(text)


def test_all_combinations_are_tried_in_order(spec: PipelineSpec) -> None:
    made = variants(spec, {"C": [0.1, 1.0], "window": ["10d", 20]})
    assert [v.changes for v in made] == [{"model.C": c, "window": w} for c in (0.1, 1.0) for w in ("10d", 20)]
    assert [v.spec.model.params for v in made] == [{"C": 0.1}, {"C": 0.1}, {"C": 1.0}, {"C": 1.0}]
    assert made[0].label == "model.C=0.1, window=10d"
    assert variants(spec, {}) == [Variant({}, spec)] and variants(spec, {})[0].label == "nothing changed"


def test_only_what_is_named_changes(spec: PipelineSpec) -> None:
    made = changed(spec, {"split.test": "2d", "threshold": 0.3, "min_rows": 10, "preprocess.kind": "none"})
    assert made.split.valid == spec.split.valid and made.split.test is not None and made.split.test.days == 2
    assert (made.threshold, made.min_rows, made.model.preprocess) == (0.3, 10, "none")
    same = {n for n in PipelineSpec.model_fields if getattr(made, n) == getattr(spec, n)}
    assert set(PipelineSpec.model_fields) - same == {"split", "threshold", "min_rows", "model"}


def test_parts_of_a_pipeline_are_named_as_records_name_them(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, model=make_pipeline(StandardScaler(), LogisticRegression()))
    for name in (
        "model.steps.logisticregression.C",
        "model.logisticregression.C",
        "params.model.steps.logisticregression.C",
    ):
        (made,) = variants(spec, {name: [0.5]})
        assert made.spec.model.params == {"logisticregression__C": 0.5}
    assert "model.standardscaler.with_mean" in settable(spec)


def test_without_a_feature_what_needs_it_is_left_out_too(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        features={"columns": FEATURES, "missing": {"hours": "mcar", "plays": "mar"}},
        baseline=lambda X: X["hours"],
        gates=[ml.gate.beats_baseline("f1", baseline="rule"), ml.gate.at_least("f1", 0.1)],
    )
    (made,) = variants(spec, {"features.exclude": [["hours"]]}, FEATURES)
    assert made.excluded == ("hours",) and made.spec.features.missing == {"plays": "mar"}
    assert made.spec.baseline is None and [g.kind for g in made.spec.gates] == ["at_least"]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"model.learning_rat": [1]}, "is no parameter of this pipeline"),
        ({"modle.C": [1]}, "Did you mean 'model.C'"),
        ({"model.C": [-1.0]}, "'C' parameter of LogisticRegression must be"),
        ({"threshold": [2]}, "a threshold must lie in"),
        ({"window": ["tomorrow"]}, "window"),
        ({"split.test": ["30d"]}, "leave nothing of the window"),
        ({"split.test": ["9d"], "split.valid": ["12d"]}, "leave nothing of the window"),
        ({"min_rows": [0]}, "greater than or equal to 2"),
        ({"features.exclude": ["hour"]}, "there is no feature 'hour'. Did you mean 'hours'?"),
        ({"features.exclude": [FEATURES]}, "no feature would be left"),
        ({"C": [1.0], "model.C": [2.0]}, "is given twice"),
        ({"C": []}, "has no value"),
        ({"seed": list(range(40)), "min_rows": list(range(2, 42))}, "1,600 variants"),
    ],
)
def test_a_mistake_is_named_with_what_it_may_have_meant(
    spec: PipelineSpec, given: dict[str, list[Any]], what: str
) -> None:
    with pytest.raises(SpecError) as caught:
        variants(spec, given, FEATURES)
    assert what in str(caught.value) and "--set" in str(caught.value)


def test_all_mistakes_are_told_at_once(spec: PipelineSpec) -> None:
    with pytest.raises(SpecError, match="3 mistakes"):
        variants(spec, {"model.D": [1], "C": [-1.0, 1.0], "threshold": [7]})


def test_an_ambiguous_name_lists_what_it_may_mean(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, model=make_pipeline(StandardScaler(), StandardScaler(), LogisticRegression()))
    with pytest.raises(SpecError, match=r"model.standardscaler-1.copy, model.standardscaler-2.copy"):
        variants(spec, {"copy": [True]})


def test_what_would_change_nothing_may_not_be_given(tmp_path: Path) -> None:
    assert {"preprocess.kind", "threshold", "window", "split.test"} <= set(settable(spec_of(tmp_path)))
    own = spec_of(tmp_path, model=make_pipeline(StandardScaler(), LogisticRegression()))
    assert "preprocess.kind" not in settable(own)
    numbers = spec_of(tmp_path, model=LinearRegression(), label=ml.Label("plays"), features=["hours"])
    assert "threshold" not in settable(numbers) and "seed" in settable(numbers)
    whole = spec_of(
        tmp_path,
        partitions=ml.unpartitioned(),
        source=ml.Parquet("a.parquet", event_time="at"),
        window=None,
        split=ml.Split(),
    )
    assert not {"window", "split.valid", "split.test", "split.embargo"} & set(settable(whole))


def test_parameters_of_a_fit_function_are_those_that_it_declares(tmp_path: Path) -> None:
    def fit(train: Any, valid: Any, params: Any, log: Any) -> Any:
        return LogisticRegression(C=params["C"]).fit(train.X, train.y)

    spec = spec_of(tmp_path, model={"fit": fit, "params": {"C": 1.0}}, task="binary")
    (made,) = variants(spec, {"C": [3.0]})
    assert made.spec.model.params == {"C": 3.0}
    with pytest.raises(SpecError, match="no parameter"):
        variants(spec, {"model.D": [3.0]})
