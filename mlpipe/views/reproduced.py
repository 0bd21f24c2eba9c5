"""What came of making records again, for people: the verdict first, then what agrees, what does not, and what was otherwise than then."""

from collections.abc import Mapping, Sequence
from typing import Any

WORDS = {
    "identical": "IDENTICAL: every object has the same content, bit by bit",
    "equal": "EQUAL within the tolerance: other bits, the same numbers",
    "different": "DIFFERENT: it did not come out the same",
}
MOST = 12
"""At most this many lines of a kind; the rest are counted."""


def as_text(answers: Sequence[Mapping[str, Any]]) -> str:
    """A paragraph for each record, and a line about all of them where there are several."""
    text = "\n\n".join(_one(a) for a in answers)
    if len(answers) < 2:
        return text
    counts = {v: sum(a["verdict"] == v for a in answers) for v in WORDS}
    told = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
    return f"{text}\n\n{len(answers)} made again: {told}."


def _one(answer: Mapping[str, Any]) -> str:
    asset = f"{answer['asset']} {answer['partition']}"
    lines = [
        f"{answer['reference']}: {WORDS[answer['verdict']]}.",
        f"  {asset}, recorded at {answer['recorded_at'][:19]}; {answer['read']} inputs read, each found whole; "
        f"{answer['seconds']:.1f} s.",
    ]
    code = f"  Code: archive {answer['archive'][:17]}"
    lines.append(f"{code}, commit {answer['commit'][:12]}." if answer["commit"] else f"{code}.")
    lines += _agreements(answer["outputs"])
    lines += _metrics(answer["metrics"])
    lines += _differences(answer["differences"], answer["verdict"])
    return "\n".join(lines)


def _agreements(found: Sequence[Mapping[str, Any]]) -> list[str]:
    same = [a["name"] for a in found if a["verdict"] == "identical"]
    other = [a for a in found if a["verdict"] != "identical"]
    lines = [f"  Identical: {', '.join(same)}."] if same else []
    return lines + _capped(
        [f"  {a['verdict']}: {a['name']}: {a['note']} ({a['then'][:19]}, now {a['now'][:19]})" for a in other]
    )


def _metrics(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return []
    other = [a for a in found if a["verdict"] != "identical"]
    first = f"  Metrics: {len(found) - len(other)} of {len(found)} identical."
    worst = sorted(other, key=lambda a: a["verdict"] != "different")
    return [
        first,
        *_capped(
            [f"    {a['name']} was {a['then']}, now {a['now']}: {a['verdict']}, {a['note']}" for a in worst]
        ),
    ]


def _differences(found: Sequence[Mapping[str, Any]], verdict: str) -> list[str]:
    """Versions, kernels, thread counts, code and parameters that are otherwise; first those that may change a result."""
    if not found:
        return ["  Surroundings: as they were."]
    decisive = [d for d in found if d["decisive"]]
    first = "  Otherwise than then"
    if verdict != "identical":
        first += " (what may change a result: " + (
            f"{len(decisive)})" if decisive else "nothing that is recorded)"
        )
    marked = [f"    {d['name']}: {d['then'] or 'not set'}, now {d['now'] or 'not set'}" for d in found]
    return [f"{first}:", *_capped(marked)]


def _capped(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MOST else [*lines[:MOST], f"    … and {len(lines) - MOST} more"]
