"""`mlpipe drift-report`: Evidently's page about one monitored day."""

import argparse
from typing import Any

from mlpipe.cli.looking import declared, shelf, written

REPORT = """\
Raw rows of the window that ends on the day beside raw rows that its champion learned from, by provenance: one self-contained page with
every distribution. Evidently chooses its bins anew for each comparison, so its PSI is another than that of the alarms.
It needs the extra 'evidently': pip install 'mlpipe[evidently]'.

examples:
  mlpipe drift-report flights --out drift.html
  mlpipe drift-report flights --on 2013-07-14 --rows 5000
  mlpipe drift-report flights --if-moderate      # nightly: a page only when there is something to see"""


def add(commands: Any) -> None:
    """Declare the command."""
    text = "Evidently's report of drift on one monitored day, as a page."
    made = declared(commands, "drift-report", drift_report, text, REPORT)
    made.add_argument("pipeline", help="name of the pipeline")
    made.add_argument("--on", metavar="PARTITION", help="the day; default: the last that was watched")
    made.add_argument("--out", metavar="FILE", help="default: PIPELINE-PARTITION-drift.html in this folder")
    made.add_argument("--rows", metavar="N", type=int, default=None, help="rows of each side; default: 20000")
    made.add_argument("--seed", metavar="N", type=int, default=0, help="of the sample of rows; default: 0")
    made.add_argument(
        "--if-moderate",
        action="store_true",
        help="write it only when the day drifts, or a PSI of a watched column is 0.1 or more",
    )
    made.set_defaults(wrong=made.error)


def drift_report(args: argparse.Namespace) -> None:
    """`mlpipe drift-report`."""
    if args.rows is not None and args.rows < 1:
        args.wrong("--rows must be 1 or more")
    if args.seed < 0:
        args.wrong("--seed must be 0 or more")
    from mlpipe.stages.reports import MOST_ROWS, empty, html, installed, moderate, sides

    # What is missing is said before anything is read.
    installed()
    with shelf(args) as records:
        asset = f"{args.pipeline}/monitor"
        record = records.newest(asset, args.on) if args.on else records.latest(asset)
        if args.if_moderate and not moderate(record):
            print(f"{args.pipeline} {record.partition}: drift is less than moderate; no page was written.")
            return
        rows = sides(records.store, record, args.rows or MOST_ROWS, args.seed)
    page = html(rows)
    for side, frame, whole in (
        ("learned from", rows.reference, rows.reference_rows),
        ("window", rows.current, rows.current_rows),
    ):
        sampled = "" if len(frame) >= whole else f", a sample of {whole:,}"
        print(f"{side}: {len(frame):,} rows{sampled}")
    if empty(rows):
        print(f"left out, for there is no value on one side: {', '.join(empty(rows))}")
    name = f"{args.pipeline}-{record.partition}-drift.html".replace("/", "_").replace(":", "")
    written(args.out or name, page)
