"""Versions of assets: each changes with what decides its stage, and with nothing else."""

from typing import Any

import pytest

import mlpipe as ml
from mlpipe.orchestration.faces import code_version
from mlpipe_tests.orchestration.shop import orders, shop

ASSETS = (
    "raw",
    "validated",
    "features",
    "labels",
    "model",
    "evaluation",
    "release",
    "predictions",
    "monitor",
)


def versions(clean: Any = None, missing: Any = None) -> dict[str, str]:
    source = ml.Load(orders, event_time="at", keys=["order"], clean=clean or {})
    spec = shop(source=source, features={"columns": ["size", "price"], "missing": missing or {}}).spec
    return {a: code_version(spec, a) for a in ASSETS}


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"clean": {"size": {"to": "number"}}}, ["validated", "features", "labels"]),
        ({"clean": {"at": {"to": "time"}}}, ["raw"]),
        ({"missing": {"size": "mar"}}, ["model"]),
        ({}, []),
    ],
)
def test_cleaning_makes_stale_what_reads_it(changes: dict[str, Any], stale: list[str]) -> None:
    before, after = versions(), versions(**changes)
    assert [a for a in ASSETS if before[a] != after[a]] == stale


def gain(y: Any, score: Any) -> float:
    return float((y * score).mean())


def loss(y: Any, score: Any) -> float:
    return float(((1 - y) * score).mean())


def test_what_judges_makes_judgements_stale() -> None:
    def of(function: Any, **settings: Any) -> dict[str, str]:
        own = [{"name": "gain", "function": function, "better": "higher"}]
        spec = shop(own_metrics=own, **settings).spec
        return {a: code_version(spec, a) for a in ASSETS}

    before = of(gain)
    for after in (of(loss), of(gain, cost={"false_positive": 1, "false_negative": 5})):
        assert [a for a in ASSETS if before[a] != after[a]] == ["evaluation", "monitor"]
