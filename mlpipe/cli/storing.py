"""`mlpipe store`: look after the object store."""

import argparse
from typing import Any

from mlpipe.cli.command import DEBUG, store_at


def add(commands: Any) -> None:
    """Declare the commands."""
    top = commands.add_parser(
        "store", help="Look after the object store.", description="Look after the object store."
    )
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for name, call, text in (
        (
            "verify",
            store_verify,
            "Read every object, record and ledger entry, and say what is damaged or missing.",
        ),
        ("du", store_du, "How many objects of each kind there are, and their size."),
    ):
        made = verbs.add_parser(name, help=text, description=text)
        made.add_argument(
            "--store",
            metavar="URL",
            help="the store; default: $MLPIPE_STORE, else $DAGSTER_HOME/mlpipe, else ./.mlpipe",
        )
        made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
        made.set_defaults(call=call)


def store_verify(args: argparse.Namespace) -> int:
    """`mlpipe store verify`."""
    from mlpipe.ledger.verify import verify_all
    from mlpipe.stores.verify import verify

    store = store_at(args)
    report = verify(store)
    chains, problems = verify_all(store.backend)
    found = [*report.problems, *problems]
    print(
        f"{store.url}: {report.objects} objects, {report.records} records, {chains} ledger chains: "
        + ("nothing is wrong." if not found else f"{len(found)} problems.")
    )
    for problem in found:
        print(f"  - {problem}")
    return 1 if found else 0


def store_du(args: argparse.Namespace) -> int:
    """`mlpipe store du`."""
    from mlpipe.stores.verify import du
    from mlpipe.views.summary import sizes

    print(sizes(du(store_at(args))))
    return 0
