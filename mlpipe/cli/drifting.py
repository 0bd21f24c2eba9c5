"""`mlpipe drift`: what drifts, since when, and why."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import chosen, command
from mlpipe.cli.looking import put
from mlpipe.errors import NotFoundError

if TYPE_CHECKING:
    from mlpipe.ledger.chain import Ledger
    from mlpipe.spec.pipeline import PipelineSpec
    from mlpipe.stores.store import Store

DRIFT = """\
The likeliest cause first: which column, since when, what changed upstream that day, and the kind of fault. Then the PSI of every watched
column by partition, each against what the champion of that day learned from; and slices on which scores drift. Read from the records;
nothing is computed again.

examples:
  mlpipe drift flights
  mlpipe drift flights --on 2013-07-01 --days 60 --html drift.html
  mlpipe drift flights --json | jq .cause"""


def add(commands: Any) -> None:
    """Declare the command."""
    made = command(
        commands, "drift", drift, "What drifts, since when, and why; a strip by column and day.", DRIFT
    )
    made.add_argument("--on", metavar="PARTITION", help="the day; default: the last that was watched")
    made.add_argument(
        "--days", type=int, default=30, metavar="N", help="partitions shown, up to that day; default: 30"
    )
    made.add_argument(
        "--ledger",
        metavar="NAME",
        help="the chain of decisions, such as a replay's; default: the deployment's",
    )
    made.add_argument("--html", metavar="FILE", help="write a page too, which needs no network")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.set_defaults(wrong=made.error)


def drift(args: argparse.Namespace) -> int:
    """`mlpipe drift`."""
    from mlpipe.orchestration.runtime import ledger_of
    from mlpipe.views.drift import as_html, as_text

    if args.days < 1:
        args.wrong(f"argument --days: must be at least 1, got {args.days}")
    spec, store, _ = chosen(args)
    found = looked(spec, store, ledger_of(spec, store, args.ledger), args.on, args.days)
    if args.html:
        put(args.html, as_html(found))
    print(json.dumps(found, ensure_ascii=False) if args.json else as_text(found, colour=sys.stdout.isatty()))
    return 0


def looked(
    spec: "PipelineSpec", store: "Store", ledger: "Ledger", on: str | None, days: int
) -> dict[str, Any]:
    """What the command shows, in plain values.

    Raises
    ------
    NotFoundError
        No partition was watched, or not this one.
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from mlpipe.stages.context import Context, MemoryHeads, Run
    from mlpipe.stages.past import Past
    from mlpipe.stages.rootcause import found
    from mlpipe.stages.watching.history import false_alarm_rate

    past = Past(spec, store, ledger)
    stages = ("ingest", "validate", "feature", "label", "predict", "monitor")
    heads = {name: past.heads(name) for name in stages}
    watched = sorted(heads["monitor"], key=lambda k: spec.partitions.window(k).start)
    if not watched or (on is not None and on not in heads["monitor"]):
        raise _unwatched(spec, ledger, on, watched)
    key = on or watched[-1]
    until = watched[: watched.index(key) + 1]
    shown = until[-days:]
    data = {k: heads["monitor"][k].data or {} for k in until}
    psi = {k: {c: v for c, v in (d.get("psi") or {}).items() if v[0] is not None} for k, d in data.items()}
    today = psi[key]
    names = sorted({c for k in shown for c in psi[k]}, key=lambda c: (-_ratio(today.get(c)), c))
    ctx = Context(
        store,
        ledger,
        MemoryHeads([h for by in heads.values() for h in by.values()]),
        Run("drift", datetime.now(UTC)),
        lambda: datetime.now(UTC),
    )
    rate = asdict(false_alarm_rate(spec, ctx.heads, until))
    up = set(data[key].get("drifted") or [])
    return {
        "pipeline": spec.name,
        "on": key,
        "days": shown,
        "version": data[key].get("version"),
        "verdicts": [heads["monitor"][k].verdict for k in shown],
        "raised": [heads["monitor"][k].verdict == "drift" for k in shown],
        "columns": [
            {
                "name": c,
                "psi": [psi[k][c][0] if c in psi[k] else None for k in shown],
                "limit": today[c][1] if c in today else None,
                "over": _ratio(today.get(c)) >= 1,
                "drifts": c in up,
            }
            for c in names
        ],
        "slices": _slices(data, shown),
        "cause": asdict(found(spec, key, ctx)),
        "alarms": {n: None if math.isnan(v) else v for n, v in rate.items()},
    }


def _unwatched(
    spec: "PipelineSpec", ledger: "Ledger", on: str | None, watched: Sequence[str]
) -> NotFoundError:
    """The error of a partition that was not watched: which were, and which other chains of decisions there are."""
    from mlpipe.ledger.verify import others
    from mlpipe.views.history import elsewhere

    what = "was not watched" if on is not None else "was never watched"
    fix = f"Watched: {watched[0]} to {watched[-1]}." if watched else f"Run its days: mlpipe run {spec.name}"
    return NotFoundError(
        f"{on or spec.name} {what}",
        where=f"pipeline {spec.name}",
        fix=fix + elsewhere(others(ledger.backend, ledger)),
    )


def _slices(data: dict[str, Any], shown: list[str]) -> list[dict[str, Any]]:
    """Slices with an open alarm, or over, on any of the days shown: of each what it was on each day, ``drifts``, ``over`` or empty."""
    days = [
        dict.fromkeys(data[k].get("slices_over") or (), "over")
        | dict.fromkeys(data[k].get("slices_drifted") or (), "drifts")
        for k in shown
    ]
    names = sorted({n for day in days for n in day}, key=lambda n: (n not in days[-1], n))
    return [{"name": n, "days": [day.get(n, "") for day in days]} for n in names]


def _ratio(pair: Any) -> float:
    """A PSI as a multiple of its limit; 0 where it is not known."""
    return float(pair[0]) / float(pair[1]) if pair and pair[1] else 0.0
