"""The lowest panel of a replay's picture: retrainings that were asked for, what was decided, and days that failed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby

from mlpipe.views.drawing import Labels, at, fitted, safe, seconds, wide
from mlpipe.views.frame import (
    ALARM,
    ASKED,
    DECIDED,
    DRIFT,
    FAILED,
    GRID,
    INK,
    LEFT,
    PALE,
    RIGHT,
    SMALL,
    Frame,
    rule,
    write,
)
from mlpipe.views.lived import Attempt, Replay
from mlpipe.views.replay import number, words

LONGEST_TIP = 600
MANY = 100
"""From so many attempts on, marks are smaller."""

SHAPES = {
    "asked": "M{l} {c}A{s} {s} 0 1 0 {r} {c}A{s} {s} 0 1 0 {l} {c}Z",
    "promoted": "M{x} {t}L{r} {b}H{l}Z",
    "rolled back": "M{x} {b}L{r} {t}H{l}Z",
    "refused": "M{l} {t}L{r} {b}M{r} {t}L{l} {b}",
    "failed": "M{l} {t}H{r}V{b}H{l}Z",
    "no model": "M{l} {c}H{r}",
    "fault": "M{x} {t}L{r} {c}L{x} {b}L{l} {c}Z",
}
LOOKS = {
    "asked": ("#FFFFFF", INK),
    "promoted": ("#007A5A", "#007A5A"),
    "rolled back": ("#FFFFFF", "#B8500B"),
    "refused": ("none", INK),
    "failed": (INK, INK),
    "no model": ("none", INK),
    "fault": ("#F0E442", INK),
}


def _mark(kind: str, x: float, y: float, tip: str, size: float = 4.6) -> str:
    fill, stroke = LOOKS[kind]
    edges = {"x": x, "c": y, "l": x - size, "r": x + size, "t": y - size, "b": y + size, "s": size}
    path = SHAPES[kind].format(**{k: at(v) for k, v in edges.items()})
    return f'<path d="{path}" fill="{fill}" stroke="{stroke}" stroke-width="1.6"><title>{safe(_short(tip))}</title></path>'


def lane(frame: Frame) -> Iterable[str]:
    """What was asked for above what was decided, each with its reason as a tooltip; and what the marks mean."""
    replay = frame.replay
    yield write(LEFT, DRIFT[1] + 24, "Retrainings asked for, and what was decided", weight="bold", halo=True)
    notes = [d for d in frame.days if d.note]
    if not (replay.attempts or replay.moves or notes):
        if frame.days:
            text = "No retraining was asked for, and nothing was moved by hand."
            yield write((LEFT + RIGHT) / 2, DECIDED, text, anchor="middle", fill=PALE)
        return
    rows = [
        ("asked", ASKED),
        ("decided", DECIDED),
        *([(fitted(f"bad {frame.unit}s", SMALL, LEFT - 10), FAILED)] if notes else []),
    ]
    for name, height in rows:
        yield rule(LEFT, height, RIGHT, height, GRID)
        yield write(LEFT - 8, height + 4, name, anchor="end", fill=PALE, size=SMALL)
    for pixel, run in groupby(notes, key=lambda d: round(frame.mid(d))):
        tip = "; ".join(f"{d.key}: {d.note}" for d in run)
        yield (
            f'<path d="M{at(float(pixel))} {at(FAILED - 5)}v10" stroke="{ALARM}" stroke-width="2.4">'
            f"<title>{safe(_short(tip))}</title></path>"
        )
    kinds: Counter[str] = Counter()
    size = 4.6 if len(replay.attempts) < MANY else 2.8
    # What matters most is drawn last, over marks that stand too close.
    for a in sorted(replay.attempts, key=lambda a: (bool(a.injected), a.outcome == "promoted")):
        x, tip = frame.x(seconds(a.moment)), _tip(replay, a)
        yield _mark("fault" if a.injected else "asked", x, ASKED, tip, 5.2 if a.injected else size)
        yield _mark(_kind(a.outcome), x, DECIDED, tip, size)
        kinds.update([_kind(a.outcome), *(["fault"] if a.injected else [])])
    for m in replay.moves:
        kind = "rolled back" if "roll" in m.kind else "promoted"
        tip = f"{m.moment:%Y-%m-%d}: {m.kind} by hand, {replay.pipeline}@{m.version}. {m.reason}"
        yield _mark(kind, frame.x(seconds(m.moment)), DECIDED, tip)
        kinds[kind] += 1
    yield from _faults(frame)
    yield from _key(kinds, f"failed {frame.unit}s {len(notes):,}" if notes else "")


def _kind(outcome: str) -> str:
    return {"promoted": "promoted", "refused": "refused", "no_model": "no model"}.get(outcome, "failed")


def _tip(replay: Replay, a: Attempt) -> str:
    fault = f"FAULT PUT IN ON PURPOSE ({a.injected}). " if a.injected else ""
    version = "" if a.version is None else f", {replay.pipeline}@{a.version}"
    compared = (
        f" {words(replay.metric)} {number(a.metric)}, champion {number(a.rival)}."
        if a.metric is not None
        else ""
    )
    outcome = a.outcome.replace("_", " ")
    return f"{a.moment:%Y-%m-%d}: {fault}{a.cause}: {a.reason}. {outcome}{version}.{compared} {a.why}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TIP else text[: LONGEST_TIP - 1] + "…"


def _faults(frame: Frame) -> Iterable[str]:
    """What was put in on purpose is said beside its mark, as far as there is room."""
    places = Labels()
    for a in frame.replay.attempts:
        if not a.injected:
            continue
        text = f"{fitted(a.injected, SMALL, 160)}, put in on purpose"
        width, x = wide(text, SMALL), frame.x(seconds(a.moment))
        left = min(max(x - width / 2, LEFT), RIGHT - width)
        if places.take(left, ASKED, width, SMALL):
            yield write(left, ASKED - 9, text, size=SMALL, halo=True)


def _key(kinds: Mapping[str, int], notes: str) -> Iterable[str]:
    """What the marks mean and how many there are, beside them."""
    names = {"fault": "fault put in on purpose"}
    shown = [(k, names.get(k, k), kinds[k]) for k in SHAPES if kinds.get(k)]
    height: float = ASKED - 20
    for kind, name, count in shown:
        yield _mark(kind, RIGHT + 16, height, f"{count} {name}", 4.0)
        yield write(
            RIGHT + 28,
            height + 4,
            f"{name} {count:,}" if kind != "fault" else "put in on purpose",
            size=SMALL,
        )
        height += 13
    if notes:
        yield rule(RIGHT + 16, height - 4, RIGHT + 16, height + 4, ALARM, 2.4)
        yield write(RIGHT + 28, height + 4, notes, size=SMALL)
