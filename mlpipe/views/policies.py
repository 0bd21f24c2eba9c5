"""Retraining policies lived through the same past, side by side: a table, a picture, and a page with every training that was asked for."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from statistics import fmean
from typing import Any

from mlpipe.views import page
from mlpipe.views.drawing import Scale, apart, at, fitted, safe, seconds, span, tick_text, ticks, time_ticks
from mlpipe.views.frame import GRID, INK, PALE, SMALL, rule, write
from mlpipe.views.page import Cell
from mlpipe.views.replay import number, words
from mlpipe.views.table import table

SMOOTH = 28
"""Days of the trailing mean that is drawn; of a short past an eighth of it."""
WIDTH, LEFT, RIGHT, TOP, FOOT, LANE = 1100.0, 118.0, 900.0, 64.0, 330.0, 26.0
STYLES = (
    ("#222222", ""),
    ("#0072B2", ""),
    ("#B8500B", ""),
    ("#A0297A", ""),
    ("#00735A", ""),
    ("#5B4FB5", ""),
    ("#8A6D00", ""),
    ("#0072B2", "6 3"),
    ("#B8500B", "6 3"),
    ("#A0297A", "6 3"),
)
"""Colour and dashes of each line; of more policies they begin again."""
BANDS = ("#DCE6EE", "#F0F3F6")
MARKS = {"promoted": "▲", "refused": "×", "no_model": "·", "failed": "!"}


def as_text(found: Mapping[str, Any]) -> str:
    """What came of each policy, for the terminal."""
    head, rows = _table(found)
    return "\n".join([*summary(found), "", table(head, rows), "", *_notes(found)]).rstrip()


def as_markdown(found: Mapping[str, Any]) -> str:
    """The same table for a page in Markdown."""
    head, rows = _table(found)
    cells = [[c.replace("|", "\\|").replace("_", "\\_") for c in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "| --- |" + " --: |" * (len(head) - 1), *lines[1:]])


def summary(found: Mapping[str, Any]) -> list[str]:
    """Which policy did best and by how much, in sentences."""
    name, policies = words(found["metric"]), {p["name"]: p for p in found["policies"]}
    first, last = found["stretch"]
    lived = _count(found["nights"], "night" if found["unit"] == "day" else found["unit"])
    over = f"{name} ({found['better']} is better) over {found['rows']:,} rows of {_count(found['days'], found['unit'])}"
    many = _count(len(policies), "policy", "policies")
    lines = [f"{found['pipeline']}: {many} lived through {lived}, {first} to {last}; {over}."]
    if not found["ranked"]:
        return [
            *lines,
            "No day with ripe labels on which every policy had a model: there is nothing to compare.",
        ]
    best = policies[found["ranked"][0]]
    same = [n for n in found["ranked"] if policies[n]["value"] == best["value"]]
    told = f"{_listed(same)} {'does' if len(same) == 1 else 'do'} best with {number(best['value'])}"
    others = [n for n in found["ranked"] if n not in same]
    rivals = list(dict.fromkeys([*others[:1], *(["never"] if "never" in others else [])]))
    lines.append("; ".join([told, *(_better(policies[n]) for n in rivals)]) + ".")
    if found["hindsight"] is not None:
        lines.append(
            f"Who could choose the best of {_count(found['models'], 'model')} for each {found['unit']} after the fact would have a mean of "
            f"{number(found['hindsight'])}."
        )
    return lines


def _better(policy: Mapping[str, Any]) -> str:
    """By how much the best policy is better than another, and whether that is more than another draw of days would give."""
    found = policy["against"]
    gain = number(policy["regret_policy"])
    if found is None or found["low"] is None:
        return f"better than {policy['name']} by {gain}"
    noise = "within noise" if found["low"] <= 0 <= found["high"] else "beyond noise"
    return f"better than {policy['name']} by {gain} ({number(-found['high'])} to {number(-found['low'])}, {noise})"


def _table(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    head = [
        "policy",
        "trainings",
        "promoted",
        "because of",
        "CPU minutes",
        words(found["metric"]),
        f"mean of {found['unit']}s",
        "regret: best model",
        "regret: best policy",
    ]
    policies = {p["name"]: p for p in found["policies"]}
    order = [*found["ranked"], *(n for n in policies if n not in found["ranked"])]
    rows = []
    for policy in (policies[n] for n in order):
        causes = sorted(policy["causes"].items(), key=lambda c: (-c[1], c[0]))
        rows.append(
            [
                policy["name"],
                str(policy["retrains"]),
                str(policy["promoted"]),
                ", ".join(f"{n} {cause}" for cause, n in causes) or "–",
                f"{policy['seconds'] / 60:.1f}",
                number(policy["value"]),
                number(policy["mean"]),
                number(policy["regret_model"]),
                number(policy["regret_policy"]),
            ]
        )
    return head, rows


def _notes(found: Mapping[str, Any]) -> list[str]:
    lines = [f"{p['name']}: {p['assumes']}." for p in found["policies"] if p["assumes"]]
    for policy in found["policies"]:
        for key, text in (("no_model", "learned nothing"), ("failed", "failed")):
            if policy[key]:
                lines.append(f"{policy['name']}: {_count(policy[key], 'training')} {text}.")
        if policy["failed_nights"]:
            nights = policy["failed_nights"]
            lines.append(f"{policy['name']}: {_count(len(nights), 'night')} failed, the first {nights[0]}.")
    return lines


def as_html(found: Mapping[str, Any]) -> str:
    """A page with the picture, the table and every training that was asked for; it needs no network."""
    head, rows = _table(found)
    regret = (
        "Regret against the best model: how much worse the champion was than the best of all models that existed that day, mean over days. "
        "Regret against the best policy: how much worse the metric over all rows is than that of the policy that did best."
    )
    parts = [
        page.bullets(summary(found)),
        page.figures([as_svg(found)]),
        page.table(head, [[Cell(c) for c in row] for row in rows]),
        page.paragraph(regret),
        page.bullets(_notes(found)),
    ]
    columns = ["asked", "cause", "outcome", "version", "seconds", "reason", "why not"]
    for policy in found["policies"]:
        lines = [
            [
                Cell(a["at"][:10]),
                Cell(a["cause"]),
                Cell(a["outcome"].replace("_", " ")),
                Cell("–" if a["version"] is None else f"@{a['version']}"),
                Cell(f"{a['seconds']:.1f}"),
                Cell(a["reason"]),
                Cell(a["why"]),
            ]
            for a in policy["asked"]
        ]
        parts += [
            page.heading(f"{policy['name']}: {_count(policy['retrains'], 'training')}"),
            page.paragraph(
                f"Decided in the chain {policy['chain']}: mlpipe history {found['pipeline']} --ledger {policy['chain']}"
            ),
            page.table(columns, lines),
        ]
    return page.page(f"{found['pipeline']}: retraining policies on the past", parts)


def as_svg(found: Mapping[str, Any]) -> str:
    """The metric of each policy over time, and below it the versions that each had in production and what it asked for, as SVG.

    Lines are trailing means, and differ in colour, and dashes where colours are used up. ▲ is promoted, × refused.
    """
    policies = found["policies"]
    moments = [_when(d["at"]) for p in policies for d in p["timeline"]]
    moments += [_when(a["at"]) for p in policies for a in p["asked"]]
    low = min(moments, default=0.0)
    x = Scale(low, max([*moments, low + 1.0]), LEFT, RIGHT)
    length = max(1, min(SMOOTH, found["days"] // 8))
    lines = {p["name"]: _smooth(p["timeline"], length) for p in policies}
    values = [v for line in lines.values() for _, v in line]
    y = Scale(*span(values), FOOT, TOP)
    height = FOOT + 56 + LANE * len(policies)
    over = f", mean of {length} {found['unit']}s" if length > 1 else ""
    title = f"{found['pipeline']}: {words(found['metric'])} under each retraining policy{over}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {at(WIDTH)} {at(height)}" width="{at(WIDTH)}" height="{at(height)}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="{INK}">',
        f"<title>{safe(title)}</title>",
        f'<rect width="{at(WIDTH)}" height="{at(height)}" fill="#FFFFFF"/>',
        write(24, 28, fitted(title, 12, WIDTH - 48), weight="bold"),
        write(
            24, 46, "▲ promoted, × refused; bands below are the versions in production", size=SMALL, fill=PALE
        ),
    ]
    levels = ticks(y.low, y.high)
    step = levels[1] - levels[0] if len(levels) > 1 else 1.0
    for level in levels:
        out.append(rule(LEFT, y(level), RIGHT, y(level), GRID))
        out.append(write(LEFT - 8, y(level) + 4, tick_text(level, step), anchor="end", fill=PALE))
    for tick in time_ticks(x.low, x.high, 10):
        out.append(write(x(tick.when), FOOT + 16, tick.text, anchor="middle", fill=PALE))
    out += _lines(policies, lines, x, y)
    out += _lanes(policies, x)
    return "\n".join([*out, "</svg>"])


def _smooth(timeline: Sequence[Mapping[str, Any]], length: int) -> list[tuple[float, float]]:
    """Trailing means over days that have a value; the first ones, of fewer days, are left out."""
    known = [(_when(d["at"]), float(d["value"])) for d in timeline if d["value"] is not None]
    return [
        (known[i][0], fmean(v for _, v in known[i + 1 - length : i + 1]))
        for i in range(length - 1, len(known))
    ]


def _lines(
    policies: Sequence[Mapping[str, Any]], lines: Mapping[str, list[tuple[float, float]]], x: Scale, y: Scale
) -> Iterator[str]:
    drawn = [(i, p["name"], lines[p["name"]]) for i, p in enumerate(policies) if lines[p["name"]]]
    for i, _, line in drawn:
        path = "L".join(f"{at(x(when))} {at(y(value))}" for when, value in line)
        colour, dash = _style(i)
        # Lines that lie on one another are seen as the borders of those above.
        width = at(3.2 - 2.0 * i / len(policies))
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}"{_dashed(dash)}/>'
    heights = apart([y(line[-1][1]) + 4 for _, _, line in drawn], 15, TOP, FOOT)
    for (i, name, _), height in zip(drawn, heights, strict=True):
        yield write(RIGHT + 8, height, fitted(name, 12, WIDTH - RIGHT - 16), fill=_style(i)[0], weight="bold")


def _lanes(policies: Sequence[Mapping[str, Any]], x: Scale) -> Iterator[str]:
    for i, policy in enumerate(policies):
        top = FOOT + 36 + LANE * i
        colour = _style(i)[0]
        yield write(
            LEFT - 10,
            top + 14,
            fitted(policy["name"], SMALL, LEFT - 16),
            anchor="end",
            size=SMALL,
            fill=colour,
        )
        runs = [
            (version, list(days)) for version, days in groupby(policy["timeline"], key=lambda d: d["version"])
        ]
        for n, (_, days) in enumerate(runs):
            after = runs[n + 1][1][0] if n + 1 < len(runs) else days[-1]
            begin, end = x(_when(days[0]["at"])), x(_when(after["at"]))
            band = BANDS[n % 2]
            yield f'<rect x="{at(begin)}" y="{at(top)}" width="{at(max(end - begin, 1.0))}" height="{at(LANE - 6)}" fill="{band}"/>'
        for one in policy["asked"]:
            mark = MARKS[one["outcome"]]
            size = 13.0 if one["outcome"] == "promoted" else 12.0
            fill = colour if one["outcome"] == "promoted" else PALE
            yield write(x(_when(one["at"])), top + 15, mark, anchor="middle", size=size, fill=fill)
        told = f"{_count(policy['retrains'], 'training')}, {policy['promoted']} promoted"
        yield write(RIGHT + 12, top + 14, told, size=SMALL, fill=PALE)


def _style(number_: int) -> tuple[str, str]:
    return STYLES[number_ % len(STYLES)]


def _dashed(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""


def _when(text: str) -> float:
    return seconds(datetime.fromisoformat(text))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(n: int, thing: str, things: str = "") -> str:
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"
