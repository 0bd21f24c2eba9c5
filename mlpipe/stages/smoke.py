"""The smoke test: a pipeline's whole lifecycle on a sample of its own data, in seconds, in a store that is gone afterwards.

Each check is a function of a `Trial`, in which it leaves what later ones need. A check that fails does not stop those that can still run.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from mlpipe.errors import MlpipeError, SourceError
from mlpipe.ledger.chain import Ledger
from mlpipe.records.record import Record
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.recording import Recording
from mlpipe.spec.sources import UpstreamSource
from mlpipe.stages import feature, ingest, label, validate
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.dataset import collect, plain
from mlpipe.stages.frames import stacked
from mlpipe.stages.proving import PROOFS
from mlpipe.stages.sample import ROWS, Chosen, choose, thin
from mlpipe.stages.trial import Answer, Check, Kept, NotApplicableError, Trial, Watched, raised

LIMIT = timedelta(minutes=1)
"""Longest time that a function of the user's may take where no 'timeout' is declared."""
RESAMPLES = 200
"""Behind the intervals, which are told here and decide nothing."""
WORST = 5
MOST_VALUES = 20
"""With more different labels than this no rarest class is named."""
Work = Callable[[Trial], Answer]


def smoke(
    spec: PipelineSpec,
    now: datetime,
    clock: Callable[[], datetime],
    *,
    rows: int = ROWS,
    upstream: Mapping[str, Callable[[str], Any]] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Check]:
    """Try a pipeline on a sample of its own data.

    Nothing is written outside a temporary folder. The same data, `rows` and `now` give the same answers.

    Parameters
    ----------
    now
        Clock of the trial: partitions that end later and labels that become known later do not exist.
    clock
        The wall clock, for records.
    rows
        Rows to learn from and judge on, about.
    upstream
        How a partition of another Dagster asset is read, by the name of the source. Without it a pipeline that reads one is not tried.
    tell
        Called with the name of each check before it begins.

    Returns
    -------
    list of Check
        In order. Whatever a check raised is its answer.
    """
    with tempfile.TemporaryDirectory(prefix="mlpipe-smoke-") as folder:
        store = Watched.open(folder)
        assert isinstance(store, Watched)
        run = Run("smoke", now)
        ctx = Context(
            store, Ledger(store.backend, spec.name), MemoryHeads(), run, clock, upstream=upstream or {}
        )
        trial = Trial(spec, _tried(spec), ctx, rows)
        return [_looked(name, work, trial, tell) for name, work in (*DATA, *PROOFS)]


def _tried(spec: PipelineSpec) -> PipelineSpec:
    """The specification as it is tried: nothing runs for ever, and a partition that is not read is no gap."""
    changes: dict[str, Any] = {
        "timeout": spec.timeout or LIMIT,
        "bootstrap": min(spec.bootstrap, RESAMPLES),
        "min_coverage": 0.0,
        # What a run must be given, a trial that leaves no record is not.
        "record": Recording(),
    }
    return spec.model_copy(update=changes)


def _looked(name: str, work: Work, trial: Trial, tell: Callable[[str], None]) -> Check:
    tell(name)
    start, answer = time.perf_counter(), Answer("ok", "")
    with Kept() as kept:
        answer = work(trial)
    seconds, error = time.perf_counter() - start, kept.error
    if isinstance(error, NotApplicableError):
        return Check(name, Answer("not applicable", error.what.rstrip(".") + "."), seconds)
    return Check(name, answer if error is None else raised(error), seconds, error)


def sources(trial: Trial) -> Answer:
    """Every source can be read, and holds rows."""
    spec = trial.spec
    for name, source in spec.sources.items():
        if isinstance(source, UpstreamSource) and name not in trial.ctx.upstream:
            raise NotApplicableError(
                f"the rows of source {name} lie with Dagster (asset {source.asset}), and no instance of it is at hand here: "
                "set DAGSTER_HOME."
            )
    trial.chosen = chosen = choose(spec, trial.ctx.run.as_of, trial.ctx)
    failed: Exception | None = None
    for block in chosen.blocks:
        with Kept() as kept:
            trial.run(ingest.STAGE, block)
        failed = failed or kept.error
    records = trial.records.get(ingest.STAGE.name, [])
    trial.raw = tuple(r.partition for r in records)
    if failed is not None:
        raise failed
    if not chosen.read:
        raise SourceError(
            f"before {chosen.key} there is no partition with data to learn from",
            where=f"pipeline {spec.name}, source {spec.primary}",
            fix="A model learns from the partitions before its own: give it more data, or smaller partitions.",
        )
    # A table that is not cut by time is the same in each partition.
    rows = {
        n: (sum if s.event_time or n == spec.primary else max)([0, *(r.data["rows"][n] for r in records)])
        for n, s in spec.sources.items()
    }
    if not rows[spec.primary]:
        raise SourceError(
            f"source {spec.primary} gives no row for {_span(chosen)}",
            where=f"pipeline {spec.name}",
            fix="Is the data there? 'start' and 'end' of 'partitions' say where it is looked for.",
        )
    many = ", ".join(f"{n:,} rows of {name}" for name, n in rows.items())
    return Answer("ok", f"{many}: {_span(chosen)}.")


def _span(chosen: Chosen) -> str:
    if len(chosen.window) < 2:
        (only,) = chosen.window
        return "all there are" if only == WHOLE else f"partition {only}"
    of = f"{len(chosen.read)} of " if len(chosen.read) < len(chosen.window) else ""
    return f"{of}{len(chosen.window)} partitions from {chosen.window[0]} to {chosen.window[-1]}"


def contract(trial: Trial) -> Answer:
    """Enough partitions keep their contract; whole ones are looked at, before any row is left out."""
    if trial.chosen is None or not trial.raw:
        raise NotApplicableError("no row could be read")
    records = trial.run(validate.STAGE, trial.raw)
    trial.good = tuple(r.partition for r in records if r.verdict == "pass")
    window, inside = len(trial.chosen.window), set(trial.chosen.read)
    mine = [r for r in records if r.partition in inside]
    share = len(trial.read) / len(mine) * len(trial.chosen.data) / window if mine else 0.0
    quality = {r.partition: next(m.value for m in r.metrics if m.name == "score") for r in mine}
    out = sum(int(m.value) for r in mine for m in r.metrics if m.name == "quarantined")
    if len(mine) > 1:
        worst = min(quality, key=lambda k: quality[k])
        empty = sum(r.verdict == "empty" for r in mine)
        text = f"{len(trial.read)} of {len(mine)} partitions keep it, "
        text += f"{empty} {'holds' if empty == 1 else 'hold'} no row, " if empty else ""
        text += f"{out:,} rows are quarantined, "
        text += f"quality is {quality[worst]:.3f} at worst ({worst})"
    else:
        text = f"{out:,} rows are quarantined, quality is {min(quality.values(), default=0.0):.3f}"
    findings = _worst(mine, quality)
    if trial.read and share >= trial.declared.min_coverage:
        return Answer("ok" if len(trial.read) == len(mine) else "warning", f"{text}.", findings)
    asked = f"a training uses {share:.0%} of its window, and {trial.declared.min_coverage:.0%} are asked (min_coverage)"
    return Answer("failed", f"{text}; {asked if window > 1 else 'it fails'}.", findings)


def _worst(records: list[Record], quality: Mapping[str, float]) -> tuple[str, ...]:
    """The first findings of the worst partitions."""
    ordered = sorted(records, key=lambda r: (r.verdict == "pass", quality[r.partition]))
    found = [
        f"{r.partition}: {f.where}: {f.what}" if f.where else f"{r.partition}: {f.what}"
        for r in ordered
        for f in r.findings[:2]
    ]
    return tuple(found[:WORST])


def labels(trial: Trial) -> Answer:
    """Labels are known, and not all the same."""
    _need_rows(trial)
    spec = trial.spec
    records = trial.run(label.STAGE, trial.read)
    rows, trial.known = (sum(r.data[n] for r in records) for n in ("rows", "known"))
    if not trial.known:
        by = f" by {trial.ctx.run.as_of:%Y-%m-%d %H:%M} UTC" if spec.label.available_after else ""
        return Answer("failed", f"none of {rows:,} rows has a label that is known{by}.")
    ids = [r.output("labels").id for r in records]
    values = stacked([trial.store.get_table(i, [spec.label.name]) for i in ids])[spec.label.name]
    # One partition's whole numbers are another's fractions, which had a null among them.
    seen = pd.Series([plain(v) for v in values], dtype="object").value_counts()
    trial.different = len(seen)
    text = f"{trial.known:,} of {rows:,} rows have one"
    if len(seen) == 1:
        return Answer("failed", f"{text}, and all are {seen.index[0]!r}: there is nothing to learn.")
    text += f", of {len(seen):,} different values"
    if len(seen) <= MOST_VALUES:
        text += f"; {seen.iloc[-1] / trial.known:.1%} are {seen.index[-1]!r}, the rarest"
    return Answer("ok" if 2 * trial.known >= rows else "warning", f"{text}.")


def features(trial: Trial) -> Answer:
    """Features are made, a row for each row, and each of them tells rows apart."""
    _need_rows(trial)
    assert trial.chosen is not None
    left, total = thin(trial.spec, trial.chosen, trial.rows, trial.ctx)
    trial.whole = left == total and len(trial.chosen.read) == len(trial.chosen.window)
    records = trial.run(feature.STAGE, trial.read)
    tables = [trial.store.get_table(r.output("features").id) for r in records]
    names = list(dict.fromkeys(n for r in records for n in r.data["features"]))
    rows = stacked(tables).reindex(columns=names)
    trial.data = collect(trial.spec, trial.read, trial.ctx)
    if len(rows) != left:
        return Answer("failed", f"{left:,} rows went in, and {len(rows):,} came out.")
    dull = [f"{n} is null in every row" for n in names if not rows[n].notna().any()]
    for name in names if len(rows) > 1 else ():
        if rows[name].notna().all() and rows[name].astype("str").nunique() == 1:
            dull.append(f"{name} is {plain(rows[name].iloc[0])!r} in every row")
    of = f"{left:,} rows" if left == total else f"{left:,} of {total:,} rows, drawn with the seed,"
    nulls = float(rows.isna().to_numpy().mean()) if rows.size else 0.0
    text = f"{of} gave {len(names)} features with {nulls:.1%} nulls, and none was lost"
    more = f"; {len(dull)} tell nothing apart in this sample" if dull else ""
    return Answer("warning" if dull else "ok", f"{text}{more}.", tuple(dull))


def _need_rows(trial: Trial) -> None:
    if not trial.read:
        raise NotApplicableError("no partition keeps its contract" if trial.raw else "no row could be read")


DATA: tuple[tuple[str, Work], ...] = (
    ("sources", sources),
    ("contract", contract),
    ("labels", labels),
    ("features", features),
)
"""Checks of the data, in order; `mlpipe.stages.proving.PROOFS` are those of the model."""
CHECKS = tuple(name for name, _ in (*DATA, *PROOFS))


def failure(checks: list[Check]) -> MlpipeError | None:
    """The error of a source that could not be read; None when all could."""
    error = next((c.error for c in checks if c.name == "sources"), None)
    return error if isinstance(error, MlpipeError) else None
