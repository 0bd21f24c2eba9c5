"""Gates on what probes found: each by hand, at its border, and without evidence."""

from typing import Any

import pytest

from mlpipe.core.bootstrap import Paired
from mlpipe.core.gates import GATES, Evidence, decide, describe, needs

SLICE = {
    "slice": "origin=JFK",
    "rows": 400,
    "value": 0.6,
    "difference": -0.2,
    "low_difference": -0.25,
    "upper_difference": -0.1,
}
SLICES = {
    "metric": "f1",
    "min_support": 50,
    "slices": [
        {**SLICE, "p_adjusted": 0.01},
        {**SLICE, "slice": "origin=LGA", "difference": -0.3, "p_adjusted": 0.15},
        {**SLICE, "slice": "origin=PHL", "difference": -0.4, "p_adjusted": None},
    ],
}
MEASURES = {
    "demographic_parity_ratio": {"value": 0.8, "low": 0.7, "high": 0.9},
    "equal_opportunity_difference": {"value": 0.1},
}
FAIRNESS = {
    "columns": {"age": {"measures": MEASURES, "four_fifths": True}},
    "not_tested": [{"column": "age", "group": "90+", "why": "3 rows"}],
}
TESTS = [
    {"name": "later", "rows": 10, "failed": 2, "rate": 0.2, "allowed": 0.2},
    {"name": "typo", "rows": 10, "failed": 3, "rate": 0.3, "allowed": 0.2},
]
CRASHED = {"case": "a category never seen", "column": "carrier", "outcome": "crash", "message": "ValueError"}
LEAKAGE = {
    "features": [
        {"feature": "hint", "alone": 0.999},
        {"feature": "hour", "alone": 0.7},
        {"feature": "empty", "alone": None},
    ],
    "limit": 0.99,
    "late_rows": 0,
    "late_features": {},
    "not_audited": "",
    "suspects": ["hint"],
}
PROBES: dict[str, Any] = {
    "slices": SLICES,
    "fairness": FAIRNESS,
    "behaviour": {"tests": TESTS},
    "robustness": {"cases": [CRASHED], "asked": 20, "crashes": 1},
    "resources": {"p99_ms": 500.0, "batch_p99_ms": 40.0, "peak_mb": 800.0, "bundle_mb": 3.0},
    "leakage": LEAKAGE,
    "calibration": {"ece": 0.05, "low": 0.03, "high": 0.08},
    "lineage": {"missing": []},
    "documentation": {"missing": ["owners", "problem.decision"]},
    "reproduction": {"verdict": "equal"},
    "golden": {
        "name": "bugs",
        "metrics": {"f1": 0.7},
        "difference": {"f1": {"value": -0.02, "low": -0.05, "high": 0.01}},
    },
}
CHAMPION = {"f1": Paired(0.05, 0.02, 0.08, 0.025, 0.95, 1000, 30, "", 0.7)}
EVIDENCE = Evidence(metrics={"f1": 0.75}, champion=CHAMPION, champion_version="3", ids=("a",), probes=PROBES)

BY_HAND = [
    (
        "no_slice_regresses",
        {"metric": "f1"},
        "fail",
        "slices worse than under the champion in f1: origin=JFK by 0.2 on 400 rows",
    ),
    ("no_slice_regresses", {"metric": "f1", "by": 0.2}, "pass", "none of 2 tested is worse in f1"),
    ("no_slice_regresses", {"metric": "f1", "by": 0.1999}, "fail", None),
    ("no_slice_regresses", {"metric": "f1", "level": 0.995}, "pass", None),
    ("no_slice_regresses", {"metric": "f1", "by": 0.2, "level": 0.8}, "fail", "origin=LGA by 0.3 on"),
    ("fair", {"measure": "four_fifths"}, "pass", "the four-fifths rule holds by age: passes."),
    (
        "fair",
        {"measure": "demographic_parity_ratio", "limit": 0.8},
        "pass",
        "demographic_parity_ratio by age is 0.8, at least 0.8",
    ),
    ("fair", {"measure": "demographic_parity_ratio", "limit": 0.81}, "fail", None),
    ("fair", {"measure": "equal_opportunity_difference", "limit": 0.1}, "pass", "at most 0.1 is asked"),
    ("fair", {"measure": "equal_opportunity_difference", "limit": 0.09}, "fail", None),
    ("fair", {"measure": "predictive_parity_difference", "limit": 0.09}, "error", "by age was not tested"),
    ("fair", {"measure": "four_fifths", "column": "region"}, "error", "fairness by region was not tested"),
    ("behaves", {}, "fail", "1 of 2 tests of behaviour fail: 'typo' (3 of 10 rows); at most 0 may: fails."),
    ("behaves", {"failures": 1}, "pass", None),
    (
        "robust",
        {},
        "fail",
        "1 of 20 cases of odd input crash: a category never seen in carrier; at most 0 may: fails.",
    ),
    ("robust", {"crashes": 1}, "pass", None),
    ("fast_enough", {"p99_ms": 200}, "fail", "one row takes 500 ms at p99 of 200 ms at p99: fails."),
    ("fast_enough", {"p99_ms": 500}, "pass", None),
    ("fast_enough", {"p99_ms": 500, "batch_p99_ms": 39}, "fail", None),
    ("fits_in_memory", {"mb": 400}, "fail", "predicting takes 800 MB of 400 MB: fails."),
    ("fits_in_memory", {"mb": 800, "bundle_mb": 3}, "pass", None),
    ("no_leakage", {}, "fail", "suspected of knowing the truth: hint (alone 0.999): fails."),
    ("no_leakage", {"limit": 0.9995}, "pass", None),
    ("no_leakage", {"limit": 0.7}, "fail", None),
    (
        "calibrated",
        {"ece": 0.05},
        "pass",
        "the expected calibration error is 0.05, at most 0.05 is asked: passes.",
    ),
    ("calibrated", {"ece": 0.049}, "fail", None),
    ("lineage_complete", {}, "pass", None),
    ("documented", {}, "fail", "the pipeline does not say: owners, problem.decision: fails."),
    ("reproducible", {}, "pass", "made again the model came out equal, equal is asked: passes."),
    ("reproducible", {"least": "identical"}, "fail", None),
    (
        "within",
        {"metric": "f1", "by": 0.01},
        "fail",
        "on the golden set 'bugs' its difference from the champion 3 is -0.02",
    ),
    ("within", {"metric": "f1", "by": 0.02}, "pass", None),
    (
        "within",
        {"metric": "f1", "by": 0.01, "on": "test"},
        "pass",
        "the lower bound of its difference from the champion 3 is 0.025",
    ),
    ("within", {"metric": "f1", "by": -0.03, "on": "test"}, "fail", None),
]


@pytest.mark.parametrize(("kind", "params", "verdict", "said"), BY_HAND)
def test_by_hand(kind: str, params: dict[str, Any], verdict: str, said: str | None) -> None:
    decision = decide(kind, params, EVIDENCE)
    assert (decision.verdict, decision.kind, decision.evidence) == (verdict, kind, ("a",)), decision.sentence
    assert said is None or said in decision.sentence


@pytest.mark.parametrize(("kind", "params"), [(k, p) for k, p, *_ in BY_HAND if p.get("on") != "test"])
def test_nothing_passes_without_its_evidence(kind: str, params: dict[str, Any]) -> None:
    assert decide(kind, params, Evidence(metrics={"f1": 0.9}, champion_version="3")).verdict == "error"


@pytest.mark.parametrize(
    ("probe", "facts"),
    [
        ("behaviour", {"tests": []}),
        ("behaviour", {"tests": [{"name": "n", "rows": 0, "failed": 0, "rate": None, "allowed": 1.0}]}),
        ("robustness", {"cases": [], "asked": 0, "crashes": 0}),
        ("resources", {"failed": "the process died"}),
        ("slices", {"metric": "f1", "slices": [], "min_support": 50}),
        ("fairness", {"columns": {}, "not_tested": [{"column": "age", "why": "one group"}]}),
        ("calibration", {"ece": None}),
        ("reproduction", {"failed": "no time"}),
    ],
)
def test_hollow_facts_are_errors(probe: str, facts: dict[str, Any]) -> None:
    evidence = Evidence(metrics={}, champion_version="3", probes={probe: facts})
    asked = [(k, p) for k, p, *_ in BY_HAND if GATES[k].probes == (probe,)]
    assert asked and {decide(k, p, evidence).verdict for k, p in asked} == {"error"}


def test_a_first_model_has_nothing_to_regress_from() -> None:
    first = Evidence(metrics={"f1": 0.75}, probes=PROBES)
    for kind, params in (("no_slice_regresses", {"metric": "f1"}), ("within", {"metric": "f1", "by": 0.0})):
        assert decide(kind, params, first).verdict == "pass"
    apart = Evidence(metrics={}, champion_version="3", incomparable="it is of another task.", probes=PROBES)
    assert decide("no_slice_regresses", {"metric": "f1"}, apart).verdict == "not_comparable"


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (True, "pass", "mine decides: passes."),
        ((False, "too dear"), "fail", "too dear: fails."),
        (1, "error", "answered with int"),
        (ValueError("no"), "error", "mine raised ValueError: no"),
    ],
)
def test_a_gate_of_ones_own(answer: Any, verdict: str, said: str) -> None:
    def mine(evidence: Any) -> Any:
        assert evidence["metrics"]["f1"] == 0.75 and evidence["probes"]["calibration"]["ece"] == 0.05
        if isinstance(answer, Exception):
            raise answer
        return answer

    decision = decide("custom", {"function": mine, "needs": ("calibration",)}, EVIDENCE)
    assert (decision.verdict, decision.gate) == (verdict, "custom(mine, needs=('calibration',))")
    assert said in decision.sentence


def test_which_probes_a_gate_reads() -> None:
    assert needs("fast_enough", {"p99_ms": 1}) == ("resources",) and needs("at_least", {}) == ()
    assert needs("within", {"on": "test"}) == () and needs("within", {}) == ("golden",)
    assert needs("custom", {"needs": ("slices",)}) == ("slices",)
    assert describe("no_slice_regresses", {"metric": "roc_auc"}) == "no_slice_regresses(roc_auc)"
