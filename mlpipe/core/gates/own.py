"""A user's own gate: a function of the evidence."""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from mlpipe.core.gates.decision import Case, Evidence, GateDecision, outcome, stop


def custom(case: Case) -> GateDecision:
    """What the function says: True, False, or one of them with a sentence.

    What it raises, and any other answer, is an error, and no error passes; the other gates are decided all the same.
    """
    function = case.params["function"]
    name = getattr(function, "__name__", type(function).__name__)
    try:
        answer = function(as_mapping(case.evidence))
    except Exception as error:  # noqa: BLE001 - whatever a function of the user raises, the other gates are decided
        return case.unknown(f"{name} raised {type(error).__name__}: {stop(str(error))[:-1]}")
    good, said = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, "")
    if not isinstance(good, bool) or not isinstance(said, str):
        return case.unknown(
            f"{name} answered with {type(answer).__name__}, not with a bool or (bool, sentence)"
        )
    return case.says("pass" if good else "fail", f"{said.rstrip('.') or f'{name} decides'}: {outcome(good)}.")


def as_mapping(evidence: Evidence) -> Mapping[str, Any]:
    """Evidence as a user's function reads it: plain mappings, that changing does not change the evidence."""
    told = asdict(evidence)
    told["intervals"] = {n: list(ends) for n, ends in evidence.intervals.items()}
    return MappingProxyType(told)
