"""The service levels of a day as text and as data: from the monitor's record and its table alone."""

import json
import math
from typing import Any

import pytest

from mlpipe.cli import main
from mlpipe.views.levels import as_text, to_dict
from mlpipe_tests.index.made import record
from mlpipe_tests.views.story import story


def row(indicator: str, value: float, state: str, **more: Any) -> dict[str, Any]:
    given = {"asked": "< 0.25", "severity": "warning", "response": "retrain", "why": ""}
    days = {"known_days": 10, "missed_days": 2, "allowed_days": 1.4}
    return {"indicator": indicator, "value": value, "state": state, **given, **days, **more}


ROWS = [
    row("rows", 900.0, "met", missed_days=0),
    row("score_js", math.nan, "unknown", why="nothing was predicted in the window", known_days=0),
    row("psi", 0.31, "missed"),
    row("psi:hours", 0.31, "missed", known_days=0),
    row("psi:plays", 0.01, "met", known_days=0),
]
HEAD = {
    "version": 3,
    "levels": {"psi": [0.31, "missed"]},
    "response": {"psi": ["retrain", "warning", "< 0.25"]},
    "exhausted": ["psi"],
    "served": {"by": "previous", "response": "fall back", "for": ["psi"]},
}
DAYS = {"from": "2024-01-01", "to": "2024-01-03", "states": {"psi": "m?x", "rows": "mmm"}}


def test_what_is_missed_comes_first_and_what_follows_is_said() -> None:
    text = as_text(record(stage="monitor", data={"head": HEAD, "levels_days": DAYS}), ROWS)
    lines = text.splitlines()
    assert "1 of 3 service levels missed" in lines[0] and "@3 on" in lines[0]
    assert lines[4].split()[:3] == ["psi", "0.31", "<"] and "2 of 1.4 in 10 days: used up" in lines[4]
    assert lines[4].endswith("· x") and "retrain (warning)" in lines[4]
    assert lines[5].startswith("  hours") and "plays" not in text
    assert "unknown: nothing was predicted in the window" in text and "no day known" in text
    assert "The previous answered: psi asks for 'fall back'." in text and "used up: psi" in text


def test_a_program_gets_numbers_or_null() -> None:
    found = to_dict(record(stage="monitor", data={"head": HEAD, "levels_days": DAYS}), ROWS)
    assert json.loads(json.dumps(found, allow_nan=False))["levels"][1]["value"] is None
    assert found["exhausted"] == ["psi"] and found["version"] == 3


def test_a_record_without_levels_says_why() -> None:
    assert "the monitor says 'no_champion'" in as_text(record(stage="monitor", verdict="no_champion"), [])
    assert "before there were service levels" in as_text(record(stage="monitor"), [])


def test_the_command_tells_the_last_day_and_a_named_one(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*args: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["levels", "churn", *args, "--store", story().store])
        out, err = capsys.readouterr()
        assert end.value.code == (4 if "2031-01-01" in args else 0), err
        return out or err

    assert "missing_rate" in said() and "service levels missed" in said()
    body = json.loads(said("--json"))
    assert {r["indicator"] for r in body["levels"]} >= {"missing_rate", "valid_rate", "psi", "score_js"}
    assert f"on {body['partition']}" in said("--on", body["partition"])
    assert "has no partition '2031-01-01'" in said("--on", "2031-01-01")
