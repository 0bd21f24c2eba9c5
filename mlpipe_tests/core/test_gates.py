"""Gates: every verdict by hand, and that nothing undefined ever passes."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.bootstrap import Paired
from mlpipe.core.gates import GATES, Evidence, GateDecision, decide, passed
from mlpipe.errors import DataError, NotFoundError, SpecError

NAN = math.nan


def pair(difference: float, bound: float, level: float = 0.95, note: str = "") -> Paired:
    return Paired(difference, bound - 0.002, difference + 0.01, bound, 0.01, level, 1000, 30, note)


EVIDENCE = Evidence(
    metrics={"f1": 0.412, "rmse": 3.2, "roc_auc": NAN},
    intervals={"f1": (0.388, 0.437), "rmse": (NAN, NAN)},
    baselines={"constant": {"f1": pair(0.1, 0.05)}, "rule": {"f1": pair(0.02, -0.01)}},
    champion={
        "f1": pair(0.012, 0.005),
        "rmse": pair(-0.5, -0.9),
        "roc_auc": pair(NAN, NAN, note="1 block: too few."),
    },
    champion_version="v7",
    ids=("eval-1", "eval-0"),
)


@pytest.mark.parametrize(
    ("kind", "params", "verdict", "sentence"),
    [
        (
            "at_least",
            {"metric": "f1", "value": 0.4},
            "pass",
            "f1 is 0.412 [0.388, 0.437], at least 0.4 is asked: passes.",
        ),
        (
            "at_least",
            {"metric": "f1", "value": 0.6},
            "fail",
            "f1 is 0.412 [0.388, 0.437], at least 0.6 is asked: fails.",
        ),
        ("at_least", {"metric": "f1", "value": 0.412}, "pass", None),
        ("at_most", {"metric": "rmse", "value": 3.2}, "pass", "rmse is 3.2, at most 3.2 is asked: passes."),
        ("at_most", {"metric": "rmse", "value": 3.1}, "fail", None),
        ("at_least", {"metric": "rmse", "value": 3}, "pass", None),
        ("beats_baseline", {"metric": "f1"}, "pass", None),
        ("beats_baseline", {"metric": "f1", "baseline": "rule"}, "fail", None),
        (
            "beats_champion",
            {"metric": "f1"},
            "pass",
            "f1 improves on the champion v7 by 0.012 [0.003, 0.022]; the lower bound at 0.95 is 0.005, more than 0 is asked: passes.",
        ),
        ("beats_champion", {"metric": "f1", "margin": 0.005}, "fail", None),
        ("beats_champion", {"metric": "f1", "margin": 0.004}, "pass", None),
        ("beats_champion", {"metric": "rmse"}, "fail", None),
    ],
)
def test_by_hand(kind: str, params: dict[str, Any], verdict: str, sentence: str | None) -> None:
    decision = decide(kind, params, EVIDENCE)
    assert decision.verdict == verdict and decision.evidence == ("eval-1", "eval-0")
    assert decision.sentence.endswith(": passes." if verdict == "pass" else ": fails.")
    assert sentence is None or decision.sentence == sentence


def test_numbers_of_a_decision() -> None:
    floor = decide("at_least", {"metric": "f1", "value": 0.6}, EVIDENCE)
    assert (floor.gate, floor.limit, floor.observed, floor.interval) == (
        "at_least(f1, 0.6)",
        0.6,
        0.412,
        (0.388, 0.437),
    )
    rival = decide("beats_champion", {"metric": "f1", "margin": 0.004}, EVIDENCE)
    assert (rival.gate, rival.limit, rival.observed) == ("beats_champion(f1, margin=0.004)", 0.004, 0.012)
    assert rival.interval == pytest.approx((0.003, 0.022))
    assert decide("beats_champion", {"metric": "f1", "margin": 0.0}, EVIDENCE).gate == "beats_champion(f1)"
    assert decide("at_most", {"metric": "rmse", "value": 1}, EVIDENCE).interval is None


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("at_least", {"metric": "roc_auc", "value": 0.0}, "roc_auc is undefined on these rows"),
        ("at_most", {"metric": "roc_auc", "value": 1.0}, "roc_auc is undefined on these rows"),
        ("at_least", {"metric": "brier", "value": 0.0}, "brier was not computed"),
        ("beats_baseline", {"metric": "brier"}, "brier was not compared with the baseline 'constant'"),
        ("beats_baseline", {"metric": "f1", "baseline": "none"}, "not compared with the baseline 'none'"),
        ("beats_champion", {"metric": "brier"}, "brier was not compared with the champion v7"),
        ("beats_champion", {"metric": "roc_auc"}, "is undefined (1 block: too few), so"),
        ("beats_champion", {"metric": "f1", "level": 0.9}, "at level 0.95, not at 0.9"),
    ],
)
def test_what_cannot_be_computed_is_an_error(kind: str, params: dict[str, Any], words: str) -> None:
    decision = decide(kind, params, EVIDENCE)
    assert decision.verdict == "error" and words in decision.sentence
    assert decision.sentence.endswith(f"so {decision.gate} cannot be decided.")


def test_champion_missing_incomparable_or_not_compared() -> None:
    params = {"metric": "f1"}
    first = decide("beats_champion", params, Evidence(metrics={"f1": 0.5}))
    assert first.verdict == "pass" and "no champion yet" in first.sentence
    evidence = Evidence({"f1": 0.5}, champion_version="v7", incomparable="the label's definition changed")
    other = decide("beats_champion", params, evidence)
    assert other.verdict == "not_comparable" and not passed([other])
    assert other.sentence == "f1 cannot be compared with the champion v7: the label's definition changed."
    lost = decide("beats_champion", params, Evidence({"f1": 0.5}, champion_version="v7"))
    assert lost.verdict == "error"
    stale = Evidence(
        {"f1": 0.5}, champion={"f1": pair(1, 1)}, champion_version="v7", incomparable="other label"
    )
    assert decide("beats_champion", params, stale).verdict == "not_comparable"


def test_only_pass_passes() -> None:
    good = decide("at_least", {"metric": "f1", "value": 0.4}, EVIDENCE)
    bad = decide("at_least", {"metric": "f1", "value": 0.6}, EVIDENCE)
    error = decide("at_least", {"metric": "roc_auc", "value": 0.6}, EVIDENCE)
    assert passed([]) and passed([good, good])
    assert not passed([good, bad]) and not passed([good, error])


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@given(kind=st.sampled_from(["at_least", "at_most"]), observed=FLOATS, value=st.floats(-1e9, 1e9))
def test_only_a_finite_value_on_the_right_side_passes(kind: str, observed: float, value: float) -> None:
    decision = decide(kind, {"metric": "m", "value": value}, Evidence({"m": observed}))
    right = observed >= value if kind == "at_least" else observed <= value
    assert (decision.verdict == "pass") == (math.isfinite(observed) and right)
    assert (decision.verdict == "error") == (not math.isfinite(observed))


@given(difference=FLOATS, bound=FLOATS, margin=st.floats(-1, 1))
def test_only_a_bound_above_the_margin_passes(difference: float, bound: float, margin: float) -> None:
    evidence = Evidence({}, champion={"m": pair(difference, bound)}, champion_version="v1")
    decision = decide("beats_champion", {"metric": "m", "margin": margin}, evidence)
    known = math.isfinite(difference) and math.isfinite(bound)
    assert (decision.verdict == "pass") == (known and bound > margin)
    assert (decision.verdict == "error") == (not known)
    assert json.loads(json.dumps(decision.to_dict(), allow_nan=False)) == decision.to_dict()
    assert GateDecision.from_dict(decision.to_dict()) == decision


@given(observed=st.floats(0.3, 0.5), value=st.sampled_from([0.4, 1 / 3, 0.35]))
def test_the_sentence_shows_which_number_is_larger(observed: float, value: float) -> None:
    text = decide("at_least", {"metric": "m", "value": value}, Evidence({"m": observed})).sentence
    shown, asked = float(text.split()[2].rstrip(",")), float(text.split()[5])
    if abs(observed - value) > 1e-9:
        assert (shown < asked) == (observed < value)


def test_close_numbers_are_spelled_out() -> None:
    text = decide("at_least", {"metric": "f1", "value": 0.4}, Evidence({"f1": 0.39996})).sentence
    assert text == "f1 is 0.39996, at least 0.4 is asked: fails."


def test_round_trip_through_json() -> None:
    odd = GateDecision("g", "at_least", "error", 0.5, NAN, (NAN, 0.3), ("id",), "…")
    text = json.dumps(odd.to_dict(), allow_nan=False)
    back = GateDecision.from_dict(json.loads(text))
    assert back.observed is None and back.interval is not None
    assert math.isnan(back.interval[0]) and back.interval[1] == 0.3
    assert back.to_dict() == odd.to_dict()
    with pytest.raises(DataError, match="'passed'"):
        GateDecision.from_dict({**odd.to_dict(), "verdict": "passed"})


def test_wrong_gates() -> None:
    with pytest.raises(NotFoundError, match="'at_least'"):
        decide("atleast", {}, EVIDENCE)
    with pytest.raises(SpecError, match="needs value"):
        decide("at_least", {"metric": "f1"}, EVIDENCE)
    with pytest.raises(SpecError, match=r"'margn'(.|\n)*'margin'"):
        decide("beats_champion", {"metric": "f1", "margn": 1}, EVIDENCE)
    assert all("metric" in required and text for required, _, text in GATES.values())
