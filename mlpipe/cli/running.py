"""`mlpipe run`."""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlpipe.cli.command import command, opened, warn


def add(commands: Any) -> None:
    """Declare the command."""
    text = "Bring a range of partitions up to date: ingest to labels, train if asked, then predictions and monitor."
    made = command(
        commands,
        "run",
        run,
        text,
        "examples:\n  mlpipe run flights\n  mlpipe run flights --from 2013-01-01 --to 2013-06-30 --train-at 2013-04-01",
    )
    made.add_argument(
        "--from",
        dest="first",
        metavar="PARTITION",
        help="first partition; default: all the data there is, with a training at the end",
    )
    made.add_argument(
        "--to",
        dest="last",
        metavar="PARTITION",
        help="last partition, included; default: that of --from, or the last with data",
    )
    made.add_argument(
        "--train-at",
        action="append",
        default=[],
        metavar="PARTITION",
        help="learn from the window that ends before this partition; may be given more than once",
    )
    made.add_argument(
        "--watch-to", metavar="PARTITION", help="last partition to predict and monitor; default: that of --to"
    )
    made.add_argument("--reason", default="", help="why; recorded with every run")
    made.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="tag of every record that is made; may be given more than once",
    )
    made.add_argument(
        "--as-of",
        metavar="TIME",
        help="pretend that it is this moment (ISO with a zone): later labels and decisions do not exist",
    )


def run(args: argparse.Namespace) -> int:
    """`mlpipe run`."""
    from mlpipe.orchestration.around import execute, together
    from mlpipe.orchestration.locate import pipeline_of
    from mlpipe.orchestration.runs import heads_of, plan, span
    from mlpipe.orchestration.runtime import LISTENERS, instant_of, own_tags
    from mlpipe.records.codec import from_bytes
    from mlpipe.stages.extent import batches
    from mlpipe.views.findings import Findings
    from mlpipe.views.progress import bars, spent
    from mlpipe.views.summary import summary

    started = time.perf_counter()
    spec, defs = pipeline_of(args.pipeline, Path.cwd(), args.target)
    first, last = span(spec, args.first, args.last, args.train_at, warn)
    if args.as_of:
        instant_of(args.as_of, "--as-of")
    train_at = args.train_at or ([last] if not args.first else [])
    if args.watch_to:
        spec.partitions.window(args.watch_to)
    why = {"reason": args.reason, "as_of": args.as_of}
    keys = spec.partitions.keys(first, last)
    ranges = None if args.first else batches(spec, keys)
    tags = own_tags(args.tag)
    requests = [
        replace(r, tags=(*r.tags, *tags))
        for r in plan(spec, first, last, train_at, watch_to=args.watch_to, batches=ranges, **why)
    ]
    found = Findings()
    with bars() as (tell, listen):
        LISTENERS.extend((listen, found.listen))
        try:
            failed = execute(spec, defs, requests, tell, warn)
        finally:
            LISTENERS[:] = [each for each in LISTENERS if each not in (listen, found.listen)]
    store, ledger = opened(spec)
    heads = heads_of(spec, sorted({*keys, *train_at}))
    evaluations = [
        from_bytes(store.get_record(spec.name, h.record), h.record)
        for k, h in heads["evaluation"].items()
        if k in train_at
    ]
    print(summary(spec.name, heads, evaluations, ledger.state()))
    print(found.text(), end="")
    print(f"\n{spent(time.perf_counter() - started)}")
    if failed:
        raise together(failed)
    return 0
