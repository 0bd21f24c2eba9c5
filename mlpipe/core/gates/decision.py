"""What is known when a gate decides, its answer, and how the answer is put."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from mlpipe.core.bootstrap import Paired
from mlpipe.errors import DataError

Verdict = Literal["pass", "fail", "not_comparable", "error"]


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
    probes
        Facts of each probe that looked at the model, by its name.
    """

    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Paired]] = field(default_factory=dict)
    champion: Mapping[str, Paired] | None = None
    champion_version: str | None = None
    try_number: int | None = None
    incomparable: str = ""
    ids: tuple[str, ...] = ()
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
            "limit": finite(self.limit),
            "observed": finite(self.observed),
            "interval": None if self.interval is None else [finite(end) for end in self.interval],
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
            interval=None if ends is None else (or_nan(ends[0]), or_nan(ends[1])),
            evidence=tuple(data["evidence"]),
            sentence=data["sentence"],
        )


def passed(decisions: Sequence[GateDecision]) -> bool:
    """True only if every gate passed; no gates, nothing to fail."""
    return all(d.verdict == "pass" for d in decisions)


@dataclass(frozen=True)
class Case:
    """One gate before it decides: how it is written, its parameters with the defaults, and the evidence."""

    gate: str
    kind: str
    params: Mapping[str, Any]
    evidence: Evidence

    def says(
        self,
        verdict: Verdict,
        sentence: str,
        limit: float | None = None,
        observed: float | None = None,
        interval: tuple[float, float] | None = None,
    ) -> GateDecision:
        """The decision, with the evidence that it rests on."""
        return GateDecision(
            self.gate, self.kind, verdict, limit, observed, known(interval), self.evidence.ids, sentence
        )

    def unknown(self, why: str, limit: float | None = None, observed: float | None = None) -> GateDecision:
        """An error: what the gate needs is not there."""
        return self.says("error", f"{why}, so {self.gate} cannot be decided.", limit, observed)

    def facts(self, probe: str) -> Mapping[str, Any] | None:
        """What a probe found; None where it did not look."""
        return self.evidence.probes.get(probe)


def outcome(good: bool) -> str:
    """The last word of a sentence."""
    return "passes" if good else "fails"


def stop(text: str) -> str:
    """The text with a full stop."""
    return text if text.endswith(".") else f"{text}."


def ends(interval: tuple[float, float] | None) -> str:
    """An interval behind a number, empty where it is unknown."""
    found = known(interval)
    return "" if found is None else f" [{found[0]:.3g}, {found[1]:.3g}]"


def known(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """The interval, None when an end is undefined."""
    return interval if interval is not None and all(map(math.isfinite, interval)) else None


def apart(observed: float, limit: float, short: bool = False) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart: "0.4 is below 0.4" explains nothing.

    A limit that somebody wrote is shown as it was written, one that was computed (`short`) with few digits too.
    """
    for digits in range(3, 18):
        shown = f"{observed:.{digits}g}", f"{limit:.{digits if short else 12}g}"
        far, near = float(shown[0]), float(shown[1]) if short else limit
        if (far < near) == (observed < limit) and (far > near) == (observed > limit):
            return shown
    return repr(observed), repr(limit)


def finite(value: float | None) -> float | None:
    """The number; None where it is none."""
    return None if value is None or not math.isfinite(value) else float(value)


def or_nan(value: float | None) -> float:
    """The number; nan where there is none."""
    return math.nan if value is None else value
