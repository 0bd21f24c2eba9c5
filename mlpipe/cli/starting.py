"""`mlpipe init`."""

import argparse
import json
from pathlib import Path
from typing import Any

from mlpipe.cli.command import command

EPILOG = """\
DATA is a CSV, Parquet or JSON-lines file, a folder of them, an http address of one, or a table of a database
(postgresql+psycopg2://user@host/name#table, sqlite:///file.db#table). Only --label is needed; what is not said is guessed, and each
guess stands with its reason in the specification that is written. Nothing that is there is overwritten.

examples:
  mlpipe init churn --data customers.csv --label churned
  mlpipe init prices --data sales.parquet --label price --time sold_at --key sale_id
  mlpipe init late --data postgresql+psycopg2://me@localhost/shop#orders --label late --time ordered_at"""


def add(commands: Any) -> None:
    """Declare the command."""
    made = command(
        commands,
        "init",
        init,
        "Look at data and write a project for it that runs at once, with the reason for each guess.",
        EPILOG,
        pipeline=False,
        target=False,
    )
    made.add_argument("name", help="name of the pipeline, and of the folder that is made for it")
    made.add_argument("--data", required=True, metavar="FILE_OR_URL", help="the rows, one for each case")
    made.add_argument("--label", required=True, metavar="COLUMN", help="what is to be predicted")
    made.add_argument("--time", metavar="COLUMN", help="the moment that a row belongs to; default: guessed")
    made.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="COLUMN",
        help="what identifies a row; may be given more than once",
    )
    made.add_argument(
        "--at", metavar="COLUMN", help="the moment of prediction, where it is another than --time"
    )
    made.add_argument(
        "--table", metavar="NAME", help="table of a database, where the URL does not name it behind '#'"
    )
    made.add_argument("--json", action="store_true", help="print what was concluded as JSON")


def init(args: argparse.Namespace) -> int:
    """`mlpipe init`."""
    from mlpipe.orchestration.runtime import now
    from mlpipe.scaffold.project import checked_name, conclude, conclusions, guesses, write_project
    from mlpipe.scaffold.proposal import Asked
    from mlpipe.views.proposal import proposed

    name = checked_name(args.name)
    folder = Path.cwd() / name
    asked = Asked(name, args.label, args.time, tuple(args.key), args.at)
    made = conclude(asked, args.data, Path.cwd(), folder / "data", now(), args.table)
    files = write_project(made, folder)
    told = conclusions(made, folder)
    if args.json:
        print(json.dumps(told, ensure_ascii=False, default=str))
    else:
        print(proposed(told, guesses(made), str(files[0].relative_to(Path.cwd()))))
    return 0
