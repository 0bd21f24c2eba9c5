"""What other gates, or another contract, would have done in the past: tables, and a picture of both pasts side by side."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from mlpipe.views import page
from mlpipe.views.drawing import Scale, at, fitted, safe, seconds, span, tick_text, ticks, time_ticks
from mlpipe.views.frame import ALARM, BANDS, FIXED, GRID, INK, LIVE, PALE, SMALL
from mlpipe.views.page import Cell
from mlpipe.views.replay import number, words
from mlpipe.views.table import table

MOST = 3
"""So many failed gates, and rules, stand in a line."""
MOST_DAYS = 30
"""So many days are listed on the terminal."""
WIDTH, LEFT, RIGHT, TOP, FOOT = 1000.0, 70.0, 900.0, 60.0, 300.0
LANES = (("then", 340.0), ("now", 380.0))
HEIGHT = 430.0
MARKS = {"promoted": "▲", "refused": "×", "candidate": "·", "champion": "="}


# -- gates --------------------------------------------------------------------------------------------------------


def gates_text(found: Mapping[str, Any]) -> str:
    """Both policies, candidate by candidate, and what followed, for the terminal."""
    head, rows = _cases(found)
    parts = [*summary(found), "", table(head, rows)]
    if found["months"]:
        parts += ["", table(*_months(found))]
    parts += [
        f"By hand, not possible under this policy: {m['kind']} by {m['actor']} on {m['at'][:10]}. {m['why']}"
        for m in found["by_hand"]
    ]
    return "\n".join(parts)


def summary(found: Mapping[str, Any]) -> list[str]:
    """What came of it, in sentences."""
    cases = found["cases"]
    if not cases:
        return [f"{found['pipeline']}: no candidate was registered in this stretch."]
    promoted = [sum(c[side]["verdict"] == "promoted" for c in cases) for side in ("then", "now")]
    moved = [c for c in cases if c["then"]["verdict"] != c["now"]["verdict"]]
    same = sum(c["same"] for c in cases)
    lines = [
        f"{found['pipeline']}: of {_count(len(cases), 'candidate')} {promoted[0]} promoted then, {promoted[1]} under this policy;"
        f" {_count(len(moved), 'decision')} otherwise, {same} the same gate by gate."
    ]
    made = found["production"]
    if made and made["difference"] is not None:
        bounds = (
            f" (improvement {number(made['low'])} to {number(made['high'])})"
            if made["low"] is not None
            else ""
        )
        gain = made["difference"]
        way = "worse" if gain < 0 else "better"
        how = "the same" if not gain else f"{way} by {number(abs(gain))}{bounds}, {_weight(made)}"
        lines.append(
            f"Production scored {words(found['metric'])} {number(made['then'])}; under this policy {number(made['now'])}: {how}."
            f" {_count(made['rows'], 'row')} of {_count(made['days'], 'day')}."
        )
        lines += [made["note"]] if made["note"] else []
    elif made:
        lines.append("Production cannot be compared: on no labelled day did both policies have a model.")
    return lines


def _weight(made: Mapping[str, Any]) -> str:
    """Whether a difference is more than what another draw of days would give; its interval is that of the improvement."""
    return "within noise" if made["low"] is None or made["low"] <= 0 <= made["high"] else "beyond noise"


def _cases(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    head = [
        "candidate",
        "because",
        "then",
        "this policy",
        "fails",
        "champion after",
        "candidate after",
        "days",
    ]
    rows = []
    for case in found["cases"]:
        after = case["followed"]
        fault = f" ({case['inject']})" if case["inject"] else ""
        rows.append(
            [
                f"@{case['version']} {case['partition']}",
                f"{case['trigger']}{fault}",
                case["then"]["verdict"],
                case["now"]["verdict"] + (" *" if case["then"]["verdict"] != case["now"]["verdict"] else ""),
                _failed(case["now"]),
                number(after["champion"]),
                number(after["candidate"]),
                str(after["days"]),
            ]
        )
    return head, rows


def _failed(ruled: Mapping[str, Any]) -> str:
    """Gates that did not pass; where all did, the first reason of a refusal."""
    names = ruled["failed"]
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more if names else next(iter(ruled["reasons"]), "")


def _months(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [[m["month"], number(m["then"]), number(m["now"]), f"{m['rows']:,}"] for m in found["months"]]
    return ["month", "production then", "under this policy", "rows"], rows


def gates_html(found: Mapping[str, Any]) -> str:
    """A page with the picture and the tables; it needs no network."""
    head, rows = _cases(found)
    parts = [
        page.bullets(summary(found)),
        page.figures([gates_svg(found)]),
        page.heading("Candidate by candidate"),
    ]
    about = "After: the metric of candidate and champion on the days until the next candidate, by the model-by-day matrix."
    parts += [page.paragraph(about), page.table(head, [[Cell(c) for c in row] for row in rows])]
    months, lines = _months(found)
    parts += [
        page.heading("Production by month"),
        page.table(months, [[Cell(c) for c in row] for row in lines]),
    ]
    for case in found["cases"]:
        sentences = [g["sentence"] for g in case["now"]["gates"]]
        parts += [
            page.heading(f"@{case['version']} {case['partition']}: {case['now']['verdict']}"),
            page.bullets(sentences),
        ]
    return page.page(f"{found['pipeline']}: another policy on the past", parts)


def gates_svg(found: Mapping[str, Any]) -> str:
    """Production under both policies over time, and below it what each decided about each candidate, as SVG.

    Bands are the versions in production; ▲ is promoted, × refused. Lines differ in colour and in dashes.
    """
    days, cases = found["timeline"], found["cases"]
    moments = [_when(d["at"]) for d in days] + [_when(c["at"]) for c in cases]
    x = Scale(min(moments, default=0.0), max([*moments, min(moments, default=0.0) + 1.0]), LEFT, RIGHT)
    values = [d[f"value_{s}"] for d in days for s, _ in LANES if d[f"value_{s}"] is not None]
    y = Scale(*span(values), FOOT, TOP)
    title = (
        f"{found['pipeline']}: {words(found['metric'] or '')} of production, as it was and under this policy"
    )
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {at(WIDTH)} {at(HEIGHT)}" width="{at(WIDTH)}" height="{at(HEIGHT)}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="{INK}">',
        f"<title>{safe(title)}</title>",
        f'<rect width="{at(WIDTH)}" height="{at(HEIGHT)}" fill="#FFFFFF"/>',
        f'<text x="24" y="28" font-weight="bold">{safe(fitted(title, 12, WIDTH - 48))}</text>',
    ]
    levels = ticks(y.low, y.high)
    step = levels[1] - levels[0] if len(levels) > 1 else 1.0
    for level in levels:
        out.append(f'<path d="M{at(LEFT)} {at(y(level))}H{at(RIGHT)}" stroke="{GRID}"/>')
        out.append(_text(LEFT - 8, y(level) + 4, tick_text(level, step), anchor="end", fill=PALE))
    for tick in time_ticks(x.low, x.high, 10):
        out.append(_text(x(tick.when), FOOT + 16, tick.text, anchor="middle", fill=PALE))
    out += _lines(days, x, y)
    out += _lanes(found, x)
    return "\n".join([*out, "</svg>"])


def _lines(days: Sequence[Mapping[str, Any]], x: Scale, y: Scale) -> Iterable[str]:
    styles = (("then", "as it was", FIXED, ""), ("now", "this policy", LIVE, ' stroke-dasharray="6 3"'))
    for row, (side, name, colour, dash) in enumerate(styles):
        points = [(x(_when(d["at"])), y(d[f"value_{side}"])) for d in days if d[f"value_{side}"] is not None]
        if points:
            path = "L".join(f"{at(px)} {at(py)}" for px, py in points)
            yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>'
        yield _text(RIGHT + 8, TOP + 12 + 18 * row, name, fill=colour)


def _lanes(found: Mapping[str, Any], x: Scale) -> Iterable[str]:
    for side, top in LANES:
        name = "as it was" if side == "then" else "this policy"
        yield _text(RIGHT + 8, top + 14, name)
        shade = 0
        for version, run in groupby(found["timeline"], key=lambda d: d[side]):
            days = list(run)
            left, right = x(_when(days[0]["at"])), x(_when(days[-1]["at"]))
            if version is not None:
                yield (
                    f'<rect x="{at(left)}" y="{at(top)}" width="{at(max(right - left, 2.0))}" height="20" fill="{BANDS[shade % 2]}" '
                    f'stroke="{GRID}"><title>@{version}</title></rect>'
                )
                yield _text(
                    left + 3, top + 14, fitted(f"@{version}", SMALL, max(right - left, 0.0)), fill=PALE
                )
                shade += 1
        for case in found["cases"]:
            verdict = case[side]["verdict"]
            told = f"@{case['version']} {case['partition']}: {verdict}. {_failed(case[side])}"
            colour = LIVE if verdict == "promoted" else ALARM
            yield (
                f'<text x="{at(x(_when(case["at"])))}" y="{at(top + 15)}" text-anchor="middle" font-weight="bold" fill="{colour}">'
                f"{MARKS.get(verdict, '·')}<title>{safe(told)}</title></text>"
            )


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK) -> str:
    return f'<text x="{at(x)}" y="{at(y)}" text-anchor="{anchor}" font-size="11" fill="{fill}">{safe(text)}</text>'


def _when(text: str) -> float:
    return seconds(datetime.fromisoformat(text))


# -- checks -------------------------------------------------------------------------------------------------------


def checks_text(found: Mapping[str, Any]) -> str:
    """How often another contract fails days that were fine, for the terminal."""
    if not found["validated"]:
        return f"{found['pipeline']}: no partition of this stretch was validated."
    fine, parts = found["false_alarms"], []
    parts.append(
        f"{found['pipeline']}: this contract fails {fine['failed']} of {_count(fine['days'], 'fine day')}{_percent(fine)},"
        f" {found['stretch'][0]} to {found['stretch'][1]}."
    )
    passed = found["passed"]
    parts.append(
        f"Of {_count(passed['days'], 'day')} that passed then, whatever was seen later, it fails {passed['failed']}{_percent(passed)}."
    )
    for name, text in (
        ("not_fine", "were not fine"),
        ("not_judged", "passed then, and were never judged since"),
    ):
        other = found[name]
        if other["days"]:
            parts.append(f"Of {_count(other['days'], 'day')} that {text} it fails {other['failed']}.")
    if found["rules"]:
        rows = [[r["source"], r["rule"], str(r["fine_days"]), str(r["days"])] for r in found["rules"]]
        parts += ["", table(["source", "rule", "broken on fine days", "on all days that fail"], rows)]
    failing = [d for d in found["days"] if d["now"] != "pass"]
    if failing:
        shown = [
            [d["day"], d["then"], d["now"], d["standing"].replace("_", " "), _broken(d), d["why"]]
            for d in failing[:MOST_DAYS]
        ]
        parts += ["", table(["day", "then", "this contract", "judged", "broken", "because"], shown)]
    if len(failing) > MOST_DAYS:
        parts.append(f"and {len(failing) - MOST_DAYS} more days; --json has all.")
    return "\n".join(parts)


def _percent(rate: Mapping[str, Any]) -> str:
    return "" if rate["rate"] is None else f" ({rate['rate']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}])"


def _broken(day: Mapping[str, Any]) -> str:
    rules = [f"{b['rule']}" + (f" ({b['rows']} rows)" if b["rows"] else "") for b in day["broken"]]
    return ", ".join(rules[:MOST]) + (f" and {len(rules) - MOST} more" if len(rules) > MOST else "")


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"
