"""What a model is judged by, as it is written: gates by transition, slices, metrics of one's own, costs, and where a mistake stands."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import mlpipe as ml
from mlpipe.errors import SpecError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe_tests.spec.declared import loaded
from mlpipe_tests.stages.pipelines import spec_of

OWN = "def profit(y, score):\n    return 1.0\n\ndef cheap(evidence):\n    return True\n"
TEXT = """\
  name: churn
  partitions: {every: none}
  source: {type: csv, path: a.csv, keys: [user]}
  label: churned
  features: [hours]
  model: {class: sklearn.linear_model.LogisticRegression}
"""


def yaml(folder: Path, more: str) -> PipelineSpec:
    (folder / "own.py").write_text(OWN)
    return loaded(dedent(TEXT + more), folder)


def test_yaml_and_python_say_the_same(tmp_path: Path) -> None:
    more = """\
  metrics: [recall@precision=0.9, {name: profit, function: "own:profit", better: higher}]
  cost: {false_positive: 1, false_negative: 5}
  slices: [hours, [hours, city]]
  fairness: city
  gates:
    staging: [robust]
    production:
    - no_slice_regresses: {by: 0.05}
    - custom: {function: "own:cheap", needs: [slices]}
"""
    found = yaml(tmp_path, more)
    assert [g.kind for g in found.staging_gates] == ["robust"]
    assert [g.kind for g in found.gates] == ["no_slice_regresses", "custom"]
    assert found.gates[1].params["function"].__name__ == "cheap" and found.own_metrics[0].name == "profit"
    assert found.gates[1].to_plain()["params"]["function"] == "cheap"
    assert found.metrics == ("recall@precision=0.9", "profit") and found.slices.by == (
        ("hours",),
        ("hours", "city"),
    )
    gates = {"staging": [ml.gate.robust()], "production": [ml.gate.no_slice_regresses(by=0.05)]}
    same = spec_of(tmp_path, gates=gates, slices=["hours", ["hours", "city"]])
    assert same.gates[0] == found.gates[0] and same.staging_gates == found.staging_gates
    assert same.slices == found.slices


@pytest.mark.parametrize(
    ("more", "line", "key", "text"),
    [
        ("  gates: {stagin: []}\n", 7, "gates.stagin", "unknown stage 'stagin'. Did you mean 'staging'"),
        (
            "  gates:\n    staging:\n    - robst\n",
            9,
            "gates.staging.0",
            "unknown gate 'robst'. Did you mean 'robust'",
        ),
        ("  gates:\n  - fair: {measure: parity}\n", 8, "gates.0.fair.measure", "unknown measure 'parity'"),
        (
            "  gates:\n  - fast_enough: {p99_ms: -1}\n",
            8,
            "gates.0.fast_enough.p99_ms",
            "p99_ms must not be negative",
        ),
        (
            "  gates:\n  - at_least: {metric: null, value: 1}\n",
            8,
            "gates.0.at_least.metric",
            "metric must be the name",
        ),
        (
            "  gates:\n  - at_least: {metric: f2, value: 1}\n",
            8,
            "gates.0.at_least.metric",
            "unknown metric 'f2'",
        ),
        (
            "  gates:\n  - no_slice_regresses\n",
            8,
            "gates.0",
            "the gate no_slice_regresses needs the pipeline's 'slices'",
        ),
        ("  metrics: [precision@x]\n", 7, "metrics.0", "metric 'precision@x' needs a whole number"),
        (
            "  metrics: [{name: f1, function: 'own:profit', better: lower}]\n",
            7,
            "metrics.0.name",
            "'f1' is the name of a built-in",
        ),
        (
            "  cost: {false_positive: 1}\n",
            7,
            "cost",
            "costs must be finite numbers, one for each kind of error",
        ),
        ("  locked: {share: 1}\n", 7, "locked.share", ""),
    ],
)
def test_each_mistake_is_told_with_its_line_and_key(
    tmp_path: Path, more: str, line: int, key: str, text: str
) -> None:
    with pytest.raises(SpecError) as caught:
        yaml(tmp_path, more)
    (found,) = caught.value.findings
    assert found.where.endswith(f":{line}, key {key}") and text in found.what


def test_a_measure_needs_a_limit_and_a_rule_a_baseline(tmp_path: Path) -> None:
    wrong: list[Any] = [
        ml.gate.fair("demographic_parity_ratio"),
        ml.gate.beats_baseline("f1", baseline="rule"),
    ]
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, gates=wrong, fairness=["city"])
    told = " ".join(f.what for f in caught.value.findings)
    assert "needs a limit" in told and "the baseline 'rule'" in told
