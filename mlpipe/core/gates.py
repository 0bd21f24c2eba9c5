"""Gates: pure decisions, from evidence about a model, on whether it may be released.

Only "pass" lets a model through. What cannot be computed is an error and what cannot be compared is not comparable; neither passes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from mlpipe.core.bootstrap import Paired
from mlpipe.core.spending import level_of
from mlpipe.errors import DataError, NotFoundError, SpecError, did_you_mean

Verdict = Literal["pass", "fail", "not_comparable", "error"]

GATES: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any], str]] = MappingProxyType(
    {
        "at_least": (("metric", "value"), MappingProxyType({}), "the metric is not below the value"),
        "at_most": (("metric", "value"), MappingProxyType({}), "the metric is not above the value"),
        "beats_baseline": (
            ("metric",),
            MappingProxyType({"margin": 0.0, "level": 0.95, "baseline": "constant"}),
            "the model is better than a baseline by more than the margin, with this confidence",
        ),
        "beats_champion": (
            ("metric",),
            MappingProxyType({"margin": 0.0, "level": 0.95}),
            "the model is better than the model in production by more than the margin, with this confidence",
        ),
    }
)
"""Required parameters, optional ones with their defaults, and one line of help, by kind of gate."""

MARGIN = "0.5%"
"""What a challenger must be better by where no gate asks for a comparison with the champion: less is not worth a change."""
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%", re.ASCII)


@dataclass(frozen=True)
class Evidence:
    """What is known about a model when its gates are decided.

    Attributes
    ----------
    metrics, intervals
        Value and two-sided interval of each metric on the test rows.
    baselines
        By baseline and metric: model minus baseline.
    champion
        By metric: model minus champion; None without a champion or without a comparison.
    champion_version
        None when there is no champion yet.
    try_number
        Which try against this champion the model is, from 1: of the alpha of a `beats_champion` gate it spends the share of
        `mlpipe.core.spending`. None where nothing is spent, and the gate's level holds as it is.
    incomparable
        Why the model and the champion cannot be compared; empty when they can.
    ids
        Content ids of what the decision rests on.
    """

    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Paired]] = field(default_factory=dict)
    champion: Mapping[str, Paired] | None = None
    champion_version: str | None = None
    try_number: int | None = None
    incomparable: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateDecision:
    """The answer of one gate. `limit` and `observed` are in units of the metric, or of its difference; None where there is none."""

    gate: str
    kind: str
    verdict: Verdict
    limit: float | None
    observed: float | None
    interval: tuple[float, float] | None
    evidence: tuple[str, ...]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe form: nan and infinities become None."""
        return {
            "gate": self.gate,
            "kind": self.kind,
            "verdict": self.verdict,
            "limit": _finite(self.limit),
            "observed": _finite(self.observed),
            "interval": None if self.interval is None else [_finite(end) for end in self.interval],
            "evidence": list(self.evidence),
            "sentence": self.sentence,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GateDecision":
        """Decision of `to_dict`. DataError when the verdict is unknown: an unread verdict must not pass."""
        if data["verdict"] not in get_args(Verdict):
            raise DataError(
                f"unknown gate verdict {data['verdict']!r}", fix=f"Valid: {', '.join(get_args(Verdict))}."
            )
        ends = data["interval"]
        return cls(
            gate=data["gate"],
            kind=data["kind"],
            verdict=cast(Verdict, data["verdict"]),
            limit=data["limit"],
            observed=data["observed"],
            interval=None if ends is None else (_or_nan(ends[0]), _or_nan(ends[1])),
            evidence=tuple(data["evidence"]),
            sentence=data["sentence"],
        )


def passed(decisions: Sequence[GateDecision]) -> bool:
    """True only if every gate passed; no gates, nothing to fail."""
    return all(d.verdict == "pass" for d in decisions)


def describe(kind: str, params: Mapping[str, Any]) -> str:
    """The gate as it is written: ``at_least(f1, 0.6)``, ``beats_champion(f1, margin=0.01)``; defaults are left out."""
    required, optional, _ = GATES[kind]
    given = [str(params[name]) for name in required]
    return f"{kind}({', '.join(given + [f'{n}={params[n]}' for n in optional if params.get(n, optional[n]) != optional[n]])})"


def margin_error(margin: object) -> str:
    """What is wrong with a margin; empty for a number, and for a percentage such as ``"0.5%"`` (no sign, no space)."""
    number = isinstance(margin, (int, float)) and not isinstance(margin, bool) and abs(margin) < 1e300
    if number or (isinstance(margin, str) and _PERCENT.fullmatch(margin)):
        return ""
    shown = repr(margin) if len(repr(margin)) <= 60 else f"{repr(margin)[:60]}…"
    return f"margin must be a number, or a share of the rival's value such as '0.5%', got {shown}"


def level_of_gate(kind: str, params: Mapping[str, Any], try_number: int | None) -> float:
    """Level at which a gate that compares models is tested: its own, or what is left of it for this try against the champion."""
    level = float({**GATES[kind][1], **params}["level"])
    return level if try_number is None or kind != "beats_champion" else level_of(level, try_number)


def decide(kind: str, params: Mapping[str, Any], evidence: Evidence) -> GateDecision:
    """Decide one gate.

    Parameters
    ----------
    kind
        A name in `GATES`.
    params
        Its parameters. `value` and `margin` are in units of the metric, `level` in (0, 1). `at_least` and `at_most` compare the
        metric's value as it is, whichever direction is better; `margin` is always an improvement. A margin such as ``"0.5%"`` is
        that share of the absolute value of the rival on the same rows.
    evidence
        What is known about the model. A comparison must have been made at the level of `level_of_gate`.

    Returns
    -------
    GateDecision
        An undefined or missing metric, and a comparison that is undefined or of another level, give "error"; a champion that cannot
        be compared gives "not_comparable". Without a champion `beats_champion` passes. Otherwise a comparison passes iff the
        one-sided lower bound of the improvement exceeds the margin: superiority by a margin, at that level. (A difference that only
        has to exceed the margin itself, with a bound above zero, would let half of all models pass whose true gain is the margin.)

    Raises
    ------
    NotFoundError
        An unknown kind.
    SpecError
        A missing or unknown parameter, or a margin that is neither a number nor a percentage.
    """
    full = _complete(kind, params)
    gate, metric = describe(kind, full), str(full["metric"])
    if kind in ("at_least", "at_most"):
        return _compare_value(gate, kind, metric, float(full["value"]), evidence)
    level = level_of_gate(kind, full, evidence.try_number)
    if kind == "beats_baseline":
        name = str(full["baseline"])
        pair, rival, spent = evidence.baselines.get(name, {}).get(metric), f"the baseline '{name}'", ""
        return _compare_models(gate, kind, full, level, spent, rival, pair, evidence.ids)
    rival = f"the champion {evidence.champion_version or ''}".rstrip()
    if evidence.incomparable:
        text = f"{metric} cannot be compared with {rival}: {evidence.incomparable}"
        return GateDecision(
            gate, kind, "not_comparable", _number(full), None, None, evidence.ids, _stop(text)
        )
    if evidence.champion is None and evidence.champion_version is None:
        text = f"{metric} has nothing to beat, for there is no champion yet: passes."
        return GateDecision(gate, kind, "pass", _number(full), None, None, evidence.ids, text)
    spent = "" if evidence.try_number is None else _spent(float(full["level"]), level, evidence)
    return _compare_models(
        gate, kind, full, level, spent, rival, (evidence.champion or {}).get(metric), evidence.ids
    )


def _number(params: Mapping[str, Any]) -> float | None:
    """The margin in units of the metric; None for a percentage, which is none without a rival."""
    return None if isinstance(params["margin"], str) else float(params["margin"])


def _spent(declared: float, level: float, evidence: Evidence) -> str:
    which = f"try {evidence.try_number} against version {evidence.champion_version}"
    return f" ({which}: of alpha {1 - declared:.3g}, {1 - level:.2g} is spent here)"


def _complete(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in GATES:
        raise NotFoundError(f"unknown gate '{kind}'.", fix=did_you_mean(kind, list(GATES)))
    required, optional, _ = GATES[kind]
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


def _compare_value(gate: str, kind: str, metric: str, limit: float, evidence: Evidence) -> GateDecision:
    observed = evidence.metrics.get(metric, math.nan)
    ends = evidence.intervals.get(metric)
    if not math.isfinite(observed):
        why = "is undefined on these rows" if metric in evidence.metrics else "was not computed"
        return GateDecision(
            gate,
            kind,
            "error",
            limit,
            None,
            None,
            evidence.ids,
            f"{metric} {why}, so {gate} cannot be decided.",
        )
    good = observed >= limit if kind == "at_least" else observed <= limit
    shown, asked = _apart(observed, limit)
    text = f"{metric} is {shown}{_ends(ends)}, {kind.replace('_', ' ')} {asked} is asked: {_outcome(good)}."
    return GateDecision(
        gate, kind, "pass" if good else "fail", limit, observed, _known(ends), evidence.ids, text
    )


def _compare_models(
    gate: str,
    kind: str,
    params: Mapping[str, Any],
    level: float,
    spent: str,
    rival: str,
    pair: Paired | None,
    ids: tuple[str, ...],
) -> GateDecision:
    metric, margin = str(params["metric"]), _number(params)
    if pair is None:
        why = f"{metric} was not compared with {rival}"
    elif not math.isclose(1 - pair.level, 1 - level, rel_tol=1e-6):
        why = f"{metric} was compared with {rival} at level {pair.level:.6g}, not at {level:.6g}"
    elif not (math.isfinite(pair.difference) and math.isfinite(pair.lower_bound)):
        why = f"the difference of {metric} from {rival} is undefined"
        why += f" ({pair.note.rstrip('.')})" if pair.note else ""
    elif margin is None and not math.isfinite(pair.rival):
        why = f"{metric} of {rival} is undefined, and so is {params['margin']} of it"
    else:
        limit, share = margin, ""
        if limit is None:
            limit = float(str(params["margin"]).rstrip("%")) / 100 * abs(pair.rival)
            share = f" ({params['margin']} of its {pair.rival:.4g})"
        good = pair.lower_bound > limit
        bound, asked = _apart(pair.lower_bound, limit, short=bool(share))
        text = (
            f"{metric} improves on {rival} by {pair.difference:.3g}{_ends((pair.low, pair.high))}; the lower bound at "
            f"{level:.4g}{spent} is {bound}, more than {asked}{share} is asked: {_outcome(good)}."
        )
        # Whoever relies on a pass should know how weak its evidence is; a model that failed, failed.
        text += f" {pair.note}" if good and pair.note else ""
        verdict: Verdict = "pass" if good else "fail"
        return GateDecision(
            gate, kind, verdict, limit, pair.difference, _known((pair.low, pair.high)), ids, text
        )
    observed = None if pair is None else _finite(pair.difference)
    return GateDecision(
        gate, kind, "error", margin, observed, None, ids, f"{why}, so {gate} cannot be decided."
    )


def _outcome(good: bool) -> str:
    return "passes" if good else "fails"


def _stop(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _ends(ends: tuple[float, float] | None) -> str:
    known = _known(ends)
    return "" if known is None else f" [{known[0]:.3g}, {known[1]:.3g}]"


def _known(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    """The interval, None when an end is undefined."""
    return ends if ends is not None and all(map(math.isfinite, ends)) else None


def _apart(observed: float, limit: float, short: bool = False) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart: "0.4 is below 0.4" explains nothing.

    A limit that somebody wrote is shown as it was written, one that was computed (`short`) with few digits too.
    """
    for digits in range(3, 18):
        shown = f"{observed:.{digits}g}", f"{limit:.{digits if short else 12}g}"
        far, near = float(shown[0]), float(shown[1]) if short else limit
        if (far < near) == (observed < limit) and (far > near) == (observed > limit):
            return shown
    return repr(observed), repr(limit)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
