"""The constructors that users call: what they show, what they remember, and that they check nothing before its time."""

import inspect
from typing import Any

import pytest

import mlpipe as ml
from mlpipe.core.gates import GATES
from mlpipe.errors import SpecError
from mlpipe.spec.drafts import Draft
from mlpipe_tests.spec.declared import declared, here

DOORS = [
    "CSV",
    "Column",
    "Contract",
    "Label",
    "Load",
    "Parquet",
    "Retrain",
    "SQL",
    "Split",
    "Upstream",
]
DOORS += ["daily", "hourly", "monthly", "unpartitioned", "weekly"]


@pytest.mark.parametrize("name", DOORS)
def test_a_door_shows_its_name_its_settings_and_what_they_mean(name: str) -> None:
    door = getattr(ml, name)
    assert door.__name__ == door.__qualname__ == name
    parameters = inspect.signature(door).parameters
    described = [
        line.split(" : ")[0] for line in door.__doc__.splitlines() if " : " in line and line[0] != " "
    ]
    assert (
        sorted(described) == sorted(parameters)
        and "type" not in parameters
        and "every" not in parameters
        or name == "Retrain"
    )
    assert "type" not in parameters and ("every" not in parameters or name == "Retrain")
    assert "PydanticUndefined" not in str(inspect.signature(door)) + door.__doc__
    assert "Annotated" not in door.__doc__ and "typing." not in door.__doc__


def test_signatures_say_what_is_needed() -> None:
    assert str(inspect.signature(ml.Parquet)).startswith(
        "(path, *, event_time=None, keys=(), timezone=None, "
    )
    assert str(inspect.signature(ml.daily)) == "(start=None, *, end=None, timezone='UTC')"
    assert str(inspect.signature(ml.unpartitioned)).startswith("(*, start=None")
    assert str(inspect.signature(ml.Label)).startswith("(column=None, *, function=None, source=None, ")
    assert str(inspect.signature(ml.Column)).startswith("(dtype=None, *, nullable=1.0, ")
    assert str(inspect.signature(ml.SQL)).startswith("(url, table=None, *, event_time=None")
    assert str(inspect.signature(ml.gate.beats_champion)) == "(metric, margin=0.0, level=0.95)"
    assert dir(ml.gate) == sorted(GATES) and {"at_least", "beats_champion", "no_slice_regresses"} < set(GATES)
    assert ml.gate.at_least.__name__ == "at_least" and "not below the value" in (
        ml.gate.at_least.__doc__ or ""
    )
    assert not hasattr(ml.gate, "__wrapped__")


def test_a_draft_remembers_the_line_of_its_call() -> None:
    drafts = [
        ml.Parquet("x"),
        ml.Label("y"),
        ml.gate.at_least(
            "f1",
            0.5,
        ),
    ]
    first = here(-7)
    assert [d.where for d in drafts] == [f"{__file__}:{first + n}" for n in (0, 1, 2)]
    assert drafts[0] == Draft({"type": "parquet", "path": "x"}, drafts[0].where)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"source": ml.Parquet("{partition}", "ts")},
            "Parquet takes at most 1 positional argument (path), got 2",
        ),
        (
            {"source": ml.Parquet("{partition}", path="y/{partition}")},
            "Parquet got path twice, by position and by",
        ),
        ({"split": ml.Split("3d")}, "Split takes at most 0 positional arguments, got 1; name the others"),
        ({"label": ml.Label("churned", "30d")}, "Label takes at most 1 positional argument (column), got 2"),
        (
            {"gates": [ml.gate.at_least("f1", 0.5, 0.7)]},
            "gate.at_least takes at most 2 positional arguments (metric, value), got 3; name the others",
        ),
        (
            {"partitions": ml.daily("2024-01-01", "2024-02-01")},
            "daily takes at most 1 positional argument (start)",
        ),
    ],
)
def test_a_wrong_call_is_told_with_all_other_mistakes(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(SpecError) as caught:
        declared(**{"seed": -1, "label": "churned", **changes})
    found = [f.what for f in caught.value.findings]
    assert (
        found[0].startswith(what)
        and found[-1] == "must be greater than or equal to 0, got -1"
        and len(found) == 2
    )
