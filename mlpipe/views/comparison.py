"""What differs between records: in what came out, in data, parameters, code, environment, and in how they came about."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlpipe.index.origins import Origin
from mlpipe.records.archives import differing
from mlpipe.records.codec import digest
from mlpipe.records.differences import FILE_MODULE, leaves
from mlpipe.records.record import MetricValue, Record
from mlpipe.views.telling import told

SECTIONS = ("result", "data", "parameters", "code", "environment", "circumstances")
SPLITS = ("", "test", "folds", "model", "trial")
"""Splits whose metrics are those of the model itself; others are of its rivals."""
LIVE = "rolling"
"""Split of a monitor's metrics that say how a version does on the newest days whose labels are known."""
_QUIET = {"lock", "id", "installed"}
_NOT_PARAMS = ("inject",)


@dataclass(frozen=True)
class Subject:
    """A record that is compared.

    Parameters
    ----------
    name
        As somebody called it.
    evaluation
        Of a training, the record of its newest evaluation.
    live
        Of a version that predicts, or did, the record of its newest monitor.
    versions
        Under which it is registered, with their stages.
    origin
        What it was made from.
    files
        Text of the files of its archive; empty without one.
    """

    name: str
    record: Record
    evaluation: Record | None = None
    live: Record | None = None
    versions: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One thing that is compared: its section, key, the value of each record (None: it has none), and what is to be said about it."""

    section: str
    key: str
    values: tuple[Any, ...]
    note: str = ""

    @property
    def differs(self) -> bool:
        """Whether the values are not all the same."""
        return any(v != self.values[0] for v in self.values[1:])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "section": self.section, "key": self.key, "values": list(self.values), "differs": self.differs, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Some records beside each other, the one to compare with first. `told` says what stands out, in sentences."""

    subjects: tuple[Subject, ...]
    lines: tuple[Line, ...]
    told: tuple[str, ...]

    def section(self, name: str, *, every: bool = False) -> list[Line]:
        """Lines of a section: those that differ, or all."""
        return [line for line in self.lines if line.section == name and (every or line.differs)]


def compare(subjects: Sequence[Subject], drift: Mapping[str, Sequence[float]] | None = None) -> Comparison:
    """Compare records.

    Parameters
    ----------
    subjects
        At least one; differences are told against the first.
    drift
        PSI of features of each record against the first one's, by name; shape (subjects,), the first 0.
    """
    lines = [
        *_result(subjects),
        *_data(subjects, drift or {}),
        *_aligned("parameters", [_params(s.record) for s in subjects]),
        *_code(subjects),
        *_aligned("environment", [_environment(s.record) for s in subjects]),
        *_aligned("circumstances", [_circumstances(s) for s in subjects]),
    ]
    return Comparison(tuple(subjects), tuple(lines), tuple(told(subjects, lines)))


def judging(subject: Subject) -> tuple[MetricValue, ...]:
    """The metrics that a record is judged by: its evaluation's, those of its newest days, and its own, each where there are any."""
    own = subject.record.metrics
    judged = () if subject.evaluation is None else subject.evaluation.metrics
    live = () if subject.live is None else tuple(m for m in subject.live.metrics if m.split == LIVE)
    return (*(m for m in judged if m.split in SPLITS), *live, *(m for m in own if m.split in SPLITS))


def _aligned(
    section: str, held: Sequence[Mapping[str, Any]], notes: Mapping[str, str] | None = None
) -> Iterator[Line]:
    for key in dict.fromkeys(k for one in held for k in one):
        yield Line(section, key, tuple(one.get(key) for one in held), (notes or {}).get(key, ""))


def _result(subjects: Sequence[Subject]) -> Iterator[Line]:
    held = []
    for subject in subjects:
        verdicts = {"verdict": subject.record.verdict or None}
        if subject.evaluation is not None:
            verdicts["verdict of the evaluation"] = subject.evaluation.verdict
        if subject.live is not None:
            verdicts["live until"] = subject.live.partition
        held.append(verdicts)
    yield from _aligned("result", held)
    values = [{metric_key(m): m for m in reversed(judging(s))} for s in subjects]
    for key in dict.fromkeys(metric_key(m) for s in subjects for m in judging(s)):
        found = [one.get(key) for one in values]
        yield Line(
            "result",
            key,
            tuple(None if m is None else _number(m.value) for m in found),
            better_or_worse(found) if len(found) < 3 else best_of([s.name for s in subjects], found),
        )
        for end in ("low", "high"):
            ends = tuple(None if m is None else getattr(m, end) for m in found)
            if any(e is not None for e in ends):
                yield Line("result", f"{key}.{end}", ends)


def better_or_worse(found: Sequence[MetricValue | None]) -> str:
    """How the last one's value stands to the first one's: the difference, whether that is better, and whether the intervals are apart."""
    first, last = found[0], found[-1]
    if first is None or last is None or len(found) != 2 or first.value == last.value:
        return ""
    change = last.value - first.value
    if not math.isfinite(change):
        return ""
    way = {
        "higher": "better" if change > 0 else "worse",
        "lower": "worse" if change > 0 else "better",
        "": "",
    }[last.better]
    text = f"{change:+.4g}" + (f", {way}" if way else "")
    ends = (first.low, first.high, last.low, last.high)
    if way and all(e is not None for e in ends):
        low, high, other_low, other_high = (float(e) for e in ends if e is not None)
        text += (
            "; the intervals are apart" if other_low > high or other_high < low else "; the intervals overlap"
        )
    return text


def number_text(value: float) -> str:
    """A number for people: counts whole, others with four digits."""
    whole = float(value).is_integer() and abs(value) >= 1000
    return f"{value:,.0f}" if whole and abs(value) < 1e15 else f"{value:.4g}"


def best_of(names: Sequence[str], found: Sequence[MetricValue | None]) -> str:
    """Who has the best value of a metric; empty where nobody knows which way is better, and where all have the same."""
    known = [
        (m.value, n) for m, n in zip(found, names, strict=True) if m is not None and math.isfinite(m.value)
    ]
    better = next((m.better for m in found if m is not None), "")
    if not better or len({v for v, _ in known}) < 2:
        return ""
    best = (max if better == "higher" else min)(v for v, _ in known)
    return f"best: {', '.join(n for v, n in known if v == best)}"


def metric_key(metric: MetricValue) -> str:
    """How a metric is called beside others: by its name, and by its split too where that is not the one that judges."""
    if metric.split == LIVE:
        return f"{metric.name} on live days"
    return metric.name if metric.split in ("", "test", "model") else f"{metric.split}.{metric.name}"


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _data(subjects: Sequence[Subject], drift: Mapping[str, Sequence[float]]) -> Iterator[Line]:
    held: list[dict[str, Any]] = []
    for s in subjects:
        one: dict[str, Any] = {f"window of {name}": str(span) for name, span in s.origin.spans.items()}
        one |= {f"rows of {name}": span.rows for name, span in s.origin.spans.items()}
        one |= {f"rows.{k}": v for k, v in leaves(s.record.data.get("rows", {})) if k}
        one |= {f"left out {k}": str(v) for k, v in dict(s.record.data.get("left_out") or {}).items()}
        held.append(one)
    yield from _aligned("data", held)
    sources = dict.fromkeys(n for s in subjects for n in s.origin.columns)
    for source in sources:
        columns = [s.origin.columns.get(source, {}) for s in subjects]
        texts = [{f"column {source}.{n}": str(seen) for n, seen in one.items()} for one in columns]
        yield from _aligned("data", texts)
    yield from _aligned(
        "data", [{f"feature {n}": str(seen) for n, seen in s.origin.features.items()} for s in subjects]
    )
    for name, values in drift.items():
        yield Line("data", f"PSI of {name}", tuple(None if math.isnan(v) else round(v, 4) for v in values))
    remade = remade_inputs(subjects)
    if remade:
        shown = ", ".join(f"{asset} {partition}" for asset, partition, _ in remade[:5])
        more = f" and {len(remade) - 5} more" if len(remade) > 5 else ""
        yield Line(
            "data",
            "inputs of the same partitions with another content",
            (None, *[len(remade)] * (len(subjects) - 1)),
            shown + more,
        )


def remade_inputs(subjects: Sequence[Subject]) -> list[tuple[str, str, str]]:
    """Asset, partition and name of what the first and the last record both read, in different content."""
    first, last = subjects[0].origin.objects, subjects[-1].origin.objects
    return sorted(k for k in first if k in last and first[k] != last[k])


def _params(record: Record) -> dict[str, Any]:
    given = dict(record.params)
    features = given.pop("features", None)
    found = {k: v for k, v in leaves(given) if k not in _NOT_PARAMS}
    if isinstance(features, list):
        found |= {f"features {name}": "used" for name in features}
    elif features is not None:
        found |= {f"features.{k}" if k else "features": v for k, v in leaves(features)}
    return found | {f"seeds.{k}": v for k, v in record.seeds.items()}


def _code(subjects: Sequence[Subject]) -> Iterator[Line]:
    held = []
    for s in subjects:
        own = {f"{s.record.stage}: {n}": mark for n, mark in s.record.code.fingerprints.items()}
        judged = (
            {}
            if s.evaluation is None
            else {f"evaluate: {n}": m for n, m in s.evaluation.code.fingerprints.items()}
        )
        names = {**s.origin.code, **own, **judged}
        one: dict[str, Any] = {f"function {_plain_name(n)}": mark[:12] for n, mark in sorted(names.items())}
        one |= {
            "mlpipe": s.record.code.mlpipe,
            f"version of stage {s.record.stage}": s.record.code.stage_version,
        }
        held.append(one | {"commit": s.record.code.commit or None})
    yield from _aligned("code", held)
    changed = (
        {d.name: d for d in differing(subjects[0].files, subjects[-1].files)} if _archived(subjects) else {}
    )
    for name in dict.fromkeys(n for s in subjects for n in s.files):
        values = tuple(_mark(s.files.get(name)) for s in subjects)
        found = changed.get(name)
        yield Line(
            "code",
            f"file {name}",
            values,
            f"{found.change}, +{found.plus} −{found.minus} lines" if found else "",
        )


def _archived(subjects: Sequence[Subject]) -> bool:
    return bool(subjects[0].files and subjects[-1].files)


def _plain_name(name: str) -> str:
    stage, _, function = name.partition(": ")
    return f"{FILE_MODULE.sub('', function)} ({stage})"


def _mark(text: str | None) -> str | None:
    return None if text is None else digest(text)[:12]


def _environment(record: Record) -> dict[str, Any]:
    plain = record.environment.model_dump(mode="json")
    return {k: v for k, v in leaves(plain) if k not in _QUIET and v not in ("", 0, {}, [], None)}


def _circumstances(subject: Subject) -> dict[str, Any]:
    record = subject.record
    found: dict[str, Any] = {
        "asset": record.asset,
        "partition": record.partition,
        "segment": record.segment,
        "deployment": record.deployment,
        "trigger": record.trigger.kind,
        "reason": record.trigger.reason or None,
        "actor": record.actor or None,
        "as of": record.as_of.isoformat(),
        "recorded": record.recorded_at.isoformat(timespec="seconds"),
        "run": record.run or None,
        "reused": record.reused,
        "experiment": record.experiment or None,
        "hypothesis": record.hypothesis or None,
        "owners": ", ".join(record.owners) or None,
        "versions": ", ".join(subject.versions) or None,
    }
    found |= {f"trigger.{k}": v for k, v in record.trigger.details.items()}
    found |= {f"tags.{k}": v for k, v in record.tags.items()}
    return found | {f"cost.{k}": v for k, v in record.cost.model_dump().items()}
