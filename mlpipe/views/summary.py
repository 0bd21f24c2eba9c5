"""What a range of partitions has come to: what was made, judged, decided, and how it went since."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlpipe.core.gates import MARGIN
from mlpipe.ledger.fold import State
from mlpipe.records.codec import Head
from mlpipe.records.record import MetricValue, Record
from mlpipe.spec.calendar import DISTANT_PAST, WHOLE
from mlpipe.spec.nodes import duration_text
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stores.verify import Usage
from mlpipe.views.judged import as_tables
from mlpipe.views.table import table

Heads = Mapping[str, Mapping[str, Head]]
SHOWN = ("test", "folds", "constant", "rule", "linear", "champion")
WEEK = 7


def summary(name: str, heads: Heads, evaluations: Sequence[Record], state: State) -> str:
    """Tables for people.

    Parameters
    ----------
    heads
        By the last part of the asset's name, then by partition.
    evaluations
        Records of the evaluations to show.
    """
    parts = [_made(name, heads)]
    for record in evaluations:
        parts.append(_judged(record))
    parts.append(_decided(name, state))
    watched = _watched(heads.get("monitor", {}))
    return "\n\n".join(p for p in [*parts, watched] if p)


def _made(name: str, heads: Heads) -> str:
    validated = heads.get("validated", {})
    rows = [(h.data or {}).get("rows", {}) for h in validated.values()]
    counts = {
        what: sum(int(r[what]) for by in rows for r in by.values())
        for what in ("raw", "kept", "quarantined", "repaired")
    }
    failed = [k for k, h in validated.items() if h.verdict != "pass"]
    lines = [
        ["partitions", f"{len(validated):,}, {min(validated)} to {max(validated)}" if validated else "none"],
        [
            "rows",
            f"{counts['raw']:,} frozen, {counts['quarantined']:,} quarantined, {counts['repaired']:,} repaired",
        ],
        [
            "failed days",
            ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
            if failed
            else "none",
        ],
        [
            "features",
            f"{sum('features' in h.outputs for h in heads.get('features', {}).values()):,} partitions",
        ],
        ["labels", _labels(heads)],
        [
            "predictions",
            f"{sum('predictions' in h.outputs for h in heads.get('predictions', {}).values()):,} partitions",
        ],
    ]
    return table([name, "what was made"], lines)


def _labels(heads: Heads) -> str:
    """How many partitions are ripe; and where labels are missing, how many there are."""
    labels, features = heads.get("labels", {}), heads.get("features", {})
    ripe = f"{sum(h.verdict == 'ripe' for h in labels.values()):,} partitions ripe"
    known, rows = (
        sum(h.outputs[name].rows or 0 for h in found.values() if name in h.outputs)
        for name, found in (("labels", labels), ("features", features))
    )
    return f"{ripe}, {known:,} of {rows:,} labels known" if known < rows else ripe


def _judged(record: Record) -> str:
    names = [m.name for m in record.metrics if m.split == "test"]
    if not names:
        why = "; ".join(f.what for f in record.findings) or record.headline
        return f"Nothing was judged for {record.partition}: {why}."
    splits = [s for s in SHOWN if any(m.split == s for m in record.metrics)]
    cells = {(m.split, m.name): m for m in record.metrics}
    rows = [[n, *(_value(cells.get((s, n))) for s in splits)] for n in names]
    gates = [[str(g["verdict"]), str(g["sentence"])] for g in record.data.get("gates", [])]
    head = ["model" if s == "test" else s for s in splits]
    drawn = record.params.get("blocks") or ("rows" if record.partition == WHOLE else "days")
    title = f"Judged for {record.partition} on {record.data.get('rows', 0):,} rows, 95% intervals by resampling {drawn}:"
    parts = [f"{title}\n{table(['metric', *head], rows)}", *as_tables(record), table(["gate", "why"], gates)]
    return "\n\n".join(parts)


def _value(metric: MetricValue | None) -> str:
    if metric is None:
        return ""
    if metric.low is None or metric.high is None or metric.low == metric.high or metric.low != metric.low:
        return f"{metric.value:.4f}"
    return f"{metric.value:.4f} [{metric.low:.4f}, {metric.high:.4f}]"


def _decided(name: str, state: State) -> str:
    rows = []
    for version in state.versions.values():
        until = "–" if version.data_end <= DISTANT_PAST else f"{version.data_end:%Y-%m-%d}"
        rows.append([f"{name}@{version.number}", version.stage, until, version.reason])
    return (
        table(["version", "stage", "data until", "reason of the last decision"], rows)
        if rows
        else "No model was registered."
    )


def _watched(monitor: Mapping[str, Head]) -> str:
    """One line a week: the last partition of each."""
    keys = [k for k in sorted(monitor) if monitor[k].verdict in ("stable", "drift")]
    if not keys:
        return ""
    step = WEEK if len(keys) > 2 * WEEK else 1
    rows: list[list[str]] = []
    for key in keys[step - 1 :: step]:
        data: Mapping[str, Any] = monitor[key].data or {}
        alarms = list(data.get("drifted", data.get("alarms", [])))
        shown = ", ".join(alarms[:4]) + (f" and {len(alarms) - 4} more" if len(alarms) > 4 else "")
        rows.append(
            [
                key,
                f"@{data.get('version')}",
                _short(data.get("worst_psi")),
                str(data.get("worst", "")),
                _short(data.get("score_psi")),
                _short(data.get("rolling")),
                shown,
            ]
        )
    primary = next((str((monitor[k].data or {}).get("primary")) for k in keys), "metric")
    return table(["until", "version", "worst PSI", "of", "score PSI", f"{primary} (window)", "alarms"], rows)


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else "–"


def described(spec: PipelineSpec, store: str) -> str:
    """The one paragraph that matters about a pipeline that loads."""
    calendar = spec.partitions
    when = (
        "no partitions"
        if calendar.every == "none"
        else f"a partition every {calendar.every} from {calendar.start} in {calendar.timezone}"
    )
    sources = "1 source" if len(spec.sources) == 1 else f"{len(spec.sources)} sources"
    window = spec.training_window
    length = f"{window} partitions" if isinstance(window, int) else duration_text(window)
    model = (
        type(spec.model.estimator).__name__
        if spec.model.estimator is not None
        else getattr(spec.model.fit, "__name__", "fit")
    )
    features = (
        f"{len(spec.features.columns)} columns"
        if spec.features.columns
        else f"function {getattr(spec.features.function, '__name__', '')}"
    )
    gates = (
        ", ".join(f"{g.kind}({', '.join(str(v) for v in g.params.values())})" for g in spec.gates)
        or f"none declared (a challenger must beat the champion by {MARGIN})"
    )
    off = ""
    if spec.automation != "on" and calendar.every != "none":
        what = "Its schedule and sensors are" if spec.retrain is not None else "Its schedule is"
        off = f" {what} off: nothing runs by itself until automation is 'on', or you start them in the UI."
    return (
        f"{spec.name}: good. {sources} ({', '.join(spec.sources)}), {when}; "
        f"features from {features}; {model} learns from {length}; gates: {gates}. Deployment {spec.deployment}, store {store}.{off}"
    )


def sizes(usage: Sequence[Usage]) -> str:
    """Objects and bytes by kind."""
    total = sum(u.bytes for u in usage)
    rows = [[u.kind, f"{u.count:,}", _bytes(u.bytes)] for u in usage]
    return table(
        ["kind", "files", "size"], [*rows, ["all", f"{sum(u.count for u in usage):,}", _bytes(total)]]
    )


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
