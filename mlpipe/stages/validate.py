"""Validate: which rows of raw keep the contract, which are quarantined and why, and the partition's verdict."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.quality import DIMENSIONS
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, MetricValue, Output
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.contract import Checked, check, repair
from mlpipe.stages.frames import ROW
from mlpipe.stages.runner import Plan, Result, Stage, stored

MARKS = {
    "pass": "passes",
    "fail": "**fails**: left out downstream",
    "empty": "is **empty**: left out downstream",
}


Seen = dict[tuple[str, str], tuple[Checked, list[Output]]]
"""Checks of tables that are not cut by time, by source and content: the same table in each partition is checked once."""


def plans(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition: every source against its contract."""
    heads = ctx.need(f"{spec.name}/raw", keys, spec.name)
    params: dict[str, Any] = {
        name: {
            "contract": s.contract.model_dump(mode="json", exclude={"repair"}, exclude_defaults=True),
            "keys": s.keys,
            "suite": _suite_text(spec, name),
        }
        for name, s in spec.sources.items()
    }
    repairs = tuple(s.contract.repair for s in spec.sources.values() if s.contract.repair is not None)
    seen: Seen = {}
    for key in keys:
        inputs = tuple(heads[key].read(name) for name in spec.sources)
        yield Plan(
            key,
            partial(_work, spec, key, heads[key], ctx, seen),
            inputs=inputs,
            params={"sources": params},
            functions=repairs,
        )


def _suite_text(spec: PipelineSpec, name: str) -> str:
    """Content of a user's suite file: it decides the result, so it belongs to the recipe."""
    suite = spec.sources[name].contract.suite
    path = spec.base_dir / suite if suite else None
    return path.read_text() if path is not None and path.is_file() else ""


def _work(spec: PipelineSpec, key: str, raw: Head, ctx: Context, seen: Seen) -> Result:
    outputs: list[Output] = []
    findings: list[Found] = []
    checks: dict[str, Checked] = {}
    rows: dict[str, dict[str, int]] = {}
    for name in spec.sources:
        checked, made = _source(spec, key, name, raw.outputs[name].id, ctx, seen)
        checks[name] = checked
        outputs += made
        findings += [
            Found(what=f.what, where=", ".join(x for x in (f"source {name}", f.where) if x), fix=f.fix)
            for f in checked.findings
        ]
        kept = int(checked.kept.sum())
        rows[name] = {
            "raw": len(checked.kept),
            "kept": kept,
            "quarantined": len(checked.kept) - kept - checked.repaired,
            "repaired": checked.repaired,
        }
    verdict = _verdict(checks, rows[spec.primary])
    worst = {d: min(c.dimensions[d] for c in checks.values()) for d in DIMENSIONS}
    score = min(c.score for c in checks.values())
    metrics = [
        MetricValue(name=n, value=v, better="higher", split="quality")
        for n, v in {"score": score, **worst}.items()
    ]
    quarantined = sum(r["quarantined"] for r in rows.values())
    metrics.append(MetricValue(name="quarantined", value=float(quarantined), better="lower", split="quality"))
    main = rows[spec.primary]
    share = f"**{main['kept'] + main['repaired']:,}** of {main['raw']:,} {spec.primary} rows kept"
    return Result(
        outputs=tuple(sorted(outputs, key=lambda o: o.name != f"{spec.primary}/kept")),
        metrics=tuple(metrics),
        verdict=verdict,
        findings=tuple(findings),
        data={
            "rows": rows,
            "rules": {n: c.to_dict()["rules"] for n, c in checks.items()},
            HEAD_DATA: {"rows": rows, "score": round(score, 6)},
        },
        headline=f"{share}, {quarantined} quarantined; quality **{score:.3f}**: the partition {MARKS[verdict]}.",
    )


def _source(
    spec: PipelineSpec, key: str, name: str, raw_id: str, ctx: Context, seen: Seen
) -> tuple[Checked, list[Output]]:
    source = spec.sources[name]
    cut = source.event_time is not None and spec.partitions.every != "none"
    if not cut and (name, raw_id) in seen:
        return seen[name, raw_id]
    frame = ctx.store.get_table(raw_id)
    settings: dict[str, Any] = {
        "keys": source.keys,
        "event_time": source.event_time,
        "window": spec.partitions.window(key) if cut else None,
        "timezone": source.timezone or spec.partitions.timezone,
        "base_dir": spec.base_dir,
    }
    checked = check(frame, name, source.contract, **settings)
    made = [
        stored(ctx.store, f"{name}/kept", pd.DataFrame({ROW: np.flatnonzero(checked.kept).astype("int64")}))
    ]
    if source.contract.repair is not None and not checked.kept.all():
        mended = repair(frame, checked, name, source.contract, **settings)
        checked = mended.checked
        if len(mended.rows):
            made.append(stored(ctx.store, f"{name}/repaired", mended.rows.assign(**{ROW: mended.positions})))
    if len(checked.quarantine):
        made.append(stored(ctx.store, f"{name}/quarantine", checked.quarantine.reset_index(drop=True)))
    if not cut:
        seen[name, raw_id] = checked, made
    return checked, made


def _verdict(checks: dict[str, Checked], primary: dict[str, int]) -> str:
    """Fail when any source fails; empty when there is nothing to predict."""
    if any(c.verdict == "fail" for c in checks.values()):
        return "fail"
    return "pass" if primary["kept"] + primary["repaired"] else "empty"


STAGE = Stage("validate", "validated", "1", plans)
