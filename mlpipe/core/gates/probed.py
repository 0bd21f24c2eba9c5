"""Gates on what probes found: slices, fairness, behaviour, robustness, resources, calibration, leaks, origin, papers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlpipe.core.gates.decision import Case, GateDecision, outcome

NAMED = 3
"""So many of what is wrong are named in a sentence."""


def no_slice_regresses(case: Case) -> GateDecision:
    """No slice is worse than under the champion: surely (tested over all slices together), and by more than `by`.

    Where a slice is looked at twice, the difference is that of the look that tells more against the model.
    """
    metric, by = case.params["metric"], float(case.params["by"])
    facts = case.facts("slices")
    whole = facts if facts is None or facts.get("metric") == metric else facts.get("others", {}).get(metric)
    if whole is None:
        return case.unknown(f"no slice was judged by {metric}", by)
    if case.evidence.champion_version is None:
        return case.says("pass", "no slice can regress, for there is no champion yet: passes.", by)
    if case.evidence.incomparable:
        text = f"slices cannot be compared with the champion: {case.evidence.incomparable.rstrip('.')}."
        return case.says("not_comparable", text, by)
    slices = whole["slices"]
    beside = [s for s in slices if s.get("difference") is not None]
    if not beside:
        return case.unknown(f"no slice has {whole['min_support']} rows to compare", by)
    alpha = 1 - float(case.params["level"])
    tested = [s for s in beside if s.get("p_adjusted") is not None]
    bad = [s for s in tested if s["p_adjusted"] < alpha and -_told(s) > by]
    worst = min(bad or tested or beside, key=_told)
    which = _some([f"{s['slice']} by {-_told(s):.3g} on {s['rows']:,} rows{_look(s)}" for s in bad], len(bad))
    said = (
        f"worse than under the champion in {metric}: {which}"
        if bad
        else f"none of {len(tested)} tested is worse in {metric}"
    )
    text = f"slices {said}, by more than {by:g} is refused: {outcome(not bad)}."
    ends = ("low_within", "upper_within") if _look(worst) else ("low_difference", "upper_difference")
    return case.says("fail" if bad else "pass", text, by, _told(worst), _interval(worst, *ends))


def _told(facts: Mapping[str, Any]) -> float:
    """Difference of a slice by the look that decides."""
    return float(facts["within" if _look(facts) else "difference"])


def _look(facts: Mapping[str, Any]) -> str:
    """By which rows a slice is told to be worse, where these are not all of its pairs."""
    return " (by pairs of one block)" if facts.get("look") == "within" else ""


def fair(case: Case) -> GateDecision:
    """A measure of disparity between groups keeps its limit in every column that was asked for; what is not tested does not pass."""
    measure, limit, only = str(case.params["measure"]), case.params["limit"], case.params["column"]
    facts = case.facts("fairness")
    if facts is None:
        return case.unknown("fairness was not tested", limit)
    columns = {c: f for c, f in facts["columns"].items() if only in (None, c)}
    whole = [u for u in facts["not_tested"] if not u.get("group") and not u.get("measure")]
    missing = [str(u["column"]) for u in whole if only in (None, u["column"]) and u["column"] not in columns]
    if missing or not columns:
        return case.unknown(f"fairness by {', '.join(missing) or only or 'any column'} was not tested", limit)
    if measure == "four_fifths":
        return _four_fifths(case, columns)
    found = {c: f["measures"].get(measure, {}) for c, f in columns.items()}
    unknown = [c for c, m in found.items() if m.get("value") is None]
    if unknown:
        return case.unknown(f"{measure} by {', '.join(unknown)} was not tested", limit)
    at_least = measure.endswith("_ratio")
    sign = 1.0 if at_least else -1.0
    worst = min(found, key=lambda c: sign * float(found[c]["value"]))
    value, interval = float(found[worst]["value"]), _interval(found[worst], "low", "high")
    good = value >= limit if at_least else value <= limit
    text = f"{measure} by {worst} is {value:.3g}, at {'least' if at_least else 'most'} {limit:g} is asked: {outcome(good)}."
    return case.says("pass" if good else "fail", text, limit, value, interval)


def _four_fifths(case: Case, columns: Mapping[str, Any]) -> GateDecision:
    unknown = [c for c, f in columns.items() if f.get("four_fifths") is None]
    if unknown:
        return case.unknown(f"the four-fifths rule by {', '.join(unknown)} was not tested", 0.8)
    bad = [c for c, f in columns.items() if not f["four_fifths"]]
    said = f"is broken by {', '.join(bad)}" if bad else f"holds by {', '.join(columns)}"
    return case.says("fail" if bad else "pass", f"the four-fifths rule {said}: {outcome(not bad)}.", 0.8)


def behaves(case: Case) -> GateDecision:
    """At most `failures` tests of behaviour fail; a test without rows tests nothing."""
    limit = float(case.params["failures"])
    tests = (case.facts("behaviour") or {}).get("tests") or []
    hollow = [t["name"] for t in tests if t.get("rate") is None]
    if not tests or hollow:
        why = f"the test {hollow[0]!r} had no rows" if hollow else "no behaviour was tested"
        return case.unknown(why, limit)
    bad = [f"{t['name']!r} ({t['failed']} of {t['rows']} rows)" for t in tests if t["rate"] > t["allowed"]]
    return _counted(case, len(bad), limit, f"of {len(tests)} tests of behaviour", "fail", bad)


def robust(case: Case) -> GateDecision:
    """At most `crashes` cases of odd input end otherwise than in an answer or a refusal in words."""
    limit = float(case.params["crashes"])
    facts = case.facts("robustness")
    if facts is None or not facts.get("asked"):
        return case.unknown("the model was not asked with odd input", limit)
    admitted = ("answer", "refused")
    bad = [_case(c) for c in facts["cases"] if c["outcome"] not in admitted]
    return _counted(
        case, int(facts["crashes"]), limit, f"of {facts['asked']} cases of odd input", "crash", bad
    )


def _case(case: Mapping[str, Any]) -> str:
    where = f" in {case['column']}" if case.get("column") else ""
    return f"{case['case']}{where}"


def budget(case: Case) -> GateDecision:
    """`fast_enough` and `fits_in_memory`: each number that has a limit keeps it, as measured in a process of its own."""
    key = {"p99_ms": "p99_ms", "batch_p99_ms": "batch_p99_ms", "mb": "peak_mb", "bundle_mb": "bundle_mb"}
    limits = {n: float(v) for n, v in case.params.items() if v is not None}
    facts = case.facts("resources")
    first = next(iter(limits))
    absent = [n for n in limits if facts is None or facts.get(key[n]) is None]
    if facts is None or absent:
        why = str((facts or {}).get("failed") or f"{key[(absent or [first])[0]]} was not measured").rstrip(
            "."
        )
        return case.unknown(why, limits[first])
    over = [n for n, limit in limits.items() if float(facts[key[n]]) > limit]
    told = [
        f"{_said(key[n])} {float(facts[key[n]]):.4g} {_unit(n)} of {limit:g} {_unit(n)}"
        for n, limit in limits.items()
    ]
    shown = (over or [first])[0]
    text = f"{', '.join(told)}: {outcome(not over)}."
    return case.says("fail" if over else "pass", text, limits[shown], float(facts[key[shown]]))


def _said(name: str) -> str:
    return {"p99_ms": "one row takes", "batch_p99_ms": "a batch takes", "peak_mb": "predicting takes"}.get(
        name, "the bundle takes"
    )


def _unit(name: str) -> str:
    return "ms at p99" if name.endswith("_ms") else "MB"


def calibrated(case: Case) -> GateDecision:
    """The expected calibration error keeps its limit."""
    limit, facts = float(case.params["ece"]), case.facts("calibration")
    if facts is None or facts.get("ece") is None:
        return case.unknown("calibration was not measured", limit)
    value, interval = float(facts["ece"]), _interval(facts, "low", "high")
    good = value <= limit
    text = f"the expected calibration error is {value:.3g}, at most {limit:g} is asked: {outcome(good)}."
    return case.says("pass" if good else "fail", text, limit, value, interval)


def no_leakage(case: Case) -> GateDecision:
    """No feature is suspected of knowing the truth, and no row was made from something later than its prediction."""
    facts, limit = case.facts("leakage"), case.params["limit"]
    if facts is None:
        return case.unknown("nothing was looked at for leaks", limit)
    alone = {f["feature"]: f["alone"] for f in facts["features"] if f["alone"] is not None}
    suspects = (
        list(facts["suspects"])
        if limit is None
        else sorted({*facts["late_features"], *(n for n, v in alone.items() if v >= limit)})
    )
    late, strongest = int(facts["late_rows"]), max(alone.values(), default=None)
    asked = facts.get("limit") if limit is None else limit
    if suspects or late:
        told = [f"{n} (alone {alone[n]:.3g})" if n in alone else n for n in suspects]
        why = (
            f"suspected of knowing the truth: {_some(told, len(told))}"
            if told
            else f"{late} rows were made from something later"
        )
        return case.says("fail", f"{why}: fails.", asked, strongest)
    audit = (
        f"; rows were not audited, for {facts['not_audited'].rstrip('.')}" if facts.get("not_audited") else ""
    )
    text = f"no feature of {len(alone)} is suspected of knowing the truth{audit}: passes."
    return case.says("pass", text, asked, strongest)


def lineage_complete(case: Case) -> GateDecision:
    """All that the model was made from is on record."""
    return _nothing_missing(
        case, "lineage", "origin is not on record", "all that the model was made from is on record"
    )


def documented(case: Case) -> GateDecision:
    """What a model card needs to say was declared."""
    return _nothing_missing(
        case, "documentation", "the pipeline does not say", "the pipeline says what its model is for"
    )


def _nothing_missing(case: Case, probe: str, bad: str, good: str) -> GateDecision:
    facts = case.facts(probe)
    if facts is None:
        return case.unknown(f"{probe} was not looked at", 0.0)
    missing = [str(m) for m in facts["missing"]]
    text = f"{bad}: {_some(missing, len(missing))}: fails." if missing else f"{good}: passes."
    return case.says("fail" if missing else "pass", text, 0.0, float(len(missing)))


def reproducible(case: Case) -> GateDecision:
    """Trained again without reuse the model came out identical, or as `least` allows, with equal predictions."""
    facts, ranks = case.facts("reproduction"), ("different", "equal", "identical")
    if facts is None or facts.get("verdict") not in ranks:
        return case.unknown(str((facts or {}).get("failed") or "the model was not made again").rstrip("."))
    verdict, least = str(facts["verdict"]), str(case.params["least"])
    good = ranks.index(verdict) >= ranks.index(least)
    text = f"made again the model came out {verdict}, {least} is asked: {outcome(good)}."
    return case.says("pass" if good else "fail", text)


def _counted(case: Case, count: int, limit: float, of: str, verb: str, named: Sequence[str]) -> GateDecision:
    good = count <= limit
    which = f": {_some(named, count)}" if named else ""
    text = f"{count} {of} {verb}{which}; at most {limit:g} may: {outcome(good)}."
    return case.says("pass" if good else "fail", text, limit, float(count))


def _some(named: Sequence[str], count: int) -> str:
    def told() -> Iterator[str]:
        yield from named[:NAMED]
        if count > NAMED:
            yield f"and {count - NAMED} more"

    return ", ".join(told())


def _interval(facts: Mapping[str, Any], low: str, high: str) -> tuple[float, float] | None:
    ends = facts.get(low), facts.get(high)
    return None if ends[0] is None or ends[1] is None else (float(ends[0]), float(ends[1]))
