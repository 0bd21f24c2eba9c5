"""What an evaluation found beside its metrics, as tables: the ladder, folds, slices, fairness, behaviour."""

from collections.abc import Iterator, Mapping
from typing import Any

from mlpipe.records.record import Record
from mlpipe.views.table import table

MOST = 12
"""At most this many lines of a table; those to worry about come first."""


def as_tables(record: Record) -> Iterator[str]:
    """A table for each thing that was looked at, with a line that says what it is."""
    judged = record.data.get("judged") or {}
    ladder = record.data.get("ladder") or {}
    if ladder:
        rows = [
            [n, number(r["value"]), _signed(r, "lift", "low", "high"), str(r["verdict"])]
            for n, r in ladder.items()
        ]
        yield _titled(
            f"Gained in {record.data.get('primary', '')}, over:",
            ["rung", "its value", "gain", "which is"],
            rows,
        )
    folds = record.data.get("folds") or {}
    if any("values" in f for f in folds.get("folds", ())):
        yield _folds(folds)
    if "slices" in judged:
        yield _slices(judged["slices"])
    if "fairness" in judged:
        yield _fairness(judged["fairness"])
    if (judged.get("behaviour") or {}).get("matrix"):
        yield _behaviour(judged["behaviour"]["matrix"])


def _folds(facts: Mapping[str, Any]) -> str:
    made = facts["folds"]
    names = list(made[0]["values"])
    rows = [
        [str(f["fold"]), f"{f['train']:,}", f"{f['test']:,}", *(number(f["values"][n]) for n in names)]
        for f in made
    ]
    by = f" by {facts['by']}" if facts["by"] else ""
    title = f"Folds, {facts['kind']}{by}: each tested by a model that did not learn from it."
    return _titled(title, ["fold", "learned from", "tested", *names], rows)


def _slices(facts: Mapping[str, Any]) -> str:
    rows = [
        [
            str(s["slice"]),
            f"{s['rows']:,}",
            _signed(s, "value", "low", "high"),
            _signed(s, "difference", "low_difference", "upper_difference"),
            _worse(s),
        ]
        for s in facts["slices"][:MOST]
    ]
    left = sum(1 for _ in facts.get("left_out", ())) + int(facts.get("more_left_out") or 0)
    small = f" {left} with fewer than {facts['min_support']} rows are left out." if left else ""
    title = f"Slices by {facts['metric']}, beside the champion.{small}"
    return _titled(title, ["slice", "rows", "value", "difference", ""], rows)


def _worse(facts: Mapping[str, Any]) -> str:
    """Whether a slice is surely worse, and by which look where its difference does not show it."""
    if not facts["regresses"]:
        return ""
    if facts.get("look") != "within":
        return "worse"
    return f"worse by pairs of one block: {_signed(facts, 'within', 'low_within', 'upper_within')}"


def _fairness(facts: Mapping[str, Any]) -> str:
    rows = [
        [column, measure, _signed(value, "value", "low", "high")]
        for column, found in facts["columns"].items()
        for measure, value in found["measures"].items()
    ]
    rows += [
        [c, "four-fifths rule", {True: "holds", False: "broken"}.get(f["four_fifths"], "not tested")]
        for c, f in facts["columns"].items()
    ]
    untested = [
        [u["column"], u.get("group") or u.get("measure") or "", f"not tested: {u['why']}"]
        for u in facts["not_tested"]
    ]
    return _titled("Fairness between groups:", ["by", "measure", "value"], [*rows, *untested[:MOST]])


def _behaviour(matrix: Mapping[str, Mapping[str, Any]]) -> str:
    kinds = ("minimum", "invariance", "directional")
    rows = [
        [name, *("" if k not in cells else f"{cells[k][0]} of {cells[k][1]}" for k in kinds)]
        for name, cells in matrix.items()
    ]
    return _titled("Behaviour, failed of tried rows:", ["capability", *kinds], rows)


def _titled(title: str, head: list[str], rows: list[list[str]]) -> str:
    return f"{title}\n{table(head, rows)}"


def number(value: float | None) -> str:
    """Four decimals; a dash where there is no number."""
    return "–" if value is None else f"{value:.4f}"


def _signed(facts: Mapping[str, Any], value: str, low: str, high: str) -> str:
    ends = facts.get(low), facts.get(high)
    told = number(facts.get(value))
    return told if None in ends else f"{told} [{number(ends[0])}, {number(ends[1])}]"
