"""Gates: pure decisions, from evidence about a model, on whether it may be released.

Only "pass" lets a model through. What cannot be computed is an error and what cannot be compared is not comparable; neither passes.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from mlpipe.core.gates import probed
from mlpipe.core.gates.compared import beats_baseline, beats_champion, margin_error, value_bounded, within
from mlpipe.core.gates.decision import Case, Evidence, GateDecision, Verdict, passed
from mlpipe.core.gates.own import custom
from mlpipe.core.spending import level_of
from mlpipe.errors import NotFoundError, SpecError, did_you_mean

__all__ = [
    "GATES",
    "MARGIN",
    "Evidence",
    "GateDecision",
    "Kind",
    "Verdict",
    "decide",
    "describe",
    "level_of_gate",
    "margin_error",
    "needs",
    "passed",
]

MARGIN = "0.5%"
"""What a challenger must be better by where no gate asks for a comparison with the champion: less is not worth a change."""


class Kind(NamedTuple):
    """A kind of gate: required parameters, optional ones with their defaults, a line of help, and the probes whose facts it reads."""

    required: tuple[str, ...]
    optional: Mapping[str, Any]
    help: str
    probes: tuple[str, ...] = ()


def _kind(required: str, help_: str, *probes: str, **optional: Any) -> Kind:
    return Kind(tuple(required.split()), MappingProxyType(optional), help_, probes)


GATES: Mapping[str, Kind] = MappingProxyType(
    {
        "at_least": _kind("metric value", "the metric is not below the value"),
        "at_most": _kind("metric value", "the metric is not above the value"),
        "within": _kind(
            "metric by",
            "the model is not worse than the one in production by more than this, on the golden set or the judged rows",
            "golden",
            on="golden",
            level=0.95,
        ),
        "beats_baseline": _kind(
            "metric",
            "the model is better than a baseline by more than the margin, with this confidence",
            margin=0.0,
            level=0.95,
            baseline="constant",
        ),
        "beats_champion": _kind(
            "metric",
            "the model is better than the model in production by more than the margin, with this confidence",
            margin=0.0,
            level=0.95,
        ),
        "no_slice_regresses": _kind(
            "",
            "no slice is worse than under the model in production by more than this, with this confidence over all slices",
            "slices",
            metric=None,
            by=0.0,
            level=0.95,
        ),
        "fair": _kind(
            "measure",
            "a measure of disparity keeps its limit in every declared column, or the four-fifths rule holds",
            "fairness",
            limit=None,
            column=None,
        ),
        "behaves": _kind("", "no more tests of behaviour fail than this", "behaviour", failures=0),
        "robust": _kind("", "no more cases of odd input crash the model than this", "robustness", crashes=0),
        "fast_enough": _kind(
            "p99_ms", "answers are within the budget of time at p99", "resources", batch_p99_ms=None
        ),
        "fits_in_memory": _kind(
            "mb", "predicting is within the budget of memory", "resources", bundle_mb=None
        ),
        "calibrated": _kind("ece", "the expected calibration error is not above the limit", "calibration"),
        "no_leakage": _kind(
            "",
            "no feature is suspected of knowing the truth, and no row is later than its prediction",
            "leakage",
            limit=None,
        ),
        "lineage_complete": _kind("", "all that the model was made from is on record", "lineage"),
        "reproducible": _kind(
            "", "trained again the model comes out the same", "reproduction", least="equal"
        ),
        "documented": _kind(
            "", "the pipeline says what its model is for, and who answers for it", "documentation"
        ),
        "custom": _kind("function", "a function of yours says so", needs=()),
    }
)
"""Each kind of gate, by name."""

_DECIDERS: Mapping[str, Callable[[Case], GateDecision]] = MappingProxyType(
    {
        "at_least": value_bounded,
        "at_most": value_bounded,
        "within": within,
        "beats_baseline": beats_baseline,
        "beats_champion": beats_champion,
        "no_slice_regresses": probed.no_slice_regresses,
        "fair": probed.fair,
        "behaves": probed.behaves,
        "robust": probed.robust,
        "fast_enough": probed.budget,
        "fits_in_memory": probed.budget,
        "calibrated": probed.calibrated,
        "no_leakage": probed.no_leakage,
        "lineage_complete": probed.lineage_complete,
        "reproducible": probed.reproducible,
        "documented": probed.documented,
        "custom": custom,
    }
)


def describe(kind: str, params: Mapping[str, Any]) -> str:
    """The gate as it is written: ``at_least(f1, 0.6)``, ``beats_champion(f1, margin=0.01)``; defaults are left out."""
    required, optional, *_ = GATES[kind]
    given = [_shown(params[name]) for name in required]
    others = {n: params[n] for n in optional if params.get(n, optional[n]) != optional[n]}
    metric = [_shown(others.pop("metric"))] if "metric" in others else []
    return f"{kind}({', '.join([*given, *metric, *(f'{n}={_shown(v)}' for n, v in others.items())])})"


def _shown(value: Any) -> str:
    return str(getattr(value, "__name__", value))


def needs(kind: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Probes whose facts a gate reads."""
    if kind == "custom":
        return tuple(params.get("needs", ()))
    return () if kind == "within" and params.get("on") == "test" else GATES[kind].probes


def level_of_gate(kind: str, params: Mapping[str, Any], try_number: int | None) -> float:
    """Level at which a gate that compares models is tested: its own, or what is left of it for this try against the champion."""
    level = float({**GATES[kind].optional, **params}["level"])
    return level if try_number is None or kind != "beats_champion" else level_of(level, try_number)


def decide(kind: str, params: Mapping[str, Any], evidence: Evidence) -> GateDecision:
    """Decide one gate.

    Parameters
    ----------
    kind
        A name in `GATES`.
    params
        Its parameters. `value`, `by` and `margin` are in units of the metric, `level` in (0, 1). `at_least` and `at_most` compare the
        metric's value as it is, whichever direction is better; `margin` is always an improvement. A margin such as ``"0.5%"`` is
        that share of the absolute value of the rival on the same rows.
    evidence
        What is known about the model. A comparison must have been made at the level of `level_of_gate`.

    Returns
    -------
    GateDecision
        An undefined or missing metric, facts of a probe that are missing, and a comparison that is undefined or of another level, give
        "error"; a champion that cannot be compared gives "not_comparable". Without a champion what compares with it passes. Otherwise a
        comparison passes iff the one-sided lower bound of the improvement exceeds the margin: superiority by a margin, at that level. (A
        difference that only has to exceed the margin itself, with a bound above zero, would let half of all models pass whose true gain
        is the margin.)

    Raises
    ------
    NotFoundError
        An unknown kind.
    SpecError
        A missing or unknown parameter, or a margin that is neither a number nor a percentage.
    """
    full = _complete(kind, params)
    return _DECIDERS[kind](Case(describe(kind, full), kind, full, evidence))


def _complete(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in GATES:
        raise NotFoundError(f"unknown gate '{kind}'.", fix=did_you_mean(kind, list(GATES)))
    required, optional, *_ = GATES[kind]
    missing = [name for name in required if name not in params]
    unknown = [name for name in params if name not in (*required, *optional)]
    if missing or unknown:
        wrong = f"needs {', '.join(missing)}" if missing else f"has no parameter '{unknown[0]}'"
        raise SpecError(
            f"gate {kind} {wrong}.", fix=did_you_mean(unknown[0], (*required, *optional)) if unknown else ""
        )
    if "margin" in params and (text := margin_error(params["margin"])):
        raise SpecError(f"gate {kind}: {text}", fix="Write a number, or a percentage such as '0.5%'.")
    return {**optional, **params}
