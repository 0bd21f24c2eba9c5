"""`mlpipe estimated`: performance before labels are there, and what the estimates were worth once they came."""

import argparse
from typing import Any

from mlpipe.cli.looking import declared, put, shelf, tell

ESTIMATED = """\
From the scores of a binary model it is estimated how well it does before labels are there (CBPE), with an interval for what the labels
will say. Once they are ripe, estimate and truth are compared here: mean absolute error, bias, and how many intervals held the truth.
A truth that lies below its estimates for long is a sign of concept drift, which scores cannot show. Read from records of the monitor.

examples:
  mlpipe estimated flights
  mlpipe estimated flights --from 2013-04-01 --to 2013-12-31 --html estimated.html
  mlpipe estimated flights --from 2013-07-01 --to 2013-07-31        a month: a line a day
  mlpipe estimated flights --window --json | jq '{mae, coverage}'"""


def add(commands: Any) -> None:
    """Declare the command."""
    text = "Performance estimated before labels, against what was realised: errors and coverage."
    made = declared(commands, "estimated", estimated, text, ESTIMATED)
    made.add_argument("pipeline", help="name of the pipeline")
    made.add_argument("--from", dest="first", metavar="PARTITION", help="default: the first that was watched")
    made.add_argument("--to", dest="last", metavar="PARTITION", help="default: the last that was watched")
    made.add_argument(
        "--window", action="store_true", help="of the trailing windows instead of the single partitions"
    )
    made.add_argument(
        "--html", metavar="FILE", help="write a page with a picture too, which needs no network"
    )
    made.add_argument("--json", action="store_true", help="print JSON")


def estimated(args: argparse.Namespace) -> None:
    """`mlpipe estimated`."""
    from mlpipe.errors import NotFoundError
    from mlpipe.views.estimated import as_text, rows_of, to_dict
    from mlpipe.views.estimated_page import as_html

    span = "window" if args.window else "day"
    with shelf(args) as records:
        asset = f"{args.pipeline}/monitor"
        found = records.across(asset, args.first, args.last)
        if not found:
            records.latest(asset)  # Says what there is where the pipeline has no monitor at all.
            raise NotFoundError(
                f"{asset} has no record from {args.first or 'the first'} to {args.last or 'the last'}",
                fix="Name partitions that were watched; 'mlpipe runs' tells which.",
            )
        rows = rows_of(found, span)
    if args.html:
        put(args.html, as_html(args.pipeline, rows, span))
    tell(
        args,
        records.as_of,
        lambda: as_text(args.pipeline, rows, span),
        lambda: to_dict(args.pipeline, rows, span),
    )
