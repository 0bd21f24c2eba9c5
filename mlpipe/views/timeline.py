"""A replay as one picture: how good the models were, what drifted, what was asked for and decided, over the same time.

Hand-written SVG with a background of its own, so that it reads the same in a README on light and dark pages. Colours are from the
palette of Okabe and Ito, which people with any colour vision tell apart; no meaning hangs on colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from mlpipe.views.drawing import (
    DAY,
    Labels,
    Scale,
    apart,
    at,
    fitted,
    safe,
    seconds,
    span,
    tick_text,
    ticks,
    time_ticks,
    wide,
)
from mlpipe.views.frame import (
    ALARM,
    BANDS,
    DRIFT,
    FIXED,
    FOOT,
    GRID,
    HEIGHT,
    INK,
    LEFT,
    LIVE,
    METRIC,
    NORMAL,
    PALE,
    RIGHT,
    SMALL,
    WIDTH,
    Frame,
    finite,
    rule,
    write,
)
from mlpipe.views.lane import lane
from mlpipe.views.lived import Day, Replay
from mlpipe.views.replay import finding, number, words

MEAN_DAYS = 7
LEAST_MEAN = 4
"""A mean of fewer days would look like news and be noise."""
NAMED = 6
"""At most so many peaks of drift are named."""


def svg(replay: Replay) -> str:
    """The picture, 1200 by 640, as a complete SVG document. The same replay gives the same text.

    Tooltips carry what the marks mean in words and numbers. Labels that would overlap others are left out.
    """
    frame = Frame(replay)
    head, room = finding(replay), WIDTH - 2 * 24
    size = next((s for s in (20, 18, 16) if wide(head, s) <= room), 16)
    about = fitted(
        f"{replay.pipeline}, {replay.first} to {replay.last}. Policy: {replay.policy}. Ledger: {replay.ledger}.",
        NORMAL,
        room,
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="Helvetica, Arial, \'Liberation Sans\', sans-serif" font-size="{at(NORMAL)}" fill="{INK}">',
        f"<title>{safe(head)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#FFFFFF"/>',
        write(24, 36, fitted(head, size, room), size=size, weight="bold"),
        write(24, 58, about, fill=PALE),
        *_bands(frame),
        *_time(frame),
        *_metric(frame),
        *_drift(frame),
        *lane(frame),
        *_hover(frame),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


# -- what all panels share ----------------------------------------------------------------------------------------


def _bands(frame: Frame) -> Iterable[str]:
    """Which version scored, as bands that alternate; named where the name fits."""
    name = frame.replay.pipeline
    shade = 0
    for version, run in groupby(frame.days, key=lambda d: d.version):
        days = list(run)
        left = frame.x(seconds(days[0].moment) - frame.step)
        right = frame.x(seconds(days[-1].moment))
        if version is None:
            continue
        colour, shade = BANDS[shade % 2], shade + 1
        yield (
            f'<rect x="{at(left)}" y="{at(METRIC[0] - 20)}" width="{at(right - left)}" '
            f'height="{at(FOOT - METRIC[0] + 20)}" fill="{colour}"/>'
        )
        if left > LEFT + 1 and right - left > 8:
            yield rule(left, METRIC[0] - 20, left, FOOT, "#B9C6D2")
        for label in (f"{name}@{version}", f"@{version}"):
            if wide(label, SMALL) + 6 <= right - left:
                yield write(left + 4, METRIC[0] - 7, label, size=SMALL, fill="#44576A")
                break


def _time(frame: Frame) -> Iterable[str]:
    if not (frame.replay.days or frame.replay.attempts or frame.replay.moves):
        yield write((LEFT + RIGHT) / 2, 300, "Nothing was lived through.", anchor="middle", fill=PALE)
        return
    yield rule(LEFT, FOOT, RIGHT, FOOT, "#999999")
    for tick in time_ticks(frame.x.low, frame.x.high):
        x = frame.x(tick.when)
        for top, bottom in (METRIC, DRIFT):
            yield rule(x, top, x, bottom, "#E6E9EC")
        yield rule(x, FOOT, x, FOOT + 5, "#999999")
        yield write(x, FOOT + 18, tick.text, anchor="middle", fill=PALE)
        if tick.below:
            yield write(x, FOOT + 33, tick.below, anchor="middle", fill=PALE, size=SMALL)
    yield write(WIDTH - 24, FOOT + 33, "time in UTC", anchor="end", fill=PALE, size=SMALL)


def _hover(frame: Frame) -> Iterable[str]:
    """An invisible column for each day, or for each pixel where there are more, that tells the day in words."""
    width = max(frame.x(frame.x.low + frame.step) - LEFT, 1.0)
    for left, run in groupby(frame.days, key=lambda d: math.floor(frame.mid(d) - width / 2)):
        days = list(run)
        x = max(float(left), LEFT)
        texts = [_day_text(frame.replay, d) for d in days[:3]]
        texts += [f"and {len(days) - 3} more"] if len(days) > 3 else []
        yield (
            f'<rect x="{at(x)}" y="{at(METRIC[0])}" width="{at(min(width + 1, RIGHT - x + 1))}" '
            f'height="{at(DRIFT[1] - METRIC[0])}" fill="#FFFFFF" fill-opacity="0">'
            f"<title>{safe('; '.join(texts))}</title></rect>"
        )


def _day_text(replay: Replay, day: Day) -> str:
    version = "no champion" if day.version is None else f"{replay.pipeline}@{day.version}"
    parts = [f"{day.key}: {version}, {day.rows:,} rows"]
    parts.append(
        f"{words(replay.metric)} {number(day.live)} live, {number(day.fixed)} never retrained"
        if day.live is not None or day.fixed is not None
        else "no metric"
    )
    if day.psi is not None:
        parts.append(f"worst drift: {day.worst}, PSI {number(day.psi)}, threshold {number(day.threshold)}")
    if day.score_psi is not None:
        parts.append(f"PSI of the scores {number(day.score_psi)}")
    return ", ".join([*parts, *([day.note] if day.note else [])])


# -- the metric ---------------------------------------------------------------------------------------------------


def _metric(frame: Frame) -> Iterable[str]:
    replay = frame.replay
    series = [
        ("never retrained", FIXED, replay.fixed, [(d, finite(d.fixed)) for d in frame.days]),
        ("live champion", LIVE, replay.live, [(d, finite(d.live)) for d in frame.days]),
    ]
    title = f"{words(replay.metric)} by {frame.unit}, and its trailing {MEAN_DAYS}-day mean ({replay.better} is better)"
    yield write(LEFT, METRIC[0] - 28, fitted(title, NORMAL, 900), weight="bold", halo=True)
    values = [v for *_, points in series for _, v in points if v is not None]
    if not values:
        if frame.days:
            text = f"No {frame.unit} has a metric: no labels, no champion, or one class only."
            yield write((LEFT + RIGHT) / 2, sum(METRIC) / 2, text, anchor="middle", fill=PALE)
        return
    y = Scale(*span(values), METRIC[1], METRIC[0])
    yield from _levels(y, ticks(y.low, y.high))
    ends = []
    for _, colour, _, points in series:
        drawn = [(frame.mid(d), v) for d, v in points if v is not None]
        yield _dots([(px, y(v)) for px, v in drawn], colour, dense=len(drawn) > 400)
    for name, colour, pooled, points in series:
        lines = _means([(seconds(d.moment), v) for d, v in points], frame.step)
        for line in lines:
            shift = frame.step / 2
            # One point a pixel is enough: the last of each.
            path = "L".join({round(p := frame.x(t - shift)): f"{at(p)} {at(y(v))}" for t, v in line}.values())
            yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'
        known = [v for _, v in points if v is not None]
        if known:
            last = lines[-1][-1][1] if lines else known[-1]
            ends.append((name, colour, pooled, y(last)))
    heights = apart([e[-1] for e in ends], 32, METRIC[0] + 6, METRIC[1] - 18)
    for (name, colour, pooled, _), height in zip(ends, heights, strict=True):
        yield write(RIGHT + 10, height + 4, name, fill=colour, weight="bold")
        if finite(pooled) is not None:
            yield write(RIGHT + 10, height + 19, f"{number(pooled, 3)} all rows", fill=colour, size=SMALL)


def _levels(y: Scale, levels: Sequence[float]) -> Iterable[str]:
    step = levels[1] - levels[0] if len(levels) > 1 else abs(y.high - y.low)
    for level in levels:
        yield rule(LEFT, y(level), RIGHT, y(level), GRID)
        yield write(LEFT - 8, y(level) + 4, tick_text(level, step), anchor="end", fill=PALE, size=SMALL)


def _dots(points: Sequence[tuple[float, float]], colour: str, *, dense: bool) -> str:
    """Points as one path of strokes without length: thousands stay a small file."""
    places = dict.fromkeys((round(x, 0 if dense else 1), round(y, 0 if dense else 1)) for x, y in points)
    path = "".join(f"M{at(x)} {at(y)}h0" for x, y in places)
    size, opacity = (2.2, 0.3) if dense else (4, 0.35)
    if len(points) < LEAST_MEAN:
        size, opacity = 7, 1.0
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{size}" '
        f'stroke-linecap="round" stroke-opacity="{opacity}"/>'
    )


def _means(points: Sequence[tuple[float, float | None]], step: float) -> list[list[tuple[float, float]]]:
    """Trailing means of `MEAN_DAYS` days, in pieces: where too few partitions of the window have a value, the line is broken."""
    window = MEAN_DAYS * DAY
    need = min(LEAST_MEAN, max(1, round(window / step)))
    pieces: list[list[tuple[float, float]]] = [[]]
    first = 0
    for n, (when, _) in enumerate(points):
        while points[first][0] <= when - window:
            first += 1
        inside = [v for _, v in points[first : n + 1] if v is not None]
        if len(inside) >= need:
            pieces[-1].append((when, math.fsum(inside) / len(inside)))
        elif pieces[-1]:
            pieces.append([])
    return [p for p in pieces if p]


# -- drift --------------------------------------------------------------------------------------------------------


def _drift(frame: Frame) -> Iterable[str]:
    title = f"Drift: PSI of the worst watched column of each {frame.unit} as a multiple of its alarm threshold (log scale)"
    yield write(LEFT, DRIFT[0] - 12, title, weight="bold", halo=True)
    found = [(d, r) for d in frame.days if (r := ratio(d)) is not None]
    if not found:
        if frame.days:
            text = f"No {frame.unit} was compared with what its champion learned from."
            yield write((LEFT + RIGHT) / 2, sum(DRIFT) / 2, text, anchor="middle", fill=PALE)
        return
    low, high = min(r for _, r in found), max(r for _, r in found)
    y = Scale(math.log10(min(low * 0.8, 0.5)), math.log10(max(high * 1.6, 2.0)), DRIFT[1], DRIFT[0])
    levels = [m * 10.0**p for p in range(-3, 7) for m in (1, 2, 5)]
    shown = [v for v in levels if y.low <= math.log10(v) <= y.high]
    if len(shown) > 6:
        shown = [v for v in shown if f"{v:g}".strip("0.") == "1"]
    for level in shown:
        if level != 1:
            height = y(math.log10(level))
            yield rule(LEFT, height, RIGHT, height, GRID)
            yield write(LEFT - 8, height + 4, f"{level:,g}×", anchor="end", fill=PALE, size=SMALL)
    one = y(0.0)
    yield rule(LEFT, one, RIGHT, one, ALARM, 1.2, "5 3")
    yield write(LEFT - 8, one + 4, "1×", anchor="end", fill=ALARM, size=SMALL, weight="bold")
    yield write(RIGHT + 10, one + 4, "alarm", fill=ALARM, weight="bold")
    columns = _worst_by_pixel(frame, found)
    for above, colour, width in ((False, "#8A949E", 1.4), (True, ALARM, 2.0)):
        chosen = [(x, y(math.log10(r))) for x, _, r in columns if (r > 1) == above]
        stems = "".join(f"M{at(x)} {at(one)}V{at(h)}" for x, h in chosen)
        if stems:
            yield f'<path d="{stems}" stroke="{colour}" stroke-width="{width}" fill="none"/>'
    yield from _named(columns, y)


def ratio(day: Day) -> float | None:
    """PSI over threshold, between a thousandth and a million; None where one is missing or the threshold is nothing."""
    psi, threshold = finite(day.psi), finite(day.threshold)
    if psi is None or threshold is None or threshold <= 0 or psi < 0:
        return None
    return min(max(psi / threshold, 1e-3), 1e6)


def _worst_by_pixel(frame: Frame, found: Sequence[tuple[Day, float]]) -> list[tuple[float, Day, float]]:
    """The worst day of each pixel: where days are narrower, a good one must not hide a bad one."""
    fine = frame.x(frame.x.low + frame.step) - LEFT >= 1
    made = []
    for _, run in groupby(found, key=lambda f: frame.mid(f[0]) if fine else math.floor(frame.mid(f[0]))):
        day, worst = max(run, key=lambda f: f[1])
        made.append((frame.mid(day), day, worst))
    return made


def _named(columns: Sequence[tuple[float, Day, float]], y: Scale) -> Iterable[str]:
    """The columns behind the highest peaks, each peak named once."""
    places, told = Labels(), 0
    for x, day, value in sorted(columns, key=lambda c: -c[2]):
        if told == NAMED or value <= 1 or not day.worst:
            return
        name = f"{fitted(day.worst, SMALL, 150)} {value:,.3g}×"
        width = wide(name, SMALL)
        left = min(max(x - width / 2, LEFT), RIGHT - width)
        beside = max(r for at_x, _, r in columns if left - 2 <= at_x <= left + width + 2)
        height = y(math.log10(max(beside, value))) - 4
        # A peak reserves a week's room beside its name, for its slopes would say the same again.
        if places.take(left - 12, DRIFT[0] - 20, width + 24, 200):
            told += 1
            yield write(left, max(height, DRIFT[0] + 8), name, size=SMALL, fill=ALARM, halo=True)
