"""What is said of results made again: the verdict first, what differs, and what was otherwise."""

from typing import Any

import pytest

from mlpipe.views.reproduced import MOST, as_text

SAME = {"name": "bundle", "then": "bundle-1", "now": "bundle-1", "verdict": "identical", "note": ""}
OTHER = {
    "name": "scored",
    "then": "table-1",
    "now": "table-2",
    "verdict": "different",
    "note": "columns score",
}
METRIC = {"name": "test.f1", "then": "0.5", "now": "0.6", "verdict": "different", "note": "by +0.1"}
THREADS = {"name": "threads.OMP_NUM_THREADS", "then": "", "now": "2", "decisive": True}


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "reference": "flights@1",
        "verdict": "identical",
        "asset": "flights/model",
        "partition": "2013-04-01",
        "recorded_at": "2024-01-01T10:00:00.123+00:00",
        "read": 3,
        "seconds": 1.25,
        "archive": "code-0123456789abcdef",
        "commit": "0123456789abcdef",
        "outputs": [SAME],
        "metrics": [{**METRIC, "verdict": "identical"}],
        "differences": [],
        **changes,
    }


def test_identical_is_said_in_few_lines() -> None:
    lines = as_text([answer()]).splitlines()
    assert lines[0] == "flights@1: IDENTICAL: every object has the same content, bit by bit."
    assert "flights/model 2013-04-01" in lines[1] and "3 inputs" in lines[1] and "1.2 s" in lines[1]
    assert "code-0123456789ab, commit 0123456789ab." in lines[2]
    assert lines[3:] == [
        "  Identical: bundle.",
        "  Metrics: 1 of 1 identical.",
        "  Surroundings: as they were.",
    ]


@pytest.mark.parametrize("verdict", ["equal", "different"])
def test_what_differs_stands_beside_what_may_have_done_it(verdict: str) -> None:
    made = answer(
        verdict=verdict,
        outputs=[SAME, {**OTHER, "verdict": verdict}],
        metrics=[{**METRIC, "verdict": verdict}],
        differences=[THREADS],
    )
    text = as_text([made])
    assert text.startswith(f"flights@1: {verdict.upper()}")
    assert f"{verdict}: scored: columns score (table-1, now table-2)" in text
    assert f"test.f1 was 0.5, now 0.6: {verdict}, by +0.1" in text and "0 of 1 identical" in text
    assert "what may change a result: 1" in text and "threads.OMP_NUM_THREADS: not set, now 2" in text


def test_a_difference_without_a_recorded_reason_says_so() -> None:
    made = answer(verdict="different", outputs=[OTHER], differences=[{**THREADS, "decisive": False}])
    assert "nothing that is recorded" in as_text([made])


def test_long_lists_are_counted_and_several_are_summed_up() -> None:
    many = [{**METRIC, "name": f"m{i}"} for i in range(MOST + 5)]
    text = as_text([answer(verdict="different", metrics=many), answer(commit="")])
    assert "and 5 more" in text and "Code: archive code-0123456789ab.\n" in text
    assert text.endswith("2 made again: 1 identical, 1 different.")
