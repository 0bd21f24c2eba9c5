"""Gates: every verdict by hand, and that nothing undefined ever passes."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.core.bootstrap import Paired
from mlpipe.core.gates import (
    GATES,
    Evidence,
    GateDecision,
    decide,
    level_of_gate,
    margin_error,
    passed,
)
from mlpipe.errors import DataError, NotFoundError, SpecError

NAN = math.nan


def pair(difference: float, bound: float, level: float = 0.95, note: str = "", rival: float = 0.8) -> Paired:
    return Paired(difference, bound - 0.002, difference + 0.01, bound, level, 1000, 30, note, rival)


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


@pytest.mark.parametrize(
    ("margin", "bound", "rival", "verdict", "limit"),
    [
        ("0.5%", 0.005, 0.8, "pass", 0.004),
        ("0.5%", 0.004, 0.8, "fail", 0.004),
        ("0.5%", 0.0041, -0.8, "pass", 0.004),
        ("10%", 0.0041, 0.04, "pass", 0.004),
        ("0%", 0.0, 0.8, "fail", 0.0),
        ("100%", 0.9, 0.8, "pass", 0.8),
        ("0.5%", 0.1, 0.0, "pass", 0.0),
        ("0.5%", 0.1, NAN, "error", None),
        (0.004, 0.005, NAN, "pass", 0.004),
    ],
)
def test_a_percentage_is_a_share_of_the_rivals_absolute_value(
    margin: float | str, bound: float, rival: float, verdict: str, limit: float | None
) -> None:
    compared = {"f1": pair(0.2, bound, rival=rival)}
    evidence = Evidence({}, baselines={"constant": compared}, champion=compared, champion_version="1")
    for kind in ("beats_champion", "beats_baseline"):
        decision = decide(kind, {"metric": "f1", "margin": margin}, evidence)
        assert decision.verdict == verdict
        assert decision.limit == (None if limit is None else pytest.approx(limit, abs=1e-15))


def test_the_sentence_says_what_a_percentage_amounts_to() -> None:
    evidence = Evidence({}, champion={"f1": pair(0.012, 0.005, rival=0.804)}, champion_version="1")
    decision = decide("beats_champion", {"metric": "f1", "margin": "0.5%"}, evidence)
    assert decision.gate == "beats_champion(f1, margin=0.5%)"
    assert decision.sentence == (
        "f1 improves on the champion 1 by 0.012 [0.003, 0.022]; the lower bound at 0.95 is 0.005, "
        "more than 0.00402 (0.5% of its 0.804) is asked: passes."
    )
    close = Evidence({}, champion={"f1": pair(0.012, 0.0040199, rival=0.804)}, champion_version="1")
    text = decide("beats_champion", {"metric": "f1", "margin": "0.5%"}, close).sentence
    assert "is 0.0040199, more than 0.00402 (0.5% of its 0.804) is asked: fails." in text
    unknown = Evidence({}, champion={"f1": pair(0.012, 0.005, rival=NAN)}, champion_version="1")
    assert decide("beats_champion", {"metric": "f1", "margin": "0.5%"}, unknown).sentence == (
        "f1 of the champion 1 is undefined, and so is 0.5% of it, so beats_champion(f1, margin=0.5%) cannot be decided."
    )


BAD = [
    "5 %",
    " 5%",
    "abc",
    "-1%",
    "+1%",
    "%",
    "0.5",
    "1e2%",
    ".5%",
    "5%%",
    "٥%",
    "5%\n",
    "",
    True,
    None,
    [1],
    NAN,
    10**400,
]


@pytest.mark.parametrize("margin", BAD)
def test_a_bad_margin_is_refused(margin: Any) -> None:
    assert "such as '0.5%', got " in margin_error(margin)
    with pytest.raises(SpecError, match="gate beats_champion: margin must be a number, or a share"):
        decide("beats_champion", {"metric": "f1", "margin": margin}, EVIDENCE)


@pytest.mark.parametrize("margin", ["0.5%", "5%", "0%", "100%", "12.25%", 0, 0.01, -0.01])
def test_a_good_margin_is_taken(margin: Any) -> None:
    assert margin_error(margin) == ""


@pytest.mark.parametrize(
    ("number", "level", "spent"),
    [
        (1, 0.975, "at 0.975 (try 1 against version 7: of alpha 0.05, 0.025 is spent here) is"),
        (3, 1 - 0.05 / 12, "at 0.9958 (try 3 against version 7: of alpha 0.05, 0.0042 is spent here) is"),
        (14, 1 - 0.05 / 210, "at 0.9998 (try 14 against version 7: of alpha 0.05, 0.00024 is spent here) is"),
    ],
)
def test_a_try_is_decided_at_the_level_that_is_left_for_it(number: int, level: float, spent: str) -> None:
    params = {"metric": "f1"}
    assert level_of_gate("beats_champion", params, number) == pytest.approx(level, abs=1e-15)
    right = Evidence({}, champion={"f1": pair(0.1, 0.05, level)}, champion_version="7", try_number=number)
    decision = decide("beats_champion", params, right)
    assert decision.verdict == "pass" and spent in decision.sentence
    # A comparison at the declared level is not the one that is asked for.
    wrong = Evidence({}, champion={"f1": pair(0.1, 0.05, 0.95)}, champion_version="7", try_number=number)
    assert decide("beats_champion", params, wrong).verdict == "error"
    later = Evidence({}, champion={"f1": pair(0.1, 0.05, level)}, champion_version="7", try_number=number + 1)
    assert decide("beats_champion", params, later).verdict == "error"


def test_baselines_spend_nothing() -> None:
    evidence = Evidence({}, baselines={"constant": {"f1": pair(0.1, 0.05)}}, try_number=5)
    decision = decide("beats_baseline", {"metric": "f1"}, evidence)
    assert decision.verdict == "pass" and "try" not in decision.sentence
    assert level_of_gate("beats_baseline", {"metric": "f1", "level": 0.9}, 5) == 0.9


def test_a_pass_on_weak_evidence_says_so() -> None:
    weak = Evidence({}, champion={"f1": pair(0.1, 0.05, note="14 blocks are few.")}, champion_version="7")
    assert decide("beats_champion", {"metric": "f1"}, weak).sentence.endswith(": passes. 14 blocks are few.")
    assert decide("beats_champion", {"metric": "f1", "margin": 1}, weak).sentence.endswith(": fails.")


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
    assert all(kind.help for kind in GATES.values())
