"""What estimates of performance were worth once labels came, for people. Read from records of the monitor alone."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlpipe.core.estimated import Estimated, Surprise, surprise
from mlpipe.records.record import Record
from mlpipe.views.table import printable, table

SPANS = ("day", "window")
NEWEST = 31


@dataclass(frozen=True)
class Row:
    """One partition: the estimate of a metric with its interval, and what it came to; None where it is not known."""

    partition: str
    version: int | None
    metric: str | None
    value: float | None
    low: float | None
    high: float | None
    realised: float | None
    why: str = ""


def rows_of(records: Sequence[Record], span: str) -> list[Row]:
    """A row a watched partition, in the order of the records; those that were watched before there were estimates are left out."""
    found = []
    for record in records:
        told = record.data.get("estimated") or {}
        one = told.get(span) or {}
        if told:
            found.append(
                Row(
                    partition=record.partition,
                    version=record.data.get("version"),
                    metric=told.get("metric"),
                    value=one.get("value"),
                    low=one.get("low"),
                    high=one.get("high"),
                    realised=one.get("realised"),
                    why=told.get("why", ""),
                )
            )
    return found


def worth(rows: Sequence[Row]) -> Surprise:
    """Windows compared, errors and coverage, over the rows of which the truth is known."""
    nan = math.nan
    known = {r.partition: r for r in rows if r.value is not None and r.realised is not None}
    estimates = {
        p: Estimated(
            float(r.value or 0.0),
            nan if r.low is None else r.low,
            nan if r.high is None else r.high,
            0.95,
            0,
            0,
        )
        for p, r in known.items()
    }
    return surprise(estimates, {p: float(r.realised or 0.0) for p, r in known.items()})


def to_dict(pipeline: str, rows: Sequence[Row], span: str) -> dict[str, Any]:
    """Everything for a program; numbers that are not known are null."""
    total = {k: None if v != v else v for k, v in asdict(worth(rows)).items()}
    return {"pipeline": pipeline, "span": span, **total, "partitions": [asdict(r) for r in rows]}


def as_text(pipeline: str, rows: Sequence[Row], span: str) -> str:
    """A line a month, and one for all; or, of one month alone, a line a partition."""
    first, *last = sentences(pipeline, rows, span)
    if not last:
        return printable(first)
    months = list(dict.fromkeys(r.partition[:7] for r in rows))
    body = _months(rows, months) if len(months) > 1 else table(*days_table(rows[-NEWEST:]))
    return "\n".join([printable(first), "", body, "", *last])


def sentences(pipeline: str, rows: Sequence[Row], span: str) -> list[str]:
    """What is shown, and what the estimates were worth; one sentence where nothing was estimated."""
    if not any(r.value is not None for r in rows):
        why = next((r.why for r in reversed(rows) if r.why), "nothing was watched since there are estimates")
        return [f"{pipeline}: no performance was estimated; {why}."]
    metrics = list(dict.fromkeys(r.metric for r in rows if r.metric))
    what = "each partition" if span == "day" else "each trailing window"
    first = f"{pipeline}: {', '.join(metrics)} of {what}, estimated before labels (CBPE), and realised."
    total = worth(rows)
    if not total.windows:
        return [first, "No labels are ripe yet: nothing to compare with."]
    off = f"mean absolute error {total.mae:.4f}, truth less estimate {total.bias:+.4f} on average"
    held = f"{total.coverage:.1%} of the intervals at 95% held the truth"
    return [first, f"{total.windows} compared: {off}; {held}."]


def _months(rows: Sequence[Row], months: Sequence[str]) -> str:
    body = []
    for month in months:
        mine = [r for r in rows if r.partition[:7] == month]
        both = [r for r in mine if r.value is not None and r.realised is not None]
        told = worth(mine)
        body.append(
            [
                month,
                str(sum(r.value is not None for r in mine)),
                str(told.windows),
                _mean([r.value for r in both if r.value is not None]),
                _mean([r.realised for r in both if r.realised is not None]),
                "–" if not both else f"{told.mae:.4f}",
                "–" if not both else f"{told.bias:+.4f}",
                "–" if not both else f"{told.coverage:.0%}",
            ]
        )
    head = ["month", "estimated", "compared", "estimate", "realised", "mean abs. error", "bias", "coverage"]
    return table(head, body)


def days_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """A line a partition: names of the columns, and the lines."""
    body = [
        [
            r.partition,
            "–" if r.version is None else str(r.version),
            _number(r.value),
            "–" if r.low is None or r.high is None else f"{r.low:.4f} to {r.high:.4f}",
            _number(r.realised),
            "–" if r.value is None or r.realised is None else f"{r.realised - r.value:+.4f}",
        ]
        for r in rows
    ]
    return ["partition", "version", "estimate", "interval", "realised", "error"], body


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4f}" if values else "–"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
