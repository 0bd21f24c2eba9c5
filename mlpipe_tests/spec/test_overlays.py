"""Overlays: what replaces the settings in dev, stage and prod; all of them are checked wherever one is."""

from datetime import timedelta
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import mlpipe as ml
from mlpipe.errors import SpecError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe_tests.spec.declared import YAML, declared, loaded

PROD = {"prod": {"window": "60d", "retrain": {"drift": 0.5}, "split": ml.Split(test="5d")}}


def in_deployment(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> PipelineSpec:
    monkeypatch.setenv("MLPIPE_DEPLOYMENT", name)
    return declared(**changes)


def test_an_overlay_is_laid_over_the_settings_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, prod = declared(overlays=PROD), in_deployment(monkeypatch, "prod", overlays=PROD)
    assert (plain.deployment, plain.window, plain.split.test) == ("dev", None, timedelta(days=10))
    assert (prod.deployment, prod.window, prod.split.test) == ("prod", timedelta(days=60), timedelta(days=5))
    assert prod.retrain is not None and (prod.retrain.every, prod.retrain.drift) == ("week", 0.5)
    assert prod.split.valid == timedelta(days=10) and prod.sources == plain.sources


def test_the_default_deployment_is_dev_with_its_overlay(monkeypatch: pytest.MonkeyPatch) -> None:
    overlays = {"dev": {"seed": 1}, "stage": {"seed": 2}}
    assert declared(overlays=overlays).seed == 1
    assert declared(overlays=overlays, deployment="stage").seed == 2
    assert in_deployment(monkeypatch, "", overlays=overlays).seed == 1
    assert in_deployment(monkeypatch, "prod", overlays=overlays).seed == 0


def test_an_unknown_deployment_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError) as caught:
        in_deployment(monkeypatch, "pord")
    (finding,) = caught.value.findings
    assert finding.what == (
        "unknown deployment 'pord' in MLPIPE_DEPLOYMENT. Did you mean 'prod'? Valid: dev, stage, prod."
    )


@pytest.mark.parametrize("deployment", ["", "prod"])
def test_mistakes_of_every_overlay_are_told_in_every_deployment(
    monkeypatch: pytest.MonkeyPatch, deployment: str
) -> None:
    overlays = {
        "prod": {"retrain": ml.Retrain(evry="day"), "gates": [ml.gate.at_least("f2", 1)]},
        "stage": 5,
        "live": {},
    }
    with pytest.raises(SpecError) as caught:
        in_deployment(monkeypatch, deployment, overlays=overlays)
    found = {f.where.partition("key ")[2]: f.what for f in caught.value.findings}
    assert {key: text.split(". ")[0] for key, text in found.items()} == {
        "overlays.live": "unknown deployment 'live'",
        "overlays.stage": "must be a mapping of keys, got 5",
        "overlays.prod.retrain.evry": "unknown key 'evry'",
        "overlays.prod.gates.0.at_least.metric": "unknown metric 'f2'",
    }


def test_what_only_an_overlay_makes_wrong_says_where() -> None:
    with pytest.raises(SpecError) as caught:
        declared(overlays={"prod": {"window": "5d"}})
    (finding,) = caught.value.findings
    assert finding.what.endswith("leave nothing of the window (5d) to train on (in prod)")
    assert finding.where.endswith("key split")


def test_another_model_or_source_replaces_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(window: Any) -> Any:
        return window

    over = {"model": LinearRegression(), "metrics": ["rmse"], "gates": [], "source": ml.Load(load)}
    prod = in_deployment(monkeypatch, "prod", overlays={"prod": over}, label="churned")
    assert isinstance(prod.model.estimator, LinearRegression)
    assert prod.sources["rows"].type == "load" and not prod.sources["rows"].keys  # type: ignore[union-attr]
    same = in_deployment(monkeypatch, "prod", overlays={"prod": {"source": ml.Parquet("p/{partition}")}})
    assert (same.sources["rows"].path, same.sources["rows"].keys) == ("p/{partition}", ("user",))  # type: ignore[union-attr]
    tuned = in_deployment(monkeypatch, "prod", overlays={"prod": {"model": {"params": {"C": 2}}}})
    assert isinstance(tuned.model.estimator, LogisticRegression) and tuned.model.params == {"C": 2}
    tags = in_deployment(
        monkeypatch, "prod", tags={"type": "a", "x": "y"}, overlays={"prod": {"tags": {"type": "b"}}}
    )
    assert tags.tags == {"type": "b", "x": "y"}


def test_overlays_in_yaml_name_functions_and_classes_and_their_lines() -> None:
    text = YAML + "overlays:\n  prod:\n    model:\n      params: {C: 2}\n"
    assert loaded(text, deployment="prod").model.estimator.C == 2
    assert loaded(text).model.estimator.C == 0.5
    with pytest.raises(SpecError) as caught:
        loaded(text.replace("C: 2", "c: 2") + "    label: json:loads\n")
    count = len(YAML.splitlines())
    assert {f.where: f.what.split(". ")[0] for f in caught.value.findings} == {
        f"defs.yaml:{count + 5}, key overlays.prod.label.function": "'json' belongs to Python's standard library; "
        "name a function of your own project",
        f"defs.yaml:{count + 4}, key overlays.prod.model.params.c": "LogisticRegression has no parameter 'c'",
    }
