"""The margin of a gate, at both doors: a number, or a share of the rival's value."""

from typing import Any

import pytest

import mlpipe as ml
from mlpipe.errors import SpecError
from mlpipe_tests.spec.declared import YAML, declared, loaded

GATE = "  - beats_champion: {metric: f1}"


def in_yaml(margin: str) -> str:
    return YAML.replace(GATE, f"  - beats_champion: {{metric: f1, margin: {margin}}}")


@pytest.mark.parametrize("kind", ["beats_champion", "beats_baseline"])
@pytest.mark.parametrize("margin", ["0.5%", "5%", 0.01, -0.01, 0])
def test_a_margin_is_a_number_or_a_percentage(kind: str, margin: Any) -> None:
    by_door = declared(gates=[getattr(ml.gate, kind)("f1", margin=margin)]).gates[0]
    text = YAML.replace(GATE, f"  - {kind}: {{metric: f1, margin: {margin}}}")
    assert by_door == loaded(text).gates[1]
    assert by_door.params["margin"] == margin


@pytest.mark.parametrize(
    ("margin", "shown"),
    [
        ("'5 %'", "'5 %'"),
        ("5 %", "'5 %'"),
        ("abc", "'abc'"),
        ("-1%", "'-1%'"),
        ("'0.5'", "'0.5'"),
        ("true", "True"),
    ],
)
def test_a_bad_margin_is_said_with_its_line_in_yaml(margin: str, shown: str) -> None:
    text = in_yaml(margin)
    line = text.splitlines().index(f"  - beats_champion: {{metric: f1, margin: {margin}}}") + 1
    with pytest.raises(SpecError) as caught:
        loaded(text)
    [found] = caught.value.findings
    assert found.where.endswith(f":{line}, key gates.1.beats_champion.margin")
    assert (
        found.what == f"margin must be a number, or a share of the rival's value such as '0.5%', got {shown}"
    )


@pytest.mark.parametrize("margin", ["5 %", "abc", "-1%", None])
def test_a_bad_margin_is_said_in_python(margin: Any) -> None:
    with pytest.raises(SpecError) as caught:
        declared(gates=[ml.gate.beats_champion("f1", margin=margin)])
    [found] = caught.value.findings
    assert found.where.endswith("key gates.0.beats_champion.margin")
    assert found.what.endswith(f"such as '0.5%', got {margin!r}")


def test_a_level_is_no_percentage() -> None:
    with pytest.raises(SpecError, match="level must be a number, got '95%'"):
        declared(gates=[ml.gate.beats_champion("f1", level="95%")])
