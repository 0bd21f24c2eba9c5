"""`mlpipe levels`: the service levels of a day."""

import argparse
from typing import Any

from mlpipe.cli.looking import declared, shelf, tell

LEVELS = """\
What is asked of a day ('levels' of the pipeline), and how it went: the value and the limit of each indicator, what was done about a miss,
and what is left of its error budget. An indicator that is not known is neither met nor missed; why is said. Read from the record of the
monitor: of labels more is known once they are ripe and the day was watched again.

examples:
  mlpipe levels flights
  mlpipe levels flights --on 2013-07-01
  mlpipe levels flights --json | jq .response"""


def add(commands: Any) -> None:
    """Declare the command."""
    text = "Service levels of a day: what was met, what was missed, what is left of the budgets."
    made = declared(commands, "levels", levels, text, LEVELS)
    made.add_argument("pipeline", help="name of the pipeline")
    made.add_argument("--on", metavar="PARTITION", help="the day; default: the last that was watched")
    made.add_argument("--json", action="store_true", help="print JSON")


def levels(args: argparse.Namespace) -> None:
    """`mlpipe levels`."""
    from mlpipe.views.levels import as_text, to_dict

    with shelf(args) as records:
        asset = f"{args.pipeline}/monitor"
        record = records.newest(asset, args.on) if args.on else records.latest(asset)
        made = next((o for o in record.outputs if o.name == "levels"), None)
        table = [] if made is None else records.store.get_table(made.id).to_dict("records")
    rows = [{str(k): v for k, v in row.items()} for row in table]
    tell(args, records.as_of, lambda: as_text(record, rows), lambda: to_dict(record, rows))
