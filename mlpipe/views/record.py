"""One record for people: a screenful first, the rest when it is asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpipe.index.rows import Note
from mlpipe.records.differences import leaves
from mlpipe.records.record import MetricValue, Record
from mlpipe.views.comparison import Subject, judging, metric_key, number_text
from mlpipe.views.judged import as_tables
from mlpipe.views.table import printable, table

MOST = 12
"""At most this many lines of a part, unless all are asked for."""
LABEL = 13
_MARKS = str.maketrans({"*": "", "`": ""})


@dataclass(frozen=True)
class Shown:
    """What is shown: the record with what belongs to it, its notes, the store that it lies in, and who read what it made (by asset).

    `deleted`: its event was deleted in Dagster.
    """

    subject: Subject
    notes: tuple[Note, ...] = ()
    store: str = ""
    readers: Mapping[str, int] | None = None
    deleted: bool = False


def as_text(shown: Shown, *, every: bool = False) -> str:
    """The record for people; with `every` all parameters, inputs, outputs, packages and data too."""
    record, subject = shown.subject.record, shown.subject
    lines = [
        f"{record.asset} {record.partition}: {plain(record.headline) or record.verdict or 'recorded'}",
        "",
    ]
    facts: list[tuple[str, str]] = [
        ("record", record.id),
        ("deleted", "its run was deleted in Dagster; the record stays" if shown.deleted else ""),
        ("verdict", record.verdict or "none"),
        ("version", ", ".join(subject.versions)),
        ("why", _why(record)),
        ("who", _who(record)),
        ("when", f"{_time(record.recorded_at)}; its clock {_time(record.as_of)}"),
        ("run", record.run),
        ("experiment", record.experiment),
        ("hypothesis", record.hypothesis),
        ("tags", ", ".join(f"{k}={v}" for k, v in record.tags.items())),
        ("read", _read(shown)),
        ("made", ", ".join(_output(o.name, o.rows, o.bytes) for o in record.outputs)),
        (
            "read by",
            ", ".join(f"{count} {asset}" for asset, count in (shown.readers or {}).items()) or "nobody yet",
        ),
        ("code", _code(record, shown.subject)),
        ("environment", _environment(record)),
        ("seeds", ", ".join(f"{k} {v}" for k, v in record.seeds.items())),
        ("cost", _cost(record)),
        ("learning", str(record.data.get("learning_text") or "")),
        ("curves", ", ".join(c.name for c in record.curves)),
        ("artifacts", ", ".join(a.name for a in record.artifacts)),
        (
            "reused",
            "what it made was there already: the same recipe was followed before" if record.reused else "",
        ),
        ("again", again(record)),
    ]
    lines += [f"{name:<{LABEL}}{printable(text)}" for name, text in facts if text]
    parts = [
        "\n".join(lines),
        _metrics(subject),
        *as_tables(record),
        _params(record, every=every),
        _findings(record, every=every),
    ]
    parts.append(_notes(record, shown.notes))
    if every:
        parts += [*_everything(record), _rivals(subject)]
    else:
        parts.append("The rest: --all, or --json.")
    return "\n\n".join(p for p in parts if p)


def plain(text: str) -> str:
    """A headline without the marks of markdown."""
    return text.translate(_MARKS)


def again(record: Record) -> str:
    """How a record is repeated, or why it is not."""
    if record.stage == "ingest":
        return "not asked of the source again: its rows are frozen in the store"
    if record.stage == "register":
        return f"a decision is not made twice: mlpipe history {record.pipeline}"
    return (
        f"mlpipe reproduce {record.id[:16]}"
        if record.outputs
        else "nothing was made; the reason is its verdict"
    )


def _why(record: Record) -> str:
    details = ", ".join(f"{k} {v}" for k, v in record.trigger.details.items())
    text = f"{record.trigger.kind}: {record.trigger.reason}" if record.trigger.reason else record.trigger.kind
    return f"{text} ({details})" if details else text


def _who(record: Record) -> str:
    owners = f"; owned by {', '.join(record.owners)}" if record.owners else ""
    return (record.actor or "not recorded") + owners


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _read(shown: Shown) -> str:
    inputs = shown.subject.record.inputs
    if not inputs:
        return (
            "nothing that is on record (rows from a source)"
            if shown.subject.record.stage == "ingest"
            else "nothing"
        )
    by: dict[str, list[str]] = {}
    rows: dict[str, int] = {}
    for given in inputs:
        name = f"{given.asset.rpartition('/')[2]}{'' if given.asset.endswith(given.name) else f' ({given.name})'}"
        by.setdefault(name, []).append(given.partition)
        rows[name] = rows.get(name, 0) + (given.rows or 0)
    told = []
    for name, partitions in by.items():
        ends = sorted(set(partitions))
        span = ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}, {len(ends)} partitions"
        told.append(f"{name} {span}" + (f", {rows[name]:,} rows" if rows[name] else ""))
    return "; ".join(told)


def _output(name: str, rows: int | None, size: int) -> str:
    return f"{name} ({f'{rows:,} rows, ' if rows is not None else ''}{bytes_text(size)})"


def bytes_text(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _code(record: Record, subject: Subject) -> str:
    code = record.code
    parts = [f"stage version {code.stage_version}, mlpipe {code.mlpipe}"]
    if code.commit:
        parts.append(
            f"commit {code.commit[:12]}{' with changes' if code.commit.endswith('+changed') else ''}"
        )
    if code.archive:
        parts.append(f"archive {code.archive[:17]} ({len(subject.files)} files)")
    names = sorted({n.partition(": ")[2] for n in subject.origin.code} | set(code.fingerprints))
    if names:
        parts.append(
            f"functions {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        )
    return "; ".join(parts)


def _environment(record: Record) -> str:
    env = record.environment
    packages = " ".join(
        f"{n} {env.packages[n]}" for n in ("scikit-learn", "torch", "numpy", "pandas") if n in env.packages
    )
    threads = env.threads.get("OMP_NUM_THREADS") or "1"
    gpu = f"; {env.gpus or 1} x {env.gpu}" if env.gpu else ""
    return f"Python {env.python}, {packages}; {env.cpu or env.platform}{gpu}; {threads} thread(s); host {env.host}"


def _cost(record: Record) -> str:
    cost = record.cost
    return f"{cost.wall_s:.3g} s, {cost.cpu_s:.3g} s of CPU, at most {cost.peak_mib:,.0f} MiB"


def _metrics(subject: Subject) -> str:
    found = judging(subject)
    if not found:
        return ""
    rows = [
        [
            metric_key(m),
            measured(m),
            {"higher": "more is better", "lower": "less is better"}.get(m.better, ""),
        ]
        for m in found
    ]
    title = "Metrics"
    if subject.evaluation is not None:
        title += (
            f" (judged {subject.evaluation.verdict.replace('_', ' ')}, record {subject.evaluation.id[:16]})"
        )
    return f"{title}\n{table(['metric', 'value', ''], rows)}"


def measured(metric: MetricValue) -> str:
    """A metric's value, with its interval where it has one."""
    if metric.low is None or metric.high is None or not metric.low < metric.high:
        return number_text(metric.value)
    return f"{metric.value:.4g} [{metric.low:.4g}, {metric.high:.4g}]"


def _params(record: Record, *, every: bool) -> str:
    found = (
        [(k, v) for k, v in leaves(record.params) if v is not None and not _dull(k)]
        if not every
        else list(leaves(record.params))
    )
    features = record.params.get("features")
    if isinstance(features, list) and not every:
        found = [(k, v) for k, v in found if not k.startswith("features.")]
        found.insert(0, ("features", ", ".join(map(str, features))))
    if not found:
        return ""
    found.sort(key=lambda pair: (pair[0] != "features", not pair[0].startswith("model.")))
    shown = found if every else found[:MOST]
    left = len(found) - len(shown)
    text = table(["parameter", "value"], [[k, _value(v)] for k, v in shown])
    return text + (f"\n… and {left} more parameters" if left else "")


def _dull(key: str) -> bool:
    """Parameters of scikit-learn's preprocessing fill screens, and hardly ever are what one looks for."""
    return key.startswith("preprocess.") and key != "preprocess.kind"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _findings(record: Record, *, every: bool) -> str:
    found = record.findings if every else record.findings[:MOST]
    left = len(record.findings) - len(found)
    lines = [f"  * {printable(f'{f.where}: {f.what}' if f.where else f.what)}" for f in found]
    if left:
        lines.append(f"  … and {left} more")
    return "\n".join(["Findings", *lines]) if lines else ""


def _notes(record: Record, notes: Sequence[Note]) -> str:
    lines = [f"  {printable(record.notes)} (with the run)"] if record.notes else []
    lines += [f"  {n.written:%Y-%m-%d %H:%M} {printable(n.actor)}: {printable(n.text)}" for n in notes]
    return "\n".join(["Notes", *lines]) if lines else ""


def _everything(record: Record) -> list[str]:
    inputs = [
        [i.asset, i.partition, i.name, "" if i.rows is None else f"{i.rows:,}", i.id, i.record[:16]]
        for i in record.inputs
    ]
    made = [(kind, o) for kind in ("outputs", "curves", "artifacts") for o in getattr(record, kind)]
    objects = [[kind, o.name, o.id, bytes_text(o.bytes)] for kind, o in made]
    environment = [
        [k, str(v)]
        for k, v in leaves(record.environment.model_dump(mode="json"))
        if v not in ("", 0, {}, [], None)
    ]
    data = [[k, _value(v)] for k, v in leaves({k: v for k, v in record.data.items() if k != "head"})]
    marks = [[name, mark] for name, mark in record.code.fingerprints.items()]
    return [
        table(["input", "partition", "name", "rows", "content", "record"], inputs) if inputs else "",
        table(["object", "name", "content", "size"], objects) if objects else "",
        table(["function", "fingerprint"], marks) if marks else "",
        table(["environment", ""], environment),
        table(["data", ""], data) if data else "",
    ]


def _rivals(subject: Subject) -> str:
    judged = () if subject.evaluation is None else subject.evaluation.metrics
    rows = [[m.split, m.name, measured(m)] for m in judged if m.split not in ("", "test")]
    return table(["folds, or a rival", "metric", "value"], rows) if rows else ""


def to_dict(shown: Shown) -> dict[str, Any]:
    """The record as it is stored, and what belongs to it: versions, evaluation, readers, notes."""
    subject = shown.subject
    evaluation = None if subject.evaluation is None else subject.evaluation.model_dump(mode="json")
    notes = [{"written": n.written.isoformat(), "actor": n.actor, "text": n.text} for n in shown.notes]
    return {
        "record": subject.record.model_dump(mode="json"),
        "versions": list(subject.versions),
        "evaluation": evaluation,
        "deleted": shown.deleted,
        "read_by": dict(shown.readers or {}),
        "notes": notes,
        "store": shown.store,
    }
