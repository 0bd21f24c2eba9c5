"""Drift on the screen and as a page: bands, cause first, names that stay text."""

from typing import Any

import pytest

from mlpipe.views.drift import as_html, as_text, level

EVIL = "<b>hours</b>"


def found(**changes: Any) -> dict[str, Any]:
    cause = {"kind": "data bug", "column": EVIL, "since": "2025-01-02", "ranking": [(EVIL, 0.8), ("b", 0.2)]}
    return {
        "pipeline": "churn",
        "on": "2025-01-03",
        "days": ["2025-01-01", "2025-01-02", "2025-01-03"],
        "version": 2,
        "verdicts": ["stable", "stable", "drift"],
        "raised": [False, False, True],
        "columns": [{"name": EVIL, "psi": [None, 0.1, 0.25], "limit": 0.2, "over": True, "drifts": True}],
        "slices": [],
        "cause": {**cause, "upstream": ["2025-01-02: 3 rows came"], "evidence": [f"{EVIL} drifts"]},
        "alarms": {"alarms": 1, "days": 3, "per_quarter": 30.3, "low": 0.8, "high": 169.0},
        **changes,
    }


@pytest.mark.parametrize(("psi", "band"), [(None, 0), (0.0999, 1), (0.1, 2), (0.2499, 2), (0.25, 3)])
def test_bands_are_exact(psi: float | None, band: int) -> None:
    assert level(psi) == band


def test_the_cause_comes_first_and_each_day_has_a_mark() -> None:
    lines = as_text(found()).splitlines()
    assert lines[0] == f"churn on 2025-01-03: data bug in {EVIL}"
    assert lines[1:3] == ["  began on 2025-01-02", "  changed upstream, 2025-01-02: 3 rows came"]
    assert f"{EVIL}   ▒█" in lines and "alarm           ▲" in lines
    assert "\x1b" not in as_text(found()) and "\x1b[31m█" in as_text(found(), colour=True)


def test_what_passes_is_told_apart_from_what_drifts_and_alarms_are_counted() -> None:
    text = as_text(found())
    assert "drifts" in text and "over today" not in text
    assert "false alarms over recorded history: at most 30 a quarter [0.8, 1.7e+02]" in text
    assert "(1 in 3 days)" in text
    one = [{**found()["columns"][0], "drifts": False}]
    assert "over today" in as_text(found(columns=one))


def test_slices_have_a_mark_a_day_where_any_was_over() -> None:
    slices = [
        {"name": "city=<b>", "days": ["", "over", "drifts"]},
        {"name": "city=Ulm", "days": ["over", "", ""]},
    ]
    lines = [line.split() for line in as_text(found(slices=slices)).splitlines()]
    assert ["city=<b>", "drifts", "·▒▲"] in lines and ["city=Ulm", "▒··"] in lines
    html = as_html(found(slices=slices))
    assert "Scores on slices" in html and "city=&lt;b&gt;" in html and "city=<b>" not in html
    assert "slice" not in as_text(found()) + as_html(found())


def test_a_quiet_day_says_so() -> None:
    cause = {"kind": "nothing", "column": None, "since": None, "upstream": [], "evidence": [], "ranking": []}
    assert as_text(found(cause=cause)).startswith("churn on 2025-01-03: nothing is raised\n")


def test_a_page_escapes_names_and_needs_no_network() -> None:
    html = as_html(found())
    assert "<b>" not in html and "&lt;b&gt;hours" in html
    assert "PSI 0.250" in html and "http" not in html.replace("http://www.w3.org/2000/svg", "").replace(
        "http-equiv", ""
    )
