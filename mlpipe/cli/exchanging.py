"""`mlpipe export` and `mlpipe import`: records in the formats of other tools, and theirs as records."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import DEBUG, store_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlpipe.records.record import Record
    from mlpipe.stores.store import Store

EXAMPLES = """examples:
  mlpipe export flights --format openlineage --to file:///tmp/lineage.jsonl
  mlpipe export flights --format openlineage --to http://marquez:5000
  mlpipe export flights@production --format mlflow --to ./model
"""
IMPORTS = """examples:
  mlpipe import mlflow sqlite:///mlflow.db --pipeline churn
  mlpipe import mlflow http://mlflow:5000 --pipeline churn --experiment "churn 2024"
"""


def add(commands: Any) -> None:
    """Declare the commands."""
    text = "Write records as OpenLineage events, or a model as MLflow loads it."
    made = commands.add_parser(
        "export",
        help=text,
        description=text,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "what",
        help="a pipeline: all its records; else a record's id or its prefix, or a model as NAME@VERSION",
    )
    made.add_argument("--format", required=True, choices=("openlineage", "mlflow"))
    made.add_argument(
        "--to",
        required=True,
        metavar="URL_OR_FOLDER",
        help="openlineage: file:///path or http(s)://host; mlflow: a folder that does not exist yet",
    )
    _common(made, export)
    text = "Bring the runs, models and aliases of an MLflow store in, as records. Models are kept as files and never loaded."
    made = commands.add_parser(
        "import", help=text, description=text, epilog=IMPORTS, formatter_class=made.formatter_class
    )
    made.add_argument("source", choices=("mlflow",))
    made.add_argument("url", help="MLflow's tracking URI: sqlite:///mlflow.db, http://host:5000")
    made.add_argument(
        "--pipeline", required=True, metavar="NAME", help="under which name the records are kept"
    )
    made.add_argument("--experiment", metavar="NAME", help="only this one; default: all")
    _common(made, bring)


def _common(made: Any, call: Any) -> None:
    made.add_argument(
        "--store",
        metavar="URL",
        help="the store; default: $MLPIPE_STORE, else $DAGSTER_HOME/mlpipe, else ./.mlpipe",
    )
    made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
    made.set_defaults(call=call)


def bring(args: argparse.Namespace) -> None:
    """`mlpipe import mlflow`."""
    from mlpipe.spec.nodes import checked_name
    from mlpipe.stores.mlflow_runs import imported

    store, new, old = store_at(args, create=True), 0, 0
    for record, fresh in imported(store, args.url, checked_name(args.pipeline), args.experiment):
        new, old = new + fresh, old + (not fresh)
        if fresh:
            print(f"{record.id}  {record.headline}, {record.experiment}")
    print(f"{new:,} runs brought in, {old:,} were here already: {args.pipeline} in {store.url}")


def export(args: argparse.Namespace) -> None:
    """`mlpipe export`."""
    store = store_at(args)
    if args.format == "mlflow":
        from pathlib import Path

        from mlpipe.ledger.references import referred
        from mlpipe.stores.mlflow_model import write

        found = referred(store, args.what)
        bundle = write(store, _record(store, found.pipeline, found.record), Path(args.to), found.name)
        print(f"{args.to}: {found.name}, {bundle}. Load it: mlflow.pyfunc.load_model({args.to!r})")
        return
    from mlpipe.notify.lineage import send, shown

    count = send(_records(store, args.what), store.url, args.to, os.environ)
    print(f"{count:,} records of {args.what} sent to {shown(args.to)}, two events each")


def _records(store: "Store", what: str) -> "Iterator[Record]":
    from mlpipe.ledger.references import referred
    from mlpipe.records.codec import from_bytes

    if what in store.pipelines():
        made = (from_bytes(data, name) for name, data in store.records(what))
        # A receiver draws its graph as events come in: as the work was done.
        yield from sorted(made, key=lambda r: (r.recorded_at, r.id))
        return
    found = referred(store, what)
    yield _record(store, found.pipeline, found.record)


def _record(store: "Store", pipeline: str, name: str) -> "Record":
    from mlpipe.records.codec import from_bytes

    return from_bytes(store.get_record(pipeline, name), name)
