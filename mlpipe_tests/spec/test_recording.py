"""What a team asks of every record is checked where it is declared, and before any work."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.linear_model import LogisticRegression, Ridge

from mlpipe.errors import SpecError
from mlpipe.spec.recording import Recording
from mlpipe_tests.stages.pipelines import spec_of


def asked(**require: Any) -> Recording:
    return Recording.model_validate({"require": require})


@pytest.mark.parametrize(
    ("experiment", "tags", "unmet"),
    [
        ("", {"owner": "ana", "ticket": "ML-7"}, []),
        ("lr-sweep", {"owner": "ana"}, []),
        ("", {}, [("tag owner", "it is required, and not given")]),
        ("", {"owner": ""}, [("tag owner", "it is required, and not given")]),
        ("", {"owner": "ana", "ticket": "XML-7"}, [("tag ticket", r"'XML-7' does not match 'ML-\\d+'")]),
        ("LR", {"owner": "ana"}, [("experiment", "'LR' does not match '[a-z-]+'")]),
    ],
)
def test_a_run_has_what_is_asked(experiment: str, tags: dict[str, str], unmet: list[tuple[str, str]]) -> None:
    recording = asked(tags=["owner"], names={"experiment": "[a-z-]+", "tags": {"ticket": r"ML-\d+"}})
    assert [(f.where, f.what) for f in recording.unmet(experiment, tags)] == unmet


def test_nothing_is_asked_unless_it_is_declared() -> None:
    assert Recording().unmet("Any Thing", {}) == []


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "pattern": (
        {"record": {"require": {"names": {"experiment": "("}}}},
        "record.require.names.experiment: pattern '('",
    ),
    "tag pattern": ({"record": {"require": {"names": {"tags": {"a": "*"}}}}}, "record.require.names.tags.a"),
    "metric": ({"record": {"require": {"metrics": ["f2"]}}}, "unknown metric 'f2'"),
    "unreported": (
        {"metrics": ["f1"], "record": {"require": {"metrics": ["f1", "brier"]}}},
        "record.require.metrics.1: the metric 'brier' is required, and is not among 'metrics'",
    ),
    "not by default": (
        {"model": Ridge(), "record": {"require": {"metrics": ["mape"]}}},
        "the metric 'mape' is required",
    ),
    "twice": ({"record": {"require": {"tags": ["a", "a"]}}}, "the tag 'a' is named more than once"),
    "own tag": (
        {"tags": {"ticket": "7"}, "record": {"require": {"names": {"tags": {"ticket": "ML-.*"}}}}},
        "key tags.ticket: '7' does not match 'ML-.*'",
    ),
    "key": ({"record": {"require": {"tag": ["a"]}}}, "unknown key 'tag'. Did you mean 'tags'"),
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_a_wrong_demand_is_a_mistake_of_the_declaration(kind: str, tmp_path: Path) -> None:
    settings, said = WRONG[kind]
    with pytest.raises(SpecError) as error:
        spec_of(tmp_path, **settings)
    assert said in str(error.value)


def test_metrics_that_are_reported_by_default_may_be_asked_for(tmp_path: Path) -> None:
    asked_for = {"require": {"metrics": ["f1", "macro_f1", "log_loss"]}}
    # Of two classes f1 is reported, of more macro_f1; which it is shows with the labels.
    assert spec_of(tmp_path, model=LogisticRegression(), record=asked_for).record.require.metrics[0] == "f1"


def test_the_example_of_the_documentation_is_a_declaration(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "capture.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    spec = spec_of(tmp_path, tags={"owner": "ana"}, **yaml.safe_load(example))
    assert spec.record.require.tags == ("owner", "ticket")
    found = spec.record.unmet("lr-sweep", {"owner": "ana", "ticket": "7"})
    assert [f.where for f in found] == ["tag ticket"]
