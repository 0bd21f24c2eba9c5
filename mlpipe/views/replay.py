"""What a replay of the past has shown, in text, Markdown and JSON.

All numbers are those of the primary metric unless said otherwise. A number that is missing or not finite is shown as a dash.
"""

import json
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from mlpipe.errors import DataError
from mlpipe.views.drawing import seconds
from mlpipe.views.lived import OUTCOMES, Attempt, Day, Move, Replay, known, months, tally
from mlpipe.views.table import WIDEST, printable, table

__all__ = [
    "Attempt",
    "Day",
    "Move",
    "Replay",
    "as_json",
    "as_markdown",
    "as_text",
    "finding",
    "from_json",
    "number",
    "words",
]

SCHEMA = 1
NARROWEST = 60
"""Text is never laid out narrower than this: a column of single words helps no one."""
ACRONYMS = ("roc", "auc", "pr", "rmse", "mae", "mape", "f1", "r2")


def words(metric: str) -> str:
    """A metric's name for people: ``roc_auc`` is "ROC AUC"."""
    return " ".join(w.upper() if w in ACRONYMS else w for w in printable(metric).split("_"))


def number(value: float | None, digits: int = 4) -> str:
    """A metric as text: `digits` decimals below ten, fewer above; a dash when there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1e7 or 0 < size < 0.1**digits:
        return f"{value:.3g}"
    return f"{value:.{digits}f}" if size < 10 else f"{value:,.2f}" if size < 1000 else f"{value:,.0f}"


def finding(replay: Replay) -> str:
    """What came of it, in one sentence. Models with a fault put in on purpose are no challengers, and are counted apart."""
    real = [a for a in replay.attempts if not a.injected]
    judged = [a for a in real if a.outcome in ("promoted", "refused")]
    promoted = sum(a.outcome == "promoted" for a in judged)
    faults = [a for a in replay.attempts if a.injected]
    parts = []
    if judged:
        parts.append(f"{promoted} of {_count(len(judged), 'challenger')} promoted")
    elif real:
        parts.append(f"{_count(len(real), 'retraining')} asked for, none gave a model")
    elif not faults:
        parts.append("No retraining was asked for")
    if known(replay.live) or known(replay.fixed):
        name, live, fixed = words(replay.metric), number(replay.live, 3), number(replay.fixed, 3)
        parts.append(f"{name} {live} live, {fixed} never retrained")
    if faults:
        out = sum(a.outcome != "promoted" for a in faults)
        which = "the fault" if len(faults) == out == 1 else f"{out} of {_count(len(faults), 'fault')}"
        parts.append(f"{which} put in on purpose kept out")
    return "; ".join(parts)


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


# -- tables -------------------------------------------------------------------------------------------------------


def _events(replay: Replay) -> tuple[list[str], list[list[str]]]:
    """A row for every retraining that was asked for, and every move by hand, in the order of time."""
    rows = [(seconds(m.moment), m.kind, _moved(replay, m)) for m in replay.moves]
    rows += [(seconds(a.moment), a.name, _asked(replay, a)) for a in replay.attempts]
    head = ["asked", "because", "outcome", "challenger", "champion", "decision"]
    return head, [row for *_, row in sorted(rows)]


def _asked(replay: Replay, a: Attempt) -> list[str]:
    fault = f"FAULT PUT IN ON PURPOSE ({a.injected}). " if a.injected else ""
    version = "" if a.version is None else f", {replay.pipeline}@{a.version}"
    return [
        f"{a.moment:%Y-%m-%d}",
        f"{fault}{a.cause}: {a.reason}" if a.reason else f"{fault}{a.cause}",
        a.outcome.replace("_", " ") + version,
        number(a.metric),
        number(a.rival),
        a.why,
    ]


def _moved(replay: Replay, m: Move) -> list[str]:
    return [f"{m.moment:%Y-%m-%d}", "by hand", f"{m.kind}, {replay.pipeline}@{m.version}", "–", "–", m.reason]


def _summary(replay: Replay) -> list[list[str]]:
    real, faults = [a for a in replay.attempts if not a.injected], [a for a in replay.attempts if a.injected]
    rows = [["retrainings asked for", _outcomes(real)]]
    if real:
        rows.append(["because of", ", ".join(f"{n} {c}" for c, n in _counted(a.cause for a in real))])
    for a in faults:
        rows.append(["fault put in on purpose", f"{a.injected} in the training of {a.key}: {_outcomes([a])}"])
    for m in replay.moves:
        rows.append(["by hand", f"{m.kind}, {replay.pipeline}@{m.version} on {m.moment:%Y-%m-%d}"])
    rows.append([f"{words(replay.metric)}, all rows pooled", _pooled(replay)])
    whole = tally(replay, "all", replay.days)
    scored = (
        f"{whole.days:,} scored by both: live champion better on {whole.better:,}, "
        f"worse on {whole.worse:,}, equal on {whole.equal:,}"
        if whole
        else "none scored by both"
    )
    rows.append(["partitions", f"{len(replay.days):,} lived through, {scored}"])
    failed = [f"{d.key} ({d.note.removeprefix('failed:').strip()})" for d in replay.days if d.note]
    rows.append(["failed", f"{len(failed):,}: {', '.join(failed)}" if failed else "none"])
    return rows


def _outcomes(attempts: Sequence[Attempt]) -> str:
    counts = Counter(a.outcome for a in attempts)
    named = [*OUTCOMES, *sorted(set(counts) - set(OUTCOMES))]
    parts = [f"{counts[o]} {o.replace('_', ' ')}" for o in named if counts[o]]
    return f"{len(attempts)}: {', '.join(parts)}" if len(attempts) > 1 else ", ".join(parts)[2:] or "none"


def _counted(values: Any) -> list[tuple[str, int]]:
    return sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))


def _pooled(replay: Replay) -> str:
    if replay.live is None or replay.fixed is None or not (known(replay.live) and known(replay.fixed)):
        return f"{number(replay.live)} live champion, {number(replay.fixed)} never retrained"
    gain = replay.sign * (replay.live - replay.fixed)
    verdict = "the same" if gain == 0 else f"{number(abs(gain))} {'better' if gain > 0 else 'worse'}"
    return f"{number(replay.live)} live champion, {number(replay.fixed)} never retrained: {verdict}"


def _by_month(replay: Replay) -> tuple[list[str], list[list[str]]]:
    head = ["month", "scored", "live", "never retrained", "difference", "better", "worse"]
    rows = [
        [
            t.name,
            f"{t.days:,}",
            number(t.live),
            number(t.fixed),
            ("+" if t.live > t.fixed else "") + number(t.live - t.fixed),
            f"{t.better:,}",
            f"{t.worse:,}",
        ]
        for t in months(replay)
    ]
    return head, rows


def _month_title(replay: Replay) -> str:
    return f"Mean of the partitions' {words(replay.metric)} ({replay.better} is better) by month, where both have one:"


# -- text ---------------------------------------------------------------------------------------------------------


def as_text(replay: Replay, width: int = 140) -> str:
    """Tables for the terminal: what was asked and decided, what came of it, and how it went by month.

    Parameters
    ----------
    width
        Columns of the terminal; at least `NARROWEST` are used.
    """
    width = max(width, NARROWEST)
    heading = f"{replay.pipeline}, {replay.first} to {replay.last}: {finding(replay)}"
    parts = [_lines(width, heading, f"policy: {replay.policy}", f"ledger: {replay.ledger}")]
    head, rows = _events(replay)
    if rows:
        parts.append(table(head, _wrapped(head, rows, width, (1, 5))))
    titles = ["replay", "what came of it"]
    parts.append(table(titles, _wrapped(titles, _summary(replay), width, (1,))))
    head, rows = _by_month(replay)
    if rows:
        parts.append(_lines(width, _month_title(replay)) + "\n" + table(head, rows))
    if replay.seconds is not None:
        parts.append(f"Lived through in {replay.seconds:,.1f} s.")
    return "\n\n".join(parts)


def _lines(width: int, *texts: str) -> str:
    return "\n".join(
        line for t in texts for line in textwrap.wrap(printable(t), width, subsequent_indent="  ")
    )


def _wrapped(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int, elastic: Sequence[int]
) -> list[list[str]]:
    """Rows whose elastic columns share what the others leave of the width; each further line is a row of its own."""
    cells = [[printable(c) for c in row] for row in rows]
    longest = [max(len(head[i]), *(len(row[i]) for row in cells)) for i in range(len(head))]
    rigid = sum(min(longest[i], WIDEST) for i in range(len(head)) if i not in elastic)
    left = width - rigid - 2 * (len(head) - 1)
    limits = list(longest)
    for n, i in enumerate(elastic):
        # What a short column does not need is left to those after it.
        share = left // (len(elastic) - n)
        limits[i] = max(min(longest[i], share), len(head[i]), 16)
        left -= limits[i]
    made: list[list[str]] = []
    for row in cells:
        broken = [textwrap.wrap(c, min(n, WIDEST)) or [""] for c, n in zip(row, limits, strict=True)]
        height = max(map(len, broken))
        made += [[part[k] if k < len(part) else "" for part in broken] for k in range(height)]
    return made


# -- Markdown -----------------------------------------------------------------------------------------------------


def as_markdown(replay: Replay) -> str:
    """The same for a README. Without the wall time: it is the same for equal replays."""
    titles = ["replay", "what came of it"]
    parts = [
        f"**{_plain(replay.pipeline)}, {_plain(replay.first)} to {_plain(replay.last)}:** {_plain(finding(replay))}.",
        f"Policy: {_plain(replay.policy)}. Ledger: {_plain(replay.ledger)}.",
    ]
    head, rows = _events(replay)
    if rows:
        parts.append(_grid(head, rows, (3, 4)))
    parts.append(_grid(titles, _summary(replay)))
    head, rows = _by_month(replay)
    if rows:
        parts += [_plain(_month_title(replay)), _grid(head, rows, range(1, len(head)))]
    return "\n\n".join(parts) + "\n"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    rule = ["--:" if i in right else "---" for i in range(len(head))]
    return "\n".join(
        f"| {' | '.join(r)} |" for r in [head, rule, *([_plain(c) for c in row] for row in rows)]
    )


def _plain(text: str) -> str:
    """Text that Markdown takes literally, HTML and tables included."""
    safe = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", safe).strip()


# -- JSON ---------------------------------------------------------------------------------------------------------


def as_json(replay: Replay) -> str:
    """All of it, for `from_json` and for other programs. Numbers that are not finite become null."""
    body = {"schema_version": SCHEMA, **asdict(replay)}
    return json.dumps(_coerced(body), ensure_ascii=False, indent=1, allow_nan=False)


def _coerced(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _coerced(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_coerced(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_json(text: str) -> Replay:
    """Read what `as_json` wrote.

    Raises
    ------
    DataError
        When it is no replay, or of a later version.
    """
    try:
        body = json.loads(text)
        version = body.pop("schema_version")
        if version != SCHEMA:
            raise ValueError(f"its version is {version!r}, and {SCHEMA} is known")
        parts: dict[str, Callable[..., Any]] = {"days": Day, "attempts": Attempt, "moves": Move}
        lists = {n: tuple(_dated(kind, row) for row in body.pop(n)) for n, kind in parts.items()}
        return Replay(**{**body, **lists})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"this is no replay: {type(error).__name__}: {error}",
            fix="Read a file that 'mlpipe replay' wrote.",
        ) from None


def _dated(kind: Callable[..., Any], row: Mapping[str, Any]) -> Any:
    return kind(**{**row, "moment": datetime.fromisoformat(row["moment"])})
