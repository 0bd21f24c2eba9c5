"""`mlpipe matrix` and `mlpipe backtest`: what a rule would have decided in the past, and what followed."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import chosen, command

if TYPE_CHECKING:
    from mlpipe.stages.past import Past


def add(commands: Any) -> None:
    """Declare the commands."""
    made = command(
        commands,
        "matrix",
        matrix,
        "Every kept model on every labelled day, and how each grows old; cells are scored once and kept.",
        "examples:\n  mlpipe matrix flights\n  mlpipe matrix flights --from 2013-06-01 --by day --metric pr_auc --html heat.html",
    )
    _stretch(made)
    made.add_argument("--metric", metavar="NAME", help="default: the one that models are chosen by")
    made.add_argument(
        "--by", choices=("month", "day"), default="month", help="what a column holds; default: month"
    )
    made.add_argument("--csv", action="store_true", help="print CSV, a line for each model and column")
    made.add_argument("--html", metavar="FILE", help="write a heat map too, a page that needs no network")


def _stretch(made: Any) -> None:
    """Options that all of these commands have."""
    made.add_argument(
        "--from", dest="first", metavar="PARTITION", help="first partition; default: the first there is"
    )
    made.add_argument(
        "--to", dest="last", metavar="PARTITION", help="last partition, included; default: the last there is"
    )
    made.add_argument(
        "--ledger",
        metavar="NAME",
        help="the chain of decisions, such as a replay's; default: the deployment's",
    )
    made.add_argument("--json", action="store_true", help="print JSON")


def _past(args: argparse.Namespace) -> "Past":
    from mlpipe.orchestration.runtime import ledger_of
    from mlpipe.stages.past import Past

    spec, store, _ = chosen(args)
    return Past(spec, store, ledger_of(spec, store, args.ledger))


def matrix(args: argparse.Namespace) -> int:
    """`mlpipe matrix`."""
    from mlpipe.stages.decay import survey
    from mlpipe.views.matrix import as_csv, as_html, as_text
    from mlpipe.views.progress import counting

    past = _past(args)
    with counting("scoring") as tell:
        found = survey(past, past.keys(args.first, args.last), metric=args.metric, by=args.by, tell=tell)
    if args.html:
        Path(args.html).write_text(as_html(found), encoding="utf-8")
    print(
        json.dumps(found, ensure_ascii=False) if args.json else as_csv(found) if args.csv else as_text(found)
    )
    return 0
