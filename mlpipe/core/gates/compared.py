"""Gates on metrics: of the model alone, beside a baseline, beside the champion."""

import math
import re
from collections.abc import Mapping
from typing import Any

from mlpipe.core.bootstrap import Paired
from mlpipe.core.gates.decision import Case, GateDecision, Verdict, apart, ends, finite, outcome, stop
from mlpipe.core.spending import level_of

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%", re.ASCII)


def margin_error(margin: object) -> str:
    """What is wrong with a margin; empty for a number, and for a percentage such as ``"0.5%"`` (no sign, no space)."""
    number = isinstance(margin, (int, float)) and not isinstance(margin, bool) and abs(margin) < 1e300
    if number or (isinstance(margin, str) and _PERCENT.fullmatch(margin)):
        return ""
    shown = repr(margin) if len(repr(margin)) <= 60 else f"{repr(margin)[:60]}…"
    return f"margin must be a number, or a share of the rival's value such as '0.5%', got {shown}"


def value_bounded(case: Case) -> GateDecision:
    """`at_least` and `at_most`: the metric's value as it is, whichever direction is better."""
    metric, limit = str(case.params["metric"]), float(case.params["value"])
    observed = case.evidence.metrics.get(metric, math.nan)
    found = case.evidence.intervals.get(metric)
    if not math.isfinite(observed):
        why = "is undefined on these rows" if metric in case.evidence.metrics else "was not computed"
        return case.unknown(f"{metric} {why}", limit)
    good = observed >= limit if case.kind == "at_least" else observed <= limit
    shown, asked = apart(observed, limit)
    text = (
        f"{metric} is {shown}{ends(found)}, {case.kind.replace('_', ' ')} {asked} is asked: {outcome(good)}."
    )
    return case.says("pass" if good else "fail", text, limit, observed, found)


def beats_baseline(case: Case) -> GateDecision:
    """Superiority over a baseline by a margin."""
    name, metric = str(case.params["baseline"]), str(case.params["metric"])
    pair = case.evidence.baselines.get(name, {}).get(metric)
    return _superior(case, float(case.params["level"]), "", f"the baseline '{name}'", pair)


def beats_champion(case: Case) -> GateDecision:
    """Superiority over the champion by a margin, at the level that is left for this try."""
    metric, evidence, limit = str(case.params["metric"]), case.evidence, _number(case.params)
    declared = float(case.params["level"])
    early = _no_champion(case, limit, "has nothing to beat")
    if early is not None:
        return early
    level = declared if evidence.try_number is None else level_of(declared, evidence.try_number)
    spent = "" if evidence.try_number is None else _spent(declared, level, case)
    return _superior(case, level, spent, _champion(case), (evidence.champion or {}).get(metric))


def within(case: Case) -> GateDecision:
    """Not worse than the champion by more than `by`.

    On the golden set the difference itself decides, for the set is fixed and no sample. On the judged rows the one-sided lower bound of
    the improvement must not lie below ``-by``: non-inferiority.
    """
    metric, by = str(case.params["metric"]), float(case.params["by"])
    if case.params["on"] == "test":
        early = _no_champion(case, by, "has nothing to stay near")
        if early is not None:
            return early
        pair = (case.evidence.champion or {}).get(metric)
        why = _undecidable(pair, metric, _champion(case), float(case.params["level"]))
        if pair is None or why:
            return case.unknown(why, by)
        what = "on the judged rows the lower bound of its difference from"
        return _near(case, pair.lower_bound, pair.difference, (pair.low, pair.high), what)
    facts = case.facts("golden")
    if facts is None:
        return case.unknown("no golden set was judged", by)
    if case.evidence.champion_version is None:
        return case.says(
            "pass", f"{metric} has nothing to stay near, for there is no champion yet: passes.", by
        )
    found = (facts.get("difference") or {}).get(metric)
    if found is None or found.get("value") is None:
        text = f"{metric} of {_champion(case)} on the golden set '{facts.get('name', '')}' is unknown: it cannot be compared."
        return case.says("not_comparable", text, by)
    bounds = (found.get("low"), found.get("high"))
    interval = None if None in bounds else (float(bounds[0]), float(bounds[1]))
    where = f"on the golden set '{facts.get('name', '')}' its difference from"
    return _near(case, float(found["value"]), float(found["value"]), interval, where)


def _near(
    case: Case, decisive: float, observed: float, interval: tuple[float, float] | None, what: str
) -> GateDecision:
    by = float(case.params["by"])
    # What a subtraction of two metrics leaves behind is no loss.
    good = decisive >= -by - 1e-12
    shown, asked = apart(decisive, -by, short=True)
    text = f"{case.params['metric']}: {what} {_champion(case)} is {shown}{ends(interval)}, at least {asked} is asked: {outcome(good)}."
    return case.says("pass" if good else "fail", text, by, observed, interval)


def _no_champion(case: Case, limit: float | None, nothing: str) -> GateDecision | None:
    """The decision where there is no champion to compare with; None where there is."""
    metric, evidence = str(case.params["metric"]), case.evidence
    if evidence.incomparable:
        text = f"{metric} cannot be compared with {_champion(case)}: {evidence.incomparable}"
        return case.says("not_comparable", stop(text), limit)
    if evidence.champion is None and evidence.champion_version is None:
        return case.says("pass", f"{metric} {nothing}, for there is no champion yet: passes.", limit)
    return None


def _champion(case: Case) -> str:
    return f"the champion {case.evidence.champion_version or ''}".rstrip()


def _number(params: Mapping[str, Any]) -> float | None:
    """The margin in units of the metric; None for a percentage, which is none without a rival."""
    return None if isinstance(params["margin"], str) else float(params["margin"])


def _spent(declared: float, level: float, case: Case) -> str:
    which = f"try {case.evidence.try_number} against version {case.evidence.champion_version}"
    return f" ({which}: of alpha {1 - declared:.3g}, {1 - level:.2g} is spent here)"


def _undecidable(pair: Paired | None, metric: str, rival: str, level: float) -> str:
    """Why a comparison decides nothing; empty when it does."""
    if pair is None:
        return f"{metric} was not compared with {rival}"
    if not math.isclose(1 - pair.level, 1 - level, rel_tol=1e-6):
        return f"{metric} was compared with {rival} at level {pair.level:.6g}, not at {level:.6g}"
    if not (math.isfinite(pair.difference) and math.isfinite(pair.lower_bound)):
        note = f" ({pair.note.rstrip('.')})" if pair.note else ""
        return f"the difference of {metric} from {rival} is undefined{note}"
    return ""


def _superior(case: Case, level: float, spent: str, rival: str, pair: Paired | None) -> GateDecision:
    metric, margin = str(case.params["metric"]), _number(case.params)
    why = _undecidable(pair, metric, rival, level)
    if not why and margin is None and pair is not None and not math.isfinite(pair.rival):
        why = f"{metric} of {rival} is undefined, and so is {case.params['margin']} of it"
    if pair is None or why:
        return case.unknown(why, margin, None if pair is None else finite(pair.difference))
    limit, share = margin, ""
    if limit is None:
        limit = float(str(case.params["margin"]).rstrip("%")) / 100 * abs(pair.rival)
        share = f" ({case.params['margin']} of its {pair.rival:.4g})"
    good = pair.lower_bound > limit
    bound, asked = apart(pair.lower_bound, limit, short=bool(share))
    text = (
        f"{metric} improves on {rival} by {pair.difference:.3g}{ends((pair.low, pair.high))}; the lower bound at "
        f"{level:.4g}{spent} is {bound}, more than {asked}{share} is asked: {outcome(good)}."
    )
    # Whoever relies on a pass should know how weak its evidence is; a model that failed, failed.
    text += f" {pair.note}" if good and pair.note else ""
    verdict: Verdict = "pass" if good else "fail"
    return case.says(verdict, text, limit, pair.difference, (pair.low, pair.high))
