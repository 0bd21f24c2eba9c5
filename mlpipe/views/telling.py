"""What stands out in a comparison, in sentences: first what came out otherwise, then what may be why, the likeliest first."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlpipe.index.origins import Seen
from mlpipe.records.capture import RESULT_PACKAGES

if TYPE_CHECKING:
    from mlpipe.views.comparison import Line, Subject

MODERATE = 0.1
MOST = 6
_DECISIVE = ("python", "cpu", "blas", "gpu", "cuda", "threads.", "flags.")


def told(subjects: "Sequence[Subject]", lines: "Sequence[Line]") -> list[str]:
    """Sentences about the first and the last of some records; nothing where nothing differs.

    The order is that in which causes are worth looking at: columns that came, went or changed type; features; what was put in on purpose;
    code; parameters; data made again; distributions; packages.
    """
    if len(subjects) < 2:
        return []
    results = list(_results(lines))
    found = [*_columns(subjects), *_features(subjects), *_faults(subjects), *_code(lines)]
    found += [*_params(lines), *_remade(lines), *_drift(lines), *_environment(lines)]
    if not found:
        window = any(x.key.startswith("window of ") and x.differs for x in lines)
        found = [
            "Of what may change a result only the window differs."
            if window
            else "Nothing that may change a result differs."
        ]
    return [*results, *found]


def _results(lines: "Sequence[Line]") -> Iterator[str]:
    moved = [x for x in lines if x.section == "result" and x.differs and x.note]
    best = [f"{x.key} {x.note.removeprefix('best: ')}" for x in moved if x.note.startswith("best: ")]
    if best:
        yield f"Best: {'; '.join(best[:MOST])}."
    for word in ("worse", "better"):
        some = [_moved(x) for x in moved if f", {word}" in x.note]
        if some:
            yield f"{word.capitalize()}: {_some(some)}."


def _moved(line: "Line") -> str:
    apart = line.note.partition("; the ")[2]
    return f"{line.key} {_short(line.values[0])} to {_short(line.values[-1])}" + (
        f" ({apart})" if apart else ""
    )


def _columns(subjects: "Sequence[Subject]") -> Iterator[str]:
    before, after = subjects[0].origin.columns, subjects[-1].origin.columns
    for source in [s for s in after if s in before]:
        old, new = before[source], after[source]
        for name in [n for n in new if n not in old]:
            yield f"Source {source} sends a new column '{name}' ({new[name].kinds[0]}){_since(new[name])}."
        for name in [n for n in old if n not in new]:
            yield f"Source {source} no longer sends the column '{name}' ({old[name].kinds[0]})."
        for name in [n for n in new if n in old]:
            yield from _changed(source, name, old[name], new[name])


def _changed(source: str, name: str, old: Seen, new: Seen) -> Iterator[str]:
    if old.kinds[0] != new.kinds[0] and {old.kinds[0], new.kinds[0]} != {"int", "float"}:
        yield f"Column '{name}' of source {source} changed its type from {old.kinds[0]} to {new.kinds[0]}."
    elif old.whole != new.whole:
        whole = f"in {len(new.partitions)} of {len(new.of)} partitions, before in {len(old.partitions)} of {len(old.of)}"
        yield f"Source {source} sends the column '{name}' {whole}{_since(new)}."


def _since(seen: Seen) -> str:
    return f" since {seen.partitions[0]}" if not seen.whole and seen.partitions[-1] == seen.of[-1] else ""


def _features(subjects: "Sequence[Subject]") -> Iterator[str]:
    before, after = (_used(s) for s in (subjects[0], subjects[-1]))
    new, gone = [n for n in after if n not in before], [n for n in before if n not in after]
    if new and before:
        yield f"It learned from features that were not there before: {_some(new)}."
    if gone and after:
        yield f"It no longer learned from: {_some(gone)}."


def _used(subject: "Subject") -> list[str]:
    given: Any = subject.record.params.get("features")
    return [str(n) for n in given] if isinstance(given, list) else list(subject.origin.features)


def _faults(subjects: "Sequence[Subject]") -> Iterator[str]:
    faults = [s.record.data.get("inject") for s in subjects]
    for subject, fault in zip(subjects, faults, strict=True):
        if fault:
            yield f"A fault was put into {subject.name} on purpose: {fault}."


def _code(lines: "Sequence[Line]") -> Iterator[str]:
    code = [x for x in lines if x.section == "code" and x.differs]
    functions = [x.key.removeprefix("function ") for x in code if x.key.startswith("function ")]
    if functions:
        yield f"Functions of yours differ: {_some(functions)}."
    others = [x for x in code if x.key == "mlpipe" or x.key.startswith("version of stage")]
    if others:
        yield f"mlpipe differs: {_some([f'{x.key} {x.values[0]} to {x.values[-1]}' for x in others])}."


def _params(lines: "Sequence[Line]") -> Iterator[str]:
    given = [
        x for x in lines if x.section == "parameters" and x.differs and not x.key.startswith("features ")
    ]
    # What a fitted preprocessing knows of its columns repeats which features there are.
    given = [x for x in given if ".columns." not in x.key]
    other = next((x for x in given if x.key in ("model.class", "model.fit")), None)
    if other is not None:
        yield f"It is another model: {_short(other.values[0])}, now {_short(other.values[-1])}."
        # Another class has other parameters, and another preprocessing; each of them says nothing more.
        given = [x for x in given if not x.key.startswith(("model.", "preprocess."))]
    if given:
        yield f"Parameters differ: {_some([f'{x.key} {_short(x.values[0])} to {_short(x.values[-1])}' for x in given])}."


def _remade(lines: "Sequence[Line]") -> Iterator[str]:
    for line in lines:
        if line.key.startswith("inputs of the same partitions") and line.differs:
            yield f"{line.values[-1]} inputs of the same partitions were made again with another content: {line.note}."


def _drift(lines: "Sequence[Line]") -> Iterator[str]:
    moved = [x for x in lines if x.key.startswith("PSI of ") and (x.values[-1] or 0) >= MODERATE]
    moved.sort(key=lambda x: -float(x.values[-1]))
    if moved:
        yield f"Features are distributed otherwise (PSI): {_some([f'{x.key[7:]} {x.values[-1]:.2f}' for x in moved])}."


def _environment(lines: "Sequence[Line]") -> Iterator[str]:
    found = [x for x in lines if x.section == "environment" and x.differs and _decides(x.key)]
    if found:
        yield f"The environment differs: {_some([f'{x.key} {_short(x.values[0])} to {_short(x.values[-1])}' for x in found])}."


def _decides(key: str) -> bool:
    return key.startswith(_DECISIVE) or key.removeprefix("packages.") in RESULT_PACKAGES


def _short(value: Any) -> str:
    text = "nothing" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:MOST]) + (f" and {len(texts) - MOST} more" if len(texts) > MOST else "")
