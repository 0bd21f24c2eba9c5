"""Lineage as text and as JSON: a tree up to the sources, what was made from something, what is overtaken, why a prediction is as it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlpipe.index.answer import moment
from mlpipe.index.impact import Impact
from mlpipe.index.lineage import Branch, Node
from mlpipe.index.origins import Origin
from mlpipe.index.staleness import Stale
from mlpipe.index.why import EDGE, Placed, Why
from mlpipe.records.record import Record
from mlpipe.views.record import plain
from mlpipe.views.table import printable, table

NAMED = 3
MOST = 40


def tree(branch: Branch, versions: Mapping[str, str] | None = None) -> str:
    """A branch with all below it, a line each. `versions` names models by the id of their record."""
    lines = [_branch_text(branch, versions or {}), *_below(branch, "", versions or {})]
    code = sorted(
        {
            f"{r.stage}: {n} {m[:12]}"
            for b in branch.walk()
            for r in b.records
            for n, m in r.code.fingerprints.items()
        }
    )
    archives = sorted({r.code.archive for b in branch.walk() for r in b.records if r.code.archive})
    commits = sorted({r.code.commit for b in branch.walk() for r in b.records if r.code.commit})
    if code or archives:
        lines += ["", "code"]
        lines += [f"  {printable(c)}" for c in code]
        lines += [f"  archive {a}" for a in archives] + [f"  commit {c}" for c in commits]
    return "\n".join(lines)


def _below(branch: Branch, indent: str, versions: Mapping[str, str]) -> Iterator[str]:
    for i, child in enumerate(branch.inputs):
        last = i == len(branch.inputs) - 1
        yield f"{indent}{'└─ ' if last else '├─ '}{_branch_text(child, versions)}"
        yield from _below(child, indent + ("   " if last else "│  "), versions)


def _branch_text(branch: Branch, versions: Mapping[str, str]) -> str:
    records = branch.records
    partitions = sorted({r.partition for r in records})
    span = (
        partitions[0]
        if len(partitions) == 1
        else f"{partitions[0]} to {partitions[-1]} ({len(partitions)} partitions)"
    )
    named = sorted({versions[r.id] for r in records if r.id in versions})
    text = f"{branch.asset} {span}" + (f", {', '.join(named)}" if named else "")
    if branch.again:
        return f"{text} (told above)"
    rows = sum(o.rows or 0 for r in records for o in r.outputs[:1])
    verdicts = sorted({r.verdict for r in records if r.verdict})
    facts = [*([f"{rows:,} rows"] if rows else []), *([", ".join(verdicts)] if verdicts else [])]
    ids = " ".join(r.id[:16] for r in records[:NAMED]) + (" …" if len(records) > NAMED else "")
    return f"{text}: {'; '.join(facts)}{'  ' if facts else ''}{ids}"


def tree_dict(branch: Branch) -> dict[str, Any]:
    """Plain values of a branch and all below it."""
    return {
        "asset": branch.asset,
        "role": branch.role,
        "again": branch.again,
        "records": [_record_dict(r) for r in branch.records],
        "inputs": [tree_dict(b) for b in branch.inputs],
    }


def _record_dict(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "partition": record.partition,
        "verdict": record.verdict,
        "outputs": {o.name: o.id for o in record.outputs},
        "code": dict(record.code.fingerprints),
        "archive": record.code.archive,
        "commit": record.code.commit,
    }


def impact_text(impact: Impact, plan: Sequence[str] = ()) -> str:
    """What was made from something, by asset; what of it is live; and what a rebuild would launch."""
    begin = f"{len(impact.begin)} record{'s' if len(impact.begin) != 1 else ''}"
    if not impact.made:
        return f"Nothing was made from {impact.of} ({begin})."
    rows = []
    for asset, nodes in impact.assets().items():
        current = sum(n.id in impact.current for n in nodes)
        unsure = sum(n.id in impact.perhaps for n in nodes)
        live = ", ".join(
            version for record, version in impact.live.items() if record in {n.id for n in nodes}
        )
        rows.append([asset, str(len(nodes)), _span(nodes), str(current), live, str(unsure) if unsure else ""])
    head = ["asset", "made", "partitions", "current", "in production", "perhaps"]
    text = [f"From {impact.of} ({begin}) {len(impact.made)} records were made:", table(head, rows)]
    if impact.live:
        text.append(f"LIVE: {', '.join(impact.live.values())}, which is in production, {_how(impact)}.")
    else:
        text.append("No model in production was made from it.")
    if impact.perhaps:
        text.append(
            "Perhaps: a function of yours made their features, and nobody knows whether it read the column."
        )
    if plan:
        text.append("\n".join(["A rebuild (--rebuild) would launch:", *(f"  {line}" for line in plan)]))
    return "\n\n".join(text)


def _how(impact: Impact) -> str:
    return "is what was named" if set(impact.live) <= {n.id for n in impact.begin} else "learned from it"


def _span(nodes: Sequence[Node]) -> str:
    partitions = sorted({n.partition for n in nodes})
    return (
        partitions[0] if len(partitions) == 1 else f"{partitions[0]} to {partitions[-1]} ({len(partitions)})"
    )


def impact_dict(impact: Impact, plan: Sequence[str] = ()) -> dict[str, Any]:
    """Plain values."""
    return {
        "of": impact.of,
        "begin": [n.id for n in impact.begin],
        "made": [
            {
                "id": n.id,
                "asset": n.asset,
                "partition": n.partition,
                "current": n.id in impact.current,
                "live": impact.live.get(n.id),
                "perhaps": n.id in impact.perhaps,
            }
            for n in impact.made
        ],
        "live": list(impact.live.values()),
        "rebuild": list(plan),
    }


def stale_text(found: Sequence[Stale]) -> str:
    """What has been overtaken, and by what."""
    if not found:
        return "Nothing is stale: every newest record was made from what is the newest now."
    rows = [[s.node.asset, s.node.partition, s.node.id[:16], _reason(s)] for s in found[:MOST]]
    more = [f"… and {len(found) - MOST} more; see them with --json"] if len(found) > MOST else []
    return "\n".join([table(["asset", "partition", "record", "because"], rows), *more])


def _reason(stale: Stale) -> str:
    first = stale.why[0]
    more = f", and {len(stale.why) - 1} more of its inputs were made again" if len(stale.why) > 1 else ""
    when = f"{moment(first.newest.started):%Y-%m-%d %H:%M}"
    return f"{first.asset} {first.partition} was made again ({when}, {first.newest.id[:16]}) with another content{more}"


def stale_dict(found: Sequence[Stale]) -> list[dict[str, Any]]:
    """Plain values."""
    return [
        {
            "id": s.node.id,
            "asset": s.node.asset,
            "partition": s.node.partition,
            "because": [
                {
                    "asset": w.asset,
                    "partition": w.partition,
                    "name": w.name,
                    "read": w.read,
                    "newest": w.newest.id,
                }
                for w in s.why
            ],
        }
        for s in found
    ]


def impact_rows(impact: Impact) -> Iterator[tuple[Any, ...]]:
    """A row for each record that was made, after a row of names."""
    yield "id", "asset", "partition", "current", "in production", "perhaps"
    for n in impact.made:
        yield (
            n.id,
            n.asset,
            n.partition,
            n.id in impact.current,
            impact.live.get(n.id, ""),
            n.id in impact.perhaps,
        )


def stale_rows(found: Sequence[Stale]) -> Iterator[tuple[Any, ...]]:
    """A row for each input that was made again, after a row of names."""
    yield "id", "asset", "partition", "input", "input partition", "read", "newest"
    for s in found:
        for w in s.why:
            yield s.node.id, s.node.asset, s.node.partition, w.asset, w.partition, w.read, w.newest.id


def why_rows(why: Why) -> Iterator[tuple[Any, ...]]:
    """A row for each feature, after a row of names."""
    yield "feature", "value", "share", "low", "median", "high", "told"
    for p in why.features:
        yield p.name, p.value, p.share, p.low, p.middle, p.high, p.told


def why_text(why: Why) -> str:
    """Why a prediction is what it is."""
    row = {k: v for k, v in why.row.items() if k not in ("prediction_id", "features_id")}
    facts = ", ".join(f"{k} {_value(v)}" for k, v in row.items())
    spans = why.learned.spans
    learned = (
        f"learned from {spans['features']}, {spans['features'].rows:,} rows"
        if "features" in spans
        else "learned"
    )
    code = sorted({n.partition(": ")[2] for n in (*why.origin.code, *why.learned.code)})
    lines = [
        f"{why.prediction}: {facts}",
        "",
        f"model        {why.version}, {why.model.asset} {why.model.partition} ({why.model.id[:16]}): {plain(why.model.headline)}",
        f"predicted    {why.record.asset} {why.record.partition} ({why.record.id[:16]}), its clock {why.record.as_of:%Y-%m-%d %H:%M %Z}",
        f"data         {_spans(why.origin)}",
        f"code         {', '.join(code) or 'no function of yours'}",
        f"features     as they were then; where they lie among those that the model {learned}:",
    ]
    rows = [
        [p.name, _value(p.value), _quantile(p), *(_value(x) for x in (p.low, p.middle, p.high)), p.told]
        for p in _striking(why.features)
    ]
    head = ["feature", "value", "place", "smallest", "median", "largest", ""]
    return "\n".join(printable_lines(lines)) + "\n\n" + table(head, rows)


def _spans(origin: Origin) -> str:
    """What was read, what is of the same partitions together."""
    alike: dict[str, list[str]] = {}
    for name, span in origin.spans.items():
        alike.setdefault(str(span), []).append(name)
    return "; ".join(f"{', '.join(names)}: {span}" for span, names in alike.items()) or "none on record"


def printable_lines(lines: Sequence[str]) -> list[str]:
    """Lines without control characters."""
    return [printable(line) for line in lines]


def _striking(features: Sequence[Placed]) -> list[Placed]:
    """What is far from the usual first. That a value is missing is told first where that is rare."""

    def place(placed: Placed) -> tuple[bool, float, str]:
        share = 0.5 if placed.share is None else placed.share
        usual = placed.value is None and placed.share is not None and placed.share >= EDGE
        return not placed.told or usual, -abs(share - 0.5), placed.name

    return sorted(features, key=place)


def _quantile(placed: Placed) -> str:
    if placed.share is None:
        return ""
    return f"quantile {placed.share:.2f}" if placed.low is not None else f"{placed.share:.1%} of rows"


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def why_dict(why: Why) -> dict[str, Any]:
    """Plain values."""
    return {
        "prediction": why.row,
        "record": why.record.id,
        "model": {"version": why.version, "record": why.model.id, "partition": why.model.partition},
        "features": [
            {
                "name": p.name,
                "value": p.value,
                "share": p.share,
                "low": p.low,
                "median": p.middle,
                "high": p.high,
                "told": p.told,
            }
            for p in why.features
        ],
        "data": {name: str(span) for name, span in why.origin.spans.items()},
        "learned_from": {name: str(span) for name, span in why.learned.spans.items()},
        "code": dict(why.origin.code) | dict(why.learned.code),
    }
