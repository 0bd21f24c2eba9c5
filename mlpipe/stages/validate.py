"""Validate: which rows of raw keep the contract, which are quarantined and why, and the partition's verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.quality import DIMENSIONS
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found, MetricValue, Output
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.cleaning import clean_params, formed
from mlpipe.stages.context import Context
from mlpipe.stages.contract import Checked, check, holding
from mlpipe.stages.frames import ROW
from mlpipe.stages.outliers import Outliers, flagged
from mlpipe.stages.repairing import repair
from mlpipe.stages.runner import Plan, Result, Stage, stored

MARKS = {
    "pass": "passes",
    "fail": "**fails**: left out downstream",
    "empty": "is **empty**: left out downstream",
}


TOGETHER = 64
"""At most this many partitions are asked about at once."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What came of one source's rows in one partition."""

    checked: Checked
    outliers: Outliers
    outputs: list[Output] = field(default_factory=list)


Seen = dict[tuple[str, str], Looked]
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
    for start in range(0, len(keys), TOGETHER):
        held = Held(spec, [heads[k] for k in keys[start : start + TOGETHER]], ctx)
        for key in keys[start : start + TOGETHER]:
            inputs = tuple(heads[key].read(name) for name in spec.sources)
            work = partial(_work, spec, key, heads[key], ctx, seen, held)
            settings = {"sources": params, **clean_params(spec)}
            yield Plan(key, work, inputs=inputs, params=settings, functions=repairs)


class Held:
    """Rules of each source that hold in all of some partitions: asked once, when the first of them is worked on.

    Great Expectations costs about as much for a day as for a month; most rules hold on most days.
    """

    def __init__(self, spec: PipelineSpec, raws: Sequence[Head], ctx: Context) -> None:
        self._spec, self._raws, self._ctx = spec, raws, ctx
        self._rules: dict[str, frozenset[str]] = {}

    def of(self, name: str) -> frozenset[str]:
        """Names of the rules that need not be asked again; see `mlpipe.stages.contract.holding`."""
        if name not in self._rules:
            source = self._spec.sources[name]
            ids = dict.fromkeys(raw.outputs[name].id for raw in self._raws)
            # One table alone is asked when its turn comes.
            tables = map(self._ctx.store.get_table, ids if len(ids) > 1 else ())
            frames = [formed(t, source, self._spec.partitions).shown for t in tables]
            settings: dict[str, Any] = {"keys": source.keys, "base_dir": self._spec.base_dir}
            self._rules[name] = holding(frames, name, source.contract, **settings)
        return self._rules[name]


def _suite_text(spec: PipelineSpec, name: str) -> str:
    """Content of a user's suite file: it decides the result, so it belongs to the recipe."""
    suite = spec.sources[name].contract.suite
    path = spec.base_dir / suite if suite else None
    return path.read_text() if path is not None and path.is_file() else ""


def _work(spec: PipelineSpec, key: str, raw: Head, ctx: Context, seen: Seen, held: Held) -> Result:
    outputs: list[Output] = []
    findings: list[Found] = []
    checks: dict[str, Checked] = {}
    rows: dict[str, dict[str, int]] = {}
    outliers: dict[str, dict[str, int]] = {}
    for name in spec.sources:
        looked = _source(spec, key, name, raw.outputs[name].id, ctx, seen, held)
        checked = checks[name] = looked.checked
        outputs += looked.outputs
        outliers |= {name: looked.outliers.counts} if looked.outliers.counts else {}
        findings += [
            Found(what=f.what, where=", ".join(x for x in (f"source {name}", f.where) if x), fix=f.fix)
            for f in checked.findings
        ]
        findings += looked.outliers.findings
        kept = int(checked.kept.sum())
        rows[name] = {
            "raw": len(checked.kept),
            "kept": kept,
            "quarantined": len(checked.kept) - kept - checked.repaired,
            "repaired": checked.repaired,
        }
    verdict = _verdict(checks, rows[spec.primary])
    if verdict == "empty":
        findings.append(Found(what="there are no rows to predict", where=f"source {spec.primary}"))
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
            **({"outliers": outliers} if outliers else {}),
            HEAD_DATA: {"rows": rows, "score": round(score, 6)},
        },
        headline=f"{share}, {quarantined} quarantined; quality **{score:.3f}**: the partition {MARKS[verdict]}.",
    )


def _source(
    spec: PipelineSpec, key: str, name: str, raw_id: str, ctx: Context, seen: Seen, held: Held
) -> Looked:
    source = spec.sources[name]
    cut = source.event_time is not None and spec.partitions.every != "none"
    if not cut and (name, raw_id) in seen:
        return seen[name, raw_id]
    table = formed(ctx.store.get_table(raw_id), source, spec.partitions)
    settings: dict[str, Any] = {
        "keys": source.keys,
        "event_time": source.event_time,
        "window": spec.partitions.window(key) if cut else None,
        "timezone": source.timezone or spec.partitions.timezone,
        "base_dir": spec.base_dir,
    }
    checked = check(table, name, source.contract, **settings, holds=held.of(name))
    good = [table.frame[checked.kept]]
    made = [
        stored(ctx.store, f"{name}/kept", pd.DataFrame({ROW: np.flatnonzero(checked.kept).astype("int64")}))
    ]
    if source.contract.repair is not None and not checked.kept.all():
        form = partial(formed, source=source, calendar=spec.partitions)
        mended = repair(table, checked, name, source.contract, **settings, form=form, limit=spec.timeout)
        checked = mended.checked
        if len(mended.rows):
            made.append(stored(ctx.store, f"{name}/repaired", mended.rows.assign(**{ROW: mended.positions})))
            good.append(mended.rows.set_axis(mended.positions))
    if len(checked.quarantine):
        made.append(stored(ctx.store, f"{name}/quarantine", checked.quarantine.reset_index(drop=True)))
    outliers = flagged(pd.concat(good) if len(good) > 1 else good[0], source.contract, source.keys, name)
    if len(outliers.table):
        made.append(stored(ctx.store, f"{name}/outliers", outliers.table))
    looked = Looked(checked, outliers, made)
    if not cut:
        seen[name, raw_id] = looked
    return looked


def _verdict(checks: dict[str, Checked], primary: dict[str, int]) -> str:
    """Fail when any source fails; empty when there is nothing to predict."""
    if any(c.verdict == "fail" for c in checks.values()):
        return "fail"
    return "pass" if primary["kept"] + primary["repaired"] else "empty"


STAGE = Stage("validate", "validated", "1", plans)
