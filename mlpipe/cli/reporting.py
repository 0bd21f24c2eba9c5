"""`mlpipe drift-report`, `mlpipe data-docs`: pages of others about one day, Evidently's and Great Expectations'."""

import argparse
from pathlib import Path
from typing import Any

from mlpipe.cli.command import command, opened
from mlpipe.cli.looking import declared, shelf, written

REPORT = """\
Raw rows of the window that ends on the day beside raw rows that its champion learned from, by provenance: one self-contained page with
every distribution. Evidently chooses its bins anew for each comparison, so its PSI is another than that of the alarms.
It needs the extra 'evidently': pip install 'mlpipe[evidently]'.

examples:
  mlpipe drift-report flights --out drift.html
  mlpipe drift-report flights --on 2013-07-14 --rows 5000
  mlpipe drift-report flights --if-moderate      # nightly: a page only when there is something to see"""

DOCS = """\
Raw rows of a partition, asked once more what the contract asks, as Great Expectations shows it: a folder with index.html. The verdict of
the partition is that of its record ('mlpipe show'); nothing is recorded. The pages load styles and scripts from the network.

examples:
  mlpipe data-docs flights --on 2013-07-14 --out docs-2013-07-14"""


def add(commands: Any) -> None:
    """Declare the commands."""
    text = "Evidently's report of drift on one monitored day, as a page."
    made = declared(commands, "drift-report", drift_report, text, REPORT)
    made.add_argument("pipeline", help="name of the pipeline")
    made.add_argument(
        "--on", metavar="PARTITION", help="the day; default: the last on which something was compared"
    )
    made.add_argument("--out", metavar="FILE", help="default: PIPELINE-PARTITION-drift.html in this folder")
    made.add_argument("--rows", metavar="N", type=int, default=None, help="rows of each side; default: 20000")
    made.add_argument("--seed", metavar="N", type=int, default=0, help="of the sample of rows; default: 0")
    made.add_argument(
        "--if-moderate",
        action="store_true",
        help="write it only when the day drifts, or a PSI of a watched column is 0.1 or more",
    )
    made.set_defaults(wrong=made.error)
    text = "Great Expectations' Data Docs of one partition, as a folder of pages."
    made = command(commands, "data-docs", data_docs, text, DOCS)
    made.add_argument("--on", metavar="PARTITION", help="the partition; default: the last that was ingested")
    made.add_argument("--out", metavar="FOLDER", required=True, help="a new folder")


def drift_report(args: argparse.Namespace) -> None:
    """`mlpipe drift-report`."""
    if args.rows is not None and args.rows < 1:
        args.wrong("--rows must be 1 or more")
    if args.seed < 0:
        args.wrong("--seed must be 0 or more")
    from mlpipe.notify.metrics import COMPARED
    from mlpipe.stages.reports import MOST_ROWS, empty, html, installed, moderate, sides

    # What is missing is said before anything is read.
    installed()
    with shelf(args) as records:
        asset = f"{args.pipeline}/monitor"
        record = records.newest(asset, args.on) if args.on else records.latest(asset, COMPARED)
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


def data_docs(args: argparse.Namespace) -> None:
    """`mlpipe data-docs`."""
    from mlpipe.index.shelf import open_shelf
    from mlpipe.orchestration.locate import pipeline_of
    from mlpipe.stages.data_docs import rows_of, write

    spec, _ = pipeline_of(args.pipeline, Path.cwd(), args.target)
    store, _ = opened(spec)
    with open_shelf(store.url) as records:
        asset = f"{spec.name}/raw"
        record = records.newest(asset, args.on) if args.on else records.latest(asset)
    rows = rows_of(spec, store, record)
    for name, kept in write(spec, record.partition, rows, Path(args.out)).items():
        print(f"{name}: {len(rows[name]):,} rows {'keep' if kept else 'break'} the suite of the contract")
    print(f"Pages: {Path(args.out) / 'index.html'}")
