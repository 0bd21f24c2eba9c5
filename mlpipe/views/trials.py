"""What came of trying variants, for people: what differs and the metrics, the best first; and day by day beside the own models."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlpipe.views.table import table

MOST_METRICS = 4
"""So many metrics beside the first are shown; the records hold all."""


def as_text(answer: Mapping[str, Any]) -> str:
    """Tables of an answer of `mlpipe try`."""
    tried: Sequence[Mapping[str, Any]] = answer["variants"]
    many = len(answer["partitions"]) > 1
    names = [n for n in tried[0]["set"] if len({str(v["set"].get(n)) for v in tried}) > 1] if tried else []
    primary = answer["metric"]
    others = [m for m in answer["metrics"] if m != primary][:MOST_METRICS]
    folded = any(r.get("folds") for v in tried for r in v["records"])
    over = ["over folds"] if folded else []
    head = [*(names or ["variant"]), primary or "metric", *over, "beside own model", *others, "note"]
    rows = [_row(v, names, primary, others, many, folded) for v in tried]
    parts = [_first_line(answer), table(head, rows)]
    if tried:
        parts.append(_days(tried[0], primary))
    return "\n\n".join(p for p in parts if p)


def _first_line(answer: Mapping[str, Any]) -> str:
    keys, tried = answer["partitions"], answer["variants"]
    where = keys[0] if len(keys) == 1 else f"{len(keys)} partitions, {keys[0]} to {keys[-1]}"
    reused = sum(r["reused"] for v in tried for r in v["records"])
    were = "1 had been tried before, and was" if reused == 1 else f"{reused} had been tried before, and were"
    told = f"; {were} found again" if reused else ""
    mean = " Metrics are means over partitions." if len(keys) > 1 else ""
    experiment = f" (experiment {answer['experiment']})" if answer["experiment"] else ""
    variants = "1 variant" if len(tried) == 1 else f"{len(tried)} variants"
    return f"{answer['pipeline']}: {variants} for {where}{experiment}{told}.{mean}"


def _row(
    variant: Mapping[str, Any],
    names: Sequence[str],
    primary: str,
    others: Sequence[str],
    many: bool,
    folded: bool,
) -> list[str]:
    changed = [_shown(variant["set"].get(n)) for n in names] or [variant["label"]]
    records = variant["records"]
    notes = ["found again"] if records and all(r["reused"] for r in records) else []
    notes += sorted({r["verdict"] for r in records if r["verdict"] not in ("pass", "fail", "not_comparable")})
    if not records:
        notes.append("failed")
    return [
        *changed,
        _metric(variant, primary, interval=not many),
        *([_metric(variant, primary, interval=not many, of="folds")] if folded else []),
        _beside(variant["comparison"]),
        *(_metric(variant, m, interval=False) for m in others),
        ", ".join(notes),
    ]


def _metric(variant: Mapping[str, Any], name: str, *, interval: bool, of: str = "metrics") -> str:
    values = [r[of][name] for r in variant["records"] if name in r.get(of, {})]
    known = [v for v in values if v[0] is not None]
    if not known:
        return "–"
    mean = math.fsum(v[0] for v in known) / len(known)
    low, high = known[0][1:]
    return f"{mean:.4f}" + (
        f" [{low:.4f}, {high:.4f}]" if interval and low is not None and high is not None else ""
    )


def _beside(made: Mapping[str, Any]) -> str:
    """The difference from the own model: of one partition with its paired interval, of several their mean."""
    if not made["days"]:
        return "–"
    one = made["days"][0] if len(made["days"]) == 1 else {**made, "difference": made["mean"]}
    some = f" (of {len(made['days'])})" if made["missing"] and len(made["days"]) > 1 else ""
    return _difference(one) + some


def _difference(one: Mapping[str, Any]) -> str:
    if one["difference"] is None:
        return "–"
    bounds = "" if one["low"] is None else f" [{one['low']:+.4f}, {one['high']:+.4f}]"
    return f"{one['difference']:+.4f}{bounds}"


def _days(best: Mapping[str, Any], metric: str) -> str:
    """The best variant beside the own models, day by day; and what is missing."""
    made = best["comparison"]
    lines = []
    if len(made["days"]) > 1:
        head = ["partition", metric, "own", "difference", "rows", "note"]
        rows = [
            [
                d["partition"],
                _number(d["value"]),
                _number(d["own"]),
                _difference(d),
                f"{d['rows']:,}",
                d["note"],
            ]
            for d in made["days"]
        ]
        lines += [
            f"The best, {best['label']}, beside the pipeline's own models (positive: the trial is better):"
        ]
        lines += ["", table(head, rows)]
        if made["note"]:
            lines.append(f"Of the mean: {made['note']}.")
    lines += [f"Missing: {key}: {why}." for key, why in made["missing"].items()]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _shown(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def as_list(pipeline: str, labels: Sequence[str], partitions: Sequence[str]) -> str:
    """The variants that would be tried."""
    trained = len(labels) * len(partitions)
    lines = [f"{pipeline}: {len(labels)} variants for {', '.join(partitions)}, {trained} trainings at most:"]
    return "\n".join([*lines, *(f"  {label}" for label in labels)])
